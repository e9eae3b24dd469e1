"""Calls the installed Python package as a merchant's code would: a task a line on standard input, its outcomes on the other.

Its time is not the machine's: a wait takes a part of its seconds or none, and the clock goes on by all of them.
"""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import void_client
from botocore.credentials import Credentials
from void_client import client as client_module
from void_client import transport

task: dict[str, Any] = {}
ahead = 0.0
clients: dict[str, void_client.VoidClient] = {}
logged: list[Any] = []
TAKES = {
    "void": ("order_id", "order_currency", "key", "comment", "wait"), "read": ("order_id", "refresh"),
    "decide": ("order_id", "decision", "revision", "note"), "voids": ("state", "day"),
}  # fmt: skip
SHOWN = ("label", "advice", "status", "retry_after", "request_id", "hint", "document", "record")


def sleep(seconds: float) -> None:
    global ahead
    time.sleep(seconds * task["pace"])
    ahead += seconds * (1 - task["pace"])


async def sleep_async(seconds: float) -> None:
    sleep(seconds)


def monotonic() -> float:
    return (time.monotonic() if task["pace"] else 0) + ahead


def shown(value: Any) -> Any:
    """Amounts as text; a float would have lost digits."""
    assert not isinstance(value, float), value
    if isinstance(value, dict):
        return {key: str(one) if key == "amount" and one is not None else shown(one) for key, one in value.items()}
    return [shown(each) for each in value] if isinstance(value, list) else value


def client_of(case: dict[str, Any]) -> Any:
    """One client for the same settings."""
    tokens = case.get("tokens")
    if (key := json.dumps([case["url"], case["region"], case["timeout"], tokens])) not in clients:
        issuer = tokens and (tokens["url"], tokens["id"], tokens["secret"], tokens.get("scope", ""))
        by = issuer and void_client.ClientCredentials(*issuer)
        how: Any = {"region": case["region"], "tokens": by, "timeout": case["timeout"], "log": logged.append}
        clients[key] = void_client.VoidClient(case["url"], credentials=Credentials(*task["keys"]), **how)
    return void_client.AsyncVoidClient(clients[key]) if task["asynchronous"] else clients[key]


async def called(case: dict[str, Any]) -> Any:
    if case["call"] == "settled":
        return list(void_client.newest(case["events"]).values())
    given = {"idempotency_key" if name == "key" else name: case[name] for name in TAKES[case["call"]] if name in case}
    got = getattr(client_of(case), case["call"])(**given)
    if case["call"] == "voids":
        return [record async for record in got] if task["asynchronous"] else list(got)
    return await got if task["asynchronous"] else got


async def outcome(case: dict[str, Any]) -> dict[str, Any]:
    global ahead
    ahead += case.get("later", 0)
    before = len(logged)
    try:
        told = {"returned": shown(await called(case))}
    except ValueError:
        return {"raised": "ValueError"}
    except void_client.VoidError as error:
        told = {name: shown(getattr(error, name)) for name in SHOWN}
        told |= {"raised": type(error).__name__, "message": str(error)}
        told["cause"] = getattr(error.__cause__, "label", error.__cause__ and "foreign")
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


voiding: Any = client_module
voiding.time = SimpleNamespace(monotonic=monotonic, sleep=sleep)
voiding.asyncio = SimpleNamespace(to_thread=asyncio.to_thread, sleep=sleep_async)
sending: Any = transport
sending.time = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() + ahead)
for line in sys.stdin:
    task, ahead, clients = json.loads(line), 0.0, {}
    print(json.dumps(asyncio.run(outcomes()), default=str), flush=True)
