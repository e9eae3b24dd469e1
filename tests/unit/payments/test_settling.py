"""Voids that are not known yet: leased, queried once, merged; and what a query of one order can do to the others."""

from copy import replace
from typing import Any

import pytest

from payments import schedule, settling
from payments.claims import LEASE_MS, SETTLE_WINDOW_MS
from payments.items import partition, shard_of
from payments.messages import OrderView
from payments.record import FailureReason, State
from payments.schedule import DAY_MS
from payments.secret import SecretError
from payments.settling import QUESTION_SECONDS, Queried, Run, query, refresh, settle
from payments.store import Merged, StoreError
from payments.voids import submit
from tests.fakes import provider as say
from tests.fakes import scene as make
from tests.fakes.scene import ABSENT, HELD, Scene, answer, operation, request, view
from tests.fakes.secret import PUBLISHED
from tests.fakes.table import error

LATE = (LEASE_MS + SETTLE_WINDOW_MS) // 1000


@pytest.fixture
def scene() -> Scene:
    """One order of which nothing is known."""
    return Scene()


def run(scene: Scene, seconds: float = 30) -> tuple[int, int]:
    done = settle(scene.systems, scene.at + round(seconds * 1000), 1)
    return len(done.merged), done.failed


def after(scene: Scene) -> State:
    refresh(scene.systems, scene.order(), scene.deadline())
    return scene.record().state


class TestSettle:
    def due(self, scene: Scene, seconds: float = 60) -> None:
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.systems, request())
        scene.wait(seconds)

    def test_asks_once_and_backs_off(self, scene: Scene) -> None:
        self.due(scene)
        scene.provider.views = [None]
        assert run(scene) == (1, 0)
        assert run(scene) == (0, 0)
        assert scene.record().query_count == 1

    def test_a_record_of_a_newer_release_stops_nobody_else(self, scene: Scene) -> None:
        for number in (1, 2):
            scene.put(make.submitting(scene.at), f"o{number}")
        next(iter(scene.table.items.values()))["state"] = {"S": "a-state-of-tomorrow"}
        scene.wait(60)
        scene.provider.views = [None]
        assert run(scene) == (1, 1)
        assert [order for _, order, _ in scene.provider.asked] == ["o2"]

    def test_asks_the_longest_due_first(self, scene: Scene) -> None:
        for number in (2, 1, 3):
            scene.put(replace(make.submitting(scene.at), due_at=scene.at + number), f"o{number}")
        scene.wait(1)
        scene.provider.views = [None, None, None]
        run(scene)
        assert [order for _, order, _ in scene.provider.asked] == ["o1", "o2", "o3"]

    def test_asks_the_longest_due_first_whatever_the_orders_are_called(self, scene: Scene) -> None:
        for number in range(1, 10):
            scene.put(replace(make.submitting(scene.at), due_at=scene.at + number), f"o{9 - number}")
        scene.wait(1)
        scene.provider.views = [None] * 9
        run(scene)
        assert [order for _, order, _ in scene.provider.asked] == [f"o{9 - number}" for number in range(1, 10)]

    def test_without_a_secret_is_an_error_though_nothing_is_due(self, scene: Scene) -> None:
        scene.secrets.out_of_reach()
        with pytest.raises(SecretError):
            run(scene)

    def test_that_begins_too_late_asks_nobody(self, scene: Scene) -> None:
        self.due(scene)
        assert settle(scene.systems, scene.at, 1) == Run((), 0, (), 0, 0)
        assert scene.provider.asked == []

    def test_goes_through_every_page(self, scene: Scene) -> None:
        for number in range(120):
            scene.put(make.submitting(scene.at), f"o{number}")
        scene.wait(60)
        scene.provider.views = [None] * 120
        assert run(scene) == (120, 0)

    def test_goes_on_where_a_page_ended(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settling, "PAGE", 2)
        for number in range(40):  # about five a shard
            scene.put(make.submitting(scene.at), f"o{number}")
        scene.wait(60)
        scene.provider.views = [None] * 40
        assert run(scene) == (40, 0)
        assert {order for _, order, _ in scene.provider.asked} == {f"o{number}" for number in range(40)}

    def test_what_was_done_before_the_index_failed_is_reported(self, scene: Scene) -> None:
        self.due(scene)

        def no_later_page(operation: str, arguments: dict[str, Any]) -> None:
            values = arguments.get("ExpressionAttributeValues", {})
            if operation == "query" and values[":pk"]["S"].startswith("RECHECK"):
                raise error("ProvisionedThroughputExceededException", "Query")

        scene.table.before = no_later_page
        scene.provider.views = [view(operation())]
        assert run(scene) == (1, 1)
        assert scene.record().state is State.VOIDED

    def test_a_record_that_changed_during_the_query_is_not_judged_absent(self, scene: Scene) -> None:
        self.due(scene, LATE + 30)

        def meanwhile() -> OrderView:
            scene.change(replace(scene.record(), query_count=7))
            return HELD

        scene.provider.views = [meanwhile]
        run(scene)
        assert scene.record().resend_allowed is False

    def test_a_success_counts_even_if_the_record_changed(self, scene: Scene) -> None:
        self.due(scene)

        def meanwhile() -> OrderView:
            scene.change(replace(scene.record(), query_count=7))
            return view(operation())

        scene.provider.views = [meanwhile]
        run(scene)
        assert (scene.record().state, scene.record().query_count) == (State.VOIDED, 7)

    def test_a_lease_taken_by_another_means_no_question(self, scene: Scene) -> None:
        self.due(scene)
        stale = scene.order()
        scene.change(replace(scene.record(), query_count=1))
        query(scene.systems, stale, schedule.schedule_query, scene.deadline())
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
        assert scene.record().reason is FailureReason.NOT_EXECUTED

    @pytest.mark.parametrize("seen", [None, ABSENT])
    def test_what_is_still_open_after_a_day_asks_for_a_person(self, scene: Scene, seen: OrderView | None) -> None:
        self.due(scene)
        self.through_a_day(scene, seen)
        assert (scene.record().state, scene.record().review) == (State.UNKNOWN, True)
        assert scene.store.list("review", 10, None, scene.deadline()).orders == (scene.order(),)


class TestRefresh:
    def test_leaves_what_is_voided(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.systems, request())
        refresh(scene.systems, scene.order(), scene.deadline())
        assert scene.provider.asked == []

    def test_asks_about_what_is_open_but_not_twice_in_five_seconds(self, scene: Scene) -> None:
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.systems, request())
        scene.provider.views = [None, view(operation())]
        refresh(scene.systems, scene.order(), scene.deadline())
        scene.wait(4.9)
        assert after(scene) is State.UNKNOWN
        scene.wait(0.1)
        assert after(scene) is State.VOIDED

    def test_leaves_the_schedule_as_it_was(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        before = scene.record()
        scene.wait(30)
        scene.provider.views = [None]
        refresh(scene.systems, scene.order(), scene.deadline())
        after = scene.record()
        assert (after.due_at, after.query_count, after.queried_at) == (before.due_at, before.query_count, scene.at)

    def test_asks_about_what_failed_as_well(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [HELD]
        submit(scene.systems, request())
        scene.provider.views = [view(operation())]
        due = scene.record().due_at
        assert after(scene) is State.VOIDED
        assert scene.record().corrected
        assert due is not None

    def test_of_an_order_whose_answer_nobody_expected_says_so_and_keeps_the_record(self, scene: Scene) -> None:
        scene.put(make.submitting())

        def explode() -> OrderView:
            raise ZeroDivisionError

        scene.provider.views = [explode]
        queried = refresh(scene.systems, scene.order(), scene.deadline())
        assert isinstance(queried.error, ZeroDivisionError)
        assert scene.record().state is State.SUBMITTING


class TestFailedOnesAreLookedAtAgain:
    def test_a_day_and_a_week_after_they_ended(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [HELD]
        submit(scene.systems, request())
        asked: list[int] = []
        for day in range(1, 30):
            scene.at = make.START + day * DAY_MS + 60_000
            scene.provider.views = [HELD]
            before = len(scene.provider.asked)
            run(scene)
            asked += [day] * (len(scene.provider.asked) - before)
        assert asked == [1, 7]
        assert scene.record().due_at is None
        assert scene.record().reason is FailureReason.REFUSED

    def test_a_success_then_corrects_them(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [HELD]
        submit(scene.systems, request())
        scene.wait(86_400)
        scene.provider.views = [view(operation())]
        assert run(scene) == (1, 0)
        assert (scene.record().state, scene.record().corrected) == (State.VOIDED, True)

    def test_they_are_not_listed_as_unsettled(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [HELD]
        submit(scene.systems, request())
        assert scene.store.list("unsettled", 10, None, scene.deadline()).orders == ()


class TestOneOrderStopsNoOther:
    def test_an_unexpected_error_is_reported_and_its_order_stays_due(self, scene: Scene) -> None:
        for number in range(3):
            scene.put(make.submitting(scene.at), f"o{number}")
        scene.wait(60)

        def explode() -> OrderView:
            raise ZeroDivisionError

        scene.provider.views = [None, explode, None]
        done = settle(scene.systems, scene.at + 30_000, 1)
        assert (len(done.merged), done.failed, [type(e) for e in done.errors]) == (3, 1, [ZeroDivisionError])
        assert all(scene.record(f"o{number}").due_at is not None for number in range(3))

    def test_a_table_that_fails_for_one_order_fails_for_it_alone(self, scene: Scene) -> None:
        for number in range(3):
            scene.put(make.submitting(scene.at), f"o{number}")
        scene.wait(60)

        def fail(name: str, arguments: dict[str, Any]) -> None:
            if name == "put_item" and arguments["Item"]["order_id"]["S"] == "o1":
                raise error("InternalServerError", name)

        scene.table.before = fail
        scene.provider.views = [view(operation(order_id="o0")), view(operation(order_id="o2"))]
        assert run(scene) == (2, 1)


class TestProjects:
    def rotated(self, scene: Scene, times: int) -> None:
        scene.put(make.submitting(scene.at))
        for number in range(times):
            scene.secrets.rotate(pos_id=f"project-{number}", api_secret=f"secret-{number}")
        scene.wait(61)

    def test_a_record_is_asked_about_with_the_credentials_of_its_own_project(self, scene: Scene) -> None:
        self.rotated(scene, 1)
        scene.provider.views = [view(operation())]
        assert run(scene) == (1, 0)
        assert [project for project, _, _ in scene.provider.asked] == [make.POS_ID]
        assert scene.record().state is State.VOIDED

    def test_without_them_nobody_is_asked_and_a_person_is_told(self, scene: Scene) -> None:
        self.rotated(scene, 2)
        done = settle(scene.systems, scene.at + 30_000, 1)
        assert done.without_credentials == 1
        assert scene.provider.asked == []
        assert (scene.record().state, scene.record().review) == (State.SUBMITTING, True)
        assert scene.record().due_at is not None

    def test_they_may_come_back(self, scene: Scene) -> None:
        self.rotated(scene, 2)
        run(scene)
        scene.secrets.rotate(**PUBLISHED)
        scene.wait(86_400)
        scene.provider.views = [view(operation())]
        run(scene)
        assert scene.record().state is State.VOIDED


class TestTheOldest:
    @pytest.mark.parametrize("hours", [0, 1, 3, 10, 30, 100, 500])
    def test_is_reported_in_each_run_though_it_is_not_due(self, scene: Scene, hours: int) -> None:
        scene.put(make.submitting(scene.at), "old")
        end = scene.at + hours * 3_600_000
        while (due := scene.record("old").due_at) is not None and due <= end:
            scene.at = due
            scene.provider.views = [None]
            run(scene)
        scene.at = end
        for number in range(20):
            scene.put(make.submitting(scene.at), f"young-{number}")
        done = settle(scene.systems, scene.at + 30_000, 1)
        assert done.oldest_ms == hours * 3_600_000

    def test_is_reported_by_the_run_that_settles_it(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        scene.wait(3600)
        scene.provider.views = [view(operation())]
        assert settle(scene.systems, scene.at + 30_000, 1).oldest_ms == 3_600_000

    def test_is_0_when_nothing_is_open(self, scene: Scene) -> None:
        scene.provider.answers = [answer()]
        submit(scene.systems, request())
        assert settle(scene.systems, scene.at + 30_000, 1).oldest_ms == 0


def test_a_question_ends_before_the_function_is_killed(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    began = scene.at

    def slow_query() -> OrderView:
        scene.wait(scene.provider.asked[-1][2])
        return view(operation())

    scene.table.before = lambda name, arguments: scene.wait(2.9)
    scene.provider.views = [slow_query]
    query(scene.systems, scene.order(), schedule.schedule_query, scene.deadline(QUESTION_SECONDS))
    assert scene.at - began <= (QUESTION_SECONDS + 2.9) * 1000


def test_nothing_at_all_could_be_asked_is_an_error(scene: Scene) -> None:
    def fail(name: str, arguments: dict[str, Any]) -> None:
        raise error("InternalServerError", name)

    scene.table.before = fail
    with pytest.raises(StoreError):
        settle(scene.systems, scene.at + 30_000, 1)
    assert settling.PAGE > 1


class TestWhatARunReports:
    def test_of_many_that_wait_for_hours_the_oldest(self, scene: Scene) -> None:
        wanted = shard_of(partition(make.POS_ID, "0"))
        same = [str(n) for n in range(200) if shard_of(partition(make.POS_ID, str(n))) == wanted]
        hour, now = 3_600_000, scene.at
        scene.put(replace(make.submitting(now - 10 * hour), due_at=now + 2 * hour), same[0])
        scene.put(replace(make.submitting(now - 5 * hour), due_at=now + 3 * hour), same[1])
        scene.put(replace(make.submitting(now), due_at=now + 60_000), same[2])
        assert settle(scene.systems, now + 30_000, 1).oldest_ms == 10 * hour

    def test_a_failed_one_that_is_looked_at_again_is_not_open(self, scene: Scene) -> None:
        scene.provider.answers, scene.provider.views = [say.REFUSED], [HELD]
        submit(scene.systems, request())
        scene.wait(86_400)
        scene.provider.views = [HELD]
        done = settle(scene.systems, scene.at + 30_000, 1)
        assert (len(done.merged), done.oldest_ms) == (1, 0)

    def test_what_was_not_reached_in_time_is_neither_asked_nor_failed(self, scene: Scene) -> None:
        for number in range(3):
            scene.put(make.submitting(scene.at), f"o{number}")
        scene.wait(60)
        scene.provider.views = [lambda: scene.wait(31)]
        done = settle(scene.systems, scene.at + 30_000, 1)
        assert (len(done.merged), done.failed, done.errors) == (1, 0, ())
        assert len(scene.provider.asked) == 1

    @pytest.mark.parametrize(
        ("raised", "unexpected"), [(SecretError("denied"), 0), (StoreError("x"), 0), (ZeroDivisionError(), 1)]
    )
    def test_trouble_before_the_question_is_counted_and_only_the_unexpected_reported(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, raised: Exception, unexpected: int
    ) -> None:
        def fail(*_: object) -> None:
            raise raised

        scene.put(make.submitting(scene.at))
        scene.wait(60)
        monkeypatch.setattr(scene.secret, "of_project", fail)
        done = settle(scene.systems, scene.at + 30_000, 1)
        assert (done.merged, done.failed, len(done.errors)) == ((), 1, unexpected)

    def test_a_table_that_fails_after_the_question_leaves_the_lease(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))

        def cut() -> OrderView:
            scene.table.before = fail
            return view(operation())

        def fail(name: str, arguments: dict[str, Any]) -> None:
            raise error("InternalServerError", name)

        before = scene.order()
        scene.provider.views = [cut]
        queried = query(scene.systems, before, schedule.schedule_query, scene.deadline())
        scene.table.before = lambda name, arguments: None
        assert queried == Queried(Merged(before, scene.order()), failed=True)
        assert scene.record().query_count == 1

    def test_a_lease_taken_by_another_shows_what_the_other_wrote(self, scene: Scene) -> None:
        stale = scene.put(make.submitting(scene.at))
        newer = scene.change(replace(scene.record(), query_count=1))
        queried = query(scene.systems, stale, schedule.schedule_query, scene.deadline())
        assert queried == Queried(Merged(newer, newer))

    def test_an_order_without_a_void_is_left_alone(self, scene: Scene) -> None:
        order = scene.put(None)
        assert query(scene.systems, order, schedule.schedule_query, scene.deadline()) == Queried()
        assert refresh(scene.systems, order, scene.deadline()) == Queried(Merged(order, order))
        assert scene.provider.asked == []

    def test_an_open_one_with_credentials_is_not_reviewed(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        scene.provider.views = [None]
        queried = query(scene.systems, scene.order(), schedule.schedule_query, scene.deadline())
        assert (queried.without_credentials, scene.record().review) == (False, False)

    def test_a_failed_one_without_credentials_is_not_reviewed(self, scene: Scene) -> None:
        scene.put(replace(make.submitting(), state=State.FAILED, reason=FailureReason.REFUSED, settled_at=make.START))
        for number in range(2):
            scene.secrets.rotate(pos_id=f"project-{number}")
        queried = query(scene.systems, scene.order(), schedule.schedule_query, scene.deadline())
        assert (queried.without_credentials, scene.record().review) == (False, False)
        assert scene.provider.asked == []


class TestWhenAQuestionBegan:
    """An absence counts only in an answer to a question that began after the attempt's window."""

    def lost(self, scene: Scene, seconds: float) -> None:
        """An attempt without an answer, `seconds` before the end of its window."""
        scene.provider.answers = [say.UNKNOWN]
        submit(scene.systems, request())
        scene.wait(LATE - seconds)

    def test_an_answer_that_comes_after_the_window_to_a_question_from_before_proves_nothing(self, scene: Scene) -> None:
        self.lost(scene, 1)

        def slowly() -> OrderView:
            scene.wait(5)
            return HELD

        scene.provider.views = [slowly, HELD]
        refresh(scene.systems, scene.order(), scene.deadline())
        assert scene.record().resend_allowed is False
        scene.wait(5)
        refresh(scene.systems, scene.order(), scene.deadline())
        assert scene.record().resend_allowed is True

    def test_a_question_begins_when_its_lease_is_written(self, scene: Scene) -> None:
        self.lost(scene, 1)

        def slowly(name: str, _arguments: dict[str, Any]) -> None:
            if name == "put_item":
                scene.table.before = lambda _name, _arguments: None
                scene.wait(2)

        scene.table.before = slowly
        scene.provider.views = [HELD]
        refresh(scene.systems, scene.order(), scene.deadline())
        assert scene.record().resend_allowed is True
