"""How the provider answers a query for an order: what it shows of its ledger, in bytes."""

from collections.abc import Callable
from dataclasses import dataclass

from play.answers import FORMS, of_another_order, refusal
from play.ledger import Ledger, Operation, Project
from play.words import DRIP, LATE, SPELLINGS, STALL, Fields, cut, http, page, shortened, text, told

LAG_MS = 15_000
"""How far a query lags. POST and lag together end before an absence counts: 4 + 120 + 15 s after the request."""
BEHIND_MS = 600_000  # how far a query lags behind what a webhook has already told


@dataclass(frozen=True, slots=True)
class Query:
    """An order, or one method of it, that somebody asks about. `projects`: all that the provider knows."""

    ledger: Ledger
    project: Project
    order: str
    method: str | None = None
    encoded: bool = False  # the path had something percent-encoded
    projects: tuple[Project, ...] = ()

    @property
    def operations(self) -> list[Operation]:
        if self.encoded and "order-path" in self.ledger.differs:
            return []
        found = self.ledger.of(self.project, self.order)
        hidden = "void" if {"query-delay", "query-lag"} & self.ledger.differs else None
        return [one for one in found if self.method in (None, one.method) and one.method != hidden]

    def rows(self, shows: Callable[[Operation], bool] = lambda _: True) -> list[Fields]:
        rows = [told(self.ledger, one, "list") for one in self.operations if shows(one)]
        return rows + [row | {"payment_id": "another"} for row in rows[:1] if "order-once" in self.ledger.differs]


type View = Callable[[Query], bytes | None]


def show(query: Query, view: str = "whole") -> bytes | None:
    """The answer in that view. None: the connection is reset."""
    return VIEWS[view](query)


def _rows(query: Query, rows: list[Fields]) -> bytes:
    """A list; nothing in it is a payment that nobody knows."""
    differs = query.ledger.differs
    if rows:
        return http(200, text(rows[-1] if "query-hold" in differs else rows))
    if query.order == "0" and "order-zero" in differs:
        return refusal("bad credentials")
    if query.method is not None and "query-no-void" in differs:
        return refusal("foreign project")
    return page(404) if "unknown-query" in differs else refusal("no such order")


def _whole(query: Query) -> bytes:
    return _rows(query, query.rows())


def _lagging(query: Query) -> bytes:
    moment = query.ledger.now() - LAG_MS
    old = [(one, one.status_at(moment)) for one in query.operations]
    return http(200, text([told(query.ledger, one, "list", status) for one, status in old if status is not None]))


def _behind(query: Query) -> bytes:
    """Without the voids that a webhook has told of already."""
    young = query.ledger.now() - BEHIND_MS

    def shows(operation: Operation) -> bool:
        return operation.told_at is None or operation.method != "void" or operation.made_at <= young

    return http(200, text(query.rows(shows)))


def _without_last_void(query: Query) -> bytes:
    """What a replica that lags behind still shows."""
    rows = query.rows()
    voids = [at for at, row in enumerate(rows) if row["method"] == "void"]
    return _rows(query, rows[: voids[-1]] if voids else rows)


def _one(method: str) -> View:
    """One object instead of the list."""

    def view(query: Query) -> bytes:
        rows = query.rows()
        found = [row for row in rows if row["method"] == method] or rows
        return http(200, text(found[-1])) if found else refusal("no such order")

    return view


def _another_project(query: Query) -> bytes:
    """The answer to the same question about another project."""
    other = next((each for each in query.projects if each is not query.project), STRANGE)
    strangers = [told(query.ledger, one, "list") for one in query.ledger.of(other, query.order)]
    return http(200, text(strangers or [STRANGER | {"order_id": query.order, "pos_id": other.pos_id}]))


def _spelled(spelling: Callable[[Fields], bytes]) -> View:
    return lambda query: http(200, b"[" + b",".join(map(spelling, query.rows())) + b"]")


def _beside(stranger: object) -> View:
    """The right list, and something in it that does not belong there."""
    return lambda query: http(200, text([*query.rows(), stranger]))


def _over(change: Callable[[bytes], bytes]) -> View:
    return lambda query: change(_whole(query))


def _says(answer: bytes | None) -> View:
    return lambda _: answer


STRANGE = Project("00000000-1111-4222-8333-444444444444", "strange", "strange", "strange")
STRANGER: Fields = {"method": "void", "status": "success", "order_id": "order-9", "operation_id": "op-98"}
REFUSED = (
    "no such order", "no such order, P-404", "bad credentials", "bad credentials as S-404", "refused", "throttled",
)  # fmt: skip
VIEWS: dict[str, View] = {
    "whole": _whole,
    "lagging": _lagging,
    "behind its webhooks": _behind,
    "without the last void": _without_last_void,
    "one object: the hold": _one("auth"),
    "one object: the void": _one("void"),
    "without the hold": lambda query: http(200, text(query.rows(lambda one: one.method != "auth"))),
    "empty list": _says(http(200, b"[]")),
    "never": _says(LATE),
    **{name: _says(refusal(name)) for name in REFUSED},
    **{name: _says(said) for name, said in FORMS.items()},
    **{name: _spelled(spelling) for name, spelling in SPELLINGS.items()},
    "cut short": _over(cut),
    "half a text": _over(shortened),
    "stalls": _over(lambda answer: STALL + cut(answer)),
    "byte by byte": _over(lambda answer: DRIP + answer),
    "another order's": lambda query: _rows(query, [of_another_order(row) for row in query.rows()]),
    "another order's void in it": _beside(STRANGER),
    "something unreadable in it": _beside("nonsense"),
    "another project's": _another_project,
    "too many operations": lambda query: http(200, text(query.rows() * 201)),
}
"""How a query may be answered, by name."""
HARMLESS = ("whole", "with amount 1E+2", "without pos_id", "with pos_id in capitals")
"""The whole truth, differently spelled."""
SANDBOX = {
    "ok": "whole", "not_found": "no such order", "http_500": "500", "timeout": "never",
    "stale": "without the last void", "wrong_order": "another order's",
}  # fmt: skip
"""The names that the sandbox takes for the next query of an order."""
