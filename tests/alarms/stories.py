"""The stories: what happens to a deployed stack, and exactly which alarms ring. All others must stay silent.

Each is a script of service.py. `trouble` is the minute from which its alarms are timed; where none is named, a bad
release begins it with the first request that it spoils.
"""

from collections.abc import Mapping
from typing import NamedTuple

HOUR = 60


class Story(NamedTuple):
    title: str
    rings: Mapping[str, int]
    """Which alarms ring, and after how many minutes at the latest, whatever AWS's documentation leaves open."""
    script: str
    minutes: int = HOUR
    again: frozenset[str] = frozenset()
    """Those among them that end and ring again while the trouble lasts."""
    bad_release: bool = False
    filled: bool = True
    """Has somebody put the provider's credentials?"""

    @property
    def at_night(self) -> bool:
        """Is it too long for each commit?"""
        return self.minutes > 3 * HOUR


def release(title: str, rings: Mapping[str, int], kind: str, name: str = "submit_void", more: str = "trade") -> Story:
    """A bad one serves a tenth of the requests for a quarter of an hour."""
    script = f"{more}; 20 release {name} {kind}; 35 take_back {name}"
    return Story(f"a release {title}", rings, script, bad_release=True)


def without_concurrency(function: str, rings: Mapping[str, int]) -> Story:
    """For twenty minutes; who reads does so each minute."""
    script = (
        f"trade; 1-60/60 read order-1; 20 without_concurrency {function}; 40 without_concurrency nothing; 20 trouble"
    )
    return Story(f"no concurrency is left for {function}", rings, script)


STORIES = (
    # ---- Nothing rings.
    Story("a quiet night without any traffic", {}, "", 3 * HOUR),
    Story("an ordinary day", {}, """trade; 5-180/600 void order-1
        61 posts refuses; 61.2 void; 61.3 posts up; 122 posts refuses; 122.2 void; 122.3 posts up""", 3 * HOUR),
    Story("one void each half hour", {}, "trade every=1800", 2 * HOUR),
    Story("one void each three hours", {}, "trade every=10800", 12 * HOUR),
    Story("a caller's bad input", {}, """trade; 10-20/20 malformed; 10-20/20 read %FF; 10-20/20 read unknown
        10-20/20 read cursor=Zm9yZWlnbg"""),
    Story("one lost answer", {}, "trade; 20.1 posts loses-answers; 20.2 void; 20.5 posts up"),
    Story("one blip of DynamoDB", {}, "10-30/10 patient_void; 20.3 table_refuses InternalServerError; 22.2 table_refuses nothing"),
    Story("one blip of Secrets Manager", {}, "10-30/10 patient_void; 20.3 secret_is lost; 22.2 secret_is back"),
    Story("one blip of the provider", {}, "10-30/20 patient_void; 20.3 posts unreachable; 22.2 posts up"),
    Story("one request that is throttled here and there", {},
        "trade; 20 throttled submit_void; 20 table_throttles PutItem; 20 executions ExecutionFailed; 20.99 executions succeed"),
    Story("a few forged webhooks", {}, "trade; 10-40/60 webhook forged=1"),
    Story("a single webhook that never came", {}, "trade every=1800; 60.5 webhooks stop; 92 webhooks come", 3 * HOUR),
    Story("a good release while the provider has a blip", {},
        "trade every=20; 20 release submit_void is-good; 24.3 posts loses-answers; 25.2 posts up"),
    Story("a pipe that is stopped for half an hour", {}, "trade every=300; 35 pipe stopped; 65 pipe reads", 3 * HOUR),
    # ---- Strangers and refused callers.
    Story("strangers who try the addresses", {}, """trade; 10-40/20 stranger GET - MISSING_AUTHENTICATION_TOKEN
        10-40/60 stranger POST /webhooks/financial-line ACCESS_DENIED"""),
    Story("a patient stranger without a signature", {},
        "10-180/20 stranger POST /voids MISSING_AUTHENTICATION_TOKEN", 3 * HOUR),
    *(Story(f"a patient stranger with an account of his own{reading}", {}, f"""{verb}
        10-180/20 stranger POST /voids ACCESS_DENIED 999988887777
        10-180/60 stranger GET /voids/{{order_id}} INVALID_SIGNATURE 999988887777""", 3 * HOUR)
      for reading, verb in (("", ""), (", whom the log does not name", "refused unnamed"))),
    Story("a caller's role lost its right", {"Callers refused": 7},
        "20-40/60 ours POST /voids ACCESS_DENIED; 20 trouble", 2 * HOUR),
    Story("a caller's clock is wrong, and it reads only", {"Callers refused": 7},
        "20-40/60 ours GET /voids/{order_id} INVALID_SIGNATURE; 20 trouble", 2 * HOUR),
    Story("a caller's role lost its right behind a patient stranger", {"Callers refused": 7},
        "1-180/20 stranger POST /voids ACCESS_DENIED 999988887777; 120-140/60 ours POST /voids ACCESS_DENIED; 120 trouble",
        3 * HOUR),
    # What acceptance asks the account about: then only the caller can notice it.
    Story("a caller's role lost its right, and the log names nobody who is refused", {},
        "refused unnamed; 20-40/60 ours POST /voids ACCESS_DENIED", 2 * HOUR),
    # ---- Before the first day.
    Story("a new stack whose secret nobody has filled", {"Secret unfilled": 3}, "0 trouble", 3 * HOUR, filled=False),
    Story("a new stack that is filled after an hour", {"Secret unfilled": 3},
        "0 trouble; 60 put_secret; trade begin=65", 2 * HOUR, filled=False),
    Story("a new stack whose schedule never starts", {"Settling has stopped": 10, "Outcomes have stopped": 75},
        "schedule off; 0 trouble", 3 * HOUR),
    Story("a new stack whose pipe never reads", {"Outcomes have stopped": 75}, "pipe stopped; 0 trouble; trade every=300", 3 * HOUR),
    Story("a new stack that webhooks never reach", {"Webhooks silent": 61}, "webhooks stop; 1 trouble; trade every=300",
        3 * HOUR),
    # ---- The provider.
    Story("the provider accepts no connection for three hours", {"Voids not sent": 7},
        "trade; 30 trouble; 30 posts unreachable; 30 queries down; 210 posts up; 210 queries up", 4 * HOUR),
    Story("the provider accepts no connection and few voids are sent", {"Voids not sent": 18},
        "1-120/240 void; 30 trouble; 30 posts unreachable", 2 * HOUR),
    Story("the provider answers nothing for more than two hours",
        {"Many unknown outcomes": 11, "Voids are slow": 12, "Void unsettled for long": 132},
        """trade; 30 trouble; 30 posts loses-answers; 30 queries down; 30 webhooks stop
        170 posts up; 170 queries up; 170 webhooks come""", 3 * HOUR),
    Story("the provider takes eight seconds", {"Voids are slow": 12}, "trade; 20 trouble; 20 posts slow"),
    Story("the provider throttles", {"Throttled by the provider": 6}, "trade; 20 trouble; 20 posts throttles; 30 posts up"),
    Story("the provider refuses the credentials", {"Credentials refused": 4}, "trade; 20 trouble; 20 posts refuses-credentials"),
    Story("a refused void was executed after all", {"Void corrected": 3, "Void in review": 3},
        "10 posts refuses; 11 void disputed; 20 trouble; 20 webhook disputed"),
    Story("two messages that contradict each other", {"Void in review": 3},
        "10 void disputed; 20 trouble; 20 webhook disputed amount=999"),
    Story("a void that stays pending for a day", {"Void unsettled for long": 131, "Void in review": 3},
        "posts pending; 10 void; 10 trouble; 1450 trouble Void in review", 25 * HOUR),
    Story("a void that stays pending while every other run is lost", {"Void unsettled for long": 132},
        "posts pending; 10 void; 10 trouble; 20-180/120 schedule off; 21-180/120 schedule on", 3 * HOUR),
    Story("twenty refusals of one order", {"Attempts used up": 3, "Void in review": 3},
        "posts refuses; 10-31/60 void disputed key=fresh; 30 trouble"),
    # ---- Webhooks.
    Story("the provider's address has changed", {"Webhooks silent": 121}, """trade; 90 webhooks stop; 90 trouble
        90-240/60 stranger POST /webhooks/financial-line ACCESS_DENIED""", 4 * HOUR),
    Story("somebody forges webhooks", {"Forged webhooks": 4}, "trade; 20-26/10 webhook forged=1; 20 trouble"),
    Story("a genuine webhook that nobody can read", {"Webhook quarantined": 3}, "20 webhook unreadable=1; 20 trouble"),
    # ---- The secret.
    Story("somebody puts what is not our JSON", {"Secret unusable": 3, "Settling has stopped": 5, "Voids not sent": 7},
        "trade; 20 put_secret api_key; 20 trouble"),
    Story("Secrets Manager does not answer for ten minutes", {"Secret out of reach": 6},
        "trade; 20 secret_is lost; 30 secret_is back; 20 trouble"),
    Story("Secrets Manager does not answer for an hour",  # for a quarter of it a copy serves
        {"Secret out of reach": 6, "Settling has stopped": 4, "Voids not sent": 6},
        "trade; 20 secret_is lost; 80 secret_is back; 20 trouble; 35 trouble Settling has stopped; 35 trouble Voids not sent",
        2 * HOUR),
    Story("another project's credentials while a void is open", {"Credentials of another project": 4, "Void in review": 4},
        "posts pending; 10 void; 11 change_project; 11 trouble", 90),
    # ---- Table, settling, events.
    Story("DynamoDB refuses everything for twenty minutes",
        {"Table out of reach": 6, "Settling has stopped": 5, "Voids not sent": 7},
        "trade; 20 table_refuses InternalServerError; 40 table_refuses nothing; 20 trouble"),
    Story("DynamoDB refuses everything in a quiet night", {"Table out of reach": 6, "Settling has stopped": 5},
        "20 table_refuses InternalServerError; 20 trouble"),
    Story("DynamoDB throttles writes of an index for ten minutes", {"Table throttled": 5},
        "trade; 20-30/20 table_throttles PutItem; 20 trouble", 2 * HOUR),
    Story("DynamoDB throttles reads of the table for ten minutes", {"Table throttled": 5},
        "trade; 20-30/60 table_throttles GetItem; 20 trouble", 2 * HOUR),
    Story("DynamoDB throttles reads of an index for ten minutes", {"Table throttled": 5},
        "20-30/60 table_throttles Query; 20 trouble", 2 * HOUR),
    Story("the schedule is switched off", {"Settling has stopped": 5}, "trade; 30 schedule off; 30 trouble", 2 * HOUR),
    Story("one run that Lambda could not start", {"Settle run lost": 18}, "30 lost run; 30 trouble", 2 * HOUR),
    Story("a record that this release cannot read", {"Voids cannot be queried": 10},
        "posts pending; 10 void newer; 15 spoil newer; 15 trouble", 2 * HOUR),
    Story("the pipe may not write to its bus", {"Outcomes held up": 6},
        "trade; 20 executions ExecutionFailed; 50 executions succeed; 20 trouble"),
    Story("the pipe is throttled", {"Outcomes held up": 5}, "20 executions ExecutionThrottled; 50 executions succeed; 23.3 trouble"),
    Story("an event that its rule could not deliver", {"Outcome not delivered": 18}, "30 lost event; 30 trouble", 2 * HOUR),
    Story("somebody stops the pipe in a quiet night", {"Outcomes have stopped": 61}, "68.5 pipe stopped; 68.5 trouble", 3 * HOUR),
    Story("somebody stops the pipe for three hours of traffic", {"Outcomes have stopped": 61},
        "trade every=300; 128.5 pipe stopped; 128.5 trouble; 300 pipe reads", 8 * HOUR),
    # ---- Bad releases, timed from their first failure, with a tenth of a request a minute.
    release("with a defect", {"Unexpected error": 3, "API fails": 3}, "has-a-defect"),
    release("without a setting", {"Unexpected error": 3}, "lacks-a-setting"),
    release("that answers 500 and counts nothing", {"API fails": 3}, "answers-500"),
    release("that answers no response", {"API fails": 3}, "answers-nothing"),
    release("that runs into its timeout", {"Function errors (SubmitVoid)": 3, "API fails": 3}, "hangs"),
    *(release(f"that crashes, {function}", {f"Function errors ({name})": 3, "API fails": 3}, "crashes", function,
        "trade; 1-60/60 read order-1")
      for function, name in (("submit_void", "SubmitVoid"), ("read_voids", "ReadVoids"), ("receive_webhook", "ReceiveWebhook"))),
    Story("a release that crashes settle_voids",
        {"Function errors (SettleVoids)": 3, "Settling has stopped": 5, "Settle run lost": 18},
        "20 release settle_voids crashes share=1; 35 take_back settle_voids", 2 * HOUR, bad_release=True),
    Story("a release of settle_voids that fails on one order's answer", {"Unexpected error": 3},
        "posts pending; 9 void; 10 queries strange; 10 release settle_voids is-good share=1", 2 * HOUR,
        frozenset({"Unexpected error"}), bad_release=True),
    Story("a release that takes the right to use the table away",
        {"Unexpected error": 3, "Table out of reach": 6, "Settling has stopped": 5, "Voids not sent": 7},
        "trade; 20 release submit_void is-good; 20 table_refuses AccessDeniedException; 30 table_refuses nothing; 20 trouble", bad_release=True),
    # ---- Lambda's concurrency.
    without_concurrency("submit_void", {"Functions throttled (SubmitVoid)": 6, "API fails": 4}),
    without_concurrency("read_voids", {"Functions throttled (ReadVoids)": 6, "API fails": 4}),
    without_concurrency("receive_webhook", {"Functions throttled (ReceiveWebhook)": 5, "API fails": 3}),
    without_concurrency(
        "settle_voids", {"Functions throttled (SettleVoids)": 5, "Settling has stopped": 5, "Settle run lost": 19}
    ),
)  # fmt: skip
