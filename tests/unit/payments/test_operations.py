"""The state machine: one class per starting state, then the rules that hold in all of them."""

from copy import replace

import pytest

from payments.messages import Operation, OrderView
from payments.operations import (
    CLAIMABLE,
    DAY_MS,
    LEASE_MS,
    LONGEST_HISTORY,
    MOST_ATTEMPTS,
    RANK,
    SETTLE_WINDOW_MS,
    Change,
    Evidence,
    Reason,
    State,
    Verdict,
    Void,
    claim,
    judge,
    learn_answer,
    learn_query,
    learn_webhook,
    next_check,
    not_sent,
)
from tests.fakes import provider as say
from tests.fakes.scene import (
    ABSENT,
    CAPTURE,
    HELD,
    MINE,
    ORDER,
    OTHER,
    POS_ID,
    START,
    answer,
    intent,
    operation,
    submitting,
    view,
)

LATE = START + LEASE_MS + SETTLE_WINDOW_MS
PORTAL = operation(operation_id=OTHER)
PENDING_OTHER = operation("pending", operation_id=OTHER)


def in_state(state: State, **changes: object) -> Void:
    due = None if state in (State.FAILED, State.VOIDED) else START
    return replace(submitting(key="k1"), state=state, due_at=due, **changes)  # type: ignore[arg-type]


def failed(reason: Reason, **changes: object) -> Void:
    return in_state(State.FAILED, reason=reason, **changes)


def asked(
    void: Void, seen: OrderView, began: int = LATE, unchanged: bool = True, attempt_id: str = "attempt-1"
) -> Void:
    return learn_query(void, seen, began, attempt_id, unchanged, began)


def told(void: Void, by: Operation) -> Void:
    learnt = learn_webhook(void, by, POS_ID, LATE)
    assert learnt is not None
    return learnt


class TestNothingYet:
    def test_the_first_request_claims(self) -> None:
        assert judge(None, intent(), START) is Verdict.CLAIM

    def test_a_claim_is_an_intent_with_a_lease_and_a_window(self) -> None:
        void = claim(None, intent("k"), "a", START)
        assert (void.state, void.attempt, void.attempt_id, void.sent) == (State.SUBMITTING, 1, "a", False)
        assert (void.lease_until, void.settle_until, void.due_at) == (START + 25_000, START + 145_000, START + 25_000)
        assert [(used.key, used.attempt) for used in void.keys] == [("k", 1)]
        assert void.history == (Change(START, State.SUBMITTING, Evidence.REQUEST),)

    def test_a_success_webhook_makes_a_record_of_attempt_0(self) -> None:
        void = learn_webhook(None, operation(), POS_ID, START)
        assert void is not None
        assert (void.state, void.attempt, void.requested_at, void.requested_by) == (State.VOIDED, 0, None, None)
        assert (void.order_currency, void.corrected, void.review, void.due_at) == ("UAH", False, False, None)

    @pytest.mark.parametrize("status", ["failure", "pending", "init", "strange"])
    def test_no_other_webhook_makes_a_record(self, status: str) -> None:
        assert learn_webhook(None, operation(status), POS_ID, START) is None


class TestSubmitting:
    def test_a_repetition_within_the_lease_waits(self) -> None:
        assert judge(submitting(), intent(), START + LEASE_MS - 1) is Verdict.IN_PROGRESS

    def test_a_repetition_past_the_lease_is_answered_by_the_record(self) -> None:
        assert judge(submitting(), intent("new"), START + LEASE_MS) is Verdict.REPLAY

    def test_success_voids_it(self) -> None:
        void = learn_answer(submitting(), "attempt-1", answer(), None, START)
        assert (void.state, void.settled_at, void.due_at, void.own_ids) == (State.VOIDED, START, None, {MINE})
        assert void.history[-1] == Change(START, State.VOIDED, Evidence.ANSWER)

    @pytest.mark.parametrize("status", ["init", "pending", "never heard of"])
    def test_what_is_not_final_is_pending(self, status: str) -> None:
        void = learn_answer(submitting(), "attempt-1", answer(status), None, START)
        assert (void.state, void.own_ids) == (State.PENDING, {MINE})
        assert void.due_at is not None

    def test_no_connection_is_not_sent(self) -> None:
        assert not_sent(submitting(), "attempt-1", START).reason is Reason.NOT_SENT

    def test_429_is_throttled(self) -> None:
        assert learn_answer(submitting(), "attempt-1", say.THROTTLED, None, START).reason is Reason.THROTTLED

    def test_bad_credentials_are_a_reason_of_their_own(self) -> None:
        void = learn_answer(submitting(), "attempt-1", say.CREDENTIALS, None, START)
        assert (void.reason, void.provider_code) == (Reason.CREDENTIALS, "S-403")

    def test_anything_else_is_unknown_and_stays_in_the_index(self) -> None:
        void = learn_answer(submitting(), "attempt-1", say.UNKNOWN, None, START)
        assert void.state is State.UNKNOWN
        assert void.due_at is not None

    @pytest.mark.parametrize("by", [say.REFUSED, say.NOT_FOUND, answer("failure")])
    class TestRefused:
        """A refusal, by what the one query after it shows."""

        def test_with_a_void_success_it_was_somebody_else(self, by: object) -> None:
            void = learn_answer(submitting(), "attempt-1", by, view(PORTAL), START)  # type: ignore[arg-type]
            assert (void.state, void.corrected) == (State.VOIDED, False)

        def test_with_a_capture_it_is_already_captured(self, by: object) -> None:
            void = learn_answer(submitting(), "attempt-1", by, view(CAPTURE), START)  # type: ignore[arg-type]
            assert void.reason is Reason.ALREADY_CAPTURED

        def test_with_a_void_under_way_it_is_pending(self, by: object) -> None:
            void = learn_answer(submitting(), "attempt-1", by, view(PENDING_OTHER), START)  # type: ignore[arg-type]
            assert void.state is State.PENDING

        def test_with_a_void_under_way_in_the_record_it_stays_pending(self, by: object) -> None:
            void = learn_answer(in_state(State.PENDING), "attempt-1", by, HELD, START)  # type: ignore[arg-type]
            assert void.state is State.PENDING

        def test_without_a_readable_query_it_is_unknown(self, by: object) -> None:
            void = learn_answer(submitting(), "attempt-1", by, None, START)  # type: ignore[arg-type]
            assert void.state is State.UNKNOWN

        def test_after_an_earlier_attempt_was_sent_it_proves_nothing(self, by: object) -> None:
            void = replace(submitting(), sent=True)
            assert learn_answer(void, "attempt-1", by, HELD, START).state is State.UNKNOWN  # type: ignore[arg-type]

        def test_otherwise_it_is_refused_for_good(self, by: object) -> None:
            void = learn_answer(submitting(), "attempt-1", by, HELD, START)  # type: ignore[arg-type]
            assert (void.state, void.reason) == (State.FAILED, Reason.REFUSED)

    def test_404_here_and_there_is_order_not_found(self) -> None:
        assert learn_answer(submitting(), "attempt-1", say.NOT_FOUND, ABSENT, START).reason is Reason.ORDER_NOT_FOUND
        assert learn_answer(submitting(), "attempt-1", say.REFUSED, ABSENT, START).reason is Reason.REFUSED
        assert learn_answer(submitting(), "attempt-1", say.NOT_FOUND, HELD, START).reason is Reason.REFUSED

    @pytest.mark.parametrize("by", [say.UNKNOWN, say.THROTTLED, say.CREDENTIALS, answer("pending"), answer("failure")])
    def test_an_answer_to_another_attempt_teaches_only_success(self, by: object) -> None:
        void = submitting()
        assert learn_answer(void, "attempt-0", by, HELD, START) == void  # type: ignore[arg-type]
        released = learn_answer(void, "attempt-0", answer(operation_id=OTHER), None, START)
        assert (released.state, released.own_ids) == (State.VOIDED, frozenset())

    def test_a_pending_webhook_with_another_id_changes_nothing(self) -> None:
        assert told(submitting(), PENDING_OTHER) == submitting()

    def test_a_failure_webhook_only_makes_it_due_now(self) -> None:
        void = told(replace(submitting(), due_at=LATE + 5), operation("failure"))
        assert void == replace(submitting(), due_at=LATE)


class TestUnknown:
    def test_a_repetition_sends_nothing(self) -> None:
        assert judge(in_state(State.UNKNOWN), intent("new"), LATE) is Verdict.REPLAY

    def test_absence_after_the_window_allows_a_resend(self) -> None:
        void = asked(in_state(State.UNKNOWN), HELD)
        assert (void.state, void.resend_allowed) == (State.UNKNOWN, True)

    @pytest.mark.parametrize(
        ("seen", "began", "unchanged", "attempt_id"),
        [
            (HELD, LATE - 1, True, "attempt-1"),
            (HELD, LATE, False, "attempt-1"),
            (HELD, LATE, True, "attempt-0"),
            (view(hold=False), LATE, True, "attempt-1"),
            (ABSENT, LATE, True, "attempt-1"),
            (view(operation("failure", "auth"), hold=False), LATE, True, "attempt-1"),
        ],
    )
    def test_absence_is_not_believed_otherwise(
        self, seen: OrderView, began: int, unchanged: bool, attempt_id: str
    ) -> None:
        void = asked(in_state(State.UNKNOWN), seen, began, unchanged, attempt_id)
        assert (void.state, void.resend_allowed) == (State.UNKNOWN, False)

    def test_absence_a_day_later_is_not_executed(self) -> None:
        assert asked(in_state(State.UNKNOWN), HELD, START + DAY_MS).reason is Reason.NOT_EXECUTED
        assert asked(in_state(State.UNKNOWN), HELD, START + DAY_MS - 1).state is State.UNKNOWN
        assert asked(in_state(State.UNKNOWN), ABSENT, START + DAY_MS).state is State.UNKNOWN

    def test_a_resend_needs_a_new_key_or_none(self) -> None:
        void = in_state(State.UNKNOWN, resend_allowed=True)
        assert judge(void, intent("k1"), LATE) is Verdict.REPLAY
        assert judge(void, intent("k2"), LATE) is Verdict.CLAIM
        assert judge(void, intent(), LATE) is Verdict.CLAIM

    def test_a_resend_is_a_new_attempt_that_knows_the_old_ids(self) -> None:
        void = in_state(State.UNKNOWN, resend_allowed=True, own_ids=frozenset({MINE}), seen_ids=frozenset({OTHER}))
        again = claim(void, intent("k2"), "attempt-2", LATE)
        assert (again.attempt, again.sent, again.resend_allowed) == (2, True, False)
        assert (again.known_ids, again.own_ids) == ({MINE, OTHER}, frozenset())
        assert [used.key for used in again.keys] == ["k1", "k2"]
        assert again.version == void.version

    def test_a_failure_counts_if_it_names_this_attempt(self) -> None:
        failure = view(operation("failure"))
        assert asked(in_state(State.UNKNOWN), failure).reason is Reason.REFUSED
        assert asked(in_state(State.UNKNOWN, own_ids=frozenset({MINE})), failure, START).reason is Reason.REFUSED

    @pytest.mark.parametrize(
        ("changes", "began", "unchanged", "attempt_id"),
        [
            ({"known_ids": frozenset({MINE})}, LATE, True, "attempt-1"),
            ({}, LATE - 1, True, "attempt-1"),
            ({}, LATE, False, "attempt-1"),
            ({"own_ids": frozenset({MINE})}, LATE, False, "attempt-1"),
            ({"own_ids": frozenset({MINE})}, LATE, True, "attempt-0"),
        ],
    )
    def test_a_failure_is_dropped_otherwise(
        self, changes: dict[str, object], began: int, unchanged: bool, attempt_id: str
    ) -> None:
        void = asked(in_state(State.UNKNOWN, **changes), view(operation("failure")), began, unchanged, attempt_id)
        assert void.state is State.UNKNOWN

    def test_a_failure_without_an_id_names_nobody(self) -> None:
        assert asked(in_state(State.UNKNOWN), view(operation("failure", operation_id=None))).state is State.UNKNOWN

    def test_a_capture_ends_it(self) -> None:
        assert asked(in_state(State.UNKNOWN), view(CAPTURE)).reason is Reason.ALREADY_CAPTURED

    def test_a_void_under_way_is_pending_and_takes_the_permission_back(self) -> None:
        void = asked(in_state(State.UNKNOWN, resend_allowed=True), view(PENDING_OTHER))
        assert (void.state, void.resend_allowed) == (State.PENDING, False)

    def test_a_capture_that_failed_proves_nothing(self) -> None:
        void = asked(in_state(State.UNKNOWN), view(operation("failure", "capture")), START)
        assert void.state is State.UNKNOWN

    def test_a_pending_webhook_with_its_own_id_counts(self) -> None:
        assert told(in_state(State.UNKNOWN, own_ids=frozenset({MINE})), operation("pending")).state is State.PENDING


class TestPending:
    def test_is_never_claimed(self) -> None:
        void = in_state(State.PENDING, resend_allowed=True)
        assert judge(void, intent("new"), LATE + 30 * DAY_MS) is Verdict.REPLAY

    def test_is_never_absent(self) -> None:
        void = asked(in_state(State.PENDING), HELD, START + 2 * DAY_MS)
        assert (void.state, void.resend_allowed) == (State.PENDING, False)

    def test_does_not_become_unknown_again(self) -> None:
        void = learn_answer(in_state(State.PENDING), "attempt-1", say.UNKNOWN, None, LATE)
        assert void.state is State.PENDING

    def test_ends_with_success(self) -> None:
        assert told(in_state(State.PENDING), operation()).state is State.VOIDED

    def test_ends_with_a_failure_of_its_own(self) -> None:
        void = in_state(State.PENDING, own_ids=frozenset({MINE}))
        assert asked(void, view(operation("failure")), START).reason is Reason.REFUSED


class TestFailed:
    @pytest.mark.parametrize("reason", sorted(CLAIMABLE))
    def test_claimable_again_with_the_same_key(self, reason: Reason) -> None:
        void = failed(reason)
        assert judge(void, intent("k1"), LATE) is Verdict.CLAIM
        assert claim(void, intent("k1"), "attempt-2", LATE).sent is False
        assert claim(replace(void, sent=True), intent("k1"), "attempt-2", LATE).sent is True

    @pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.ORDER_NOT_FOUND, Reason.NOT_EXECUTED])
    def test_for_good_needs_a_new_key(self, reason: Reason) -> None:
        assert judge(failed(reason), intent("k1"), LATE) is Verdict.REPLAY
        assert judge(failed(reason), intent("k2", "EUR"), LATE) is Verdict.CLAIM
        assert judge(failed(reason), intent(), LATE) is Verdict.CLAIM
        assert claim(failed(reason), intent(), "attempt-2", LATE).sent is True

    def test_after_a_capture_nothing_is_sent_again(self) -> None:
        assert judge(failed(Reason.ALREADY_CAPTURED), intent("k2"), LATE) is Verdict.REPLAY

    def test_every_reason_is_one_or_the_other(self) -> None:
        final = {Reason.REFUSED, Reason.ALREADY_CAPTURED, Reason.ORDER_NOT_FOUND, Reason.NOT_EXECUTED}
        assert final | CLAIMABLE == set(Reason)
        assert not final & CLAIMABLE

    @pytest.mark.parametrize("reason", list(Reason))
    def test_is_corrected_by_the_providers_own_word(self, reason: Reason) -> None:
        for void in (
            told(failed(reason), operation()),
            asked(failed(reason), view(operation())),
            learn_answer(failed(reason), "attempt-1", answer(), None, LATE),
        ):
            assert (void.state, void.corrected, void.reason) == (State.VOIDED, True, None)

    @pytest.mark.parametrize("seen", [HELD, ABSENT, view(CAPTURE), view(PENDING_OTHER), view(operation("failure"))])
    def test_by_nothing_else(self, seen: OrderView) -> None:
        void = failed(Reason.REFUSED)
        assert asked(void, seen) == void
        assert told(void, PENDING_OTHER) == void
        assert told(void, operation("failure")) == void
        assert learn_answer(void, "attempt-1", answer("pending"), seen, LATE) == void
        assert not_sent(void, "attempt-1", LATE) == void

    def test_twenty_attempts_are_enough(self) -> None:
        assert judge(failed(Reason.NOT_SENT, attempt=MOST_ATTEMPTS), intent(), LATE) is Verdict.TOO_MANY
        assert judge(failed(Reason.NOT_SENT, attempt=MOST_ATTEMPTS - 1), intent(), LATE) is Verdict.CLAIM

    def test_keeps_a_review_through_later_attempts(self) -> None:
        assert claim(failed(Reason.NOT_SENT, review=True), intent(), "attempt-2", LATE).review is True


class TestVoided:
    def void(self) -> Void:
        return learn_answer(submitting(), "attempt-1", answer(), None, START)

    @pytest.mark.parametrize("seen", [HELD, ABSENT, view(CAPTURE), view(PENDING_OTHER), view(operation("failure"))])
    def test_never_changes(self, seen: OrderView) -> None:
        void = self.void()
        assert asked(void, seen) == void
        assert told(void, operation("failure")) == void
        assert told(void, operation("pending")) == void
        assert told(void, operation()) == void
        for by in (say.UNKNOWN, say.THROTTLED, say.CREDENTIALS, say.REFUSED, answer("pending"), answer("failure")):
            assert learn_answer(void, "attempt-1", by, seen, LATE) == void
        assert not_sent(void, "attempt-1", LATE) == void

    def test_answers_every_repetition(self) -> None:
        assert judge(self.void(), intent("k9"), LATE) is Verdict.REPLAY

    def test_later_evidence_fills_what_is_absent(self) -> None:
        bare = learn_answer(submitting(), "attempt-1", answer(processing_time=None, fee=None), None, START)
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
        void = in_state(state, reason=Reason.REFUSED if state is State.FAILED else None)
        assert judge(void, intent("k1", "EUR", body_hash="other"), START) is Verdict.KEY_MISMATCH

    @pytest.mark.parametrize("state", [state for state in State if state is not State.FAILED])
    def test_another_currency_is_a_mismatch_before_the_state(self, state: State) -> None:
        assert judge(in_state(state), intent(currency="EUR"), START) is Verdict.CURRENCY_MISMATCH

    @pytest.mark.parametrize("state", [state for state in State if state is not State.VOIDED])
    def test_a_success_counts_from_any_source(self, state: State) -> None:
        void = in_state(state, reason=Reason.REFUSED if state is State.FAILED else None)
        for released in (
            told(void, PORTAL),
            asked(void, view(PORTAL), 0, False, "attempt-0"),
            learn_answer(void, "attempt-0", answer(operation_id=OTHER), None, LATE),
        ):
            assert (released.state, released.due_at, released.resend_allowed) == (State.VOIDED, None, False)
            assert released.own_ids == frozenset()

    @pytest.mark.parametrize("state", [state for state in State if state is not State.VOIDED])
    def test_a_success_in_another_currency_is_voided_and_in_review(self, state: State) -> None:
        void = told(
            in_state(state, reason=Reason.REFUSED if state is State.FAILED else None), operation(currency="EUR")
        )
        assert (void.state, void.review) == (State.VOIDED, True)

    @pytest.mark.parametrize("state", list(State))
    @pytest.mark.parametrize("status", ["success", "pending", "failure"])
    def test_knowledge_only_grows(self, state: State, status: str) -> None:
        void = in_state(state, reason=Reason.REFUSED if state is State.FAILED else None)
        for learnt in (
            told(void, operation(status)),
            asked(void, view(operation(status))),
            learn_answer(void, "attempt-1", answer(status), HELD, LATE),
        ):
            assert RANK[learnt.state] >= RANK[state]
            assert learnt.settled is (learnt.due_at is None)
            assert learnt.history[-1].state is learnt.state or learnt.history == void.history

    def test_the_history_is_bounded_and_keeps_its_beginning(self) -> None:
        lines = tuple(Change(at, State.UNKNOWN, Evidence.QUERY) for at in range(LONGEST_HISTORY))
        void = told(in_state(State.UNKNOWN, history=lines), operation())
        assert len(void.history) == LONGEST_HISTORY
        assert (void.history[0], void.history[-1].state) == (lines[0], State.VOIDED)


class TestNextCheck:
    def test_backs_off_from_a_minute_to_a_week(self) -> None:
        # Older than a day, so that no moment of the first day comes in between.
        void, at, waits = replace(submitting(START - DAY_MS), settle_until=0), START, []
        for _ in range(16):
            void = next_check(void, at)
            assert void.due_at is not None
            waits.append((void.due_at - at) // 60_000)
            at = void.due_at
        assert waits == [1, 2, 5, 15, 60, 360, *[1440] * 6, *[10_080] * 4]

    def test_one_check_comes_right_after_the_window(self) -> None:
        void = replace(submitting(), checks=3)
        assert next_check(void, void.settle_until - 10).due_at == void.settle_until
        assert next_check(void, void.settle_until).due_at == void.settle_until + 15 * 60_000

    def test_a_day_without_an_answer_asks_for_a_person(self) -> None:
        assert next_check(submitting(), START + DAY_MS - 1).review is False
        assert next_check(submitting(), START + DAY_MS).review is True


def test_the_record_is_about_the_order_asked_for() -> None:
    assert (submitting().pos_id, submitting().order_id) == (POS_ID, ORDER)
