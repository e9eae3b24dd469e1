"""Conditional writes that recognise themselves and forget no fact, and bounded reads."""

from collections.abc import Callable
from copy import replace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from payments import evidence, items
from payments.facts import Facts, State
from payments.items import partition, timestamp
from payments.orders import MOST_WEBHOOK_BYTES, MOST_WEBHOOKS, Order, StoredWebhook
from payments.reviews import Reason, Review
from payments.store import FORGETS, StoreError
from tests.fakes import pipe
from tests.fakes.scene import ORDER, POS_ID, START, Scene, answer, operation, order_of, submitting
from tests.fakes.table import error, unzipped, with_facts

FIRST = START // 1000
"""The version of a record that is made now."""
VOIDED = pipe.order_in(State.VOIDED)


def webhook(status: str = "success", digest: str = "d", at: int = START, **more: Any) -> StoredWebhook:
    return StoredWebhook(digest, at, "AWSCURRENT", operation(status, **more))


def reviewed(order: Order) -> Order:
    return replace(order, reviews=(Review(Reason.SECOND_VOID, "order", START),))


def calls(scene: Scene) -> list[str]:
    """The calls since the last time."""
    names = [name for name, _ in scene.table.calls]
    scene.table.calls.clear()
    return names


def write(scene: Scene, order: Order, write_id: str = "w1") -> Order:
    return scene.store.write(order, write_id, scene.deadline())


# ---- writes ------------------------------------------------------------------------------------------------------------


def test_a_write_raises_the_version_which_begins_with_the_second_and_carries_its_id(scene: Scene) -> None:
    order = submitting()
    for number in range(2):
        order = write(scene, order, f"w{number}")
        assert (order.version, order.write_id) == (FIRST + number, f"w{number}")
        assert scene.order() == order


def test_one_that_comes_second_learns_the_newer_truth_without_a_read(scene: Scene) -> None:
    seen = scene.put(submitting())
    truth = write(scene, reviewed(seen))
    calls(scene)
    for order in (seen, submitting()):
        assert write(scene, order, "late") == truth
    assert calls(scene) == ["put_item", "put_item"]
    # An engine whose refusal does not carry the record is read.
    scene.table.before = lambda _, arguments: arguments.pop("ReturnValuesOnConditionCheckFailure", None)
    assert write(scene, submitting(), "late") == truth


@pytest.mark.parametrize("first", [True, False])
def test_one_recognises_itself_when_its_answer_was_lost(scene: Scene, first: bool) -> None:
    order = submitting() if first else scene.put(submitting())
    scene.table.lose_next_answer("put_item")
    written = write(scene, order, "w2")
    assert (scene.order(), written.write_id) == (written, "w2")


def test_one_that_would_forget_a_fact_is_not_made(scene: Scene) -> None:
    before = scene.put(VOIDED)
    with pytest.raises(StoreError, match=FORGETS):
        scene.store.merge(before, lambda order: replace(order, facts=Facts()), scene.new_id, scene.deadline())
    assert scene.order() == before


def test_none_is_unconditional_and_quarantine_is_kept_once(scene: Scene) -> None:
    write(scene, scene.put(submitting()), "w2")
    for _ in range(2):
        scene.store.put_quarantine("digest", "text", "unreadable", START, scene.deadline())
    scene.store.append_webhook(POS_ID, webhook(), "w3", scene.deadline())
    assert list(scene.table.items) == [
        (partition(POS_ID, ORDER), "ORDER"),
        (f"QUARANTINE#{timestamp(START)[:10]}", "digest"),
    ]
    writes = [arguments for name, arguments in scene.table.calls if name in ("put_item", "update_item")]
    assert len(writes) == 5
    assert all(arguments["ConditionExpression"] for arguments in writes)


# ---- a webhook appended ------------------------------------------------------------------------------------------------


def append(scene: Scene, hook: StoredWebhook) -> object:
    return scene.store.append_webhook(POS_ID, hook, "w9", scene.deadline())


def test_a_webhook_is_appended_by_one_call_that_changes_nothing_else_and_once(scene: Scene) -> None:
    before = scene.put(VOIDED)
    calls(scene)
    assert append(scene, webhook()) is True
    assert calls(scene) == ["update_item"]
    merged = before.with_webhook(webhook())
    # A merge would also note that a webhook has shown what the answer has shown before.
    after = scene.order()
    assert after == replace(merged, facts=before.facts, version=FIRST + 1, write_id="w9")
    assert all("settles" not in item for item in scene.table.items.values())
    assert append(scene, webhook()) == after == scene.order()


SAME, MORE, ANOTHER = webhook(), webhook(fee="1"), webhook(operation_id="other")
OPEN = [(state, each) for state in list(State)[:-1] for each in (SAME, MORE, ANOTHER)]


@pytest.mark.parametrize(("state", "message"), [*OPEN, (State.VOIDED, MORE), (State.VOIDED, ANOTHER)])
def test_nothing_is_appended_where_only_a_merge_can_be_right(
    scene: Scene, state: State, message: StoredWebhook
) -> None:
    before = scene.put(pipe.order_in(state))
    assert append(scene, message) == before == scene.order()


@pytest.mark.parametrize(("n", "long", "fits"), [(99, 9, True), (100, 9, False), (16, 2048, True), (17, 2048, False)])
def test_what_is_appended_is_bounded_by_count_and_by_size(scene: Scene, n: int, long: int, fits: bool) -> None:
    """Should another message change what is shown, each of them is kept with its fields: half the room is theirs."""
    assert (MOST_WEBHOOKS, MOST_WEBHOOK_BYTES) == (100, 80_000)
    order = order_of(evidence.answered(submitting().facts, 1, answer(comment="x" * long), START))
    scene.put(replace(order, webhooks={str(at): webhook(digest=str(at), comment="x" * long) for at in range(n)}))
    assert (append(scene, webhook(comment="x" * long)) is True) is fits


# ---- reads -------------------------------------------------------------------------------------------------------------


def test_an_order_is_one_consistent_read_and_its_webhooks_as_they_came(scene: Scene) -> None:
    scene.put(submitting().with_webhook(webhook("pending", "b", START + 1)).with_webhook(webhook("init", "a")))
    scene.table.calls.clear()
    assert [one.digest for one in scene.order().newest_webhooks] == ["a", "b"]
    assert [(name, arguments["ConsistentRead"]) for name, arguments in scene.table.calls] == [("get_item", True)]


def test_a_record_of_tomorrow_is_left_out_of_lists_and_not_written_over(scene: Scene) -> None:
    scene.put(submitting())
    scene.put(submitting(order_id="other"))
    item = scene.table.items[partition(POS_ID, ORDER), "ORDER"]
    facts = unzipped(item["facts"]["B"]).replace('"body_hash":', '"member_of_tomorrow":1,"body_hash":')
    scene.table.place(with_facts(item, facts))
    page = scene.store.list("unsettled", "", 10, None, scene.deadline())
    assert ([order.order_id for order in page.orders], page.unreadable) == (["other"], 1)
    with pytest.raises(StoreError, match="^unreadable record$"):
        scene.store.load(POS_ID, ORDER, scene.deadline())


# ---- errors ------------------------------------------------------------------------------------------------------------


def failing(reason: Exception) -> Callable[[Scene], None]:
    return lambda scene: setattr(scene.table, "before", Mock(side_effect=reason))


def load(scene: Scene) -> object:
    return scene.store.load(POS_ID, ORDER, scene.deadline())


def keep_changing(scene: Scene) -> None:
    scene.put(submitting())

    def change(_name: str, _arguments: object) -> None:
        scene.at += 1
        written = scene.table.items[partition(POS_ID, ORDER), "ORDER"]
        scene.table.place(written | {"version": items.number(scene.at)})

    scene.table.before = change


THROUGHPUT = "ProvisionedThroughputExceededException"
ERRORS: dict[str, tuple[Callable[[Scene], None], Callable[[Scene], object], str]] = {
    "a code": (failing(error(THROUGHPUT, "GetItem")), load, THROUGHPUT),
    "an empty code": (failing(error("", "GetItem")), load, "ClientError"),
    "no code": (failing(ClientError({}, "GetItem")), load, "ClientError"),
    "no answer": (failing(ReadTimeoutError(endpoint_url="x")), load, "ReadTimeoutError"),
    "an answer lost for good": (lambda s: s.table.lose_next_answer("put_item", repeated=False), lambda s: write(s, submitting()), "ReadTimeoutError"),
    "a record that keeps changing": (keep_changing, lambda s: s.store.merge(submitting(), reviewed, s.new_id, s.deadline()), "record kept changing"),
    "a condition without a record": (lambda _: None, lambda s: write(s, replace(submitting(), version=3)), "condition failed without a record"),
    "after the deadline": (lambda _: None, lambda s: s.store.write(submitting(), "w1", s.deadline(0)), "deadline"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "act", "named"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_named_by_its_code_only(
    scene: Scene, given: Callable[[Scene], None], act: Callable[[Scene], object], named: str
) -> None:
    given(scene)
    with pytest.raises(StoreError, match=f"^{named}$"):
        act(scene)
    assert (scene.table.calls == []) is (named == "deadline")
    assert (scene.table.items == {}) is (named not in ("record kept changing", "ReadTimeoutError") or act is load)


def test_a_call_gets_only_the_seconds_that_are_left(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def call(_operation: str, seconds: float, **_: object) -> dict[str, Any]:
        given.append(seconds)
        return {}

    monkeypatch.setattr(scene.table, "call", call)
    for left in (19, 3, 1.5):
        scene.store.load(POS_ID, "123", scene.deadline(left))
    assert given == [3.0, 3.0, 1.5]
