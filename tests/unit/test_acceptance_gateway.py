"""What an acceptance makes of API Gateway's answers: of those that AWS is known to give, and of those that would be bad.

Over real sockets against a server that answers as recorded: the same requests that a deployed API would get.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore.auth import SIGV4_TIMESTAMP
from botocore.credentials import ReadOnlyCredentials

from acceptance.rows import Finding, Verdict
from acceptance.run import PROBES, ROWS, findings
from acceptance.site import Site
from acceptance.wire import Signer
from local.sandbox.doors import Door, Exchange
from tests.fakes.account import CALLER, REGION, Account, deployed, reply

PROBLEM = {"Content-Type": "application/problem+json"}
MINE = "the-gateways-own-id"
SIGNING = {"authorization", "x-amz-date", "host", "content-length", "accept-encoding"}
ISSUER, CLIENT = "https://issuer.invalid", "shop"
TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "RS256"}, {"iss": ISSUER, "client_id": CLIENT}, {"signature": 1})
)
EXPIRED = f"{TOKEN}-of-yesterday"


class Recorded:
    """A REST API as AWS is recorded to answer, with this stack's gateway responses; `wrong` names what it does badly.

    It knows three callers: the operator, a merchant who may not decide, and one whom the policy denies.
    """

    def __init__(self) -> None:
        self.wrong = ""
        self.door = Door(0, self._answer)
        self.url = f"http://127.0.0.1:{self.door.port}/v1"

    def _answer(self, exchange: Exchange) -> None:
        path, query = urlsplit("http://x/" + exchange.path.lstrip("/")).path, urlsplit(exchange.path).query
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        # Recorded: 413 in plain text. Documented: 10,240 bytes of headers; what is answered above is not.
        if len(exchange.body) > 10 * 1024 * 1024 and self.wrong != "large":
            return reply(exchange, 413, "HTTP content length exceeded 10485760 bytes.")
        if sum(len(name) + len(value) for name, value in headers.items()) > 10_240 and self.wrong != "headers":
            return reply(exchange, 400, "Bad Request")
        if "webhooks" in path:
            status = 401 if self.wrong == "forwarded" and "x-forwarded-for" in headers else 403
            return self._refuse(exchange, status=status)
        if "oauth" in path:
            return self._by_token(exchange, headers.get("authorization", ""))
        if self.wrong == "override" and "x-http-method-override" in headers:
            return reply(exchange, 200, {"voids": []})
        if self.wrong == "slashes" and "//" in exchange.path:
            return reply(exchange, 200, {"voids": []})
        who = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        if self.wrong == "open" and not who:
            return reply(exchange, 200, {"voids": []})
        known = {"example": CALLER, "merchant": ReadOnlyCredentials("merchant", "merchant", None)}
        if who not in known or not self._is_signed(exchange, headers, known[who]):
            return self._refuse(exchange)
        if path.endswith("/decisions"):
            refused = who == "merchant" and self.wrong != "decides"
            return self._refuse(exchange) if refused else self._problem(exchange, 404, "not-found")
        return self._signed(exchange, path.rstrip("/").replace("//", "/"), query)

    def _is_signed(self, exchange: Exchange, headers: dict[str, str], caller: ReadOnlyCredentials) -> bool:
        """By botocore: the same request, signed by the caller at the time that it names, has the same signature."""
        at = datetime.strptime(headers["x-amz-date"], SIGV4_TIMESTAMP).replace(tzinfo=UTC)
        if abs((datetime.now(UTC) - at).total_seconds()) > 300:
            return False
        sent = {name: value for name, value in exchange.headers.items() if name.lower() not in SIGNING}
        url = f"http://{headers['host']}{exchange.path}"
        signer = Signer(caller, "execute-api", REGION)
        signer.at = at
        right = signer.headers(exchange.command, url, sent, exchange.body)
        accepted = right["Authorization"] == headers["authorization"]
        return accepted and not (self.wrong == "blank" and "%20" in exchange.path)

    def _by_token(self, exchange: Exchange, authorization: str) -> None:
        if authorization != f"Bearer {TOKEN}":
            status = 403 if self.wrong == "forbidden" and authorization == f"Bearer {EXPIRED}" else 401
            if self.wrong == "none" and authorization.endswith("."):
                return reply(exchange, 200, {"voids": []})
            return reply(exchange, status, {}, PROBLEM | {"WWW-Authenticate": "Bearer", "x-amz-apigw-id": MINE})
        if self.wrong == "audience":
            return self._problem(exchange, 401, "unauthenticated")
        status = 409 if exchange.command == "POST" else 200
        return reply(exchange, status, {"voids": []}, {"x-amz-apigw-id": MINE})

    def _signed(self, exchange: Exchange, path: str, query: str) -> None:
        if exchange.command == "POST":
            named = "/acceptance" if self.wrong == "utf8" else "/order_id"
            return self._problem(exchange, 400, "invalid-request", errors=[{"pointer": named, "detail": "…"}])
        if path == "/v1/voids":
            if "cursor" in query:
                return self._problem(exchange, 400, "invalid-request")
            return reply(exchange, 200, {"voids": [], "cursor": None})
        order = unquote(exchange.path.rpartition("/voids/")[2])
        if order.startswith("by-token"):
            return reply(exchange, 200, {"requested_by": "None" if self.wrong == "claims" else f"{ISSUER}#{CLIENT}"})
        return self._problem(exchange, 404, "not-found", order_id=unquote(order) if self.wrong == "twice" else order)

    def _refuse(self, exchange: Exchange, status: int = 403) -> None:
        theirs = exchange.headers.get("x-amzn-RequestId")
        match self.wrong:
            case "plain":
                reply(exchange, status, {"message": "Missing Authentication Token"}, {"x-amz-apigw-id": MINE})
            case "default":
                self._problem(exchange, 400, "invalid-request")
            case "override-id" if theirs:
                self._problem(exchange, status, "unauthenticated", request_id=theirs)
            case "unescaped" if theirs:
                reply(exchange, status, f'{{"request_id": "{theirs}"}}', PROBLEM)
            case "other-id":
                self._problem(exchange, status, "unauthenticated", request_id="another")
            case _:
                self._problem(exchange, status, "unauthenticated")

    def _problem(self, exchange: Exchange, status: int, name: str, **more: Any) -> None:
        document = {"type": f"urn:void-service:problem:{name}", "status": status, "request_id": MINE} | more
        reply(exchange, status, document, PROBLEM | {"x-amz-apigw-id": MINE})


@pytest.fixture
def api() -> Iterator[Recorded]:
    api = Recorded()
    yield api
    api.door.close()


@pytest.fixture
def site(api: Recorded, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """With all that a team may bring along: profiles and tokens."""
    profiles = "".join(
        f"[{name}]\naws_access_key_id = {name}\naws_secret_access_key = {name}\n" for name in ("other", "merchant")
    )
    (tmp_path / "credentials").write_text(profiles)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    who = {"expired_profile": "other", "denied_profile": "other", "merchant_profile": "merchant"}
    site = deployed(account, tmp_path, api.url, token=TOKEN, expired_token=EXPIRED, **who)
    site.outputs["TokenApiUrl"] = f"{api.url}/oauth"
    site.now = lambda: datetime.now(UTC)  # botocore signs by the real clock
    monkeypatch.setattr(site, "refuse_a_live_project", lambda: None)
    monkeypatch.setattr(site, "access_log", lambda pattern, since: logged(site, api.wrong))
    return site


def logged(site: Site, wrong: str) -> list[dict[str, str]]:
    line = {"request_id": MINE, "refused_as": "ACCESS_DENIED", "account": "111122223333", "client": CLIENT}
    badly = {"no-account": {"account": "-"}, "no-client": {"client": "-"}, "token-in-log": {"client": TOKEN}}
    return [line | badly.get(wrong, {})] * 8


def seen(site: Site, row: str) -> Finding:
    probe = next(probe for probe in PROBES if row in probe.rows)
    if row.startswith("aws-token"):
        site.nobody = lambda letters="": "by-token"  # type: ignore[method-assign]
    return next(finding for finding in findings(site, probe, probe.rows) if finding.row == row)


ALWAYS = [
    row.id
    for row in ROWS
    if (row.id.startswith("aws-") and row.requests) or row.id in ("aws-path-encoding", "aws-token-requester")
]


@pytest.mark.parametrize("row", ALWAYS)
def test_what_aws_is_known_to_do_is_confirmed(site: Site, row: str) -> None:
    found = seen(site, row)
    assert found.verdict is Verdict.CONFIRMED, found
    assert found.evidence
    text = json.dumps(site.redact(found.evidence), default=str)
    for secret in (str(CALLER.access_key), str(CALLER.secret_key), "AWS4-HMAC", "Credential=", TOKEN):
        assert secret not in text


BAD = """
twice aws-path-encoding; default aws-unknown-key; plain aws-wrong-secret; default aws-wrong-region;
plain aws-wrong-service; plain aws-clock-off; plain aws-other-authorization; other-id aws-refusal-type;
plain aws-refusal-type; slashes aws-surplus-slashes; large aws-body-too-large; headers aws-headers-too-large;
utf8 aws-invalid-utf8; override-id aws-request-id; unescaped aws-request-id; forwarded aws-forwarded-for;
override aws-method-override; blank aws-query-plus; slashes aws-slashes-denied; plain aws-expired-token;
decides aws-decision-refused; no-account aws-refused-account; none aws-token-refused; forbidden aws-token-expired;
audience aws-token-accepted; claims aws-token-requester; no-client aws-token-logged; token-in-log aws-token-logged;
open aws-unsigned-void; open aws-unsigned-read; open aws-unknown-route; plain aws-unsigned-read;
plain aws-forged-webhook; blank aws-path-encoding
"""


@pytest.mark.parametrize(("wrong", "row"), [tuple(one.split()) for one in BAD.split(";")])
def test_what_would_be_bad_is_contradicted(api: Recorded, site: Site, wrong: str, row: str) -> None:
    api.wrong = wrong
    found = seen(site, row)
    assert found.verdict is Verdict.CONTRADICTED, found


def test_the_access_log_names_the_response_type(site: Site) -> None:
    shown = seen(site, "aws-refusal-type").evidence["answer"]
    assert isinstance(shown, dict)
    assert shown["refused_as"] == "ACCESS_DENIED"


def test_the_access_log_is_read_where_the_stage_says(
    site: Site, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(site, "access_log")
    group = "arn:aws:logs:eu-central-1:111122223333:log-group:the-log:*"
    account.says("apigateway", "get_stage", {"accessLogSettings": {"destinationArn": group}})
    account.says("logs", "filter_log_events", {"events": [{"message": '{"status": "403"}'}]})
    assert site.access_log("{ $.status = 403 }", site.now()) == [{"status": "403"}]
    assert account.asked("apigateway:GetStage") == [{"restApiId": "api1234567", "stageName": "v1"}]
    assert account.asked("logs:FilterLogEvents")[0]["logGroupName"] == "the-log"


# What must be brought along

NEEDS = {
    "aws-expired-token": "--expired-profile NAME", "aws-slashes-denied": "--denied-profile NAME",
    "aws-decision-refused": "--merchant-profile NAME", "aws-token-accepted": "--token-file FILE",
    "aws-token-expired": "--expired-token-file FILE",
}  # fmt: skip


@pytest.mark.parametrize(("row", "says"), NEEDS.items())
def test_what_nobody_brought_is_not_seen(site: Site, row: str, says: str) -> None:
    site.allowed = type(site.allowed)()
    found = seen(site, row)
    assert (found.verdict, says in found.why) == (Verdict.NOT_SEEN, True)


@pytest.mark.parametrize(("row", "says"), [
    ("aws-expired-token", "there is no AWS profile nobody on this machine"),
    ("aws-decision-refused", "there is no AWS profile nobody on this machine"),
    ("aws-token-refused", "`token_issuers` of this environment is empty"),
    ("aws-token-requester", "holds no access token with claims that can be read"),
])  # fmt: skip
def test_what_is_none_is_said(site: Site, row: str, says: str) -> None:
    site.allowed = replace(site.allowed, expired_profile="nobody", merchant_profile="nobody", token="no.token")
    if row == "aws-token-refused":
        site.outputs.pop("TokenApiUrl")
    assert says in seen(site, row).why


def test_a_caller_who_may_not_even_read_is_no_merchant(site: Site) -> None:
    site.allowed = replace(site.allowed, merchant_profile="other")
    assert seen(site, "aws-decision-refused").verdict is Verdict.NOT_SEEN
