"""What a schedule is about: who asks, what else happens, and what may go wrong how often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from play.answers import DOCUMENTED, ODD, SILENT
from play.ledger import Channel
from play.views import HARMLESS
from play.webhooks import FORMS


@dataclass(frozen=True, slots=True)
class Ask:
    """A request of the merchant."""

    key: str | None = "key-1"
    comment: str | None = None
    order: str = "order-1"


@dataclass(frozen=True, slots=True)
class Config:
    """One kind of schedule. `may`: what may happen, and how often at most."""

    name: str
    may: dict[str, int]
    asks: tuple[Ask, ...] = (Ask(),)
    answers: tuple[str, ...] = ("refused", "success", "pending", "throttled")
    views: tuple[str, ...] = ("500", "reset", "never", "lagging")
    forms: tuple[str, ...] = ("with payload",)
    opening: bool = False
    """Resolver, addresses and handshake are moments of their own."""
    executes_twice: bool = False
    usual: str = "success"
    """How a POST is answered when nothing goes wrong."""
    together: bool = False
    """A settle run waits until all orders are due."""
    stuck: bool = False
    """What is under way never ends."""
    settles_first: int = 0
    """So many settle runs come before the next request, and a late POST lands as late as it can."""
    errs: bool = False
    """The operator decides wrongly."""
    previous: bool = False
    """Webhooks are signed with the secret before the newest."""
    without_hold: bool = False
    ids: Mapping[Channel, Sequence[str]] = field(default_factory=dict)
    """Which names each channel gives of an operation."""


SAME, OTHER_KEY, NO_KEY = Ask(), Ask("key-2"), Ask(None)
LOSES = {"answer": 1, "late": 1}
QUIET = ("500, executed", "500, not executed", "reset, executed", "reset, not executed")
CONFIGURATIONS = {
    config.name: config
    for config in (
        Config("plain", LOSES | {"die": 1, "overlap": 1}, (SAME, SAME, OTHER_KEY)),
        Config("twice", LOSES | {"die": 1, "overlap": 1, "refresh": 1}, (SAME, OTHER_KEY), QUIET, executes_twice=True),
        Config("table", {"table": 2, "overlap": 1, "answer": 1}, (SAME, OTHER_KEY), QUIET),
        Config("two tables", {"table": 2, "overlap": 2, "order": 1}, (NO_KEY, NO_KEY), executes_twice=True),
        Config("secret", {"secret": 3, "die": 1}, (SAME, SAME)),
        Config("slow", {"secret": 2, "table": 2, "late": 1, "net": 1}, opening=True),
        Config("connections", {"net": 2, "table": 1, "answer": 1}, (SAME, SAME), opening=True),
        Config("odd answers", {"answer": 1, "table": 1}, answers=tuple(ODD)),
        Config("silent answers", {"answer": 1, "refresh": 1}, (SAME, OTHER_KEY), tuple(SILENT)),
        Config("refusals", {"answer": 2, "late": 1}, (SAME, SAME, OTHER_KEY), tuple(DOCUMENTED)),
        Config("odd views", {"late": 1, "view": 2, "refresh": 1}, views=(*HARMLESS, *(
            "something unreadable in it", "another order's void in it", "another project's"))),
        Config("webhooks", {"again": 2, "order": 2, "form": 1, "table": 1, "forged": 1, "silence": 1}, answers=("pending",), forms=tuple(FORMS)),
        Config("webhooks and a lost answer", {"late": 1, "answer": 1, "again": 1, "order": 1, "form": 1}, answers=QUIET, forms=tuple(FORMS)),
        Config("previous secret", {"answer": 1, "again": 1}, previous=True),
        Config("new keys", {"rotate": 2, "freeze": 2, "answer": 1, "again": 1}, (SAME, SAME, Ask("key-3", order="order-2"))),
        Config("go-live", {"live": 1, "freeze": 2, "order": 1, "late": 1}, (SAME, Ask("key-3", order="order-2"))),
        Config("portal", {"portal": 2, "order": 1, "late": 1, "refresh": 1, "silence": 1}, (SAME, OTHER_KEY)),
        Config("rows", {"rows": 1, "late": 1, "refresh": 1}, (SAME, OTHER_KEY)),
        Config("names differ", {"answer": 1, "again": 1, "order": 1, "silence": 1}, (SAME, OTHER_KEY), ("pending", "success"),
               ids={"answer": ("operation_id", "transaction_id"), "list": ("transaction_id",), "webhook": ("operation_id",)}),
        Config("webhooks without names", {"answer": 1, "again": 1}, (SAME,), ("pending",), ids={"webhook": ()}),
        Config("stuck", {"answer": 1, "silence": 1, "view": 1}, (SAME, OTHER_KEY), ("pending", "antifraud"), stuck=True),
        Config("operator errs", {"answer": 1, "late": 1, "silence": 1}, (SAME, OTHER_KEY), ("pending",), stuck=True, errs=True),
        Config("two orders", {"late": 2, "table": 2, "view": 1, "freeze": 1}, (SAME, Ask("key-2", order="order-2")), usual="500, not executed", together=True, views=("with an absurd amount", "500", "never")),
        Config("lands late", {"late": 1, "answer": 1}, (SAME, OTHER_KEY), QUIET, settles_first=1),
        Config("one object", {"answer": 1, "silence": 1, "view": 3}, (SAME, OTHER_KEY), ("500, executed",), ("one object: the hold",), settles_first=3),
        Config("lost at go-live", {"answer": 1, "live": 1, "silence": 1}, (SAME,), ("500, executed",)),
        Config("silent twice", {"answer": 1, "view": 1, "silence": 1}, (SAME, OTHER_KEY), tuple(SILENT), ("lagging",)),
        Config("no hold", {"answer": 1, "table": 1}, (SAME, OTHER_KEY), ("no such order",), without_hold=True),
        Config("everything", {"answer": 2, "late": 1, "view": 2, "table": 2, "secret": 1, "net": 1, "die": 2, "overlap": 2, "order": 2, "again": 1, "forged": 1, "portal": 1, "refresh": 1, "freeze": 1, "rotate": 1, "silence": 1},
               (SAME, OTHER_KEY, NO_KEY), tuple(DOCUMENTED | SILENT | ODD), forms=tuple(FORMS), opening=True),
    )
}  # fmt: skip
