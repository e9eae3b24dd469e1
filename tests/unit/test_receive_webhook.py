"""POST /v1/webhooks/financial-line: what is stored, what is refused, and what the provider is told."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

import receive_webhook
from payments.signatures import sign_webhook
from tests.fakes import scene as make
from tests.fakes.scene import Scene, fields, signed
from tests.unit.conftest import Counted, Logged, Said, said

FORM = "application/x-www-form-urlencoded"
ALIVE = {"VoidWithoutWebhook": 0}
"""What each genuine webhook reports: they arrive."""


def post(event: dict[str, Any]) -> Said:
    return said(receive_webhook.handler(event, None))


def form(body: str, content_type: str = FORM, **more: object) -> dict[str, Any]:
    return make.gateway_event(body, {"Content-Type": content_type}, **more)


def message(status: str = "success", **more: Any) -> dict[str, Any]:
    return make.webhook_event(*signed(fields(status, **more)))


def as_said(charset: str) -> dict[str, Any]:
    return form(message()["body"], f"{FORM}; charset={charset}")


SUCCESS = message()
DATA = signed(fields())[0]
TAKEN = {
    "a success": (SUCCESS, "ORDER"),
    "in base64": (SUCCESS | {"body": base64.b64encode(SUCCESS["body"].encode()).decode(), "isBase64Encoded": True}, "ORDER"),
    "with further fields": (SUCCESS | {"body": SUCCESS["body"] + "&more=1"}, "ORDER"),
    **{f"said to be in {each}": (as_said(each), "ORDER") for each in ("utf-16", "windows-1251", "iso-8859-1", "nonsense")},
    "a failure": (message("failure"), "ORDER"),
    "unreadable": (make.webhook_event(*signed(b"not json")), "quarantine"),
}  # fmt: skip


@pytest.mark.parametrize(("event", "kept"), TAKEN.values(), ids=TAKEN)
def test_a_genuine_message_is_stored_once_answered_empty_and_counted(
    scene: Scene, counted: Counted, event: dict[str, Any], kept: str
) -> None:
    quarantined = {"WebhookQuarantined": 1} if kept == "quarantine" else {}
    for _ in range(3):
        answer = receive_webhook.handler(event, None)
        assert (answer["statusCode"], answer["body"], counted()) == (200, "", ALIVE | quarantined)
    ((pk, sk),) = scene.table.items
    assert (sk == "ORDER", pk.startswith("QUARANTINE#")) == (kept == "ORDER", kept == "quarantine")


NO_FORM, TOO_MANY = "The body must be a form (application/x-www-form-urlencoded).", "The form has too many fields."
ONCE, EMPTY = "must be given exactly once", "must not be empty"
FORGED = {
    **{f"signed {each!r}": make.webhook_event(DATA, each) for each in (
        b"", "підпис".encode(), b"\xff\xfe", b"x" * 28, b"Bcj3hb+h00HrEMIoJ5nPW5ZHlVQ=", sign_webhook("somebody-else", DATA))},
    **{f"changed at byte {place}": make.webhook_event(DATA[:place] + (b"B" if DATA[place:].startswith(b"A") else b"A") + DATA[place + 1 :],
                                                      signed(fields())[1]) for place in range(0, len(DATA), 40)},
    "64 KiB": form("signature=x&data=".ljust(65_536, "a")),
}  # fmt: skip
WRONG: dict[str, tuple[dict[str, Any], int, str, dict[str, str]]] = {
    **{f"forged: {name}": (event, 401, "The signature does not prove the message.", {}) for name, event in FORGED.items()},
    **{f"the form {body!r}": (form(body), 400, "The form must have `data` and `signature`, once each.", wrong) for body, wrong in (
        ("", {"/data": ONCE, "/signature": ONCE}), ("data=x", {"/signature": ONCE}), ("signature=x", {"/data": ONCE}),
        ("data=x&data=y&signature=z", {"/data": ONCE}), ("data=x&signature=y&signature=z", {"/signature": ONCE}), ("data=&signature=y", {"/data": EMPTY}))},
    "JSON": (form("{}", "application/json"), 400, NO_FORM, {}),
    "parts": (form("data=x&signature=y", "multipart/form-data; boundary=x"), 400, NO_FORM, {}),
    "of no type": (make.gateway_event("data=x&signature=y", {}), 400, NO_FORM, {}),
    "nothing": (make.gateway_event(None, {}), 400, NO_FORM, {}),
    "no base64": (form("%%%", isBase64Encoded=True), 400, "The body cannot be decoded.", {}),
    "nine fields": (form("&".join(["a=1"] * 9)), 400, TOO_MANY, {}),
    "a byte more than 64 KiB": (form("signature=x&data=".ljust(65_537, "a")), 413, "The body may have at most 65536 bytes.", {}),
}  # fmt: skip


@pytest.mark.parametrize(("event", "status", "detail", "wrong"), WRONG.values(), ids=WRONG)
def test_what_is_no_webhook_is_named_counted_logged_and_leaves_no_trace(
    scene: Scene, capsys: pytest.CaptureFixture[str], event: dict[str, Any], status: int, detail: str, wrong: dict[str, str]
) -> None:  # fmt: skip
    answer = post(event)
    assert (answer.status, answer.document["detail"]) == (status, detail)
    assert {each["pointer"]: each["detail"] for each in answer.document.get("errors", [])} == wrong
    out = capsys.readouterr().out
    if status == 401:
        assert (answer.problem, '"WebhookForged":[1.0]' in out) == ("unauthenticated", True)
    else:
        assert ('"WebhookRejected":[1.0]' in out, '"message":"request refused"' in out, scene.secrets.calls) == (
            True,
            True,
            [],
        )
        assert all(f'"pointer":"{pointer}"' in out for pointer in wrong)
    assert (scene.table.items, scene.table.calls) == ({}, [])


def no_secret(code: str | None) -> Callable[[Scene], object]:
    return lambda scene: scene.secrets.out_of_reach(code)


TROUBLE: dict[str, tuple[Callable[[Scene], object], dict[str, Any]]] = {
    "no read": (lambda s: s.table.fail(lambda name, _: name == "get_item"), message("failure")),
    "no write": (lambda s: s.table.fail(lambda name, _: name == "put_item"), message("failure")),
    "no update": (lambda s: s.table.fail(lambda name, _: name == "update_item"), message()),
    **{f"no secret: {code}": (no_secret(code), form("data=x&signature=y")) for code in (
        None, "AccessDeniedException", "InternalServiceError", "ResourceNotFoundException")},
}  # fmt: skip


@pytest.mark.parametrize(("given", "event"), TROUBLE.values(), ids=TROUBLE)
def test_what_is_out_of_reach_is_500_so_that_the_provider_sends_again(
    scene: Scene, given: Callable[[Scene], object], event: dict[str, Any]
) -> None:
    given(scene)
    assert (post(event).status, scene.table.items) == (500, {})


def test_a_webhook_is_logged_by_what_it_is_and_what_it_did(scene: Scene, logged: Logged) -> None:
    applied = {"message": "webhook received", "outcome": "applied", "order_id": "123", "method": "void", "status": "success",
               "state": "voided", "request_id": "request-1", "level": "INFO"}  # fmt: skip
    post(message(card_mask="444455******1111"))
    (line,) = logged()
    assert {name: line[name] for name in applied} == applied
    post(make.webhook_event(*signed(b"x")))
    (line,) = logged()
    assert line["outcome"] == "quarantined"
    assert line.keys().isdisjoint({"order_id", "method", "status", "state"}), "what is not known is not said"


def test_a_plus_in_the_form_is_a_space_and_not_a_plus(scene: Scene) -> None:
    data, signature = signed(fields())
    body = f"data={quote(data)}&signature={signature.decode().replace('-', '+')}"
    assert (post(form(body)).status == 200) is (b"-" not in signature)


def test_what_a_copy_at_hand_proves_is_taken_while_secrets_manager_is_out_of_reach(scene: Scene) -> None:
    assert post(message("pending")).status == 200
    scene.secrets.out_of_reach()
    scene.wait(61)
    assert post(message()).status == 200
    assert post(form("data=x&signature=y")).status == 500  # forged, or signed with a secret that is new
