"""Proof before anything else, rotation, repetition, any order of arrival, and what is kept when nothing can be used."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from payments.operations import State
from payments.secret import SecretError
from payments.store import StoreError
from payments.voids import Result, submit
from payments.webhooks import Fate, decode, mask, receive
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import OTHER, Scene, fields, request, signed
from tests.fakes.table import error

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/financial-line.json").read_text())


@pytest.fixture
def scene() -> Scene:
    """One order of which nothing is known."""
    return Scene()


def fate(scene: Scene, message: object, secret: str = make.API_SECRET) -> Fate:
    return receive(scene.inbox, *signed(message, secret)).fate


@pytest.mark.parametrize("vector", VECTORS["webhooks"], ids=lambda vector: vector["id"])
def test_every_published_message_is_taken_or_refused(vector: dict[str, Any]) -> None:
    scene = Scene({**make.PUBLISHED, "api_secret": vector["secret"]})
    received = receive(scene.inbox, vector["data"].encode(), vector["signature"].encode())
    assert (received.fate is not Fate.FORGED) is vector["valid"]
    assert bool(scene.table.items) is vector["valid"]


def test_a_forged_message_is_not_even_decoded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.webhooks.decode", lambda data: pytest.fail("parsed before the proof"))
    assert receive(scene.inbox, b"data", b"signature").fate is Fate.FORGED
    assert scene.table.calls == []


class TestRotation:
    def test_the_previous_secret_still_proves(self, scene: Scene) -> None:
        scene.secrets.rotate("new")
        assert fate(scene, fields()) is Fate.APPLIED
        assert scene.store.timeline(make.POS_ID, "123")[1][0].verified_with == "AWSPREVIOUS"

    def test_a_message_signed_with_a_new_secret_is_believed_at_once(self, scene: Scene) -> None:
        scene.secret.current()
        scene.secrets.rotate("new")
        scene.wait(5.001)
        assert fate(scene, fields(), "new") is Fate.APPLIED

    def test_a_secret_of_two_rotations_ago_proves_nothing(self, scene: Scene) -> None:
        scene.secrets.rotate("new")
        scene.secrets.rotate("newer")
        assert fate(scene, fields()) is Fate.FORGED

    def test_forged_rests_on_copies_at_most_five_seconds_old(self, scene: Scene) -> None:
        scene.secrets.rotate("new")
        scene.secret.current()
        scene.secret.previous()
        scene.secrets.calls.clear()
        scene.wait(5)
        assert fate(scene, fields(), "wrong") is Fate.FORGED
        assert scene.secrets.calls == []
        scene.wait(0.001)
        assert fate(scene, fields(), "wrong") is Fate.FORGED
        assert scene.secrets.calls == ["AWSCURRENT", "AWSPREVIOUS"]

    def test_strangers_cannot_make_us_fetch_without_end(self, scene: Scene) -> None:
        scene.secrets.stages["AWSPREVIOUS"] = scene.secrets.stages["AWSCURRENT"]
        for _ in range(100):
            fate(scene, fields(), "wrong")
        assert len(scene.secrets.calls) == 2

    def test_a_previous_version_that_is_not_ours_is_none(self, scene: Scene) -> None:
        scene.secrets.stages["AWSPREVIOUS"] = "a generated password"
        assert fate(scene, fields(), "a generated password") is Fate.FORGED
        assert fate(scene, fields()) is Fate.APPLIED

    def test_a_secret_out_of_reach_is_an_error_and_not_a_forgery(self, scene: Scene) -> None:
        scene.secrets.out_of_reach()
        with pytest.raises(SecretError):
            fate(scene, fields())
        assert scene.table.items == {}


class TestRepetition:
    @pytest.mark.parametrize("status", ["success", "failure", "pending"])
    @pytest.mark.parametrize("known", [True, False])
    def test_ten_deliveries_are_as_good_as_one(self, status: str, known: bool) -> None:
        once, often = Scene(), Scene()
        for scene, times in ((once, 1), (often, 10)):
            if known:
                scene.store.create(make.submitting(), "w")
            for _ in range(times):
                receive(scene.inbox, *signed(fields(status)))
        assert once.table.items.keys() == often.table.items.keys()
        if known:
            assert once.record().state is often.record().state

    def test_a_repetition_applies_what_the_first_delivery_could_not(self, scene: Scene) -> None:
        scene.provider.answers = [make.answer("pending")]
        submit(scene.world, request())

        def die_after_the_event(name: str, arguments: dict[str, Any]) -> None:
            if name == "put_item" and arguments["Item"]["sk"]["S"] == "VOID":
                raise error("InternalServerError", name)

        scene.table.before = die_after_the_event
        with pytest.raises(StoreError):
            fate(scene, fields())
        scene.table.before = lambda name, arguments: None
        assert scene.record().state is State.PENDING
        assert fate(scene, fields()) is Fate.APPLIED
        assert fate(scene, fields()) is Fate.DUPLICATE
        assert scene.record().state is State.VOIDED

    def test_a_write_whose_answer_was_lost_is_recognised(self, scene: Scene) -> None:
        scene.table.lose_next_answer("transact_write_items")
        assert fate(scene, fields()) is Fate.APPLIED
        scene.table.lose_next_answer("put_item", repeated=False)
        with pytest.raises(StoreError):
            fate(scene, fields("failure"))
        assert fate(scene, fields("failure")) is Fate.DUPLICATE


MESSAGES = [fields("pending"), fields("failure"), fields("success"), fields("success", "auth", "hold")]


@pytest.mark.parametrize("known", ["no record", "submitting", "pending", "failed"])
def test_any_order_of_arrival_ends_in_the_same_state(known: str) -> None:
    ends = set()
    for order in itertools.permutations(range(len(MESSAGES))):
        scene = Scene()
        if known == "submitting":
            scene.store.create(make.submitting(), "w")
        elif known == "pending":
            scene.provider.answers = [make.answer("pending")]
            submit(scene.world, request())
        elif known == "failed":
            scene.provider.answers, scene.provider.views = [say.REFUSED], [make.HELD]
            assert submit(scene.world, request()).result is Result.NOT_VOIDABLE
        for index in order:
            receive(scene.inbox, *signed(MESSAGES[index]))
        void = scene.record()
        provider = json.dumps(void.provider, sort_keys=True, default=str)
        ends.add((void.state, void.corrected, void.review, void.due_at, provider, tuple(sorted(scene.table.items))))
    assert len(ends) == 1
    ((state, corrected, review, due_at, *_),) = ends
    assert (state, corrected, review, due_at) == (State.VOIDED, known == "failed", False, None)


class TestWhatCounts:
    def test_other_operations_are_stored_and_move_nothing(self, scene: Scene) -> None:
        scene.store.create(make.submitting(), "w")
        for method in ("auth", "capture", "refund", "purchase"):
            assert fate(scene, fields("success", method)) is Fate.STORED
        assert scene.record().version == 1
        assert len(scene.store.timeline(make.POS_ID, "123")[1]) == 4

    def test_a_failure_makes_the_void_due_now(self, scene: Scene) -> None:
        scene.store.create(make.submitting(), "w")
        scene.wait(1)
        assert fate(scene, fields("failure")) is Fate.APPLIED
        assert (scene.record().state, scene.record().due_at) == (State.SUBMITTING, scene.at)

    def test_a_pending_message_with_another_id_is_stored_only(self, scene: Scene) -> None:
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.world, request())
        assert fate(scene, fields("pending", operation_id=OTHER)) is Fate.STORED

    def test_a_success_in_another_currency_needs_a_person(self, scene: Scene) -> None:
        scene.store.create(make.submitting(), "w")
        assert fate(scene, fields(currency="EUR")) is Fate.APPLIED
        assert (scene.record().state, scene.record().review) == (State.VOIDED, True)

    def test_a_message_without_a_pos_id_is_ours(self, scene: Scene) -> None:
        assert fate(scene, fields(pos_id=None)) is Fate.APPLIED
        assert scene.record().pos_id == make.POS_ID

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
            fields(order_id=""),
            fields(order_id="x" * 65),
            fields(order_id="a\n"),
        ],
    )
    def test_takes_what_is_genuine_but_unreadable(self, scene: Scene, message: object) -> None:
        assert fate(scene, message) is Fate.QUARANTINED
        ((key, item),) = scene.table.items.items()
        assert key[0].startswith("QUARANTINE#")
        assert len(item["text"]["S"]) <= 16_384

    def test_takes_what_is_no_base64(self, scene: Scene) -> None:
        from payments.signatures import sign_webhook

        assert receive(scene.inbox, b"%%%", sign_webhook(make.API_SECRET, b"%%%")).fate is Fate.QUARANTINED

    def test_takes_the_message_of_another_pos_without_its_private_fields(self, scene: Scene) -> None:
        message = {
            **fields(pos_id="somebody-else"),
            "customer": {"email": "a@example.com"},
            "card_mask": "444455******1111",
        }
        assert fate(scene, message) is Fate.QUARANTINED
        stored = json.dumps(list(scene.table.items.values()))
        assert "other-pos-id" in stored
        assert "example.com" not in stored
        assert "444455" not in stored

    def test_masks_cards_and_addresses_in_what_it_cannot_read(self, scene: Scene) -> None:
        fate(scene, b'{"card":"4444 5555-6666 1111","pan":4444555566661111,"to":"ann@example.com"')
        stored = json.dumps(list(scene.table.items.values()))
        assert not any(text in stored for text in ("4444", "1111", "ann", "example.com"))
        assert mask("order 123, 2026-11-24") == "order 123, 2026-11-24"
