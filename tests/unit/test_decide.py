"""POST /v1/voids/{order_id}/decisions: bad requests, what may be decided when, repetitions, and who races an operator."""

import json
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest

import decide
import read_voids
import settle_voids
from answers import revision_of
from payments import evidence
from payments.facts import DAY_MS, Evidence, State, Word
from payments.messages import OrderView
from payments.orders import Order, Source
from payments.reviews import Reason, Review
from receive_webhook import receive
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.scene import Scene, operation, view
from tests.fakes.table import error
from tests.unit.conftest import Counted
from tests.unit.test_settle_voids import Remaining

NOTE = "seen in the provider's portal"
REVISION = "must be the `revision` of the record that was read"
WINDOW_SECONDS = 200
"""Longer than an attempt's POST may take to arrive."""


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The functions of an operator, a merchant who reads, and the schedule."""
    scene = Scene()
    for module in (decide, read_voids, settle_voids):
        monkeypatch.setattr(module, "systems", lambda: scene.systems)
    monkeypatch.setattr(settle_voids, "now", lambda: scene.at)
    return scene


def say(body: object, order: str = make.ORDER, by: str = "operator") -> dict[str, Any]:
    context = {"requestId": "request-1", "identity": {"userArn": f"arn:aws:sts::1:assumed-role/{by}/session"}}
    text = body if isinstance(body, str) else json.dumps(body)
    kind = {"Content-Type": "application/json"}
    event = make.gateway_event(text, kind, pathParameters={"order_id": order}, requestContext=context)
    return decide.handler(event, None)


def read(**query: str) -> dict[str, Any]:
    path = {"order_id": make.ORDER}
    answer = read_voids.handler(make.gateway_event(None, {}, pathParameters=path, queryStringParameters=query), None)
    document: dict[str, Any] = json.loads(answer["body"])
    return document


def word(scene: Scene, decision: str, **more: str) -> dict[str, Any]:
    """A decision about the record as it now is."""
    return {"decision": decision, "revision": revision_of(scene.order(), scene.at), "note": NOTE, **more}


def name_of(answer: dict[str, Any]) -> str:
    return str(json.loads(answer["body"]).get("type", "")).removeprefix("urn:void-service:problem:")


def open_order(scene: Scene, order: Order | None = None) -> None:
    """An order whose newest attempt can no longer arrive, and a provider that shows nothing new."""
    scene.put(order if order is not None else pipe.order_in(State.UNKNOWN))
    scene.wait(WINDOW_SECONDS)
    scene.provider.views = [None] * 20


# ---- bad requests ----------------------------------------------------------------------------------------------------

GOOD = {"decision": "not-voided", "revision": "0123456789abcdef", "note": NOTE}
BAD = [
    *(({"decision": bad}, "/decision", f"must be {', '.join(Word)}") for bad in ("", "void", "VOIDED", None, 1, list[str]())),
    *(({"revision": bad}, "/revision", REVISION) for bad in ("", "0123456789ABCDEF", "x" * 16, "1" * 15, "1" * 17, None, 7)),
    *(({"note": bad}, "/note", "must be text of 1 to 500 characters") for bad in ("", " \n", "x" * 501, None, 1, "\ud800")),
    *(({bad: "operator"}, f"/{bad}", "is not a field of this request") for bad in ("by", "order_id", "state")),
]  # fmt: skip


@pytest.mark.parametrize(("change", "pointer", "detail"), BAD)
def test_a_field_that_breaks_its_rule_is_named(
    scene: Scene, change: dict[str, object], pointer: str, detail: str
) -> None:
    answer = say({**GOOD, **change})
    assert (answer["statusCode"], name_of(answer)) == (400, "invalid-request")
    assert json.loads(answer["body"])["errors"] == [{"pointer": pointer, "detail": detail}]
    assert scene.table.calls == []


@pytest.mark.parametrize(
    ("body", "order", "status", "name"),
    [
        ("{", make.ORDER, 400, "invalid-request"),
        ("[]", make.ORDER, 400, "invalid-request"),
        ('{"note":"a","note":"b"}', make.ORDER, 400, "invalid-request"),
        (GOOD, "%2e%2e", 400, "invalid-request"),
        ({**GOOD, "note": "ї" * 4_100}, make.ORDER, 413, "too-large"),
        (GOOD, "nobody-knows", 404, "not-found"),
    ],
)
def test_what_is_no_decision_about_a_known_order(
    scene: Scene, body: object, order: str, status: int, name: str
) -> None:
    answer = say(body, order)
    assert (answer["statusCode"], name_of(answer), scene.provider.asked) == (status, name, [])


@pytest.mark.parametrize("length", [1, 500])
def test_the_edges_of_a_note_are_inside(scene: Scene, length: int) -> None:
    open_order(scene)
    assert say(word(scene, "voided", note="ї" * length))["statusCode"] == 200
    assert read()["decisions"][0]["note"] == "ї" * length


# ---- what may be decided -----------------------------------------------------------------------------------------------

REVIEWED = replace(pipe.order_in(State.VOIDED), reviews=(Review(Reason.SECOND_VOID, "order", 1),))
BESIDE_A_ROW = pipe.order_in(State.FAILED)
BESIDE_A_ROW = BESIDE_A_ROW.learnt(
    evidence.seen(BESIDE_A_ROW.facts, view(operation("pending", "reverse", "r")), make.START, BESIDE_A_ROW.facts),
    Source(Evidence.QUERY, make.START),
)
DECIDED: dict[str, tuple[Order, str, int, str, dict[str, object]]] = {
    "lost, not voided": (pipe.order_in(State.UNKNOWN), "not-voided", 200, "", {"state": "failed", "reason": "not-executed"}),
    "lost, voided": (pipe.order_in(State.UNKNOWN), "voided", 200, "", {"state": "voided", "provider": None}),
    "pending, not voided": (pipe.order_in(State.PENDING), "not-voided", 200, "",
                            {"state": "failed", "reason": "not-executed"}),
    "pending, voided": (pipe.order_in(State.PENDING), "voided", 200, "", {"state": "voided", "provider": None}),
    "refused, voided": (pipe.order_in(State.FAILED), "voided", 200, "", {"state": "voided", "reason": None}),
    "refused, not voided": (pipe.order_in(State.FAILED), "not-voided", 409, "nothing-to-decide", {"state": "failed"}),
    "refused beside a row": (BESIDE_A_ROW, "not-voided", 200, "", {"state": "failed", "reason": "refused"}),
    "voided, voided": (pipe.order_in(State.VOIDED), "voided", 409, "nothing-to-decide", {"state": "voided"}),
    "voided, not voided": (pipe.order_in(State.VOIDED), "not-voided", 409, "nothing-to-decide", {"state": "voided"}),
    "nothing unread": (pipe.order_in(State.VOIDED), "reviewed", 409, "nothing-to-decide", {"review": False}),
    "unread": (REVIEWED, "reviewed", 200, "", {"state": "voided", "review": False}),
}  # fmt: skip


@pytest.mark.parametrize(("order", "decision", "status", "name", "shown"), DECIDED.values(), ids=DECIDED)
def test_what_a_decision_does(
    scene: Scene, counted: Counted, order: Order, decision: str, status: int, name: str, shown: dict[str, object]
) -> None:
    open_order(scene, order)
    before = read()
    answer = say(word(scene, decision))
    document = json.loads(answer["body"])
    assert (answer["statusCode"], name_of(answer)) == (status, name)
    record = document.get("void", document)
    assert {key: record[key] for key in shown} == shown
    taken = [
        (each["by"], each["decision"], each["note"], each["state"], each["reason"]) for each in record["decisions"]
    ]
    operator = "arn:aws:sts::1:assumed-role/operator"
    assert taken == ([] if name else [(operator, decision, NOTE, before["state"], before["reason"])])
    assert (record["revision"] == before["revision"]) is bool(name)
    assert counted()["DecisionRefused" if name else "DecisionTaken"] == 1
    assert scene.provider.sent == [], "nothing but a query is sent"
    assert len(scene.provider.asked) == 1


def test_an_attempt_that_may_still_arrive_is_waited_for(scene: Scene) -> None:
    scene.put(pipe.order_in(State.UNKNOWN))
    scene.provider.views = [None] * 9
    answer = say(word(scene, "not-voided"))
    assert (answer["statusCode"], name_of(answer)) == (409, "in-progress")
    assert json.loads(answer["body"])["void"]["state"] == "unknown"
    scene.wait(int(answer["headers"]["Retry-After"]) - 1)
    again = say(word(scene, "not-voided"))
    assert again["headers"]["Retry-After"] == "1"
    scene.wait(1)
    assert say(word(scene, "not-voided"))["statusCode"] == 200


def test_a_review_may_be_read_at_any_time(scene: Scene) -> None:
    scene.put(replace(pipe.order_in(State.UNKNOWN), reviews=(Review(Reason.TOO_MANY_WEBHOOKS, "order", 1),)))
    scene.provider.views = [None]
    answer = json.loads(say(word(scene, "reviewed"))["body"])
    assert (answer["review"], answer["state"]) == (False, "unknown")


def test_the_newest_word_stands_and_the_providers_stands_above_it(scene: Scene) -> None:
    open_order(scene)
    states = [
        json.loads(say(word(scene, each))["body"])["state"] for each in ("voided", "not-voided", "voided", "not-voided")
    ]
    assert states == ["voided", "failed", "voided", "failed"]
    receive(scene.storage, *make.signed(make.fields()))
    record = read()
    assert (record["state"], record["corrected"], record["review"]) == ("voided", True, True)
    assert name_of(say(word(scene, "not-voided"))) == "nothing-to-decide"


# ---- about what was seen -----------------------------------------------------------------------------------------------


def test_a_record_that_is_another_one_is_not_decided_about(scene: Scene, counted: Counted) -> None:
    open_order(scene)
    seen = word(scene, "not-voided")
    receive(scene.storage, *make.signed(make.fields("pending")))
    answer = say(seen)
    assert (answer["statusCode"], name_of(answer)) == (409, "changed-meanwhile")
    assert json.loads(answer["body"])["void"]["state"] == "pending"
    assert (scene.provider.asked, counted()["DecisionRefused"]) == ([], 1)


def test_what_the_one_query_shows_comes_first(scene: Scene) -> None:
    open_order(scene)
    scene.provider.views = [view(operation())]
    answer = say(word(scene, "not-voided"))
    assert (name_of(answer), json.loads(answer["body"])["void"]["state"]) == ("changed-meanwhile", "voided")


@pytest.mark.parametrize("meanwhile", ["a success", "another decision"])
def test_what_is_written_between_the_query_and_the_decision_comes_first(scene: Scene, meanwhile: str) -> None:
    open_order(scene)
    seen = word(scene, "not-voided")

    def overtake() -> OrderView | None:
        if meanwhile == "a success":
            receive(scene.storage, *make.signed(make.fields()))
        else:
            scene.provider.views = [None, None]
            say(word(scene, "voided"), by="colleague")
        return None

    scene.provider.views = [overtake]
    assert name_of(say(seen)) == "changed-meanwhile"
    assert read()["state"] == "voided"


@pytest.mark.parametrize(
    "trouble",
    [
        lambda scene: scene.provider.views.insert(0, ZeroDivisionError("of somebody's text")),
        lambda scene: scene.secrets.stages.update(
            AWSCURRENT=json.dumps({**json.loads(scene.secrets.stages["AWSCURRENT"]), "api_key": "rotated"})
        ),
    ],
    ids=["a query that fails", "a rotation"],
)
def test_a_provider_that_does_not_answer_forbids_nothing(scene: Scene, trouble: Callable[[Scene], object]) -> None:
    open_order(scene)
    trouble(scene)
    assert say(word(scene, "not-voided"))["statusCode"] == 200


@pytest.mark.parametrize("status", ["pending", "success"])
def test_a_first_query_that_shows_the_same_changes_nothing_that_was_decided_about(scene: Scene, status: str) -> None:
    """Else the first decision about an order that was never queried would always be refused."""
    open_order(scene, pipe.order_in(State.PENDING if status == "pending" else State.VOIDED))
    scene.provider.views = [view(operation(status))]
    assert name_of(say(word(scene, "not-voided"))) == ("" if status == "pending" else "nothing-to-decide")


@pytest.mark.parametrize("state", [State.SUBMITTING, State.UNKNOWN])
def test_a_lease_that_ended_before_the_record_was_read_changes_nothing_either(scene: Scene, state: State) -> None:
    open_order(scene, pipe.order_in(state))
    assert read()["state"] == "unknown"
    assert say(word(scene, "not-voided"))["statusCode"] == 200


def test_neither_a_merchant_who_refreshes_nor_the_schedule_races_an_operator(scene: Scene) -> None:
    """Each 5 s a refresh, each minute a settle run; the operator needs 20 s from reading to deciding."""
    open_order(scene, pipe.order_in(State.PENDING))
    scene.provider.views = [view(operation("pending"))] * 2_000
    read(refresh="true")
    for decision in ("not-voided", "voided") * 10:
        seen = word(scene, decision)
        for step in range(4):
            scene.wait(5)
            read(refresh="true")
            if step == 2:
                settle_voids.handler({}, Remaining())
        asked = len(scene.provider.asked)
        assert say(seen)["statusCode"] == 200
        assert len(scene.provider.asked) == asked + 1
    assert len(scene.provider.asked) > 80, "they were refreshed and queried all the time"


# ---- repetitions, and what gets lost -------------------------------------------------------------------------------------


def test_the_same_decision_again_changes_nothing_and_shows_the_record_as_it_is(scene: Scene, counted: Counted) -> None:
    open_order(scene)
    decision = word(scene, "not-voided")
    assert "Idempotency-Replayed" not in say(decision)["headers"]
    receive(scene.storage, *make.signed(make.fields()))
    counted()
    version = scene.order().version
    again = say(decision)
    record = json.loads(again["body"])
    assert (again["statusCode"], again["headers"]["Idempotency-Replayed"]) == (200, "true")
    assert (record["state"], record["version"], len(record["decisions"])) == ("voided", version, 1)
    assert counted() == {}
    for change in ({"by": "colleague"}, {"note": "another"}, {"decision": "voided"}):
        other = {"decision": decision["decision"], "note": NOTE, "by": "operator"} | change
        by = other.pop("by")
        assert name_of(say({**other, "revision": decision["revision"]}, by=by)) == "changed-meanwhile"


def test_a_decision_makes_the_order_due_and_leaves_as_an_event(scene: Scene) -> None:
    open_order(scene)
    writes: list[dict[str, Any]] = []
    scene.table.on_write = lambda _, new: writes.append(new)
    say(word(scene, "voided"))
    assert scene.record().due_at == scene.at
    assert (writes[-1]["settles"], writes[-1]["settled_by"]) == ({"S": "void.settled"}, {"S": "operator"})
    assert "settles" not in writes[0], "a query settles nothing"


@pytest.mark.parametrize(
    ("at", "status", "name"), [(0, 503, "not-sent"), (1, 200, ""), (2, 500, "outcome-unknown")],
    ids=["the reading", "the query's lease", "the decision"],
)  # fmt: skip
def test_a_write_without_an_answer(scene: Scene, counted: Counted, at: int, status: int, name: str) -> None:
    open_order(scene)
    decision, count = word(scene, "not-voided"), 0

    def lose(call: str, _: object) -> None:
        nonlocal count
        if at == 0:
            raise error("InternalServerError", call)
        count += call == "put_item"
        if call == "put_item" and count == at:
            scene.table.lose_next_answer("put_item", repeated=False)

    scene.table.before = lose
    answer = say(decision)
    assert (answer["statusCode"], name_of(answer)) == (status, name)
    assert counted().get("StoreUnavailable", 0) == (at != 1)
    scene.table.before = lambda *_: None
    scene.wait(1)
    again = say(decision)
    assert (again["statusCode"], len(scene.order().facts.decisions)) == (200, 1)
    assert ("Idempotency-Replayed" in again["headers"]) is (at != 0)


def test_a_decision_is_logged_with_who_what_and_what_follows(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    open_order(scene)
    scene.wait(DAY_MS / 1000)
    say(word(scene, "not-voided", note="a-note-is-free-text"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = [line for line in lines if line.get("message") == "void decided"]
    names = ("order_id", "decision", "result", "replayed", "state", "reason")
    assert [line[each] for each in names] == ["123", "not-voided", "decided", False, "failed", "not-executed"]
    assert line["by"] == "arn:aws:sts::1:assumed-role/operator"
    assert "a-note-is-free-text" not in json.dumps(lines)
