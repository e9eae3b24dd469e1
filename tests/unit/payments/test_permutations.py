"""Any order of the same evidence gives the same facts, and so the same word to every reader. Prints its seed.

PERMUTATIONS=6000 tries more; SEED=… replays one run.
"""

import itertools
import os
import random
from copy import replace
from typing import Any

from payments import claims, evidence, reviews
from payments.exact_json import Number
from payments.facts import DAY_MS, Evidence, Facts, FailureReason, State, Told
from payments.items import read_order, timestamp, write_order
from payments.messages import PROVIDER_FIELDS, Answer, AnswerKind, Operation, OrderView
from payments.orders import Change, Order, Source, StoredWebhook
from payments.reviews import Opened
from payments.verdict import verdict
from tests.fakes.scene import ABSENT, START, operation, request

NAMES = [("o1",), ("o2",), ("o1", "t1"), ("t1",), ("t2",), ("o2", "t2"), ()]
STATUSES = ["pending", "pending", "init", "success", "failure", "rejected"]
MOMENTS = [500, 20_000, 60_000, 145_000, 146_000, 4_000_000, DAY_MS, DAY_MS + 3_600_000, 2 * DAY_MS]
ENDS = {
    "refused": AnswerKind.REFUSED, "404": AnswerKind.REFUSED, "throttled": AnswerKind.THROTTLED, "lost": AnswerKind.UNKNOWN,
    "success": AnswerKind.SUCCESS, "pending": AnswerKind.PENDING, "failure": AnswerKind.FAILURE,
}  # fmt: skip
HISTORY = (Change(START, State.SUBMITTING, Evidence.REQUEST),)
Piece = tuple[str, tuple[Any, ...]]


def row(draw: random.Random, names: tuple[str, ...], status: str, method: str = "void") -> Operation:
    fields: dict[str, object] = dict.fromkeys(PROVIDER_FIELDS)
    fields |= {"order_id": "123", "method": method, "status": status}
    fields["amount"] = Number(draw.choice(["100", "100", "100.00", "5"]))
    fields["currency"] = draw.choice(["UAH", "UAH", "UAH", "EUR", None])
    for name, values in (("status_code", ["1009", "2000"]), ("comment", ["a"]), ("payment_id", ["p1", "p2"])):
        fields[name] = draw.choice([*values, None])
    for name in names:
        fields["operation_id" if name.startswith("o") else "transaction_id"] = name
    return Operation(method, status, "123", fields)


def pieces(draw: random.Random, facts: Facts, at: int) -> list[Piece]:
    """Some evidence: at most one answer for an attempt, webhooks, and queries that knew what was known when they began."""
    found: list[Piece] = []
    for _ in range(draw.randint(2, 5)):
        kind, when = draw.choice("awwss"), at + draw.choice(MOMENTS) + draw.randint(0, 3)
        if kind == "a" and not any(each[0] == "a" for each in found):
            end = draw.choice([*ENDS, "never"])
            named = row(draw, draw.choice(NAMES), end) if end in ("success", "pending", "failure") else None
            answer = None if end == "never" else Answer(ENDS[end], named, end == "404", "code", "text")
            found.append(("a", (draw.choice([facts.number, facts.number, 1]), answer, at + 900)))
        elif kind == "w":
            method = draw.choice(["void"] * 6 + ["auth", "capture", "reversal"])
            found.append(("w", (row(draw, draw.choice(NAMES), draw.choice(STATUSES), method), when)))
        elif kind == "s":
            rows = [row(draw, draw.choice(NAMES), draw.choice(STATUSES)) for _ in range(draw.randint(0, 2))]
            rows += [row(draw, ("oc",), draw.choice(STATUSES), "capture")] if draw.random() < 0.1 else []
            rows += [row(draw, ("ox",), draw.choice(STATUSES), "reversal")] if draw.random() < 0.1 else []
            hold = [row(draw, ("oh",), "success", "auth")] if draw.random() < 0.9 else []
            view = ABSENT if draw.random() < 0.1 else OrderView((*hold, *rows), partial=draw.random() < 0.1)
            leased = facts
            for _, arguments in [each for each in found if each[0] == "a" and draw.random() < 0.5]:
                leased = evidence.answered(leased, *arguments)
            found.append(("s", (view, when, leased)))
    return found


ADD: dict[str, Any] = {"a": evidence.answered, "w": evidence.reported, "s": evidence.seen}


def word(facts: Facts, now: int) -> tuple[object, ...]:
    """All that anybody is told."""
    void = Order("pos", "123", facts, HISTORY).void
    found = verdict(facts)
    followed = sorted(reviews.follow(facts, found, Opened(START, False), now)) if found is not None else []
    keys = tuple(claims.judge(void, request(key), now) for key in ("K1", "K9", None))
    return (void.shown if void is not None else None, tuple(followed), keys)


def test_the_order_of_arrival_does_not_matter(draw: random.Random) -> None:
    for _ in range(int(os.environ.get("PERMUTATIONS", "200"))):
        facts, at = evidence.claimed(Facts(), request("K1"), "a1", START, None), START
        if draw.random() < 0.4:
            facts, at = evidence.answered(facts, 1, None, START + 100), START + 50_000
            facts = evidence.claimed(facts, request("K2"), "a2", at, Told(FailureReason.NOT_SENT, START + 100))
        found = pieces(draw, facts, at)
        ends: list[Facts] = []
        for order in itertools.permutations(found):
            end = facts
            for kind, arguments in order:
                end = ADD[kind](end, *arguments)
            ends.append(end)
        assert all(end == ends[0] for end in ends), found
        assert len({repr(word(end, at + 3 * DAY_MS)) for end in ends}) == 1, found


def test_an_amount_keeps_the_same_digits_whichever_of_two_equal_ones_came_first() -> None:
    rows = [operation("success", amount=digits) for digits in ("100", "100.00")]
    for one, other in (rows, rows[::-1]):
        (joined,) = evidence.reported(evidence.reported(Facts(), one, START), other, START).operations
        assert repr((joined.fields or {})["amount"]) == "Number(digits='100.00')"


# ---- what an item shows beside its facts is what they say; and webhooks of an order commute --------------------------------


def claimed() -> Order:
    return Order("pos", "123", evidence.claimed(Facts(), request("K1"), "a1", START, None), HISTORY)


def test_an_item_says_what_its_facts_say_and_is_read_as_it_was_written(draw: random.Random) -> None:
    for _ in range(300):
        order = claimed()
        for kind, arguments in pieces(draw, order.facts, START):
            at = START + draw.randint(0, 10**9)
            order = order.learnt(ADD[kind](order.facts, *arguments), Source(Evidence.QUERY, at))
        order = order.stored("write-1")
        item, void = write_order(order), order.void
        assert void is not None
        read = read_order(item)
        assert write_order(read) == item
        assert (read.facts, read.history, read.reviews) == (order.facts, order.history, order.reviews)
        assert item["state"]["S"] == void.state.value
        assert item.get("reason") == ({"S": void.reason.value} if void.reason is not None else None)
        assert item["attempt"]["N"] == str(order.facts.number)
        assert item["corrected"]["BOOL"] == void.corrected
        assert item["review"]["BOOL"] == any(each.read_at is None for each in order.reviews)
        settled = timestamp(void.settled_at) if void.settled_at is not None else None
        assert item.get("settled_at") == ({"S": settled} if settled is not None else None)


def test_webhooks_of_an_order_commute(draw: random.Random) -> None:
    for _ in range(60):
        operations = [row(draw, draw.choice(NAMES), draw.choice(STATUSES)) for _ in range(3)]
        webhooks = [StoredWebhook(f"{at}", START + 1000 * at, "AWSCURRENT", each) for at, each in enumerate(operations)]
        ends = list[Order]()
        for arrived in itertools.permutations(webhooks):
            order = claimed()
            for webhook in (*arrived, arrived[0]):
                order = order.with_webhook(webhook)
            ends.append(order)
        assert all(end.facts == ends[0].facts and end.webhooks == ends[0].webhooks for end in ends)
        shown = [void.shown for end in ends if (void := replace(end, history=HISTORY, reviews=()).void) is not None]
        assert all(each == shown[0] for each in shown)
