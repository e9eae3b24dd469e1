"""POST /v1/webhooks/financial-line: what is stored, what is refused, and what the provider is told."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

import receive_webhook
from payments.facts import State
from payments.orders import MOST_WEBHOOK_BYTES, Order, StoredWebhook, size_of
from payments.signatures import sign_webhook
from receive_webhook import WebhookOutcome, decode, mask, receive
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.scene import API_SECRET, OTHER, POS_ID, START, Scene, fields, signed
from tests.fakes.table import unzipped
from tests.unit.conftest import Counted, Logged, Said, plain, said

FORM = "application/x-www-form-urlencoded"
ALIVE = {"VoidWithoutWebhook": 0}
"""What each genuine webhook reports: they arrive."""


def post(event: dict[str, Any]) -> Said:
    return said(receive_webhook.handler(event, None))


def form(body: str, content_type: str = FORM, **more: object) -> dict[str, Any]:
    return make.gateway_event(body, {"Content-Type": content_type}, **more)


def message(status: str = "success", **more: Any) -> dict[str, Any]:
    return make.webhook_event(*signed(fields(status, **more)))


SUCCESS = message()
DATA = signed(fields())[0]
TAKEN = {
    "a success": (SUCCESS, "ORDER"),
    "in base64": (SUCCESS | {"body": base64.b64encode(SUCCESS["body"].encode()).decode(), "isBase64Encoded": True}, "ORDER"),
    "with further fields": (SUCCESS | {"body": SUCCESS["body"] + "&more=1"}, "ORDER"),
    **{f"said to be in {each}": (form(SUCCESS["body"], f"{FORM}; charset={each}"), "ORDER") for each in ("utf-16", "windows-1251", "iso-8859-1", "nonsense")},
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
FORGERIES = {
    **{f"signed {each!r}": make.webhook_event(DATA, each) for each in (
        b"", "підпис".encode(), b"\xff\xfe", b"x" * 28, b"Bcj3hb+h00HrEMIoJ5nPW5ZHlVQ=", sign_webhook("somebody-else", DATA))},
    **{f"changed at byte {place}": make.webhook_event(DATA[:place] + (b"B" if DATA[place:].startswith(b"A") else b"A") + DATA[place + 1 :],
                                                      signed(fields())[1]) for place in range(0, len(DATA), 40)},
    "64 KiB": form("signature=x&data=".ljust(65_536, "a")),
}  # fmt: skip
WRONG: dict[str, tuple[dict[str, Any], int, str, dict[str, str]]] = {
    **{f"forged: {name}": (event, 401, "The signature does not prove the message.", {}) for name, event in FORGERIES.items()},
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
        assert scene.secrets.calls == []
        assert all(text in out for text in ('"WebhookRejected":[1.0]', '"message":"request refused"'))
        assert all(f'"pointer":"{pointer}"' in out for pointer in wrong)
    assert (scene.table.items, scene.table.calls) == ({}, [])


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


# ---- proof before anything else, rotation, and what is kept when nothing can be used -----------------------------------------

APPLIED, STORED, _, QUARANTINED, FORGED = WebhookOutcome
LIVE = "the-live-project"


def outcome(scene: Scene, message: object, secret: str = API_SECRET) -> WebhookOutcome:
    return receive(scene.storage, *signed(message, secret)).outcome


def submitting(scene: Scene) -> Order:
    return scene.put(make.submitting())


def rotated(*secrets: str, fetched: bool = False, **changes: str) -> Callable[[Scene], object]:
    """The secret was replaced by each of these, one after the other; `fetched`: we have the copy from before."""

    def rotate(scene: Scene) -> object:
        if fetched:
            scene.secret.current(scene.deadline())
        for secret in secrets:
            scene.secrets.rotate(api_secret=secret, **changes)
        scene.wait(5.001)
        return scene

    return rotate


def amount(digits: str) -> bytes:
    return json.dumps(fields()).replace('"amount": 100', f'"amount": {digits}').encode()


def other_pos() -> dict[str, object]:
    return {**fields(pos_id="somebody-else"), "customer": {"email": "a@example.com"}, "card_mask": "444455******1111"}


def nothing(_: Scene) -> None:
    """Of the order nothing is known."""


PERSONAL = b'{"card":"4444 5555-6666 1111","pan":4444555566661111,"to":"ann@example.com"'
MESSAGES: dict[str, tuple[Callable[[Scene], object], object, str, WebhookOutcome, dict[str, object]]] = {
    # ---- who signed it
    "signed with the previous secret": (rotated("new"), fields(), API_SECRET, APPLIED, {"verified_with": "AWSPREVIOUS"}),
    "signed with a new secret": (rotated("new", fetched=True), fields(), "new", APPLIED, {"verified_with": "AWSCURRENT"}),
    "signed with a new one that is already the previous": (rotated("new", "newer", fetched=True), fields(), "new", APPLIED, {"verified_with": "AWSPREVIOUS"}),
    "signed with a secret of two rotations ago": (rotated("new", "newer"), fields(), API_SECRET, FORGED, {}),
    "signed with a previous version that is not ours": (lambda s: s.secrets.stages.update(AWSPREVIOUS="password"), fields(), "password", FORGED, {}),
    "beside such a version": (lambda s: s.secrets.stages.update(AWSPREVIOUS="password"), fields(), API_SECRET, APPLIED, {}),
    # ---- whose it is
    "without a project": (nothing, fields(pos_id=None), API_SECRET, APPLIED, {"pos_id": POS_ID}),
    "without a project, after another went live": (lambda s: (submitting(s), rotated("live", pos_id=LIVE)(s)), fields(pos_id=None), API_SECRET, APPLIED,
                                                   {"pos_id": POS_ID, "state": State.VOIDED}),
    "of the previous project": (rotated("live", pos_id=LIVE), fields(), API_SECRET, APPLIED, {"pos_id": POS_ID}),
    "of another project than its secret": (rotated("live", pos_id=LIVE), fields(pos_id=LIVE), API_SECRET, QUARANTINED, {"why": "other-pos-id"}),
    "of our project in capitals": (nothing, fields(pos_id=POS_ID.upper()), API_SECRET, APPLIED, {"pos_id": POS_ID}),
    "of somebody else, without private fields": (nothing, other_pos(), API_SECRET, QUARANTINED, {"why": "other-pos-id", "private": False}),
    "of an order whose id is a number": (submitting, fields(order_id=123), API_SECRET, APPLIED, {"state": State.VOIDED}),
    **{f"of the order {each!r}"[:25]: (nothing, fields(order_id=each), API_SECRET, QUARANTINED, {"why": "order-id"}) for each in (
        "", "x" * 33, "x" * 64, "0", ".", "..", "a\n", " 1", "1 ", "e\u0301", "a\ud83d", "\ufffd")},
    # ---- what it says
    **{f"of the method {each}": (submitting, fields("success", each), API_SECRET, STORED, {"state": State.SUBMITTING, "due_at": due})
       for each, due in (("auth", START + 25_000), ("capture", START), ("refund", START), ("purchase", START))},
    "a failure makes it due": (submitting, fields("failure"), API_SECRET, STORED, {"state": State.SUBMITTING, "due_at": START}),
    "a success that the answer has said before": (lambda s: s.put(pipe.order_in(State.VOIDED)), fields(), API_SECRET, STORED, {"state": State.VOIDED}),
    "pending with another id is under way": (lambda s: s.put(pipe.order_in(State.UNKNOWN)), fields("pending", operation_id=OTHER), API_SECRET, APPLIED, {"state": State.PENDING}),
    "in another currency": (submitting, fields(currency="EUR"), API_SECRET, APPLIED, {"state": State.VOIDED, "review": True}),
    **{f"in the currency {each!r}"[:25]: (nothing, fields(currency=each), API_SECRET, APPLIED, {"order_currency": None, "shows_provider": True})
       for each in ("", "uah", "980", "x" * 2000, "UA", "UAHH", "U1H", "ЄВР", None, 980)},
    **{f"with the amount {each[:9]}": (submitting, amount(each), API_SECRET, APPLIED, {"state": State.VOIDED})
       for each in ("1e1000000000000000000", "1E+2", "9" * 5000, "-0.0", "1e-400")},
    "with half a surrogate pair": (nothing, fields(comment="\ud83d", status_description="x\udc00"), API_SECRET, APPLIED, {"comment": "\ufffd"}),
    # ---- what cannot be read
    **{f"unreadable: {str(each)[:20]}": (nothing, each, API_SECRET, QUARANTINED, {"why": "unreadable"}) for each in (
        b"", b"text", b"{", b"[]", b"\xff", b"[" * 20_000, {"order_id": "1"}, b'{"method":"void","status":"success","order_id":"1","order_id":"2"}',
        fields(method="vo\nid"), fields(status="succ\x07ess"), fields(method="\u202evoid"))},
    "unreadable, kept decoded": (nothing, b'{"method": 5}', API_SECRET, QUARANTINED, {"text": '{"method": 5}'}),
    "unreadable, with cards and addresses": (nothing, PERSONAL, API_SECRET, QUARANTINED, {"private": False}),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message", "secret", "became", "then"), MESSAGES.values(), ids=plain(MESSAGES))
def test_a_message(
    scene: Scene, given: Callable[[Scene], object], message: object, secret: str, became: WebhookOutcome, then: dict[str, Any]
) -> None:  # fmt: skip
    given(scene)
    assert outcome(scene, message, secret) is became
    kept = [item for (pk, _), item in scene.table.items.items() if pk.startswith("QUARANTINE#")]
    assert len(kept) == (became is QUARANTINED)
    assert (became is FORGED) is (scene.table.calls == [])
    stored = json.dumps(list(scene.table.items.values()), default=unzipped)
    seen: dict[str, object] = {"private": any(text in stored for text in ("4444", "1111", "ann", "example.com"))}
    if kept:
        assert len(kept[0]["text"]["S"]) <= 16_384
        seen |= {"why": kept[0]["why"]["S"], "text": kept[0]["text"]["S"]}
    elif became is not FORGED:
        order, void = scene.order(), scene.record()
        seen |= {"pos_id": order.pos_id, "verified_with": order.newest_webhooks[-1].verified_with, "state": void.state,
                 "due_at": void.due_at, "review": void.review, "order_currency": void.order_currency,
                 "shows_provider": void.provider is not None, "comment": (void.provider or {}).get("comment")}  # fmt: skip
    assert {name: seen[name] for name in then} == then


def test_a_forged_message_is_not_even_decoded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receive_webhook.decode", lambda data: pytest.fail("parsed before the proof"))
    assert receive(scene.storage, b"data", b"signature").outcome is FORGED


def test_forged_rests_on_copies_at_most_five_seconds_old_and_strangers_cannot_make_us_fetch_without_end(
    scene: Scene,
) -> None:
    scene.secrets.rotate(api_secret="new")
    scene.secret.current(scene.deadline())
    scene.secret.previous(scene.deadline())
    for wait, fetched in ((5, 2), (0.001, 4)):
        scene.wait(wait)
        for _ in range(100):
            assert outcome(scene, fields(), "wrong") is FORGED
        assert scene.secrets.calls == ["AWSCURRENT", "AWSPREVIOUS"] * (fetched // 2)


def test_it_is_read_in_the_alphabet_of_urls_without_line_breaks_and_padding_is_forgiven(scene: Scene) -> None:
    data = base64.urlsafe_b64encode(json.dumps(fields(comment="???>>>~~~")).encode())
    assert set(b"-_") & set(data)
    assert decode(data) is not None
    assert decode(data[:40] + b"\n" + data[40:]) is None
    data, _ = signed(fields())
    assert decode(data.rstrip(b"=")) == decode(data)
    # What is no base64 at all is kept as it came.
    assert receive(scene.storage, b"%%%", sign_webhook(API_SECRET, b"%%%")).outcome is QUARANTINED
    assert [(item["why"], item["text"]) for item in scene.table.items.values()] == [({"S": "unreadable"}, {"S": "%%%"})]


def test_what_looks_personal_is_masked_and_no_more() -> None:
    assert mask("order 123, 2026-11-24") == "order 123, 2026-11-24"
    assert mask("42424242424, 424242424242") == "42424242424, [masked]", "from twelve digits on"
    assert mask("4444555566661111 of ann@example.com") == "[masked] of [masked]"


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_the_last_byte_is_used(more: int, fits: bool) -> None:
    webhook = StoredWebhook("digest", START, "AWSCURRENT", make.operation("pending"))
    room = MOST_WEBHOOK_BYTES - 2 * size_of(webhook) + len("10101") + more
    said = webhook.operation._replace(fields={**webhook.operation.fields, "comment": "x" * room})
    first = StoredWebhook("first", START, "AWSCURRENT", said)
    order = Order(POS_ID, make.ORDER).with_webhook(first).with_webhook(webhook)
    assert (len(order.webhooks), order.more_webhooks) == (1 + fits, not fits)
