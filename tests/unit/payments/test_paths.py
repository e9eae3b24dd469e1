"""Paths on which a first wording of the rules did harm, and each end that a caller may meet, through the real handlers.

tests/vectors/paths.txt says how each ends.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jmespath
import pytest

import decide
import read_voids
import receive_webhook
import settle_voids
import submit_void
from payments import reviews
from payments.connection import NotConnected
from payments.facts import DAY_MS
from payments.items import SETTLES, read_order, write_order
from payments.messages import OrderView
from payments.orders import opened_by
from payments.reviews import Reason
from payments.verdict import verdict
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.fakes.table import error, plain, with_facts
from tests.unit.conftest import Counted, breaches

VECTORS = Path(__file__).parents[2] / "vectors"
PATHS = {
    path.partition("\n")[0]: path.splitlines()[1:]
    for path in (VECTORS / "paths.txt").read_text("utf-8").strip().split("\n\n")[1:]
}
ANSWERS = {
    "lost": say.UNKNOWN, "refused": say.REFUSED, "404": say.NOT_FOUND, "throttled": say.THROTTLED,
    "credentials": say.CREDENTIALS, "cut": NotConnected("ConnectTimeoutError"), "crash": KeyError("a-secret-text"),
}  # fmt: skip
LISTS = {"404": make.ABSENT, "unanswered": None, "crash": KeyError("a-secret-text")}
RECORDED = VECTORS / "facts.json"
"""Items as these paths ended, at a release: `RECORD=1` writes those of today."""
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
DETAILS = {
    "own": "The attempt that this", "new-key": "new Idempotency-Key", "refund": "refund", "operator": "operator has been notified",
    "no-table": "The table was out of reach or unusable. ", "no-secret": "The secret was out of reach or unusable. ",
    "repeat": "The same request may be repeated.", "repeat-decision": "Nothing was decided; the same decision may be repeated.",
    "not-stored": "The message was not stored.", "both-safe": "Repeat the same request or read the void; both are safe.",
}  # fmt: skip


class Play:
    """The merchant, the operator, the schedule and the provider of one order, and what fails around them."""

    def __init__(self, scene: Scene, counted: Counted) -> None:
        self.scene, self.counted, self.answer, self.seen = scene, counted, dict[str, Any](), ""
        self.shown: OrderView | Exception | None = make.HELD
        scene.provider.views = [self._view]
        self.events, self.asked, self.slow, self.losing = 0, 0, 0, 0
        self.then, self.broken, self.run, self.minutes = dict[str, str](), set[str](), dict[str, int](), list[str]()
        scene.table.on_write, scene.table.before = self._written, self._before

    def _written(self, _: object, new: dict[str, Any]) -> None:
        self.events += new.get("settles") == {"S": SETTLES}

    def _view(self) -> OrderView | Exception | None:
        """What each query shows: the provider's list as it is then."""
        self.scene.provider.views.append(self._view)
        self.happen("ask")
        return self.shown

    def _before(self, call: str, _: object) -> None:
        self.scene.wait(self.slow)
        if self.broken & {call, "table"}:
            raise error("InternalServerError", call)
        self.losing -= call == "put_item"
        if call == "put_item" and self.losing == 0:
            self.scene.table.lose_next_answer(call, repeated=False)
        self.happen(call)

    def happen(self, moment: str) -> None:
        for step in filter(None, self.then.pop(moment, "").split("; ")):
            self.play(step)

    def play(self, line: str) -> None:
        """One step, and what it must show; `on send …` and `on put_item …`: once, at that moment of a later one."""
        if (announced := re.match(r"\s*on (\w+) (.*)", line)) is not None:
            self.then[announced[1]] = announced[2]
            return
        step, _, wanted = line.partition("|")
        self.asked, self.events = len(self.scene.provider.asked), 0
        self.scene.table.calls.clear()
        times, *words = re.sub(r"^\s*(?:(\d+)x )?", lambda found: f"{found[1] or 1} ", step).split()
        for _ in range(int(times)):
            self.do(*words)
        shown = self.shows() if wanted else set()
        assert not wanted or breaches(self.answer["document"]) == [], line
        told = ((each, *each[1:].split("=", 1)) for each in wanted.split() if each[0] == ".")
        shown |= {each for each, at, text in told if jmespath.search(at, self.answer["record"]) == json.loads(text)}
        for each in wanted.split():
            missing = each.startswith("-")
            assert (each.removeprefix("-") in shown) is not missing, f"{line.strip()}: {sorted(shown)}"

    def do(self, verb: str, *words: str) -> None:
        if verb.startswith("+"):
            self.scene.wait(int(verb[1:-1]) * SECONDS[verb[-1]])
        elif verb.startswith("K"):
            self.claim(verb, *words)
        else:
            getattr(self, verb)(*words)

    def claim(self, key: str, said: str, *more: str) -> None:
        status, _, name = said.partition("/")
        named = _fields("void", "" if name == "-" else name or f"o{key[1:]}", status)
        body = {"order_id": make.ORDER, "order_currency": "UAH", **_pairs(more)}
        answer: Any = ANSWERS.get(status) or make.answer(**named, currency=body.pop("currency", "UAH"))

        def arrived() -> Any:
            self.happen("send")
            return answer

        self.scene.provider.answers = [arrived]
        self._call(submit_void, json.dumps(body), {"Idempotency-Key": key} if key != "K-" else {})

    def list(self, *rows: str) -> None:
        pairs = _pairs(each for each in rows if "=" in each)
        shown = [make.operation(**_fields(*row.split("/")) | pairs) for row in rows if "/" in row]
        self.shown = LISTS.get(" ".join(rows), make.view(*shown, hold="bare" not in rows, partial="one" in rows))

    def hook(self, row: str, *more: str) -> None:
        event = make.webhook_event(*make.signed(make.fields(**_fields(*row.split("/")) | _pairs(more))))
        self._say(receive_webhook.handler(event, None))

    def flood(self, number: str) -> None:
        for each in range(int(number)):
            self.hook("auth/h/pending", f"comment={each}")

    def read(self, *query: str) -> None:
        self._call(read_voids, None, {}, queryStringParameters=_pairs(query) or None)

    def refresh(self) -> None:
        self.scene.wait(6)
        self.read("refresh=true")

    def settle(self) -> None:
        self.run = settle_voids.handler({}, make.time_left())
        self.read()

    def watch(self, days: str) -> None:
        """A run whenever the order is due, for so many days; the minutes of each since the beginning."""
        self.minutes, ends = list[str](), make.START + int(days) * DAY_MS
        while len(self.minutes) < 500 and (due := self._due()) is not None and self.scene.at + due * 1000 < ends:
            self.scene.wait(max(due, 0))
            self.minutes.append(str((self.scene.at - make.START) // 60_000))
            self.settle()

    def look(self) -> None:
        self.read()
        self.seen = self.answer["record"]["revision"]

    def decide(self, word: str, by: str = "operator", note: str = "seen in the portal") -> None:
        wanted = {"decision": word, "revision": self.seen, "note": note}
        arn = f"arn:aws:sts::1:assumed-role/{by}/session"
        context = {"requestId": "request-1", "identity": {"userArn": arn}}
        self._call(decide, json.dumps(wanted), {}, requestContext=context)

    def say(self, word: str) -> None:
        self.refresh()
        self.look()
        self.decide(word)

    def expire(self) -> None:
        self.scene.table.items.clear()

    def rotate(self, *changes: str) -> None:
        self.scene.secrets.rotate(**_pairs(changes))

    def secret(self, trouble: str) -> None:
        """Out of reach, or not filled."""
        self.scene.secrets.out_of_reach() if trouble == "out" else self.scene.secrets.stages.clear()

    def fail(self, call: str) -> None:
        """From now on: one call of the table, or the whole `table`."""
        self.broken.add(call)

    def lose(self, number: str) -> None:
        """The answer to a write that is made, for good: to the next one (1), or a later one."""
        self.losing = int(number)

    def slow_down(self, seconds: str) -> None:
        self.slow = int(seconds)

    def mend(self) -> None:
        self.broken.clear()

    def _call(self, function: Any, body: str | None, headers: dict[str, str], **more: Any) -> None:
        kind = {"Content-Type": "application/json", **headers}
        event = make.gateway_event(body, kind, pathParameters={"order_id": make.ORDER}, **more)
        self._say(function.handler(event, None))

    def _say(self, answer: dict[str, Any]) -> None:
        document = json.loads(answer["body"] or "{}")
        record = document.get("void", document)
        self.answer = {"answer": answer, "document": document, "record": record if "state" in record else {}}

    def _due(self) -> int | None:
        """The seconds until the next query."""
        due = self._stored("due_at", "N")
        return (int(due) - self.scene.at) // 1000 if due is not None else None

    def _stored(self, name: str, kind: str = "S") -> Any:
        """What stands in the item."""
        return next((each[name][kind] for each in self.scene.table.items.values() if name in each), None)

    def _calls(self) -> dict[str, object]:
        """What was done with the outside in this step, or in all (`sent`, `fetched`)."""
        provider, calls = self.scene.provider, [name for name, _ in self.scene.table.calls if name != "query"]
        return {
            "sent": len(provider.sent), "asked": len(provider.asked) - self.asked, "events": self.events,
            "fetched": len(self.scene.secrets.calls), "calls": "+".join(calls), "due": self._due(), **self.run,
            "minutes": "+".join(self.minutes), "runs": len(self.minutes), "event": self._stored("event_id"),
            "given": "".join(f"{seconds:g}" for *_, seconds in provider.asked[-1:]), "by": self._stored("settled_by"),
        }  # fmt: skip

    def shows(self) -> set[str]:
        """All that can be asked of the last answer."""
        answer, document, record = (self.answer[each] for each in ("answer", "document", "record"))
        state, reason, decisions = record.get("state"), record.get("reason"), record.get("decisions", ())
        headers, provider, detail = answer["headers"], record.get("provider") or {}, str(document.get("detail"))
        newest = [str(decisions[-1][each]) for each in ("decision", "state", "reason", "by")] if decisions else []
        named = self._calls() | {
            "reason": document.get("reason", reason), "wait": headers.get("Retry-After"), "code": record.get("provider_code"),
            "said": (record.get("provider_message") or "").partition(" ")[0], "lines": len(record.get("history", ())),
            "decision": "/".join(newest).replace("arn:aws:sts::1:assumed-role/", ""),
            **{name: record.get(name) for name in ("version", "attempt")},
            **{name.removesuffix("_id"): provider.get(name) for name in ("operation_id", "payment_id", "comment")},
            **{name: len(record.get(name, ())) for name in ("webhooks", "decisions", "attempts")},
            **{name: (record.get(name) or "T").partition("T")[2][:8] for name in ("settled_at", "requested_at")},
        }  # fmt: skip
        true = {name: detail.count(text) == 1 for name, text in DETAILS.items()} | {
            "corrected": record.get("corrected"), "resend": record.get("resend_allowed"), "seen": record.get("revision") == self.seen,
            "replayed": headers.get("Idempotency-Replayed") == "true", "truncated": document.get("webhooks_truncated"),
            "located": headers.get("Location") == f"/v1/voids/{make.ORDER}",
        }  # fmt: skip
        counts = ",".join(name if n == 1 else f"{name}:{n:g}" for name, n in sorted(self.counted().items()))
        reviews = {f"{'!' if each['read_at'] else '?'}{each['reason']}" for each in record.get("reviews", ())}
        problem = str(document.get("type", "")).rpartition(":")[2]
        told = {str(answer["statusCode"]), str(state), f"{state}/{reason}", problem, f"[{counts}]"} | reviews
        return told | {f"{name}={value}" for name, value in named.items()} | {each for each in true if true[each]}


def _pairs(words: Iterable[str]) -> dict[str, Any]:
    """`currency=EUR amount=null`"""
    return {name: None if value == "null" else value for name, _, value in (each.partition("=") for each in words)}


def _fields(method: str, names: str, status: str) -> dict[str, Any]:
    """`void/o1+t1/failure:4150`: an operation's method, its operation_id and transaction_id, its status and code."""
    (name, _, transaction), (status, _, code) = names.partition("+"), status.partition(":")
    named = {"operation_id": name or None, "transaction_id": transaction or None}
    hold = {"payment_id": name} if method == "auth" else {}
    return {"method": method, "status": status, "status_code": code or "1009", **named, **hold}


@pytest.mark.parametrize(("name", "path"), PATHS.items(), ids=PATHS)
def test_each_path_ends_well(scene: Scene, counted: Counted, name: str, path: list[str]) -> None:
    play = Play(scene, counted)
    for line in path:
        counted()  # what an earlier step has counted
        play.play(line)
    assert not play.then, "each step that was announced has been made"
    assert all(connection.closed for connection in scene.provider.connections)
    if "RECORD" in os.environ and scene.table.items:
        recorded = json.loads(RECORDED.read_text("utf-8")) | {name: plain(scene.table.items.popitem()[1])}
        lines = [f"{json.dumps(each)}: {json.dumps(item, sort_keys=True)}" for each, item in recorded.items()]
        RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def test_what_a_path_must_not_show_another_shows() -> None:
    """Else a slip of the pen in what must not be shown would be noticed by nobody."""
    wanted = {each for path in PATHS.values() for line in path for each in line.partition("|")[2].split()}
    shown = {each for each in wanted if each[0] not in "-?!"} | {
        f"{mark}{reason}" for mark in "?!" for reason in Reason
    }
    assert {each.removeprefix("-") for each in wanted} <= shown


@pytest.mark.parametrize(("name", "item"), json.loads(RECORDED.read_text("utf-8")).items())
def test_what_follows_from_recorded_facts_stays(name: str, item: dict[str, Any]) -> None:
    """A release that concludes otherwise changes what was said of last year's orders: a line of CHANGELOG for each."""
    order = read_order(with_facts(item, item["facts"]["B"]))
    assert plain(write_order(order)) == {each: value for each, value in item.items() if each != "settles"}
    if (found := verdict(order.facts)) is not None:
        opened = opened_by(order.facts, order.history, found)
        follow = set(reviews.follow(order.facts, found, opened, order.history[-1].at))
        assert follow <= {(each.reason, each.subject) for each in order.reviews}
