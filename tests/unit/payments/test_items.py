"""An order as it stands in the table: the names, types and texts that indexes, conditions, the stream and operators read."""

import json
from copy import replace
from typing import Any

import pytest

from payments import items
from payments.items import read_order, timestamp, webhook_size, write_order, write_quarantine, write_webhook
from payments.record import Attempt, Change, EarlierAttempt, Evidence, FailureReason, Order, State, StoredWebhook, Void
from tests.fakes.scene import START, operation, submitting

AT = "2026-11-18T11:06:40.000Z"
REFUSED = Void(
    State.FAILED, "UAH", Attempt(2, "a", "k", "h", "UAH", None, START + 1, None, START + 2, START + 3),
    earlier=(EarlierAttempt(1, None, "h1", START, None, FailureReason.NOT_SENT, START),),
    reason=FailureReason.REFUSED, settled_at=START, provider={"status": "failure", "fee": None}, due_at=START + 86_400_000,
    history=(Change(START, State.FAILED, Evidence.ANSWER),), under_way=frozenset({"z", "b"}),
)  # fmt: skip


def item_of(void: Void | None, **more: Any) -> items.Item:
    return write_order(Order("pos", "a/ї", void, version=3, write_id="w", **more))


def test_a_failed_void_is_written_flat_and_what_is_not_known_is_left_out() -> None:
    item = item_of(REFUSED)
    details = json.loads(item.pop("details")["S"])
    shard = items.shard_of("pos#a/ї")
    assert item == {
        "pk": {"S": "pos#a/ї"}, "sk": {"S": "ORDER"}, "pos_id": {"S": "pos"}, "order_id": {"S": "a/ї"},
        "order_id_quoted": {"S": "a%2F%D1%97"}, "version": {"N": "3"}, "write_id": {"S": "w"},
        "state": {"S": "failed"}, "reason": {"S": "refused"}, "order_currency": {"S": "UAH"}, "settled_at": {"S": AT},
        "review": {"BOOL": False}, "corrected": {"BOOL": False}, "resend_allowed": {"BOOL": False},
        "attempt": {"N": "2"}, "provider": {"S": '{"status":"failure"}'}, "webhooks": {"M": {}},
        "webhook_bytes": {"N": "0"}, "due_pk": {"S": f"RECHECK#{shard}"}, "due_at": {"N": str(START + 86_400_000)},
    }  # fmt: skip
    assert details == {
        "attempt": {
            "number": 2, "id": "a", "key": "k", "body_hash": "h", "currency": "UAH", "requested_at": START + 1,
            "lease_until": START + 2, "absence_counts_from": START + 3,
        },
        "earlier": [
            {"number": 1, "body_hash": "h1", "requested_at": START, "reason": "not-sent", "settled_at": START}
        ],
        "history": [[START, "failed", "answer"]], "under_way": ["b", "z"],
    }  # fmt: skip


def test_an_attempt_without_a_comment_a_key_or_a_caller_comes_back_with_its_open_refusal() -> None:
    attempt = Attempt(1, "a", None, "h", "UAH", None, START, None, 2, 3, refusal=FailureReason.ORDER_NOT_FOUND)
    void = read_order(item_of(replace(submitting(), attempt=attempt))).void
    assert void is not None
    assert void.attempt == attempt
    assert void.attempt.refusal is FailureReason.ORDER_NOT_FOUND  # the rules compare members, not texts


def test_a_void_that_nobody_requested_here_has_no_attempt() -> None:
    item = item_of(Void(State.VOIDED, None, settled_at=START))
    assert item["attempt"] == {"N": "0"}
    assert {"reason", "order_currency", "provider", "due_pk", "due_at", "review_pk"}.isdisjoint(item)


@pytest.mark.parametrize(
    ("void", "at"),
    [
        (replace(submitting(), review=True), START + 25_000),
        (replace(submitting(), review=True, due_at=None, settled_at=START + 7), START + 7),
        (replace(submitting(), review=True, due_at=None), 0),
    ],
)
def test_a_review_is_listed_by_when_it_is_due_or_ended(void: Void, at: int) -> None:
    item = item_of(void)
    assert item["review"] == {"BOOL": True}
    assert item["review_pk"] == {"S": f"REVIEW#{items.shard_of('pos#a/ї')}"}
    assert item["review_at"] == {"N": str(at)}


def test_webhooks_are_one_text_each_and_those_that_did_not_fit_are_told() -> None:
    webhook = StoredWebhook("digest", START, "AWSCURRENT", operation("pending", amount=None))
    item = item_of(None, webhooks={"digest": webhook}, more_webhooks=True)
    text = item["webhooks"]["M"]["digest"]["S"]
    assert text.startswith(f'[[{START},"AWSCURRENT","void","pending"],{{"operation_id":')
    assert "null" not in text
    assert write_webhook(webhook) == {"S": text}
    assert webhook_size(webhook.digest, write_webhook(webhook)) == len("digest") + len(text.encode())
    assert item["more_webhooks"] == {"BOOL": True}
    assert "more_webhooks" not in item_of(None)
    assert read_order(item).webhooks == {"digest": webhook}


def test_text_beyond_ascii_is_counted_in_bytes() -> None:
    webhook = StoredWebhook("digest", START, "AWSCURRENT", operation(comment="їжак"))
    assert webhook_size(webhook.digest, write_webhook(webhook)) == len("digest") + len(write_webhook(webhook)["S"]) + 4


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
