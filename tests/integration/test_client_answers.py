"""What each client makes of every answer: tests/vectors/client-cases.json, for all languages, and curl.sh as the program it is."""

import json
import os
import re
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.integration.clients.packages import PACKAGES, PROGRAMS, QUICK_SLEEP, Merchant, installed
from tests.integration.clients.raw_server import (
    GONE,
    HANG_UP,
    RESET,
    SILENCE,
    Answer,
    RawServer,
    answer,
    raw_server,
    wrong_tls,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = json.loads((ROOT / "docs" / "openapi.json").read_text(), parse_float=Decimal)
TABLE = json.loads((ROOT / "tests" / "vectors" / "client-cases.json").read_text())
RECORD: dict[str, Any] = TABLE["record"]
CASES = {case["name"]: case for case in TABLE["cases"]}
URN = "urn:void-service:problem:"
EXIT_CODES = {"voided": 0, "NotVoided": 1, "RepeatLater": 2, "WrongCall": 3}
VOIDED, LATER, WRONG = 0, 2, 3
ORDER = {"call": "void", "order_id": "123", "order_currency": "UAH", "key": "k"}
NOBODY = ("nobody", "no such host", "unknown CA", "no TLS")


def body_of(given: dict[str, Any]) -> Any:
    if "problem" in given:
        more = given.get("with", {}) | (
            {"void": RECORD | given["with"]["void"]} if "void" in given.get("with", {}) else {}
        )
        name = given["problem"]
        told = {"type": URN + name, "title": name, "status": given["status"], "detail": f"said of {name}."}
        return told | {"request_id": "req-1"} | more
    if given.get("body") == "deep":
        return "[" * 100_000 + "]" * 100_000
    return RECORD | given["record"] if "record" in given else given["body"]


def bytes_of(given: Any) -> Answer:
    """An answer of the table on the wire."""
    if isinstance(given, str):
        if given in (RESET, HANG_UP, SILENCE, GONE):
            return given
        given = TABLE["answers"][given]
    if "raw" in given:
        return str(given["raw"]).encode()
    headers = {name.replace("-", "_"): value for name, value in given.get("headers", {}).items()}
    whole = answer(given["status"], body_of(given), **headers)
    return whole[: -given["cut"]] if "cut" in given else whole


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


@pytest.fixture(scope="module")
def unreachable() -> Iterator[dict[str, str]]:
    """APIs to which no request gets."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with wrong_tls(context) as unknown_ca, wrong_tls(None) as no_tls:
        urls = ("http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1", unknown_ca, no_tls)
        yield dict(zip(NOBODY, urls, strict=True))


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Merchant:
    return Merchant(installed(request.param), "")


def test_the_table_has_every_problem_of_the_contract_and_its_record_is_one() -> None:
    schemas = CONTRACT["components"]["schemas"]
    assert {kind.removeprefix(URN) for kind in schemas["Problem"]["properties"]["type"]["enum"]} == set(
        TABLE["problems"]
    )
    assert list(RECORD) == schemas["Void"]["required"]


def slug(case: dict[str, Any]) -> str:
    return f"case-{list(CASES).index(case['name'])}"


def scripted(
    stack: ExitStack, server: RawServer, unreachable: dict[str, str], case: dict[str, Any]
) -> tuple[str, RawServer]:
    """The URL that answers as the case says, and who received its requests."""
    first = case["answers"][0]
    if isinstance(first, str) and first in unreachable:
        return unreachable[first], server
    if GONE in case["answers"]:
        server = stack.enter_context(raw_server())
    return server.script(slug(case), *map(bytes_of, case["answers"])), server


def requests(server: RawServer, case: dict[str, Any]) -> str:
    if case["answers"][0] in NOBODY:
        return ""
    letters = {("POST", False): "P", ("GET", True): "r", ("GET", False): "G"}
    return "".join(letters[sent.method, "refresh=true" in sent.target] for sent in server.received(slug(case)))


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """What the case says about an outcome, but for what it leaves open."""
    known = {
        name: case[name]
        for name in ("waits", "requests", "status", "retry_after", "request_id", "hint", "record", "cause")
        if name in case
    }
    if "waits" not in case and "requests" not in case:
        known["requests"] = "P"
    return known | {"is": case["is"], "unsaid": []}


def test_a_package_and_every_answer(package: Merchant, server: RawServer, unreachable: dict[str, str]) -> None:
    with ExitStack() as stack:
        scripts = {name: scripted(stack, server, unreachable, case) for name, case in CASES.items()}
        given = [
            {"url": scripts[name][0], "wait": case.get("wait", 0), "timeout": case.get("timeout", 35)} | ORDER
            for name, case in CASES.items()
        ]
        seen = dict(zip(CASES, package.call(*given), strict=True))
        received = {name: requests(scripts[name][1], case) for name, case in CASES.items()}
    wrong = {}
    for name, case in CASES.items():
        got, wanted = seen[name], expected(case)
        found = got | {
            "is": f"{got['raised']}: {got['label']}" if "raised" in got else got["returned"]["state"],
            "waits": [seconds for _, seconds in got["waits"]],
            "requests": received[name],
            "unsaid": [text for text in case.get("says", []) if text not in got.get("message", "")],
            "record": (got.get("record") or {}).get("state"),
        }
        if (found := {key: found[key] for key in wanted}) != wanted:
            wrong[name] = (found, wanted, got.get("message"))
    assert wrong == {}


def test_an_error_s_advice_is_the_table_s_and_it_carries_the_document(package: Merchant, server: RawServer) -> None:
    names = list(TABLE["problems"])
    given = [
        {"url": server.script(name, bytes_of(CASES[f"problem {name}"]["answers"][0])), "wait": 0} | ORDER
        for name in names
    ]
    for name, got in zip(names, package.call(*given), strict=True):
        status, group, advice = TABLE["problems"][name]
        assert (got["raised"], got["status"], got["advice"], got["request_id"]) == (group, status, advice, "req-1"), (
            name
        )
        assert got["document"] == body_of({"status": status, "problem": name}), name
        assert got["message"] == f"{name}: said of {name}. Do: {advice}", name  # one stop, not two


def test_a_package_sends_one_body_and_one_key_whatever_happens(package: Merchant, server: RawServer) -> None:
    url = server.script("one-key", *map(bytes_of, CASES["everything, then voided"]["answers"]))
    (got,) = package.call({"url": url, "wait": 120, "comment": "Привіт"} | ORDER)
    assert got["returned"]["state"] == "voided"
    sent = [request for request in server.received("one-key") if request.method == "POST"]
    assert {request.headers["idempotency-key"] for request in sent} == {"k"}
    assert {request.body for request in sent} == {sent[0].body}
    assert json.loads(sent[0].body) == {"order_id": "123", "order_currency": "UAH", "comment": "Привіт"}
    assert {request.target for request in sent} == {"/one-key/v1/voids"}
    assert all("idempotency-key" not in request.headers for request in server.received("one-key")[5:])


def test_each_answer_s_request_id_is_logged_also_of_a_success(package: Merchant, server: RawServer) -> None:
    url = server.script("ids", *(answer(200, RECORD, x_amz_apigw_id=own) for own in ("first", "second")))
    got = package.call({"url": url} | ORDER, {"url": url, "call": "read", "order_id": "123"})
    assert [each["ids"] for each in got] == [["first"], ["second"]]


@pytest.mark.parametrize("digits", ["100", "100.00", "1E+2", "-0.00", "12345678901234567890.12345678901234567890"])
def test_a_package_keeps_the_digits_of_amounts(package: Merchant, server: RawServer, digits: str) -> None:
    comment = 'say "amount": 1.10 and \\"fee\\": 2.20'
    text = json.dumps(RECORD | {"comment": comment}).replace('"amount": 100', f'"amount" : {digits}')
    (got,) = package.call({"url": server.script("digits", answer(200, text))} | ORDER)
    assert (got["returned"]["provider"]["amount"], got["returned"]["comment"]) == (digits, comment)
    assert got["returned"]["attempt"] == 1


# A place to read that is not of this API gets no signed request.
@pytest.mark.parametrize(("location", "follows"), [
    ("/location/v1/voids/%31%32%33", True), ("", False), ("/location/v1/elsewhere", False),
    ("/location/v1/voids/../secrets", False), ("/location/v1/voids/..", False), ("/location/v1/voids/123?x=1", False),
    ("//127.0.0.1:9/location/v1/voids/123", False), ("https://127.0.0.1:9/location/v1/voids/123", False),
])  # fmt: skip
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_void_is_read_where_the_service_says(name: str, server: RawServer, location: str, follows: bool) -> None:
    merchant, pending = Merchant(installed(name), ""), RECORD | {"state": "pending"}
    first = answer(202, pending, Retry_After="1", Location=location)
    url = server.script("location", first, answer(200, pending), answer(200, RECORD))
    if name == "curl":
        assert merchant.run("123", "UAH", wait=30, more={"VOID_SERVICE_URL": url, **QUICK_SLEEP})[0] == VOIDED
    else:
        assert "returned" in merchant.call({"url": url} | ORDER)[0]
    place = location if follows else "/location/v1/voids/123"
    sent = [request.target for request in server.received("location")]
    assert sent == ["/location/v1/voids", f"{place}?refresh=true", place]


def test_a_list_is_read_to_its_end(package: Merchant, server: RawServer) -> None:
    pages = [
        answer(200, {"voids": [RECORD], "cursor": "ab_-9"}),
        answer(200, {"voids": [RECORD | {"attempt": 2}], "cursor": None}),
    ]
    (got,) = package.call(
        {"url": server.script("list", *pages), "call": "voids", "state": "settled", "day": "2026-11-30"}
    )
    assert [record["attempt"] for record in got["returned"]] == [1, 2]
    queries = [sorted(request.target.partition("?")[2].split("&")) for request in server.received("list")]
    first = ["day=2026-11-30", "limit=100", "state=settled"]
    assert queries == [first, ["cursor=ab_-9", *first]]


def test_a_decision_is_sent_once_about_what_was_seen(package: Merchant, server: RawServer) -> None:
    decision = {"decision": "not-voided", "revision": "9f86d081884c7d65", "note": "Порталу не видно"}
    call = {"call": "decide", "order_id": "a/b"} | decision
    both = RECORD | {"order_id": "a/b", "webhooks": [], "webhooks_truncated": False}
    changed = bytes_of({"status": 409, "problem": "changed-meanwhile", "with": {"void": {"version": 4}}})
    got = package.call(*({"url": server.script(name, said)} | call for name, said in
                         (("decide", answer(200, both)), ("changed", changed), ("lost", RESET))))  # fmt: skip
    assert got[0]["returned"]["webhooks"] == []
    assert [(each["raised"], each["label"]) for each in got[1:]] == [
        ("WrongCall", "changed-meanwhile"),
        ("RepeatLater", "outcome-unknown"),
    ]
    assert got[1]["record"]["version"] == 4
    (sent,) = server.received("decide")
    assert (sent.method, sent.target, json.loads(sent.body)) == ("POST", "/decide/v1/voids/a%2Fb/decisions", decision)
    assert len(server.received("lost")) == 1


def test_what_can_be_no_request_is_refused_before_it_is_sent(package: Merchant, server: RawServer) -> None:
    url = server.script("unsent", answer(200, RECORD))
    read, decide = (
        {"call": "read", "order_id": "1"},
        {"call": "decide", "order_id": "1", "decision": "voided", "revision": "0" * 16, "note": "n"},
    )
    listed = {"call": "voids", "state": "settled", "day": "2026-11-30"}
    wrong: list[dict[str, Any]] = [
        ORDER | {"key": key} for key in ("", "a\nb", "a\r\nX-Injected: 1", "ключ", "k" * 256, "k\n")
    ]
    wrong += [ORDER | {"wait": -1}, ORDER | {"order_currency": ""}]
    wrong += [call | {"order_id": order_id} for call in (ORDER, read, decide) for order_id in ("", ".", "..")]
    wrong += [decide | each for each in ({"decision": "maybe"}, {"revision": "7"}, {"note": ""}, {"note": "n" * 501})]
    wrong += [listed | each for each in ({"state": "open"}, {"day": None}, {"day": "today"}, {"state": "review"})]
    wrong += [ORDER | {"url": each} for each in ("", "ftp://x", "https://", "/v1", f"{url}?x=1", f"{url}\n")]
    wrong += [ORDER | {"region": None}, ORDER | {"timeout": 0}]
    for case, got in zip(wrong, package.call(*({"url": url} | case for case in wrong)), strict=True):
        assert (got["raised"], got.get("label")) == ("WrongCall", "invalid-argument"), case
    # What is no text or no number at all; PHP's own types say so.
    wrong = [ORDER | {name: None} for name in ("order_id", "order_currency", "key")]
    wrong += [ORDER | {name: 7} for name in ("order_id", "order_currency", "key", "comment")] + [
        read | {"refresh": "yes"}
    ]
    for case, got in zip(wrong, package.call(*({"url": url} | case for case in wrong)), strict=True):
        assert got["raised"] in ("WrongCall", "TypeError"), case
    assert server.received("unsent") == []


# ---- the programs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_exit_code_and_the_last_line_say_what_became_of_it(
    name: str, server: RawServer, unreachable: dict[str, str]
) -> None:
    """curl.sh has a mind of its own and meets every answer; the others print what their package raised."""
    some = ("problem not-voidable", "problem not-sent", "problem not-found", "202, then gateway 403", "Retry-After 0")
    chosen = [case for case in CASES.values() if ("not_curl" not in case if name == "curl" else case["name"] in some)]
    merchant = Merchant(installed(name), "")

    def wrong(case: dict[str, Any]) -> Any:
        with ExitStack() as stack:
            url, asked = scripted(stack, server, unreachable, case)
            code, out, err = merchant.run(
                "123", "UAH", wait=case.get("wait", 0), more={"VOID_SERVICE_URL": url, **QUICK_SLEEP}
            )
            sent = requests(asked, case)
        group, _, label = case["is"].partition(": ")
        last = (err.splitlines() or [""])[-1]
        pauses = [int(found) for found in re.findall(r": again in (\d+) s$", err, re.MULTILINE)]
        found = (
            code,
            sent if "requests" in case else None,
            pauses if "waits" in case else None,
            out and json.loads(out)["state"],
        )
        wanted = (EXIT_CODES[group], case.get("requests"), case.get("waits"), "" if label else "voided")
        said = [text for text in [label, *case.get("says", []), case.get("cause", "")] if label and text not in last]
        return (found, wanted, said, err) if found != wanted or said else None

    with ThreadPoolExecutor(4) as pool:
        assert {case["name"]: fault for case, fault in zip(chosen, pool.map(wrong, chosen), strict=True) if fault} == {}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_without_a_key_makes_one_and_says_it_before_it_sends(name: str, server: RawServer) -> None:
    merchant = Merchant(installed(name), server.script(f"key-{name}", RESET, answer(200, RECORD)))
    running = merchant.start("123", "UAH", wait=30, more=QUICK_SLEEP)
    assert running.stderr is not None
    first = running.stderr.readline()
    out = running.communicate(timeout=30)[0]
    assert (running.returncode, json.loads(out)["state"]) == (VOIDED, "voided")
    (key,) = {request.headers["idempotency-key"] for request in server.received(f"key-{name}")}
    assert first == f"IDEMPOTENCY_KEY={key}\n"
    assert len(key) >= 32


@pytest.mark.parametrize("name", PROGRAMS)
def test_proxy_variables_are_not_read(name: str, server: RawServer) -> None:
    url = server.script(f"proxy-{name}", answer(200, RECORD))
    nowhere = dict.fromkeys(
        ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9"
    )
    assert Merchant(installed(name), url).run("123", "UAH", more=nowhere)[0] == VOIDED


@pytest.mark.parametrize("name", PROGRAMS)
def test_credentials_that_cannot_be_loaded_are_no_unknown_outcome(name: str, server: RawServer) -> None:
    merchant = Merchant(installed(name), server.script(f"login-{name}", answer(200, RECORD)))
    more = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "gone"}
    code, out, err = merchant.run("123", "UAH", more=more)
    assert (code, out) == (WRONG, ""), err
    assert "nothing was sent" in err
    assert server.received(f"login-{name}") == []


def test_curl_sh_that_breaks_off_says_later_and_never_refused(server: RawServer, tmp_path: Path) -> None:
    broken_sleep = tmp_path / "sleep"
    broken_sleep.write_text("#!/bin/sh\nexit 1\n")
    broken_sleep.chmod(0o755)
    merchant = Merchant(installed("curl"), server.script("breaks-off", RESET))
    code, out, err = merchant.run("123", "UAH", wait=30, more={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    assert (code, out) == (LATER, "")
    assert err.splitlines()[-1].startswith("ended early: it may be voided or not")
