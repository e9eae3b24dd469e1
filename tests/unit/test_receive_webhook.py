"""POST /v1/webhooks/financial-line: what is stored, what is refused, and what the provider is told."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

import receive_webhook
import systems
from payments.signatures import sign_webhook
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.fakes.table import error
from tests.unit.conftest import Counted

NO_FORM = "The body must be a form (application/x-www-form-urlencoded)."


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """One order, and the function on it."""
    scene = Scene()
    monkeypatch.setattr(receive_webhook, "storage", lambda: scene.storage)
    return scene


def post(event: dict[str, Any]) -> dict[str, Any]:
    return receive_webhook.handler(event, None)


def form(body: str, content_type: str = "application/x-www-form-urlencoded") -> dict[str, Any]:
    return make.gateway_event(body, {"Content-Type": content_type})


def test_a_forged_webhook_is_refused_and_leaves_no_trace(scene: Scene) -> None:
    data, _ = make.signed(make.fields())
    answer = post(make.webhook_event(data, sign_webhook("somebody-else", data)))
    assert answer["statusCode"] == 401
    assert json.loads(answer["body"])["type"] == "urn:void-service:problem:unauthenticated"
    assert scene.table.items == {}
    assert scene.table.calls == []


@pytest.mark.parametrize("signature", [b"", "підпис".encode(), b"\xff\xfe", b"x" * 28, b"Bcj3hb+h00HrEMIoJ5nPW5ZHlVQ="])
def test_an_empty_or_strange_signature_is_forged(scene: Scene, signature: bytes) -> None:
    data, _ = make.signed(make.fields())
    assert post(make.webhook_event(data, signature))["statusCode"] == 401
    assert scene.table.calls == []


def test_changing_any_byte_of_a_message_makes_it_forged(scene: Scene) -> None:
    data, signature = make.signed(make.fields())
    for place in range(0, len(data), 40):
        broken = data[:place] + (b"A" if data[place : place + 1] != b"A" else b"B") + data[place + 1 :]
        assert post(make.webhook_event(broken, signature))["statusCode"] == 401
    assert scene.table.items == {}


def test_a_genuine_success_is_stored_and_answered_empty(scene: Scene) -> None:
    answer = post(make.webhook_event(*make.signed(make.fields())))
    assert (answer["statusCode"], answer["body"]) == (200, "")
    assert scene.record().state.value == "voided"
    assert len(scene.table.items) == 1


def test_the_same_webhook_twice_is_stored_once(scene: Scene) -> None:
    event = make.webhook_event(*make.signed(make.fields()))
    assert [post(event)["statusCode"] for _ in range(3)] == [200, 200, 200]
    assert len(scene.table.items) == 1


def test_a_base64_body_is_the_same_message(scene: Scene) -> None:
    event = make.webhook_event(*make.signed(make.fields()))
    event |= {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    assert post(event)["statusCode"] == 200


def test_further_fields_of_the_form_do_no_harm(scene: Scene) -> None:
    event = make.webhook_event(*make.signed(make.fields()))
    event["body"] += "&more=1"
    assert post(event)["statusCode"] == 200


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ("", ["/data", "/signature"]),
        ("data=x", ["/signature"]),
        ("signature=x", ["/data"]),
        ("data=x&data=y&signature=z", ["/data"]),
        ("data=x&signature=y&signature=z", ["/signature"]),
        ("data=&signature=y", ["/data"]),
    ],
)
def test_a_field_that_is_missing_or_repeated_is_400(scene: Scene, body: str, pointers: list[str]) -> None:
    answer = post(form(body))
    assert answer["statusCode"] == 400
    told = json.loads(answer["body"])
    assert told["detail"] == "The form must have `data` and `signature`, once each."
    detail = "must not be empty" if body.startswith("data=&") else "must be given exactly once"
    assert told["errors"] == [{"pointer": pointer, "detail": detail} for pointer in pointers]
    assert scene.secrets.calls == []


@pytest.mark.parametrize(
    ("event", "detail"),
    [
        (form("{}", "application/json"), NO_FORM),
        (form("data=x&signature=y", "multipart/form-data; boundary=x"), NO_FORM),
        (make.gateway_event("data=x&signature=y", {}), NO_FORM),
        (make.gateway_event(None, {}), NO_FORM),
        ({**form("%%%"), "isBase64Encoded": True}, "The body cannot be decoded."),
        (form("&".join(["a=1"] * 9)), "The form has too many fields."),
    ],
)
def test_what_is_no_form_is_400(scene: Scene, event: dict[str, Any], detail: str) -> None:
    answer = post(event)
    assert (answer["statusCode"], json.loads(answer["body"])["detail"]) == (400, detail)
    assert scene.table.calls == []


def test_more_than_64_kib_is_413(scene: Scene) -> None:
    assert post(form("data=" + "a" * 65_536))["statusCode"] == 413


def test_an_unreadable_genuine_message_is_kept_in_quarantine(scene: Scene) -> None:
    assert post(make.webhook_event(*make.signed(b"not json")))["statusCode"] == 200
    ((key, item),) = scene.table.items.items()
    assert key[0].startswith("QUARANTINE#")
    assert item["why"]["S"] == "unreadable"


@pytest.mark.parametrize("call", ["get_item", "put_item", "update_item"])
def test_a_table_out_of_reach_is_500_so_that_the_provider_sends_again(scene: Scene, call: str) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        if name == call:
            raise error("ThrottlingException", name)

    scene.table.before = fail
    message = make.fields("success" if call == "update_item" else "failure")
    assert post(make.webhook_event(*make.signed(message)))["statusCode"] == 500
    assert scene.table.items == {}


@pytest.mark.parametrize("code", [None, "AccessDeniedException", "InternalServiceError", "ResourceNotFoundException"])
def test_a_secret_out_of_reach_is_500_even_for_a_forged_message(scene: Scene, code: str | None) -> None:
    scene.secrets.out_of_reach(code)
    assert post(form("data=x&signature=y"))["statusCode"] == 500


def test_a_missing_setting_is_500_and_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    systems.storage.cache_clear()
    monkeypatch.delenv("TABLE_NAME", raising=False)
    assert post(form("data=x&signature=y"))["statusCode"] == 500
    out = capsys.readouterr().out
    assert "TABLE_NAME is not set" in out
    assert '"UnexpectedError"' in out  # it takes the release back


def test_each_outcome_has_its_own_counter(scene: Scene, counted: Counted) -> None:
    success = make.webhook_event(*make.signed(make.fields()))
    for event, status, counters in (
        (success, 200, {"VoidWithoutWebhook": 0}),
        (success, 200, {"VoidWithoutWebhook": 0}),
        (form("data=x&signature=y"), 401, {"WebhookForged": 1}),
        (form("data=x"), 400, {"WebhookRejected": 1}),
        (form("{}", "application/json"), 400, {"WebhookRejected": 1}),
        (make.webhook_event(*make.signed(make.fields("failure"))), 200, {"VoidWithoutWebhook": 0}),
        (make.webhook_event(*make.signed(b"x")), 200, {"WebhookQuarantined": 1, "VoidWithoutWebhook": 0}),
    ):
        assert post(event)["statusCode"] == status
        assert counted() == counters


@pytest.mark.parametrize("charset", ["utf-16", "windows-1251", "iso-8859-1", "nonsense"])
def test_a_form_is_a_form_in_whatever_charset_it_says(scene: Scene, charset: str) -> None:
    body = make.webhook_event(*make.signed(make.fields()))["body"]
    assert post(form(body, f"application/x-www-form-urlencoded; charset={charset}"))["statusCode"] == 200


def test_a_request_that_is_no_webhook_leaves_a_line(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    post(form("data=x"))
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (line["message"], line["problem"]) == ("request refused", "invalid-request")
    assert line["errors"] == [{"pointer": "/signature", "detail": "must be given exactly once"}]


def test_a_webhook_is_logged_by_what_it_is_and_what_it_did(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    post(make.webhook_event(*make.signed(make.fields(card_mask="444455******1111"))))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    line = next(line for line in lines if line.get("message") == "webhook received")
    assert (line["outcome"], line["order_id"], line["method"], line["status"], line["state"]) == (
        "applied", "123", "void", "success", "voided",
    )  # fmt: skip
    assert (line["request_id"], line["level"]) == ("request-1", "INFO")
    post(make.webhook_event(*make.signed(b"x")))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    line = next(line for line in lines if line.get("message") == "webhook received")
    assert line["outcome"] == "quarantined"
    assert line.keys().isdisjoint({"order_id", "method", "status", "state"}), "what is not known is not said"


def test_a_second_message_that_contradicts_is_a_review_counted_once(scene: Scene, counted: Counted) -> None:
    scene.put(make.submitting())
    first, other = make.signed(make.fields()), make.signed(make.fields(amount=7))
    for message in (first, first, other, other):
        assert post(make.webhook_event(*message))["statusCode"] == 200
    assert scene.record().review
    assert counted() == {"VoidReview": 1, "VoidWithoutWebhook": 0}


def test_a_plus_in_the_form_is_a_space_and_not_a_plus(scene: Scene) -> None:
    data, signature = make.signed(make.fields())
    body = f"data={quote(data)}&signature={signature.decode().replace('-', '+')}"
    genuine = b"-" not in signature
    assert (post(form(body))["statusCode"] == 200) is genuine


def test_what_a_copy_at_hand_proves_is_taken_while_secrets_manager_is_out_of_reach(scene: Scene) -> None:
    assert post(make.webhook_event(*make.signed(make.fields("pending"))))["statusCode"] == 200
    scene.secrets.out_of_reach()
    scene.wait(61)
    assert post(make.webhook_event(*make.signed(make.fields())))["statusCode"] == 200
    assert post(form("data=x&signature=y"))["statusCode"] == 500  # forged, or signed with a secret that is new


@pytest.mark.parametrize(("length", "status"), [(65_536, 401), (65_537, 413)])
def test_64_kib_are_taken_and_no_byte_more(scene: Scene, length: int, status: int) -> None:
    assert post(form("signature=x&data=".ljust(length, "a")))["statusCode"] == status


def test_a_forged_message_is_told_so(scene: Scene) -> None:
    told = json.loads(post(form("data=x&signature=y"))["body"])
    assert told["detail"] == "The signature does not prove the message."
