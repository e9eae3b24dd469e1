"""Void one order: void-client ORDER_ID CURRENCY [COMMENT]. README.md names the variables and the exit codes."""

import json
import os
import sys
import uuid
from collections.abc import Mapping
from typing import Any

from .client import VoidClient, check
from .errors import NotVoided, RepeatLater, VoidError
from .transport import ClientCredentials

USAGE = "ORDER_ID and CURRENCY are needed, and one COMMENT may follow"


def main() -> int:
    """Exit codes: 0 voided, 1 not voided for good, 2 run the same again later, 3 a wrong call."""
    setting = os.environ.get
    key = setting("IDEMPOTENCY_KEY") or str(uuid.uuid4())
    if not setting("IDEMPOTENCY_KEY"):
        _say(f"IDEMPOTENCY_KEY={key}")  # first, so that it is known whatever happens
    try:
        check(len(sys.argv) in (3, 4), USAGE)
        wait, (order_id, currency, comment, *_) = setting("VOID_WAIT_SECONDS", "120"), [*sys.argv[1:], None]
        seconds = float(wait) if wait.isdecimal() else -1
        with _client() as client:
            record = client.void(str(order_id), str(currency), idempotency_key=key, comment=comment, wait=seconds)
    except VoidError as cause:
        _say(str(cause))
        return 1 if isinstance(cause, NotVoided) else 2 if isinstance(cause, RepeatLater) else 3
    except Exception as cause:  # noqa: BLE001 a crash would end with 1, which says "not voided"
        _say(f"{type(cause).__name__}: it may be voided or not: run the same again, which is safe")
        return 2
    print(json.dumps(record, default=str, ensure_ascii=False))
    return 0


def _client() -> VoidClient:
    url, region, token_url, client_id, secret, scope = (
        os.environ.get(name, "") for name in
        ("VOID_SERVICE_URL", "AWS_REGION", "VOID_TOKEN_URL", "VOID_CLIENT_ID", "VOID_CLIENT_SECRET", "VOID_TOKEN_SCOPE")
    )  # fmt: skip
    if token_url:
        return VoidClient(url, tokens=ClientCredentials(token_url, client_id, secret, scope), log=_waits)
    return VoidClient(url, region, log=_waits)


def _waits(entry: Mapping[str, Any]) -> None:
    if entry["event"] == "wait":
        _say(f"{entry['label']}: again in {round(entry['seconds'])} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
