"""The stories: what happens to a deployed stack, and exactly which alarms ring. All others must stay silent.

A story arranges what happens when, and says by `trouble` from which minute its alarms are timed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from tests.alarms import functions_on_a_clock as functions
from tests.alarms.functions_on_a_clock import READ, SETTLE, SUBMIT, WEBHOOK
from tests.alarms.service import Service

HOUR, DAY = 60, 24 * 60
NAMES = {SUBMIT: "SubmitVoid", READ: "ReadVoids", WEBHOOK: "ReceiveWebhook", SETTLE: "SettleVoids"}


class Story(NamedTuple):
    """One story."""

    title: str
    tell: Callable[[Service], None]
    minutes: int
    rings: Mapping[str, int]
    """Which alarms ring, and after how many minutes at the latest, whatever AWS's documentation leaves open."""
    again: frozenset[str]
    """Those among them that end and ring again while the trouble lasts."""
    bad_release: bool
    filled: bool
    """Has somebody put the provider's credentials?"""


STORIES: list[Story] = []


def story(
    rings: Mapping[str, int] | None = None,
    *,
    again: tuple[str, ...] = (),
    minutes: int = HOUR,
    bad_release: bool = False,
    filled: bool = True,
    title: str | None = None,
) -> Callable[[Callable[[Service], None]], Callable[[Service], None]]:
    """Enter a story."""

    def enter(tell: Callable[[Service], None]) -> Callable[[Service], None]:
        name = title or tell.__name__.replace("_", " ")
        STORIES.append(Story(name, tell, minutes, rings or {}, frozenset(again), bad_release, filled))
        return tell

    return enter


def trade(service: Service, end: float, *, begin: float = 1, every_seconds: float = 60) -> None:
    """Ordinary traffic: a void a minute, and a read now and then."""
    service.during(begin, end, every_seconds, service.patient_void)
    service.during(begin + 0.7, end, 300, lambda: service.read("order-1"))


# ---- nothing rings ---------------------------------------------------------------------------------------------------


@story(minutes=10 * HOUR)
def a_quiet_night_without_any_traffic(service: Service) -> None:
    assert service.scheduled


@story(minutes=6 * HOUR)
def an_ordinary_day(service: Service) -> None:
    trade(service, 6 * HOUR, every_seconds=30)
    service.during(5, 6 * HOUR, 600, lambda: service.void("order-1"))  # replayed
    for minute in (61, 122, 183):  # the provider refuses one
        service.at(minute, lambda: setattr(service.provider, "posts", "refuses"))
        service.at(minute + 0.2, service.void)
        service.at(minute + 0.3, lambda: setattr(service.provider, "posts", "up"))


@story(minutes=2 * HOUR)
def one_void_each_half_hour(service: Service) -> None:
    trade(service, 2 * HOUR, every_seconds=1800)


@story()
def a_callers_bad_input(service: Service) -> None:
    trade(service, HOUR)
    for body in ("{", "[]", '{"order_id": "0"}', '{"order_id": "a", "order_id": "b", "order_currency": "UAH"}'):
        service.during(10, 20, 20, partial(service.void, "any", body=body))
    service.during(10, 20, 20, lambda: service.read("%FF"))
    service.during(10, 20, 20, lambda: service.list(cursor="Zm9yZWlnbg"))
    service.during(10, 20, 20, lambda: service.read("unknown"))
    service.during(
        10,
        20,
        20,
        lambda: service.void("order-1", key="one key", body='{"order_id": "order-1", "order_currency": "EUR"}'),
    )


@story()
def strangers_who_try_the_addresses(service: Service) -> None:
    trade(service, HOUR)
    service.during(10, 40, 20, service.stranger)
    service.during(10, 40, 60, lambda: service.stranger("POST", "/webhooks/financial-line", "ACCESS_DENIED"))
    service.during(10, 30, 600, lambda: service.stranger("POST", "/voids"))


@story()
def one_lost_answer(service: Service) -> None:
    trade(service, HOUR)
    service.at(20.1, lambda: setattr(service.provider, "posts", "loses-answers"))
    service.at(20.2, service.void)
    service.at(20.5, lambda: setattr(service.provider, "posts", "up"))


@story()
def one_blip_of_dynamodb(service: Service) -> None:
    trade(service, HOUR, every_seconds=10)
    service.at(20.3, service.functions.lose_the_table)
    service.at(22.2, service.functions.find_the_table)


@story()
def one_blip_of_secrets_manager(service: Service) -> None:
    trade(service, HOUR, every_seconds=10)
    service.at(20.3, service.functions.lose_the_secret)
    service.at(22.2, service.functions.find_the_secret)


@story()
def one_blip_of_the_provider(service: Service) -> None:
    trade(service, HOUR, every_seconds=20)
    service.at(20.3, lambda: setattr(service.provider, "posts", "unreachable"))
    service.at(22.2, lambda: setattr(service.provider, "posts", "up"))


@story()
def one_run_that_lambda_throttles_and_one_failure_of_the_pipe(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, lambda: service.account.throttled(SUBMIT, service.clock.at))
    service.during(1, HOUR, 60, lambda: service.account.pipe_ran(service.clock.at))
    service.at(20, lambda: service.account.pipe_ran(service.clock.at, "ExecutionFailed"))
    service.at(20, lambda: service.account.throttled_by_the_table(service.clock.at, "Write", "due"))


@story()
def a_few_forged_webhooks(service: Service) -> None:
    trade(service, HOUR)
    service.during(10, 40, 60, lambda: service.webhook(forged=True))


@story(minutes=3 * HOUR)
def a_single_webhook_that_never_came(service: Service) -> None:
    trade(service, 3 * HOUR, every_seconds=1800)
    service.at(60.5, lambda: setattr(service, "webhooks_come", False))
    service.at(92, lambda: setattr(service, "webhooks_come", True))


@story()
def a_good_release_while_the_provider_has_a_blip(service: Service) -> None:
    trade(service, HOUR, every_seconds=20)
    service.at(20, lambda: service.release(SUBMIT, functions.shipped(SUBMIT)))
    service.at(24.3, lambda: setattr(service.provider, "posts", "loses-answers"))
    service.at(25.2, lambda: setattr(service.provider, "posts", "up"))


# ---- before the first day --------------------------------------------------------------------------------------------


@story({"Secret unfilled": 3}, minutes=12 * HOUR, filled=False)
def a_new_stack_whose_secret_nobody_has_filled(service: Service) -> None:
    service.trouble(0)


@story({"Secret unfilled": 3}, minutes=4 * HOUR, filled=False)
def a_new_stack_that_is_filled_after_an_hour(service: Service) -> None:
    service.trouble(0)
    service.at(HOUR, service.functions.fill_secret)
    trade(service, 4 * HOUR, begin=HOUR + 5)


@story({"Settling has stopped": 10}, minutes=3 * HOUR)
def a_new_stack_whose_schedule_never_starts(service: Service) -> None:
    service.scheduled = False
    service.trouble(0)
    trade(service, 3 * HOUR)


@story({"Webhooks silent": 66}, minutes=4 * HOUR)
def a_new_stack_that_webhooks_never_reach(service: Service) -> None:
    service.webhooks_come = False
    service.trouble(1)
    trade(service, 4 * HOUR, every_seconds=300)


# ---- the provider ----------------------------------------------------------------------------------------------------


@story({"Voids not sent": 7}, minutes=4 * HOUR)
def the_provider_accepts_no_connection_for_three_hours(service: Service) -> None:
    trade(service, 4 * HOUR)
    service.trouble(30)
    service.at(30, lambda: setattr(service.provider, "posts", "unreachable"))
    service.at(30, lambda: setattr(service.provider, "queries", "down"))
    service.at(210, lambda: setattr(service.provider, "posts", "up"))
    service.at(210, lambda: setattr(service.provider, "queries", "up"))


@story({"Voids not sent": 18}, minutes=2 * HOUR)
def the_provider_accepts_no_connection_and_few_voids_are_sent(service: Service) -> None:
    service.during(1, 2 * HOUR, 240, service.void)
    service.trouble(30)
    service.at(30, lambda: setattr(service.provider, "posts", "unreachable"))


@story({"Many unknown outcomes": 11, "Voids are slow": 12, "Void unsettled for long": 132}, minutes=4 * HOUR)
def the_provider_answers_nothing_for_three_hours(service: Service) -> None:
    trade(service, 4 * HOUR)
    service.trouble(30)
    service.at(30, lambda: setattr(service.provider, "posts", "loses-answers"))
    service.at(30, lambda: setattr(service.provider, "queries", "down"))
    service.at(30, lambda: setattr(service, "webhooks_come", False))
    service.at(210, lambda: setattr(service, "webhooks_come", True))
    service.at(210, lambda: setattr(service.provider, "posts", "up"))
    service.at(210, lambda: setattr(service.provider, "queries", "up"))


@story({"Voids are slow": 12})
def the_provider_takes_eight_seconds(service: Service) -> None:
    trade(service, HOUR)
    service.trouble(20)
    service.at(20, lambda: setattr(service.provider, "posts", "slow"))


@story({"Throttled by the provider": 6})
def the_provider_throttles(service: Service) -> None:
    trade(service, HOUR)
    service.trouble(20)
    service.at(20, lambda: setattr(service.provider, "posts", "throttles"))
    service.at(30, lambda: setattr(service.provider, "posts", "up"))


@story({"Credentials refused": 4})
def the_provider_refuses_the_credentials(service: Service) -> None:
    trade(service, HOUR)
    service.trouble(20)
    service.at(20, lambda: setattr(service.provider, "posts", "refuses-credentials"))


@story({"Void corrected": 3})
def a_refused_void_was_executed_after_all(service: Service) -> None:
    service.at(10, lambda: setattr(service.provider, "posts", "refuses"))
    service.at(11, lambda: service.void("disputed"))
    service.at(20, lambda: service.webhook("disputed"))
    service.trouble(20)


@story({"Void needs a person": 3})
def two_messages_that_contradict_each_other(service: Service) -> None:
    service.at(10, lambda: service.void("disputed"))
    service.at(20, lambda: service.webhook("disputed", amount=999))
    service.trouble(20)


@story({"Void unsettled for long": 131, "Void needs a person": 3}, minutes=25 * HOUR)
def a_void_that_stays_pending_for_a_day(service: Service) -> None:
    service.provider.posts = "pending"
    service.at(10, service.void)
    service.trouble(10)
    service.trouble(10 + DAY, "Void needs a person")


@story({"Void unsettled for long": 132}, minutes=4 * HOUR)
def a_void_that_stays_pending_while_every_other_run_is_lost(service: Service) -> None:
    service.provider.posts = "pending"
    service.at(10, service.void)
    service.trouble(10)
    for minute in range(20, 4 * HOUR, 2):
        service.at(minute, lambda: setattr(service, "scheduled", False))
        service.at(minute + 1, lambda: setattr(service, "scheduled", True))


@story({"Attempts used up": 3, "Void needs a person": 3})
def twenty_refusals_of_one_order(service: Service) -> None:
    service.provider.posts = "refuses"
    for number in range(21):
        service.at(10 + number, partial(service.void, "disputed", key=f"key {number}"))
    service.trouble(30)


# ---- webhooks --------------------------------------------------------------------------------------------------------


@story({"Webhooks silent": 121}, minutes=6 * HOUR)
def the_providers_address_has_changed(service: Service) -> None:
    trade(service, 6 * HOUR)
    service.at(90, lambda: setattr(service, "webhooks_come", False))
    service.trouble(90)
    service.during(90, 6 * HOUR, 60, lambda: service.stranger("POST", "/webhooks/financial-line", "ACCESS_DENIED"))


@story({"Forged webhooks": 4})
def somebody_forges_webhooks(service: Service) -> None:
    trade(service, HOUR)
    service.during(20, 26, 10, lambda: service.webhook(forged=True))
    service.trouble(20)


@story({"Webhook quarantined": 3})
def a_genuine_webhook_that_nobody_can_read(service: Service) -> None:
    service.at(20, lambda: service.webhook(unreadable=True))
    service.trouble(20)


# ---- the secret ------------------------------------------------------------------------------------------------------


@story({"Secret unusable": 3, "Settling has stopped": 5, "Voids not sent": 7})
def somebody_puts_what_is_not_our_json(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, lambda: service.functions.put_secret("api_key=1"))
    service.trouble(20)


@story({"Secret out of reach": 6})
def secrets_manager_does_not_answer_for_ten_minutes(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, service.functions.lose_the_secret)
    service.at(30, service.functions.find_the_secret)
    service.trouble(20)


@story({"Secret out of reach": 6, "Settling has stopped": 4, "Voids not sent": 6}, minutes=2 * HOUR)
def secrets_manager_does_not_answer_for_an_hour(service: Service) -> None:
    trade(service, 2 * HOUR)
    service.at(20, service.functions.lose_the_secret)
    service.at(80, service.functions.find_the_secret)
    service.trouble(20)
    service.trouble(20 + 15, "Settling has stopped", "Voids not sent")  # until then a copy serves


@story({"Credentials of another project": 4, "Void needs a person": 4}, minutes=90)
def another_projects_credentials_while_a_void_is_open(service: Service) -> None:
    service.provider.posts = "pending"
    service.at(10, service.void)
    service.at(11, service.functions.change_project)
    service.trouble(11)


# ---- table, settling, events -----------------------------------------------------------------------------------------


@story({"Table out of reach": 6, "Settling has stopped": 5, "Voids not sent": 7})
def dynamodb_refuses_everything_for_twenty_minutes(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, service.functions.lose_the_table)
    service.at(40, service.functions.find_the_table)
    service.trouble(20)


@story({"Table out of reach": 6, "Settling has stopped": 5})
def dynamodb_refuses_everything_in_a_quiet_night(service: Service) -> None:
    service.at(20, service.functions.lose_the_table)
    service.trouble(20)


@story({"Table throttled": 5}, minutes=2 * HOUR)
def dynamodb_throttles_an_index_for_ten_minutes(service: Service) -> None:
    trade(service, 2 * HOUR)
    service.during(20, 30, 20, lambda: service.account.throttled_by_the_table(service.clock.at, "Write", "review"))
    service.trouble(20)


@story({"Table throttled": 5}, minutes=2 * HOUR)
def dynamodb_throttles_reads_of_the_table_for_ten_minutes(service: Service) -> None:
    trade(service, 2 * HOUR)
    service.during(20, 30, 60, lambda: service.account.throttled_by_the_table(service.clock.at, "Read"))
    service.trouble(20)


@story({"Settling has stopped": 5}, minutes=2 * HOUR)
def the_schedule_is_switched_off(service: Service) -> None:
    trade(service, 2 * HOUR)
    service.at(30, lambda: setattr(service, "scheduled", False))
    service.trouble(30)


@story({"Settle run lost": 18}, minutes=2 * HOUR)
def one_run_that_lambda_could_not_start(service: Service) -> None:
    service.at(30, lambda: service.account.dead_letter(service.account.lost_runs, service.clock.at))
    service.trouble(30)


@story({"Voids cannot be queried": 10}, minutes=2 * HOUR)
def a_record_that_this_release_cannot_read(service: Service) -> None:
    service.provider.posts = "pending"
    service.at(10, lambda: service.void("newer"))
    service.at(15, lambda: service.functions.spoil("newer"))
    service.trouble(15)


@story({"Outcomes held up": 5})
def the_pipe_may_not_write_to_its_bus(service: Service) -> None:
    trade(service, HOUR)
    service.during(1, 20, 60, lambda: service.account.pipe_ran(service.clock.at))
    service.during(20, 50, 60, lambda: service.account.pipe_ran(service.clock.at, "ExecutionFailed"))
    service.trouble(20)


@story({"Outcomes held up": 7})
def the_pipe_is_throttled(service: Service) -> None:
    service.during(20, 50, 120, lambda: service.account.pipe_ran(service.clock.at, "ExecutionThrottled"))
    service.trouble(20)


@story({"Outcome not delivered": 18}, minutes=2 * HOUR)
def an_event_that_its_rule_could_not_deliver(service: Service) -> None:
    service.at(30, lambda: service.account.dead_letter(service.account.lost_events, service.clock.at))
    service.trouble(30)


# ---- callers ---------------------------------------------------------------------------------------------------------


@story({"Callers refused": 7}, minutes=2 * HOUR)
def a_callers_role_lost_its_right(service: Service) -> None:
    service.during(20, 40, 60, lambda: service.stranger("POST", "/voids", "ACCESS_DENIED"))
    service.trouble(20)


@story({"Callers refused": 7}, minutes=2 * HOUR)
def a_callers_clock_is_wrong_and_it_reads_only(service: Service) -> None:
    service.during(20, 40, 60, lambda: service.stranger("GET", "/voids/{order_id}", "INVALID_SIGNATURE"))
    service.trouble(20)


# ---- bad releases, timed from their first failure: a tenth of a request a minute ---------------------------------------


@story({"Unexpected error": 3, "API fails": 3}, bad_release=True)
def a_release_with_a_defect(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, lambda: service.release(SUBMIT, functions.with_a_defect("submit")))
    service.at(35, lambda: service.take_back(SUBMIT))


@story({"Unexpected error": 3}, bad_release=True)
def a_release_without_a_setting(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, lambda: service.release(SUBMIT, functions.without_a_setting(SUBMIT)))
    service.at(35, lambda: service.take_back(SUBMIT))


@story({"API fails": 3}, bad_release=True)
def a_release_that_answers_500_and_counts_nothing(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, lambda: service.release(SUBMIT, lambda _event, _context: {"statusCode": 500, "body": "{}"}))
    service.at(35, lambda: service.take_back(SUBMIT))


@story({"API fails": 3}, bad_release=True)
def a_release_that_answers_no_response(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, lambda: service.release(SUBMIT, lambda _event, _context: "ok"))
    service.at(35, lambda: service.take_back(SUBMIT))


@story({"Function errors (SubmitVoid)": 3, "API fails": 3}, bad_release=True)
def a_release_that_runs_into_its_timeout(service: Service) -> None:
    def hang(_event: object, _context: object) -> Any:
        service.clock.at += 60_000

    trade(service, HOUR)
    service.at(20, lambda: service.release(SUBMIT, hang))
    service.at(35, lambda: service.take_back(SUBMIT))


def a_release_that_crashes(function: str, service: Service) -> None:
    trade(service, HOUR)
    service.during(1, HOUR, 60, lambda: service.read("order-1"))
    service.at(20, lambda: service.release(function, functions.raising))
    service.at(35, lambda: service.take_back(function))


for name in (SUBMIT, READ, WEBHOOK):
    story(
        {f"Function errors ({NAMES[name]})": 3, "API fails": 3},
        bad_release=True,
        title=f"a release that crashes, {name}",
    )(partial(a_release_that_crashes, name))


@story(
    {"Function errors (SettleVoids)": 3, "Settling has stopped": 5, "Settle run lost": 18},
    minutes=2 * HOUR,
    bad_release=True,
)
def a_release_that_crashes_settle_voids(service: Service) -> None:
    service.at(20, lambda: service.release(SETTLE, functions.raising, share=1))
    service.at(35, lambda: service.take_back(SETTLE))


@story({"Unexpected error": 3}, again=("Unexpected error",), minutes=2 * HOUR, bad_release=True)
def a_release_of_settle_voids_that_fails_on_one_orders_answer(service: Service) -> None:
    service.provider.posts = "pending"
    service.at(9, service.void)
    service.at(10, lambda: setattr(service.provider, "queries", "strange"))
    service.at(10, lambda: service.release(SETTLE, functions.shipped(SETTLE), share=1))


@story(
    {"Unexpected error": 3, "Table out of reach": 6, "Settling has stopped": 5, "Voids not sent": 7}, bad_release=True
)
def a_release_that_takes_the_right_to_use_the_table_away(service: Service) -> None:
    trade(service, HOUR)
    service.at(20, lambda: service.release(SUBMIT, functions.shipped(SUBMIT)))
    service.at(20, lambda: service.functions.lose_the_table("AccessDeniedException"))
    service.at(30, service.functions.find_the_table)
    service.trouble(20)


# ---- Lambda's concurrency --------------------------------------------------------------------------------------------


def no_concurrency_is_left(function: str, service: Service) -> None:
    trade(service, HOUR)
    service.during(1, HOUR, 60, lambda: service.read("order-1"))
    service.at(20, lambda: service.out_of_concurrency.add(function))
    service.at(40, lambda: service.out_of_concurrency.discard(function))
    service.trouble(20)


for name, throttled, failing in ((SUBMIT, 6, 4), (READ, 6, 4), (WEBHOOK, 5, 3)):
    story(
        {f"Functions throttled ({NAMES[name]})": throttled, "API fails": failing},
        title=f"no concurrency is left for {name}",
    )(partial(no_concurrency_is_left, name))
story(
    {"Functions throttled (SettleVoids)": 5, "Settling has stopped": 5, "Settle run lost": 19},
    title="no concurrency is left for settle_voids",
)(partial(no_concurrency_is_left, SETTLE))
