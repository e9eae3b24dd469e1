"""POST /v1/voids/{order_id}/decisions: bad requests and the log; tests/vectors/paths.txt has what a decision does."""

import json
from typing import Any

import pytest

import decide
from answers import revision_of
from payments.facts import DAY_MS, State, Word
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.unit.conftest import Said, said

REVISION, NOTE = "must be the `revision` of the record that was read", "must be text of 1 to 500 characters"
GOOD = {"decision": "not-voided", "revision": "0123456789abcdef", "note": "seen in the provider's portal"}


def say(body: object, order: str = make.ORDER) -> Said:
    text = body if isinstance(body, str) else json.dumps(body)
    kind = {"Content-Type": "application/json"}
    return said(decide.handler(make.gateway_event(text, kind, pathParameters={"order_id": order}), None))


WRONG: list[tuple[object, str, int, str, list[tuple[str, str]]]] = [
    *(({**GOOD, name: bad}, make.ORDER, 400, "invalid-request", [(f"/{name}", detail)]) for name, detail, values in (
        ("decision", f"must be {', '.join(Word)}", ("", "void", "VOIDED", None, 1, list[str]())),
        ("revision", REVISION, ("", "0123456789ABCDEF", "x" * 16, "1" * 15, "1" * 17, None, 7)),
        ("note", NOTE, ("", " \n", "x" * 501, None, 1, "\ud800")),
        *((name, "is not a field of this request", ("operator",)) for name in ("by", "order_id", "state"))) for bad in values),
    *((body, make.ORDER, 400, "invalid-request", []) for body in ("{", '{"note":"a","note":"b"}')),
    ("[]", make.ORDER, 400, "invalid-request", [("", "must be an object")]),
    (GOOD, "%2e%2e", 400, "invalid-request", [("/order_id", "must be text of 1 to 32 characters, and not '.', '..' or '0'")]),
    ({**GOOD, "note": "ї" * 4_100}, make.ORDER, 413, "too-large", []),
    (GOOD, "nobody-knows", 404, "not-found", []),
]  # fmt: skip


@pytest.mark.parametrize(("body", "order", "status", "name", "errors"), WRONG)
def test_what_is_no_decision_about_a_known_order(
    scene: Scene, body: object, order: str, status: int, name: str, errors: list[tuple[str, str]]
) -> None:
    answer = say(body, order)
    broken = [(each["pointer"], each["detail"]) for each in answer.document.get("errors", [])]
    assert (answer.status, answer.problem, broken, scene.provider.asked) == (status, name, errors, [])
    assert (scene.table.calls == [], answer.document.get("order_id")) == (
        (False, order) if status == 404 else (True, None)
    )


@pytest.mark.parametrize("note", ["ї", "ї" * 500], ids=["a letter", "as long as allowed"])
def test_a_decision_is_logged_with_who_what_and_what_follows(
    scene: Scene, capsys: pytest.CaptureFixture[str], note: str
) -> None:
    scene.put(pipe.order_in(State.UNKNOWN))
    scene.wait(DAY_MS / 1000)
    scene.provider.views = [None]
    answer = say({"decision": "not-voided", "revision": revision_of(scene.order(), scene.at), "note": note})
    assert answer.document["decisions"][0]["note"] == note
    out = capsys.readouterr().out
    (line,) = (each for each in map(json.loads, out.splitlines()) if each.get("message") == "void decided")
    expected: dict[str, Any] = {
        "order_id": "123", "decision": "not-voided", "result": "decided", "replayed": False, "state": "failed",
        "reason": "not-executed", "by": "arn:aws:sts::1:assumed-role/shop",
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    assert note not in out, "it is free text"
    assert json.dumps(note)[1:-1] not in out
