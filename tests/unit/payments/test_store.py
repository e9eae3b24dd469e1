"""Conditional writes that recognise themselves, items that survive the way there and back, and bounded reads."""

from copy import replace
from decimal import Decimal
from typing import Any

import pytest

from payments import exact_json
from payments.operations import Change, Evidence, Reason, State, UsedKey, Void, learn_webhook
from payments.store import (
    MOST_EVENTS,
    BadCursor,
    Conflict,
    Event,
    StoreError,
    Written,
    partition,
    read_void,
    timestamp,
    write_void,
)
from tests.fakes.scene import OTHER, POS_ID, START, Scene, operation, submitting
from tests.fakes.table import error

FULL = Void(
    POS_ID, "INV/ї", State.FAILED, "UAH", Reason.REFUSED, review=True, corrected=True, resend_allowed=True, comment="",
    attempt=3, attempt_id="a", sent=True, own_ids=frozenset({"1", "2"}), known_ids=frozenset({"3"}),
    seen_ids=frozenset({"4"}), requested_at=START + 1, requested_by="arn", lease_until=5, settle_until=6,
    settled_at=START + 999, provider=operation(amount="100.00", fee={"amount": Decimal("1.50"), "currency": "UAH"}).fields,
    provider_code="P-1", provider_message="no", history=(Change(START + 7, State.FAILED, Evidence.QUERY),),
    keys=(UsedKey("k", "h", 1),), checks=2, asked_at=START, due_at=START + 8, version=9, write_id="w",
)  # fmt: skip


def event(status: str = "success", digest: str = "d", **more: object) -> Event:
    return Event(digest, "2026-11-24T10:10:10.100Z", "AWSCURRENT", operation(status, **more))


def released() -> Void:
    void = learn_webhook(None, operation(), POS_ID, START)
    assert void is not None
    return void


class TestAnItem:
    @pytest.mark.parametrize("void", [FULL, submitting(), released(), Void(POS_ID, "1", State.UNKNOWN, None)])
    def test_comes_back_as_it_went(self, void: Void) -> None:
        again = read_void(write_void(void))
        assert again == void
        assert str((again.provider or {}).get("amount")) == str((void.provider or {}).get("amount"))

    def test_is_in_the_sparse_index_only_while_it_is_open(self) -> None:
        assert "due_pk" in write_void(submitting())
        assert "due_pk" not in write_void(released())
        assert "review_pk" in write_void(FULL)
        assert "review_pk" not in write_void(submitting())


class TestAWrite:
    def test_raises_the_version_and_carries_its_id(self) -> None:
        scene = Scene()
        written = scene.store.create(submitting(), "w1")
        assert isinstance(written, Written)
        assert (written.void.version, written.void.write_id) == (1, "w1")
        again = scene.store.replace(written.void, "w2")
        assert isinstance(again, Written)
        assert scene.record() == again.void
        assert scene.record().version == 2

    def test_that_comes_second_learns_the_newer_truth(self) -> None:
        scene = Scene()
        scene.store.create(submitting(), "w1")
        seen = scene.record()
        scene.store.replace(replace(seen, comment="first"), "w2")
        late = scene.store.replace(replace(seen, comment="second"), "w3")
        assert isinstance(late, Conflict)
        assert late.void == scene.record()
        assert scene.record().comment == "first"
        assert isinstance(scene.store.create(submitting(), "w4"), Conflict)

    @pytest.mark.parametrize("first", [True, False])
    def test_recognises_itself_when_its_answer_was_lost(self, first: bool) -> None:
        scene = Scene()
        if not first:
            scene.store.create(submitting(), "w1")
        scene.table.lose_next_answer("put_item")
        written = scene.store.create(submitting(), "w2") if first else scene.store.replace(scene.record(), "w2")
        assert isinstance(written, Written)
        assert scene.record() == written.void
        assert written.void.write_id == "w2"

    def test_reads_the_record_when_the_refusal_does_not_carry_it(self) -> None:
        scene = Scene()
        scene.store.create(submitting(), "w1")

        def strip(name: str, arguments: dict[str, Any]) -> None:
            arguments.pop("ReturnValuesOnConditionCheckFailure", None)

        scene.table.before = strip
        assert isinstance(scene.store.create(submitting(), "w2"), Conflict)

    def test_whose_answer_is_lost_for_good_is_an_error_without_details(self) -> None:
        scene = Scene()
        scene.table.lose_next_answer("put_item", repeated=False)
        with pytest.raises(StoreError, match="^ReadTimeoutError$"):
            scene.store.create(submitting(), "w1")
        assert scene.record().write_id == "w1"

    def test_that_the_table_refuses_names_the_code_only(self) -> None:
        scene = Scene()

        def fail(name: str, arguments: dict[str, Any]) -> None:
            raise error("ProvisionedThroughputExceededException", name)

        scene.table.before = fail
        with pytest.raises(StoreError, match="^ProvisionedThroughputExceededException$"):
            scene.store.load(POS_ID, "123")


class TestAWebhooksTransaction:
    def test_makes_event_and_record_at_once(self) -> None:
        scene = Scene()
        assert scene.store.put_event_and_release(POS_ID, event(), released(), "w") is None
        assert scene.record() == replace(released(), version=1, write_id="w")
        assert len(scene.table.items) == 2

    def test_makes_a_record_that_is_read_however_many_webhooks_follow(self) -> None:
        scene = Scene()
        scene.store.put_event_and_release(POS_ID, event(), released(), "w")
        for number in range(MOST_EVENTS + 1):
            scene.store.put_event(POS_ID, event(digest=str(number)))
        void, events, truncated = scene.store.timeline(POS_ID, "123")
        assert void == scene.record()
        assert (len(events), truncated) == (MOST_EVENTS, True)

    @pytest.mark.parametrize("state", [State.SUBMITTING, State.UNKNOWN])
    def test_releases_a_record_as_a_merge_would(self, state: State) -> None:
        scene = Scene()
        scene.store.create(replace(submitting(), state=state), "w1")
        merged = learn_webhook(scene.record(), operation(), POS_ID, START)
        assert merged is not None
        assert scene.store.put_event_and_release(POS_ID, event(), released(), "w2") is None
        assert scene.record() == replace(merged, version=2, write_id="w2")
        assert scene.store.due(START + 10**9, 10).voids == ()

    @pytest.mark.parametrize(
        "void",
        [
            released(),
            replace(submitting(), state=State.PENDING),
            replace(submitting(), state=State.FAILED, reason=Reason.REFUSED, due_at=None),
            replace(submitting(), order_currency="EUR"),
            replace(submitting(), seen_ids=frozenset({OTHER})),
            replace(submitting(), provider=operation("pending").fields),
            replace(submitting(), history=(Change(START, State.SUBMITTING, Evidence.REQUEST),) * 95),
        ],
    )
    def test_writes_nothing_where_only_a_merge_can_be_right(self, void: Void) -> None:
        scene = Scene()
        scene.store.create(void, "w1")
        before = dict(scene.table.items)
        assert scene.store.put_event_and_release(POS_ID, event(), released(), "w2") is not None
        assert scene.table.items == before

    def test_writes_nothing_for_an_event_that_is_there(self) -> None:
        scene = Scene()
        assert scene.store.put_event(POS_ID, event())
        assert not scene.store.put_event(POS_ID, event())
        assert scene.store.put_event_and_release(POS_ID, event(), released(), "w") is not None
        assert len(scene.table.items) == 1

    def test_is_done_once_when_its_answer_was_lost(self) -> None:
        scene = Scene()
        scene.table.lose_next_answer("transact_write_items")
        assert scene.store.put_event_and_release(POS_ID, event(), released(), "w") is None
        assert scene.record().version == 1

    @pytest.mark.parametrize(("code", "falls_back"), [("TransactionConflict", True), ("ThrottlingError", False)])
    def test_falls_back_when_cancelled_and_fails_when_throttled(self, code: str, falls_back: bool) -> None:
        scene = Scene()

        def cancel(name: str, arguments: dict[str, Any]) -> None:
            reasons = [{"Code": "None"}, {"Code": code}]
            raise error("TransactionCanceledException", name, CancellationReasons=reasons)

        scene.table.before = cancel
        if falls_back:
            assert scene.store.put_event_and_release(POS_ID, event(), released(), "w") is not None
        else:
            with pytest.raises(StoreError):
                scene.store.put_event_and_release(POS_ID, event(), released(), "w")


class TestReading:
    def test_the_timeline_is_one_consistent_query(self) -> None:
        scene = Scene()
        scene.store.create(submitting(), "w")
        for number in range(3):
            scene.store.put_event(
                POS_ID, replace(event("pending", f"d{number}"), received_at=f"2026-11-24T10:10:1{number}Z")
            )
        scene.table.calls.clear()
        void, events, truncated = scene.store.timeline(POS_ID, "123")
        assert void == scene.record()
        assert [one.digest for one in events] == ["d0", "d1", "d2"]
        assert truncated is False
        assert [name for name, _ in scene.table.calls].count("query") == 1

    def test_the_timeline_of_an_unknown_order_is_empty(self) -> None:
        assert Scene().store.timeline(POS_ID, "123") == (None, [], False)

    def test_an_event_comes_back_as_it_went(self) -> None:
        scene = Scene()
        scene.store.put_event(POS_ID, event("failure", amount="100.00"))
        assert scene.store.timeline(POS_ID, "123")[1] == [event("failure", amount="100.00")]

    def test_what_is_due_comes_longest_due_first(self) -> None:
        scene = Scene()
        for number in (3, 1, 2):
            scene.store.create(replace(submitting(), order_id=f"o{number}", due_at=START + number), "w")
        assert [void.order_id for void in scene.store.due(START + 2, 10).voids] == ["o1", "o2"]

    def test_a_cursor_goes_on_where_the_page_ended(self) -> None:
        scene = Scene()
        for number in range(5):
            scene.store.create(replace(submitting(), order_id=f"o{number}", due_at=START), "w")
        page, seen = scene.store.list("unsettled", 2), []
        while True:
            seen += [void.order_id for void in page.voids]
            if page.cursor is None:
                break
            page = scene.store.list("unsettled", 2, page.cursor)
        assert seen == ["o0", "o1", "o2", "o3", "o4"]

    def test_a_cursor_of_another_list_is_refused(self) -> None:
        scene = Scene()
        scene.store.create(submitting(), "w")
        cursor = scene.store.list("unsettled", 1).cursor
        assert cursor is not None
        with pytest.raises(BadCursor):
            scene.store.list("review", 1, cursor)


@pytest.mark.parametrize("stored", [{"M": {"amount": {"S": "100.00"}}}, {"NULL": True}, {"S": "[]"}, {"S": "{"}])
def test_what_the_provider_said_in_another_form_is_not_read_as_nothing(stored: Any) -> None:
    scene = Scene()
    scene.store.create(submitting(), "w")
    scene.store.create(replace(submitting(), order_id=OTHER), "w")
    scene.table.items[partition(POS_ID, OTHER), "VOID"]["provider"] = stored
    with pytest.raises((KeyError, ValueError, exact_json.Unreadable)):
        scene.store.load(POS_ID, OTHER)
    page = scene.store.list("unsettled", 10)
    assert [void.order_id for void in page.voids] == [submitting().order_id]
    assert page.unreadable == 1


def test_quarantine_is_kept_once_and_for_ninety_days() -> None:
    scene = Scene()
    for _ in range(2):
        scene.store.put_quarantine("digest", "text", "unreadable", START)
    ((key, item),) = scene.table.items.items()
    assert key == (f"QUARANTINE#{timestamp(START)[:10]}", "digest")
    assert int(item["expires_at"]["N"]) == START // 1000 + 90 * 86_400


def test_no_write_is_unconditional() -> None:
    scene = Scene()
    scene.store.create(submitting(), "w1")
    scene.store.replace(scene.record(), "w2")
    scene.store.put_event(POS_ID, event())
    scene.store.put_quarantine("d", "t", "w", START)
    assert all(arguments["ConditionExpression"] for name, arguments in scene.table.calls if name == "put_item")
