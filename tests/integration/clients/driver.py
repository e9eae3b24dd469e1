"""Calls the installed Python package as a merchant's code would: a task on standard input, outcomes on standard output.

Its time is not the machine's: a wait takes a part of its seconds or none, and the clock goes on by all of them.
"""

import json
import sys
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import botocore.auth
import void_client


class Clock:
    """What the client knows as the module `time`."""

    def __init__(self, pace: float) -> None:
        self.pace, self.ahead = pace, 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds * self.pace)
        self.ahead += seconds * (1 - self.pace)


def shown(value: Any) -> Any:
    """Amounts as text; a float would have lost digits."""
    match value:
        case float():
            raise AssertionError(f"a float: {value}")
        case dict():
            return {
                key: str(item) if key == "amount" and item is not None else shown(item) for key, item in value.items()
            }
        case list():
            return [shown(item) for item in value]
        case Decimal():
            return str(value)
        case _:
            return value


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    waits: list[Any] = []
    try:
        client = void_client.VoidClient(
            case["url"],
            case["region"],
            timeout=case["timeout"],
            on_wait=lambda error, seconds: waits.append([error.label, seconds]),
        )
        match case["call"]:
            case "void":
                returned: Any = client.void(
                    case["order_id"], case["order_currency"], idempotency_key=case["key"],
                    comment=case.get("comment"), wait=case.get("wait", 120),
                )  # fmt: skip
            case "read":
                returned = client.read(case["order_id"], refresh=case.get("refresh", False))
            case "voids":
                returned = list(client.voids(case["state"]))
    except void_client.VoidError as error:
        return {
            "raised": type(error).__name__,
            "group": type(error).__mro__[1].__name__,
            "label": error.label,
            "advice": error.advice,
            "message": str(error),
            "status": error.status,
            "problem": shown(error.problem),
            "record": shown(error.record),
            "retry_after": error.retry_after,
            "waits": waits,
        }
    except ValueError:
        return {"refused_before_sending": True}
    return {"returned": shown(returned), "waits": waits}


def main() -> None:
    task = json.load(sys.stdin)
    now = botocore.auth.__dict__["get_current_datetime"]
    replaced = {
        (void_client, "time"): Clock(task["pace"]),
        (botocore.auth, "get_current_datetime"): lambda *given: now(*given) + timedelta(seconds=task["skew"]),
    }
    for (module, name), value in replaced.items():
        setattr(module, name, value)
    json.dump([outcome(case) for case in task["cases"]], sys.stdout)


main()
