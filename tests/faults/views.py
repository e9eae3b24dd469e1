"""How the provider answers a query for an order: what it shows of its ledger, in bytes."""

from collections.abc import Callable

from tests.faults.answers import ABSURD, CREDENTIALS, HALF, NO_ORDER, PAGE, S_404, cut, error, http, shortened, text
from tests.faults.financial_line import FinancialLine, Operation, Project, fields
from tests.faults.wire import DRIP, STALL

LAG_MS = 15_000
"""How far a query lags. POST and lag together end before an absence counts: 4 + 120 + 15 s after the request, not 145."""
BEHIND_MS = 600_000
"""How far a query lags behind what a webhook has already told."""

View = Callable[[FinancialLine, Project, str], bytes | None]


def shown(
    bank: FinancialLine, project: Project, order: str, hidden: Callable[[Operation], bool] = lambda _: False
) -> list[Operation]:
    """An order's operations, without the hidden ones."""
    return [one for one in bank.of(project, order) if not hidden(one)]


def _list(operations: list[Operation]) -> bytes:
    return text([fields(one) for one in operations])


def _whole(bank: FinancialLine, project: Project, order: str) -> bytes:
    operations = shown(bank, project, order)
    return http(200, _list(operations)) if operations else NO_ORDER


def _lagging(bank: FinancialLine, project: Project, order: str) -> bytes:
    moment = bank.now() - LAG_MS
    old = [(one, one.status_at(moment)) for one in bank.of(project, order)]
    return http(200, text([fields(one, status) for one, status in old if status is not None]))


def _behind(bank: FinancialLine, project: Project, order: str) -> bytes:
    """What a webhook has told of is not there yet."""
    return http(200, _list(shown(bank, project, order, lambda one: is_behind(bank, one))))


def is_behind(bank: FinancialLine, operation: Operation) -> bool:
    """May a query not show this operation yet, though a webhook told of it?"""
    told = operation.told_at is not None
    return told and operation.method == "void" and bank.now() - operation.made_at < BEHIND_MS


def _one(method: str) -> View:
    """One object instead of the list."""

    def view(bank: FinancialLine, project: Project, order: str) -> bytes:
        found = bank.of(project, order, method) or bank.of(project, order)
        return http(200, text(fields(found[-1]))) if found else NO_ORDER

    return view


def _without_hold(bank: FinancialLine, project: Project, order: str) -> bytes:
    return http(200, _list(shown(bank, project, order, lambda one: one.method == "auth")))


def _says(answer: bytes | None) -> View:
    return lambda *_: answer


def _with(old: bytes, new: bytes) -> View:
    def view(bank: FinancialLine, project: Project, order: str) -> bytes:
        return http(200, _list(shown(bank, project, order)).replace(old, new))

    return view


def _beside(stranger: object) -> View:
    """The right list, and something in it that does not belong there."""

    def view(bank: FinancialLine, project: Project, order: str) -> bytes:
        return http(200, text([*(fields(one) for one in shown(bank, project, order)), stranger]))

    return view


def _another_project(bank: FinancialLine, project: Project, order: str) -> bytes:
    """The answer to the same question about another project."""
    other = next((each for each in bank.projects.values() if each is not project), STRANGE_PROJECT)
    strangers = shown(bank, other, order) or [Operation(97, "void", other, order, "UAH", [(0, "success")])]
    return http(200, _list(strangers))


def _too_many(bank: FinancialLine, project: Project, order: str) -> bytes:
    return http(200, _list(shown(bank, project, order) * 201))


def _without_ids(bank: FinancialLine, project: Project, order: str) -> bytes:
    return http(200, text([fields(one, operation_id=None, transaction_id=None) for one in shown(bank, project, order)]))


def _over(change: Callable[[bytes], bytes]) -> View:
    return lambda bank, project, order: change(_whole(bank, project, order))


STRANGE_PROJECT = Project("strange", "00000000-1111-4222-8333-444444444444")
STRANGER = {"method": "void", "status": "success", "order_id": "order-9", "operation_id": "op-98"}

VIEWS: dict[str, View] = {
    "whole": _whole,
    "lagging": _lagging,
    "behind its webhooks": _behind,
    "one object: the hold": _one("auth"),
    "one object: the void": _one("void"),
    "without the hold": _without_hold,
    "empty list": _says(http(200, b"[]")),
    "no such order": _says(NO_ORDER),
    "404 page": _says(http(404, PAGE, "text/html")),
    "404 cut short": _says(cut(NO_ORDER)),
    "S-404": _says(S_404),
    "S-404 cut short": _says(cut(S_404)),
    "credentials": _says(CREDENTIALS),
    "400": _says(error(400)),
    "408": _says(error(408)),
    "429": _says(http(429)),
    "500": _says(error(500)),
    "503 page": _says(http(503, PAGE, "text/html")),
    "redirect": _says(http(302, b"", more="Location: https://elsewhere.invalid/\r\n")),
    "200 page": _says(http(200, PAGE, "text/html")),
    "200 empty": _says(http(200)),
    "reset": _says(None),
    "cut short": _over(cut),
    "half a text": _over(shortened),
    "stalls": _over(lambda answer: STALL + cut(answer)),
    "byte by byte": _over(lambda answer: DRIP + answer),
    "absurd amount": _with(b'"amount":100', b'"amount":' + ABSURD),
    "amount 1E+2": _with(b'"amount":100', b'"amount":1E+2'),
    "half a surrogate pair": _with(b'"status_code":"1009"', b'"status_description":' + HALF),
    "a name twice": _with(b'"method":', b'"mode":"x","method":'),
    "without pos_id": _with(b'"pos_id":', b'"pos":'),
    "without ids": _without_ids,
    "another order's void in it": _beside(STRANGER),
    "something unreadable in it": _beside("nonsense"),
    "another project's": _another_project,
    "too many operations": _too_many,
}
"""How a query may be answered, by name."""
HARMLESS = ("whole", "amount 1E+2", "without pos_id")
"""The whole truth, differently spelled."""
