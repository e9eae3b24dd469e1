"""POST /v1/voids: bad requests, the intent, the one POST, its outcome, and how each end is answered, counted and logged."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

import submit_void
import systems
from answers import ANSWERS
from payments import evidence
from payments.claims import Result
from payments.facts import Evidence, FailureReason, State
from payments.messages import Answer, AnswerKind, OrderView
from payments.orders import Order, Source, Void
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import Scene, operation
from tests.fakes.table import error
from tests.unit.conftest import Counted

GOOD = {"order_id": "123", "order_currency": "UAH", "comment": "10101"}
ORDER_ID = "must be text of 1 to 32 characters, and not '.', '..' or '0'"


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """One order, and the function on it."""
    scene = Scene()
    monkeypatch.setattr(submit_void, "systems_that_send", lambda: scene.systems)
    return scene


def post(body: object = GOOD, **headers: str) -> dict[str, Any]:
    named = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return submit_void.handler(make.gateway_event(body if isinstance(body, str) else json.dumps(body), named), None)


def problem(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(answer["body"])
    assert (document["status"], document["request_id"]) == (answer["statusCode"], "request-1")
    document["name"] = document["type"].removeprefix("urn:void-service:problem:")
    return document


def nothing_happened(scene: Scene) -> bool:
    return scene.table.calls == [] and scene.provider.sent == [] and scene.provider.connections == []


# ---- bad requests ----------------------------------------------------------------------------------------------------

BODIES = {
    "no JSON": ("{", "The body is not JSON in UTF-8."),
    "nothing": ("", "The body is not JSON in UTF-8."),
    "NaN": ('{"order_id":NaN}', "The body is not JSON in UTF-8."),
    "deep": ("[" * 30_000, "The body is not JSON in UTF-8."),
    "replaced bytes": ("\ufffd", "The body holds U+FFFD, which stands for bytes that are not UTF-8."),
    "byte order mark": ("\ufeff{}", "The body begins with a byte order mark. Send JSON in UTF-8 without one."),
    "a field twice": ('{"order_id":"124","order_id":"123","order_currency":"UAH"}', "The body names a field twice."),
    "a list": ("[]", "The body must be a JSON object."),
    "a text": ('"text"', "The body must be a JSON object."),
    "null": ("null", "The body must be a JSON object."),
}


@pytest.mark.parametrize(("body", "detail"), BODIES.values(), ids=BODIES)
def test_what_is_no_json_object_is_400(scene: Scene, body: str, detail: str) -> None:
    said = problem(post(body))
    assert (said["status"], said["name"], said["detail"]) == (400, "invalid-request", detail)
    assert nothing_happened(scene)


BAD_IDS = ["", "x" * 33, ".", "..", "0", 123, None, ["1"], "a\nb", "\x00", "\ud800", " 1", "1 ", "e\u0301", "a\ufffd"]
BAD = [
    *(({"order_id": bad}, "/order_id") for bad in BAD_IDS),
    *(({"order_currency": bad}, "/order_currency") for bad in ("", "uah", "UA", "UAHH", "UAH\n", 980, None, "ÄÖÜ")),
    *(({"comment": bad}, "/comment") for bad in ("x" * 2049, 5, list[str](), "\ud800")),
    ({"pos_id": "x"}, "/pos_id"),
    ({"server_url": "https://evil.example"}, "/server_url"),
    ({"a/b~c": 1}, "/a~1b~0c"),
    ({"y" * 70: 1}, "/" + "y" * 64),
    ({"z\ud800": 1}, "/z\ufffd"),
]


@pytest.mark.parametrize(("change", "pointer"), BAD)
def test_a_field_that_breaks_its_rule_is_named(scene: Scene, change: dict[str, object], pointer: str) -> None:
    answer = post({**GOOD, **change})
    assert answer["statusCode"] == 400
    assert [violation["pointer"] for violation in problem(answer)["errors"]] == [pointer]
    assert answer["body"].encode()
    assert nothing_happened(scene)


@pytest.mark.parametrize("number", ["1e1000000000000000000", "1E+2", "9" * 5000])
def test_no_number_in_a_body_crashes_it(scene: Scene, number: str) -> None:
    answer = post(f'{{"order_id":"123","order_currency":"UAH","amount":{number}}}')
    assert [violation["pointer"] for violation in problem(answer)["errors"]] == ["/amount"]


def test_all_violations_are_said_at_once(scene: Scene) -> None:
    said = problem(post({"order_id": "", "comment": 1, "extra": True, "a": 1}, Idempotency_Key="й"))
    assert said["errors"] == [
        {"pointer": "/order_id", "detail": ORDER_ID},
        {"pointer": "/order_currency", "detail": "must be three upper-case letters (ISO 4217)"},
        {"pointer": "/comment", "detail": "must be text of at most 2048 characters, or left out"},
        {"pointer": "/a", "detail": "is not a field of this request"},
        {"pointer": "/extra", "detail": "is not a field of this request"},
        {"pointer": "/headers/Idempotency-Key",
         "detail": "must be given once, with 1 to 255 printable ASCII characters, or left out"},
    ]  # fmt: skip
    assert nothing_happened(scene)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        *(({"Content_Type": kind}, 415) for kind in (
            "text/plain", "", "application/json; charset=utf-16", "application/json;charset=latin1", "application/jsonp")),
        ({"Content_Encoding": "gzip"}, 415),
        *(({"Idempotency_Key": key}, 400) for key in ("", "x" * 256, "ключ", "a\tb")),
    ],
)  # fmt: skip
def test_headers_that_break_their_rule(scene: Scene, headers: dict[str, str], status: int) -> None:
    assert post(**headers)["statusCode"] == status
    assert nothing_happened(scene)


def test_a_repeated_header_is_no_header(scene: Scene) -> None:
    event = make.gateway_event(json.dumps(GOOD), {"Content-Type": "application/json"})
    event["multiValueHeaders"]["content-type"] = ["text/plain"]
    assert submit_void.handler(event, None)["statusCode"] == 415
    event["multiValueHeaders"] = {"Content-Type": ["application/json"], "Idempotency-Key": ["a", "b"]}
    assert submit_void.handler(event, None)["statusCode"] == 400
    assert nothing_happened(scene)


def test_a_body_over_32_kib_is_413_counted_in_bytes(scene: Scene) -> None:
    assert problem(post("ї" * 16_385))["name"] == "too-large"
    assert post(" " * 32_768)["statusCode"] == 400


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
    assert (answer["statusCode"], json.loads(answer["body"])["comment"]) == (202, change.get("comment", "10101"))


def test_a_base64_body_is_decoded_and_headers_are_found_in_any_spelling(scene: Scene) -> None:
    scene.provider.answers = [make.answer()]
    event = make.gateway_event(
        base64.b64encode(json.dumps(GOOD).encode()).decode(),
        {"CONTENT-type": "application/json", "idempotency-KEY": "k"},
    ) | {"isBase64Encoded": True, "multiValueHeaders": None}
    assert submit_void.handler(event, None)["statusCode"] == 200
    assert scene.attempt().key == "k"
    latin = base64.b64encode('{"order_id":"é"}'.encode("latin-1")).decode()
    for body in ("!", latin):
        assert submit_void.handler({**event, "body": body}, None)["statusCode"] == 400


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
    "refused beside a void": (say.REFUSED, make.view(operation("pending", operation_id="p")), 202, "", "pending", set(), "5"),
    "refused, voided by another": (say.REFUSED, make.view(operation(operation_id="p")), 200, "", "voided",
                                   {"VoidWithoutWebhook"}, None),
    "another currency": (make.answer(currency="EUR"), None, 200, "", "voided", {"VoidReview", "VoidWithoutWebhook"}, None),
}  # fmt: skip


@pytest.mark.parametrize(("line", "seen", "status", "name", "state", "metrics", "wait"), ENDS.values(), ids=ENDS)
def test_each_end_is_durable_answered_and_counted_once(
    scene: Scene, counted: Counted, line: Answer, seen: OrderView | None, status: int, name: str, state: str,
    metrics: set[str], wait: str | None,
) -> None:  # fmt: skip
    scene.provider.answers, scene.provider.views = [line], [seen]
    answer = post(Idempotency_Key="k")
    assert (answer["statusCode"], answer["headers"].get("Retry-After")) == (status, wait)
    document = problem(answer) if name else json.loads(answer["body"])
    record = document["void"] if name else document
    assert (document.get("name", ""), record["state"], scene.record().state) == (name, state, state)
    assert ("Location" in answer["headers"]) is (status == 202)
    assert answer["headers"]["Cache-Control"] == "no-store"
    assert counted() == dict.fromkeys(metrics, 1)
    if status not in (429, 502):  # those may be sent again
        again = post(Idempotency_Key="k")
        assert (again["statusCode"], again["headers"]["Idempotency-Replayed"]) == (status, "true")
        assert counted() == {}
    assert len(scene.provider.sent) == 1


def test_a_request_is_logged_with_what_happened_and_why(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    def later() -> Answer:
        scene.wait(0.25)
        return Answer(AnswerKind.REFUSED, code="P-400", message="Invalid operation", cause="HTTP 400")

    scene.provider.answers, scene.provider.views = [later], [make.HELD]
    post()
    (line,) = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "message" in line]
    names = (
        "message",
        "order_id",
        "attempt",
        "result",
        "state",
        "reason",
        "provider_code",
        "cause",
        "seconds",
        "replayed",
    )
    assert [line[name] for name in names] == [
        "void requested", "123", 1, "not-voidable", "failed", "refused", "P-400", "HTTP 400", 0.25, False,
    ]  # fmt: skip
    assert line["attempt_id"] == scene.attempt().id or not scene.attempt().id


def test_the_kind_of_a_failed_connection_is_logged(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.provider.refuses_connections()
    assert problem(post())["name"] == "not-sent"
    assert '"cause":"ConnectTimeoutError"' in capsys.readouterr().out


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
    said = problem(answer)
    assert (said["status"], said["name"], answer["headers"].get("Retry-After")) == (status, name, wait)
    assert ("Idempotency-Replayed" in answer["headers"], scene.provider.sent, counted()) == (False, [], {})


def test_after_the_lease_the_record_is_unknown_and_answers_202(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    scene.wait(25)
    answer = post()
    assert (answer["statusCode"], json.loads(answer["body"])["state"], scene.provider.sent) == (202, "unknown", [])


class TestA409:
    def refused(
        self, scene: Scene, line: Answer = say.REFUSED, seen: OrderView = make.HELD, key: str = "k1"
    ) -> dict[str, Any]:
        scene.provider.answers, scene.provider.views = [line], [seen]
        return problem(post(Idempotency_Key=key))

    @pytest.mark.parametrize(
        ("line", "seen", "helps"),
        [(say.REFUSED, make.HELD, "new Idempotency-Key"), (say.NOT_FOUND, make.ABSENT, "new Idempotency-Key"),
         (say.REFUSED, make.view(make.CAPTURE), "refund")],
    )  # fmt: skip
    def test_says_what_helps(self, scene: Scene, line: Answer, seen: OrderView, helps: str) -> None:
        assert helps in self.refused(scene, line, seen)["detail"]

    def test_of_a_key_keeps_its_reason_whatever_came_after_it(self, scene: Scene) -> None:
        first = self.refused(scene)
        scene.provider.refuses_connections()
        assert post(Idempotency_Key="k2")["statusCode"] == 503
        late = post(Idempotency_Key="k1")
        said = problem(late)
        assert (late["statusCode"], late["headers"]["Idempotency-Replayed"]) == (409, "true")
        assert (said["void"]["reason"], said["void"]["attempt"]) == ("refused", 1)
        assert (said["provider_code"], said["provider_message"]) == ("P-400", "Invalid operation")
        same = ("state", "settled_at", "requested_at")
        assert [said["void"][name] for name in same] == [first["void"][name] for name in same]

    def test_of_a_key_stays_beside_somebody_elses_void_and_is_200_once_voided(self, scene: Scene) -> None:
        self.refused(scene)
        order = scene.order()
        pending = evidence.reported(order.facts, operation("pending", operation_id="p"), scene.at)
        scene.put(order.learnt(pending, Source(Evidence.WEBHOOK, scene.at)))
        assert (scene.record().state, post(Idempotency_Key="k1")["statusCode"]) == (State.PENDING, 409)
        assert post(Idempotency_Key="k2")["statusCode"] == 202
        done = evidence.reported(scene.order().facts, operation(operation_id="p"), scene.at)
        scene.put(scene.order().learnt(done, Source(Evidence.WEBHOOK, scene.at)))
        assert post(Idempotency_Key="k1")["statusCode"] == 200

    def test_of_too_many_attempts_is_a_review_once_and_ends_with_a_decision(
        self, scene: Scene, counted: Counted
    ) -> None:
        for number in range(20):
            self.refused(scene, key=f"k{number}")
        counted()
        assert [problem(post(Idempotency_Key="k99"))["name"] for _ in range(2)] == ["too-many-attempts"] * 2
        assert counted() == {"AttemptsUsedUp": 2, "VoidReview": 1}

    def test_beside_a_row_of_an_unknown_kind_waits_for_an_operator(self, scene: Scene) -> None:
        self.refused(scene, seen=make.view(operation("pending", "reverse", "r")))
        answer = post(Idempotency_Key="k2")
        assert (problem(answer)["name"], answer["headers"]["Retry-After"]) == ("in-progress", "3600")
        assert "operator has been notified" in problem(answer)["detail"]
        assert len(scene.provider.sent) == 1


# ---- the intent, and what gets lost --------------------------------------------------------------------------------------


def test_the_intent_is_durable_before_a_byte_leaves(scene: Scene) -> None:
    seen: list[Void] = []

    def look() -> object:
        seen.append(scene.record())
        return make.answer()

    scene.provider.answers = [look]
    post()
    assert [void.state for void in seen] == [State.SUBMITTING]


def fail_once(scene: Scene, at: int, before: Callable[[], None] = lambda: None) -> None:
    """The `at`-th write is applied, its answer lost for good."""
    count = 0

    def lose(name: str, _: object) -> None:
        nonlocal count
        count += name == "put_item"
        if name == "put_item" and count == at:
            scene.table.lose_next_answer("put_item", repeated=False)
        if name == "get_item":
            before()

    scene.table.before = lose


def test_an_intent_whose_answer_was_lost_is_recognised_and_sent(scene: Scene) -> None:
    fail_once(scene, 1)
    scene.provider.answers = [make.answer()]
    assert (post()["statusCode"], len(scene.provider.sent)) == (200, 1)


def test_beside_a_void_that_was_reported_before_the_read_back_nothing_leaves(scene: Scene) -> None:
    def pending() -> None:
        scene.table.before = lambda *_: None
        order = scene.order()
        facts = evidence.reported(order.facts, operation("pending", operation_id="p"), scene.at)
        scene.put(order.learnt(facts, Source(Evidence.WEBHOOK, scene.at)))

    fail_once(scene, 1, pending)
    assert (problem(post())["name"], scene.provider.sent) == ("in-progress", [])


def test_an_intent_that_was_not_written_sends_nothing(scene: Scene) -> None:
    def fail(name: str, _: object) -> None:
        raise error("ProvisionedThroughputExceededException", name)

    scene.table.before = fail
    assert problem(post())["name"] == "not-sent"
    assert (scene.provider.sent, scene.provider.connections[0].closed) == ([], True)


def test_an_outcome_whose_write_got_no_answer_is_counted_as_trouble(scene: Scene, counted: Counted) -> None:
    fail_once(scene, 2)
    scene.provider.answers = [make.answer(currency="EUR")]
    assert post()["statusCode"] == 202
    assert scene.record().review, "written, and nobody will count that review"
    assert counted() == {"StoreUnavailable": 1, "VoidUnknown": 1}


def test_a_void_under_way_is_reported_before_the_first_request_and_none_of_ours_is_sent(scene: Scene) -> None:
    pending = make.order_of(evidence.reported(Order(make.POS_ID, make.ORDER).facts, operation("pending"), scene.at))
    scene.put(pending)
    answer = post()
    assert (answer["statusCode"], json.loads(answer["body"])["attempt"], scene.provider.sent) == (202, 0, [])


def test_two_at_once_send_one(scene: Scene) -> None:
    def second() -> object:
        assert problem(post(Idempotency_Key="second"))["name"] == "in-progress"
        return make.answer()

    scene.provider.answers = [second]
    assert post()["statusCode"] == 200
    assert len(scene.provider.sent) == 1


def test_too_late_to_send_is_not_sent(scene: Scene) -> None:
    scene.table.before = lambda *_: scene.wait(5)
    scene.provider.answers = [make.answer()]
    assert problem(post())["name"] == "not-sent"
    assert scene.record().reason is FailureReason.NOT_SENT


def test_refused_credentials_are_fetched_anew_and_the_same_request_may_be_repeated(scene: Scene) -> None:
    scene.provider.answers = [say.CREDENTIALS, make.answer()]
    assert problem(post(Idempotency_Key="k"))["name"] == "provider-credentials"
    fetched = len(scene.secrets.calls)
    assert post(Idempotency_Key="k")["statusCode"] == 200
    assert len(scene.secrets.calls) > fetched


# ---- what cannot be used -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["out of reach", "never filled"])
def test_a_secret_that_cannot_be_had_is_503_and_nothing_is_sent(scene: Scene, broken: str) -> None:
    if broken == "out of reach":
        scene.secrets.out_of_reach()
    else:
        scene.secrets.stages.clear()
    answer = post()
    assert (problem(answer)["name"], answer["headers"]["Retry-After"]) == ("not-sent", "5")
    assert (scene.table.calls, scene.provider.sent) == ([], [])
    assert all(connection.closed for connection in scene.provider.connections)


@pytest.mark.parametrize("name", ["TABLE_NAME", "SECRET_ID", "PROVIDER_URL", "WEBHOOK_URL"])
def test_a_missing_variable_is_503_and_named_in_the_log(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    def real() -> systems.Systems:
        systems.storage.cache_clear()
        systems.systems_that_send.cache_clear()
        return systems.systems_that_send()

    monkeypatch.setattr(submit_void, "systems_that_send", real)
    for key in ("TABLE_NAME", "SECRET_ID", "PROVIDER_URL", "WEBHOOK_URL"):
        monkeypatch.setenv(key, "https://p.invalid")
    monkeypatch.delenv(name)
    assert problem(post())["name"] == "not-sent"
    assert f"{name} is not set" in capsys.readouterr().out
    assert nothing_happened(scene)


def test_an_error_nobody_expected_says_nothing_about_itself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(systems: object, request: object) -> submit_void.Submitted:
        raise KeyError("a-secret-text")

    monkeypatch.setattr(submit_void, "submit", crash)
    answer = post()
    assert problem(answer)["name"] == "outcome-unknown"
    out = capsys.readouterr().out
    assert "a-secret-text" not in answer["body"] + out
    assert '"error":"KeyError"' in out


def test_every_result_has_its_row() -> None:
    assert set(ANSWERS) == set(Result)
