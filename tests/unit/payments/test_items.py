"""An order as it stands in the table: the names, types and texts that indexes, conditions, the stream and operators read."""

import base64
import json
from copy import replace
from typing import Any

import pytest

from payments import evidence, items
from payments.cursors import BadCursor, read_cursor, write_cursor
from payments.facts import Decision, Evidence, State, Word
from payments.facts_text import own_fields, read_webhook, write_webhook
from payments.items import read_order, timestamp, write_order, write_quarantine
from payments.orders import Order, Source, StoredWebhook, size_of
from payments.reviews import Reason, Review
from payments.store import StoreError
from tests.fakes import pipe
from tests.fakes.scene import ORDER, POS_ID, START, Scene, answer, operation, request, submitting, view
from tests.fakes.table import unzipped, with_facts

AT = "2026-11-18T11:06:40.000Z"
DAY_MS = 86_400_000
VOIDED = pipe.order_in(State.VOIDED)


def webhook(operation_: Any = None, digest: str = "digest") -> StoredWebhook:
    return StoredWebhook(digest, START, "AWSCURRENT", operation_ if operation_ is not None else operation())


def test_a_failed_void_is_written_flat_and_what_is_not_known_is_left_out() -> None:
    item = pipe.image(replace(pipe.order_in(State.FAILED, "a/ї"), pos_id="pos"))
    shard = items.shard_of("pos#a/ї")
    facts = json.loads(unzipped(item.pop("facts")["B"]))
    assert item == {
        "pk": {"S": "pos#a/ї"}, "sk": {"S": "ORDER"}, "order_id_quoted": {"S": "a%2F%D1%97"}, "version": {"N": str(START // 1000)},
        "write_id": {"S": f"write-{START // 1000}"}, "state": {"S": "failed"}, "reason": {"S": "refused"},
        "order_currency": {"S": "UAH"}, "settled_at": {"S": AT}, "settled_by": {"S": "provider"},
        "settled_pk": {"S": f"SETTLED#2026-11-18#{shard}"}, "event_id": item["event_id"], "settles": {"S": "void.settled"},
        "review": {"BOOL": False}, "corrected": {"BOOL": False}, "attempt": {"N": "1"}, "webhooks": {"M": {}},
        "due_pk": {"S": f"RECHECK#{shard}"}, "due_at": {"N": str(START + DAY_MS)},
    }  # fmt: skip
    assert item["event_id"]["S"].endswith(f"-{START // 1000}")
    assert " ".join(sorted(facts)) == "asked attempts clear held history listed looked payments"


def eventful() -> Order:
    """An order with everything that can be written."""
    order = pipe.order_in(State.FAILED).claimed(request("K2", comment="ї"), "attempt-2", START + 1_000)
    facts = evidence.answered(order.facts, 2, answer("pending", "o2", amount="10.50"), START + 2_000)
    other = operation("success", "reverse", None, transaction_id="t9")
    facts = evidence.seen(facts, view(operation("pending", operation_id="o2"), other), START + 200_000, facts)
    order = order.learnt(facts, Source(Evidence.QUERY, START + 200_000))
    word = Decision(START + 300_000, "operator", Word.NOT_VOIDED, "note", "0" * 16, State.PENDING, None, 2)
    order = order.decided(word).with_webhook(webhook(operation("pending", operation_id="o2")))
    return replace(order, reviews=(*order.reviews, Review(Reason.CORRECTED, "attempt 2", START, START + 1)))


ORDERS = {
    "webhooks only": Order(POS_ID, ORDER).with_webhook(webhook(operation("success", "auth", "hold"))),
    "intent": submitting(), **{state.value: pipe.order_in(state) for state in State},
    "with its webhook": VOIDED.with_webhook(webhook()), "more webhooks": replace(VOIDED, more_webhooks=True),
    "with a webhook that says more": VOIDED.with_webhook(webhook(operation(comment="other"))), "eventful": eventful(),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_an_order_comes_back_as_it_was_written(order: Order) -> None:
    stored = replace(order, version=7, write_id="w", settles=False)
    assert read_order(write_order(stored)) == stored


STORED = pipe.image(VOIDED.with_webhook(webhook()))
TEXT, ZIPPED = unzipped(STORED["facts"]["B"]), STORED["facts"]["B"].encode()
UNREADABLE: dict[str, dict[str, Any]] = {
    "no facts": {name: value for name, value in STORED.items() if name != "facts"},
    "in the clear": STORED | {"facts": {"S": TEXT}}, "no webhooks": STORED | {"webhooks": {"S": ""}},
    **{f"facts: {text}": with_facts(STORED | {"webhooks": {"M": {}}}, text) for text in ("{", "{}", "[]", f"{TEXT}]", TEXT.partition("\n")[0])},
    "not zipped": STORED | {"facts": {"B": TEXT.encode()}}, "empty": STORED | {"facts": {"B": b""}},
    "cut": STORED | {"facts": {"B": ZIPPED[:-1]}}, "damaged": STORED | {"facts": {"B": ZIPPED[:-5] + b"x" + ZIPPED[-4:]}},
    "without an end": with_facts(STORED, TEXT + " " * 2**22), "too deep": with_facts(STORED, "[" * 99_999),
}  # fmt: skip


@pytest.mark.parametrize("item", UNREADABLE.values(), ids=UNREADABLE)
def test_another_form_is_unreadable_and_never_read_as_nothing_known(scene: Scene, item: dict[str, Any]) -> None:
    scene.table.place(item)
    with pytest.raises(StoreError, match="^unreadable record$"):
        scene.order()


def reviewed(*read_at: int) -> Order:
    return replace(VOIDED, reviews=(Review(Reason.CORRECTED, "attempt 1", START, *read_at),))


EXPIRES = {
    "confirmed": (VOIDED, True), "unread": (reviewed(), False), "read": (reviewed(START), True),
    "re-checked for a week": (pipe.order_in(State.FAILED), False), "open": (pipe.order_in(State.PENDING), False),
    "an operator's word": (pipe.order_in(State.UNKNOWN).decided(Decision(START, None, Word.VOIDED, "n", "0" * 16, State.UNKNOWN, None, 1)), False),
}  # fmt: skip


@pytest.mark.parametrize(("order", "expires"), EXPIRES.values(), ids=EXPIRES)
def test_only_what_is_settled_confirmed_and_read_expires(order: Order, expires: bool) -> None:
    assert "expires_at" not in write_order(order)
    assert write_order(order, 400).get("expires_at") == ({"N": str(START // 1000 + 400 * 86_400)} if expires else None)


@pytest.mark.parametrize(("order", "at"), [(submitting(), START + 25_000), (VOIDED, START)], ids=["open", "settled"])
def test_a_review_is_listed_by_when_it_is_due_or_was_settled(order: Order, at: int) -> None:
    item = write_order(replace(order, reviews=(Review(Reason.SECOND_VOID, "order", START),)))
    shard = items.shard_of(f"{POS_ID}#{ORDER}")
    wanted = {"review": {"BOOL": True}, "review_pk": {"S": f"REVIEW#{shard}"}, "review_at": {"N": str(at)}}
    assert {name: item[name] for name in wanted} == wanted


def test_a_webhook_that_says_what_is_shown_is_kept_by_its_time() -> None:
    mine, said, shown = own_fields(POS_ID, ORDER), TEXT.partition("\n")[2], VOIDED.void and VOIDED.void.provider
    same, other = webhook(), webhook(operation(comment="їжак", pos_id=None, order_id="124"))
    written = [write_webhook(each, said, mine) for each in (same, same._replace(verified_with="AWSPREVIOUS"), other)]
    assert written[:2] == [f"[{START}]", f'[{START},"AWSPREVIOUS"]']
    assert all(text in written[2] for text in ('"comment":"їжак"', '"pos_id":null', '"order_id":"124"'))
    for hook in (same, other, webhook(operation(amount="100.00")), other._replace(verified_with="AWSPREVIOUS")):
        assert repr(read_webhook("digest", write_webhook(hook, said, mine), shown, mine)) == repr(hook)
    assert size_of(webhook(operation(comment="їжак"))) == size_of(same) + len("їжак".encode()) - len("10101")


def test_times_keep_their_milliseconds() -> None:
    assert (timestamp(START), timestamp(START + 7)) == (AT, "2026-11-18T11:06:40.007Z")


def test_shards_are_numbered_and_an_order_stays_in_its_own() -> None:
    assert items.shards("DUE") == tuple(f"DUE#{number}" for number in range(8))
    assert items.shard_of("pos#order") == "7"
    assert items.shard_of("\ud800") in "01234567"


def test_quarantine_is_kept_by_day_and_forgotten_after_ninety() -> None:
    assert write_quarantine("digest", "text", "order-id", START + 7) == {
        "pk": {"S": "QUARANTINE#2026-11-18"}, "sk": {"S": "digest"}, "why": {"S": "order-id"},
        "received_at": {"S": "2026-11-18T11:06:40.007Z"}, "text": {"S": "text"},
        "expires_at": {"N": str(START // 1000 + 90 * 86_400)},
    }  # fmt: skip


# ---- cursors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "kind", "at"),
    [("due", "DUE", {"N": "1"}), ("review", "REVIEW", {"N": "7"}), ("settled", "SETTLED#2026-11-18", {"S": AT})],
)
@pytest.mark.parametrize("order_id", ["123", "a" * 32, "🙂" * 32], ids=["short", "long", "beyond the BMP"])
def test_our_own_cursors_come_back(index: str, kind: str, at: items.Item, order_id: str) -> None:
    orders = [f"{POS_ID}#{order_id[:-1]}{number}" for number in range(400)]
    places: dict[str, items.Item | None] = {
        f"{kind}#{items.shard_of(pk)}": {"pk": {"S": pk}, "sk": {"S": "ORDER"}, f"{index}_pk": {"S": f"{kind}#{items.shard_of(pk)}"},
                                         f"{index}_at": at}
        for pk in orders
    }  # fmt: skip
    assert len(places) == items.SHARDS
    assert read_cursor(write_cursor(places, index), index, kind) == places


PK = "p#1"
SHARD = f"DUE#{items.shard_of(PK)}"
PLACES: list[Any] = [
    {}, [], {"OTHER#0": None}, {SHARD: [PK]}, {SHARD: [PK, 1]}, {SHARD: [PK, "-1"]}, {SHARD: [PK, "1" * 16]}, {SHARD: [PK, "١"]},
    {SHARD: ["", "1"]}, {SHARD: ["x" * 401, "1"]}, {SHARD: [PK, AT]}, {f"DUE#{(int(SHARD[-1]) + 1) % 8}": [PK, "1"]},
    {f"DUE#{items.shard_of(chr(0xD800))}": ["\ud800", "1"]},
]  # fmt: skip
NO_CURSORS = {
    **{str(places): base64.urlsafe_b64encode(json.dumps(places).encode()).decode() for places in PLACES},
    **{
        text[:9]: text
        for text in ("", "=", "a", "!", "é", "W10", "x" * 20_000, base64.b64encode(b"[" * 9_000).decode())
    },
}


@pytest.mark.parametrize("text", NO_CURSORS.values(), ids=map(ascii, NO_CURSORS))
def test_what_the_table_would_refuse_or_is_no_text_of_ours_is_no_cursor(text: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(text, "due", "DUE")
