"""An order as an item of the table, and back; where a list of them goes on. Pure.

Flat attributes are what indexes, conditions and the stream read; the rest is one JSON text each for the details and the
provider's fields, because the SDK's work grows with each attribute. What is not known is not written.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from payments import exact_json
from payments.messages import PROVIDER_FIELDS, Fields, Operation
from payments.record import Attempt, Change, EarlierAttempt, Evidence, FailureReason, Order, State, StoredWebhook, Void

Item = dict[str, Any]

ORDER = "ORDER"
DUE, RECHECK, REVIEW = "DUE", "RECHECK", "REVIEW"
"""The partitions of the sparse indexes: open voids, failed ones that are queried again, and those for a person."""
SHARDS = 8
"""Each partition is spread over this many keys, by the order's hash: one key takes 1,000 writes a second at most."""
QUARANTINE_SECONDS = 90 * 86_400
LONGEST_CURSOR, MOST_DIGITS = 4_096, 15

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_IDS = ("ids_before_attempt", "all_ids", "under_way")


class BadCursor(Exception):
    """The cursor is none of ours."""


def partition(pos_id: str, order_id: str) -> str:
    """The partition key of an order."""
    return f"{pos_id}#{order_id}"


def key(pos_id: str, order_id: str) -> Item:
    """The whole key of an order."""
    return {"pk": {"S": partition(pos_id, order_id)}, "sk": {"S": ORDER}}


def shards(kind: str) -> tuple[str, ...]:
    """All index keys of one kind."""
    return tuple(f"{kind}#{number}" for number in range(SHARDS))


def shard_of(pk: str) -> str:
    """Which shard an order is in."""
    return str(zlib.crc32(pk.encode("utf-8", "replace")) % SHARDS)


def _shard(kind: str, pk: str) -> Item:
    return {"S": f"{kind}#{shard_of(pk)}"}


def timestamp(at: int) -> str:
    """Milliseconds since 1970 as `2026-11-24T10:10:10.100Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_order(order: Order) -> Item:
    """The item of an order; in the sparse indexes only while it is open, or needs a person."""
    item: Item = {
        **key(order.pos_id, order.order_id),
        "pos_id": {"S": order.pos_id},
        "order_id": {"S": order.order_id},
        "version": number(order.version),
        "write_id": {"S": order.write_id},
        "webhooks": {"M": {digest: write_webhook(webhook) for digest, webhook in order.webhooks.items()}},
        "webhook_bytes": number(order.webhook_bytes),
    }
    if order.more_webhooks:
        item["more_webhooks"] = {"BOOL": True}
    return item if order.void is None else item | _write_void(order.void, item["pk"]["S"], order.order_id)


def _write_void(void: Void, pk: str, order_id: str) -> Item:
    texts = {
        "reason": void.reason.value if void.reason else None,
        "order_currency": void.order_currency,
        "settled_at": timestamp(void.settled_at) if void.settled_at is not None else None,
        "provider": write_fields(void.provider) if void.provider is not None else None,
    }
    item: Item = {
        # For what leaves by the stream: safe in JSON without any escaping.
        "order_id_quoted": {"S": quote(order_id, safe="")},
        "state": {"S": void.state.value},
        "review": {"BOOL": void.review},
        "corrected": {"BOOL": void.corrected},
        "resend_allowed": {"BOOL": void.resend_allowed},
        "attempt": number(void.attempt.number if void.attempt is not None else 0),
        "details": {"S": _dump(_details(void))},
        **{name: {"S": text} for name, text in texts.items() if text is not None},
    }
    if void.due_at is not None:
        kind = RECHECK if void.state is State.FAILED else DUE
        item |= {"due_pk": _shard(kind, pk), "due_at": number(void.due_at)}
    if void.review:
        item |= {"review_pk": _shard(REVIEW, pk), "review_at": number(void.due_at or void.settled_at or 0)}
    return item


def _details(void: Void) -> dict[str, object]:
    details = {
        "attempt": _known(void.attempt) if void.attempt is not None else None,
        "earlier": [_known(each) for each in void.earlier],
        "earlier_sent": void.earlier_sent,
        "undocumented": void.undocumented,
        "provider_code": void.provider_code,
        "provider_message": void.provider_message,
        "history": [list(change) for change in void.history],
        "query_count": void.query_count,
        "queried_at": void.queried_at,
        **{name: sorted(getattr(void, name)) for name in _IDS},
    }
    return {name: value for name, value in details.items() if value}


def _known(attempt: Attempt | EarlierAttempt) -> dict[str, object]:
    values = attempt._asdict()
    if "ids" in values:
        values["ids"] = sorted(values["ids"])
    return {name: value for name, value in values.items() if value not in (None, [], 0)}


def read_order(item: Mapping[str, Any]) -> Order:
    """The order of an item. Raises AttributeError, KeyError, TypeError or ValueError for what is none of ours."""
    webhooks = {digest: _read_webhook(digest, value) for digest, value in item["webhooks"]["M"].items()}
    return Order(
        pos_id=item["pos_id"]["S"],
        order_id=item["order_id"]["S"],
        void=_read_void(item) if "state" in item else None,
        webhooks=webhooks,
        webhook_bytes=int(item["webhook_bytes"]["N"]),
        more_webhooks="more_webhooks" in item,
        version=int(item["version"]["N"]),
        write_id=item["write_id"]["S"],
    )


def _read_void(item: Mapping[str, Any]) -> Void:
    details: dict[str, Any] = json.loads(item["details"]["S"])
    reason, settled = _text(item, "reason"), _text(item, "settled_at")
    attempt = details.get("attempt")
    return Void(
        state=State(item["state"]["S"]),
        order_currency=_text(item, "order_currency"),
        attempt=_read_attempt(attempt) if attempt is not None else None,
        earlier=tuple(_read_earlier(each) for each in details.get("earlier", ())),
        reason=FailureReason(reason) if reason else None,
        review=item["review"]["BOOL"],
        corrected=item["corrected"]["BOOL"],
        resend_allowed=item["resend_allowed"]["BOOL"],
        earlier_sent=details.get("earlier_sent", False),
        **{name: frozenset(details.get(name, ())) for name in _IDS},
        undocumented=details.get("undocumented", False),
        settled_at=_milliseconds(settled) if settled else None,
        provider=read_fields(item["provider"]["S"]) if "provider" in item else None,
        provider_code=details.get("provider_code"),
        provider_message=details.get("provider_message"),
        history=tuple(Change(at, State(state), Evidence(by)) for at, state, by in details.get("history", ())),
        query_count=details.get("query_count", 0),
        queried_at=details.get("queried_at", 0),
        due_at=int(item["due_at"]["N"]) if "due_at" in item else None,
    )


def _read_attempt(values: dict[str, Any]) -> Attempt:
    refusal = values.get("refusal")
    known = {**values, "ids": frozenset(values.get("ids", ())), "refusal": FailureReason(refusal) if refusal else None}
    return Attempt(**{"key": None, "comment": None, "requested_by": None, **known})


def _read_earlier(values: dict[str, Any]) -> EarlierAttempt:
    known = {"key": None, "requested_by": None, "settled_at": None, **values}
    return EarlierAttempt(**{**known, "reason": FailureReason(values["reason"])})


def write_webhook(webhook: StoredWebhook) -> Item:
    """One webhook as one text."""
    operation = webhook.operation
    head = _dump([webhook.received_at, webhook.verified_with, operation.method, operation.status])
    return {"S": f"[{head},{write_fields(operation.fields)}]"}


def _read_webhook(digest: str, value: Item) -> StoredWebhook:
    head, fields = _parsed(value["S"])
    received_at, verified_with, method, status = head
    known = _complete(fields)
    operation = Operation(method, status, str(known["order_id"]), known)
    return StoredWebhook(digest, int(received_at.digits), verified_with, operation)


def webhook_size(digest: str, written: Item) -> int:
    """About what a webhook adds to its item, in bytes."""
    return len(digest) + len(written["S"].encode())


def write_fields(fields: Fields) -> str:
    """The provider's fields as JSON with their own digits: the table's own numbers would turn 100.00 into 100."""
    return exact_json.write({name: fields[name] for name in PROVIDER_FIELDS if fields.get(name) is not None})


def read_fields(text: str) -> Fields:
    """The sixteen fields; unknown ones are None."""
    return _complete(_parsed(text))


def _complete(stored: Any) -> Fields:
    # Another form is not read as "nothing known": the next write would lose what the provider said.
    if not isinstance(stored, dict):
        raise ValueError("provider")
    return {name: stored.get(name) for name in PROVIDER_FIELDS}


def _parsed(text: str) -> Any:
    return exact_json.parse(text)


def write_quarantine(digest: str, text: str, why: str, received_at: int) -> Item:
    """A genuine message that we cannot use, kept for 90 days."""
    day = datetime.fromtimestamp(received_at / 1000, UTC).date().isoformat()
    return {
        "pk": {"S": f"QUARANTINE#{day}"},
        "sk": {"S": digest},
        "why": {"S": why},
        "received_at": {"S": timestamp(received_at)},
        "text": {"S": text},
        "expires_at": number(received_at // 1000 + QUARANTINE_SECONDS),
    }


def number(value: int) -> Item:
    """A number as the table has it."""
    return {"N": str(value)}


def _text(item: Mapping[str, Any], name: str) -> str | None:
    value = item.get(name, {}).get("S")
    return value if isinstance(value, str) else None


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


# ---- cursors: for each shard of a list the order after which it goes on ----------------------------------------------


def write_cursor(places: dict[str, Item | None], index: str) -> str:
    """The cursor of these items or start keys, as text that fits a URL."""
    shown = {shard: [key["pk"]["S"], key[f"{index}_at"]["N"]] if key else None for shard, key in places.items()}
    return base64.urlsafe_b64encode(json.dumps(shown, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str, index: str, kind: str) -> dict[str, Item | None]:
    """The start keys of a cursor. Raises BadCursor."""
    try:
        if len(cursor) > LONGEST_CURSOR:
            raise ValueError
        places = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise BadCursor from None
    if not isinstance(places, dict) or not places or not places.keys() <= set(shards(kind)):
        raise BadCursor
    return {shard: _read_place(place, index, shard) for shard, place in places.items()}


def _read_place(place: object, index: str, shard: str) -> Item | None:
    """The start key of a shard. What the table would refuse is refused here, as the caller's mistake and not ours."""
    match place:
        case None:
            return None
        case [str(pk), str(at)] if at.isascii() and at.isdecimal() and len(at) <= MOST_DIGITS and 0 < len(pk) <= 400:
            key = {"pk": {"S": pk}, "sk": {"S": ORDER}, f"{index}_pk": {"S": shard}, f"{index}_at": {"N": at}}
            if shard_of(pk) == shard.rpartition("#")[2] and pk == exact_json.without_surrogates(pk):
                return key
    raise BadCursor
