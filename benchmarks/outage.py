"""How long settling takes after an outage: `python -m benchmarks.outage`, on a virtual clock.

    python -m benchmarks.outage [--quick] [--again]

Every void's answer was lost, and all are due when the provider answers again. The code that settles is the real one,
with its store and its records; table, provider, threads and processor are played, and nothing sleeps. Measures first
what a question costs the deployed asset, in processor time and memory (`--again`: takes those figures from the last
run), and writes a table into docs/performance.md. Fails if a void was asked about twice, or not at all.
"""

import argparse
import bisect
import gc
import heapq
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from copy import replace
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from botocore.exceptions import ClientError
from greenlet import getcurrent, greenlet

from benchmarks import units
from benchmarks.report import DOCUMENT, heading, into_document, line
from benchmarks.stub import SECRET, operation
from payments import items, settling
from payments.claims import claim
from payments.messages import OrderView, read_operation
from payments.outside import Deadline, Systems
from payments.record import Attempt, Order, Request, State
from payments.secret import Credentials, Secret
from payments.store import Store

HERE = Path(__file__).resolve().parent
MEASURED = HERE / "outage.json"
BEGIN, END = "<!-- python -m benchmarks.outage writes from here -->", "<!-- outage to here -->"
TABLE_MS, CONNECT_MS, ANSWER_MS = 8, 10, 200
"""As far away as `8/10/200` in the other benchmarks."""
START = 1_795_000_000_000
"""When the provider answers again, in milliseconds since 1970; the voids were requested two hours before."""
REQUESTED = START - 7_200_000
RUN_MS, RUN_EVERY_MS = 35_000, 60_000
"""A question begins in the first 35 of a run's 55 seconds; a run begins each minute."""
WHOLE_PROCESSOR_MB = 1_769
INDEX_UNITS_PER_KEY = 1_000
WORKERS = (8, 32, 64)
CASES = {100_000: ((8, 1), (32, 1), (64, 1), (8, 4), (64, 4)), 1_000_000: ((64, 1),)}
"""Voids: workers, and the runs that begin at the same moment. A million takes a quarter of an hour to simulate."""
TABLE = units.Table(("pk", "sk"), (units.Index("due", ("due_pk", "due_at")), units.Index("review", ("review_pk",))))


@dataclass(frozen=True)
class Question:
    """What the deployed asset uses for one question, with the lease before it and the outcome after it."""

    day: str
    memory_mb: int
    cpu_ms: float
    """On a whole processor."""
    mib: dict[str, float]
    """The function's resident memory after a run, by its number of workers."""


class Clock:
    """Virtual time: whoever waits gives way to the one whose moment comes first."""

    def __init__(self) -> None:
        self.now, self._waiting, self._count = START, list[tuple[int, int, greenlet]](), 0
        self._hub = getcurrent()

    def wait(self, until: int) -> None:
        """Go on at this moment (ms)."""
        self._at(until, getcurrent())
        self._hub.switch()

    def start(self, work: Callable[[], None], at: int) -> None:
        """Let something begin at this moment."""
        self._at(at, greenlet(work, self._hub))

    def run(self) -> None:
        """Until nothing waits any more."""
        while self._waiting:
            self.now, _, next_one = heapq.heappop(self._waiting)
            next_one.switch()

    def park(self) -> None:
        """Wait for somebody's `wake`."""
        self._hub.switch()

    def wake(self, parked: greenlet) -> None:
        """Let a parked one go on now."""
        self._at(self.now, parked)

    def _at(self, at: int, who: greenlet) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (at, self._count, who))


class Workers:
    """In the place of `settling`'s pool of threads."""

    def __init__(self, clock: Clock, workers: int) -> None:
        self.clock, self.workers = clock, workers

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def map[One, Other](self, work: Callable[[One], Other], given: Iterable[One]) -> list[Other]:
        """As the pool's, but for being done when it returns."""
        todo = list(enumerate(given))[::-1]
        found: dict[int, Other] = {}
        wanted, caller = len(todo), getcurrent()

        def worker() -> None:
            while todo:
                number, one = todo.pop()
                found[number] = work(one)
            if len(found) == wanted and not caller.dead:
                done.append(None)
                if len(done) == 1:
                    self.clock.wake(caller)

        done: list[None] = []
        for _ in range(min(self.workers, wanted)):
            self.clock.start(worker, self.clock.now)
        if wanted:
            self.clock.park()
        return [found[number] for number in range(wanted)]


class DueTable:
    """The open orders and their index; an item is made when it is first read, and kept a while once it is settled."""

    KEPT = 50_000

    def __init__(self, clock: Clock, voids: int) -> None:
        self.clock, self.template = clock, items.write_order(unknown("order-0"))
        self.items: dict[str, items.Item] = {}
        self.settled: dict[str, items.Item] = {}
        self.shards: dict[str, list[tuple[int, str]]] = {shard: [] for shard in items.shards(items.DUE)}
        self.work: Counter[str] = Counter()
        self.units: dict[str, dict[str, int]] = {}
        """Of a lease and of an outcome, by what they count for."""
        self.index_units: Counter[tuple[str, int]] = Counter()
        """Write units of each shard in each second."""
        self.left = voids
        for number in range(voids):
            pk = items.partition(SECRET["pos_id"], f"order-{number}")
            self.shards[f"{items.DUE}#{items.shard_of(pk)}"].append((START - voids + number, pk))

    def call(self, operation_name: str, seconds: float, **arguments: Any) -> dict[str, Any]:
        """One call of the SDK."""
        self.clock.wait(self.clock.now + TABLE_MS)
        self.work[operation_name] += 1
        answer: dict[str, Any] = getattr(self, f"_{operation_name}")(**arguments)
        return answer

    def _query(
        self,
        *,
        ExpressionAttributeValues: items.Item,
        Limit: int,
        ExclusiveStartKey: items.Item | None = None,
        ScanIndexForward: bool = True,
        **_: object,
    ) -> dict[str, Any]:
        values = ExpressionAttributeValues
        entries = self.shards.get(values[":pk"]["S"], [])
        first, last = 0, len(entries)
        if ":until" in values:
            last = bisect.bisect_right(entries, (int(values[":until"]["N"]), "\U0010ffff"))
        if ":after" in values:
            first = bisect.bisect_right(entries, (int(values[":after"]["N"]), "\U0010ffff"))
        if ExclusiveStartKey is not None:
            key = (int(ExclusiveStartKey["due_at"]["N"]), ExclusiveStartKey["pk"]["S"])
            first = max(first, bisect.bisect_right(entries, key))
        if not ScanIndexForward:
            first = max(first, last - Limit)
        found = [self.item(at, pk) for at, pk in entries[first : min(first + Limit, last)]]
        if first + Limit >= last:
            return {"Items": found}
        return {
            "Items": found,
            "LastEvaluatedKey": {name: found[-1][name] for name in ("pk", "sk", "due_pk", "due_at")},
        }

    def _put_item(self, *, Item: items.Item, ExpressionAttributeValues: items.Item, **_: object) -> dict[str, Any]:
        pk = Item["pk"]["S"]
        old = self.items.get(pk) or self.settled[pk]
        if old["version"] != ExpressionAttributeValues[":seen"]:
            self.work["refused"] += 1
            self.work["write units"] += units.write_units(TABLE, old, old)["table"]
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}, "Item": old}, "PutItem")  # type: ignore[typeddict-unknown-key]
        kind = "lease" if "due_pk" in Item else "outcome"
        if kind not in self.units:  # the orders are as large as each other
            self.units[kind] = units.write_units(TABLE, old, Item)
        self.work["write units"] += sum(self.units[kind].values())
        self.index_units[old["due_pk"]["S"], self.clock.now // 1000] += self.units[kind]["due"]
        entries = self.shards[old["due_pk"]["S"]]
        del entries[bisect.bisect_left(entries, (int(old["due_at"]["N"]), pk))]
        if "due_pk" in Item:
            bisect.insort(entries, (int(Item["due_at"]["N"]), pk))
            self.items[pk] = Item
            return {}
        self.left -= 1
        del self.items[pk]
        self.settled[pk] = Item
        if len(self.settled) > self.KEPT:
            del self.settled[next(iter(self.settled))]
        return {}

    def item(self, at: int, pk: str) -> items.Item:
        """An order as it stands."""
        if pk not in self.items:
            order_id = pk.partition("#")[2]
            self.items[pk] = {
                **self.template,
                **items.key(SECRET["pos_id"], order_id),
                "order_id": {"S": order_id},
                "order_id_quoted": {"S": order_id},
                "due_pk": {"S": f"{items.DUE}#{items.shard_of(pk)}"},
                "due_at": items.number(at),
            }
        return self.items[pk]


class Answering:
    """The provider, for one run: every void was executed. Each question takes the run's processor for its while."""

    def __init__(
        self, clock: Clock, cpu_ms: float, asked: Counter[str], asking: set[str], each_second: Counter[int]
    ) -> None:
        self.clock, self.cpu_ms, self.asked, self.asking, self.each_second = clock, cpu_ms, asked, asking, each_second
        self.free_at = 0.0
        self.executed = read_operation(operation("order-0", "UAH"))

    def get_order(self, _credentials: Credentials, order_id: str, _deadline: Deadline) -> OrderView:
        """Answer one question."""
        if order_id in self.asking or self.executed is None:
            raise SystemExit(f"{order_id} is asked about twice at the same time")
        self.asking.add(order_id)
        self.asked[order_id] += 1
        self.free_at = max(self.free_at, self.clock.now) + self.cpu_ms
        self.clock.wait(round(self.free_at) + CONNECT_MS)
        self.each_second[self.clock.now // 1000] += 1
        self.clock.wait(self.clock.now + ANSWER_MS)
        self.asking.remove(order_id)
        fields = {**self.executed.fields, "order_id": order_id}
        return OrderView((replace(self.executed, order_id=order_id, fields=fields),))


class SecretsManager:
    """The one secret."""

    def call(self, operation: str, seconds: float, **arguments: Any) -> dict[str, Any]:
        """One call of the SDK."""
        return {"SecretString": json.dumps(SECRET), "VersionStages": ["AWSCURRENT"]}


def unknown(order_id: str) -> Order:
    """An order whose void's answer was lost long before the clock begins."""
    request = Request(order_id, "UAH", "benchmark", f"release-{order_id}", "arn:aws:iam::123456789012:role/shop")
    void = claim(None, request, "0" * 32, REQUESTED)
    assert isinstance(void.attempt, Attempt)
    return Order(
        SECRET["pos_id"], order_id, replace(void, state=State.UNKNOWN, due_at=START), version=2, write_id="0" * 32
    )


@dataclass(frozen=True)
class Outcome:
    """What one simulation showed."""

    voids: int
    workers: int
    at_once: int
    minutes: float
    most_questions: int
    """In one second, at the provider."""
    write_units: int
    most_index_units: int
    """In one second, on one key."""
    refused: int


def simulate(voids: int, workers: int, at_once: int, cpu_ms: float) -> Outcome:
    """Settle all of them: so many runs begin each minute, at the same moment."""
    clock = Clock()
    table = DueTable(clock, voids)
    asked, asking, each_second = Counter[str](), set[str](), Counter[int]()
    ids = iter(range(10**9))
    ended = START

    def run() -> None:
        nonlocal ended
        provider = Answering(clock, cpu_ms, asked, asking, each_second)
        secret = Secret(SecretsManager(), "void-service", lambda: clock.now / 1000, lambda: None)
        systems = Systems(Store(table, "voids"), secret, lambda: clock.now, lambda: str(next(ids)), provider)  # type: ignore[arg-type]
        report = settling.settle(systems, clock.now + RUN_MS, workers)
        if report.failed or report.errors:
            raise SystemExit(f"a run failed: {report.failed}, {report.errors[:1]}")
        ended = clock.now

    def each_minute() -> None:
        while table.left:
            for _ in range(at_once):
                clock.start(run, clock.now)
            clock.wait(clock.now + RUN_EVERY_MS)

    def pool(workers: int, thread_name_prefix: str) -> Workers:
        return Workers(clock, workers)

    with mock.patch.object(settling, "ThreadPoolExecutor", pool):
        clock.start(each_minute, START)
        clock.run()
    if len(asked) != voids or set(asked.values()) != {1}:
        raise SystemExit(f"{len(asked)} of {voids} were asked about, {asked.most_common(1)}")
    return Outcome(
        voids, workers, at_once, (ended - START) / 60_000, max(each_second.values()), table.work["write units"],
        max(table.index_units.values()), table.work["refused"],
    )  # fmt: skip


# ---- what a question costs the asset ---------------------------------------------------------------------------------


def measure_question() -> Question:
    """Let the deployed function settle pages of voids at the stubs, which find the same ones again in each query."""
    from benchmarks import consumption, measure, subjects
    from benchmarks.__main__ import use_node_of_pypi
    from infra.synth import synthesise

    use_node_of_pypi()
    ours = subjects.prepare()["ours"]
    (subjects.CACHE / "cost").mkdir(exist_ok=True)
    templates = json.loads(synthesise("prod", subjects.CACHE / "cost").read_text(encoding="utf-8"))
    page = [items.write_order(unknown(f"order-{number}")) for number in range(settling.PAGE)]
    reads = json.dumps({"Query": json.dumps({"Items": page, "Count": len(page)})})
    # A page of each shard, of what is open and of what is looked at again.
    questions = 2 * len(items.shards(items.DUE)) * len(page)
    mib, spent = {}, []
    with measure.stubs(f"--provider-ms={ANSWER_MS}", f"--aws-ms={TABLE_MS}", f"--reads={reads}") as running:
        for workers in WORKERS:
            measure.say(f"{questions} questions, {workers} at once")
            with_workers = replace(ours, environment={**ours.environment, "SETTLE_WORKERS": str(workers)})
            process = measure.Process(with_workers, "settle", running.ports)
            process.ask("cold", 1)
            running.ask("reset")
            answer = process.ask("warm", 1)
            process.end()
            if running.ask("counts").get("provider") != questions:
                raise SystemExit(f"not {questions} questions: {running.ask('counts')}")
            mib[str(workers)] = round(answer["rss"] / 1024, 1)
            spent.append(answer["spent"][0] / 1e6 / questions)
    memory = consumption.memory_of(templates)["settle_voids"]
    return Question(time.strftime("%Y-%m-%d"), memory, round(min(spent), 2), mib)


# ---- the document ----------------------------------------------------------------------------------------------------


def table_of(question: Question, outcomes: list[Outcome]) -> str:
    """The generated part of docs/performance.md."""
    memory = ", ".join(f"{mib:.0f} MiB with {workers}" for workers, mib in question.mib.items())
    head = [
        f"Measured {question.day}: a question with its two writes takes {question.cpu_ms:.1f} ms of a whole processor;",
        f"the function has {question.memory_mb:,} MB and holds {memory} workers.",
        "",
    ]
    columns = [
        "workers", "runs at once", "all settled after, minutes", "voids a second",
        "most questions in a second", "most write units in a second on one key of `due`", "write units for each void",
        "leases refused",
    ]  # fmt: skip
    lines = [heading("unknown voids", columns)]
    for each in outcomes:
        cells = [
            f"{each.workers}", f"{each.at_once}", f"{each.minutes:,.0f}", f"{each.voids / each.minutes / 60:,.0f}",
            f"{each.most_questions:,}", f"{each.most_index_units:,}", f"{each.write_units / each.voids:.1f}",
            f"{each.refused:,}",
        ]  # fmt: skip
        lines.append(line(f"{each.voids:,}", cells))
    return "\n".join([*head, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the voids, printed only")
    parser.add_argument("--again", action="store_true", help="what a question costs is taken from the last run")
    options = parser.parse_args()
    if not options.again:
        MEASURED.write_text(json.dumps(asdict(measure_question()), indent=2) + "\n", encoding="utf-8")
    question = Question(**json.loads(MEASURED.read_text(encoding="utf-8")))
    cpu_ms = question.cpu_ms * max(1.0, WHOLE_PROCESSOR_MB / question.memory_mb)
    outcomes = []
    gc.disable()  # nothing here is a cycle, and a million orders would be looked at again and again
    for voids, cases in CASES.items():
        for workers, at_once in cases:
            sys.stderr.write(f"{voids:,} voids, {workers} workers, {at_once} runs at once\n")
            outcomes.append(simulate(voids // 100 if options.quick else voids, workers, at_once, cpu_ms))
    text = table_of(question, outcomes)
    if not options.quick:
        into_document(DOCUMENT, BEGIN, END, text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
