"""Proof before anything else, rotation, repetition, any order of arrival, and what is kept when nothing can be used."""

import base64
import hashlib
import itertools
import json
from copy import replace
from pathlib import Path
from typing import Any

import pytest

from payments.claims import Result
from payments.facts import State
from payments.orders import MOST_WEBHOOK_BYTES, MOST_WEBHOOKS, Order, StoredWebhook, size_of
from payments.secret import SecretError
from payments.signatures import sign_webhook
from payments.store import StoreError
from receive_webhook import WebhookOutcome, decode, mask, receive
from submit_void import submit
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import OTHER, Scene, fields, request, signed
from tests.fakes.secret import PUBLISHED
from tests.fakes.table import error

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors/financial-line.json").read_text())


@pytest.fixture
def scene() -> Scene:
    """One order of which nothing is known."""
    return Scene()


def outcome(scene: Scene, message: object, secret: str = make.API_SECRET) -> WebhookOutcome:
    return receive(scene.storage, *signed(message, secret)).outcome


@pytest.mark.parametrize("vector", VECTORS["webhooks"], ids=lambda vector: vector["id"])
def test_every_published_message_is_taken_or_refused(vector: dict[str, Any]) -> None:
    scene = Scene({**PUBLISHED, "api_secret": vector["secret"]})
    received = receive(scene.storage, vector["data"].encode(), vector["signature"].encode())
    assert (received.outcome is not WebhookOutcome.FORGED) is vector["valid"]
    assert bool(scene.table.items) is vector["valid"]


def test_a_forged_message_is_not_even_decoded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receive_webhook.decode", lambda data: pytest.fail("parsed before the proof"))
    assert receive(scene.storage, b"data", b"signature").outcome is WebhookOutcome.FORGED
    assert scene.table.calls == []


class TestRotation:
    def test_the_previous_secret_still_proves(self, scene: Scene) -> None:
        scene.secrets.rotate(api_secret="new")
        assert outcome(scene, fields()) is WebhookOutcome.APPLIED
        assert scene.order().newest_webhooks[0].verified_with == "AWSPREVIOUS"

    def test_a_message_signed_with_a_new_secret_is_believed_at_once(self, scene: Scene) -> None:
        scene.secret.current(scene.deadline())
        scene.secrets.rotate(api_secret="new")
        scene.wait(5.001)
        assert outcome(scene, fields(), "new") is WebhookOutcome.APPLIED
        assert scene.order().newest_webhooks[0].verified_with == "AWSCURRENT"

    def test_one_signed_with_a_secret_that_is_already_the_previous_one_is_believed_too(self, scene: Scene) -> None:
        scene.secret.current(scene.deadline())
        scene.secrets.rotate(api_secret="new")
        scene.secrets.rotate(api_secret="newer")
        scene.wait(5.001)
        assert outcome(scene, fields(), "new") is WebhookOutcome.APPLIED
        assert scene.order().newest_webhooks[0].verified_with == "AWSPREVIOUS"

    def test_a_secret_of_two_rotations_ago_proves_nothing(self, scene: Scene) -> None:
        scene.secrets.rotate(api_secret="new")
        scene.secrets.rotate(api_secret="newer")
        assert outcome(scene, fields()) is WebhookOutcome.FORGED

    def test_forged_rests_on_copies_at_most_five_seconds_old(self, scene: Scene) -> None:
        scene.secrets.rotate(api_secret="new")
        scene.secret.current(scene.deadline())
        scene.secret.previous(scene.deadline())
        scene.secrets.calls.clear()
        scene.wait(5)
        assert outcome(scene, fields(), "wrong") is WebhookOutcome.FORGED
        assert scene.secrets.calls == []
        scene.wait(0.001)
        assert outcome(scene, fields(), "wrong") is WebhookOutcome.FORGED
        assert scene.secrets.calls == ["AWSCURRENT", "AWSPREVIOUS"]

    def test_strangers_cannot_make_us_fetch_without_end(self, scene: Scene) -> None:
        scene.secrets.stages["AWSPREVIOUS"] = scene.secrets.stages["AWSCURRENT"]
        for _ in range(100):
            outcome(scene, fields(), "wrong")
        assert len(scene.secrets.calls) == 2

    def test_a_previous_version_that_is_not_ours_is_none(self, scene: Scene) -> None:
        scene.secrets.stages["AWSPREVIOUS"] = "a generated password"
        assert outcome(scene, fields(), "a generated password") is WebhookOutcome.FORGED
        assert outcome(scene, fields()) is WebhookOutcome.APPLIED

    def test_a_secret_out_of_reach_is_an_error_and_not_a_forgery(self, scene: Scene) -> None:
        scene.secrets.out_of_reach()
        with pytest.raises(SecretError):
            outcome(scene, fields())
        assert scene.table.items == {}


class TestRepetition:
    @pytest.mark.parametrize("status", ["success", "failure", "pending"])
    @pytest.mark.parametrize("known", [True, False])
    def test_ten_deliveries_are_as_good_as_one(self, status: str, known: bool) -> None:
        once, often = Scene(), Scene()
        for scene, times in ((once, 1), (often, 10)):
            if known:
                scene.put(make.submitting())
            for _ in range(times):
                receive(scene.storage, *signed(fields(status)))
        assert once.table.items.keys() == often.table.items.keys()
        if known:
            assert once.record().state is often.record().state

    def test_a_webhook_is_stored_and_applied_by_one_write_or_not_at_all(self, scene: Scene) -> None:
        scene.provider.answers = [make.answer("pending")]
        submit(scene.systems, request())

        def die(name: str, arguments: dict[str, Any]) -> None:
            if name == "put_item":
                raise error("InternalServerError", name)

        scene.table.before = die
        with pytest.raises(StoreError):
            outcome(scene, fields())
        scene.table.before = lambda name, arguments: None
        assert (scene.record().state, scene.order().webhooks) == (State.PENDING, {})
        assert outcome(scene, fields()) is WebhookOutcome.APPLIED
        assert outcome(scene, fields()) is WebhookOutcome.DUPLICATE
        assert scene.record().state is State.VOIDED

    def test_a_write_whose_answer_was_lost_is_recognised(self, scene: Scene) -> None:
        scene.table.lose_next_answer("put_item")
        assert outcome(scene, fields()) is WebhookOutcome.APPLIED
        scene.table.lose_next_answer("put_item", repeated=False)
        with pytest.raises(StoreError):
            outcome(scene, fields("failure"))
        assert outcome(scene, fields("failure")) is WebhookOutcome.DUPLICATE


MESSAGES = [fields("pending"), fields("failure"), fields("success"), fields("success", "auth", "hold")]


@pytest.mark.parametrize("known", ["no record", "submitting", "pending", "failed"])
def test_any_order_of_arrival_ends_in_the_same_state(known: str) -> None:
    ends = set()
    for order in itertools.permutations(range(len(MESSAGES))):
        scene = Scene()
        if known == "submitting":
            scene.put(make.submitting())
        elif known == "pending":
            scene.provider.answers = [make.answer("pending")]
            submit(scene.systems, request())
        elif known == "failed":
            scene.provider.answers, scene.provider.views = [say.REFUSED], [make.HELD]
            assert submit(scene.systems, request()).judged.result is Result.NOT_VOIDABLE
        for index in order:
            receive(scene.storage, *signed(MESSAGES[index]))
        void = scene.record()
        provider = json.dumps(void.provider, sort_keys=True, default=str)
        # Without a request of ours a failure is shown as soon as it is reported: then the success corrects it.
        corrected = None if known == "no record" else (void.corrected, void.review)
        ends.add((void.state, corrected, void.due_at, provider, tuple(sorted(scene.table.items))))
    assert len(ends) == 1
    ((state, corrected, due_at, *_),) = ends
    failed = known == "failed"
    assert (state, corrected, due_at) == (State.VOIDED, corrected and (failed, failed), None)


class TestWhatCounts:
    def test_other_operations_are_stored_and_move_nothing(self, scene: Scene) -> None:
        scene.put(make.submitting())
        for method in ("auth", "capture", "refund", "purchase"):
            assert outcome(scene, fields("success", method)) is WebhookOutcome.STORED
        # A capture or a row of another method is a reason to query, and proves nothing.
        assert (scene.record().state, scene.record().due_at) == (State.SUBMITTING, scene.at)
        assert len(scene.order().webhooks) == 4

    def test_a_failure_makes_the_void_due_now(self, scene: Scene) -> None:
        scene.put(make.submitting())
        scene.wait(1)
        assert outcome(scene, fields("failure")) is WebhookOutcome.STORED
        assert (scene.record().state, scene.record().due_at) == (State.SUBMITTING, scene.at)

    def test_a_pending_message_with_another_id_is_under_way(self, scene: Scene) -> None:
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.systems, request())
        assert outcome(scene, fields("pending", operation_id=OTHER)) is WebhookOutcome.APPLIED
        assert scene.record().state is State.PENDING

    def test_a_success_in_another_currency_is_a_review(self, scene: Scene) -> None:
        scene.put(make.submitting())
        assert outcome(scene, fields(currency="EUR")) is WebhookOutcome.APPLIED
        assert (scene.record().state, scene.record().review) == (State.VOIDED, True)

    def test_a_message_without_a_pos_id_is_ours(self, scene: Scene) -> None:
        assert outcome(scene, fields(pos_id=None)) is WebhookOutcome.APPLIED
        assert scene.order().pos_id == make.POS_ID

    def test_missing_padding_is_forgiven_in_the_decoding(self) -> None:
        data, _ = signed(fields())
        assert decode(data.rstrip(b"=")) == decode(data)


class TestQuarantine:
    @pytest.mark.parametrize(
        "message",
        [
            b"",
            b"text",
            b"{",
            b"[]",
            b"\xff",
            b"[" * 5_000,
            {"order_id": "1"},
            b'{"method":"void","status":"success","order_id":"1","order_id":"2"}',
        ],
    )
    def test_takes_what_is_genuine_but_unreadable(self, scene: Scene, message: object) -> None:
        assert outcome(scene, message) is WebhookOutcome.QUARANTINED
        ((key, item),) = scene.table.items.items()
        assert key[0].startswith("QUARANTINE#")
        assert len(item["text"]["S"]) <= 16_384

    @pytest.mark.parametrize(
        "message", [b"text", fields(method="vo\nid"), fields(status="succ\x07ess"), fields(method="\u202evoid")]
    )
    def test_says_that_it_is_unreadable_also_where_method_or_status_are_no_text(
        self, scene: Scene, message: object
    ) -> None:
        assert outcome(scene, message) is WebhookOutcome.QUARANTINED
        ((_, item),) = scene.table.items.items()
        assert item["why"] == {"S": "unreadable"}

    def test_reads_the_alphabet_of_urls_and_no_line_breaks(self) -> None:
        raw = json.dumps(fields(comment="???>>>~~~")).encode()
        data = base64.urlsafe_b64encode(raw)
        assert set(b"-_") & set(data)
        assert decode(data) is not None
        assert decode(data[:40] + b"\n" + data[40:]) is None

    def test_takes_what_is_no_base64_as_it_came(self, scene: Scene) -> None:
        received = receive(scene.storage, b"%%%", sign_webhook(make.API_SECRET, b"%%%"))
        assert received.outcome is WebhookOutcome.QUARANTINED
        ((_, item),) = scene.table.items.items()
        assert (item["why"], item["text"]) == ({"S": "unreadable"}, {"S": "%%%"})

    def test_keeps_what_it_cannot_read_decoded(self, scene: Scene) -> None:
        outcome(scene, b'{"method": 5}')
        ((_, item),) = scene.table.items.items()
        assert item["text"] == {"S": '{"method": 5}'}

    def test_takes_the_message_of_another_pos_without_its_private_fields(self, scene: Scene) -> None:
        message = {
            **fields(pos_id="somebody-else"),
            "customer": {"email": "a@example.com"},
            "card_mask": "444455******1111",
        }
        assert outcome(scene, message) is WebhookOutcome.QUARANTINED
        stored = json.dumps(list(scene.table.items.values()))
        assert '"why": {"S": "other-pos-id"}' in stored
        assert "example.com" not in stored
        assert "444455" not in stored

    def test_masks_cards_and_addresses_in_what_it_cannot_read(self, scene: Scene) -> None:
        outcome(scene, b'{"card":"4444 5555-6666 1111","pan":4444555566661111,"to":"ann@example.com"')
        stored = json.dumps(list(scene.table.items.values()))
        assert not any(text in stored for text in ("4444", "1111", "ann", "example.com"))
        assert mask("order 123, 2026-11-24") == "order 123, 2026-11-24"
        assert mask("4444555566661111 of ann@example.com") == "[masked] of [masked]"

    @pytest.mark.parametrize(
        "order_id", ["", "x" * 33, "x" * 64, "0", ".", "..", "a\n", " 1", "1 ", "e\u0301", "a\ud83d", "\ufffd"]
    )
    def test_takes_orders_that_the_provider_could_not_have_had_from_us(self, scene: Scene, order_id: str) -> None:
        assert outcome(scene, fields(order_id=order_id)) is WebhookOutcome.QUARANTINED
        ((key, item),) = scene.table.items.items()
        assert (key[0].split("#")[0], item["why"]["S"]) == ("QUARANTINE", "order-id")


class TestWhatTheProviderMaySend:
    @pytest.mark.parametrize("currency", ["uah", "980", "x" * 2000, "UA", "ЄВР", None, 980])
    def test_a_currency_that_is_none_is_kept_among_its_fields_only(self, scene: Scene, currency: object) -> None:
        assert outcome(scene, fields(currency=currency)) is WebhookOutcome.APPLIED
        assert scene.record().order_currency is None
        assert scene.record().provider is not None

    @pytest.mark.parametrize("amount", ["1e1000000000000000000", "1E+2", "9" * 5000, "-0.0", "1e-400"])
    def test_no_number_crashes_it(self, scene: Scene, amount: str) -> None:
        scene.put(make.submitting())
        text = json.dumps(fields()).replace('"amount": 100', f'"amount": {amount}').encode()
        assert outcome(scene, text) is WebhookOutcome.APPLIED
        assert scene.record().state is State.VOIDED

    def test_half_a_surrogate_pair_does_no_harm(self, scene: Scene) -> None:
        assert outcome(scene, fields(comment="\ud83d", status_description="x\udc00")) is WebhookOutcome.APPLIED
        provider = scene.record().provider
        assert provider is not None
        assert provider["comment"] == "\ufffd"


class TestProjects:
    def test_a_message_without_a_pos_id_belongs_to_the_project_whose_secret_proved_it(self, scene: Scene) -> None:
        scene.put(make.submitting())
        scene.secrets.rotate(pos_id="the-live-project", api_secret="live")
        assert outcome(scene, fields(pos_id=None)) is WebhookOutcome.APPLIED
        assert scene.record().state is State.VOIDED
        assert all(pk.startswith(make.POS_ID) for pk, _ in scene.table.items)

    def test_one_that_names_the_previous_project_is_stored_there(self, scene: Scene) -> None:
        scene.secrets.rotate(pos_id="the-live-project", api_secret="live")
        assert outcome(scene, fields()) is WebhookOutcome.APPLIED
        assert scene.order().pos_id == make.POS_ID

    def test_one_that_names_a_project_other_than_its_secrets_is_quarantined(self, scene: Scene) -> None:
        scene.secrets.rotate(pos_id="the-live-project", api_secret="live")
        assert outcome(scene, fields(pos_id="the-live-project")) is WebhookOutcome.QUARANTINED

    def test_a_project_in_capitals_is_the_same(self, scene: Scene) -> None:
        assert outcome(scene, fields(pos_id=make.POS_ID.upper())) is WebhookOutcome.APPLIED


class TestRoundTrips:
    def calls(self, scene: Scene) -> list[str]:
        return [name for name, _ in scene.table.calls]

    def test_one_when_the_void_is_done_and_the_webhook_adds_nothing(self, scene: Scene) -> None:
        scene.provider.answers = [make.answer()]
        submit(scene.systems, request())
        scene.table.calls.clear()
        assert outcome(scene, fields()) is WebhookOutcome.STORED
        assert self.calls(scene) == ["update_item"]
        assert outcome(scene, fields()) is WebhookOutcome.DUPLICATE
        assert self.calls(scene) == ["update_item"] * 2

    @pytest.mark.parametrize("known", [True, False])
    @pytest.mark.parametrize("status", ["success", "failure", "pending"])
    def test_two_otherwise(self, scene: Scene, known: bool, status: str) -> None:
        if known:
            scene.put(make.submitting())
        scene.table.calls.clear()
        outcome(scene, fields(status))
        assert len(self.calls(scene)) == 2


class TestTooMany:
    def full(self, scene: Scene, order: Order) -> None:
        for number in range(MOST_WEBHOOKS):
            webhook = StoredWebhook(f"digest-{number}", make.START, "AWSCURRENT", make.operation("pending", "auth"))
            order = order.with_webhook(webhook, 100)
        scene.put(order)

    def test_a_further_one_is_quarantined_and_reviewed_and_still_counts(self, scene: Scene) -> None:
        self.full(scene, make.submitting())
        assert outcome(scene, fields()) is WebhookOutcome.QUARANTINED
        assert (scene.record().state, scene.record().review) == (State.VOIDED, True)
        assert scene.order().more_webhooks
        assert [item["why"]["S"] for (pk, _), item in scene.table.items.items() if pk.startswith("Q")] == ["too-many"]
        assert outcome(scene, fields()) is WebhookOutcome.QUARANTINED

    def test_a_repetition_of_one_that_is_there_is_none(self, scene: Scene) -> None:
        self.full(scene, Order(make.POS_ID, make.ORDER))
        order = scene.order()
        data = signed(fields("pending"))[0]
        known = next(iter(order.webhooks.values()))._replace(digest=hashlib.sha256(data).hexdigest())
        webhooks = {**order.webhooks, known.digest: known}
        webhooks.pop("digest-5")
        scene.put(replace(order, webhooks=webhooks))
        assert outcome(scene, fields("pending")) is WebhookOutcome.DUPLICATE

    @pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
    def test_the_last_byte_is_used(self, more: int, fits: bool) -> None:
        webhook = StoredWebhook("digest", make.START, "AWSCURRENT", make.operation("pending"))
        size = size_of(webhook.operation.fields)
        order = replace(Order(make.POS_ID, make.ORDER), webhook_bytes=MOST_WEBHOOK_BYTES - size + more)
        order = order.with_webhook(webhook, size)
        assert (bool(order.webhooks), order.more_webhooks) == (fits, not fits)

    def test_so_many_bytes_too(self, scene: Scene) -> None:
        for number in range(100):
            outcome(scene, fields("pending", comment="ї" * 2000, operation_id=str(number)))
        assert 10 < len(scene.order().webhooks) < 20
        assert scene.order().webhook_bytes <= MOST_WEBHOOK_BYTES


def test_an_order_id_that_comes_as_a_number_is_the_orders(scene: Scene) -> None:
    scene.put(make.submitting())
    assert outcome(scene, fields(order_id=123)) is WebhookOutcome.APPLIED
    assert scene.record().state is State.VOIDED
