"""Proof before anything else, rotation, repetition, any order of arrival, and what is kept when nothing can be used."""

import base64
import hashlib
import json
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest

from payments.facts import State
from payments.orders import MOST_WEBHOOK_BYTES, MOST_WEBHOOKS, Order, StoredWebhook, size_of
from payments.signatures import sign_webhook
from receive_webhook import WebhookOutcome, decode, mask, receive
from submit_void import submit
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import API_SECRET, OTHER, POS_ID, START, Scene, fields, request, signed
from tests.unit.conftest import plain

APPLIED, STORED, DUPLICATE, QUARANTINED, FORGED = WebhookOutcome
LIVE = "the-live-project"


def outcome(scene: Scene, message: object, secret: str = API_SECRET) -> WebhookOutcome:
    return receive(scene.storage, *signed(message, secret)).outcome


def submitting(scene: Scene) -> None:
    scene.put(make.submitting())


def answered(line: Any, *views: Any) -> Callable[[Scene], None]:
    """A request has been made, and this was its answer."""

    def submit_it(scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [line], [*views]
        submit(scene.systems, request())

    return submit_it


def rotated(
    *secrets: str, fetched: bool = False, given: Callable[[Scene], None] | None = None, **changes: str
) -> Callable[[Scene], None]:
    """The secret was replaced by each of these, one after the other; `fetched`: we have the copy from before."""

    def rotate(scene: Scene) -> None:
        (given or nothing)(scene)
        if fetched:
            scene.secret.current(scene.deadline())
        for secret in secrets:
            scene.secrets.rotate(api_secret=secret, **changes)
        scene.wait(5.001)

    return rotate


def after_a_second(scene: Scene) -> None:
    submitting(scene)
    scene.wait(1)


def amount(digits: str) -> bytes:
    return json.dumps(fields()).replace('"amount": 100', f'"amount": {digits}').encode()


def other_pos() -> dict[str, object]:
    return {**fields(pos_id="somebody-else"), "customer": {"email": "a@example.com"}, "card_mask": "444455******1111"}


def nothing(_: Scene) -> None:
    """Of the order nothing is known."""


PERSONAL = b'{"card":"4444 5555-6666 1111","pan":4444555566661111,"to":"ann@example.com"'
MESSAGES: dict[str, tuple[Callable[[Scene], None], object, str, WebhookOutcome, dict[str, object]]] = {
    # ---- who signed it
    "signed with the previous secret": (rotated("new"), fields(), API_SECRET, APPLIED, {"verified_with": "AWSPREVIOUS"}),
    "signed with a new secret": (rotated("new", fetched=True), fields(), "new", APPLIED, {"verified_with": "AWSCURRENT"}),
    "signed with a new one that is already the previous": (rotated("new", "newer", fetched=True), fields(), "new", APPLIED, {"verified_with": "AWSPREVIOUS"}),
    "signed with a secret of two rotations ago": (rotated("new", "newer"), fields(), API_SECRET, FORGED, {}),
    "signed with a previous version that is not ours": (lambda s: s.secrets.stages.update(AWSPREVIOUS="password"), fields(), "password", FORGED, {}),
    "beside such a version": (lambda s: s.secrets.stages.update(AWSPREVIOUS="password"), fields(), API_SECRET, APPLIED, {}),
    # ---- whose it is
    "without a project": (nothing, fields(pos_id=None), API_SECRET, APPLIED, {"pos_id": POS_ID}),
    "without a project, after another went live": (rotated("live", pos_id=LIVE, given=submitting), fields(pos_id=None), API_SECRET, APPLIED,
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
    "a failure makes it due": (after_a_second, fields("failure"), API_SECRET, STORED, {"state": State.SUBMITTING, "due_at": START + 1_000}),
    "a success that the answer has said before": (answered(make.answer()), fields(), API_SECRET, STORED, {"state": State.VOIDED}),
    "pending with another id is under way": (answered(say.UNKNOWN), fields("pending", operation_id=OTHER), API_SECRET, APPLIED, {"state": State.PENDING}),
    "in another currency": (submitting, fields(currency="EUR"), API_SECRET, APPLIED, {"state": State.VOIDED, "review": True}),
    **{f"in the currency {each!r}"[:25]: (nothing, fields(currency=each), API_SECRET, APPLIED, {"order_currency": None, "shows_provider": True})
       for each in ("", "uah", "980", "x" * 2000, "UA", "UAHH", "U1H", "ЄВР", None, 980)},
    **{f"with the amount {each[:9]}": (submitting, amount(each), API_SECRET, APPLIED, {"state": State.VOIDED})
       for each in ("1e1000000000000000000", "1E+2", "9" * 5000, "-0.0", "1e-400")},
    "with half a surrogate pair": (nothing, fields(comment="\ud83d", status_description="x\udc00"), API_SECRET, APPLIED, {"comment": "\ufffd"}),
    # ---- what cannot be read
    **{f"unreadable: {str(each)[:20]}": (nothing, each, API_SECRET, QUARANTINED, {"why": "unreadable"}) for each in (
        b"", b"text", b"{", b"[]", b"\xff", b"[" * 5_000, {"order_id": "1"}, b'{"method":"void","status":"success","order_id":"1","order_id":"2"}',
        fields(method="vo\nid"), fields(status="succ\x07ess"), fields(method="\u202evoid"))},
    "unreadable, kept decoded": (nothing, b'{"method": 5}', API_SECRET, QUARANTINED, {"text": '{"method": 5}'}),
    "unreadable, with cards and addresses": (nothing, PERSONAL, API_SECRET, QUARANTINED, {"private": False}),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message", "secret", "became", "then"), MESSAGES.values(), ids=plain(MESSAGES))
def test_a_message(
    scene: Scene, given: Callable[[Scene], None], message: object, secret: str, became: WebhookOutcome, then: dict[str, Any]
) -> None:  # fmt: skip
    given(scene)
    assert outcome(scene, message, secret) is became
    kept = [item for (pk, _), item in scene.table.items.items() if pk.startswith("QUARANTINE#")]
    assert len(kept) == (became is QUARANTINED)
    assert (became is FORGED) is (scene.table.calls == [])
    stored = json.dumps(list(scene.table.items.values()))
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
    assert mask("4444555566661111 of ann@example.com") == "[masked] of [masked]"


# ---- too many ----------------------------------------------------------------------------------------------------------


def full(scene: Scene, order: Order) -> None:
    for number in range(MOST_WEBHOOKS):
        webhook = StoredWebhook(f"digest-{number}", START, "AWSCURRENT", make.operation("pending", "auth"))
        order = order.with_webhook(webhook, 100)
    scene.put(order)


def test_a_further_one_is_quarantined_and_reviewed_and_still_counts(scene: Scene) -> None:
    full(scene, make.submitting())
    for _ in range(2):
        assert outcome(scene, fields()) is QUARANTINED
        assert (scene.record().state, scene.record().review) == (State.VOIDED, True)
        assert scene.order().more_webhooks
        assert [item["why"]["S"] for (pk, _), item in scene.table.items.items() if pk.startswith("Q")] == ["too-many"]


def test_a_repetition_of_one_that_is_there_is_no_further_one(scene: Scene) -> None:
    full(scene, Order(POS_ID, make.ORDER))
    webhooks = dict(scene.order().webhooks)
    known = webhooks.pop("digest-5")._replace(digest=hashlib.sha256(signed(fields("pending"))[0]).hexdigest())
    scene.put(replace(scene.order(), webhooks={**webhooks, known.digest: known}))
    assert outcome(scene, fields("pending")) is DUPLICATE


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_the_last_byte_is_used(more: int, fits: bool) -> None:
    webhook = StoredWebhook("digest", START, "AWSCURRENT", make.operation("pending"))
    size = size_of(webhook.operation.fields)
    order = replace(Order(POS_ID, make.ORDER), webhook_bytes=MOST_WEBHOOK_BYTES - size + more)
    order = order.with_webhook(webhook, size)
    assert (bool(order.webhooks), order.more_webhooks) == (fits, not fits)
