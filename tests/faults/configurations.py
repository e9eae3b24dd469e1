"""What may happen in the schedules: each configuration opens some faults and closes others, so that few steps reach far."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults import announcements, answers, faults, views
from tests.faults.events import Event
from tests.faults.merchant import SECOND, THIRD, Ask

BLIND = ("no such order", "lagging", "reset")
"""Queries that show less than there is, or nothing."""


@dataclass(frozen=True)
class Config:
    """What may happen in a schedule."""

    name: str
    asks: tuple[Ask, ...] = (Ask("K1"),)
    obedient: int = 0
    """The merchant follows our documentation, and asks that often at most."""
    may: Mapping[type[Event], int] = field(default_factory=dict)
    """Which faults, and how many of each."""
    answers: tuple[str, ...] = ("success",)
    """How POSTs are answered, the usual answer first."""
    first: str = ""
    """How the first POST is answered by default, if not as the others."""
    views: tuple[str, ...] = BLIND
    forms: tuple[str, ...] = ()
    portal: tuple[str, ...] = ()
    rotations: tuple[str, ...] = ()
    outages: tuple[str, ...] = ()
    executes: bool = True
    """The provider executes a second void of an order: then doubling is visible."""
    runs: int = 3
    """Settle runs."""
    clocks: int = 4
    late: bool = False
    """The next request comes after the clock and the settle runs by default, not before."""
    lazy: bool = False
    """A POST to which nobody listens any more lands last by default, not first."""
    overtakes: bool = False
    """It lands by default right before the next one."""
    bounded: bool = True
    """A POST lands within two minutes or never."""
    stuck: bool = False
    """What is under way stays so for ever."""
    strange: bool = False
    """What is under way may get a status that is not documented."""
    lying: bool = False
    """Each success is announced as a failure first."""
    previous: bool = False
    """The keys were rotated; webhooks are still signed with the ones before."""
    capitals: bool = False
    """The secret has its `pos_id` in capitals."""
    silent_portal: bool = False
    """What is done in the portal is not announced."""
    skew: int = 0
    """How far the clocks of settle runs and of later requests are ahead (ms)."""
    shards: int = 1
    page: int = 50
    addresses: int = 1
    opening: bool = False
    """Resolver, addresses and handshake are events of their own."""
    secret_calls: bool = False
    """Calls of Secrets Manager are events of their own."""
    projects: bool = False
    """There is a second project, with a hold of the same order."""
    usual_view: str = "whole"
    """How queries are answered by default."""
    until_rest: bool = False
    """What is under way ends only when the schedule is at rest."""
    second_hold: bool = False
    """An auth of the same order has failed before."""
    missing: bool = False
    """The provider knows no such order."""
    rechecks: bool = False
    """The clock also goes to the later checks of what has failed."""
    permute: bool = False
    """First the requests, then their webhooks: once or twice each, one after the other, in every order."""


K1, K2, K3 = Ask("K1"), Ask("K2"), Ask("K3")
TWO = (K1, K2)
KEYLESS = Ask(None)
OFTEN = 9
DELIVERED = ("success", "pending", "failure")


def _loss(count: int, *more: type[Event]) -> dict[type[Event], int]:
    """Answers, POSTs and webhooks may be lost, so many of each; of the other kinds one each."""
    lost = {faults.AnswerLost: count, faults.PostLost: count, faults.WebhookLost: count}
    return {faults.AnswerOtherwise: OFTEN, **lost, **dict.fromkeys(more, 1)}


def _usual() -> list[Config]:
    """What the first edition knew."""
    c, f = Config, faults
    return [
        c("plain", may=_loss(1, f.Death, f.WebhookAgain), answers=answers.DOCUMENTED),
        c("store", may={f.WriteFails: 2, f.ReadFails: 2, f.IndexLags: 1, f.Death: 1}, runs=2),
        c("store twice", TWO, may={**_loss(1), f.WriteFails: 2}, answers=("success", "failure"), late=True, runs=2),
        c("executes", TWO, may=_loss(2, f.Death), answers=("success", "failure"), late=True),
        c("refuses", TWO, executes=False, may=_loss(2, f.Death), answers=DELIVERED, late=True),
        c("same key", (K1, K1), may=_loss(1, f.Death, f.WriteFails), answers=("success", "pending", "refused", "throttled", "bad credentials")),
        c("same key late", (K1, K2, K1), may=_loss(2), answers=("success", "failure"), late=True, runs=4),
        c("other body", (K1, Ask("K1", "x"), KEYLESS), may=_loss(1, f.Death), answers=("success", "failure")),
        c("no key", (KEYLESS, KEYLESS), may=_loss(2, f.Death), answers=("success", "pending", "refused"), late=True),
        c("three", (K1, K2, K3), may=_loss(3), answers=("success", "failure"), late=True, lazy=True, runs=5, clocks=6),
        c("failures", TWO, may=_loss(2, f.ViewOtherwise), answers=("failure", "success", "pending"), late=True),
        c("another attempt", TWO, first="failure", may=_loss(2), answers=("success", "failure"), late=True, lazy=True),
        c("portal", TWO, executes=False, portal=("a void", "a void that is pending", "a void that fails", "a capture"),
          may={**_loss(1, f.ViewOtherwise, f.Death, f.ResolveOtherwise), f.InPortal: 2}, answers=DELIVERED),
        c("portal late", TWO, portal=("a void", "a void that is pending", "a capture"),
          may={**_loss(2, f.ViewOtherwise, f.ResolveOtherwise), f.InPortal: 2}, answers=("success", "failure"), late=True),
        c("webhooks", may={**_loss(1, f.WebhookForged, f.WriteFails), f.WebhookAgain: 2, f.Death: 2}, answers=DELIVERED, runs=1, clocks=2),
        c("previous secret", previous=True, secret_calls=True, answers=("success", "pending"), runs=1, clocks=2,
          may=_loss(1, f.WebhookAgain, f.WebhookForged, f.Death, f.SecretFails)),
        c("lying", TWO, lying=True, may=_loss(1, f.WebhookAgain), answers=("success", "pending"), late=True),
        c("blind", TWO, may={**_loss(1), f.ViewOtherwise: 3}, answers=("success", "pending", "refused", "no such order"), late=True, runs=4),
        c("slow", TWO, may={**_loss(1), f.TimePasses: 2}, late=True, lazy=True),
        c("unbounded", TWO, bounded=False, executes=False, may=_loss(1, f.ViewOtherwise), views=("no such order", "reset"), late=True, lazy=True),
        c("late arrivals", TWO, bounded=False, executes=False, overtakes=True, may=_loss(1, f.ViewOtherwise), views=("no such order", "empty list"), late=True, lazy=True),
        c("refresh", TWO, may={**_loss(2), f.Refresh: 2}, answers=DELIVERED, late=True, lazy=True),
        c("stuck", TWO, stuck=True, may=_loss(2, f.Refresh), answers=("pending", "failure"), late=True, lazy=True),
        c("clock ahead", TWO, skew=2_000, may=_loss(2, f.Death), late=True, lazy=True),
        c("clock behind", TWO, skew=-2_000, may=_loss(2, f.Death), late=True, lazy=True),
        c("secret", TWO, secret_calls=True, may={**_loss(1, f.Death), f.SecretFails: 2, f.TimePasses: 2}, answers=("success", "throttled")),
        c("other currency", (K1, Ask("K2", None, "USD"), K3), may=_loss(1, f.Death, f.WriteFails), runs=2,
          answers=("success", "refused", "pending", "success in another currency")),
        c("currency late", (Ask("K1", None, "USD"), K2, K1), may=_loss(2, f.WebhookAgain), late=True,
          answers=("success", "failure", "success in another currency", "pending")),
        c("other order", (K1, Ask("K1", "x", order=SECOND)), may={**_loss(1, f.Elsewhere, f.Death), f.ViewOtherwise: 2},
          answers=("success", "pending", "another order's success, not executed"), views=(*BLIND, "another order's void in it")),
        c("two orders", (K1, Ask("K2", order=SECOND), K3), may={**_loss(2), f.WriteFails: 2}, answers=DELIVERED, late=True, lazy=True),
        c("overtaken", may=dict.fromkeys((f.WriteFails, f.InPortal, f.Refresh), 1), portal=("a void",), runs=0, clocks=0),
        c("permutations", may=_loss(1), answers=DELIVERED, permute=True),
        c("permutations lying", may=_loss(1), answers=("success", "pending"), lying=True, permute=True),
    ]  # fmt: skip


def _wider() -> list[Config]:
    """What the provider, its network and its users may show besides."""
    c, f = Config, faults
    strange = tuple(view for view in views.VIEWS if view not in ("whole", "behind its webhooks"))
    return [
        c("answers", TWO, may=_loss(1, f.Death), answers=answers.DOCUMENTED, runs=2),
        c("silent answers", TWO, may=_loss(1), answers=("success", *answers.SILENT), late=True),
        c("odd answers", TWO, may=_loss(1), answers=("success", *answers.ODD), late=True),
        c("silent refusals", TWO, executes=False, may=_loss(1, f.ViewOtherwise), answers=("success", *answers.SILENT), views=("404 page", "S-404 cut short", "empty list"), late=True),
        c("views", TWO, may={**_loss(1, f.Refresh), f.ViewOtherwise: 2}, views=strange, late=True, lazy=True),
        c("views of a refusal", TWO, may={**_loss(1), f.ViewOtherwise: 2}, answers=("refused", "success", "no such order"), views=strange, late=True),
        c("partial views", TWO, may={**_loss(1), f.ViewOtherwise: 3}, views=("one object: the hold", "one object: the void", "without the hold"), late=True, lazy=True, runs=5, clocks=6),
        c("forms of webhooks", may={**_loss(1, f.WebhookAgain, f.ResolveOtherwise), f.WebhookOtherwise: 2}, answers=("success", "pending", "failure"), forms=tuple(announcements.FORMS), runs=2),
        c("queries behind webhooks", TWO, may={**_loss(2, f.ResolveOtherwise), f.ViewOtherwise: 3}, answers=("pending", "success"), views=("behind its webhooks", "lagging"), late=True, lazy=True, runs=5, clocks=6),
        c("told under way", TWO, until_rest=True, usual_view="behind its webhooks", may=_loss(1, f.Refresh), answers=("pending", "success"), late=True, lazy=True, runs=5, clocks=6),
        c("somebody else's failure", (K1, K1, K2), until_rest=True, usual_view="behind its webhooks", portal=("a void that fails",),
          may=_loss(1, f.InPortal, f.Refresh), answers=("pending",), late=True, runs=5, clocks=6),
        c("pending meanwhile", TWO, portal=("a void that is pending",), until_rest=True, answers=("success", "throttled"),
          may=dict.fromkeys((f.InPortal, f.Refresh, f.NotOpened, f.AnswerOtherwise), 1)),
        c("undocumented refusals", TWO, may=_loss(1, f.ViewOtherwise), views=("empty list",), runs=2,
          answers=("success", *(f"{status}, executed" for status in ("405", "406", "408", "409", "423", "425", "404 page", "S-404 cut short")))),
        c("pending in the portal", TWO, portal=("a void that is pending", "a void that fails"), answers=DELIVERED, late=True, lazy=True, runs=5, clocks=6,
          may={**_loss(1, f.InPortal, f.Refresh), f.ViewOtherwise: 2, f.ResolveOtherwise: 2}, views=("behind its webhooks", "lagging")),
        c("portal without webhooks", TWO, portal=("a void", "a void that is pending", "a capture"), silent_portal=True, answers=("refused", "success", "failure"), late=True,
          may={**_loss(1, f.InPortal, f.Refresh), f.ViewOtherwise: 1, f.ResolveOtherwise: 1}, rechecks=True, runs=5, clocks=6),
        c("captures", TWO, portal=("a capture", "a capture that is pending", "a capture that fails"), answers=("success", "refused"), late=True,
          may={**_loss(1, f.InPortal, f.Refresh), f.ResolveOtherwise: 2, f.ViewOtherwise: 1}),
        c("second hold", TWO, second_hold=True, answers=("success", "pending", "failure"), late=True, may=_loss(1, f.ViewOtherwise)),
        c("lists", (K1, Ask("K2", order=SECOND), Ask("K3", order=THIRD)), stuck=True, answers=("pending", "success"), may=_loss(1), runs=1, clocks=1),
        c("capture under way", (K1,), until_rest=True, portal=("a capture that is pending",), may=_loss(1, f.InPortal), late=True),
        c("pending without webhooks", (K1,), until_rest=True, silent_portal=True, portal=("a void that is pending",), may=_loss(1, f.InPortal, f.Refresh), runs=5, clocks=6),
        c("undocumented statuses", TWO, answers=("antifraud", "success", "pending"), strange=True, forms=("as documented", "without ids"), late=True,
          may={**_loss(1, f.Refresh), f.ResolveOtherwise: 3, f.WebhookOtherwise: 1}),
        c("another project", TWO, projects=True, rotations=("live", "test"), answers=("success", "pending", "refused"), late=True, forms=("without pos_id",),
          may={**_loss(1, f.ColdStart, f.Elsewhere, f.WebhookOtherwise, f.Refresh), f.Rotate: 3}, runs=4, clocks=5),
        c("another project's keys", (K1,), projects=True, rotations=("live", "new keys"), answers=("success", "pending"),
          may={**_loss(1, f.ColdStart), f.Rotate: 3}, runs=4, clocks=5),
        c("another project's answers", TWO, projects=True, answers=("success", "another project's success, executed"), views=("another project's", "lagging"),
          may={**_loss(1, f.Elsewhere), f.ViewOtherwise: 2}, late=True),
        c("new keys", (K1, K1, K2), rotations=("new keys",), may={**_loss(1, f.ColdStart, f.TimePasses), f.Rotate: 2}, runs=2),
        c("capitals", TWO, capitals=True, may=_loss(1), answers=("success", "pending", "success without pos_id"), late=True),
        c("connections", TWO, opening=True, addresses=2, may={f.ResolverSlow: 1, f.NotOpened: 2, f.Swallowed: 2, f.AnswerOtherwise: 1}, answers=("success", "refused")),
        c("many addresses", TWO, opening=True, addresses=5, may={f.ResolverSlow: 1, f.Swallowed: 5}, runs=1),
        c("not connected", (K1, K2, K1), may={**_loss(1), f.NotOpened: 2}, answers=("refused", "success", "no such order")),
        c("all is slow", TWO, opening=True, addresses=2, secret_calls=True, runs=2, views=("stalls", "byte by byte"),
          answers=("success", "success that stalls", "success byte by byte", "refused"),
          may={f.WriteFails: 4, f.ReadFails: 4, f.SecretFails: 4, f.Swallowed: 4, f.ResolverSlow: 1, f.ViewOtherwise: 2, f.AnswerOtherwise: 2, f.Refresh: 1, f.AnswerLost: 1}),
        c("refused again", (K1, K2, KEYLESS), may=_loss(1, f.ViewOtherwise), answers=("refused", "no such order", "success", "failure"), late=True),
        c("no such order", (K1, K2, KEYLESS, K3), missing=True, answers=("no such order",), may=_loss(1, f.ViewOtherwise, f.Death), views=("reset",)),
        c("key late", (K1, K2, K1), may={**_loss(1, f.Death, f.TimePasses), f.NotOpened: 1}, answers=("refused", "success", "throttled"), late=True),
        c("looked at again", (K1,), rechecks=True, answers=("refused", "success"), portal=("a void",), silent_portal=True,
          may={**_loss(1, f.InPortal, f.Refresh), f.ViewOtherwise: 1}, runs=16, clocks=16),
        c("outage", (K1,), obedient=34, outages=("provider",), may={f.Outage: 1, f.PostLost: 1}, runs=1, clocks=60),
        c("outages", (K1,), obedient=14, outages=("provider", "table", "secret"), secret_calls=True, may={f.Outage: 2, f.PostLost: 1, f.Death: 1}, runs=4, clocks=20),
        c("obedient", (K1,), obedient=8, may={**_loss(1, f.Death, f.ViewOtherwise, f.Refresh), f.NotOpened: 1}, answers=("success", "refused", "pending", "500, not executed", "throttled"), runs=6, clocks=12),
        c("pages", (K1, Ask("K2", order=SECOND), Ask("K3", order=THIRD)), page=1, shards=2, answers=("success", "500, executed", "pending"),
          may={**_loss(1, f.IndexLags, f.ViewOtherwise, f.Death), f.WriteFails: 1}, views=("absurd amount", "reset", "half a surrogate pair"), late=True, runs=3),
        c("instances", (K1, K2, K1), may={**_loss(1, f.ColdStart, f.Death), f.WebhookForged: 2, f.Rotate: 1, f.TimePasses: 2}, rotations=("new keys",), answers=("success", "bad credentials")),
    ]  # fmt: skip


def _narrow() -> list[Config]:
    """Small enough for a guard's absence to show within two deviations."""
    c, f = Config, faults
    lost = ("500, executed", "success")
    return [
        c("empty lists", TWO, usual_view="empty list", may={f.AnswerLost: 1, f.WebhookLost: 1}, late=True, lazy=True),
        c("one object", TWO, usual_view="one object: the hold", may={f.AnswerLost: 1, f.WebhookLost: 1}, late=True, lazy=True),
        c("absurd views", TWO, usual_view="absurd amount", answers=lost, may={f.WebhookLost: 1, f.Refresh: 1}, late=True),
        c("full pages", (K1, Ask("K2", order=SECOND), Ask("K3", order=THIRD)), page=1, answers=("503, not executed", "success"),
          may={f.AnswerOtherwise: 1, f.IndexLags: 1, f.Death: 1}),
        c("failed before", TWO, first="failure", may={f.WebhookLost: 1}, late=True, lazy=True),
        c("lost, then throttled", (K1, K2, K1), answers=("success", "throttled"), may={f.PostLost: 1, f.AnswerOtherwise: 1}, late=True),
        c("replaced secret", (K1,), projects=True, rotations=("live", "new keys"), answers=lost, may={f.Rotate: 2, f.WebhookLost: 1, f.ColdStart: 1}, late=True),
        c("pending and lost", TWO, until_rest=True, usual_view="behind its webhooks", answers=("pending", "success"), may={f.AnswerLost: 1}, late=True, lazy=True, clocks=6),
    ]  # fmt: skip


def _everything() -> list[Config]:
    c, f = Config, faults
    every_answer = (*answers.DOCUMENTED, *answers.SILENT, *answers.ODD)
    every_view = tuple(view for view in views.VIEWS if view != "whole")
    portal = tuple(f.InPortal.acts)
    budget = {
        **_loss(3), f.Death: 2, f.WriteFails: 3, f.ReadFails: 1, f.IndexLags: 1, f.WebhookAgain: 2, f.WebhookForged: 1,
        f.WebhookOtherwise: 1, f.ViewOtherwise: 2, f.InPortal: 1, f.Elsewhere: 1, f.ResolveOtherwise: 1, f.Refresh: 2,
        f.TimePasses: 2, f.ColdStart: 1, f.NotOpened: 1,
    }  # fmt: skip
    forms = tuple(announcements.FORMS)
    return [
        c("everything", TWO, answers=every_answer, views=every_view, portal=portal, forms=forms, strange=True, may=budget, runs=4, clocks=6),
        c("everything late", (K1, KEYLESS, K1), answers=("refused", *every_answer), views=every_view, portal=portal, forms=forms,
          may=budget, runs=4, clocks=6, late=True),
        c("everything rotates", TWO, projects=True, rotations=("live", "test", "new keys"), answers=answers.DOCUMENTED, views=every_view, portal=portal, forms=forms,
          may={**budget, f.Rotate: 2, f.SecretFails: 1}, secret_calls=True, runs=4, clocks=6, late=True),
    ]  # fmt: skip


CONFIGURATIONS = {config.name: config for config in (*_usual(), *_wider(), *_narrow(), *_everything())}
