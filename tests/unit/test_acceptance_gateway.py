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
from acceptance.site import Allowed, Site
from acceptance.wire import Signer
from local.sandbox.doors import Exchange
from tests.fakes.account import CALLER, REGION, Account, an_api, deployed, reply

PROBLEM = {"Content-Type": "application/problem+json"}
MINE = "the-gateways-own-id"
SIGNING = {"authorization", "x-amz-date", "host", "content-length", "accept-encoding"}
ISSUER, CLIENT = "https://issuer.invalid", "shop"
TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "RS256"}, {"iss": ISSUER, "client_id": CLIENT}, {"signature": 1})
)
EXPIRED = f"{TOKEN}-of-yesterday"
CALLERS = {"example": CALLER, "merchant": ReadOnlyCredentials("merchant", "merchant", None)}
"""Whom the policy lets in: the operator, and a merchant who may not decide."""


class Recorded:
    """A REST API as AWS is recorded to answer, with this stack's gateway responses; `wrong` names what it does badly."""

    def __init__(self) -> None:
        self.wrong = ""

    def answer(self, exchange: Exchange) -> None:
        path, query = urlsplit("http://x/" + exchange.path.lstrip("/")).path, urlsplit(exchange.path).query
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        who = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        opens = {
            "override": "x-http-method-override" in headers, "slashes": "//" in exchange.path,
            "open": not who and "webhooks" not in path,
        }  # fmt: skip
        # Recorded: 413 in plain text. Documented: 10,240 bytes of headers; what is answered above is not.
        if len(exchange.body) > 10 * 1024 * 1024 and self.wrong != "large":
            return reply(exchange, 413, "HTTP content length exceeded 10485760 bytes.")
        if sum(len(name) + len(value) for name, value in headers.items()) > 10_240 and self.wrong != "headers":
            return reply(exchange, 400, "Bad Request")
        if "webhooks" in path:
            return self._refuse(exchange, 401 if self.wrong == "forwarded" and "x-forwarded-for" in headers else 403)
        if "oauth" in path:
            return self._by_token(exchange, headers.get("authorization", ""))
        if opens.get(self.wrong):
            return reply(exchange, 200, {"voids": []})
        if who not in CALLERS or not self._is_signed(exchange, headers, CALLERS[who]):
            return self._refuse(exchange)
        if not path.endswith("/decisions"):
            return self._signed(exchange, path.rstrip("/").replace("//", "/"), query)
        refused = who == "merchant" and self.wrong != "decides"
        return self._refuse(exchange) if refused else self._problem(exchange, 404, "not-found")

    def _is_signed(self, exchange: Exchange, headers: dict[str, str], caller: ReadOnlyCredentials) -> bool:
        """By botocore: the same request, signed by the caller at the time that it names, has the same signature."""
        signer = Signer(caller, "execute-api", REGION)
        signer.at = datetime.strptime(headers["x-amz-date"], SIGV4_TIMESTAMP).replace(tzinfo=UTC)
        sent = {name: value for name, value in exchange.headers.items() if name.lower() not in SIGNING}
        right = signer.headers(exchange.command, f"http://{headers['host']}{exchange.path}", sent, exchange.body)
        in_time = abs((datetime.now(UTC) - signer.at).total_seconds()) <= 300
        accepted = in_time and right["Authorization"] == headers["authorization"]
        return accepted and not (self.wrong == "blank" and "%20" in exchange.path)

    def _by_token(self, exchange: Exchange, authorization: str) -> None:
        shown = {"x-amz-apigw-id": MINE}
        if authorization == f"Bearer {TOKEN}" and self.wrong == "audience":
            return self._problem(exchange, 401, "unauthenticated")
        if authorization == f"Bearer {TOKEN}" or (self.wrong == "none" and authorization.endswith(".")):
            return reply(exchange, 409 if exchange.command == "POST" else 200, {"voids": []}, shown)
        status = 403 if self.wrong == "forbidden" and authorization == f"Bearer {EXPIRED}" else 401
        return reply(exchange, status, {}, PROBLEM | {"WWW-Authenticate": "Bearer"} | shown)

    def _signed(self, exchange: Exchange, path: str, query: str) -> None:
        order = unquote(exchange.path.rpartition("/voids/")[2])
        if exchange.command == "POST":
            named = "/acceptance" if self.wrong == "utf8" else "/order_id"
            return self._problem(exchange, 400, "invalid-request", errors=[{"pointer": named, "detail": "…"}])
        if path == "/v1/voids" and "cursor" in query:
            return self._problem(exchange, 400, "invalid-request")
        if path == "/v1/voids":
            return reply(exchange, 200, {"voids": [], "cursor": None})
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
            case "unescaped" if theirs:
                reply(exchange, status, f'{{"request_id": "{theirs}"}}', PROBLEM)
            case wrong:
                its = {"override-id": theirs or MINE, "other-id": "another"}.get(wrong, MINE)
                self._problem(exchange, status, "unauthenticated", request_id=its)

    def _problem(self, exchange: Exchange, status: int, name: str, **more: Any) -> None:
        document = {"type": f"urn:void-service:problem:{name}", "status": status, "request_id": MINE} | more
        reply(exchange, status, document, PROBLEM | {"x-amz-apigw-id": MINE})


@pytest.fixture
def api() -> Recorded:
    return Recorded()


@pytest.fixture
def site(api: Recorded, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """With all that a team may bring along: profiles and tokens."""
    profile = "[{0}]\naws_access_key_id = {0}\naws_secret_access_key = {0}\n"
    (tmp_path / "credentials").write_text(profile.format("other") + profile.format("merchant"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    who = {"expired_profile": "other", "denied_profile": "other", "merchant_profile": "merchant"}
    with an_api(api.answer) as url:
        site = deployed(account, tmp_path, url, token=TOKEN, expired_token=EXPIRED, **who)
        site.outputs["TokenApiUrl"] = f"{url}/oauth"
        site.now = lambda: datetime.now(UTC)  # botocore signs by the real clock
        monkeypatch.setattr(site, "refuse_a_live_project", lambda: None)
        monkeypatch.setattr(site, "access_log", lambda pattern, since: logged(api.wrong))
        yield site


def logged(wrong: str) -> list[dict[str, str]]:
    line = {"request_id": MINE, "refused_as": "ACCESS_DENIED", "account": "111122223333", "client": CLIENT}
    badly = {"no-account": {"account": "-"}, "no-client": {"client": "-"}, "token-in-log": {"client": TOKEN}}
    return [line | badly.get(wrong, {})] * 8


def seen(site: Site, row: str) -> Finding:
    probe = next(probe for probe in PROBES if row in probe.rows)
    if row.startswith("aws-token"):
        site.nobody = lambda letters="": "by-token"  # type: ignore[method-assign]
    return next(finding for finding in findings(site, probe, probe.rows) if finding.row == row)


MORE = ("aws-path-encoding", "aws-token-requester")
ALWAYS = [row.id for row in ROWS if row.id in MORE or (row.requests and row.id.startswith("aws-"))]


@pytest.mark.parametrize("row", ALWAYS)
def test_what_aws_is_known_to_do_is_confirmed(site: Site, row: str) -> None:
    found = seen(site, row)
    assert found.verdict is Verdict.CONFIRMED, found
    assert found.evidence
    text = json.dumps(site.redact(found.evidence), default=str)
    secrets = (str(CALLER.access_key), str(CALLER.secret_key), "AWS4-HMAC", "Credential=", TOKEN)
    assert [secret for secret in secrets if secret in text] == []
    assert row != "aws-refusal-type" or "ACCESS_DENIED" in text  # the access log names the response type


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


# What must be brought along: row, what was brought, what is said.
NOBODY = {"expired_profile": "nobody", "merchant_profile": "nobody"}
NEEDS: list[tuple[str, dict[str, Any], str]] = [
    ("aws-expired-token", {"expired_profile": None}, "--expired-profile NAME"),
    ("aws-slashes-denied", {"denied_profile": None}, "--denied-profile NAME"),
    ("aws-decision-refused", {"merchant_profile": None}, "--merchant-profile NAME"),
    ("aws-token-accepted", {"token": None}, "--token-file FILE"),
    ("aws-token-expired", {"expired_token": None}, "--expired-token-file FILE"),
    ("aws-expired-token", NOBODY, "there is no AWS profile nobody on this machine"),
    ("aws-decision-refused", NOBODY, "there is no AWS profile nobody on this machine"),
    ("aws-token-refused", {"api": None}, "`token_issuers` of this environment is empty"),
    ("aws-token-requester", {"token": "no.token"}, "holds no access token with claims that can be read"),
    ("aws-decision-refused", {"merchant_profile": "other"}, "this caller may not even read: it is no merchant"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "brought", "says"), NEEDS)
def test_what_nobody_brought_is_not_seen(site: Site, row: str, brought: dict[str, Any], says: str) -> None:
    site.allowed = Allowed() if None in brought.values() else replace(site.allowed, **brought)
    if "api" in brought:
        site.outputs.pop("TokenApiUrl")
    found = seen(site, row)
    assert says in found.why + str(found.evidence)
    assert found.verdict is Verdict.NOT_SEEN
