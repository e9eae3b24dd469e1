"""What a record keeps when there is too much of it, what it never forgets, and when attempts are used up."""

from copy import replace

import pytest

from payments import claims, evidence
from payments.claims import Result
from payments.facts import Decision, Evidence, Facts, FailureReason, Shown, State, Status, Told, Word
from payments.items import write_order
from payments.operations import MOST_OPERATIONS
from payments.orders import Order, Source, StoredWebhook
from payments.reviews import Reason
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.table import unzipped


def test_the_largest_record_fits_into_an_item() -> None:
    """Path 15: ten rounds of twenty attempts, fifty notes and two hundred operations, all of it in Cyrillic."""
    order, at = Order(make.POS_ID, make.ORDER), make.START
    words = dict.fromkeys(("comment", "status_description"), "ї" * 500)
    for number in range(1, 221):
        at += 300_000
        order = order.claimed(make.request(f"{number:064}", comment="ї" * 2_048), f"id-{number}", at)
        facts = evidence.answered(order.facts, number, replace(say.REFUSED, code="4150", message="ї" * 500), at)
        rows = [make.operation("failure", "void", f"{number}-{each}", **words) for each in range(2)]
        order = order.learnt(evidence.seen(facts, make.view(*rows), at, facts), Source(Evidence.QUERY, at))
        if number % 4 == 0:
            word = Word.REVIEWED if number == 80 else Word.VOIDED
            order = order.decided(Decision(at, "ї" * 200, word, "ї" * 500, "0" * 16, State.FAILED, None, number))
        hook = make.operation("failure", "void", f"hook-{number}", **words)
        order = order.with_webhook(StoredWebhook(f"{number:064}", at, "AWSCURRENT", hook))
    item = write_order(order.stored("write"))
    size = len(unzipped(item.pop("facts")["B"]).encode()) + len(str(item).encode())
    assert 150_000 < size < 350_000, "unzipped, with room for 40,000 bytes of repeated webhooks"
    facts = order.facts
    assert (len(facts.operations), len(facts.attempts)) == (MOST_OPERATIONS, 220)
    decided = [(each.word, each.attempt) for each in facts.decisions]
    assert decided == [(Word.VOIDED, at) for at in range(20, 221, 4) if at != 80], "what was only read goes first"
    # Each key is still answered; the provider's words only for the newest.
    for said in ("code", "message"):
        assert [each.number for each in facts.attempts if getattr(each, said) is not None] == [*range(210, 221)]
    assert [each.number for each in facts.attempts if each.told and each.told.code] == [*range(210, 220)]
    assert (Reason.TOO_MANY_WEBHOOKS, "order") in {(each.reason, each.subject) for each in order.reviews}
    assert {(one.told and one.told.reason, one.id + one.currency) for one in facts.attempts[:-1]} == {("refused", "")}
    assert {each.own or each.since for each in facts.operations if each.fields is not None} <= set(range(195, 221))


def test_a_success_is_described_before_all_that_failed() -> None:
    facts = evidence.claimed(Facts(), make.request(), "a1", make.START, None)
    words = dict.fromkeys(("comment", "status_description"), "x" * 1_190)  # with these, 2,500 bytes each
    for number in range(40):
        done = make.operation("success" if number == 3 else "failure", "void", f"{number:03}", **words)
        facts = evidence.seen(facts, make.view(done), make.START + number, facts)
    described = [each.name for each in facts.operations if each.fields is not None]
    assert ("003" in described, len(described)) == (True, 20)


ONE, TWO = make.submitting().facts, evidence.claimed(make.submitting().facts, make.request(), "a2", make.START, None)
TWO_NAMES = make.operation("success", "void", "o1", transaction_id="t1")
EXECUTED = evidence.reported(ONE, make.operation("success", "void", "o1"), make.START)
FORGOTTEN = {
    "nothing": (ONE, TWO, None),
    "an attempt": (TWO, ONE, "attempt"),
    "an attempt that reached nothing": (evidence.answered(ONE, 1, None, make.START), Facts(), None),
    "a success": (EXECUTED, ONE, "success"),
    "a name of a success": (evidence.reported(EXECUTED, TWO_NAMES, make.START), EXECUTED, "success"),
    "a failure": (evidence.reported(ONE, make.operation("failure", "void", "o1"), make.START), ONE, None),
    "a capture": (ONE._replace(captured=True), ONE, "capture"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "lost"), FORGOTTEN.values(), ids=FORGOTTEN)
def test_what_a_write_would_forget_is_named(before: Facts, after: Facts, lost: str | None) -> None:
    assert getattr(evidence.forgets(before, after), "what", None) == lost


USED_UP = {
    "nineteen attempts": (19, 0, 0, None), "twenty": (20, 0, 0, Result.TOO_MANY),
    "nineteen since a decision": (20, 1, 0, None), "twenty since a decision": (21, 1, 0, Result.TOO_MANY),
    "all but one of ten rounds": (199, 199, 0, None), "ten rounds": (200, 200, 0, Result.TOO_MANY),
    "all but one operation": (20, 20, MOST_OPERATIONS - 1, None), "all operations": (20, 20, MOST_OPERATIONS, Result.TOO_MANY),
}  # fmt: skip


@pytest.mark.parametrize(("attempts", "decided", "operations", "result"), USED_UP.values(), ids=USED_UP)
def test_attempts_are_used_up(attempts: int, decided: int, operations: int, result: Result | None) -> None:
    facts = Facts()
    for number in range(1, attempts + 1):
        key, at = make.request(f"key-{number}"), make.START + number
        facts = evidence.claimed(facts, key, "a", at, Told(FailureReason.REFUSED, 1))
        facts = evidence.answered(facts, number, say.REFUSED, at)
    facts = evidence.seen(facts, make.HELD, make.START + 1_000, facts)
    rows = tuple(Shown(frozenset({f"{number}"}), Status.FAILED, 0) for number in range(operations))
    word = Decision(2, None, Word.NOT_VOIDED, "", "", State.FAILED, None, decided)
    void = Order(make.POS_ID, make.ORDER, facts._replace(operations=rows, decisions=(word,) if decided else ())).void
    assert claims.judge(void, make.request("another"), make.START + 10_000).result is result


def test_fields_that_were_forgotten_are_those_of_the_next_message() -> None:
    (known,) = evidence.reported(Facts(), make.operation("pending"), make.START).operations
    forgotten, said = Facts(operations=(known._replace(fields=None),)), make.operation()
    (joined,) = evidence.reported(forgotten, said, make.START).operations
    assert (joined.fields, joined.contradicted) == (said.fields, False)


def test_beyond_the_bound_failures_go_first_and_nothing_that_is_under_way() -> None:
    kept = tuple(Shown(frozenset({f"{at:03}"}), Status.UNDER_WAY, 0) for at in range(MOST_OPERATIONS - 2))
    kept += (Shown(frozenset({"a success"}), Status.SUCCESS, 0), Shown(frozenset({"z failed"}), Status.FAILED, 9))
    facts = evidence.reported(Facts(operations=kept), make.operation("pending", "void", "new"), make.START)
    names, before = ({each.name for each in found} for found in (facts.operations, kept))
    assert (len(names), names - before, before - names) == (MOST_OPERATIONS, {"new"}, {"z failed"})
