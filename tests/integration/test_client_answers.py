"""What each client makes of every answer: the contract's problems, a gateway's and a proxy's words, and broken lines.

The packages are called by their drivers, in one table for all languages; curl.sh is run as the program that it is.
"""

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.clients.packages import PACKAGES, PROGRAMS, Merchant, installed, quick_sleep
from tests.integration.clients.raw_server import API, HANG_UP, RESET, SILENCE, Answer, RawServer, answer, raw_server

CONTRACT = json.loads((Path(__file__).resolve().parents[2] / "docs" / "openapi.json").read_text(), parse_float=Decimal)
URN = "urn:void-service:problem:"
GROUPS = {
    "RepeatLater": ["in-progress", "throttled", "provider-credentials", "not-sent", "outcome-unknown"],
    "Refused": ["not-voidable", "too-many-attempts"],
    "Misuse": [
        "invalid-request", "unauthenticated", "not-found", "too-large", "unsupported-media-type", "idempotency-mismatch",
        "currency-mismatch",
    ],
}  # fmt: skip
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
EXIT_CODES = {"Refused": 1, "RepeatLater": 2, "Misuse": 3, "VoidError": 3}
VOIDED, LATER = 0, 2


def class_of(name: str) -> str:
    """The exception of a problem type: not-sent is NotSent."""
    return "".join(part.capitalize() for part in name.split("-"))


def examples() -> dict[str, Any]:
    """The contract's example of each problem."""
    found: dict[str, Any] = {}

    def look(node: Any) -> None:
        if isinstance(node, dict):
            if str(node.get("type", "")).startswith(URN) and "status" in node:
                found.setdefault(node["type"].removeprefix(URN), node)
            for child in node.values():
                look(child)
        elif isinstance(node, list):
            for child in node:
                look(child)

    look(CONTRACT)
    return found


PROBLEMS = examples()
SUBMIT = CONTRACT["paths"]["/voids"]["post"]["responses"]
VOIDED_RECORD = SUBMIT["200"]["content"]["application/json"]["examples"]["voided"]["value"]
PENDING = SUBMIT["202"]["content"]["application/json"]["examples"]["pending"]["value"]
UNKNOWN = SUBMIT["202"]["content"]["application/json"]["examples"]["unknown"]["value"]
VOID = answer(200, VOIDED_RECORD)


def failed(reason: str) -> Any:
    return UNKNOWN | {"state": "failed", "reason": reason}


def not_voidable(reason: str) -> bytes:
    return answer(409, PROBLEMS["not-voidable"] | {"void": failed(reason)})


def accepted(record: Any, seconds: str = "5") -> bytes:
    return answer(202, record, Retry_After=seconds, Location=f"{API}/voids/123")


def page(status: int) -> bytes:
    """What a proxy says in its own words."""
    return answer(status, "<html><body>sorry</body></html>", Content_Type="text/html")


@dataclass(frozen=True)
class Case:
    """Answers, and what must come of them; `raised` "" is a voided record."""

    answers: list[Answer]
    raised: str
    label: str = ""
    says: str = ""  # what the message must match
    waits: list[int] | None = None  # seconds of each pause
    requests: str = "P"  # P for each POST, G for each GET
    wait: int = 0  # the patience
    timeout: float = 35


def broken(*answers: Answer, timeout: float = 35) -> Case:
    return Case(list(answers), "OutcomeUnknown", "outcome-unknown", "repeat the same request", timeout=timeout)


CASES = {
    **{
        f"problem-{name}": Case(
            [answer(document["status"], document, Retry_After="7")],
            class_of(name),
            f"not-voidable ({document['void']['reason']})" if name == "not-voidable" else name,
            re.escape(document["detail"]),
        )
        for name, document in PROBLEMS.items()
    },
    **{
        f"reason-{reason}": Case([not_voidable(reason)], "NotVoidable", f"not-voidable ({reason})", says)
        for reason, says in {
            "refused": "new decision, with a new key",
            "already-captured": "refund, which is another operation",
            "order-not-found": "ask with a new key",
            "not-executed": "ask with a new key",
            "a-new-reason": "see the reason",
        }.items()
    },
    # What this version does not know, and what is not the service's own.
    "unknown-type-409": Case(
        [answer(409, PROBLEMS["in-progress"] | {"type": f"{URN}not-yet-invented"})], "UnknownProblem", "unknown-problem"
    ),
    "unknown-type-507": Case(
        [answer(507, PROBLEMS["not-sent"] | {"type": f"{URN}not-yet-invented"})], "OutcomeUnknown", "outcome-unknown"
    ),
    "foreign-problem": Case(
        [answer(400, {"type": "https://example.com/probs/x", "title": "Bad", "status": 400, "errors": {"a": ["b"]}})],
        "UnknownProblem", "unknown-problem", "HTTP 400",
    ),
    "gateway-403-capital": Case(
        [answer(403, {"Message": "User: anonymous is not authorized to perform: execute-api:Invoke"})],
        "Unauthenticated", "unauthenticated", "execute-api:Invoke",
    ),
    "gateway-403-small": Case([answer(403, {"message": "Forbidden"})], "Unauthenticated", "unauthenticated", "Forbidden"),
    "gateway-413-text": Case(
        [answer(413, "HTTP content length exceeded 10485760 bytes.", Content_Type="text/plain")], "TooLarge", "too-large"
    ),
    "gateway-429": Case([answer(429, {"message": "Limit Exceeded"})], "Throttled", "throttled", "Limit Exceeded"),
    "gateway-502": Case([answer(502, {"message": "Internal server error"})], "OutcomeUnknown", "outcome-unknown"),
    "gateway-504": Case(
        [answer(504, PROBLEMS["outcome-unknown"] | {"status": 504})], "OutcomeUnknown", "outcome-unknown"
    ),
    "proxy-404": Case([page(404)], "UnknownProblem", "unknown-problem", "check the URL"),
    "proxy-409": Case([page(409)], "UnknownProblem", "unknown-problem"),
    "proxy-502": broken(page(502)),
    "proxy-503": broken(page(503)),  # unlike the service's own 503, it does not say that nothing was sent
    "redirect": Case(
        [answer(307, "", Location="/redirect/v1/elsewhere")], "UnknownProblem", "unknown-problem", "HTTP 307"
    ),
    # Successes that are none.
    "portal-200": broken(page(200)),
    "empty-200": broken(answer(200)),
    "no-content": broken(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
    "null-200": broken(answer(200, None)),
    "list-200": broken(answer(200, [VOIDED_RECORD])),
    "nan-200": broken(answer(200, VOIDED_RECORD["order_id"].join(['{"order_id": "', '", "state": "voided", "a": NaN}']))),
    "deep-200": broken(answer(200, "[" * 100_000 + "]" * 100_000)),
    "another-order": broken(answer(200, VOIDED_RECORD | {"order_id": "1234"})),
    "failed-200": broken(answer(200, failed("refused"))),
    "cut-json": broken(answer(200, json.dumps(VOIDED_RECORD)[:-40])),
    # Broken lines.
    "short-200": broken(VOID[:-40]),
    "short-409": broken(not_voidable("refused")[:-40]),
    "short-chunks": broken(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"40\r\n" + json.dumps(VOIDED_RECORD).encode()[:64] + b"\r\n"
    ),
    "half-a-head": broken(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "not-http": broken(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "reset": broken(RESET),
    "hang-up": broken(HANG_UP),
    "silence": broken(SILENCE, timeout=1),
    # Waiting.
    "voided-at-once": Case([VOID], "", waits=[]),
    "pending-then-voided": Case(
        [accepted(PENDING), answer(200, PENDING), VOID], "", waits=[5, 10], requests="PGG", wait=120
    ),
    "everything-then-voided": Case(
        [
            answer(503, PROBLEMS["not-sent"], Retry_After="2"),
            answer(409, PROBLEMS["in-progress"], Retry_After="3"),
            RESET,
            page(502),
            accepted(PENDING, "4"),
            answer(429, PROBLEMS["throttled"], Retry_After="1"),
            HANG_UP,
            answer(200, UNKNOWN),
            VOID,
        ],
        "", waits=[2, 3, 6, 12, 4, 1, 5, 10], requests="PPPPPGGGG", wait=120,
    ),
    "credentials-with-patience": Case(
        [answer(502, PROBLEMS["provider-credentials"]), answer(502, PROBLEMS["provider-credentials"]), VOID],
        "", waits=[60, 60], requests="PPP", wait=170,
    ),
    "credentials-for-long": Case(
        [answer(502, PROBLEMS["provider-credentials"])],
        "ProviderCredentials", "provider-credentials", "operators are alarmed", [60], "PP", wait=110,
    ),
    "pending-for-long": Case(
        [accepted(PENDING), answer(200, PENDING)],
        "NotSettledYet", "not-settled-yet (pending)", "repeat the same request later, or read", [5, 10, 20, 40], "PGGGG",
        wait=120,
    ),
    "no-patience": Case(
        [accepted(PENDING)], "NotSettledYet", "not-settled-yet (pending)", waits=[]
    ),
    "longer-than-the-patience": Case(
        [answer(429, PROBLEMS["throttled"], Retry_After="600")], "Throttled", "throttled", waits=[], wait=120
    ),
    "review": Case([accepted(UNKNOWN | {"review": True})], "NotSettledYet", "not-settled-yet (unknown)", "operators must"),
    # What a read says of a failure is asked again with the key, because the key's own attempt is what counts.
    "refused-meanwhile": Case(
        [accepted(PENDING), answer(200, failed("refused")), not_voidable("refused")],
        "NotVoidable", "not-voidable (refused)", "new key", [5], "PGP", wait=120,
    ),
    "not-sent-meanwhile": Case(
        [accepted(PENDING), answer(200, failed("not-sent")), VOID], "",
        waits=[5], requests="PGP", wait=120,
    ),
    # Another key is another decision: it is never taken here.
    "resend-allowed": Case(
        [accepted(UNKNOWN), answer(200, UNKNOWN | {"resend_allowed": True})],
        "NotSettledYet", "not-settled-yet (unknown)", "ask with a new key", [5], "PG", wait=120,
    ),
    "resend-allowed-at-once": Case(
        [accepted(UNKNOWN | {"resend_allowed": True})],
        "NotSettledYet", "not-settled-yet (unknown)", "ask with a new key", [], "P", wait=120,
    ),
    "gone-meanwhile": Case(
        [accepted(PENDING), answer(404, PROBLEMS["not-found"])], "NotFound", "not-found",
        waits=[5], requests="PG", wait=120,
    ),
    # Retry-After as it may come.
    **{
        f"retry-after-{number}": Case(
            [answer(503, PROBLEMS["not-sent"], Retry_After=given), VOID], "", waits=[seconds], requests="PP", wait=120
        )
        for number, (given, seconds) in enumerate(
            [("0", 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 5), ("-5", 5), ("5.5", 5), ("²", 5), ("9" * 30, 5), ("007", 7), ("", 5)]
        )
    },
    "escape-sequence": Case(
        [answer(409, PROBLEMS["not-voidable"] | {"provider_message": "a\x1b[2Jb\x9bc"})],
        "NotVoidable", f"not-voidable ({PROBLEMS['not-voidable']['void']['reason']})", re.escape("a?[2Jb?c"),
    ),
}  # fmt: skip
UNFIT_FOR_CURL = {
    "silence": "curl.sh waits 35 seconds for an answer",
    "nan-200": "jq takes NaN for JSON",
}
CUT_SHORT = ("credentials-for-long", "pending-for-long")  # curl.sh does not count the seconds that it does not wait
ORDER = {"call": "void", "order_id": "123", "order_currency": "UAH", "key": "k"}


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Merchant:
    return Merchant(installed(request.param), "")


def test_every_problem_of_the_contract_is_here() -> None:
    types = CONTRACT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert {kind.removeprefix(URN) for kind in types} == set(GROUP_OF) == set(PROBLEMS)


def methods(server: RawServer, name: str) -> str:
    return "".join(request.method[0] for request in server.received(name))


def test_a_package_and_every_answer(package: Merchant, server: RawServer) -> None:
    given = [
        {"url": server.script(name, *case.answers), "wait": case.wait, "timeout": case.timeout} | ORDER
        for name, case in CASES.items()
    ]
    seen = dict(zip(CASES, package.call(*given), strict=True))
    wrong = {}
    for name, case in CASES.items():
        got = seen[name]
        expected = {"raised": case.raised, "label": case.label, "requests": case.requests, "waits": case.waits}
        found = {
            "raised": got.get("raised", ""),
            "label": got.get("label", ""),
            "requests": methods(server, name),
            "waits": None if case.waits is None else [seconds for _, seconds in got["waits"]],
        }
        if found != expected or not re.search(case.says, got.get("message", "")):
            wrong[name] = (found, got.get("message"))
    assert wrong == {}


def test_a_package_sends_one_body_and_one_key_whatever_happens(package: Merchant, server: RawServer) -> None:
    case = CASES["everything-then-voided"]
    url = server.script("one-key", *case.answers)
    (got,) = package.call({"url": url, "wait": 120, "comment": "Привіт"} | ORDER)
    assert got["returned"]["state"] == "voided"
    sent = [request for request in server.received("one-key") if request.method == "POST"]
    assert {request.headers["idempotency-key"] for request in sent} == {"k"}
    assert {request.body for request in sent} == {sent[0].body}
    assert json.loads(sent[0].body) == {"order_id": "123", "order_currency": "UAH", "comment": "Привіт"}
    assert {request.target for request in sent} == {"/one-key/v1/voids"}
    assert all("idempotency-key" not in request.headers for request in server.received("one-key")[5:])


def as_text(value: Any) -> Any:
    """Amounts as the drivers show them."""
    if isinstance(value, dict):
        return {
            key: str(item) if key == "amount" and item is not None else as_text(item) for key, item in value.items()
        }
    return [as_text(item) for item in value] if isinstance(value, list) else value


def test_an_exception_carries_the_problem_the_record_and_the_time_to_wait(package: Merchant, server: RawServer) -> None:
    names = list(PROBLEMS)
    given = [{"url": server.script(name, *CASES[f"problem-{name}"].answers), "wait": 0} | ORDER for name in names]
    for name, got in zip(names, package.call(*given), strict=True):
        document = as_text(PROBLEMS[name])
        carried = (got["group"], got["status"], got["retry_after"], got["problem"], got["record"])
        assert carried == (GROUP_OF[name], document["status"], 7, document, document.get("void")), name
    (pending,) = package.call(
        {"url": server.script("carried", answer(202, PENDING, Retry_After="5")), "wait": 0} | ORDER
    )
    assert (pending["problem"], pending["record"], pending["retry_after"]) == (None, as_text(PENDING), 5)
    (page_,) = package.call({"url": server.script("page", page(502)), "wait": 0} | ORDER)
    assert (page_["problem"], page_["record"], page_["status"]) == (None, None, 502)


@pytest.mark.parametrize(
    "digits", ["100", "100.00", "0.1", "1E+2", "-0.00", "12345678901234567890.12345678901234567890"]
)
def test_a_package_keeps_the_digits_of_amounts(package: Merchant, server: RawServer, digits: str) -> None:
    comment = 'say "amount": 1.10 and \\"fee\\": 2.20'
    text = json.dumps(VOIDED_RECORD | {"comment": comment}).replace('"amount": 100', f'"amount" : {digits}')
    assert digits in text
    (got,) = package.call({"url": server.script("digits", answer(200, text))} | ORDER)
    assert got["returned"]["provider"]["amount"] == digits
    assert got["returned"]["comment"] == comment
    assert got["returned"]["attempt"] == 1


# A place to read that is not of this API gets no signed request.
@pytest.mark.parametrize(("location", "follows"), [
    ("/location/v1/voids/%31%32%33", True),
    ("", False),
    ("/location/v1/elsewhere", False),
    ("/location/v1/voids/../secrets", False),
    ("/location/v1/voids/..", False),
    ("/location/v1/voids/123?x=1", False),
    ("//127.0.0.1:9/location/v1/voids/123", False),
    ("https://127.0.0.1:9/location/v1/voids/123", False),
])  # fmt: skip
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_void_is_read_where_the_service_says(name: str, server: RawServer, location: str, follows: bool) -> None:
    merchant = Merchant(installed(name), "")
    url = server.script(
        "location", answer(202, PENDING, Retry_After="1", Location=location), answer(200, PENDING), VOID
    )
    if name == "curl":
        found = merchant.run("123", "UAH", wait=30, more={"VOID_SERVICE_URL": url, **quick_sleep()})[0] == VOIDED
    else:
        found = "returned" in merchant.call({"url": url} | ORDER)[0]
    assert found
    otherwise = "/location/v1/voids" if name == "curl" else "/location/v1/voids/123"  # curl.sh asks again
    place = location if follows else otherwise
    assert [request.target for request in server.received("location")] == ["/location/v1/voids", place, place]


def test_a_list_is_read_to_its_end(package: Merchant, server: RawServer) -> None:
    pages = [answer(200, {"voids": [PENDING], "cursor": "ab_-9"}), answer(200, {"voids": [UNKNOWN], "cursor": None})]
    (got,) = package.call({"url": server.script("list", *pages), "call": "voids", "state": "review"})
    assert [record["state"] for record in got["returned"]] == ["pending", "unknown"]
    queries = [sorted(request.target.partition("?")[2].split("&")) for request in server.received("list")]
    assert queries == [["limit=100", "state=review"], ["cursor=ab_-9", "limit=100", "state=review"]]


def test_what_can_be_no_request_is_refused_before_it_is_sent(package: Merchant, server: RawServer) -> None:
    url = server.script("unsent", VOID)
    keys = ["", "a\nb", "a\r\nX-Injected: 1", "ключ", "k" * 256, "k\n"]
    given: list[dict[str, Any]] = [{"url": url} | ORDER | {"key": key} for key in keys]
    given.append({"url": url, "wait": -1} | ORDER)
    given += [{"url": url, "call": "read", "order_id": order_id} for order_id in ("", ".", "..")]
    given += [{"url": wrong} | ORDER for wrong in ("", "ftp://x", "https://", "/v1", f"{url}?x=1")]
    assert package.call(*given) == [{"refused_before_sending": True}] * len(given)
    assert server.received("unsent") == []


# ---- the programs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_exit_code_and_the_last_line_say_what_became_of_it(name: str, server: RawServer) -> None:
    """curl.sh has a mind of its own and meets every answer; the others print what their package raised."""
    merchant = Merchant(installed(name), "")
    some = {
        "problem-not-voidable",
        "problem-not-sent",
        "problem-not-found",
        "proxy-404",
        "escape-sequence",
        "voided-at-once",
    }
    names = CASES.keys() - UNFIT_FOR_CURL if name == "curl" else some
    chosen, quick = {key: CASES[key] for key in sorted(names)}, quick_sleep()

    def outcome(item: tuple[str, Case]) -> tuple[int, str, str]:
        key, case = item
        url = server.script(f"{name}-{key}", *case.answers)
        wait = 0 if key in CUT_SHORT else case.wait
        return merchant.run("123", "UAH", wait=wait, more={"VOID_SERVICE_URL": url, **quick})

    with ThreadPoolExecutor(4) as pool:
        seen = dict(zip(chosen, pool.map(outcome, chosen.items()), strict=True))
    wrong = {}
    for key, case in chosen.items():
        code, out, err = seen[key]
        last = (err.splitlines() or [""])[-1]
        group = "RepeatLater" if case.raised == "NotSettledYet" else GROUP_OF.get(case.label.split(" ")[0], "VoidError")
        pauses = [int(found) for found in re.findall(r": again in (\d+) s$", err, re.MULTILINE)]
        as_it_should = (
            code == (EXIT_CODES[group] if case.raised else VOIDED),
            last.startswith(case.label) and re.search(case.says, last)
            if case.raised
            else json.loads(out)["state"] == "voided",
            key in CUT_SHORT or methods(server, f"{name}-{key}") == case.requests,
            key in CUT_SHORT or case.waits in (None, pauses),
        )
        if not all(as_it_should):
            wrong[key] = (as_it_should, seen[key])
    assert wrong == {}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_without_a_key_makes_one_and_says_it_before_it_sends(name: str, server: RawServer) -> None:
    merchant = Merchant(installed(name), server.script(f"key-{name}", RESET, VOID))
    running = merchant.start("123", "UAH", wait=30, more=quick_sleep())
    assert running.stderr is not None
    first = running.stderr.readline()
    out = running.communicate(timeout=30)[0]
    assert (running.returncode, json.loads(out)["state"]) == (VOIDED, "voided")
    (key,) = {request.headers["idempotency-key"] for request in server.received(f"key-{name}")}
    assert first == f"IDEMPOTENCY_KEY={key}\n"
    assert len(key) >= 32


def test_curl_sh_that_breaks_off_says_later_and_never_refused(server: RawServer, tmp_path: Path) -> None:
    broken_sleep = tmp_path / "sleep"
    broken_sleep.write_text("#!/bin/sh\nexit 1\n")
    broken_sleep.chmod(0o755)
    merchant = Merchant(installed("curl"), server.script("breaks-off", RESET))
    code, out, err = merchant.run("123", "UAH", wait=30, more={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    assert (code, out) == (LATER, "")
    assert err.splitlines()[-1].startswith("ended early: it may be voided or not")
