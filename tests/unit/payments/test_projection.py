"""What the table's item shows beside the facts is what the facts say; and webhooks of an order commute."""

import itertools
import random
from copy import replace

from payments import evidence
from payments.facts import Evidence, Facts, State
from payments.items import read_order, timestamp, write_order
from payments.orders import Change, Order, Source, StoredWebhook
from tests.fakes.scene import START, request
from tests.unit.payments.test_permutations import ADD, NAMES, STATUSES, pieces, row

HISTORY = (Change(START, State.SUBMITTING, Evidence.REQUEST),)


def claimed() -> Order:
    facts = evidence.claimed(Facts(), request("K1"), "a1", START, None)
    return Order("pos", "123", facts, HISTORY)


def test_an_item_says_what_its_facts_say_and_is_read_as_it_was_written() -> None:
    draw = random.Random(11)
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


def test_webhooks_of_an_order_commute() -> None:
    draw = random.Random(5)
    for _ in range(60):
        operations = [row(draw, draw.choice(NAMES), draw.choice(STATUSES)) for _ in range(3)]
        webhooks = [StoredWebhook(f"{at}", START + 1000 * at, "AWSCURRENT", each) for at, each in enumerate(operations)]
        ends = list[Order]()
        for arrived in itertools.permutations(webhooks):
            order = claimed()
            for webhook in (*arrived, arrived[0]):
                order = order.with_webhook(webhook, 100)
            ends.append(order)
        assert all(end.facts == ends[0].facts and end.webhooks == ends[0].webhooks for end in ends)
        voids = [replace(end, history=HISTORY, reviews=()).void for end in ends]
        assert len({repr(void.shown) for void in voids if void is not None}) == 1
