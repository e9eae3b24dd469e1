"""POST /v1/voids: bad requests, the intent, the one POST, its outcome, and how each end is answered, counted and logged."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

import submit_void
import systems
from answers import ANSWERS
from payments.claims import Result
from payments.connection import NotConnected
from payments.facts import FailureReason, State
from payments.messages import Answer, AnswerKind, OrderView
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import Scene, operation
from tests.unit.conftest import Counted, Logged, Said, said

GOOD = {"order_id": "123", "order_currency": "UAH", "comment": "10101"}
SUBMITTING, UNKNOWN, PENDING, FAILED, VOIDED = State
PORTAL, UNDER_WAY = operation(operation_id="p"), operation("pending", operation_id="p")


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


def test_a_base64_body_is_decoded_and_headers_are_found_in_any_spelling(scene: Scene) -> None:
    scene.provider.answers = [make.answer()]
    headers = {"CONTENT-type": "application/json", "idempotency-KEY": "k"}
    event = make.gateway_event(None, headers) | {"isBase64Encoded": True, "multiValueHeaders": None}
    for raw, status in ((json.dumps(GOOD).encode(), 200), ('{"order_id":"é"}'.encode("latin-1"), 400)):
        body = base64.b64encode(raw).decode()
        assert submit_void.handler({**event, "body": body}, None)["statusCode"] == status
    assert scene.order().facts.attempts[-1].key == "k"
    assert submit_void.handler({**event, "body": "!"}, None)["statusCode"] == 400


# ---- how each end is answered, counted and logged ----------------------------------------------------------------------

ENDS: dict[str, tuple[Answer, OrderView | None, int, str, str, set[str], str | None]] = {
    "voided": (make.answer(), None, 200, "", "voided", {"VoidWithoutWebhook"}, None),
    "pending": (make.answer("pending"), None, 202, "", "pending", set(), "5"),
    "unknown": (say.UNKNOWN, None, 202, "", "unknown", {"VoidUnknown"}, "5"),
    "throttled": (say.THROTTLED, None, 429, "throttled", "failed", {"VoidThrottled"}, "10"),
    "credentials": (say.CREDENTIALS, None, 502, "provider-credentials", "failed", {"CredentialsRefused"}, None),
    "refused": (say.REFUSED, make.HELD, 409, "not-voidable", "failed", set(), None),
    "failed": (make.answer("failure"), make.HELD, 409, "not-voidable", "failed", set(), None),
    "not found": (say.NOT_FOUND, make.ABSENT, 409, "not-voidable", "failed", set(), None),
    "captured": (say.REFUSED, make.view(make.CAPTURE), 409, "not-voidable", "failed", set(), None),
    "refused, unexplained": (say.REFUSED, None, 202, "", "unknown", {"VoidUnknown"}, "5"),
    "refused beside a void": (say.REFUSED, make.view(UNDER_WAY), 202, "", "pending", set(), "5"),
    "refused, voided by another": (say.REFUSED, make.view(PORTAL), 200, "", "voided", {"VoidWithoutWebhook"}, None),
    "another currency": (make.answer(currency="EUR"), None, 200, "", "voided", {"VoidReview", "VoidWithoutWebhook"}, None),
}  # fmt: skip
HELPS = {"captured": "refund", **dict.fromkeys(("refused", "failed", "not found"), "new Idempotency-Key")}


@pytest.mark.parametrize("end", ENDS)
def test_each_end_is_durable_answered_and_counted_once(scene: Scene, counted: Counted, end: str) -> None:
    line, seen, status, name, state, metrics, wait = ENDS[end]
    scene.provider.answers, scene.provider.views = [line], [seen]
    answer = post(Idempotency_Key="k")
    assert (answer.status, answer.problem, answer.headers.get("Retry-After")) == (status, name, wait)
    record = answer.document["void"] if name else answer.document
    assert (record["state"], scene.record().state) == (state, state)
    assert ("Location" in answer.headers) is (status == 202)
    assert HELPS.get(end, "") in answer.document.get("detail", "")
    assert counted() == dict.fromkeys(metrics, 1)
    if status not in (429, 502):  # those may be sent again
        again = post(Idempotency_Key="k")
        assert (again.status, again.headers["Idempotency-Replayed"], counted()) == (status, "true", {})
    assert len(scene.provider.sent) == 1


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


DECLINED = {
    "in flight": ({}, {"Idempotency_Key": "other"}, 409, "in-progress", "5"),
    "its own key in flight": ({}, {"Idempotency_Key": "k"}, 409, "in-progress", "5"),
    "another body": ({"comment": "other"}, {"Idempotency_Key": "k"}, 422, "idempotency-mismatch", None),
    "another currency": ({"order_currency": "EUR"}, {}, 422, "currency-mismatch", None),
    "bad, whatever the record says": ({"order_currency": "eur"}, {}, 400, "invalid-request", None),
}


@pytest.mark.parametrize(("change", "headers", "status", "name", "wait"), DECLINED.values(), ids=DECLINED)
def test_what_is_turned_away_is_no_void(
    scene: Scene, counted: Counted, change: dict[str, object], headers: dict[str, str], status: int, name: str, wait: str | None
) -> None:  # fmt: skip
    scene.put(make.submitting(scene.at, key="k"))
    answer = post({**GOOD, **change}, **headers)
    assert (answer.status, answer.problem, answer.headers.get("Retry-After")) == (status, name, wait)
    assert ("Idempotency-Replayed" in answer.headers, scene.provider.sent, counted()) == (False, [], {})


class TestA409:
    def refused(self, scene: Scene, seen: OrderView = make.HELD, key: str = "k1") -> Said:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [seen]
        return post(Idempotency_Key=key)

    def test_of_a_key_keeps_its_reason_whatever_came_after_it(self, scene: Scene) -> None:
        first = self.refused(scene).document
        scene.provider.refuses_connections()
        assert post(Idempotency_Key="k2").status == 503
        late = post(Idempotency_Key="k1")
        assert (late.status, late.headers["Idempotency-Replayed"]) == (409, "true")
        assert (late.document["void"]["reason"], late.document["void"]["attempt"]) == ("refused", 1)
        assert (late.document["provider_code"], late.document["provider_message"]) == ("P-400", "Invalid operation")
        for name in ("state", "settled_at", "requested_at"):
            assert late.document["void"][name] == first["void"][name]

    def test_of_a_key_stays_beside_somebody_elses_void_and_is_200_once_voided(self, scene: Scene) -> None:
        self.refused(scene)
        scene.report(UNDER_WAY)
        assert (scene.record().state, post(Idempotency_Key="k1").status) == (PENDING, 409)
        assert post(Idempotency_Key="k2").status == 202
        scene.report(PORTAL)
        assert post(Idempotency_Key="k1").status == 200

    def test_of_too_many_attempts_is_a_review_once(self, scene: Scene, counted: Counted) -> None:
        for number in range(20):
            self.refused(scene, key=f"k{number}")
        counted()
        assert [post(Idempotency_Key="k99").problem for _ in range(2)] == ["too-many-attempts"] * 2
        assert counted() == {"AttemptsUsedUp": 2, "VoidReview": 1}

    def test_beside_a_row_of_an_unknown_kind_waits_for_an_operator(self, scene: Scene) -> None:
        self.refused(scene, make.view(operation("pending", "reverse", "r")))
        answer = post(Idempotency_Key="k2")
        assert (answer.problem, answer.headers["Retry-After"]) == ("in-progress", "3600")
        assert "operator has been notified" in answer.document["detail"]
        assert len(scene.provider.sent) == 1


# ---- the intent, what gets lost, and what cannot be used -----------------------------------------------------------------


def lose_write(scene: Scene, at: int, before_reading: Callable[[], object] = lambda: None) -> None:
    """The `at`-th write is applied, its answer lost for good."""
    writes = 0

    def lose(name: str, _: object) -> None:
        nonlocal writes
        writes += name == "put_item"
        if name == "put_item" and writes == at:
            scene.table.lose_next_answer("put_item", repeated=False)
        if name == "get_item":
            scene.table.before = lambda *_: None
            before_reading()

    scene.table.before = lose


def lost_outcome(scene: Scene) -> None:
    scene.provider.answers = [make.answer(currency="EUR")]
    lose_write(scene, 2)


def waiting(scene: Scene, seconds: float = 25) -> None:
    scene.put(make.submitting(scene.at))
    scene.wait(seconds)


NOT_SENT = FailureReason.NOT_SENT
GIVEN: dict[str, tuple[Callable[[Scene], object], int, str, State | None, int, dict[str, float]]] = {
    "the answer to the intent is lost": (lambda s: lose_write(s, 1), 200, "", VOIDED, 1, {"VoidWithoutWebhook": 1}),
    "a void is reported before the intent is read back": (lambda s: lose_write(s, 1, lambda: s.report(UNDER_WAY)), 409, "in-progress", PENDING, 0, {}),
    # Written, and nobody will count that review.
    "the answer to the outcome is lost": (lost_outcome, 202, "", VOIDED, 1, {"StoreUnavailable": 1, "VoidUnknown": 1}),
    "a void was reported before": (lambda s: s.report(operation("pending")), 202, "", PENDING, 0, {}),
    "its lease is over": (waiting, 202, "", SUBMITTING, 0, {}),
    "no write": (lambda s: s.table.fail(), 503, "not-sent", None, 0, {"StoreUnavailable": 1, "VoidNotSent": 1}),
    "too late to send": (lambda s: setattr(s.table, "before", lambda *_: s.wait(5)), 503, "not-sent", FAILED, 0, {"VoidNotSent": 1}),
    "no connection": (lambda s: s.provider.answers.insert(0, NotConnected("ConnectTimeoutError")), 503, "not-sent", FAILED, 0, {"VoidNotSent": 1}),
    "no secret": (lambda s: s.secrets.out_of_reach(), 503, "not-sent", None, 0, {"SecretOutOfReach": 1, "VoidNotSent": 1}),
    "never filled": (lambda s: s.secrets.stages.clear(), 503, "not-sent", None, 0, {"SecretUnfilled": 1, "VoidNotSent": 1}),
}  # fmt: skip


@pytest.mark.parametrize("given", GIVEN)
def test_what_gets_lost_is_never_sent_twice(scene: Scene, counted: Counted, given: str) -> None:
    arrange, status, name, state, sent, metrics = GIVEN[given]
    scene.provider.answers = [make.answer()]
    arrange(scene)
    answer = post()
    assert (answer.status, answer.problem, len(scene.provider.sent), counted()) == (status, name, sent, metrics)
    assert answer.headers.get("Retry-After") == (None if status == 200 else "5")
    scene.table.before = lambda *_: None
    found = scene.record() if scene.table.items else None
    assert (found and found.state, bool(found and found.review)) == (state, arrange is lost_outcome)
    assert all(connection.closed for connection in scene.provider.connections)


def test_the_intent_is_durable_before_a_byte_leaves(scene: Scene) -> None:
    scene.provider.answers = [lambda: make.answer() if scene.record().state is SUBMITTING else say.UNKNOWN]
    assert post().status == 200


def test_an_intent_past_its_lease_is_shown_unknown_and_a_reported_void_has_no_attempt(scene: Scene) -> None:
    waiting(scene)
    assert post().document["state"] == "unknown"
    scene.table.items.clear()
    scene.report(operation("pending"))
    assert post().document["attempt"] == 0


def test_two_at_once_send_one(scene: Scene) -> None:
    def second() -> object:
        assert post(Idempotency_Key="second").problem == "in-progress"
        return make.answer()

    scene.provider.answers = [second]
    assert (post().status, len(scene.provider.sent)) == (200, 1)


def test_what_failed_before_sending_says_why_in_the_record_and_the_log(scene: Scene, logged: Logged) -> None:
    scene.provider.refuses_connections()
    assert post().document["void"]["reason"] == scene.record().reason == NOT_SENT
    assert [line["cause"] for line in logged()] == ["ConnectTimeoutError"]
    scene.secrets.out_of_reach()
    scene.table.calls.clear()
    scene.secret.forget()
    assert (post().status, scene.table.calls) == (503, [])


def test_refused_credentials_are_fetched_anew_and_the_same_request_may_be_repeated(scene: Scene) -> None:
    scene.provider.answers = [say.CREDENTIALS, make.answer()]
    assert post(Idempotency_Key="k").problem == "provider-credentials"
    fetched = len(scene.secrets.calls)
    assert post(Idempotency_Key="k").status == 200
    assert len(scene.secrets.calls) > fetched


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
    assert post().problem == "not-sent"
    assert f"{name} is not set" in capsys.readouterr().out
    assert (scene.table.calls, scene.provider.connections) == ([], [])


def test_an_error_nobody_expected_says_nothing_about_itself(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.provider.answers = [KeyError("a-secret-text")]
    answer = post()
    out = capsys.readouterr().out
    assert (answer.problem, "a-secret-text" in json.dumps(answer.document) + out) == ("outcome-unknown", False)
    assert '"error":"KeyError"' in out


def test_every_result_has_its_row() -> None:
    assert set(ANSWERS) == set(Result)
