"""The state machine: one class per starting state, then the rules that hold in all of them."""

from copy import replace
from typing import Any

import pytest

from payments.claims import LEASE_MS, MOST_ATTEMPTS, SETTLE_WINDOW_MS, ClaimDecision, claim, judge
from payments.messages import Answer, Operation, OrderView
from payments.record import (
    LONGEST_HISTORY,
    RANK,
    REACHED_NOTHING,
    Attempt,
    Change,
    Evidence,
    FailureReason,
    State,
    Void,
)
from payments.rules import apply_answer, apply_query, apply_webhook, not_sent
from payments.schedule import DAY_MS, mark_queried, schedule_query
from tests.fakes import provider as say
from tests.fakes.scene import (
    ABSENT,
    CAPTURE,
    HELD,
    HOLD,
    MINE,
    OTHER,
    START,
    answer,
    operation,
    request,
    submitting,
    view,
)

LATE = START + LEASE_MS + SETTLE_WINDOW_MS
PORTAL = operation(operation_id=OTHER)
PENDING_OTHER = operation("pending", operation_id=OTHER)
FAILED_OTHER = operation("failure", operation_id=OTHER)
OWN = frozenset({MINE})


def attempt_of(void: Void) -> Attempt:
    assert void.attempt is not None
    return void.attempt


def with_attempt(void: Void, **changes: Any) -> Void:
    return replace(void, attempt=replace(attempt_of(void), **changes))


def in_state(state: State, ids: frozenset[str] = frozenset(), **changes: Any) -> Void:
    due = None if state in (State.FAILED, State.VOIDED) else START
    return with_attempt(replace(submitting(key="k1"), state=state, due_at=due, **changes), ids=ids)


def failed(reason: FailureReason, **changes: Any) -> Void:
    return in_state(State.FAILED, reason=reason, settled_at=START, **changes)


def queried(void: Void, seen: OrderView, began: int = LATE, unchanged: bool = True) -> Void:
    return apply_query(void, seen, began, unchanged, began)


def fields_of(void: Void) -> dict[str, Any]:
    assert void.provider is not None
    return dict(void.provider)


def told(void: Void, by: Operation, at: int = LATE) -> Void:
    learnt = apply_webhook(void, by, at)
    assert learnt is not None
    return learnt


class TestNothingYet:
    def test_the_first_request_claims(self) -> None:
        assert judge(None, request(), START) is ClaimDecision.CLAIM

    def test_a_claim_is_an_intent_with_a_lease_and_a_window(self) -> None:
        void = claim(None, request("k"), "a", START)
        attempt = attempt_of(void)
        assert (void.state, void.earlier_sent, void.due_at) == (State.SUBMITTING, False, START + 25_000)
        assert (attempt.number, attempt.id, attempt.key) == (1, "a", "k")
        assert (attempt.lease_until, attempt.absence_counts_from) == (START + 25_000, START + 145_000)
        assert void.history == (Change(START, State.SUBMITTING, Evidence.REQUEST),)

    def test_a_success_webhook_makes_a_void_without_an_attempt(self) -> None:
        void = apply_webhook(None, operation(), START)
        assert void is not None
        assert (void.state, void.attempt) == (State.VOIDED, None)
        assert (void.order_currency, void.corrected, void.review, void.due_at) == ("UAH", False, False, None)

    def test_a_failure_webhook_makes_no_record(self) -> None:
        assert apply_webhook(None, operation("failure"), START) is None


class TestSomebodyElsesVoidUnderWay:
    def reported(self, status: str = "pending", operation_id: str | None = OTHER) -> Void:
        void = apply_webhook(None, operation(status, operation_id=operation_id), START)
        assert void is not None
        return void

    @pytest.mark.parametrize("status", ["pending", "init", "strange"])
    def test_makes_a_pending_void_that_is_due_and_never_claimed(self, status: str) -> None:
        void = self.reported(status)
        assert (void.state, void.attempt, void.due_at) == (State.PENDING, None, START)
        assert void.under_way == {OTHER}
        assert judge(void, request(), LATE) is ClaimDecision.REPLAY

    def test_is_voided_or_captured_in_the_end(self) -> None:
        assert queried(self.reported(), view(PORTAL)).state is State.VOIDED
        taken = queried(self.reported(), view(FAILED_OTHER, CAPTURE))
        assert taken.reason is FailureReason.ALREADY_CAPTURED

    @pytest.mark.parametrize("operation_id", [OTHER, None])
    def test_or_fails_and_may_then_be_requested(self, operation_id: str | None) -> None:
        void = self.reported(operation_id=operation_id)
        assert queried(void, HELD).state is State.PENDING
        assert (
            queried(void, view(operation("failure", operation_id=operation_id)), unchanged=False).state is State.PENDING
        )
        ended = queried(void, view(operation("failure", operation_id=operation_id)))
        assert (ended.state, ended.reason, ended.under_way) == (State.FAILED, FailureReason.REFUSED, frozenset())
        assert fields_of(ended)["status"] == "failure"
        again = claim(ended, request(), "attempt-1", LATE)
        assert again.history[: len(ended.history)] == ended.history
        assert again.ids_before_attempt == ended.all_ids

    def test_does_not_end_by_the_failure_of_yet_another_one(self) -> None:
        third = operation("failure", operation_id="third")
        assert queried(self.reported(), view(third)).state is State.PENDING

    def test_is_reviewed_after_a_day(self) -> None:
        assert schedule_query(self.reported(), START + DAY_MS - 1).review is False
        assert schedule_query(self.reported(), START + DAY_MS).review is True

    def test_seen_by_a_query_keeps_a_failed_void_from_being_claimed_until_it_has_ended(self) -> None:
        void = queried(failed(FailureReason.REFUSED), view(PENDING_OTHER))
        assert (void.state, void.due_at) == (State.FAILED, LATE + 60_000)
        assert judge(void, request("k2"), LATE) is ClaimDecision.IN_PROGRESS
        assert judge(queried(void, HELD), request("k2"), LATE) is ClaimDecision.IN_PROGRESS
        assert judge(queried(void, view(FAILED_OTHER)), request("k2"), LATE) is ClaimDecision.CLAIM

    def test_is_not_forgotten_when_our_own_void_has_failed(self) -> None:
        pending = queried(in_state(State.UNKNOWN, ids=OWN), view(PENDING_OTHER))
        ended = queried(pending, view(operation("failure", operation_id=MINE)))
        assert (ended.reason, ended.under_way) == (FailureReason.REFUSED, frozenset({OTHER}))
        assert ended.due_at == LATE + 60_000, "the other one is watched"
        assert judge(ended, request("k2"), LATE) is ClaimDecision.IN_PROGRESS


class TestSubmitting:
    def test_a_repetition_within_the_lease_waits(self) -> None:
        assert judge(submitting(), request(), START + LEASE_MS - 1) is ClaimDecision.IN_PROGRESS

    def test_a_repetition_past_the_lease_is_answered_by_the_record(self) -> None:
        assert judge(submitting(), request("new"), START + LEASE_MS) is ClaimDecision.REPLAY

    def test_success_voids_it(self) -> None:
        void = apply_answer(submitting(), "attempt-1", answer(), None, START)
        assert (void.state, void.settled_at, void.due_at, attempt_of(void).ids) == (State.VOIDED, START, None, OWN)
        assert void.history[-1] == Change(START, State.VOIDED, Evidence.ANSWER)

    @pytest.mark.parametrize("status", ["init", "pending", "never heard of"])
    def test_what_is_not_final_is_pending(self, status: str) -> None:
        void = apply_answer(submitting(), "attempt-1", answer(status), None, START)
        assert (void.state, attempt_of(void).ids) == (State.PENDING, OWN)
        assert void.due_at is not None

    def test_no_connection_is_not_sent(self) -> None:
        assert not_sent(submitting(), "attempt-1", START).reason is FailureReason.NOT_SENT

    def test_429_is_throttled(self) -> None:
        assert apply_answer(submitting(), "attempt-1", say.THROTTLED, None, START).reason is FailureReason.THROTTLED

    def test_bad_credentials_are_a_reason_of_their_own(self) -> None:
        void = apply_answer(submitting(), "attempt-1", say.CREDENTIALS, None, START)
        assert (void.reason, void.provider_code) == (FailureReason.CREDENTIALS, "S-403")

    def test_anything_else_is_unknown_and_stays_in_the_index(self) -> None:
        void = apply_answer(submitting(), "attempt-1", say.UNKNOWN, None, START)
        assert void.state is State.UNKNOWN
        assert void.due_at is not None

    @pytest.mark.parametrize("by", [say.REFUSED, say.NOT_FOUND, answer("failure")])
    class TestRefused:
        """A refusal, by what the one query after it shows."""

        def test_with_a_void_success_it_was_somebody_else(self, by: Answer) -> None:
            void = apply_answer(submitting(), "attempt-1", by, view(PORTAL), START)
            assert (void.state, void.corrected) == (State.VOIDED, False)

        def test_with_a_capture_it_is_already_captured(self, by: Answer) -> None:
            void = apply_answer(submitting(), "attempt-1", by, view(CAPTURE), START)
            assert void.reason is FailureReason.ALREADY_CAPTURED

        def test_with_a_void_under_way_it_is_pending(self, by: Answer) -> None:
            void = apply_answer(submitting(), "attempt-1", by, view(PENDING_OTHER), START)
            assert void.state is State.PENDING

        def test_with_a_void_under_way_in_the_record_it_stays_pending(self, by: Answer) -> None:
            void = apply_answer(in_state(State.PENDING), "attempt-1", by, HELD, START)
            assert void.state is State.PENDING

        def test_without_a_readable_query_it_is_unknown(self, by: Answer) -> None:
            void = apply_answer(submitting(), "attempt-1", by, None, START)
            assert void.state is State.UNKNOWN

        def test_with_a_query_that_was_read_in_part_it_is_unknown(self, by: Answer) -> None:
            void = apply_answer(submitting(), "attempt-1", by, OrderView((HOLD,), partial=True), START)
            assert void.state is State.UNKNOWN

        def test_after_an_earlier_attempt_that_may_be_executed_it_proves_nothing(self, by: Answer) -> None:
            void = replace(submitting(), earlier_sent=True)
            assert apply_answer(void, "attempt-1", by, view(hold=False), START).state is State.UNKNOWN

        def test_otherwise_it_is_refused_for_good(self, by: Answer) -> None:
            void = apply_answer(submitting(), "attempt-1", by, HELD, START)
            assert (void.state, void.reason) == (State.FAILED, FailureReason.REFUSED)

    def test_404_here_and_there_is_order_not_found(self) -> None:
        assert (
            apply_answer(submitting(), "attempt-1", say.NOT_FOUND, ABSENT, START).reason
            is FailureReason.ORDER_NOT_FOUND
        )
        assert apply_answer(submitting(), "attempt-1", say.REFUSED, ABSENT, START).reason is FailureReason.REFUSED
        assert apply_answer(submitting(), "attempt-1", say.NOT_FOUND, HELD, START).reason is FailureReason.REFUSED

    @pytest.mark.parametrize("by", [say.UNKNOWN, say.THROTTLED, say.CREDENTIALS, answer("pending"), answer("failure")])
    def test_an_answer_to_another_attempt_teaches_only_success(self, by: Answer) -> None:
        void = submitting()
        assert apply_answer(void, "attempt-0", by, HELD, START) == void
        released = apply_answer(void, "attempt-0", answer(operation_id=OTHER), None, START)
        assert (released.state, attempt_of(released).ids) == (State.VOIDED, frozenset())

    def test_a_pending_webhook_with_another_id_is_remembered_as_under_way(self) -> None:
        assert told(submitting(), PENDING_OTHER) == replace(submitting(), under_way=frozenset({OTHER}))

    def test_a_failure_webhook_only_makes_it_due_now(self) -> None:
        void = told(replace(submitting(), due_at=LATE + 5), operation("failure"))
        assert void == replace(submitting(), due_at=LATE)


class TestUnknown:
    def test_a_repetition_sends_nothing(self) -> None:
        assert judge(in_state(State.UNKNOWN), request("new"), LATE) is ClaimDecision.REPLAY

    def test_absence_after_the_window_allows_a_resend(self) -> None:
        void = queried(in_state(State.UNKNOWN), HELD)
        assert (void.state, void.resend_allowed) == (State.UNKNOWN, True)

    @pytest.mark.parametrize(
        ("seen", "began", "unchanged"),
        [
            (HELD, LATE - 1, True),
            (HELD, LATE, False),
            (view(hold=False), LATE, True),
            (ABSENT, LATE, True),
            (view(operation("failure", "auth"), hold=False), LATE, True),
            (OrderView((HOLD,), partial=True), LATE, True),
            (view(operation("pending", "capture", "capture")), LATE, True),
        ],
    )
    def test_absence_is_not_believed_otherwise(self, seen: OrderView, began: int, unchanged: bool) -> None:
        void = queried(in_state(State.UNKNOWN), seen, began, unchanged)
        assert (void.state, void.resend_allowed) == (State.UNKNOWN, False)

    def test_absence_a_day_later_is_not_executed(self) -> None:
        assert queried(in_state(State.UNKNOWN), HELD, START + DAY_MS).reason is FailureReason.NOT_EXECUTED
        assert queried(in_state(State.UNKNOWN), HELD, START + DAY_MS - 1).state is State.UNKNOWN
        assert queried(in_state(State.UNKNOWN), ABSENT, START + DAY_MS).state is State.UNKNOWN

    def test_a_resend_needs_a_new_key_or_none(self) -> None:
        void = in_state(State.UNKNOWN, resend_allowed=True)
        assert judge(void, request("k1"), LATE) is ClaimDecision.REPLAY
        assert judge(void, request("k2"), LATE) is ClaimDecision.CLAIM
        assert judge(void, request(), LATE) is ClaimDecision.CLAIM

    def test_a_resend_is_a_new_attempt_that_knows_the_old_ids(self) -> None:
        void = in_state(State.UNKNOWN, OWN, resend_allowed=True, all_ids=frozenset({OTHER}))
        again = claim(void, request("k2"), "attempt-2", LATE)
        assert (attempt_of(again).number, again.earlier_sent, again.resend_allowed) == (2, True, False)
        assert (again.ids_before_attempt, attempt_of(again).ids) == (frozenset({MINE, OTHER}), frozenset())
        assert [(each.key, each.reason) for each in again.earlier] == [("k1", FailureReason.NOT_EXECUTED)]

    def test_a_failure_counts_if_it_names_this_attempt(self) -> None:
        failure = view(operation("failure"))
        assert queried(in_state(State.UNKNOWN), failure).reason is FailureReason.REFUSED
        assert queried(in_state(State.UNKNOWN, OWN), failure, START).reason is FailureReason.REFUSED

    @pytest.mark.parametrize(
        ("changes", "began", "unchanged"),
        [
            ({"ids_before_attempt": OWN}, LATE, True),
            ({}, LATE - 1, True),
            ({}, LATE, False),
            ({"ids": OWN}, LATE, False),
            ({"ids": frozenset({OTHER})}, LATE, True),
        ],
    )
    def test_a_failure_is_dropped_otherwise(self, changes: dict[str, Any], began: int, unchanged: bool) -> None:
        void = queried(in_state(State.UNKNOWN, **changes), view(operation("failure")), began, unchanged)
        assert void.state is State.UNKNOWN

    @pytest.mark.parametrize("under_way", [PENDING_OTHER, operation("pending", operation_id=None)])
    def test_a_new_failure_beside_a_void_that_a_webhook_showed_names_nobody(self, under_way: Operation) -> None:
        void = told(in_state(State.UNKNOWN), under_way)
        failure = operation("failure", operation_id="third")
        assert queried(void, view(failure)).state is State.UNKNOWN

    def test_a_new_failure_beside_one_that_an_earlier_query_showed_names_nobody(self) -> None:
        seen = queried(in_state(State.UNKNOWN), view(FAILED_OTHER), START)
        assert queried(seen, view(operation("failure", operation_id="third"))).state is State.UNKNOWN

    def test_a_refused_attempt_ends_when_what_was_under_way_has_failed(self) -> None:
        refused = with_attempt(in_state(State.UNKNOWN), refusal=FailureReason.REFUSED)
        pending = queried(refused, view(PENDING_OTHER))
        assert pending.state is State.PENDING
        assert queried(pending, HELD).state is State.PENDING
        assert queried(pending, view(FAILED_OTHER)).reason is FailureReason.REFUSED

    def test_two_new_failures_name_nobody(self) -> None:
        assert queried(in_state(State.UNKNOWN), view(operation("failure"), FAILED_OTHER)).state is State.UNKNOWN

    def test_a_failure_without_an_id_names_nobody(self) -> None:
        assert queried(in_state(State.UNKNOWN), view(operation("failure", operation_id=None))).state is State.UNKNOWN

    def test_a_capture_ends_it(self) -> None:
        assert queried(in_state(State.UNKNOWN), view(CAPTURE)).reason is FailureReason.ALREADY_CAPTURED

    def test_a_void_under_way_is_pending_and_takes_the_permission_back(self) -> None:
        void = queried(in_state(State.UNKNOWN, resend_allowed=True), view(PENDING_OTHER))
        assert (void.state, void.resend_allowed) == (State.PENDING, False)

    def test_a_capture_that_failed_proves_nothing(self) -> None:
        void = queried(in_state(State.UNKNOWN), view(operation("failure", "capture")), START)
        assert void.state is State.UNKNOWN

    def test_a_pending_webhook_with_its_own_id_counts(self) -> None:
        assert told(in_state(State.UNKNOWN, OWN), operation("pending")).state is State.PENDING


class TestPending:
    def test_is_never_claimed(self) -> None:
        void = in_state(State.PENDING, resend_allowed=True)
        assert judge(void, request("new"), LATE + 30 * DAY_MS) is ClaimDecision.REPLAY

    def test_is_never_absent(self) -> None:
        void = queried(in_state(State.PENDING), HELD, START + 2 * DAY_MS)
        assert (void.state, void.resend_allowed) == (State.PENDING, False)

    def test_does_not_become_unknown_again(self) -> None:
        void = apply_answer(in_state(State.PENDING), "attempt-1", say.UNKNOWN, None, LATE)
        assert void.state is State.PENDING

    def test_ends_with_success(self) -> None:
        assert told(in_state(State.PENDING), operation()).state is State.VOIDED

    def test_ends_with_a_failure_of_its_own(self) -> None:
        void = in_state(State.PENDING, OWN)
        assert queried(void, view(operation("failure")), START).reason is FailureReason.REFUSED


class TestFailed:
    @pytest.mark.parametrize("reason", sorted(REACHED_NOTHING))
    def test_claimable_again_with_the_same_key(self, reason: FailureReason) -> None:
        void = failed(reason)
        assert judge(void, request("k1"), LATE) is ClaimDecision.CLAIM
        assert claim(void, request("k1"), "attempt-2", LATE).earlier_sent is False
        assert claim(replace(void, earlier_sent=True), request("k1"), "attempt-2", LATE).earlier_sent is True

    @pytest.mark.parametrize(
        "reason", [FailureReason.REFUSED, FailureReason.ORDER_NOT_FOUND, FailureReason.NOT_EXECUTED]
    )
    def test_for_good_needs_a_new_key(self, reason: FailureReason) -> None:
        assert judge(failed(reason), request("k1"), LATE) is ClaimDecision.REPLAY
        assert judge(failed(reason), request("k2", "EUR"), LATE) is ClaimDecision.CLAIM
        assert judge(failed(reason), request(), LATE) is ClaimDecision.CLAIM
        unproven = reason is FailureReason.NOT_EXECUTED
        assert claim(failed(reason), request(), "attempt-2", LATE).earlier_sent is unproven

    def test_after_a_capture_nothing_is_sent_again(self) -> None:
        assert judge(failed(FailureReason.ALREADY_CAPTURED), request("k2"), LATE) is ClaimDecision.REPLAY

    def test_every_reason_is_one_or_the_other(self) -> None:
        for reason in FailureReason:
            decisions = {judge(failed(reason), request(key), START) for key in ("k1", "k2")}
            assert (decisions == {ClaimDecision.CLAIM}) is (reason in REACHED_NOTHING)

    @pytest.mark.parametrize("reason", list(FailureReason))
    def test_is_corrected_by_the_providers_own_word(self, reason: FailureReason) -> None:
        for void in (
            told(failed(reason), operation()),
            queried(failed(reason), view(operation())),
            apply_answer(failed(reason), "attempt-1", answer(), None, LATE),
        ):
            assert (void.state, void.corrected, void.reason) == (State.VOIDED, True, None)

    @pytest.mark.parametrize("seen", [HELD, ABSENT, view(CAPTURE), view(operation("failure"))])
    def test_by_nothing_else(self, seen: OrderView) -> None:
        void = failed(FailureReason.REFUSED)
        assert queried(void, seen)._replace(all_ids=frozenset()) == void
        assert told(void, operation("failure")) == void
        assert apply_answer(void, "attempt-1", answer("pending"), seen, LATE) == void
        assert not_sent(void, "attempt-1", LATE) == void

    def test_twenty_attempts_are_enough(self) -> None:
        void = failed(FailureReason.REFUSED)
        for number in range(2, MOST_ATTEMPTS + 1):
            assert judge(void, request(), LATE) is ClaimDecision.CLAIM
            void = claim(void, request(), f"attempt-{number}", LATE)
            void = apply_answer(void, f"attempt-{number}", say.REFUSED, HELD, LATE)
        assert judge(void, request(), LATE) is ClaimDecision.TOO_MANY

    def test_keeps_a_review_through_later_attempts(self) -> None:
        assert claim(failed(FailureReason.NOT_SENT, review=True), request(), "attempt-2", LATE).review is True


class TestVoided:
    def void(self) -> Void:
        return apply_answer(submitting(), "attempt-1", answer(), None, START)

    @pytest.mark.parametrize("seen", [HELD, ABSENT, view(CAPTURE), view(operation("failure"))])
    def test_never_changes(self, seen: OrderView) -> None:
        void = self.void()
        assert queried(void, seen) == void
        assert told(void, operation("failure")) == void
        assert told(void, operation("pending")) == void
        assert told(void, operation()) == void
        for by in (say.UNKNOWN, say.THROTTLED, say.CREDENTIALS, say.REFUSED, answer("pending"), answer("failure")):
            assert apply_answer(void, "attempt-1", by, seen, LATE) == void
        assert not_sent(void, "attempt-1", LATE) == void

    def test_answers_every_repetition(self) -> None:
        assert judge(self.void(), request("k9"), LATE) is ClaimDecision.REPLAY

    def test_later_evidence_fills_what_is_absent(self) -> None:
        bare = apply_answer(submitting(), "attempt-1", answer(processing_time=None, fee=None), None, START)
        void = told(bare, operation(fee="1.5"))
        assert void.provider is not None
        assert void.provider["processing_time"] == "2018-10-10T10:10:12.000"
        assert (void.state, void.review) == (State.VOIDED, False)

    def test_a_contradiction_asks_for_a_person_and_changes_nothing(self) -> None:
        for other in (operation(amount=5), PORTAL, operation(currency="EUR")):
            assert told(self.void(), other) == replace(self.void(), review=True)


class TestEveryState:
    @pytest.mark.parametrize("state", list(State))
    def test_a_key_with_another_body_is_a_mismatch_first_of_all(self, state: State) -> None:
        void = in_state(state, reason=FailureReason.REFUSED if state is State.FAILED else None)
        assert judge(void, request("k1", "EUR"), START) is ClaimDecision.KEY_MISMATCH

    @pytest.mark.parametrize("state", [state for state in State if state is not State.FAILED])
    def test_another_currency_is_a_mismatch_before_the_state(self, state: State) -> None:
        assert judge(in_state(state), request(currency="EUR"), START) is ClaimDecision.CURRENCY_MISMATCH

    @pytest.mark.parametrize("state", [state for state in State if state is not State.VOIDED])
    def test_a_success_counts_from_any_source(self, state: State) -> None:
        void = in_state(state, reason=FailureReason.REFUSED if state is State.FAILED else None)
        for released in (
            told(void, PORTAL),
            queried(void, view(PORTAL), 0, False),
            apply_answer(void, "attempt-0", answer(operation_id=OTHER), None, LATE),
        ):
            assert (released.state, released.due_at, released.resend_allowed) == (State.VOIDED, None, False)
            assert attempt_of(released).ids == frozenset()

    @pytest.mark.parametrize("state", [state for state in State if state is not State.VOIDED])
    def test_a_success_in_another_currency_is_voided_and_in_review(self, state: State) -> None:
        void = told(
            in_state(state, reason=FailureReason.REFUSED if state is State.FAILED else None), operation(currency="EUR")
        )
        assert (void.state, void.review) == (State.VOIDED, True)

    @pytest.mark.parametrize("state", list(State))
    @pytest.mark.parametrize("status", ["success", "pending", "failure"])
    def test_knowledge_only_grows(self, state: State, status: str) -> None:
        void = in_state(state, reason=FailureReason.REFUSED if state is State.FAILED else None)
        for learnt in (
            told(void, operation(status)),
            queried(void, view(operation(status))),
            apply_answer(void, "attempt-1", answer(status), HELD, LATE),
        ):
            assert RANK[learnt.state] >= RANK[state]
            assert learnt.due_at is not None or learnt.settled
            assert learnt.history[-1].state is learnt.state or learnt.history == void.history

    def test_the_history_is_bounded_and_keeps_its_beginning(self) -> None:
        lines = tuple(Change(at, State.UNKNOWN, Evidence.QUERY) for at in range(LONGEST_HISTORY))
        void = told(in_state(State.UNKNOWN, history=lines), operation())
        assert len(void.history) == LONGEST_HISTORY
        assert (void.history[0], void.history[-1].state) == (lines[0], State.VOIDED)


class TestSchedule:
    def test_backs_off_from_a_minute_to_a_week(self) -> None:
        # Older than a day, so that no moment of the first day comes in between.
        void, at, waits = with_attempt(submitting(START - DAY_MS), absence_counts_from=0), START, []
        for _ in range(16):
            void = schedule_query(void, at)
            assert void.due_at is not None
            waits.append((void.due_at - at) // 60_000)
            at = void.due_at
        assert waits == [1, 2, 5, 15, 60, 360, *[1440] * 6, *[10_080] * 4]

    def test_one_query_comes_right_after_the_window(self) -> None:
        void, end = replace(submitting(), query_count=3), LATE
        assert schedule_query(void, end - 10).due_at == end
        assert schedule_query(void, end).due_at == end + 15 * 60_000

    def test_a_day_without_an_answer_sets_review(self) -> None:
        assert schedule_query(submitting(), START + DAY_MS - 1).review is False
        assert schedule_query(submitting(), START + DAY_MS).review is True

    @pytest.mark.parametrize("reason", list(FailureReason))
    def test_a_failure_that_may_be_contradicted_is_queried_after_a_day_and_a_week(self, reason: FailureReason) -> None:
        void = in_state(State.UNKNOWN, earlier_sent=False)
        if reason is FailureReason.NOT_EXECUTED:
            ended = queried(void, HELD, START + DAY_MS)
        elif reason is FailureReason.REFUSED:
            ended = queried(void, view(operation("failure")), LATE)
        else:
            assert reason not in (FailureReason.NOT_EXECUTED, FailureReason.REFUSED)
            return
        assert ended.settled_at is not None
        assert ended.due_at == ended.settled_at + DAY_MS
        second = schedule_query(ended, ended.due_at)
        assert second.due_at == ended.settled_at + 7 * DAY_MS
        assert schedule_query(second, second.due_at).due_at is None

    def test_a_failed_void_beside_one_under_way_is_queried_as_an_open_one(self) -> None:
        void = failed(FailureReason.REFUSED, under_way=frozenset({OTHER}))
        assert schedule_query(void, LATE).due_at == LATE + 60_000

    def test_a_week_after_the_request_the_queries_are_a_week_apart(self) -> None:
        void, week = replace(submitting(), query_count=10), START + 7 * DAY_MS
        assert schedule_query(void, week - 1).due_at == week - 1 + DAY_MS
        assert schedule_query(void, week).due_at == week + 7 * DAY_MS

    def test_a_refresh_leaves_the_schedule_alone(self) -> None:
        for void in (submitting(), failed(FailureReason.REFUSED)):
            again = mark_queried(void, LATE)
            assert (again.due_at, again.query_count, again.queried_at) == (void.due_at, void.query_count, LATE)


class TestARefusalIsAboutItsOwnAttempt:
    def refused(self, by: Answer = say.REFUSED, seen: OrderView = HELD) -> Void:
        return apply_answer(submitting(key="k1"), "attempt-1", by, seen, START)

    def test_a_second_refusal_is_final_again(self) -> None:
        again = claim(self.refused(), request("k2"), "attempt-2", LATE)
        assert apply_answer(again, "attempt-2", say.REFUSED, HELD, LATE).reason is FailureReason.REFUSED

    def test_an_order_that_the_provider_does_not_know_is_not_found_each_time(self) -> None:
        void = self.refused(say.NOT_FOUND, ABSENT)
        for number in range(2, 5):
            assert void.reason is FailureReason.ORDER_NOT_FOUND
            void = claim(void, request(f"k{number}"), f"attempt-{number}", LATE)
            void = apply_answer(void, f"attempt-{number}", say.NOT_FOUND, ABSENT, LATE)
        assert void.reason is FailureReason.ORDER_NOT_FOUND

    def test_after_a_lost_answer_only_the_hold_without_a_void_makes_it_final(self) -> None:
        lost = replace(in_state(State.UNKNOWN), resend_allowed=True)
        again = claim(lost, request("k2"), "attempt-2", LATE)
        assert apply_answer(again, "attempt-2", say.NOT_FOUND, ABSENT, LATE).state is State.UNKNOWN
        assert (
            apply_answer(again, "attempt-2", say.REFUSED, OrderView((HOLD,), partial=True), LATE).state is State.UNKNOWN
        )
        assert apply_answer(again, "attempt-2", say.REFUSED, HELD, LATE).reason is FailureReason.REFUSED

    def test_one_whose_query_could_not_be_read_is_concluded_by_the_next_query(self) -> None:
        open_still = apply_answer(submitting(), "attempt-1", say.NOT_FOUND, None, START)
        assert open_still.state is State.UNKNOWN
        assert queried(open_still, ABSENT, START + 1).reason is FailureReason.ORDER_NOT_FOUND
        assert queried(open_still, HELD, START + 1).reason is FailureReason.REFUSED
        assert queried(open_still, HELD, START + 1, unchanged=False).state is State.UNKNOWN


class TestOneKeyOneAnswer:
    def after_a_refused_key(self, reason: FailureReason) -> Void:
        refused = apply_answer(submitting(key="k1"), "attempt-1", say.REFUSED, HELD, START)
        again = claim(refused, request("k2"), "attempt-2", LATE)
        return replace(again, state=State.FAILED, reason=reason)

    @pytest.mark.parametrize("reason", list(FailureReason))
    def test_refused_stays_refused_whatever_came_after_it(self, reason: FailureReason) -> None:
        assert judge(self.after_a_refused_key(reason), request("k1"), LATE) is ClaimDecision.FAILED_EARLIER

    def test_also_when_a_later_attempt_voided_the_order(self) -> None:
        voided = replace(self.after_a_refused_key(FailureReason.REFUSED), state=State.VOIDED, reason=None)
        assert judge(voided, request("k1"), LATE) is ClaimDecision.FAILED_EARLIER
        assert judge(voided, request("k2"), LATE) is ClaimDecision.REPLAY

    @pytest.mark.parametrize("reason", list(FailureReason))
    def test_a_key_whose_attempt_was_not_executed_stays_so(self, reason: FailureReason) -> None:
        lost = claim(in_state(State.UNKNOWN, resend_allowed=True), request("k2"), "attempt-2", LATE)
        absent = claim(failed(FailureReason.NOT_EXECUTED), request("k2"), "attempt-2", LATE)
        for void in (lost, absent):
            assert judge(void, request("k1"), LATE) is ClaimDecision.FAILED_EARLIER
            later = replace(void, state=State.FAILED, reason=reason)
            assert judge(later, request("k1"), LATE) is ClaimDecision.FAILED_EARLIER

    def test_unless_the_order_was_voided_perhaps_by_that_very_attempt(self) -> None:
        lost = claim(in_state(State.UNKNOWN, resend_allowed=True), request("k2"), "attempt-2", LATE)
        voided = replace(lost, state=State.VOIDED)
        assert judge(voided, request("k1"), LATE) is ClaimDecision.REPLAY

    @pytest.mark.parametrize("reason", sorted(REACHED_NOTHING))
    def test_the_newest_key_a_new_one_or_none_may_claim(self, reason: FailureReason) -> None:
        void = self.after_a_refused_key(reason)
        for key in ("k2", "k3", None):
            assert judge(void, request(key), LATE) is ClaimDecision.CLAIM

    def test_a_key_that_reached_nothing_is_not_locked_out_by_another_one(self) -> None:
        first = failed(FailureReason.NOT_SENT)
        second = replace(
            claim(first, request("k2"), "attempt-2", LATE), state=State.FAILED, reason=FailureReason.NOT_SENT
        )
        assert judge(second, request("k1"), LATE) is ClaimDecision.CLAIM


class TestAnAttemptThatReachedNothingCostsNothing:
    def outage(self, keys: list[str | None]) -> Void:
        void: Void | None = None
        for number, key in enumerate(keys, 1):
            void = not_sent(
                claim(void, request(key), f"attempt-{number}", START + number), f"attempt-{number}", START + number
            )
        assert void is not None
        return void

    @pytest.mark.parametrize("keys", [["k"] * 200, [None] * 200, [f"k{number}" for number in range(200)]])
    def test_an_outage_locks_nobody_out_and_fills_no_record(self, keys: list[str | None]) -> None:
        void = self.outage(keys)
        for key in ("k", "new", None):
            assert judge(void, request(key), LATE) is ClaimDecision.CLAIM
        assert len(void.history) <= 4
        assert len(void.earlier) <= MOST_ATTEMPTS
        assert void.attempts_that_count == 0

    def test_what_reached_the_provider_before_is_kept(self) -> None:
        void = apply_answer(submitting(key="k1"), "attempt-1", say.REFUSED, HELD, START)
        for number in range(2, 60):
            void = not_sent(claim(void, request(f"k{number}"), f"a{number}", LATE), f"a{number}", LATE)
        assert judge(void, request("k1"), LATE) is ClaimDecision.FAILED_EARLIER
        assert [change.state for change in void.history[:2]] == [State.SUBMITTING, State.FAILED]
        assert void.attempts_that_count == 1

    def test_of_an_outage_the_first_and_the_newest_attempt_stay_in_the_history(self) -> None:
        for attempts in (1, 2, 3, 40):
            lines = [(change.at - START, change.state) for change in self.outage([None] * attempts).history]
            ends = [1] if attempts == 1 else [1, attempts]
            assert lines == [(at, state) for at in ends for state in (State.SUBMITTING, State.FAILED)]

    def test_the_attempts_in_a_row_are_counted_and_a_refusal_ends_the_row(self) -> None:
        void = self.outage(["k1", "k1", "k1"])
        assert attempt_of(void).idle_before == 2
        void = claim(void, request("k4"), "attempt-4", LATE)
        refused = apply_answer(void, "attempt-4", say.REFUSED, HELD, LATE)
        again = claim(refused, request("k5"), "attempt-5", LATE + 1)
        assert (attempt_of(void).idle_before, attempt_of(again).idle_before) == (3, 0)
        assert again.history[-3:] == (
            Change(LATE, State.SUBMITTING, Evidence.REQUEST),
            Change(LATE, State.FAILED, Evidence.ANSWER),
            Change(LATE + 1, State.SUBMITTING, Evidence.REQUEST),
        )

    def test_a_key_of_the_outage_still_stands_for_its_body(self) -> None:
        void = self.outage(["k1", "k2", "k3"])
        assert [each.key for each in void.earlier] == ["k1", "k2"]
        assert judge(void, request("k1", comment="another"), LATE) is ClaimDecision.KEY_MISMATCH

    def test_without_a_key_or_with_the_same_one_nothing_of_it_is_kept(self) -> None:
        assert self.outage([None] * 3).earlier == ()
        assert self.outage(["k"] * 3).earlier == ()
        assert self.outage([None, "k"]).earlier == ()


class TestAnAttemptThatWasNotSent:
    def test_leaves_a_void_that_a_query_saw_under_way(self) -> None:
        pending = in_state(State.PENDING)
        assert not_sent(pending, "attempt-1", LATE) == pending
        for by in (say.THROTTLED, say.CREDENTIALS):
            assert apply_answer(pending, "attempt-1", by, None, LATE).state is State.PENDING

    def test_says_nothing_about_another_attempt(self) -> None:
        assert not_sent(submitting(), "attempt-0", LATE) == submitting()


class TestAnAnswer:
    def test_to_a_superseded_attempt_still_brings_the_success_that_its_query_showed(self) -> None:
        void = apply_answer(submitting(), "attempt-0", say.REFUSED, view(PORTAL), START)
        assert (void.state, fields_of(void)["operation_id"]) == (State.VOIDED, OTHER)

    def test_leaves_its_code_and_its_message(self) -> None:
        void = apply_answer(submitting(), "attempt-1", say.CREDENTIALS, None, START)
        assert (void.provider_code, void.provider_message) == (say.CREDENTIALS.code, say.CREDENTIALS.message)


class TestAFailureInTheAnswer:
    def test_names_and_describes_its_attempt_before_the_order_is_known(self) -> None:
        void = apply_answer(submitting(), "attempt-1", answer("failure", status_code="2000"), None, START)
        assert (void.state, attempt_of(void).ids) == (State.UNKNOWN, OWN)
        assert (fields_of(void)["status"], fields_of(void)["status_code"]) == ("failure", "2000")

    def test_ends_what_a_webhook_showed_under_way(self) -> None:
        void = told(submitting(), operation("pending"))
        assert void.under_way == OWN
        assert apply_answer(void, "attempt-1", answer("failure"), HELD, LATE).reason is FailureReason.REFUSED

    def test_what_the_query_after_it_showed_is_remembered(self) -> None:
        void = apply_answer(submitting(), "attempt-1", answer("failure"), view(FAILED_OTHER), START)
        assert OTHER in void.all_ids


class TestASuccess:
    def test_leaves_nothing_of_what_was_thought_before(self) -> None:
        before = in_state(
            State.UNKNOWN, provider_code="P-1", provider_message="no", all_ids=frozenset({OTHER}),
            under_way=frozenset({OTHER, ""}), review=True, resend_allowed=True,
        )  # fmt: skip
        void = told(before, operation())
        assert (void.provider_code, void.provider_message, void.under_way) == (None, None, frozenset())
        assert (void.all_ids, void.review, void.corrected) == (frozenset({OTHER, MINE}), True, False)
        assert (void.resend_allowed, void.settled_at) == (False, LATE)

    def test_without_a_currency_contradicts_nothing(self) -> None:
        assert told(in_state(State.UNKNOWN), operation(currency=None)).review is False
        strange = apply_webhook(None, operation(currency="uah"), START)
        assert strange is not None
        assert (strange.order_currency, strange.review) == (None, False)


class TestAFailedEnd:
    def test_begins_its_own_schedule_and_has_no_open_refusal(self) -> None:
        before = replace(submitting(), query_count=4, resend_allowed=True)
        void = apply_answer(before, "attempt-1", say.REFUSED, HELD, START)
        assert (void.query_count, attempt_of(void).refusal) == (0, None)
        assert (void.resend_allowed, void.settled_at) == (False, START)

    def test_is_reviewed_after_a_day_only_beside_a_void_under_way(self) -> None:
        assert mark_queried(failed(FailureReason.REFUSED), START + DAY_MS).review is False
        beside = failed(FailureReason.REFUSED, under_way=frozenset({OTHER}))
        assert mark_queried(beside, START + DAY_MS - 1).review is False
        assert mark_queried(beside, START + DAY_MS).review is True
        assert mark_queried(failed(FailureReason.REFUSED, review=True), START).review is True


class TestTheProvidersFields:
    def test_after_a_refusal_are_those_of_the_void_that_is_under_way(self) -> None:
        void = apply_answer(in_state(State.SUBMITTING), "attempt-1", say.REFUSED, view(PENDING_OTHER), LATE)
        assert (void.state, void.provider) == (State.PENDING, PENDING_OTHER.fields)

    def test_what_a_later_word_leaves_out_of_the_same_operation_stays(self) -> None:
        before = told(in_state(State.UNKNOWN, OWN), operation("pending", fee="1.5", comment="first"))
        fields = fields_of(told(before, operation("pending", comment="second", status_code="77")))
        assert fields["fee"] == fields_of(before)["fee"] is not None
        assert (fields["comment"], fields["status_code"]) == ("second", "77")

    def test_of_another_operation_are_not_mixed_with_what_was_known(self) -> None:
        before = told(in_state(State.UNKNOWN, OWN), operation("pending", fee="1.5"))
        assert fields_of(told(before, PORTAL)) == PORTAL.fields

    @pytest.mark.parametrize("name", ["operation_id", "transaction_id", "payment_id", "amount", "currency"])
    def test_of_a_released_void_are_contradicted_by_another_value_and_by_no_missing_one(self, name: str) -> None:
        void = told(in_state(State.UNKNOWN), operation(transaction_id="t1"))
        without: dict[str, Any] = {"transaction_id": "t1", name: None}
        assert told(void, operation(**without)) == void
        another: dict[str, Any] = {"transaction_id": "t1", name: 5 if name == "amount" else "EUR"}
        assert told(void, operation(**another)) == replace(void, review=True)

    def test_of_a_released_void_are_filled_by_later_words_and_not_replaced(self) -> None:
        void = told(in_state(State.UNKNOWN), operation(comment="first", fee=None))
        fields = fields_of(told(void, operation(comment="second", fee="1.5", status_description="other")))
        assert (fields["comment"], fields["status_description"]) == ("first", "Reverse successful.")
        assert fields["fee"] is not None

    def test_an_answer_without_an_id_does_not_take_a_known_one_away(self) -> None:
        void = apply_answer(in_state(State.UNKNOWN, OWN), "attempt-1", answer("pending", None), None, LATE)
        assert attempt_of(void).ids == OWN


class TestWhatAQueryShowed:
    def test_is_remembered_beside_what_was_seen_before(self) -> None:
        void = queried(in_state(State.UNKNOWN, all_ids=frozenset({"first"})), view(FAILED_OTHER), START)
        assert void.all_ids == {"first", OTHER}

    def test_under_way_is_so_until_a_query_shows_it_finished(self) -> None:
        void = queried(told(in_state(State.UNKNOWN), PENDING_OTHER), view(PENDING_OTHER), START)
        assert (void.state, void.under_way) == (State.PENDING, frozenset({OTHER}))
        assert queried(void, view(FAILED_OTHER), START + 1).under_way == frozenset()

    def test_the_hold_alone_proves_that_earlier_attempts_did_nothing(self) -> None:
        void = in_state(State.UNKNOWN, earlier_sent=True)
        assert queried(void, HELD, START).earlier_sent is False
        assert queried(void, view(hold=False), START).earlier_sent is True
        assert queried(replace(void, earlier_sent=False), ABSENT, START).earlier_sent is False

    def test_the_same_state_again_is_no_line_of_the_history(self) -> None:
        void = in_state(State.PENDING, OWN)
        assert queried(void, view(operation("pending")), START).history == void.history
        assert told(void, operation("pending")).history == void.history


class TestWhatIsKnownIsKeptOverAttempts:
    def test_the_ids_of_all_attempts_before(self) -> None:
        void = in_state(State.UNKNOWN, OWN, resend_allowed=True, all_ids=frozenset({OTHER}))
        second = with_attempt(claim(void, request("k2"), "attempt-2", LATE), ids=frozenset({"second"}))
        third = claim(replace(second, all_ids=second.all_ids | {"seen"}), request("k3"), "attempt-3", LATE)
        assert third.all_ids == third.ids_before_attempt == {MINE, OTHER, "second", "seen"}

    def test_the_history(self) -> None:
        void = queried(in_state(State.UNKNOWN), view(operation("failure")))
        again = claim(void, request("k2"), "attempt-2", LATE)
        assert again.history == (*void.history, Change(LATE, State.SUBMITTING, Evidence.REQUEST))

    def test_an_absence_seen_while_submitting_lets_a_new_key_send(self) -> None:
        void = queried(submitting(key="k1"), HELD)
        assert (void.state, void.resend_allowed) == (State.SUBMITTING, True)
        assert judge(void, request("k2"), LATE) is ClaimDecision.CLAIM
        assert judge(void, request("k1"), LATE) is ClaimDecision.REPLAY

    def test_a_void_whose_currency_nobody_told_is_answered_by_the_record(self) -> None:
        void = told(submitting(), operation())._replace(attempt=None, order_currency=None)
        assert judge(void, request(), LATE) is ClaimDecision.REPLAY


class TestWhatAWebhookShowedUnderWay:
    def seen(self, state: State = State.UNKNOWN, **changes: Any) -> Void:
        return told(in_state(state, resend_allowed=True, **changes), PENDING_OTHER)

    def test_takes_the_permission_to_send_back(self) -> None:
        assert self.seen().resend_allowed is False
        assert judge(self.seen(), request("k2"), LATE) is ClaimDecision.REPLAY

    def test_is_not_absent_however_late(self) -> None:
        for began in (LATE, START + DAY_MS, START + 30 * DAY_MS):
            void = queried(self.seen(), HELD, began)
            assert (void.state, void.resend_allowed) == (State.UNKNOWN, False)

    def test_ends_when_a_query_shows_that_very_void_finished(self) -> None:
        other = operation("failure", operation_id="third")
        assert queried(self.seen(), view(other), LATE).under_way == {OTHER}
        finished = queried(self.seen(ids=OWN), view(FAILED_OTHER), LATE)
        assert (finished.under_way, finished.resend_allowed) == (frozenset(), True)

    def test_without_an_id_only_a_success_ends_it(self) -> None:
        void = told(in_state(State.UNKNOWN), operation("pending", operation_id=None))
        assert queried(void, HELD, LATE).resend_allowed is False
        assert queried(void, view(PORTAL), LATE).state is State.VOIDED

    def test_is_remembered_beside_what_was_shown_before(self) -> None:
        void = told(self.seen(), operation("pending", operation_id="third"))
        assert void.under_way == {OTHER, "third"}
        assert told(void, operation("pending", operation_id=None)).under_way == {OTHER, "third", ""}

    def test_beside_another_one_stays_remembered_when_a_query_shows_both(self) -> None:
        third = operation("pending", operation_id="third")
        void = queried(told(told(in_state(State.UNKNOWN), PENDING_OTHER), third), view(PENDING_OTHER, third), START)
        assert (void.state, void.under_way) == (State.PENDING, frozenset({OTHER, "third"}))

    def test_does_not_hurry_an_open_void(self) -> None:
        assert told(submitting(), PENDING_OTHER, START).due_at == submitting().due_at

    def test_hurries_a_failed_one_only_once(self) -> None:
        void = failed(FailureReason.REFUSED, under_way=frozenset({OTHER}))._replace(due_at=LATE + DAY_MS)
        assert told(void, PENDING_OTHER) == void

    def test_of_an_earlier_attempt_means_nothing(self) -> None:
        void = in_state(State.UNKNOWN, ids_before_attempt=frozenset({OTHER}), resend_allowed=True)
        assert told(void, PENDING_OTHER) == void

    @pytest.mark.parametrize("reason", list(FailureReason))
    def test_keeps_a_failed_void_from_being_claimed(self, reason: FailureReason) -> None:
        void = told(failed(reason), PENDING_OTHER)
        assert judge(void, request("k2"), LATE) in (ClaimDecision.IN_PROGRESS, ClaimDecision.REPLAY)
        assert void.due_at == LATE

    def test_makes_a_refused_attempt_pending(self) -> None:
        void = told(submitting(), PENDING_OTHER)
        assert apply_answer(void, "attempt-1", say.REFUSED, HELD, LATE).state is State.PENDING

    def test_then_failed_makes_the_refusal_final(self) -> None:
        pending = apply_answer(told(submitting(), PENDING_OTHER), "attempt-1", say.REFUSED, HELD, LATE)
        assert queried(pending, HELD, LATE + 1).state is State.PENDING
        assert queried(pending, view(FAILED_OTHER), LATE + 1).reason is FailureReason.REFUSED


class TestAFailureNamesThisAttemptOnlyByItsOwnId:
    def test_somebody_elses_failure_is_not_ours_once_our_id_is_known(self) -> None:
        void = apply_answer(submitting(), "attempt-1", answer("pending"), None, START)
        assert queried(void, view(FAILED_OTHER), START + 30 * DAY_MS).state is State.PENDING

    def test_the_answers_id_replaces_one_that_a_query_showed(self) -> None:
        void = with_attempt(in_state(State.UNKNOWN), ids=frozenset({OTHER}))
        assert attempt_of(apply_answer(void, "attempt-1", answer("pending"), None, LATE)).ids == OWN

    @pytest.mark.parametrize("shown", [(PENDING_OTHER, operation("pending")), (operation("pending"), PENDING_OTHER)])
    def test_of_two_voids_under_way_its_own_is_described(self, shown: tuple[Operation, ...]) -> None:
        void = queried(in_state(State.UNKNOWN, OWN), view(*shown), START)
        assert (void.state, fields_of(void)["operation_id"]) == (State.PENDING, MINE)

    def test_of_somebody_elses_voids_under_way_the_first_is_described(self) -> None:
        third = operation("pending", operation_id="third")
        assert fields_of(queried(in_state(State.UNKNOWN), view(PENDING_OTHER, third), START))["operation_id"] == OTHER

    def test_its_own_failure_is_described(self) -> None:
        void = queried(in_state(State.PENDING, OWN), view(operation("failure", status_code="2000")), START)
        assert (fields_of(void)["status"], fields_of(void)["status_code"]) == ("failure", "2000")

    def test_a_failure_without_an_id_does_not_hide_the_new_one(self) -> None:
        nameless = operation("failure", operation_id=None)
        assert queried(in_state(State.UNKNOWN), view(nameless, operation("failure"))).reason is FailureReason.REFUSED


class TestUndocumentedStatuses:
    @pytest.mark.parametrize("status", ["rejected", "unsuccessful", "antifraud", "failed", "never heard of"])
    def test_are_not_final_and_reviewed_after_the_second_query(self, status: str) -> None:
        once = queried(in_state(State.UNKNOWN), view(operation(status)), START)
        assert (once.state, once.review) == (State.PENDING, False)
        twice = queried(once, view(operation(status)), START + 1)
        assert (twice.state, twice.review) == (State.PENDING, True)

    @pytest.mark.parametrize("status", ["init", "pending"])
    def test_documented_ones_are_not_reviewed(self, status: str) -> None:
        void = in_state(State.UNKNOWN)
        for at in range(5):
            void = queried(void, view(operation(status)), START + at)
        assert void.review is False

    def test_a_known_status_after_it_is_not_reviewed_but_a_second_strange_one_is(self) -> None:
        once = queried(in_state(State.UNKNOWN), view(operation("rejected")), START)
        between = queried(once, view(operation("pending")), START + 1)
        assert between.review is False
        assert queried(between, view(operation("rejected")), START + 2).review is True
