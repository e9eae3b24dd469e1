"""Calls the installed Python package as a merchant's code would: a task on standard input, outcomes on standard output.

Its time is not the machine's: a wait takes a part of its seconds or none, and the clock goes on by all of them.
"""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import botocore.auth
import void_client
from void_client import client as client_module
from void_client import transport

TASK = json.load(sys.stdin)
ahead = 0.0


def sleep(seconds: float) -> None:
    global ahead
    time.sleep(seconds * TASK["pace"])
    ahead += seconds * (1 - TASK["pace"])


async def sleep_async(seconds: float) -> None:
    sleep(seconds)


def shown(value: Any) -> Any:
    """Amounts as text; a float would have lost digits."""
    assert not isinstance(value, float), value
    if isinstance(value, dict):
        shorter = {name: str(amount) for name, amount in value.items() if name == "amount" and amount is not None}
        return {name: shown(member) for name, member in value.items()} | shorter
    return (
        [shown(each) for each in value]
        if isinstance(value, list)
        else str(value)
        if isinstance(value, Decimal)
        else value
    )


clients: dict[str, void_client.VoidClient] = {}
logged: list[Any] = []


def client_of(case: dict[str, Any]) -> void_client.VoidClient:
    """One client for the same settings."""
    settings = {name: case.get(name) for name in ("url", "region", "timeout", "tokens")}
    if (key := json.dumps(settings)) not in clients:
        tokens = case.get("tokens") and void_client.ClientCredentials(
            case["tokens"]["url"], case["tokens"]["id"], case["tokens"]["secret"], case["tokens"].get("scope", "")
        )
        clients[key] = void_client.VoidClient(
            case["url"], case["region"], tokens=tokens or None, timeout=case["timeout"], log=logged.append
        )
    return clients[key]


ARGUMENTS = {
    "void": (("order_id", "order_currency"), {"key": "idempotency_key", "comment": "comment", "wait": "wait"}),
    "read": (("order_id",), {"refresh": "refresh"}),
    "decide": (("order_id", "decision"), {"revision": "revision", "note": "note"}),
    "voids": (("state",), {"day": "day"}),
}


async def called(case: dict[str, Any]) -> Any:
    client: Any = client_of(case)
    names, more = ARGUMENTS[case["call"]]
    given = [case[name] for name in names], {known: case[name] for name, known in more.items() if name in case}
    if not TASK["asynchronous"]:
        got = getattr(client, case["call"])(*given[0], **given[1])
        return list(got) if case["call"] == "voids" else got
    got = getattr(void_client.AsyncVoidClient(client), case["call"])(*given[0], **given[1])
    return [record async for record in got] if case["call"] == "voids" else await got


async def outcome(case: dict[str, Any]) -> dict[str, Any]:
    global ahead
    ahead += case.get("later", 0)
    if case["call"] == "settled":
        try:
            return {"returned": list(void_client.newest(case["events"]).values())}
        except ValueError:
            return {"raised": "ValueError"}
    before = len(logged)
    told: dict[str, Any]
    try:
        told = {"returned": shown(await called(case))}
    except void_client.VoidError as error:
        cause: Any = error.__cause__
        told = {
            "raised": type(error).__name__, "label": error.label, "advice": error.advice, "message": str(error),
            "status": error.status, "document": shown(error.document), "record": shown(error.record),
            "retry_after": error.retry_after, "request_id": error.request_id, "hint": error.hint,
            "cause": cause.label if isinstance(cause, void_client.VoidError) else cause and "foreign",
        }  # fmt: skip
    mine = logged[before:]
    waits = [[entry["label"], round(entry["seconds"])] for entry in mine if entry["event"] == "wait"]
    return told | {"waits": waits, "ids": [entry.get("request_id") for entry in mine if entry["event"] == "answer"]}


async def main() -> list[Any]:
    if not TASK.get("together"):
        return [await outcome(case) for case in TASK["cases"]]
    if TASK["asynchronous"]:
        return list(await asyncio.gather(*map(outcome, TASK["cases"])))
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda case: asyncio.run(outcome(case)), TASK["cases"]))


now = botocore.auth.__dict__["get_current_datetime"]
replaced: dict[Any, Any] = {
    (client_module, "time"): SimpleNamespace(
        monotonic=lambda: (time.monotonic() if TASK["pace"] else 0) + ahead, sleep=sleep
    ),
    (client_module, "asyncio"): SimpleNamespace(to_thread=asyncio.to_thread, sleep=sleep_async),
    (transport, "time"): SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() + ahead),
    (botocore.auth, "get_current_datetime"): lambda *given: now(*given) + timedelta(seconds=TASK["skew"]),
}
for (module, name), value in replaced.items():
    setattr(module, name, value)
json.dump(asyncio.run(main()), sys.stdout)
