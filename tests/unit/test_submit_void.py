"""POST /v1/voids: bad requests, missing settings and the log; tests/vectors/paths.txt has what a request does."""

import json
from typing import Any

import pytest

import submit_void
import systems
from answers import ANSWERS
from payments.claims import Result
from payments.connection import NotConnected
from payments.messages import Answer, AnswerKind
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.unit.conftest import Logged, Said, said

GOOD = {"order_id": "123", "order_currency": "UAH", "comment": "10101"}


def post(body: object = GOOD, **headers: str) -> Said:
    named = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    text = body if isinstance(body, str) else json.dumps(body)
    return said(submit_void.handler(make.gateway_event(text, named), None))


# ---- bad requests ----------------------------------------------------------------------------------------------------

NO_JSON, NO_OBJECT = "The body is not JSON in UTF-8.", "The body must be a JSON object."
BAD_IDS = ["", "x" * 33, ".", "..", "0", 123, None, ["1"], "a\nb", "\x00", "\ud800", " 1", "1 ", "e\u0301", "a\ufffd"]
WRONG: dict[str, tuple[object, dict[str, str], int, str, object]] = {
    # what is no JSON object: its detail
    **{repr(body)[:20]: (body, {}, 400, "invalid-request", detail) for body, detail in (
        ("{", NO_JSON), ("", NO_JSON), ('{"order_id":NaN}', NO_JSON), ("[" * 30_000, NO_JSON),
        ("\ufffd", "The body holds U+FFFD, which stands for bytes that are not UTF-8."),
        ("\ufeff{}", "The body begins with a byte order mark. Send JSON in UTF-8 without one."),
        ('{"order_id":"124","order_id":"123","order_currency":"UAH"}', "The body names a field twice."),
        ("[]", NO_OBJECT), ('"text"', NO_OBJECT), ("null", NO_OBJECT), (" " * 32_768, NO_JSON))},
    "32 KiB, counted in bytes": ("ї" * 16_385, {}, 413, "too-large", "The body may have at most 32768 bytes."),
    # a field that breaks its rule: its name
    **{f"{pointer} {value!r}"[:30]: ({**GOOD, name: value}, {}, 400, "invalid-request", [pointer]) for name, pointer, values in (
        ("order_id", "/order_id", BAD_IDS),
        ("order_currency", "/order_currency", ["", "uah", "UA", "UAHH", "UAH\n", 980, None, "ÄÖÜ"]),
        ("comment", "/comment", ["x" * 2049, 5, list[str](), "\ud800"]),
        ("pos_id", "/pos_id", ["x"]), ("server_url", "/server_url", ["https://evil.example"]), ("a/b~c", "/a~1b~0c", [1]),
        ("y" * 70, "/" + "y" * 64, [1]), ("z\ud800", "/z\ufffd", [1])) for value in values},
    **{f"number {number[:9]}": (f'{{"order_id":"1","order_currency":"UAH","amount":{number}}}', {}, 400, "invalid-request", ["/amount"])
       for number in ("1e1000000000000000000", "1E+2", "9" * 5000)},
    # a header that breaks its rule
    **{f"type {kind!r}": (GOOD, {"Content_Type": kind}, 415, "unsupported-media-type", "Send application/json in UTF-8, not compressed.")
       for kind in ("text/plain", "", "application/json; charset=utf-16", "application/json;charset=latin1", "application/jsonp")},
    "compressed": (GOOD, {"Content_Encoding": "gzip"}, 415, "unsupported-media-type", "Send application/json in UTF-8, not compressed."),
    **{f"key {key[:5]!r}": (GOOD, {"Idempotency_Key": key}, 400, "invalid-request", ["/headers/Idempotency-Key"])
       for key in ("", "x" * 256, "ключ", "a\tb")},
}  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "status", "problem", "what"), WRONG.values(), ids=WRONG)
def test_what_breaks_a_rule_is_named_and_nothing_happens(
    scene: Scene, body: object, headers: dict[str, str], status: int, problem: str, what: object
) -> None:
    answer = post(body, **headers)
    broken = [each["pointer"] for each in answer.document.get("errors", [])]
    said = broken if isinstance(what, list) else answer.document["detail"]
    assert (answer.status, answer.problem, said) == (status, problem, what)
    assert (scene.table.calls, scene.provider.connections) == ([], [])


def test_all_violations_are_said_at_once(scene: Scene) -> None:
    assert post({"order_id": "", "comment": 1, "extra": True, "a": 1}, Idempotency_Key="й").document["errors"] == [
        {"pointer": "/order_id", "detail": "must be text of 1 to 32 characters, and not '.', '..' or '0'"},
        {"pointer": "/order_currency", "detail": "must be three upper-case letters (ISO 4217)"},
        {"pointer": "/comment", "detail": "must be text of at most 2048 characters, or left out"},
        {"pointer": "/a", "detail": "is not a field of this request"},
        {"pointer": "/extra", "detail": "is not a field of this request"},
        {"pointer": "/headers/Idempotency-Key",
         "detail": "must be given once, with 1 to 255 printable ASCII characters, or left out"},
    ]  # fmt: skip


def test_a_repeated_header_is_no_header(scene: Scene) -> None:
    event = make.gateway_event(json.dumps(GOOD), {"Content-Type": "application/json"})
    event["multiValueHeaders"]["content-type"] = ["text/plain"]
    assert submit_void.handler(event, None)["statusCode"] == 415
    event["multiValueHeaders"] = {"Content-Type": ["application/json"], "Idempotency-Key": ["a", "b"]}
    assert submit_void.handler(event, None)["statusCode"] == 400
    assert (scene.table.calls, scene.provider.connections) == ([], [])


KINDS = ("APPLICATION/JSON", 'application/json; charset="UTF-8"', "application/json;charset=utf-8")
EDGES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}), ({"order_currency": "XTS"}, {}), ({"comment": "x" * 2048}, {}), ({"comment": ""}, {}),
    ({"comment": None}, {}), ({"comment": "Скасування\n🙂"}, {}), ({}, {"Idempotency_Key": "x" * 255}),
    *[({}, {"Content_Type": kind}) for kind in KINDS],
    *(({"order_id": name}, {}) for name in ("1", "x" * 32, "INV-2024/000123", "замовлення №5", "a b", "%2e", "#", "00")),
]  # fmt: skip


@pytest.mark.parametrize(("change", "headers"), EDGES)
def test_the_edges_of_the_rules_are_inside(scene: Scene, change: dict[str, str], headers: dict[str, str]) -> None:
    scene.provider.answers = [say.UNKNOWN]
    answer = post({**GOOD, **change}, **headers)
    assert (answer.status, answer.document["comment"]) == (202, change.get("comment", "10101"))


# ---- what is logged, and what cannot be used; tests/vectors/paths.txt has how each end is answered and counted ------------


def test_a_request_is_logged_with_what_happened_and_why(scene: Scene, logged: Logged) -> None:
    def later() -> Answer:
        scene.wait(0.25)
        return Answer(AnswerKind.REFUSED, code="P-400", message="Invalid operation", cause="HTTP 400")

    scene.provider.answers, scene.provider.views = [later], [make.HELD]
    post()
    (line,) = logged()
    expected = {
        "message": "void requested", "order_id": "123", "attempt": 1, "attempt_id": scene.order().facts.attempts[-1].id, "result": "not-voidable",
        "state": "failed", "reason": "refused", "provider_code": "P-400", "cause": "HTTP 400", "seconds": 0.25, "replayed": False,
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    scene.provider.answers = [NotConnected("ConnectTimeoutError")]
    post()
    assert logged()[0]["cause"] == "ConnectTimeoutError"


@pytest.mark.parametrize("name", ["TABLE_NAME", "SECRET_ID", "PROVIDER_URL", "WEBHOOK_URL"])
def test_a_missing_variable_is_503_and_named_in_the_log(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    systems.storage.cache_clear()
    systems.systems_that_send.cache_clear()
    monkeypatch.setattr(submit_void, "systems_that_send", systems.systems_that_send)
    for key in ("TABLE_NAME", "SECRET_ID", "PROVIDER_URL", "WEBHOOK_URL"):
        monkeypatch.setenv(key, "https://p.invalid")
    monkeypatch.delenv(name)
    answer = post()
    assert (answer.status, answer.problem, answer.headers["Retry-After"]) == (503, "not-sent", "5")
    assert answer.document["detail"] == "The setting was out of reach or unusable. The same request may be repeated."
    assert f"{name} is not set" in capsys.readouterr().out
    assert (scene.table.calls, scene.provider.connections) == ([], [])


def test_every_result_has_its_row() -> None:
    assert set(ANSWERS) == set(Result)
