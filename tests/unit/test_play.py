"""The provider as pure code: what it says is read by the service's own readers, and its ledger says what was done."""

from collections.abc import Callable

import pytest

from payments.exact_json import parse
from payments.messages import AnswerKind, OrderView, read_answer, read_operation, read_order
from payments.signatures import Scheme, authorise
from play import answers, requests, views, webhooks
from play.ledger import Ledger, Project
from play.requests import Request, Void
from play.words import DIFFERENCES, fields, parted, told

NOW = 1_764_500_000_000
PROJECT = Project("dc728de1-51ef-4ef1-80f7-3b44b07b5667", "key", "secret", "endpoints")
OTHER = Project("00000000-51ef-4ef1-80f7-3b44b07b5667", "other", "other-secret", "other")
VOID = Void(PROJECT, "123", "UAH", "10101")


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(lambda: NOW)
    ledger.hold(PROJECT, "123")
    return ledger


def received(raw: bytes | None) -> tuple[int, bytes]:
    """Status and body, as far as a client gets them in time."""
    answer = (raw or b"").removeprefix(b"\x00drip")
    return parted(answer) if answer.startswith(b"HTTP/1.1 ") else (500, b"")


KINDS = {
    "success": AnswerKind.SUCCESS, "pending": AnswerKind.PENDING, "init": AnswerKind.PENDING, "failure": AnswerKind.FAILURE,
    "throttled": AnswerKind.THROTTLED, "bad credentials": AnswerKind.CREDENTIALS, "bad credentials as S-404": AnswerKind.CREDENTIALS,
    "pending_then_failure": AnswerKind.PENDING, "http_401": AnswerKind.CREDENTIALS, "http_429": AnswerKind.THROTTLED,
    "antifraud": AnswerKind.PENDING, "failure, 201": AnswerKind.FAILURE, "refused with an absurd number": AnswerKind.REFUSED,
    **dict.fromkeys(("http_400", "http_404", "refused", "refused without a code", "no such order", "no such order, P-404"), AnswerKind.REFUSED),
    **dict.fromkeys(("refused for its fields", "refused with half a surrogate pair"), AnswerKind.REFUSED),
    **dict.fromkeys(("success byte by byte", "success in another currency", "success with an absurd amount"), AnswerKind.SUCCESS),
    **dict.fromkeys(("success with amount 1E+2", "success with half a surrogate pair", "success without ids"), AnswerKind.SUCCESS),
    **dict.fromkeys(("success without pos_id", "success with pos_id in capitals"), AnswerKind.SUCCESS),
}  # fmt: skip
"""What the service makes of an answer; every other one leaves the outcome open."""


@pytest.mark.parametrize("name", answers.ANSWERS)
def test_an_answer_means_what_its_name_says_and_does_it(ledger: Ledger, name: str) -> None:
    raw, made = answers.land(ledger, VOID, name)
    assert [one.status for one in ledger.of(PROJECT, "123", "void")] == ([] if made is None else [made.status])
    assert (made and made.status) == answers.ANSWERS[name].effect
    assert read_answer(*received(raw), PROJECT.pos_id, "123").kind == KINDS.get(name, AnswerKind.UNKNOWN)


SHOWN: dict[str, Callable[[OrderView], bool]] = {
    **dict.fromkeys(("no such order", "no such order, P-404"), lambda view: view.not_found),
    **dict.fromkeys(("one object: the hold", "one object: the void"), lambda view: view.partial),
    **dict.fromkeys(("lagging", "empty list"), lambda view: not view.operations),
    **dict.fromkeys(("without the last void",), lambda view: [one.method for one in view.operations] == ["auth"]),
    **dict.fromkeys(("without the hold",), lambda view: [one.method for one in view.operations] == ["void"]),
    **dict.fromkeys((*views.HARMLESS, "behind its webhooks", "byte by byte"), lambda view: len(view.operations) == 2),
    **dict.fromkeys(("with an absurd amount", "with half a surrogate pair", "without ids"), lambda view: len(view.operations) == 2),
}  # fmt: skip
"""What the service sees in a view; every other one proves nothing."""


@pytest.mark.parametrize("name", views.VIEWS)
def test_a_view_shows_what_its_name_says(ledger: Ledger, name: str) -> None:
    answers.land(ledger, VOID, "success")
    raw = views.show(views.Query(ledger, PROJECT, "123", projects=(PROJECT, OTHER)), name)
    view = read_order(*received(raw), PROJECT.pos_id, "123")
    assert (view is not None and SHOWN[name](view)) if name in SHOWN else view is None


@pytest.mark.parametrize("scheme", Scheme)
def test_a_request_is_read_from_its_bytes(scheme: Scheme) -> None:
    body = b'{"pos_id":"%s","order_id":"a/b","order_currency":"UAH"}' % PROJECT.pos_id.encode()
    proof = authorise(scheme, PROJECT.api_key, PROJECT.api_secret, body)
    raw = f"POST /api/v1/void HTTP/1.1\r\nX-API-Auth: {proof}\r\nX-API-KEY: endpoints\r\n\r\n".encode() + body
    assert requests.read_void([OTHER, PROJECT], Request.parse(raw)) == Void(PROJECT, "a/b", "UAH")
    plain = authorise(Scheme.PLAIN, PROJECT.api_key, PROJECT.api_secret, b"")
    path = f"/api/v1/pos/{PROJECT.pos_id.upper()}/orders/a%2Fb/void"
    query = Request("GET", path, {"x-api-auth": plain, "x-api-key": "endpoints"})
    assert requests.read_query([OTHER, PROJECT], query) == (PROJECT, "a/b", "void")


def test_a_hold_that_was_made_anew_is_voided_by_itself(ledger: Ledger) -> None:
    voided = set()
    for _ in range(2):
        assert ledger.stands(PROJECT, "123")
        _, made = answers.land(ledger, VOID, "success")
        assert {ledger.refuses(method, PROJECT, "123") for method in ("void", "capture")} == {"voided"}
        voided.add(made and made.payment_id)
        ledger.hold(PROJECT, "123")
    assert len(voided - {None}) == 2
    assert ledger.refuses("void", OTHER, "123") == "no such order"
    assert ledger.refuses("void", PROJECT, "123", "USD") == "another currency"
    ledger.operate("capture", "pending", PROJECT, "123")
    assert (ledger.refuses("void", PROJECT, "123"), ledger.refuses("capture", PROJECT, "123")) == ("captured", None)


def test_nothing_differs_without_a_name(ledger: Ledger) -> None:
    _, made = answers.land(ledger, VOID, "success")
    assert made is not None
    assert {name: told(ledger, made, name) for name in ledger.ids} == dict.fromkeys(ledger.ids, fields(made))
    assert read_operation(parse(webhooks.FORMS["as documented"](fields(made)))) is not None
    ledger.differs = frozenset(DIFFERENCES)
    assert all(told(ledger, made, name) != fields(made) for name in ledger.ids)
