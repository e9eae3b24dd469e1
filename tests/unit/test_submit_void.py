"""POST /v1/voids: which requests are refused before anything happens, and how each result is answered."""

import base64
import json
from copy import replace
from typing import Any

import pytest

import clients
import storage
import submit_void
import systems
from payments.messages import Answer, OrderView
from payments.deadline import Systems
from payments.record import EarlierAttempt, FailureReason, State, Void
from payments.voids import Result, Submitted
from representations import void_record
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.fakes.table import error
from tests.unit.conftest import Counted

GOOD = {"order_id": "123", "order_currency": "UAH", "comment": "10101"}
RECORD_KEYS = [
    "order_id", "state", "reason", "review", "corrected", "resend_allowed", "order_currency", "comment", "attempt",
    "requested_at", "requested_by", "settled_at", "provider", "history",
]  # fmt: skip


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
    assert document["status"] == answer["statusCode"]
    assert document["request_id"] == "request-1"
    assert {"type", "title", "detail"} <= document.keys()
    document["name"] = document["type"].removeprefix("urn:void-service:problem:")
    return document


def nothing_happened(scene: Scene) -> bool:
    return scene.table.calls == [] and scene.provider.sent == [] and scene.provider.connections == []


def nothing_sent(scene: Scene) -> bool:
    """A connection may have been opened meanwhile, but it was given up unused."""
    closed = all(connection.closed for connection in scene.provider.connections)
    return scene.table.calls == [] and scene.provider.sent == [] and closed


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail", "errors"),
    [
        ("{}", {"Content_Type": "text/plain"}, 415, "Send application/json in UTF-8, not compressed.", None),
        ("{", {}, 400, "The body is not JSON in UTF-8.", None),
        ("\ufffd", {}, 400, "The body holds U+FFFD, which stands for bytes that are not UTF-8.", None),
        ('{"a": 1, "a": 2}', {}, 400, "The body names a field twice.", None),
        ("[]", {}, 400, "The body must be a JSON object.", [{"pointer": "", "detail": "must be an object"}]),
        (
            {"order_id": 5, "order_currency": "uah", "comment": "x" * 2_049, "a/b~": 1}, {"Idempotency_Key": "é"}, 400,
            "The request breaks the rules listed in `errors`.",
            [
                {"pointer": "/order_id", "detail": "must be text of 1 to 32 characters, and not '.', '..' or '0'"},
                {"pointer": "/order_currency", "detail": "must be three upper-case letters (ISO 4217)"},
                {"pointer": "/comment", "detail": "must be text of at most 2048 characters"},
                {"pointer": "/a~1b~0", "detail": "is not a field of this request"},
                {
                    "pointer": "/headers/Idempotency-Key",
                    "detail": "must be given once, with 1 to 255 printable ASCII characters",
                },
            ],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_request_is_said(
    scene: Scene, body: object, headers: dict[str, str], status: int, detail: str, errors: object
) -> None:
    told = problem(post(body, **headers))
    assert (told["status"], told["detail"], told.get("errors")) == (status, detail, errors)
    assert nothing_happened(scene)


def test_a_void_is_sent_once_and_answered_with_the_record(scene: Scene) -> None:
    scene.provider.answers = [make.answer()]
    answer = post()
    record = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    assert list(record) == RECORD_KEYS
    assert record["provider"]["amount"] == 100
    assert record["requested_by"] == "arn:aws:sts::1:assumed-role/shop"
    assert [line["evidence"] for line in record["history"]] == ["request", "answer"]
    assert scene.provider.sent == [{"order_id": "123", "currency": "UAH", "comment": "10101", "project": make.POS_ID}]


def test_the_intent_is_durable_before_a_byte_leaves(scene: Scene) -> None:
    seen: list[Void] = []

    def look() -> object:
        seen.append(scene.record())
        return make.answer()

    scene.provider.answers = [look]
    post()
    assert [void.state for void in seen] == [State.SUBMITTING]


@pytest.mark.parametrize("body", ["", "{", "nul", '{"order_id":NaN}', "[" * 100_000, '"text"', "[]", "null", "5"])
def test_what_is_no_json_object_is_400(scene: Scene, body: str) -> None:
    answer = post(body) if len(body) < 30_000 else post(body[:30_000])
    assert (answer["statusCode"], problem(answer)["name"]) == (400, "invalid-request")
    assert nothing_happened(scene)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        *(
            ({"order_id": bad}, "/order_id")
            for bad in (
                "",
                "x" * 33,
                ".",
                "..",
                "0",
                123,
                None,
                ["1"],
                "a\nb",
                "\x00",
                "\ud800",
                " 1",
                "1 ",
                "e\u0301",
                "a\ufffd",
            )
        ),
        *(({"order_currency": bad}, "/order_currency") for bad in ("", "uah", "UA", "UAHH", "UAH\n", 980, None, "ÄÖÜ")),
        *(({"comment": bad}, "/comment") for bad in ("x" * 2049, 5, None, list[str](), "\ud800")),
        ({"pos_id": "x"}, "/pos_id"),
        ({"server_url": "https://evil.example"}, "/server_url"),
        ({"a/b~c": 1}, "/a~1b~0c"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(scene: Scene, change: dict[str, object], pointer: str) -> None:
    answer = post({**GOOD, **change})
    assert answer["statusCode"] == 400
    assert [violation["pointer"] for violation in problem(answer)["errors"]] == [pointer]
    assert nothing_happened(scene)


def test_all_violations_are_told_at_once(scene: Scene) -> None:
    answer = post({"order_id": "", "comment": 1, "extra": True}, Idempotency_Key="й")
    pointers = [violation["pointer"] for violation in problem(answer)["errors"]]
    assert pointers == ["/order_id", "/order_currency", "/comment", "/extra", "/headers/Idempotency-Key"]


@pytest.mark.parametrize("order_id", ["1", "x" * 32, "INV-2024/000123", "замовлення №5", "a b", "%2e", "#", "00"])
def test_unusual_order_ids_are_orders(scene: Scene, order_id: str) -> None:
    scene.provider.answers = [make.answer(order_id=order_id)]
    assert post({**GOOD, "order_id": order_id})["statusCode"] == 200


@pytest.mark.parametrize(
    "change", [{"order_currency": "XTS"}, {"comment": "x" * 2048}, {"comment": ""}, {"comment": "Скасування\n🙂"}]
)
def test_the_edges_of_the_rules_are_inside(scene: Scene, change: dict[str, str]) -> None:
    scene.provider.answers = [say.UNKNOWN]
    assert post({**GOOD, **change})["statusCode"] == 202


def test_a_comment_may_be_left_out(scene: Scene) -> None:
    scene.provider.answers = [say.UNKNOWN]
    assert json.loads(post({"order_id": "123", "order_currency": "UAH"})["body"])["comment"] is None
    assert scene.provider.sent[0]["comment"] is None


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "", "application/json; charset=utf-16", "application/json;charset=latin1", "application/jsonp"],
)
def test_another_content_type_or_charset_is_415(scene: Scene, content_type: str) -> None:
    answer = post(Content_Type=content_type)
    assert (answer["statusCode"], problem(answer)["name"]) == (415, "unsupported-media-type")
    assert nothing_happened(scene)


def test_a_compressed_body_is_415(scene: Scene) -> None:
    assert post(Content_Encoding="gzip")["statusCode"] == 415


@pytest.mark.parametrize(
    "content_type", ["APPLICATION/JSON", 'application/json; charset="UTF-8"', "application/json;charset=utf-8"]
)
def test_json_in_utf8_may_be_declared_in_any_spelling(scene: Scene, content_type: str) -> None:
    scene.provider.answers = [say.UNKNOWN]
    assert post(Content_Type=content_type)["statusCode"] == 202


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


def test_a_base64_body_is_decoded(scene: Scene) -> None:
    scene.provider.answers = [make.answer()]
    event = make.gateway_event(
        base64.b64encode(json.dumps(GOOD).encode()).decode(), {"content-type": "application/json"}
    )
    assert submit_void.handler({**event, "isBase64Encoded": True}, None)["statusCode"] == 200
    assert submit_void.handler({**event, "isBase64Encoded": True, "body": "!"}, None)["statusCode"] == 400
    latin = base64.b64encode('{"order_id":"é"}'.encode("latin-1")).decode()
    assert submit_void.handler({**event, "isBase64Encoded": True, "body": latin}, None)["statusCode"] == 400


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "a\tb"])
def test_a_bad_idempotency_key_is_400(scene: Scene, key: str) -> None:
    assert problem(post(Idempotency_Key=key))["errors"][0]["pointer"] == "/headers/Idempotency-Key"
    assert nothing_happened(scene)


def test_headers_are_found_in_any_spelling_and_without_the_multi_value_form(scene: Scene) -> None:
    scene.provider.answers = [make.answer()]
    event = make.gateway_event(json.dumps(GOOD), {"CONTENT-TYPE": "application/json", "idempotency-KEY": "k"})
    assert submit_void.handler({**event, "multiValueHeaders": None}, None)["statusCode"] == 200
    assert scene.attempt().key == "k"


class TestARepetition:
    """The record answers; the provider hears nothing."""

    def test_of_a_settled_void_is_200_and_says_so(self, scene: Scene) -> None:
        scene.provider.answers = [make.answer()]
        first, second = post(), post()
        assert first["body"] == second["body"]
        assert "Idempotency-Replayed" not in first["headers"]
        assert second["headers"]["Idempotency-Replayed"] == "true"
        assert len(scene.provider.sent) == 1

    def test_while_the_first_is_in_flight_is_409(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        answer = post()
        assert (answer["statusCode"], problem(answer)["name"]) == (409, "in-progress")
        assert answer["headers"]["Retry-After"]
        assert problem(answer)["void"]["state"] == "submitting"

    def test_after_the_lease_is_202(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        scene.wait(25)
        assert post()["statusCode"] == 202
        assert scene.provider.sent == []

    def test_with_the_same_key_and_another_body_is_422_before_anything_else(self, scene: Scene) -> None:
        scene.provider.answers = [make.answer()]
        post(Idempotency_Key="k")
        answer = post({**GOOD, "order_currency": "EUR"}, Idempotency_Key="k")
        assert (answer["statusCode"], problem(answer)["name"]) == (422, "idempotency-mismatch")

    def test_with_another_currency_is_422(self, scene: Scene) -> None:
        scene.provider.answers = [make.answer()]
        post()
        answer = post({**GOOD, "order_currency": "EUR"})
        assert (answer["statusCode"], problem(answer)["name"]) == (422, "currency-mismatch")

    def test_of_a_bad_request_stays_400_whatever_the_record_says(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        assert post({**GOOD, "order_currency": "eur"})["statusCode"] == 400


@pytest.mark.parametrize(
    ("answer", "view", "metrics", "retry_after"),
    [
        (make.answer(), None, {"VoidVoided", "SettledByAnswer"}, None),
        (make.answer("pending"), None, {"VoidPending"}, "5"),
        (say.UNKNOWN, None, {"VoidUnknown"}, "5"),
        (say.THROTTLED, None, {"VoidThrottled", "SettledByAnswer"}, "10"),
        (say.CREDENTIALS, None, {"CredentialsRefused", "SettledByAnswer"}, None),
        (say.REFUSED, make.HELD, {"VoidRefused", "SettledByAnswer"}, None),
        (say.REFUSED, make.view(make.CAPTURE), {"VoidRefused", "SettledByQuery"}, None),
    ],
)
def test_what_became_of_a_void_is_counted_once_and_a_repetition_as_such(
    scene: Scene, counted: Counted, answer: Answer, view: OrderView | None, metrics: set[str], retry_after: str | None
) -> None:
    scene.provider.answers, scene.provider.views = [answer], [view]
    told = post(Idempotency_Key="k")
    assert counted() == dict.fromkeys({"VoidSubmitted", *metrics}, 1)
    assert told["headers"].get("Retry-After") == retry_after
    if told["statusCode"] not in (429, 502):  # those may be sent again
        assert post(Idempotency_Key="k")["headers"]["Idempotency-Replayed"] == "true"
        assert counted() == {"VoidReplayed": 1}


def test_a_request_that_is_turned_away_is_counted_and_is_no_void(scene: Scene, counted: Counted) -> None:
    scene.put(make.submitting(scene.at, key="k"))
    assert post(Idempotency_Key="other")["headers"]["Retry-After"] == "5"
    assert counted() == {"VoidDeclined": 1}
    assert post({**GOOD, "comment": "another"}, Idempotency_Key="k")["statusCode"] == 422
    assert counted() == {"VoidDeclined": 1}


@pytest.mark.parametrize(
    ("result", "status", "headers"),
    [
        (Result.VOIDED, 200, set()),
        (Result.ACCEPTED, 202, {"Location", "Retry-After"}),
        (Result.NOT_VOIDABLE, 409, set()),
        (Result.IN_PROGRESS, 409, {"Retry-After"}),
        (Result.TOO_MANY, 409, set()),
        (Result.KEY_MISMATCH, 422, set()),
        (Result.CURRENCY_MISMATCH, 422, set()),
        (Result.THROTTLED, 429, {"Retry-After"}),
        (Result.CREDENTIALS, 502, set()),
        (Result.NOT_SENT, 503, {"Retry-After"}),
    ],
)
@pytest.mark.parametrize("replayed", [True, False])
def test_every_result_has_its_status_and_headers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, result: Result, status: int, headers: set[str], replayed: bool
) -> None:
    void = replace(make.submitting(), provider_code="P-1", provider_message="no")
    order = make.order_of(void)._replace(order_id="INV/1 ї")
    monkeypatch.setattr(submit_void, "submit", lambda systems, request: Submitted(result, order, void, replayed))
    answer = post()
    own = {"Idempotency-Replayed"} if replayed else set()
    assert answer["statusCode"] == status
    assert answer["headers"].keys() - {"Content-Type", "Cache-Control", "X-Content-Type-Options"} == headers | own
    assert answer["headers"]["Cache-Control"] == "no-store"
    if status == 202:
        assert answer["headers"]["Location"] == "/v1/voids/INV%2F1%20%D1%97"
    if status >= 400:
        told = problem(answer)
        assert told["name"] == result.value
        assert (told["provider_code"], told["provider_message"]) == ("P-1", "no")
        assert told["void"]["order_id"] == told["order_id"] == "INV/1 ї"


def test_every_result_is_tested() -> None:
    assert len(Result) == 10


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (say.THROTTLED, 429, FailureReason.THROTTLED),
        (say.CREDENTIALS, 502, FailureReason.CREDENTIALS),
        (say.UNKNOWN, 202, None),
    ],
)
def test_a_reason_is_durable_before_it_is_told(
    scene: Scene, line: Answer, status: int, reason: FailureReason | None
) -> None:
    scene.provider.answers = [line]
    assert post()["statusCode"] == status
    assert scene.record().reason is reason


def test_no_connection_is_503_and_the_same_request_may_be_repeated(scene: Scene) -> None:
    scene.provider.refuses_connections()
    scene.provider.answers.append(make.answer())
    assert problem(post(Idempotency_Key="k"))["name"] == "not-sent"
    assert post(Idempotency_Key="k")["statusCode"] == 200


def test_a_secret_out_of_reach_is_503_and_nothing_is_sent(scene: Scene) -> None:
    scene.secrets.out_of_reach()
    answer = post()
    assert (answer["statusCode"], problem(answer)["name"]) == (503, "not-sent")
    assert answer["headers"]["Retry-After"]
    assert nothing_sent(scene)


def test_a_secret_that_was_never_filled_is_503(scene: Scene) -> None:
    scene.secrets.stages.clear()
    assert post()["statusCode"] == 503
    assert nothing_sent(scene)


def test_a_table_out_of_reach_is_503_and_nothing_is_sent(scene: Scene) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        raise error("ProvisionedThroughputExceededException", name)

    scene.table.before = fail
    assert problem(post())["name"] == "not-sent"
    assert scene.provider.sent == []
    assert scene.provider.connections[0].closed


@pytest.mark.parametrize("name", ["TABLE_NAME", "SECRET_ID", "PROVIDER_URL", "WEBHOOK_URL"])
def test_a_missing_variable_is_503_and_named_in_the_log(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    def real() -> Systems:
        storage.storage.cache_clear()
        systems.systems_that_send.cache_clear()
        return systems.systems_that_send()

    monkeypatch.setattr(submit_void, "systems_that_send", real)
    monkeypatch.setattr(clients, "dynamodb", lambda: scene.table)
    monkeypatch.setattr(clients, "secretsmanager", lambda: scene.secrets)
    values = {
        "TABLE_NAME": "t",
        "SECRET_ID": "s",
        "PROVIDER_URL": "https://p.invalid",
        "WEBHOOK_URL": "https://w.invalid",
    }
    for key, value in values.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv(name)
    answer = post()
    assert (answer["statusCode"], problem(answer)["name"]) == (503, "not-sent")
    assert f"{name} is not set" in capsys.readouterr().out
    assert nothing_happened(scene)


def test_an_error_nobody_expected_says_nothing_about_itself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(systems: object, request: object) -> Submitted:
        raise KeyError("a-secret-text")

    monkeypatch.setattr(submit_void, "submit", crash)
    answer = post()
    assert problem(answer)["name"] == "outcome-unknown"
    out = capsys.readouterr().out
    assert "a-secret-text" not in answer["body"] + out
    assert '"error":"KeyError"' in out


def test_what_an_answer_settles_is_counted_and_a_replay_is_not(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.provider.answers = [make.answer()]
    for _ in range(2):
        event = make.gateway_event(json.dumps(GOOD), {"content-type": "application/json"})
        assert submit_void.handler(event, None)["statusCode"] == 200
    assert capsys.readouterr().out.count('"SettledByAnswer":') == 1


def test_a_field_given_twice_is_400(scene: Scene) -> None:
    answer = post('{"order_id":"124","order_id":"123","order_currency":"UAH"}')
    assert (answer["statusCode"], problem(answer)["detail"]) == (400, "The body names a field twice.")
    assert nothing_happened(scene)


@pytest.mark.parametrize("number", ["1e1000000000000000000", "1E+2", "9" * 5000])
def test_no_number_in_a_body_crashes_it(scene: Scene, number: str) -> None:
    answer = post(f'{{"order_id":"123","order_currency":"UAH","amount":{number}}}')
    assert [violation["pointer"] for violation in problem(answer)["errors"]] == ["/amount"]
    assert nothing_happened(scene)


def test_bytes_that_were_not_utf8_are_400_as_api_gateway_passes_them(scene: Scene) -> None:
    answer = post(json.dumps({**GOOD, "comment": "a\ufffd"}, ensure_ascii=False))
    assert (answer["statusCode"], "U+FFFD" in problem(answer)["detail"]) == (400, True)
    assert nothing_happened(scene)


class TestA409:
    def refused(
        self, scene: Scene, line: Answer = say.REFUSED, seen: OrderView = make.HELD, key: str = "k1"
    ) -> dict[str, Any]:
        scene.provider.answers, scene.provider.views = [line], [seen]
        return problem(post(Idempotency_Key=key))

    @pytest.mark.parametrize(("line", "seen"), [(say.REFUSED, make.HELD), (say.NOT_FOUND, make.ABSENT)])
    def test_says_that_a_new_key_asks_again_where_it_helps(self, scene: Scene, line: Answer, seen: OrderView) -> None:
        assert "new Idempotency-Key" in self.refused(scene, line, seen)["detail"]

    def test_says_that_it_does_not_help_after_a_capture(self, scene: Scene) -> None:
        detail = self.refused(scene, seen=make.view(make.CAPTURE))["detail"]
        assert "refund" in detail
        assert "Idempotency-Key" not in detail

    def test_of_a_key_keeps_its_reason_whatever_came_after_it(self, scene: Scene) -> None:
        first = self.refused(scene)
        scene.provider.refuses_connections()
        assert post(Idempotency_Key="k2")["statusCode"] == 503
        late = post(Idempotency_Key="k1")
        told = problem(late)
        assert (late["statusCode"], late["headers"]["Idempotency-Replayed"]) == (409, "true")
        assert (told["void"]["reason"], told["void"]["attempt"]) == ("refused", 1)
        assert (told["provider_code"], told["provider_message"]) == ("P-400", "Invalid operation")
        assert {name: told["void"][name] for name in ("state", "settled_at", "requested_at")} == {
            name: first["void"][name] for name in ("state", "settled_at", "requested_at")
        }
        assert len(scene.provider.sent) == 1

    def test_of_a_key_says_when_the_order_was_voided_since(self, scene: Scene) -> None:
        self.refused(scene)
        scene.provider.answers = [make.answer()]
        assert post(Idempotency_Key="k2")["statusCode"] == 200
        told = problem(post(Idempotency_Key="k1"))
        assert (told["status"], told["void"]["state"]) == (409, "voided")
        assert "voided since" in told["detail"]

    def test_of_too_many_attempts_sets_review_and_is_counted(
        self, scene: Scene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for number in range(20):
            self.refused(scene, key=f"k{number}")
        capsys.readouterr()
        for _ in range(2):
            assert problem(post(Idempotency_Key="k99"))["name"] == "too-many-attempts"
        out = capsys.readouterr().out
        assert (out.count('"AttemptsUsedUp":'), out.count('"VoidReview":')) == (2, 1)
        assert scene.record().review


def test_a_review_that_an_answer_sets_is_counted(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.provider.answers = [make.answer(currency="EUR")]
    assert post()["statusCode"] == 200
    assert '"VoidReview":' in capsys.readouterr().out


def test_an_outcome_whose_write_got_no_answer_is_counted_as_trouble(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost() -> Answer:
        scene.table.lose_next_answer("put_item", repeated=False)
        return make.answer(currency="EUR")

    scene.provider.answers = [lost]
    assert post()["statusCode"] == 202
    out = capsys.readouterr().out
    assert scene.record().review, "written, and nobody will count that review"
    assert ('"VoidReview":' in out, '"StoreUnavailable":' in out) == (False, True)


def test_the_record_of_an_earlier_attempt_shows_every_member() -> None:
    earlier = EarlierAttempt(1, "k", "h", make.START, "arn", FailureReason.REFUSED, make.START, "c", "m")
    void = replace(make.submitting(), state=State.FAILED, reason=FailureReason.NOT_SENT)
    shown = void_record(make.order_of(void), earlier)
    assert list(shown) == RECORD_KEYS
    assert (shown["reason"], shown["provider"]) == ("refused", None)


def test_fields_that_are_none_of_a_request_are_named_in_order_and_can_be_shown(scene: Scene) -> None:
    names = [f"x{number}" for number in range(8)]
    answer = post({**GOOD, **dict.fromkeys(reversed(names), 1), "y" * 70: 1, "z\ud800": 1})
    pointers = [violation["pointer"] for violation in problem(answer)["errors"]]
    assert pointers == [*(f"/{name}" for name in names), "/" + "y" * 64, "/z\ufffd"]
    assert answer["body"].encode()
    assert nothing_happened(scene)


def test_the_longest_idempotency_key_is_taken(scene: Scene) -> None:
    scene.provider.answers = [say.UNKNOWN]
    assert post(Idempotency_Key="x" * 255)["statusCode"] == 202


@pytest.mark.parametrize("result", [result for result in Result if submit_void.ANSWERS[result].detail])
def test_a_result_that_is_no_refusal_says_what_to_do(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, result: Result
) -> None:
    void = replace(make.submitting(), state=State.FAILED, reason=FailureReason.REFUSED)
    monkeypatch.setattr(submit_void, "submit", lambda *_: Submitted(result, make.order_of(void), void))
    assert problem(post())["detail"] == submit_void.ANSWERS[result].detail


def test_a_request_is_logged_with_its_attempt_and_its_end(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.provider.answers = [make.answer("pending")]
    post()
    (line,) = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "message" in line]
    told = {name: line[name] for name in ("message", "order_id", "attempt", "result", "state", "replayed")}
    assert told == {
        "message": "void requested", "order_id": "123", "attempt": 1, "result": "accepted", "state": "pending",
        "replayed": False,
    }  # fmt: skip
    assert line["attempt_id"] == scene.attempt().id


def test_a_request_that_is_declined_beside_a_pending_void_is_counted_as_declined(
    scene: Scene, counted: Counted
) -> None:
    scene.provider.answers = [make.answer("pending")]
    post(Idempotency_Key="k")
    counted()
    assert post({**GOOD, "comment": "other"}, Idempotency_Key="k")["statusCode"] == 422
    assert counted() == {"VoidDeclined": 1}
