"""Void records of a period for finance, streamed from the table: each record in exactly one month.

Reads by a paginated scan with the operator's own rights: the functions have none.
"""

import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from ops import cells, days, items
from ops.files import output, scanning
from ops.places import OpsError, Place
from ops.screen import Screen

_OWN = (
    "order_id", "state", "reason", "review", "corrected", "attempt", "requested_at", "requested_by", "settled_at",
    "order_currency", "comment", "provider_code", "provider_message",
)  # fmt: skip
_FIELDS = (
    "operation_id", "payment_id", "transaction_id", "pos_id", "method", "amount", "currency", "status", "status_code",
    "status_description", "created_at", "processing_time", "comment",
)  # fmt: skip
COLUMNS = (
    *_OWN, *(f"provider_{name}" for name in _FIELDS), "provider_fee_amount", "provider_fee_currency", "pos_id",
)  # fmt: skip


def export(place: Place, chosen: Namespace, screen: Screen) -> None:
    wanted, table = days.period(chosen.first, chosen.last), items.table(place)
    if chosen.excel and not chosen.out:
        raise OpsError("--excel is for a file: give --out")
    with output(chosen.out, chosen.excel) as out, scanning(table, chosen.out) as passed:
        rows = map(row, table.records(wanted, passed))
        count = cells.write(out, COLUMNS, rows, screen.as_json, chosen.excel)
    print(f"{count} records", file=sys.stderr)


def row(void: Mapping[str, Any]) -> Mapping[str, object]:
    """One record, flat."""
    provider = void["provider"] or {}
    fee = provider.get("fee")
    amount, currency = (fee.get("amount"), fee.get("currency")) if isinstance(fee, Mapping) else (fee, None)
    said = {f"provider_{name}": provider.get(name) for name in _FIELDS}
    return {name: void[name] for name in _OWN} | said | {
        "provider_fee_amount": amount, "provider_fee_currency": currency, "pos_id": void["pos_id"],
    }  # fmt: skip
