"""What each client makes of every answer: tests/vectors/client-cases.json, for all languages, and for curl.sh as it runs."""

import json
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

from tests.integration.clients.packages import PROGRAMS, QUICK_SLEEP, ROOT, Merchant, installed
from tests.integration.clients.raw_server import GONE, WORDS, Answer, RawServer, answer, raw_server, wrong_tls

CONTRACT = json.loads((ROOT / "docs" / "openapi.json").read_text(), parse_float=Decimal)
TABLE = json.loads((ROOT / "tests" / "vectors" / "client-cases.json").read_text())
RECORD: dict[str, Any] = TABLE["record"]
CASES: list[dict[str, Any]] = TABLE["cases"]
URN = "urn:void-service:problem:"
GROUPS = ("", "NotVoided: ", "RepeatLater: ", "WrongCall: ")  # by a program's exit code
VOIDED, LATER, WRONG = 0, 2, 3
ORDER = {"call": "void", "order_id": "123", "order_currency": "UAH", "key": "k"}
NOBODY = ("nobody", "no such host", "unknown CA", "no TLS")
GIVEN = {"name", "answers", "tokens", "call", "wait", "timeout", "not_curl", "says", "programs"}
UNSEEN = {"status", "retry_after", "request_id", "hint", "record", "document", "ids", "sent"}  # by who runs a program
SECRET = "s/e cret"
TOKEN = {"url": "TOKEN_URL", "id": "CLIENT_ID", "secret": "CLIENT_SECRET"}


def body_of(given: dict[str, Any]) -> Any:
    if "record" in given:
        return RECORD | given["record"]
    if "problem" not in given:
        return "[" * 100_000 + "]" * 100_000 if given["body"] == "deep" else given["body"]
    name, more = given["problem"], given.get("with", {})
    said = {"type": URN + name, "title": name, "detail": f"said of {name}.", "status": given["status"]}
    return said | {"request_id": "req-1"} | more | ({"void": RECORD | more["void"]} if "void" in more else {})


def bytes_of(given: Any) -> Answer:
    """An answer of the table on the wire."""
    if isinstance(given, str):
        return given if given in WORDS else bytes_of(TABLE["answers"][given])
    if "raw" in given:
        return str(given["raw"]).encode()
    whole = answer(given["status"], body_of(given), **given.get("headers", {}))
    return whole[: -given["cut"]] if "cut" in given else whole


@pytest.fixture(scope="module")
def unreachable() -> Iterator[dict[str, str]]:
    """APIs to which no request gets."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with wrong_tls(context) as unknown_ca, wrong_tls(None) as no_tls:
        urls = ("http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1", unknown_ca, no_tls)
        yield dict(zip(NOBODY, urls, strict=True))


def test_the_table_has_every_problem_of_the_contract_and_its_record_is_one() -> None:
    schemas = CONTRACT["components"]["schemas"]
    assert {URN + name for name in TABLE["problems"]} == set(schemas["Problem"]["properties"]["type"]["enum"])
    assert list(RECORD) == schemas["Void"]["required"]


class Row:
    """A case of the table, played by a server."""

    def __init__(self, case: dict[str, Any], stack: ExitStack, server: RawServer, unreachable: dict[str, str]) -> None:
        self.case, self.name, answers = case, f"case-{CASES.index(case)}", case["answers"]
        self.server = stack.enter_context(raw_server()) if GONE in answers else server
        nobody = unreachable.get(answers[0]) if isinstance(answers[0], str) else None
        url = self.server.script(self.name, *([] if nobody else map(bytes_of, answers)))
        self.call: dict[str, Any] = {"url": nobody or url, "wait": case.get("wait", 0)} | ORDER
        if "tokens" in case:
            issuer = self.server.script(f"issuer-{self.name}", *map(bytes_of, case["tokens"]))
            self.call |= {"region": None, "tokens": {"url": issuer, "id": "shop", "secret": SECRET}}
        self.call |= {name: case[name] for name in ("timeout",) if name in case} | case.get("call", {})

    def received(self) -> dict[str, Any]:
        sent, letters = self.server.received(self.name), {("POST", False): "P", ("GET", True): "r", ("GET", False): "G"}
        bodies = [json.loads(request.body) for request in sent if request.body]
        assert len({request.headers["idempotency-key"] for request in sent if request.target.endswith("/voids")}) <= 1
        return {
            "requests": "".join(letters[each.method, "refresh=true" in each.target] for each in sent),
            "targets": [each.target.removeprefix(f"/{self.name}/v1") for each in sent],
            "bearers": [each.headers["authorization"].removeprefix("Bearer ") for each in sent],
            "sent": bodies[-1] if bodies and all(body == bodies[0] for body in bodies) else None,
        }

    def wrong(self, told: dict[str, Any], message: str, unseen: set[str] = GIVEN) -> dict[str, Any]:
        """What differs from the table, by the case's name."""
        wanted = {name: value for name, value in self.case.items() if name not in GIVEN | unseen} | {"unsaid": []}
        if not {"waits", "requests", "call", "tokens"} & self.case.keys():
            wanted["requests"] = "P"
        unsaid = [text for text in self.case.get("says", []) if text not in message]
        found = self.received() | told | {"unsaid": unsaid}
        found = {name: found.get(name) for name in wanted}
        return {self.case["name"]: (found, wanted, message)} if found != wanted or SECRET in message else {}


def kind_of(got: dict[str, Any]) -> str:
    """As the table says it: group and label of what was raised, or the states of what was returned."""
    if got.get("raised") == "TypeError":  # PHP's own types say so
        return "WrongCall: invalid-argument"
    records: list[Any] = got["returned"] if isinstance(got.get("returned"), list) else [got.get("returned")]
    return f"{got['raised']}: {got['label']}" if "raised" in got else " ".join(each["state"] for each in records)


def test_a_package_and_every_answer(package: Merchant, server: RawServer, unreachable: dict[str, str]) -> None:
    with ExitStack() as stack:
        rows = [Row(case, stack, server, unreachable) for case in CASES]
        wrong: dict[str, Any] = {}
        for row, got in zip(rows, package.call(*(row.call for row in rows)), strict=True):
            wrong |= row.wrong(got | {
                "is": kind_of(got), "waits": [seconds for _, seconds in got.get("waits", [])],
                "record": (got.get("record") or {}).get("state"), "document": (got.get("document") or {}).get("title"),
            }, got.get("message", ""))  # fmt: skip
    assert wrong == {}


@pytest.mark.parametrize("digits", ["100", "100.00", "1E+2", "-0.00", "12345678901234567890.12345678901234567890"])
def test_a_package_keeps_the_digits_of_amounts(package: Merchant, server: RawServer, digits: str) -> None:
    comment = 'say "amount": 1.10 and \\"fee\\": 2.20'
    text = json.dumps(RECORD | {"comment": comment}).replace('"amount": 100', f'"amount" : {digits}')
    (got,) = package.call({"url": server.script("digits", answer(200, text))} | ORDER)
    assert (got["returned"]["provider"]["amount"], got["returned"]["comment"]) == (digits, comment)
    assert got["returned"]["attempt"] == 1


# ---- the programs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_s_code_and_last_line_say_what_became_of_it(
    name: str, server: RawServer, unreachable: dict[str, str], tmp_path: Path
) -> None:
    """curl.sh has a mind of its own and meets every answer; the others print what their package raised."""
    merchant = Merchant(installed(name), "")

    def wrong(case: dict[str, Any]) -> dict[str, Any]:
        with ExitStack() as stack:
            row = Row(case, stack, server, unreachable)
            tokens = {f"VOID_{TOKEN[name]}": value for name, value in row.call.get("tokens", {}).items()}
            more = {"VOID_SERVICE_URL": row.call["url"], "TMPDIR": str(tmp_path), **QUICK_SLEEP, **tokens}
            code, out, err = merchant.run("123", "UAH", wait=row.call["wait"], more=more)
            last = (err.splitlines() or [""])[-1]
            return row.wrong({
                "is": GROUPS[code] + (json.loads(out)["state"] if code == VOIDED else last.partition(": ")[0] + out),
                "waits": [int(pause) for pause in re.findall(r": again in (\d+) s$", err, re.MULTILINE)],
                "cause": case.get("cause") if case.get("cause", "") in last else None,
            }, last, UNSEEN)  # fmt: skip

    fits = [case for case in CASES if "not_curl" not in case and "call" not in case]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(wrong, [case for case in fits if name == "curl" or "programs" in case])
        assert {name: fault for each in found for name, fault in each.items()} == {}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_makes_a_key_says_it_before_it_sends_and_reads_no_proxy_variables(
    name: str, server: RawServer
) -> None:
    merchant = Merchant(installed(name), server.script(f"key-{name}", "reset", answer(200, RECORD)))
    proxies = {variable: "http://127.0.0.1:9" for word in ("http", "https", "all") for variable in (f"{word}_proxy", f"{word}_PROXY".upper())}  # fmt: skip
    code, out, err = merchant.run("123", "UAH", wait=30, more={"IDEMPOTENCY_KEY": "", **QUICK_SLEEP, **proxies})
    assert (code, json.loads(out)["state"]) == (VOIDED, "voided")
    (key,) = {request.headers["idempotency-key"] for request in server.received(f"key-{name}")}
    assert (err.splitlines()[0], len(key) >= 32) == (f"IDEMPOTENCY_KEY={key}", True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_credentials_that_cannot_be_loaded_are_no_unknown_outcome(name: str, server: RawServer) -> None:
    merchant = Merchant(installed(name), server.script(f"login-{name}", answer(200, RECORD)))
    more = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "gone"}
    code, out, err = merchant.run("123", "UAH", more=more)
    assert (code, out, "nothing was sent" in err) == (WRONG, "", True), err
    assert server.received(f"login-{name}") == []


def test_curl_sh_that_breaks_off_says_later_and_never_refused(server: RawServer) -> None:
    merchant = Merchant(installed("curl"), server.script("breaks-off", "reset"))
    code, out, err = merchant.run("123", "UAH", wait=30, more={"BASH_FUNC_sleep%%": "() { return 1; }"})
    assert (code, out) == (LATER, "")
    assert err.splitlines()[-1].startswith("ended early: it may be voided or not")
