"""Paths on which a first wording of the rules did harm, through the real handlers: tests/vectors/paths.txt says how each ends."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import decide
import read_voids
import settle_voids
import submit_void
from payments import reviews
from payments.items import read_order, write_order
from payments.messages import OrderView
from payments.orders import opened_by
from payments.reviews import Reason
from payments.verdict import verdict
from receive_webhook import receive
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.unit.test_settle_voids import Remaining

VECTORS = Path(__file__).parents[2] / "vectors"
PATHS = {
    path.partition("\n")[0]: path.splitlines()[1:]
    for path in (VECTORS / "paths.txt").read_text("utf-8").strip().split("\n\n")[1:]
}
ANSWERS = {
    "lost": say.UNKNOWN, "refused": say.REFUSED, "404": say.NOT_FOUND,
    "throttled": say.THROTTLED, "credentials": say.CREDENTIALS,
}  # fmt: skip
RECORDED = VECTORS / "facts.json"
"""Items as these paths ended, at a release: `RECORD=1` writes those of today."""
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Truth(list[Any]):
    """What each query shows: the provider's list as it is then."""

    shown: OrderView | None = make.HELD

    def __bool__(self) -> bool:
        return True

    def pop(self, _: object = 0) -> OrderView | None:
        return self.shown


class Play:
    """The merchant, the operator, the schedule and the provider of one order."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.truth, self.answer, self.seen = scene, Truth(), dict[str, Any](), ""
        scene.provider.views = self.truth
        self.author = ""
        scene.table.on_write = self._written

    def _written(self, _: object, new: dict[str, Any]) -> None:
        if "settles" in new:
            self.author = new["settled_by"]["S"]

    def do(self, verb: str, *words: str) -> None:
        """One step."""
        if verb.startswith("+"):
            self.scene.wait(int(verb[1:-1]) * SECONDS[verb[-1]])
        elif verb.startswith("K"):
            self.claim(verb, *words)
        else:
            getattr(self, verb)(*words)

    def claim(self, key: str, answer: str) -> None:
        status, _, name = answer.partition("/")
        if status == "cut":
            self.scene.provider.refuses_connections()
        else:
            named = _fields("void", "" if name == "-" else name or f"o{key[1:]}", status)
            self.scene.provider.answers = [ANSWERS.get(status) or make.answer(**named)]
        body = json.dumps({"order_id": make.ORDER, "order_currency": "UAH"})
        self._call(submit_void, body, {"Idempotency-Key": key} if key != "K-" else {})

    def list(self, *rows: str) -> None:
        shown = [make.operation(**_fields(*row.split("/"))) for row in rows if "/" in row]
        whole: OrderView | None = make.view(*shown)
        self.truth.shown = {"404": make.ABSENT, "unanswered": None}.get(" ".join(rows), whole)

    def hook(self, row: str, *more: str) -> None:
        pairs = (each.partition("=") for each in more)
        said: dict[str, Any] = {name: None if value == "null" else value for name, _, value in pairs}
        receive(self.scene.storage, *make.signed(make.fields(**_fields(*row.split("/")), **said)))

    def read(self, **query: str) -> None:
        self._call(read_voids, None, {}, queryStringParameters=query or None)

    def refresh(self) -> None:
        self.scene.wait(6)
        self.read(refresh="true")

    def settle(self) -> None:
        settle_voids.handler({}, Remaining())
        self.read()

    def look(self) -> None:
        self.read()
        self.seen = self.answer["record"]["revision"]

    def decide(self, word: str) -> None:
        note = {"decision": word, "revision": self.seen, "note": "seen in the portal"}
        self._call(decide, json.dumps(note), {})

    def say(self, word: str) -> None:
        self.refresh()
        self.look()
        self.decide(word)

    def expire(self) -> None:
        self.scene.table.items.clear()

    def _call(self, function: Any, body: str | None, headers: dict[str, str], **more: Any) -> None:
        kind = {"Content-Type": "application/json", **headers}
        event = make.gateway_event(body, kind, pathParameters={"order_id": make.ORDER}, **more)
        answer = function.handler(event, None)
        document = json.loads(answer["body"])
        record = document.get("void", document)
        self.answer = {"answer": answer, "document": document, "record": record if "state" in record else {}}

    def _due(self) -> int | None:
        """The seconds until the next query."""
        items = list(self.scene.table.items.values())
        return (int(items[0]["due_at"]["N"]) - self.scene.at) // 1000 if items and "due_at" in items[0] else None

    def shows(self) -> set[str]:
        """All that can be asked of the last answer."""
        answer, document, record = (self.answer[each] for each in ("answer", "document", "record"))
        state, reason = record.get("state"), record.get("reason")
        headers, provider = answer["headers"], record.get("provider") or {}
        return {
            str(answer["statusCode"]), str(state), f"{state}/{reason}", f"reason={document.get('reason', reason)}",
            str(document.get("type", "")).removeprefix("urn:void-service:problem:"), f"by={self.author}",
            f"sent={len(self.scene.provider.sent)}", f"wait={headers.get('Retry-After')}",
            f"version={record.get('version')}", *(f"{name}={provider.get(field)}" for name, field in
              (("operation", "operation_id"), ("payment", "payment_id"), ("comment", "comment"))),
            f"webhooks={len(record.get('webhooks', ()))}", f"code={record.get('provider_code')}", f"due={self._due()}",
            f"said={(record.get('provider_message') or '').partition(' ')[0]}", f"lines={len(record.get('history', ()))}",
            *(each for each, true in (
                ("own", str(document.get("detail")).startswith("The attempt that this")), ("corrected", record.get("corrected")), ("resend", record.get("resend_allowed")),
                ("replayed", "Idempotency-Replayed" in headers)) if true),
            *(f"{'!' if each['read_at'] else '?'}{each['reason']}" for each in record.get("reviews", ())),
        }  # fmt: skip


def _fields(method: str, names: str, status: str) -> dict[str, Any]:
    """`void/o1+t1/failure:4150`: an operation's method, its operation_id and transaction_id, its status and code."""
    (name, _, transaction), (status, _, code) = names.partition("+"), status.partition(":")
    named = {"operation_id": name or None, "transaction_id": transaction or None}
    hold = {"payment_id": name} if method == "auth" else {}
    return {"method": method, "status": status, "status_code": code or "1009", **named, **hold}


@pytest.mark.parametrize(("name", "path"), PATHS.items(), ids=PATHS)
def test_each_path_ends_well(monkeypatch: pytest.MonkeyPatch, name: str, path: list[str]) -> None:
    scene = Scene()
    monkeypatch.setattr(submit_void, "systems_that_send", lambda: scene.systems)
    for module in (decide, read_voids, settle_voids):
        monkeypatch.setattr(module, "systems", lambda: scene.systems)
    monkeypatch.setattr(settle_voids, "now", lambda: scene.at)
    play = Play(scene)
    for line in path:
        step, _, wanted = line.partition("|")
        play.do(*step.split())
        for each in wanted.split():
            missing = each.startswith("-")
            assert (each.removeprefix("-") in play.shows()) is not missing, f"{line.strip()}: {sorted(play.shows())}"
    if "RECORD" in os.environ and scene.table.items:
        recorded = json.loads(RECORDED.read_text("utf-8")) | {name: scene.table.items.popitem()[1]}
        lines = (f"{json.dumps(each)}: {json.dumps(item, sort_keys=True)}" for each, item in recorded.items())
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
    order = read_order(item)
    assert write_order(order) == {each: value for each, value in item.items() if each != "settles"}
    if (found := verdict(order.facts)) is not None:
        opened = opened_by(order.facts, order.history, found)
        follow = set(reviews.follow(order.facts, found, opened, order.history[-1].at))
        assert follow <= {(each.reason, each.subject) for each in order.reviews}
