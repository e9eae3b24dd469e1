"""How long settling takes after an outage: the real settle run, minute after minute, on a virtual clock.

    PYTHONPATH=functions python -m benchmarks.outage [--voids 100000] [--workers 8 32 64] [--memory 512 1769]

Every void's answer was lost, and the provider, which has executed them all, answers again. Table and provider are in
memory; the rules, the items, the store and the runs are those that are deployed. Nothing is measured by a clock: a
question takes what the table, the provider and the processor are said to take below. Ends with an error if a void is
asked about twice, or not at all.
"""

import argparse
import bisect
import json
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from payments import settling
from payments.claims import claim
from payments.exact_json import parse
from payments.items import partition, write_order
from payments.messages import OrderView, read_operation
from payments.outside import Deadline, Systems
from payments.record import Order, Request, State
from payments.secret import Credentials, Secret
from payments.store import Store

Item = dict[str, Any]

POS_ID = "00000000-0000-4000-8000-000000000000"
SECRET = {"pos_id": POS_ID, "api_key": "fake-key", "api_secret": "fake-secret", "endpoints_key": "fake-endpoints"}
WAIT_MS = 8 + 10 + 200 + 8
"""The lease's write, the provider's connection and answer, the outcome's write: a worker's time for one question."""
CPU_MS = 3.0
"""Of a whole processor, for one question: a handshake and two writes, as for a submit."""
WHOLE_PROCESSOR_MB = 1_769
RUN_MS = 35_000
"""55 s of a run, less the 20 s that a question may last."""
MINUTE_MS = 60_000


class InMemory:
    """The table's client, for a million orders: items as text, and of each shard its entries in order."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self.due: dict[str, list[tuple[int, str]]] = {}

    def place(self, item: Item) -> None:
        """Write, whatever is there."""
        pk = item["pk"]["S"]
        if pk in self.items:
            old = json.loads(self.items[pk])
            if "due_pk" in old:
                entries = self.due[old["due_pk"]["S"]]
                del entries[bisect.bisect_left(entries, (int(old["due_at"]["N"]), pk))]
        self.items[pk] = json.dumps(item)
        if "due_pk" in item:
            bisect.insort(self.due.setdefault(item["due_pk"]["S"], []), (int(item["due_at"]["N"]), pk))

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """What a settle run does: conditional puts and queries of the index."""
        if operation == "query":
            return self._query(**arguments)
        if operation != "put_item":
            raise NotImplementedError(operation)
        item = arguments["Item"]
        old = json.loads(self.items[item["pk"]["S"]])
        if old["version"] != arguments["ExpressionAttributeValues"][":seen"]:
            failed: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": old}
            raise ClientError(failed, "PutItem")
        self.place(item)
        return {}

    def _query(self, **arguments: Any) -> Item:
        values = arguments["ExpressionAttributeValues"]
        entries = self.due.get(values[":pk"]["S"], [])
        first, last = 0, len(entries)
        if ":until" in values:
            last = bisect.bisect_left(entries, (int(values[":until"]["N"]) + 1, ""))
        if ":after" in values:
            first = bisect.bisect_left(entries, (int(values[":after"]["N"]) + 1, ""))
        if start := arguments.get("ExclusiveStartKey"):
            first = bisect.bisect_right(entries, (int(start["due_at"]["N"]), start["pk"]["S"]))
        limit = arguments["Limit"]
        if not arguments.get("ScanIndexForward", True):
            found = entries[max(first, last - limit) : last][::-1]
        else:
            found = entries[first : min(last, first + limit)]
        items = [json.loads(self.items[pk]) for _, pk in found]
        if not items or last - first <= limit:
            return {"Items": items}
        return {
            "Items": items,
            "LastEvaluatedKey": {name: items[-1][name] for name in ("pk", "sk", "due_pk", "due_at")},
        }


class SecretsManager:
    """One secret that was never rotated."""

    def call(self, operation: str, seconds: float, **arguments: Any) -> Item:
        """The current version."""
        return {"SecretString": json.dumps(SECRET)}


class Recovered:
    """The provider after its outage: it has executed every void. Each question moves the clock."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self.asked: Counter[str] = Counter()
        self._advance = advance

    def get_order(self, credentials: Credentials, order_id: str, deadline: Deadline) -> OrderView:
        """The hold and its void."""
        self.asked[order_id] += 1
        self._advance()
        fields = {"order_id": order_id, "currency": "UAH", "amount": 100, "pos_id": POS_ID, "status": "success"}
        shown = [read_operation(parse(json.dumps({**fields, "method": method, "operation_id": f"{order_id}-{method}"})))
                 for method in ("auth", "void")]  # fmt: skip
        return OrderView(tuple(each for each in shown if each is not None))


def rate(workers: int, memory: int) -> float:
    """Questions a second of one run: as many as its workers wait for, or as its share of a processor bears."""
    return min(workers * 1_000 / WAIT_MS, min(1.0, memory / WHOLE_PROCESSOR_MB) * 1_000 / CPU_MS)


def settle_all(voids: int, workers: int, memory: int) -> tuple[int, float]:
    """So many open voids until none is left: runs, and minutes. Raises AssertionError if one is asked about twice."""
    clock = [float(1_795_000_000_000)]
    began = clock[0]
    table = InMemory()
    step = 1_000 / rate(workers, memory)

    def advance() -> None:
        clock[0] += step

    ids = count()
    provider = Recovered(advance)
    systems: Any = Systems(
        Store(table, "voids"), Secret(SecretsManager(), "secret", lambda: clock[0] / 1_000), lambda: int(clock[0]),
        lambda: f"id-{next(ids)}", provider,  # type: ignore[arg-type]
    )  # fmt: skip
    for number in range(voids):
        _place(table, f"order-{number}", int(began) - 3_600_000 + number % 1_000)
    runs = 0
    while any(entries for entries in table.due.values()):
        clock[0] = max(clock[0], began + runs * MINUTE_MS)
        runs += 1
        # One at a time: the clock already moves as many workers would move it.
        run = settling.settle(systems, int(clock[0]) + RUN_MS, 1)
        assert run.failed == 0, run.errors
    assert set(provider.asked.values()) == {1}, "asked about twice"
    assert len(provider.asked) == voids, "not asked about"
    return runs, (clock[0] - began) / MINUTE_MS


def _place(table: InMemory, order_id: str, requested_at: int) -> None:
    void = claim(None, Request(order_id, "UAH", None, None, None), order_id, requested_at)
    order = Order(POS_ID, order_id, void._replace(state=State.UNKNOWN, due_at=requested_at + MINUTE_MS), version=1)
    assert partition(POS_ID, order_id) not in table.items
    table.place(write_order(order))


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.outage")
    options.add_argument("--voids", type=int, nargs="+", default=[100_000])
    options.add_argument("--workers", type=int, nargs="+", default=[8, 32, 64])
    options.add_argument("--memory", type=int, nargs="+", default=[512, WHOLE_PROCESSOR_MB], help="MB")
    chosen = options.parse_args()
    print("| open voids | `settle_workers` | memory, MB | questions a second | runs | until all are settled |")
    print("|--:|--:|--:|--:|--:|--:|")
    for voids in chosen.voids:
        for memory in chosen.memory:
            for workers in chosen.workers:
                runs, minutes = settle_all(voids, workers, memory)
                took = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
                print(
                    f"| {voids:,} | {workers} | {memory:,} | {rate(workers, memory):.0f} | {runs:,} | {took} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
