"""A void's life with everything outside replaced: submit, record, settle, refresh, and what happens when answers are lost."""

from collections.abc import Callable
from copy import replace
from typing import Any

import pytest

from payments.claims import MOST_ATTEMPTS
from payments.messages import Answer, OrderView
from payments.record import Evidence, FailureReason, State
from payments.secret import SecretError
from payments.settling import settle
from payments.store import StoreError
from payments.voids import SUBMIT_SECONDS, Result, find, result_of, submit
from payments.webhooks import receive
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import ABSENT, CAPTURE, HELD, OTHER, Scene, answer, operation, request, view
from tests.fakes.secret import PUBLISHED
from tests.fakes.table import error

LATE = 145


@pytest.fixture
def scene() -> Scene:
    """One order of which nothing is known."""
    return Scene()


def failing(*names: str) -> Callable[[str, dict[str, Any]], None]:
    def before(name: str, arguments: dict[str, Any]) -> None:
        if name in names:
            raise error("InternalServerError", name)

    return before


def run(scene: Scene, seconds: float = 30) -> tuple[int, int]:
    done = settle(scene.systems, scene.at + round(seconds * 1000), 1)
    return len(done.merged), done.failed


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
        submitted = submit(scene.systems, request())
        assert (submitted.result, submitted.replayed) == (result, False)
        assert scene.order() == submitted.order
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
        assert submit(scene.systems, request()).result is result
        assert len(scene.provider.asked) == 1

    def test_needs_three_round_trips_that_depend_on_each_other(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.systems, request())
        assert [name for name, _ in scene.table.calls] == ["put_item", "put_item"]
        assert len(scene.provider.sent) == 1

    def test_the_query_gets_only_what_is_left_of_16_5_seconds(self, scene: Scene) -> None:
        def slow() -> Answer:
            scene.wait(9)
            return say.REFUSED

        scene.provider.answers, scene.provider.views = [slow], [HELD]
        submit(scene.systems, request())
        assert scene.provider.asked == [(make.POS_ID, "123", 7.5)]

    def test_a_slow_table_means_that_nothing_is_sent(self, scene: Scene) -> None:
        scene.table.before = lambda name, arguments: scene.wait(6.5)
        assert submit(scene.systems, request()).result is Result.NOT_SENT
        assert scene.provider.sent == []

    def test_always_gives_the_connection_back(self, scene: Scene) -> None:
        scene.provider.refuses_connections()
        submit(scene.systems, request())
        scene.table.before = failing("put_item")
        with pytest.raises(StoreError):
            submit(scene.systems, request())
        assert [connection.closed for connection in scene.provider.connections] == [True, True]

    def test_without_a_secret_or_a_table_nothing_is_sent(self, scene: Scene) -> None:
        scene.table.before = failing("put_item")
        with pytest.raises(StoreError):
            submit(scene.systems, request())
        assert scene.provider.sent == []
        scene = Scene()
        scene.secrets.out_of_reach()
        with pytest.raises(SecretError):
            submit(scene.systems, request())
        assert scene.provider.sent == []

    def test_while_secrets_manager_is_out_of_reach_a_copy_of_the_last_15_minutes_serves(self, scene: Scene) -> None:
        scene.secret.current(scene.deadline())
        scene.secrets.out_of_reach()
        scene.wait(899)
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request()).result is Result.VOIDED
        assert scene.outages == 1
        scene.wait(2)
        with pytest.raises(SecretError):
            submit(scene.systems, request())

    def test_refused_credentials_are_read_again_by_the_next_request(self, scene: Scene) -> None:
        scene.provider.answers = [say.CREDENTIALS, answer()]
        submit(scene.systems, request())
        scene.secrets.rotate(api_key="another")
        submit(scene.systems, request())
        assert scene.secrets.calls.count("AWSCURRENT") == 2

    @pytest.mark.parametrize("line", [answer(), answer("pending"), say.UNKNOWN, say.THROTTLED])
    def test_any_other_answer_leaves_the_copy_of_the_secret(self, scene: Scene, line: Answer) -> None:
        scene.provider.answers = [line, answer(order_id="124")]
        submit(scene.systems, request())
        submit(scene.systems, request(order_id="124"))
        assert scene.secrets.calls == ["AWSCURRENT"]

    def test_sends_what_the_merchant_asked_for(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.systems, request("k", comment="why"))
        assert scene.provider.sent == [{"order_id": "123", "currency": "UAH", "comment": "why", "project": make.POS_ID}]


class TestALostAnswer:
    def test_of_the_intent_is_recognised_and_sent_once(self, scene: Scene) -> None:
        scene.table.lose_next_answer("put_item")
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request()).result is Result.VOIDED

    def test_of_the_intent_is_recognised_after_a_lease_of_the_schedule(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        writes: list[str] = []

        def lease_in_between(name: str, arguments: dict[str, Any]) -> None:
            writes.append(name)
            if len(writes) > 1:
                return
            # The SDK's first try was applied and its answer lost; the schedule writes before the second try.
            scene.table._put_item(**arguments)
            scene.change(replace(scene.record(), query_count=1))

        scene.table.before = lease_in_between
        assert submit(scene.systems, request()).result is Result.VOIDED
        assert (len(scene.provider.sent), scene.attempt().number, scene.record().query_count) == (1, 1, 1)

    def test_of_an_intent_that_a_webhook_has_meanwhile_settled_sends_nothing(self, scene: Scene) -> None:
        writes: list[str] = []

        def webhook_in_between(name: str, arguments: dict[str, Any]) -> None:
            writes.append(name)
            if len(writes) == 1:
                scene.table._put_item(**arguments)
                receive(scene.storage, *make.signed(make.fields()))

        scene.table.before = webhook_in_between
        submitted = submit(scene.systems, request())
        assert (submitted.result, submitted.replayed) == (Result.VOIDED, True)
        assert scene.provider.sent == []

    def test_of_the_intent_for_good_is_recognised_by_reading_the_record(self, scene: Scene) -> None:
        scene.table.lose_next_answer("put_item", repeated=False)
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request()).result is Result.VOIDED
        assert (len(scene.provider.sent), scene.attempt().number) == (1, 1)

    @pytest.mark.parametrize("there", ["nothing", "webhooks only", "a void without an attempt", "another attempt"])
    def test_of_an_intent_that_was_not_written_is_an_error_whatever_is_there(self, scene: Scene, there: str) -> None:
        if there == "webhooks only":
            scene.put(None)
        elif there == "a void without an attempt":
            receive(scene.storage, *make.signed(make.fields()))
        elif there == "another attempt":
            scene.provider.refuses_connections()
            submit(scene.systems, request())
        failed: list[str] = []

        def fail_once(name: str, arguments: dict[str, Any]) -> None:
            if name == "put_item" and not failed:
                failed.append(name)
                raise error("InternalServerError", name)

        scene.table.before = fail_once
        with pytest.raises(StoreError, match="^InternalServerError$"):
            submit(scene.systems, request())
        assert scene.provider.sent == []

    def test_of_the_outcome_is_recognised(self, scene: Scene) -> None:
        def lose() -> Answer:
            scene.table.lose_next_answer("put_item")
            return answer()

        scene.provider.answers = [lose]
        assert submit(scene.systems, request()).result is Result.VOIDED
        assert len(scene.record().history) == 2

    @pytest.mark.parametrize("line", [answer(), answer("pending"), say.UNKNOWN, say.THROTTLED, say.CREDENTIALS])
    def test_an_outcome_that_cannot_be_written_is_202_and_found_out_later(self, scene: Scene, line: Answer) -> None:
        def cut() -> Answer:
            scene.table.before = failing("put_item")
            return line

        scene.provider.answers = [cut]
        submitted = submit(scene.systems, request())
        assert (submitted.result, submitted.order.void and submitted.order.void.state) == (
            Result.ACCEPTED,
            State.SUBMITTING,
        )
        scene.table.before = lambda name, arguments: None
        scene.wait(30)
        scene.provider.views = [view(operation())]
        assert run(scene) == (1, 0)
        assert submit(scene.systems, request()).result is Result.VOIDED
        assert len(scene.provider.sent) == 1

    def test_a_webhook_before_the_answer_is_merged_with_it(self, scene: Scene) -> None:
        def webhook_first() -> Answer:
            receive(scene.storage, *make.signed(make.fields()))
            return answer()

        scene.provider.answers = [webhook_first]
        submitted = submit(scene.systems, request())
        assert (submitted.result, scene.record().review, scene.record().corrected) == (
            Result.VOIDED,
            False,
            False,
        )
        assert scene.record().history[-1].evidence is Evidence.WEBHOOK

    @pytest.mark.parametrize(
        "line", [say.UNKNOWN, say.THROTTLED, say.CREDENTIALS, answer("pending"), answer("failure")]
    )
    def test_a_webhooks_success_beats_whatever_was_answered(self, scene: Scene, line: Answer) -> None:
        def webhook_first() -> Answer:
            receive(scene.storage, *make.signed(make.fields()))
            return line

        scene.provider.answers, scene.provider.views = [webhook_first], [HELD]
        assert submit(scene.systems, request()).result is Result.VOIDED


class TestAttemptsAndKeys:
    def test_what_was_released_elsewhere_is_answered_by_the_record(self, scene: Scene) -> None:
        receive(scene.storage, *make.signed(make.fields()))
        for key in (None, "k"):
            submitted = submit(scene.systems, request(key))
            assert (submitted.result, submitted.replayed) == (Result.VOIDED, True)
        assert scene.provider.sent == []

    def test_a_record_that_changes_under_every_write_is_given_up_before_anything_is_sent(self, scene: Scene) -> None:
        scene.provider.refuses_connections()
        submit(scene.systems, request())
        within: list[str] = []

        def change_first(name: str, arguments: dict[str, Any]) -> None:
            if name == "put_item" and not within:
                within.append(name)
                scene.change(replace(scene.record(), query_count=scene.record().query_count + 1))
                within.clear()

        scene.table.before = change_first
        with pytest.raises(StoreError, match="^record kept changing$"):
            submit(scene.systems, request())
        assert scene.provider.sent == []

    def test_two_at_once_send_once(self, scene: Scene) -> None:
        second: list[Result] = []

        def meanwhile() -> Answer:
            second.append(submit(scene.systems, request("other key")).result)
            return answer()

        scene.provider.answers = [meanwhile]
        assert submit(scene.systems, request("key")).result is Result.VOIDED
        assert second == [Result.IN_PROGRESS]
        assert len(scene.provider.sent) == 1

    @pytest.mark.parametrize("line", [say.THROTTLED, say.CREDENTIALS, "no connection"])
    def test_what_moved_nothing_may_be_repeated_with_its_key(self, scene: Scene, line: Answer | str) -> None:
        if isinstance(line, str):
            scene.provider.refuses_connections()
        else:
            scene.provider.answers = [line]
        submit(scene.systems, request("k"))
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request("k")).result is Result.VOIDED
        assert (scene.attempt().number, scene.record().earlier) == (2, ())

    def test_a_refusal_stands_for_its_key_and_not_for_a_new_one(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [HELD]
        assert submit(scene.systems, request("k")).result is Result.NOT_VOIDABLE
        again = submit(scene.systems, request("k"))
        assert (again.result, again.replayed, again.answered_by) == (Result.NOT_VOIDABLE, True, None)
        scene.provider.answers = [answer(currency="EUR")]
        assert submit(scene.systems, request("k2", "EUR", "another")).result is Result.VOIDED
        assert scene.record().order_currency == "EUR"

    def test_another_body_is_another_request(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.systems, request("k"))
        assert submit(scene.systems, request("k", comment="x")).result is Result.KEY_MISMATCH
        assert submit(scene.systems, request("k", "EUR")).result is Result.KEY_MISMATCH
        assert submit(scene.systems, request("k2", "EUR")).result is Result.CURRENCY_MISMATCH
        assert submit(scene.systems, request(comment="x")).result is Result.VOIDED

    def test_a_key_belongs_to_its_order(self, scene: Scene) -> None:
        scene.provider.answers = [answer(), answer(order_id="124")]
        submit(scene.systems, request("k"))
        assert submit(scene.systems, request("k", order_id="124")).result is Result.VOIDED

    def test_twenty_attempts_are_the_end(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED] * MOST_ATTEMPTS, [HELD] * MOST_ATTEMPTS
        for _ in range(MOST_ATTEMPTS):
            assert submit(scene.systems, request()).result is Result.NOT_VOIDABLE
        assert submit(scene.systems, request()).result is Result.TOO_MANY
        assert scene.record().review
        assert len(scene.provider.sent) == MOST_ATTEMPTS

    def test_an_outage_locks_nobody_out(self, scene: Scene) -> None:
        for _ in range(MOST_ATTEMPTS * 2):
            scene.provider.refuses_connections()
            assert submit(scene.systems, request("k")).result is Result.NOT_SENT
            scene.wait(5)
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request("k")).result is Result.VOIDED

    def test_a_late_repetition_of_a_refused_key_sends_nothing(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [HELD]
        submit(scene.systems, request("k1"))
        scene.provider.refuses_connections()
        assert submit(scene.systems, request("k2")).result is Result.NOT_SENT
        late = submit(scene.systems, request("k1"))
        assert (late.result, late.replayed) == (Result.NOT_VOIDABLE, True)
        assert late.answered_by is not None
        assert (late.answered_by.number, late.answered_by.reason) == (1, FailureReason.REFUSED)
        assert len(scene.provider.sent) == 1

    def test_a_resend_happens_only_when_allowed_and_asked_for(self, scene: Scene) -> None:
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.systems, request("k"))
        scene.wait(LATE)
        assert submit(scene.systems, request("k2")).result is Result.ACCEPTED
        scene.provider.views = [HELD]
        run(scene)
        assert scene.record().resend_allowed
        assert submit(scene.systems, request("k")).replayed
        assert len(scene.provider.sent) == 1
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request("k2")).result is Result.VOIDED
        assert scene.attempt().number == 2

    def test_a_refusal_of_a_resend_is_final_only_if_the_hold_stands_alone(self, scene: Scene) -> None:
        for seen, result in ((None, Result.ACCEPTED), (ABSENT, Result.ACCEPTED), (HELD, Result.NOT_VOIDABLE)):
            scene = Scene()
            scene.provider.answers = [say.UNKNOWN, say.REFUSED]
            submit(scene.systems, request())
            scene.wait(LATE)
            scene.provider.views = [HELD, seen]
            run(scene)
            assert submit(scene.systems, request()).result is result


class TestAVoidThatOnlyAWebhookHasShown:
    def shown(self, scene: Scene, *statuses: str) -> None:
        for status in statuses:
            receive(scene.storage, *make.signed(make.fields(status, operation_id=OTHER)))

    def test_is_no_record_until_somebody_requests_one(self, scene: Scene) -> None:
        self.shown(scene, "pending")
        assert find(scene.systems, make.ORDER, scene.deadline()) is None

    def test_is_not_sent_beside(self, scene: Scene) -> None:
        self.shown(scene, "pending")
        submitted = submit(scene.systems, request("k"))
        assert (submitted.result, scene.provider.sent) == (Result.ACCEPTED, [])
        assert (scene.record().state, scene.record().attempt) == (State.PENDING, None)
        assert scene.order() == submitted.order

    def test_is_asked_about_until_it_is_known(self, scene: Scene) -> None:
        self.shown(scene, "pending", "failure")
        submit(scene.systems, request("k"))
        scene.provider.views = [view(operation("failure", operation_id=OTHER))]
        run(scene)
        assert scene.record().reason is FailureReason.REFUSED
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request("k")).result is Result.VOIDED

    def test_is_a_record_at_once_when_it_succeeded(self, scene: Scene) -> None:
        self.shown(scene, "pending", "success")
        assert submit(scene.systems, request("k")).result is Result.VOIDED
        assert scene.provider.sent == []

    @pytest.mark.parametrize("status", ["success", "pending", "failure"])
    def test_of_another_operation_keeps_nothing_from_being_sent(self, scene: Scene, status: str) -> None:
        receive(scene.storage, *make.signed(make.fields(status, "auth", "hold")))
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request("k")).result is Result.VOIDED
        assert len(scene.order().webhooks) == 1


class TestProjects:
    def test_a_record_is_found_by_the_project_before_a_change_of_projects(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.systems, request())
        scene.secrets.rotate(pos_id="the-live-project", api_secret="live")
        scene.wait(61)
        found = find(scene.systems, make.ORDER, scene.deadline())
        assert found == scene.order()

    def test_the_current_projects_record_comes_first(self, scene: Scene) -> None:
        scene.put(make.submitting())
        scene.secrets.rotate(pos_id="the-live-project", api_secret="live")
        scene.put(make.submitting(), pos_id="the-live-project")
        found = find(scene.systems, make.ORDER, scene.deadline())
        assert found is not None
        assert found.pos_id == "the-live-project"

    def test_webhooks_alone_do_not_hide_the_record_of_the_project_before(self, scene: Scene) -> None:
        scene.put(make.submitting())
        scene.secrets.rotate(pos_id="the-live-project", api_secret="live")
        scene.put(None, pos_id="the-live-project")
        found = find(scene.systems, make.ORDER, scene.deadline())
        assert found is not None
        assert found.pos_id == make.POS_ID

    def test_an_order_without_a_void_is_not_found_and_the_same_project_not_read_twice(self, scene: Scene) -> None:
        scene.put(None)
        scene.secrets.rotate(api_secret="another secret of the same project")
        scene.table.calls.clear()
        assert find(scene.systems, make.ORDER, scene.deadline()) is None
        assert [name for name, _ in scene.table.calls] == ["get_item"]
        scene.secrets.rotate(pos_id="the-live-project")
        scene.secret.forget()
        assert find(scene.systems, make.ORDER, scene.deadline()) is None
        assert find(scene.systems, "another", scene.deadline()) is None

    def test_a_new_project_begins_with_an_order_of_its_own(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.systems, request("k"))
        scene.secrets.rotate(pos_id="the-live-project", api_secret="live")
        scene.wait(61)
        scene.provider.answers = [answer()]
        assert submit(scene.systems, request("k")).result is Result.VOIDED
        assert [sent["project"] for sent in scene.provider.sent] == [make.POS_ID, "the-live-project"]

    def test_the_project_of_a_secret_in_capitals_is_the_same(self) -> None:
        scene = Scene({**PUBLISHED, "pos_id": make.POS_ID.upper()})
        scene.provider.answers = [answer()]
        submit(scene.systems, request())
        assert scene.record().state is State.VOIDED


class TestTime:
    def test_a_submit_ends_before_the_function_is_killed(self, scene: Scene) -> None:
        """Every outside call takes all the time that it is given."""
        began = scene.at

        def slow_table(name: str, arguments: dict[str, Any]) -> None:
            scene.wait(1.9)

        def slow_answer() -> Answer:
            scene.wait(10)
            return say.REFUSED

        def slow_query() -> None:
            scene.wait(scene.provider.asked[-1][2])

        scene.table.before = slow_table
        scene.provider.answers, scene.provider.views = [slow_answer], [slow_query]
        submit(scene.systems, request())
        assert len(scene.provider.sent) == 1
        assert scene.at - began <= SUBMIT_SECONDS * 1000


def test_200_is_only_for_what_was_released() -> None:
    for state in State:
        void = replace(make.submitting(), state=state, reason=FailureReason.REFUSED if state is State.FAILED else None)
        assert (result_of(void) is Result.VOIDED) is (state is State.VOIDED)
