"""Any order of the same evidence gives the same facts, and so the same word."""

import itertools
import random
from copy import replace

import pytest

from payments import evidence, reviews, verdict
from payments.facts import Evidence, Facts
from payments.facts import State as S
from payments.items import read_order, write_order
from payments.messages import PROVIDER_FIELDS, Answer, AnswerKind, Fields, Operation, OrderView
from payments.orders import Change, Opened, Order, StoredWebhook
from tests.fakes.scene import ORDER, POS_ID, START, request

MOMENTS_MS = (500, 20_000, 60_000, 145_000, 146_000, 4_000_000, 86_400_000, 180_000_000)
NAMES = (("o1",), ("o2",), ("o1", "t1"), ("t1",), ("o2", "t2"), ())
STATUSES = ("pending", "init", "success", "failure", "rejected")
KINDS = {
    "success": AnswerKind.SUCCESS, "pending": AnswerKind.PENDING, "failure": AnswerKind.FAILURE,
    "refused": AnswerKind.REFUSED, "throttled": AnswerKind.THROTTLED, "unknown": AnswerKind.UNKNOWN,
}  # fmt: skip


def operation(chance: random.Random, status: str | None = None, method: str = "void") -> Operation:
    """A row with random names and fields."""
    status = status or chance.choice(STATUSES)
    fields: Fields = {
        **dict.fromkeys(PROVIDER_FIELDS), "order_id": ORDER, "method": method, "status": status,
        "currency": chance.choice(["UAH", "UAH", "EUR", None]), "status_code": chance.choice(["1009", "2000", None]),
        "comment": chance.choice(["a", None]),
    }  # fmt: skip
    for name in chance.choice(NAMES):
        fields["operation_id" if name.startswith("o") else "transaction_id"] = name
    return Operation(method, status, ORDER, fields)


Piece = tuple[str, object, int]


def pieces(chance: random.Random) -> list[Piece]:
    """An answer perhaps, webhooks and lists."""
    found = list[Piece]()
    if chance.random() < 0.6:
        kind = chance.choice(list(KINDS))
        named = operation(chance, kind) if kind in STATUSES else None
        found.append(("answer", Answer(KINDS[kind], named, code="c", message="m"), START + 900))
    for _ in range(chance.randint(1, 3)):
        when = START + chance.choice(MOMENTS_MS) + chance.randint(0, 3)
        if chance.random() < 0.5:
            found.append(("webhook", operation(chance), when))
        else:
            rows = [operation(chance) for _ in range(chance.randint(0, 2))]
            if chance.random() < 0.2:
                rows.append(operation(chance, None, chance.choice(["capture", "reversal"])))
            shown = (operation(chance, "success", "auth"), *rows)
            found.append(("list", OrderView(shown, partial=chance.random() < 0.1), when))
    return found


def told(order: Order, piece: Piece, leased: Facts) -> Facts:
    """The order's facts with one more piece of evidence."""
    _, what, at = piece
    if isinstance(what, Answer):
        return evidence.answered(order.facts, 1, what, at)
    if isinstance(what, OrderView):
        return evidence.seen(order.facts, what, at, leased)
    assert isinstance(what, Operation)
    webhook = StoredWebhook(f"{at} {what}", at, "AWSCURRENT", what)
    return order.with_webhook(webhook, 200).facts


def word(facts: Facts) -> object:
    """What a reader is shown, and what an operator must look at."""
    found, at = verdict.verdict(facts), START + 200_000_000
    assert found is not None
    shown = found._replace(operation=None)
    followed = sorted(reviews.follow(facts, found, Opened(START, corrected=False), at))
    resend = verdict.may_be_sent_again(facts, found.state)
    return shown, str(verdict.fields_of(facts, found)), followed, resend


def begun() -> Order:
    """An order whose first attempt is in flight."""
    facts = evidence.claimed(Facts(), request(), "a1", START, None)
    return Order(POS_ID, ORDER, facts, (Change(START, S.SUBMITTING, Evidence.REQUEST),))


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    chance, start = random.Random(seed), begun()
    for _ in range(25):
        found = pieces(chance)
        words = set()
        for order in itertools.permutations(found):
            now = start
            for piece in order:
                now = replace(now, facts=told(now, piece, start.facts))
            words.add(str(word(now.facts)))
        assert len(words) == 1, found


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_is_read_again_and_its_projection_is_what_the_facts_say(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        order = begun()
        for piece in pieces(chance):
            order = replace(order, facts=told(order, piece, order.facts))
        order = order.stored("write-1")
        item, void = write_order(order), order.void
        assert void is not None
        assert write_order(read_order(item)) == item
        assert read_order(item).facts == order.facts
        assert item["state"]["S"] == void.state.value
        assert item.get("reason", {}).get("S") == (void.reason.value if void.reason is not None else None)
        assert item["attempt"]["N"] == str(order.facts.number)
