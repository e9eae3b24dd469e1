"""Calls the installed Python package as a merchant's code would: a task a line on standard input, its outcomes on the other.

Its time is not the machine's: a wait takes a part of its seconds or none, and the clock goes on by all of them.
"""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import botocore.auth
import void_client
from void_client import client as client_module
from void_client import transport

task: dict[str, Any] = {}
ahead = 0.0


def sleep(seconds: float) -> None:
    global ahead
    time.sleep(seconds * task["pace"])
    ahead += seconds * (1 - task["pace"])


async def sleep_async(seconds: float) -> None:
    sleep(seconds)


def shown(value: Any) -> Any:
    """Amounts as text; a float would have lost digits."""
    assert not isinstance(value, float), value
    if isinstance(value, dict):
        return {key: str(one) if key == "amount" and one is not None else shown(one) for key, one in value.items()}
    return [shown(each) for each in value] if isinstance(value, list) else value


clients: dict[str, void_client.VoidClient] = {}
logged: list[Any] = []


def client_of(case: dict[str, Any]) -> Any:
    """One client for the same settings."""
    tokens = case.get("tokens")
    if (key := json.dumps([case["url"], case["region"], case["timeout"], tokens])) not in clients:
        by = tokens and void_client.ClientCredentials(
            tokens["url"], tokens["id"], tokens["secret"], tokens.get("scope", "")
        )
        how: Any = {"region": case["region"], "tokens": by, "timeout": case["timeout"], "log": logged.append}
        clients[key] = void_client.VoidClient(case["url"], **how)
    return void_client.AsyncVoidClient(clients[key]) if task["asynchronous"] else clients[key]


TAKES = {
    "void": ("order_id", "order_currency", "key", "comment", "wait"), "read": ("order_id", "refresh"),
    "decide": ("order_id", "decision", "revision", "note"), "voids": ("state", "day"),
}  # fmt: skip


async def called(case: dict[str, Any]) -> Any:
    given = {"idempotency_key" if name == "key" else name: case[name] for name in TAKES[case["call"]] if name in case}
    got = getattr(client_of(case), case["call"])(**given)
    if case["call"] == "voids":
        return [record async for record in got] if task["asynchronous"] else list(got)
    return await got if task["asynchronous"] else got


async def outcome(case: dict[str, Any]) -> dict[str, Any]:
    global ahead
    ahead += case.get("later", 0)
    before, told = len(logged), {}
    try:
        if case["call"] == "settled":
            return {"returned": list(void_client.newest(case["events"]).values())}
        told["returned"] = shown(await called(case))
    except ValueError:
        return {"raised": "ValueError"}
    except void_client.VoidError as error:
        cause = error.__cause__
        told = {
            name: getattr(error, name) for name in ("label", "advice", "status", "retry_after", "request_id", "hint")
        }
        told |= {"raised": type(error).__name__, "message": str(error), "document": shown(error.document)}
        told |= {"record": shown(error.record), "cause": getattr(cause, "label", cause and "foreign")}
    mine = logged[before:]
    waits = [[entry["label"], round(entry["seconds"])] for entry in mine if entry["event"] == "wait"]
    return told | {"waits": waits, "ids": [entry.get("request_id") for entry in mine if entry["event"] == "answer"]}


async def outcomes() -> list[Any]:
    if not task["together"]:
        return [await outcome(case) for case in task["cases"]]
    if task["asynchronous"]:
        return list(await asyncio.gather(*map(outcome, task["cases"])))
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda case: asyncio.run(outcome(case)), task["cases"]))


now = botocore.auth.__dict__["get_current_datetime"]
replaced: dict[Any, Any] = {
    (client_module, "time"): SimpleNamespace(
        monotonic=lambda: (time.monotonic() if task["pace"] else 0) + ahead, sleep=sleep
    ),
    (client_module, "asyncio"): SimpleNamespace(to_thread=asyncio.to_thread, sleep=sleep_async),
    (transport, "time"): SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() + ahead),
    (botocore.auth, "get_current_datetime"): lambda *given: now(*given) + timedelta(seconds=task["skew"]),
}
for (module, name), value in replaced.items():
    setattr(module, name, value)
for line in sys.stdin:
    task, ahead, clients = json.loads(line), 0.0, {}
    print(json.dumps(asyncio.run(outcomes()), default=str), flush=True)
