"""A void's life with everything outside replaced: submit, record, settle, refresh, and what happens when answers are lost."""

from copy import replace
from typing import Any

import pytest

from payments.messages import Answer, OrderView
from payments.operations import DAY_MS, MOST_ATTEMPTS, Evidence, Reason, State
from payments.secret import SecretError
from payments.store import StoreError
from payments.voids import Result, ask, refresh, result_of, settle, submit
from payments.webhooks import receive
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import ABSENT, CAPTURE, HELD, OTHER, Scene, answer, operation, request, view
from tests.fakes.table import error

LATE = 145


@pytest.fixture
def scene() -> Scene:
    """One order of which nothing is known."""
    return Scene()


def failing(*names: str) -> Any:
    def before(name: str, arguments: dict[str, Any]) -> None:
        if name in names:
            raise error("InternalServerError", name)

    return before


def run(scene: Scene, seconds: float = 30) -> tuple[int, int]:
    done = settle(scene.world, scene.at + round(seconds * 1000))
    return len(done.asked), done.failed


class TestSubmit:
    @pytest.mark.parametrize(
        ("line", "result", "state"),
        [
            (answer(), Result.VOIDED, State.VOIDED),
            (answer("pending"), Result.ACCEPTED, State.PENDING),
            (answer("init"), Result.ACCEPTED, State.PENDING),
            (say.UNKNOWN, Result.ACCEPTED, State.UNKNOWN),
            (say.THROTTLED, Result.THROTTLED, State.FAILED),
            (say.CREDENTIALS, Result.CREDENTIALS, State.FAILED),
        ],
    )
    def test_ends_as_the_provider_says(self, scene: Scene, line: Answer, result: Result, state: State) -> None:
        scene.provider.answers = [line]
        submitted = submit(scene.world, request())
        assert (submitted.result, submitted.replayed) == (result, False)
        assert scene.record() == submitted.void
        assert scene.record().state is state
        assert scene.provider.asked == []

    @pytest.mark.parametrize(
        ("line", "seen", "result"),
        [
            (say.REFUSED, view(operation(operation_id=OTHER)), Result.VOIDED),
            (answer("failure"), view(CAPTURE), Result.NOT_VOIDABLE),
            (say.REFUSED, view(operation("pending", operation_id=OTHER)), Result.ACCEPTED),
            (say.NOT_FOUND, ABSENT, Result.NOT_VOIDABLE),
            (say.REFUSED, HELD, Result.NOT_VOIDABLE),
            (say.REFUSED, None, Result.ACCEPTED),
        ],
    )
    def test_asks_once_after_a_refusal(
        self, scene: Scene, line: Answer, seen: OrderView | None, result: Result
    ) -> None:
        scene.provider.answers, scene.provider.views = [line], [seen]
        assert submit(scene.world, request()).result is result
        assert len(scene.provider.asked) == 1

    def test_needs_three_round_trips_that_depend_on_each_other(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.world, request())
        assert [name for name, _ in scene.table.calls] == ["put_item", "put_item"]
        assert len(scene.provider.sent) == 1

    def test_the_query_gets_only_what_is_left_of_18_seconds(self, scene: Scene) -> None:
        def slow() -> Answer:
            scene.wait(9)
            return say.REFUSED

        scene.provider.answers, scene.provider.views = [slow], [HELD]
        submit(scene.world, request())
        assert scene.provider.asked == [("123", 9.0)]

    def test_a_slow_table_means_that_nothing_is_sent(self, scene: Scene) -> None:
        scene.table.before = lambda name, arguments: scene.wait(6.5)
        assert submit(scene.world, request()).result is Result.NOT_SENT
        assert scene.provider.sent == []

    def test_always_gives_the_connection_back(self, scene: Scene) -> None:
        scene.provider.refuses_connections()
        submit(scene.world, request())
        scene.table.before = failing("put_item")
        with pytest.raises(StoreError):
            submit(scene.world, request())
        assert [handshake.closed for handshake in scene.provider.handshakes] == [True, True]

    def test_without_a_secret_or_a_table_nothing_is_sent(self, scene: Scene) -> None:
        scene.table.before = failing("put_item")
        with pytest.raises(StoreError):
            submit(scene.world, request())
        scene.secrets.out_of_reach()
        scene.wait(61)
        with pytest.raises(SecretError):
            submit(scene.world, request())
        assert scene.provider.sent == []


class TestALostAnswer:
    def test_of_the_intent_is_recognised_and_sent_once(self, scene: Scene) -> None:
        scene.table.lose_next_answer("put_item")
        scene.provider.answers = [answer()]
        assert submit(scene.world, request()).result is Result.VOIDED

    def test_of_the_intent_is_recognised_after_a_lease_of_the_schedule(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        writes: list[str] = []

        def lease_in_between(name: str, arguments: dict[str, Any]) -> None:
            writes.append(name)
            if len(writes) > 1:
                return
            # The SDK's first try was applied and its answer lost; the schedule writes before the second try.
            scene.table._put(arguments)
            scene.store.replace(replace(scene.record(), checks=1), "lease")

        scene.table.before = lease_in_between
        assert submit(scene.world, request()).result is Result.VOIDED
        assert (len(scene.provider.sent), scene.record().attempt, scene.record().checks) == (1, 1, 1)

    def test_of_the_outcome_is_recognised(self, scene: Scene) -> None:
        def lose() -> Answer:
            scene.table.lose_next_answer("put_item")
            return answer()

        scene.provider.answers = [lose]
        assert submit(scene.world, request()).result is Result.VOIDED
        assert len(scene.record().history) == 2

    @pytest.mark.parametrize("line", [answer(), answer("pending"), say.UNKNOWN, say.THROTTLED, say.CREDENTIALS])
    def test_an_outcome_that_cannot_be_written_is_202_and_found_out_later(self, scene: Scene, line: Answer) -> None:
        def cut() -> Answer:
            scene.table.before = failing("put_item")
            return line

        scene.provider.answers = [cut]
        submitted = submit(scene.world, request())
        assert (submitted.result, submitted.void.state) == (Result.ACCEPTED, State.SUBMITTING)
        scene.table.before = lambda name, arguments: None
        scene.wait(30)
        scene.provider.views = [view(operation())]
        assert run(scene) == (1, 0)
        assert submit(scene.world, request()).result is Result.VOIDED
        assert len(scene.provider.sent) == 1

    def test_a_webhook_before_the_answer_is_merged_with_it(self, scene: Scene) -> None:
        def webhook_first() -> Answer:
            receive(scene.inbox, *make.signed(make.fields()))
            return answer()

        scene.provider.answers = [webhook_first]
        submitted = submit(scene.world, request())
        assert (submitted.result, submitted.void.review, submitted.void.corrected) == (Result.VOIDED, False, False)
        assert submitted.void.history[-1].evidence is Evidence.WEBHOOK

    @pytest.mark.parametrize(
        "line", [say.UNKNOWN, say.THROTTLED, say.CREDENTIALS, answer("pending"), answer("failure")]
    )
    def test_a_webhooks_success_beats_whatever_was_answered(self, scene: Scene, line: Answer) -> None:
        def webhook_first() -> Answer:
            receive(scene.inbox, *make.signed(make.fields()))
            return line

        scene.provider.answers, scene.provider.views = [webhook_first], [HELD]
        assert submit(scene.world, request()).result is Result.VOIDED


class TestAttemptsAndKeys:
    def test_two_at_once_send_once(self, scene: Scene) -> None:
        second: list[Result] = []

        def meanwhile() -> Answer:
            second.append(submit(scene.world, request("other key")).result)
            return answer()

        scene.provider.answers = [meanwhile]
        assert submit(scene.world, request("key")).result is Result.VOIDED
        assert second == [Result.IN_PROGRESS]
        assert len(scene.provider.sent) == 1

    @pytest.mark.parametrize("line", [say.THROTTLED, say.CREDENTIALS, "no connection"])
    def test_what_moved_nothing_may_be_repeated_with_its_key(self, scene: Scene, line: Any) -> None:
        if isinstance(line, str):
            scene.provider.refuses_connections()
        else:
            scene.provider.answers = [line]
        submit(scene.world, request("k"))
        scene.provider.answers = [answer()]
        assert submit(scene.world, request("k")).result is Result.VOIDED
        assert (scene.record().attempt, [used.attempt for used in scene.record().keys]) == (2, [1, 2])

    def test_a_refusal_stands_for_its_key_and_not_for_a_new_one(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [HELD]
        assert submit(scene.world, request("k")).result is Result.NOT_VOIDABLE
        again = submit(scene.world, request("k"))
        assert (again.result, again.replayed) == (Result.NOT_VOIDABLE, True)
        scene.provider.answers = [answer(currency="EUR")]
        assert submit(scene.world, request("k2", "EUR", "another")).result is Result.VOIDED
        assert scene.record().order_currency == "EUR"

    def test_another_body_is_another_request(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.world, request("k"))
        assert submit(scene.world, request("k", comment="x")).result is Result.KEY_MISMATCH
        assert submit(scene.world, request("k", "EUR")).result is Result.KEY_MISMATCH
        assert submit(scene.world, request("k2", "EUR")).result is Result.CURRENCY_MISMATCH
        assert submit(scene.world, request(comment="x")).result is Result.VOIDED

    def test_a_key_belongs_to_its_order(self, scene: Scene) -> None:
        scene.provider.answers = [answer(), answer(order_id="124")]
        submit(scene.world, request("k"))
        assert submit(scene.world, request("k", order_id="124")).result is Result.VOIDED

    def test_twenty_attempts_are_the_end(self, scene: Scene) -> None:
        for _ in range(MOST_ATTEMPTS):
            scene.provider.refuses_connections()
            assert submit(scene.world, request()).result is Result.NOT_SENT
        assert submit(scene.world, request()).result is Result.TOO_MANY

    def test_a_resend_happens_only_when_allowed_and_asked_for(self, scene: Scene) -> None:
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.world, request("k"))
        scene.wait(LATE)
        assert submit(scene.world, request("k2")).result is Result.ACCEPTED
        scene.provider.views = [HELD]
        run(scene)
        assert scene.record().resend_allowed
        assert submit(scene.world, request("k")).replayed
        assert len(scene.provider.sent) == 1
        scene.provider.answers = [answer()]
        assert submit(scene.world, request("k2")).result is Result.VOIDED
        assert scene.record().attempt == 2

    def test_a_refusal_of_a_resend_proves_nothing(self, scene: Scene) -> None:
        scene.provider.answers = [say.UNKNOWN, say.REFUSED]
        submit(scene.world, request())
        scene.wait(LATE)
        scene.provider.views = [HELD, HELD]
        run(scene)
        assert submit(scene.world, request()).result is Result.ACCEPTED
        assert scene.record().state is State.UNKNOWN


class TestSettle:
    def due(self, scene: Scene, seconds: float = 60) -> None:
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.world, request())
        scene.wait(seconds)

    def test_asks_once_and_backs_off(self, scene: Scene) -> None:
        self.due(scene)
        scene.provider.views = [None]
        assert run(scene) == (1, 0)
        assert run(scene) == (0, 0)
        assert scene.record().checks == 1

    def test_a_record_of_a_newer_release_stops_nobody_else(self, scene: Scene) -> None:
        for number in (1, 2):
            scene.store.create(replace(make.submitting(scene.at), order_id=f"o{number}"), "w")
        next(iter(scene.table.items.values()))["state"] = {"S": "a-state-of-tomorrow"}
        scene.wait(60)
        scene.provider.views = [None]
        assert run(scene) == (1, 1)
        assert [order for order, _ in scene.provider.asked] == ["o2"]

    def test_asks_the_longest_due_first(self, scene: Scene) -> None:
        for number in (2, 1, 3):
            void = replace(make.submitting(scene.at), order_id=f"o{number}", due_at=scene.at + number)
            scene.store.create(void, "w")
        scene.wait(1)
        scene.provider.views = [None, None, None]
        run(scene)
        assert sorted(order for order, _ in scene.provider.asked) == ["o1", "o2", "o3"]

    def test_goes_through_every_page(self, scene: Scene) -> None:
        for number in range(120):
            scene.store.create(replace(make.submitting(scene.at), order_id=f"o{number}"), "w")
        scene.wait(60)
        scene.provider.views = [None] * 120
        assert run(scene) == (120, 0)

    def test_a_record_that_changed_during_the_query_is_not_judged_absent(self, scene: Scene) -> None:
        self.due(scene, LATE + 30)

        def meanwhile() -> OrderView:
            scene.store.replace(replace(scene.record(), comment="newer"), "somebody")
            return HELD

        scene.provider.views = [meanwhile]
        run(scene)
        assert scene.record().resend_allowed is False

    def test_a_success_counts_even_if_the_record_changed(self, scene: Scene) -> None:
        self.due(scene)

        def meanwhile() -> OrderView:
            scene.store.replace(replace(scene.record(), comment="newer"), "somebody")
            return view(operation())

        scene.provider.views = [meanwhile]
        run(scene)
        assert (scene.record().state, scene.record().comment) == (State.VOIDED, "newer")

    def test_a_lease_taken_by_another_means_no_question(self, scene: Scene) -> None:
        self.due(scene)
        stale = scene.record()
        scene.store.replace(replace(stale, checks=1), "other run")
        assert ask(scene.world, scene.secret.current(), stale) == scene.record()
        assert scene.provider.asked == []

    def through_a_day(self, scene: Scene, seen: OrderView | None) -> None:
        """Run the schedule at each moment at which the record is due, until a minute after 24 hours."""
        end = make.START + DAY_MS + 60_000
        while (due := scene.record().due_at) is not None and due <= end:
            scene.at = max(scene.at, due)
            scene.provider.views = [seen]
            run(scene)

    def test_what_was_never_executed_has_failed_after_a_day(self, scene: Scene) -> None:
        self.due(scene)
        self.through_a_day(scene, HELD)
        assert (scene.record().reason, scene.record().due_at) == (Reason.NOT_EXECUTED, None)

    @pytest.mark.parametrize("seen", [None, ABSENT])
    def test_what_is_still_open_after_a_day_asks_for_a_person(self, scene: Scene, seen: OrderView | None) -> None:
        self.due(scene)
        self.through_a_day(scene, seen)
        assert (scene.record().state, scene.record().review) == (State.UNKNOWN, True)
        assert scene.store.list("review", 10).voids == (scene.record(),)


class TestRefresh:
    def test_leaves_what_is_settled(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.world, request())
        assert refresh(scene.world, scene.record()) == scene.record()
        assert scene.provider.asked == []

    def test_asks_about_what_is_open_but_not_twice_in_five_seconds(self, scene: Scene) -> None:
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.world, request())
        scene.provider.views = [None, view(operation())]
        refresh(scene.world, scene.record())
        scene.wait(4.9)
        assert refresh(scene.world, scene.record()).state is State.UNKNOWN
        scene.wait(0.1)
        assert refresh(scene.world, scene.record()).state is State.VOIDED


def test_200_is_only_for_what_was_released() -> None:
    for state in State:
        void = replace(make.submitting(), state=state, reason=Reason.REFUSED if state is State.FAILED else None)
        assert (result_of(void) is Result.VOIDED) is (state is State.VOIDED)
