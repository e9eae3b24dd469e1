"""Conditional writes that recognise themselves, items that survive the way there and back, and bounded reads."""

import base64
import json
import re
from copy import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from payments import items
from payments.items import BadCursor, partition, read_order, timestamp, write_order
from payments.record import (
    MOST_WEBHOOK_BYTES,
    MOST_WEBHOOKS,
    Attempt,
    Change,
    EarlierAttempt,
    Evidence,
    FailureReason,
    Order,
    State,
    StoredWebhook,
    Void,
)
from payments.rules import apply_webhook
from payments.store import Conflict, StoreError, Written
from payments.webhooks import with_webhook
from tests.fakes.scene import ORDER, POS_ID, START, Scene, operation, order_of, submitting
from tests.fakes.table import error

FULL = Void(
    State.FAILED, "UAH",
    Attempt(3, "a", "k", "h", "UAH", "", START + 1, "arn", 5, 6, idle_before=2, ids=frozenset({"1", "2"}),
            refusal=FailureReason.REFUSED),
    earlier=(EarlierAttempt(1, "k1", "h1", START, "arn", FailureReason.REFUSED, START + 2, "P-1", "no"),
             EarlierAttempt(2, None, "h2", START, None, FailureReason.NOT_EXECUTED, None)),
    reason=FailureReason.REFUSED, review=True, corrected=True, resend_allowed=True, earlier_sent=True,
    ids_before_attempt=frozenset({"3"}), all_ids=frozenset({"4"}), under_way=frozenset({"5", ""}), undocumented=True,
    settled_at=START + 999, provider=operation(amount="100.00", fee={"amount": 1.50, "currency": "UAH"}).fields,
    provider_code="P-1", provider_message="no", history=(Change(START + 7, State.FAILED, Evidence.QUERY),),
    query_count=2, queried_at=START, due_at=START + 8,
)  # fmt: skip
"""Every member has another value than its default, so that one that is forgotten shows."""


def webhook(status: str = "success", digest: str = "d", at: int = START, **more: Any) -> StoredWebhook:
    return StoredWebhook(digest, at, "AWSCURRENT", operation(status, **more))


def place(pk: str, at: object) -> dict[str, object]:
    """What a cursor says of the shard in which this order is."""
    return {f"DUE#{items.shard_of(pk)}": [pk, at]}


def cursor_of(places: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(places).encode()).decode().rstrip("=")


def reviewed(order: Order) -> Order:
    assert order.void is not None
    return order._replace(void=replace(order.void, review=True))


def released() -> Void:
    void = apply_webhook(None, operation(), START)
    assert void is not None
    return void


class TestAnItem:
    @pytest.mark.parametrize(
        "void", [FULL, submitting(), submitting(key="k"), released(), Void(State.UNKNOWN, None), None]
    )
    @pytest.mark.parametrize("webhooks", [{}, {"d": webhook(), "e": webhook("pending", "e", amount="1E+2")}])
    def test_comes_back_as_it_went(self, void: Void | None, webhooks: dict[str, StoredWebhook]) -> None:
        order = Order(POS_ID, "INV/ї", void, webhooks, webhook_bytes=7, more_webhooks=True, version=9, write_id="w")
        again = read_order(write_order(order))
        assert again == order
        assert repr(again.void.provider if again.void else None) == repr(void.provider if void else None)

    def test_every_member_of_a_void_and_of_an_attempt_is_tested(self) -> None:
        default = Void(State.SUBMITTING, None)
        assert all(getattr(FULL, name) != getattr(default, name) for name in Void._fields)
        assert FULL.attempt is not None
        assert all(value not in (None, 0, frozenset()) for value in FULL.attempt)

    def test_is_in_the_sparse_indexes_only_while_it_is_open_or_looked_at_again(self) -> None:
        assert write_order(order_of(submitting()))["due_pk"]["S"].startswith("DUE#")
        assert write_order(order_of(FULL))["due_pk"]["S"].startswith("RECHECK#")
        assert "due_pk" not in write_order(order_of(released()))
        assert write_order(order_of(FULL))["review_pk"]["S"].startswith("REVIEW#")
        assert "review_pk" not in write_order(order_of(submitting()))
        assert "state" not in write_order(order_of(None))

    def test_is_spread_over_all_shards(self) -> None:
        shards = {items.shard_of(partition(POS_ID, f"order-{number}")) for number in range(200)}
        assert len(shards) == items.SHARDS

    @pytest.mark.parametrize("order_id", ['a"b\\é', "a b", "%", "+/", "\U0001f600", "plain-._~"])
    def test_carries_its_order_id_in_an_alphabet_that_needs_no_escape(self, order_id: str) -> None:
        quoted = write_order(Order(POS_ID, order_id, submitting()))["order_id_quoted"]["S"]
        assert set(quoted) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%")


class TestAWrite:
    def test_raises_the_version_and_carries_its_id(self) -> None:
        scene = Scene()
        written = scene.store.write(order_of(submitting()), "w1", scene.deadline())
        assert isinstance(written, Written)
        assert (written.order.version, written.order.write_id) == (1, "w1")
        again = scene.store.write(written.order, "w2", scene.deadline())
        assert isinstance(again, Written)
        assert scene.order() == again.order
        assert scene.order().version == 2

    def test_that_comes_second_learns_the_newer_truth(self) -> None:
        scene = Scene()
        seen = scene.put(submitting())
        scene.store.write(seen._replace(void=replace(submitting(), review=True)), "w2", scene.deadline())
        late = scene.store.write(seen, "w3", scene.deadline())
        assert isinstance(late, Conflict)
        assert late.order == scene.order()
        assert scene.record().review
        assert isinstance(scene.store.write(order_of(submitting()), "w4", scene.deadline()), Conflict)

    @pytest.mark.parametrize("first", [True, False])
    def test_recognises_itself_when_its_answer_was_lost(self, first: bool) -> None:
        scene = Scene()
        order = order_of(submitting()) if first else scene.put(submitting())
        scene.table.lose_next_answer("put_item")
        written = scene.store.write(order, "w2", scene.deadline())
        assert isinstance(written, Written)
        assert scene.order() == written.order
        assert written.order.write_id == "w2"

    def test_that_comes_second_learns_it_without_a_read(self) -> None:
        scene = Scene()
        scene.put(submitting())
        scene.table.calls.clear()
        assert isinstance(scene.store.write(order_of(submitting()), "w2", scene.deadline()), Conflict)
        assert [name for name, _ in scene.table.calls] == ["put_item"]

    def test_reads_the_record_when_the_refusal_does_not_carry_it(self) -> None:
        scene = Scene()
        scene.put(submitting())

        def strip(name: str, arguments: dict[str, Any]) -> None:
            arguments.pop("ReturnValuesOnConditionCheckFailure", None)

        scene.table.before = strip
        assert isinstance(scene.store.write(order_of(submitting()), "w2", scene.deadline()), Conflict)

    def test_whose_answer_is_lost_for_good_is_an_error_without_details(self) -> None:
        scene = Scene()
        scene.table.lose_next_answer("put_item", repeated=False)
        with pytest.raises(StoreError, match="^ReadTimeoutError$"):
            scene.store.write(order_of(submitting()), "w1", scene.deadline())
        assert scene.order().write_id == "w1"

    def test_that_the_table_refuses_names_the_code_only(self) -> None:
        scene = Scene()

        def fail(name: str, arguments: dict[str, Any]) -> None:
            raise error("ProvisionedThroughputExceededException", name)

        scene.table.before = fail
        with pytest.raises(StoreError, match="^ProvisionedThroughputExceededException$"):
            scene.store.load(POS_ID, "123", scene.deadline())

    def test_after_the_deadline_is_not_even_tried(self) -> None:
        scene = Scene()
        deadline = scene.deadline(1)
        scene.wait(1)
        with pytest.raises(StoreError, match="deadline"):
            scene.store.write(order_of(submitting()), "w1", deadline)
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


class TestAWebhookAppended:
    def append(self, scene: Scene, hook: StoredWebhook) -> object:
        return scene.store.append_webhook(POS_ID, hook, "w9", scene.deadline())

    def voided(self, scene: Scene) -> Order:
        return scene.put(replace(released(), all_ids=frozenset()))

    def test_is_one_call_and_changes_nothing_else(self) -> None:
        scene = Scene()
        before = self.voided(scene)
        scene.table.calls.clear()
        assert self.append(scene, webhook()) is True
        assert [name for name, _ in scene.table.calls] == ["update_item"]
        assert scene.order() == with_webhook(before, webhook())._replace(version=2, write_id="w9")

    def test_once_more_changes_nothing(self) -> None:
        scene = Scene()
        self.voided(scene)
        self.append(scene, webhook())
        after = scene.order()
        assert self.append(scene, webhook()) == after
        assert scene.order() == after

    @pytest.mark.parametrize(
        "void",
        [
            submitting(),
            replace(submitting(), state=State.PENDING),
            replace(submitting(), state=State.FAILED, reason=FailureReason.REFUSED, due_at=None),
            replace(released(), provider=operation(fee="1").fields),
            replace(released(), provider=operation(operation_id="other").fields),
            replace(released(), provider=None),
            None,
        ],
    )
    def test_writes_nothing_where_only_a_merge_can_be_right(self, void: Void | None) -> None:
        scene = Scene()
        before = scene.put(void)
        assert self.append(scene, webhook()) == before
        assert scene.order() == before

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
        order = Order(POS_ID, ORDER, released(), many, webhook_bytes=size)
        scene.store.write(order, "w", scene.deadline())
        assert (self.append(scene, webhook()) is True) is fits


class TestReading:
    def test_an_order_is_one_consistent_read(self) -> None:
        scene = Scene()
        order = with_webhook(
            with_webhook(order_of(submitting()), webhook("pending", "b", START + 1)), webhook("init", "a")
        )
        scene.store.write(order, "w", scene.deadline())
        scene.table.calls.clear()
        assert [one.digest for one in scene.order().newest_webhooks] == ["a", "b"]
        assert [(name, arguments["ConsistentRead"]) for name, arguments in scene.table.calls] == [("get_item", True)]

    def test_what_is_due_comes_longest_due_first_in_each_shard(self) -> None:
        scene = Scene()
        for number in range(60):
            scene.put(replace(submitting(), due_at=START + 60 - number), f"o{number}")
        seen: list[str] = []
        for shard in items.shards(items.DUE):
            page, _ = scene.store.due(shard, START + 30, 50, None, scene.deadline())
            numbers = [int(order.order_id[1:]) for order in page.orders]
            assert numbers == sorted(numbers, reverse=True)
            seen += [order.order_id for order in page.orders]
        assert sorted(seen) == sorted(f"o{number}" for number in range(30, 60))

    @pytest.mark.parametrize("limit", [1, 2, 7, 30, 100])
    @pytest.mark.parametrize("same_moment", [True, False])
    def test_a_cursor_goes_on_where_the_page_ended(self, limit: int, same_moment: bool) -> None:
        scene = Scene()
        for number in range(30):
            scene.put(replace(submitting(), due_at=START + (0 if same_moment else number)), f"o{number:02}")
        page, seen = scene.store.list("unsettled", limit, None, scene.deadline()), []
        while True:
            seen += [order.order_id for order in page.orders]
            assert len(page.orders) == limit or page.cursor is None
            assert len(seen) <= 30, "a page comes again"
            if page.cursor is None:
                break
            page = scene.store.list("unsettled", limit, page.cursor, scene.deadline())
        assert sorted(seen) == [f"o{number:02}" for number in range(30)]
        assert same_moment or seen == sorted(seen)

    def test_a_cursor_of_another_list_is_refused(self) -> None:
        scene = Scene()
        for number in range(20):
            scene.put(submitting(), f"o{number}")
        cursor = scene.store.list("unsettled", 1, None, scene.deadline()).cursor
        assert cursor is not None
        with pytest.raises(BadCursor):
            scene.store.list("review", 1, cursor, scene.deadline())

    @pytest.mark.parametrize(
        "places",
        [
            {}, [], "x", {"DUE#0": 5}, {"DUE#9": None}, {"REVIEW#0": None}, place("p#o", 5), {"DUE#0": ["", "5"]},
            place("p#o", "9" * 16), place("p#o", "-1"), place("p#o", "١"), place("p#o", ""), place("p#o", "5x"),
            place("x" * 401, "5"), place("\ud800", "5"), {f"DUE#{n}": ["p#o", "5"] for n in range(8)},
        ],
    )  # fmt: skip
    def test_a_well_formed_cursor_that_is_none_of_ours_is_refused_before_the_table_sees_it(
        self, places: object
    ) -> None:
        scene = Scene()
        with pytest.raises(BadCursor):
            scene.store.list("unsettled", 1, cursor_of(places), scene.deadline())
        assert scene.table.calls == []

    @pytest.mark.parametrize("places", [place("p#o", "9" * 15), place("x" * 400, "5"), place("???>>>~~~", "5")])
    def test_one_that_could_be_ours_goes_to_the_table(self, places: object) -> None:
        scene = Scene()
        assert scene.store.list("unsettled", 1, cursor_of(places), scene.deadline()).orders == ()
        assert len(scene.table.calls) == 1

    @pytest.mark.parametrize(("length", "taken"), [(4_096, True), (4_100, False)])
    def test_one_that_is_longer_than_any_of_ours_is_refused(self, length: int, taken: bool) -> None:
        scene = Scene()
        text = json.dumps(place("p#o", "5")).ljust(length * 3 // 4)
        cursor = base64.urlsafe_b64encode(text.encode()).decode()
        assert len(cursor) == length
        if taken:
            assert scene.store.list("unsettled", 1, cursor, scene.deadline()).orders == ()
        else:
            with pytest.raises(BadCursor):
                scene.store.list("unsettled", 1, cursor, scene.deadline())

    @pytest.mark.parametrize("change", ["{}!", "{} ", "{}\n", "é{}", "{}==="])
    def test_one_that_was_changed_is_refused(self, change: str) -> None:
        scene = Scene()
        with pytest.raises(BadCursor):
            scene.store.list("unsettled", 1, change.format(cursor_of(place("p#o", "5"))), scene.deadline())

    def test_a_cursor_fits_a_url_as_it_is(self) -> None:
        scene = Scene()
        for number in range(20):
            scene.put(submitting(), f"o{number}?>~")
        cursor = scene.store.list("unsettled", 1, None, scene.deadline()).cursor
        assert cursor is not None
        assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)

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
        order = order_of(submitting(), version=3)
        with pytest.raises(StoreError, match="^condition failed without a record$"):
            scene.store.write(order, "w", scene.deadline())

    @pytest.mark.parametrize(("seconds", "calls"), [(0.0, 0), (0.5, 1)])
    def test_nothing_is_asked_after_the_deadline(self, seconds: float, calls: int) -> None:
        scene = Scene()
        deadline = scene.deadline(seconds)
        if calls:
            assert scene.store.load(POS_ID, ORDER, deadline) is None
        else:
            with pytest.raises(StoreError, match="^deadline$"):
                scene.store.load(POS_ID, ORDER, deadline)
        assert len(scene.table.calls) == calls

    def test_a_record_with_a_member_of_tomorrow_is_left_out_of_lists_and_not_written_over(self) -> None:
        scene = Scene()
        scene.put(submitting())
        (item,) = scene.table.items.values()
        details = json.loads(item["details"]["S"])
        details["attempt"]["member_of_tomorrow"] = 1
        scene.table.place(item | {"details": {"S": json.dumps(details)}})
        page = scene.store.list("unsettled", 10, None, scene.deadline())
        assert (page.orders, page.unreadable) == ((), 1)
        with pytest.raises(StoreError, match="^unreadable record$"):
            scene.store.load(POS_ID, ORDER, scene.deadline())

    def test_an_error_without_a_code_is_one_all_the_same(self) -> None:
        scene = Scene()

        def refuse(name: str, _: object) -> None:
            raise ClientError({}, name)

        scene.table.before = refuse
        with pytest.raises(StoreError, match="^ClientError$"):
            scene.store.load(POS_ID, ORDER, scene.deadline())

    @pytest.mark.parametrize(("code", "told"), [("ThrottlingException", "ThrottlingException"), ("", "ClientError")])
    def test_an_error_is_told_by_its_code(self, code: str, told: str) -> None:
        scene = Scene()

        def refuse(name: str, _: object) -> None:
            raise error(code, name)

        scene.table.before = refuse
        with pytest.raises(StoreError, match=f"^{told}$"):
            scene.store.load(POS_ID, ORDER, scene.deadline())


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        *((name, {"NULL": True}) for name in ("provider", "details", "webhooks", "state", "version")),
        *((name, {"S": text}) for name in ("provider", "details", "state") for text in ("[]", "{", "5", "null")),
        *((name, None) for name in ("details", "webhooks", "version", "write_id", "review")),  # but no state: no void
        ("provider", {"M": {"amount": {"S": "100.00"}}}),
    ],
)
def test_what_is_stored_in_another_form_is_not_read_as_nothing(name: str, stored: Any) -> None:
    scene = Scene()
    scene.put(replace(submitting(), provider=operation("pending").fields))
    scene.put(submitting(), "other")
    item = scene.table.items[partition(POS_ID, ORDER), "ORDER"]
    if stored is None:
        del item[name]
    else:
        item[name] = stored
    with pytest.raises(StoreError, match="unreadable"):
        scene.store.load(POS_ID, ORDER, scene.deadline())
    page = scene.store.list("unsettled", 10, None, scene.deadline())
    assert [order.order_id for order in page.orders] == ["other"]
    assert page.unreadable == 1


def test_quarantine_is_kept_once_and_for_ninety_days() -> None:
    scene = Scene()
    for _ in range(2):
        scene.store.put_quarantine("digest", "text", "unreadable", START, scene.deadline())
    ((key, item),) = scene.table.items.items()
    assert key == (f"QUARANTINE#{timestamp(START)[:10]}", "digest")
    assert int(item["expires_at"]["N"]) == START // 1000 + 90 * 86_400


def test_no_write_is_unconditional() -> None:
    scene = Scene()
    order = scene.put(submitting())
    scene.store.write(order, "w2", scene.deadline())
    scene.store.put_quarantine("d", "t", "w", START, scene.deadline())
    scene.store.append_webhook(POS_ID, webhook(), "w3", scene.deadline())
    writes = [arguments for name, arguments in scene.table.calls if name in ("put_item", "update_item")]
    assert len(writes) == 4
    assert all(arguments["ConditionExpression"] for arguments in writes)
