"""Conditional writes that recognise themselves and forget no fact, and bounded reads."""

import re
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from payments import items
from payments.cursors import BadCursor
from payments.facts import Facts, State
from payments.items import partition, timestamp
from payments.orders import MOST_WEBHOOK_BYTES, MOST_WEBHOOKS, Order, StoredWebhook, size_of
from payments.reviews import Reason, Review
from payments.store import FORGETS, Conflict, StoreError, Written
from tests.fakes import pipe
from tests.fakes.scene import ORDER, POS_ID, START, Scene, operation, submitting
from tests.fakes.table import error

FIRST = START // 1000
"""The version of a record that is made now."""


def webhook(status: str = "success", digest: str = "d", at: int = START, **more: Any) -> StoredWebhook:
    return StoredWebhook(digest, at, "AWSCURRENT", operation(status, **more))


def reviewed(order: Order) -> Order:
    return replace(order, reviews=(Review(Reason.SECOND_VOID, "order", START),))


def failing(act: Callable[[str], Exception]) -> Scene:
    scene = Scene()

    def fail(name: str, _: object) -> None:
        raise act(name)

    scene.table.before = fail
    return scene


class TestAWrite:
    def test_raises_the_version_which_begins_with_the_second_and_carries_its_id(self) -> None:
        scene = Scene()
        written = scene.store.write(submitting(), "w1", scene.deadline())
        assert isinstance(written, Written)
        assert (written.order.version, written.order.write_id) == (FIRST, "w1")
        again = scene.store.write(written.order, "w2", scene.deadline())
        assert isinstance(again, Written)
        assert scene.order() == again.order
        assert scene.order().version == FIRST + 1

    def test_that_comes_second_learns_the_newer_truth_without_a_read(self) -> None:
        scene = Scene()
        seen = scene.put(submitting())
        scene.store.write(reviewed(seen), "w2", scene.deadline())
        scene.table.calls.clear()
        late = scene.store.write(seen, "w3", scene.deadline())
        assert isinstance(late, Conflict)
        assert late.order.reviews == reviewed(seen).reviews
        assert isinstance(scene.store.write(submitting(), "w4", scene.deadline()), Conflict)
        assert [name for name, _ in scene.table.calls] == ["put_item", "put_item"]

    @pytest.mark.parametrize("first", [True, False])
    def test_recognises_itself_when_its_answer_was_lost(self, first: bool) -> None:
        scene = Scene()
        order = submitting() if first else scene.put(submitting())
        scene.table.lose_next_answer("put_item")
        written = scene.store.write(order, "w2", scene.deadline())
        assert isinstance(written, Written)
        assert (scene.order(), written.order.write_id) == (written.order, "w2")

    def test_reads_the_record_when_the_refusal_does_not_carry_it(self) -> None:
        scene = Scene()
        scene.put(submitting())
        scene.table.before = lambda _, arguments: arguments.pop("ReturnValuesOnConditionCheckFailure", None)
        assert isinstance(scene.store.write(submitting(), "w2", scene.deadline()), Conflict)

    def test_whose_answer_is_lost_for_good_is_an_error_without_details(self) -> None:
        scene = Scene()
        scene.table.lose_next_answer("put_item", repeated=False)
        with pytest.raises(StoreError, match="^ReadTimeoutError$"):
            scene.store.write(submitting(), "w1", scene.deadline())
        assert scene.order().write_id == "w1"

    def test_after_the_deadline_is_not_even_tried(self) -> None:
        scene = Scene()
        deadline = scene.deadline(1)
        scene.wait(1)
        with pytest.raises(StoreError, match="deadline"):
            scene.store.write(submitting(), "w1", deadline)
        assert scene.table.calls == []

    def test_gets_only_the_seconds_that_are_left(self) -> None:
        scene = Scene()
        given: list[float] = []

        class Slow:
            def call(self, operation: str, seconds: float, **arguments: Any) -> dict[str, Any]:
                given.append(seconds)
                raise ReadTimeoutError(endpoint_url="x")

        scene.store._client = Slow()
        for left in (19, 3, 1.5):
            with pytest.raises(StoreError):
                scene.store.load(POS_ID, "123", scene.deadline(left))
        assert given == [3.0, 3.0, 1.5]

    @pytest.mark.parametrize(
        "forgetting",
        [
            lambda order: replace(order, facts=Facts()),
            lambda order: replace(order, facts=order.facts._replace(attempts=())),
            lambda order: replace(order, facts=order.facts._replace(operations=())),
            lambda order: replace(order, facts=order.facts._replace(captured=False)),
        ],
        ids=["everything", "an attempt", "a success", "a capture"],
    )
    def test_that_would_forget_a_fact_is_not_made(self, forgetting: Callable[[Order], Order]) -> None:
        scene = Scene()
        voided = pipe.order_in(State.VOIDED)
        before = scene.put(replace(voided, facts=voided.facts._replace(captured=True)))
        with pytest.raises(StoreError, match=FORGETS):
            scene.store.merge(before, forgetting, scene.new_id, scene.deadline())
        assert scene.order() == before


class TestAWebhookAppended:
    def append(self, scene: Scene, hook: StoredWebhook) -> object:
        return scene.store.append_webhook(POS_ID, hook, "w9", scene.deadline())

    def test_is_one_call_and_changes_nothing_else(self) -> None:
        scene = Scene()
        before = scene.put(pipe.order_in(State.VOIDED))
        scene.table.calls.clear()
        assert self.append(scene, webhook()) is True
        assert [name for name, _ in scene.table.calls] == ["update_item"]
        merged = before.with_webhook(webhook(), size_of(webhook().operation.fields))
        # A merge would also note that a webhook has shown what the answer has shown before.
        assert scene.order() == replace(merged, facts=before.facts, version=FIRST + 1, write_id="w9")
        (item,) = scene.table.items.values()
        assert "settles" not in item

    def test_once_more_changes_nothing(self) -> None:
        scene = Scene()
        scene.put(pipe.order_in(State.VOIDED))
        self.append(scene, webhook())
        after = scene.order()
        assert self.append(scene, webhook()) == after
        assert scene.order() == after

    @pytest.mark.parametrize("state", [state for state in State if state is not State.VOIDED])
    @pytest.mark.parametrize("message", [webhook(), webhook(fee="1"), webhook(operation_id="other")])
    def test_writes_nothing_where_only_a_merge_can_be_right(self, state: State, message: StoredWebhook) -> None:
        scene = Scene()
        before = scene.put(pipe.order_in(state))
        assert self.append(scene, message) == before
        assert scene.order() == before

    @pytest.mark.parametrize("message", [webhook(fee="1"), webhook(operation_id="other")])
    def test_writes_nothing_if_it_says_more_or_of_another(self, message: StoredWebhook) -> None:
        scene = Scene()
        before = scene.put(pipe.order_in(State.VOIDED))
        assert self.append(scene, message) == before

    def test_writes_nothing_for_an_order_that_is_not_there(self) -> None:
        scene = Scene()
        assert self.append(scene, webhook()) is None
        assert scene.table.items == {}

    @pytest.mark.parametrize(
        ("count", "size", "fits"), [(99, 0, True), (100, 0, False), (0, MOST_WEBHOOK_BYTES, False)]
    )
    def test_is_bounded_by_count_and_by_size(self, count: int, size: int, fits: bool) -> None:
        scene = Scene()
        assert MOST_WEBHOOKS == 100
        many = {str(number): webhook(digest=str(number)) for number in range(count)}
        scene.put(replace(pipe.order_in(State.VOIDED), webhooks=many, webhook_bytes=size))
        assert (self.append(scene, webhook()) is True) is fits


class TestReading:
    def test_an_order_is_one_consistent_read_and_its_webhooks_as_they_came(self) -> None:
        scene = Scene()
        order = submitting().with_webhook(webhook("pending", "b", START + 1), 9).with_webhook(webhook("init", "a"), 9)
        scene.put(order)
        scene.table.calls.clear()
        assert [one.digest for one in scene.order().newest_webhooks] == ["a", "b"]
        assert [(name, arguments["ConsistentRead"]) for name, arguments in scene.table.calls] == [("get_item", True)]

    def test_what_is_due_comes_longest_due_first_in_each_shard(self) -> None:
        scene = Scene()
        for number in range(60):
            scene.put(submitting(START + 60 - number, order_id=f"o{number}"))
        seen: list[str] = []
        for shard in items.shards(items.DUE):
            page, _ = scene.store.due(shard, START + 25_030, 50, None, scene.deadline())
            numbers = [int(order.order_id[1:]) for order in page.orders]
            assert numbers == sorted(numbers, reverse=True)
            seen += [order.order_id for order in page.orders]
        assert sorted(seen) == sorted(f"o{number}" for number in range(30, 60))

    @pytest.mark.parametrize("limit", [1, 2, 7, 30, 100])
    @pytest.mark.parametrize("same_moment", [True, False])
    @pytest.mark.parametrize("which", ["unsettled", "settled"])
    def test_a_cursor_goes_on_where_the_page_ended(self, limit: int, same_moment: bool, which: Any) -> None:
        scene, seen, cursor = Scene(), list[str](), None
        for number in range(30):
            scene.at = START + (0 if same_moment else number)
            order = submitting(scene.at, order_id=f"o{number:02}")
            voided = pipe.order_in(State.VOIDED, f"o{number:02}")
            line = replace(voided.history[-1], at=scene.at)
            scene.put(order if which == "unsettled" else replace(voided, history=(*voided.history[:-1], line)))
        while len(seen) <= 30:
            page = scene.store.list(which, "2026-11-18", limit, cursor, scene.deadline())
            seen += [order.order_id for order in page.orders]
            cursor = page.cursor
            assert len(page.orders) == limit or cursor is None
            assert cursor is None or re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
            if cursor is None:
                break
        assert sorted(seen) == [f"o{number:02}" for number in range(30)]
        assert same_moment or seen == sorted(seen)

    def test_what_was_settled_on_another_day_is_not_of_this_one(self) -> None:
        scene = Scene()
        scene.put(pipe.order_in(State.VOIDED))
        page = scene.store.list("settled", "2026-11-17", 10, None, scene.deadline())
        assert (page.orders, page.cursor) == ((), None)

    def test_a_cursor_of_another_list_is_refused(self) -> None:
        scene = Scene()
        for number in range(20):
            scene.put(submitting(order_id=f"o{number}"))
        cursor = scene.store.list("unsettled", "", 1, None, scene.deadline()).cursor
        assert cursor is not None
        with pytest.raises(BadCursor):
            scene.store.list("review", "", 1, cursor, scene.deadline())

    def test_of_each_shard_one_order_is_read_where_one_is_wanted(self) -> None:
        scene = Scene()
        scene.store.due_last("DUE#0", scene.deadline())
        scene.store.due_after("DUE#0", START, scene.deadline())
        assert [arguments["Limit"] for _, arguments in scene.table.calls] == [1, 1]


class TestErrors:
    def test_a_record_that_keeps_changing_is_given_up(self) -> None:
        scene = Scene()
        order = scene.put(submitting())

        def change(_name: str, _arguments: object) -> None:
            scene.at += 1
            written = scene.table.items[partition(POS_ID, ORDER), "ORDER"]
            scene.table.place(written | {"version": items.number(scene.at)})

        scene.table.before = change
        with pytest.raises(StoreError, match="^record kept changing$"):
            scene.store.merge(order, reviewed, scene.new_id, scene.deadline())

    def test_a_condition_that_fails_without_a_record_is_an_error(self) -> None:
        scene = Scene()
        with pytest.raises(StoreError, match="^condition failed without a record$"):
            scene.store.write(replace(submitting(), version=3), "w", scene.deadline())

    @pytest.mark.parametrize(
        ("refusal", "named"),
        [
            (
                lambda name: error("ProvisionedThroughputExceededException", name),
                "ProvisionedThroughputExceededException",
            ),
            (lambda name: error("", name), "ClientError"),
            (lambda name: ClientError({}, name), "ClientError"),
            (lambda _: ReadTimeoutError(endpoint_url="x"), "ReadTimeoutError"),
        ],
    )
    def test_an_error_is_named_by_its_code_only(self, refusal: Callable[[str], Exception], named: str) -> None:
        scene = failing(refusal)
        with pytest.raises(StoreError, match=f"^{named}$"):
            scene.store.load(POS_ID, ORDER, scene.deadline())

    def test_a_record_of_tomorrow_is_left_out_of_lists_and_not_written_over(self) -> None:
        scene = Scene()
        scene.put(submitting())
        scene.put(submitting(order_id="other"))
        item = scene.table.items[partition(POS_ID, ORDER), "ORDER"]
        facts = item["facts"]["S"].replace('"number":1', '"number":1,"member_of_tomorrow":1')
        scene.table.place(item | {"facts": {"S": facts}})
        page = scene.store.list("unsettled", "", 10, None, scene.deadline())
        assert ([order.order_id for order in page.orders], page.unreadable) == (["other"], 1)
        with pytest.raises(StoreError, match="^unreadable record$"):
            scene.store.load(POS_ID, ORDER, scene.deadline())


def test_quarantine_is_kept_once() -> None:
    scene = Scene()
    for _ in range(2):
        scene.store.put_quarantine("digest", "text", "unreadable", START, scene.deadline())
    assert list(scene.table.items) == [(f"QUARANTINE#{timestamp(START)[:10]}", "digest")]


def test_no_write_of_an_order_is_unconditional() -> None:
    scene = Scene()
    order = scene.put(submitting())
    scene.store.write(order, "w2", scene.deadline())
    scene.store.put_quarantine("d", "t", "w", START, scene.deadline())
    scene.store.append_webhook(POS_ID, webhook(), "w3", scene.deadline())
    writes = [arguments for name, arguments in scene.table.calls if name in ("put_item", "update_item")]
    assert len(writes) == 4
    assert all(arguments["ConditionExpression"] for arguments in writes)
