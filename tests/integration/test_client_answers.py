"""What each client makes of every answer: tests/vectors/client-cases.json, for all languages, and for curl.sh as it runs.

Then its tokens, and how its program is started. No service is needed.
"""

import json
import re
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme

from tests.integration.clients.packages import PROGRAMS, ROOT, Merchant
from tests.integration.clients.raw_server import GONE, WORDS, Answer, RawServer, answer, serving
from tests.integration.peer import Peer

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
SECRET, BASIC = "s/e cret", "Basic c2hvcDpzJTJGZSUyMGNyZXQ="  # each part as a form sends it
TOKEN = {"url": "TOKEN_URL", "id": "CLIENT_ID", "secret": "CLIENT_SECRET"}


@pytest.fixture(params=["python", "python-async", "node", "php"])
def package(request: pytest.FixtureRequest) -> Merchant:
    return Merchant(request.param)


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
    _, no_tls = peers = [Peer(trustme.CA().issue_cert("localhost")) for _ in range(2)]
    no_tls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate no handshake succeeds
    urls = [f"https://localhost:{peer.port}/v1" for peer in peers]
    yield dict(zip(NOBODY, ("http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1", *urls), strict=True))
    assert [peer.requests for peer in peers] == [[], []]
    for peer in peers:
        peer.stop()


def test_the_table_has_every_problem_of_the_contract_and_its_record_is_one() -> None:
    schemas = CONTRACT["components"]["schemas"]
    assert {URN + name for name in TABLE["problems"]} == set(schemas["Problem"]["properties"]["type"]["enum"])
    assert list(RECORD) == schemas["Void"]["required"]


class Row:
    """A case of the table, played by a server."""

    def __init__(self, case: dict[str, Any], stack: ExitStack, server: RawServer, unreachable: dict[str, str]) -> None:
        self.case, self.name, answers = case, f"case-{CASES.index(case)}", case["answers"]
        self.server = stack.enter_context(serving(RawServer())) if GONE in answers else server
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
        issuer = self.server.received(f"issuer-{self.name}")
        assert {request.headers["authorization"] for request in issuer} <= {BASIC}
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
    if "raised" in got:
        return f"{got['raised']}: {got.get('label', '')}"
    records: list[Any] = got["returned"] if isinstance(got["returned"], list) else [got["returned"]]
    return " ".join(each["state"] for each in records)


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


def test_a_package_keeps_the_digits_of_amounts(package: Merchant, server: RawServer) -> None:
    comment = 'say "amount": 1.10 and \\"fee\\": 2.20'
    text = json.dumps(RECORD | {"comment": comment})
    digits = ["100", "100.00", "1E+2", "-0.00", "12345678901234567890.12345678901234567890"]
    answers = [answer(200, text.replace('"amount": 100', f'"amount" : {each}')) for each in digits]
    got = package.call(*[{"url": server.script("digits", *answers)} | ORDER] * len(digits))
    assert [each["returned"]["provider"]["amount"] for each in got] == digits
    assert {(each["returned"]["comment"], each["returned"]["attempt"]) for each in got} == {(comment, 1)}


# ---- tokens, and breaking off ----------------------------------------------------------------------------------------

VOID = answer(200, RECORD)
NO = answer(401, {"message": "Unauthorized"})


def token(name: str, lasts: float = 3600) -> bytes:
    return answer(200, {"access_token": name, "token_type": "Bearer", "expires_in": lasts})


def by_token(server: RawServer, tokens: list[Answer], *answers: Answer, **more: Any) -> dict[str, Any]:
    """A case whose client takes these tokens, and whose API answers so."""
    issuer = {"url": server.script("issuer", *tokens), "id": "shop", "secret": SECRET, "scope": "a/submit a/read"}
    return ORDER | {"url": server.script("api", *answers), "region": None, "wait": 0, "tokens": issuer | more}


def bearers(server: RawServer) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in server.received("api")]


def test_one_token_serves_until_shortly_before_its_end(package: Merchant, server: RawServer) -> None:
    case = by_token(server, [token("t1", 600), token("t2", 600)], VOID)
    got = package.call(case, case, case | {"later": 530}, case | {"later": 20})
    assert ([kind_of(each) for each in got], bearers(server)) == (["voided"] * 4, ["t1", "t1", "t1", "t2"])
    first, _ = server.received("issuer")
    assert first.headers["authorization"] == BASIC
    assert parse_qs(first.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["a/submit a/read"]}


@pytest.mark.parametrize("name", ["python", "python-async", "node"])
def test_concurrent_callers_fetch_one_token(name: str, server: RawServer) -> None:
    tokens: list[Answer] = [token("t1"), token("t2"), token("t3")]
    case = by_token(server, tokens, lambda sent: NO if "t2" in sent.headers["authorization"] else VOID)
    for fetched in (1, 3):  # a client of its own each; in the second all are refused at once, and one more is fetched
        got = Merchant(name).call(*[case] * 12, together=True)
        assert [kind_of(each) for each in got] == ["voided"] * 12
        assert len(server.received("issuer")) == fetched


def test_php_keeps_its_token_in_a_file_of_its_own(server: RawServer, tmp_path: Path) -> None:
    file, php = tmp_path / "token", Merchant("php")
    case = by_token(server, [token("t1"), token("t2")], VOID, VOID, NO, VOID, file=str(file))
    for _ in range(3):  # another client each, as in another process
        assert kind_of(php.call(case)[0]) == "voided"
    assert bearers(server) == ["t1", "t1", "t1", "t2"]
    assert (file.stat().st_mode & 0o777, SECRET in file.read_text()) == (0o600, False)
    file.chmod(0o644)
    assert kind_of(php.call(case)[0]) == "WrongCall: not-configured"
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    assert kind_of(php.call(case)[0]) == "WrongCall: not-configured"
    assert not (tmp_path / "elsewhere").exists()


def test_an_aborted_void_in_node_says_what_is_known(server: RawServer) -> None:
    node, accepted = Merchant("node"), answer(202, RECORD | {"state": "pending"}, Retry_After="5")
    for pace in (1, 0):  # while it waits, and while it reads
        case = ORDER | {"url": server.script("aborted", accepted, "silence"), "wait": 600, "abort_after": 700}
        (got,) = node.call(case, pace=pace)
        assert (kind_of(got), got["record"]["state"]) == ("RepeatLater: not-settled-yet (pending)", "pending")
    (got,) = node.call(case | {"abort_after": 0, "url": "http://127.0.0.1:9/v1"})
    assert kind_of(got) == "RepeatLater: nothing-sent"


# ---- the programs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "meets"), [
    *((name, ("all", name)) for name in PROGRAMS),
    pytest.param("curl", (None,), marks=pytest.mark.proof, id="curl, all others"),
])  # fmt: skip
def test_a_program_s_code_and_last_line_say_what_became_of_it(
    name: str, meets: tuple[str | None, ...], server: RawServer, unreachable: dict[str, str], tmp_path: Path
) -> None:
    """curl.sh has a mind of its own and meets every answer; the others print what their package raised."""
    merchant = Merchant(name)

    def wrong(case: dict[str, Any]) -> dict[str, Any]:
        with ExitStack() as stack:
            row = Row(case, stack, server, unreachable)
            more = {"VOID_SERVICE_URL": row.call["url"], "TMPDIR": str(tmp_path)}
            tokens = {f"VOID_{TOKEN[name]}": value for name, value in row.call.get("tokens", {}).items()}
            code, out, err = merchant.run("123", "UAH", wait=row.call["wait"], **more, **tokens)
            last = (err.splitlines() or [""])[-1]
            return row.wrong({
                "is": GROUPS[code] + (json.loads(out)["state"] if code == VOIDED else last.partition(": ")[0] + out),
                "waits": [int(pause) for pause in re.findall(r": again in (\d+) s$", err, re.MULTILINE)],
                "cause": case.get("cause") if case.get("cause", "") in last else None,
            }, last, UNSEEN)  # fmt: skip

    fits = [case for case in CASES if case.get("programs") in meets and not {"not_curl", "call"} & case.keys()]
    with ThreadPoolExecutor(4) as pool:
        assert [fault for fault in pool.map(wrong, fits) if fault] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_makes_a_key_reads_no_proxy_variables_and_sends_nothing_without_credentials(
    name: str, server: RawServer
) -> None:
    merchant = Merchant(name, server.script("program", bytes_of("throttled"), VOID))
    words = [f"{word}_proxy" for word in ("http", "https", "all")]
    proxies = dict.fromkeys([*words, *map(str.upper, words)], "http://127.0.0.1:9")
    code, out, err = merchant.run("123", "UAH", wait=30, **proxies, IDEMPOTENCY_KEY="", AWS_SESSION_TOKEN="FQoG/+=")
    assert (code, json.loads(out)["state"]) == (VOIDED, "voided")
    sent = [request.headers for request in server.received("program")]
    ((key, session),) = {(headers["idempotency-key"], headers["x-amz-security-token"]) for headers in sent}
    assert session == "FQoG/+="
    assert (err.splitlines()[0], len(key) >= 32) == (f"IDEMPOTENCY_KEY={key}", True)
    code, out, err = merchant.run("123", "UAH", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_PROFILE="gone")
    assert (code, out, "nothing was sent" in err) == (WRONG, "", True), err
    assert len(server.received("program")) == 2


@pytest.mark.parametrize("name", ["curl", *(pytest.param(name, marks=pytest.mark.proof) for name in PROGRAMS[1:])])
def test_a_program_checks_what_it_is_given(name: str) -> None:
    for line, more in (
        ("1", {}), ("1 UAH comment more", {}), ("1 UAH", {"VOID_SERVICE_URL": ""}), ("1 UAH", {"AWS_REGION": ""}),
        ("1 UAH", {"VOID_WAIT_SECONDS": "soon"}), ("1 UAH", {"IDEMPOTENCY_KEY": "a\nb"}),
    ):  # fmt: skip
        code, out, err = Merchant(name).run(*line.split(), **more)
        assert (code, out) == (WRONG, ""), (line, more, err)
        assert err.splitlines()[-1].startswith("invalid-argument: "), (line, more)


def test_curl_sh_that_breaks_off_says_later_and_never_refused(server: RawServer) -> None:
    merchant = Merchant("curl", server.script("breaks-off", "reset"))
    broken = {"BASH_ENV": "", "BASH_FUNC_sleep%%": "() { return 1; }"}
    code, out, err = merchant.run("123", "UAH", wait=30, **broken)
    assert (code, out) == (LATER, "")
    assert err.splitlines()[-1].startswith("ended early: it may be voided or not")
