"""What an acceptance makes of API Gateway's answers: of those that AWS is known to give, and of those that would be bad.

Over real sockets against a server that answers as recorded: the same requests that a deployed API would get.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore.auth import SIGV4_TIMESTAMP

from local.sandbox.doors import Door, Exchange
from ops.acceptance.probes import gateway
from ops.acceptance.rows import Finding, Probe, Verdict
from ops.acceptance.run import findings
from ops.acceptance.site import Site
from ops.acceptance.wire import Signer
from tests.fakes.account import CALLER, REGION, Account, deployed

PROBLEM = {"Content-Type": "application/problem+json"}
MINE = "the-gateways-own-id"
SIGNING = {"authorization", "x-amz-date", "host", "content-length"}


class Recorded:
    """A REST API as AWS is recorded to answer, with this stack's gateway responses; `wrong` names what it does badly."""

    def __init__(self) -> None:
        self.wrong = ""
        self.door = Door(0, self._answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.door.port}/v1"

    def _answer(self, exchange: Exchange) -> None:
        path, query = urlsplit("http://x/" + exchange.path.lstrip("/")).path, urlsplit(exchange.path).query
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        # Recorded: 413 in plain text. Documented: 10,240 bytes of headers; what is answered above is not.
        if len(exchange.body) > 10 * 1024 * 1024 and self.wrong != "large":
            return exchange.send(413, "HTTP content length exceeded 10485760 bytes.")
        if sum(len(name) + len(value) for name, value in headers.items()) > 10_240 and self.wrong != "headers":
            return exchange.send(400, "Bad Request")
        if "webhooks" in path:
            status = 401 if self.wrong == "forwarded" and "x-forwarded-for" in headers else 403
            return self._refuse(exchange, status=status)
        if self.wrong == "override" and "x-http-method-override" in headers:
            return exchange.send(200, {"voids": []})
        if self.wrong == "slashes" and "//" in exchange.path:
            return exchange.send(200, {"voids": []})
        if not headers.get("authorization", "").startswith("AWS4") or not self._is_signed(exchange, headers):
            return self._refuse(exchange)
        return self._signed(exchange, path.rstrip("/").replace("//", "/"), query)

    def _is_signed(self, exchange: Exchange, headers: dict[str, str]) -> bool:
        """By botocore: the same request, signed by the caller at the time that it names, has the same signature."""
        at = datetime.strptime(headers["x-amz-date"], SIGV4_TIMESTAMP).replace(tzinfo=UTC)
        if abs((datetime.now(UTC) - at).total_seconds()) > 300:
            return False
        sent = {name: value for name, value in exchange.headers.items() if name.lower() not in SIGNING}
        url = f"http://{headers['host']}{exchange.path}"
        right = Signer(CALLER, REGION, at=at).headers(exchange.command, url, sent, exchange.body)
        accepted = right["Authorization"] == headers["authorization"]
        return accepted and not (self.wrong == "blank" and "%20" in exchange.path)

    def _signed(self, exchange: Exchange, path: str, query: str) -> None:
        if exchange.command == "POST":
            named = "/acceptance" if self.wrong == "utf8" else "/order_id"
            return self._problem(exchange, 400, "invalid-request", errors=[{"pointer": named, "detail": "…"}])
        if path == "/v1/voids":
            if "cursor" in query:
                return self._problem(exchange, 400, "invalid-request")
            return exchange.send(200, {"voids": [], "cursor": None})
        order = unquote(exchange.path.rpartition("/voids/")[2])
        return self._problem(exchange, 404, "not-found", order_id=unquote(order) if self.wrong == "twice" else order)

    def _refuse(self, exchange: Exchange, status: int = 403) -> None:
        theirs = exchange.headers.get("x-amzn-RequestId")
        match self.wrong:
            case "plain":
                exchange.send(status, {"message": "Missing Authentication Token"}, {"x-amz-apigw-id": MINE})
            case "default":
                self._problem(exchange, 400, "invalid-request")
            case "override-id" if theirs:
                self._problem(exchange, status, "unauthenticated", request_id=theirs)
            case "unescaped" if theirs:
                exchange.send(status, f'{{"request_id": "{theirs}"}}', PROBLEM)
            case "other-id":
                self._problem(exchange, status, "unauthenticated", request_id="another")
            case _:
                self._problem(exchange, status, "unauthenticated")

    def _problem(self, exchange: Exchange, status: int, name: str, **more: Any) -> None:
        document = {"type": f"urn:void-service:problem:{name}", "status": status, "request_id": MINE} | more
        exchange.send(status, document, PROBLEM | {"x-amz-apigw-id": MINE})


@pytest.fixture
def api() -> Iterator[Recorded]:
    api = Recorded()
    yield api
    api.door.close()


@pytest.fixture
def site(api: Recorded, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = deployed(account, tmp_path, api.url)
    site.now = lambda: datetime.now(UTC)  # botocore signs by the real clock
    monkeypatch.setattr(site, "access_log", lambda pattern, since: [])
    return site


def seen(site: Site, row: str) -> Finding:
    probe: Probe = next(probe for probe in gateway.PROBES if row in probe.rows)
    return next(finding for finding in findings(site, probe, probe.rows) if finding.row == row)


ALWAYS = [
    row for probe in gateway.PROBES for row in probe.rows if row not in ("aws-expired-token", "aws-slashes-denied")
]


@pytest.mark.parametrize("row", ALWAYS)
def test_what_aws_is_known_to_do_is_confirmed(site: Site, row: str) -> None:
    found = seen(site, row)
    assert found.verdict is Verdict.CONFIRMED, found
    assert found.evidence


@pytest.mark.parametrize(
    ("wrong", "row"),
    [
        ("twice", "aws-path-encoding"),
        ("default", "aws-unknown-key"),
        ("plain", "aws-wrong-secret"),
        ("default", "aws-wrong-region"),
        ("plain", "aws-wrong-service"),
        ("plain", "aws-clock-off"),
        ("plain", "aws-other-authorization"),
        ("other-id", "aws-refusal-type"),
        ("plain", "aws-refusal-type"),
        ("slashes", "aws-surplus-slashes"),
        ("large", "aws-body-too-large"),
        ("headers", "aws-headers-too-large"),
        ("utf8", "aws-invalid-utf8"),
        ("override-id", "aws-request-id"),
        ("unescaped", "aws-request-id"),
        ("forwarded", "aws-forwarded-for"),
        ("override", "aws-method-override"),
        ("blank", "aws-query-plus"),
    ],
)
def test_what_would_be_bad_is_contradicted(api: Recorded, site: Site, wrong: str, row: str) -> None:
    api.wrong = wrong
    found = seen(site, row)
    assert found.verdict is Verdict.CONTRADICTED, found


def test_evidence_of_a_refusal_holds_neither_key_nor_signature(site: Site) -> None:
    text = json.dumps([seen(site, row).evidence for row in ALWAYS], default=str)
    for secret in (str(CALLER.access_key), str(CALLER.secret_key), "AWS4-HMAC", "Credential="):
        assert secret not in text


def test_the_access_log_names_the_response_type(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"request_id": MINE, "refused_as": "MISSING_AUTHENTICATION_TOKEN"} for _ in range(8)]
    monkeypatch.setattr(site, "access_log", lambda pattern, since: lines)
    assert seen(site, "aws-refusal-type").evidence["refused_as"] == "MISSING_AUTHENTICATION_TOKEN"


def test_the_access_log_is_read_where_the_stage_says(
    site: Site, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(site, "access_log")
    group = "arn:aws:logs:eu-central-1:111122223333:log-group:the-log:*"
    account.says("apigateway", "get_stage", {"accessLogSettings": {"destinationArn": group}})
    line = {"message": json.dumps({"status": "403", "refused_as": "ACCESS_DENIED"})}
    account.says("logs", "filter_log_events", {"events": [line]})
    assert site.access_log("{ $.status = 403 }", site.now()) == [{"status": "403", "refused_as": "ACCESS_DENIED"}]
    assert account.asked("apigateway:GetStage") == [{"restApiId": "api1234567", "stageName": "v1"}]
    assert account.asked("logs:FilterLogEvents")[0]["logGroupName"] == "the-log"
    account.finished()


# Callers who must be brought along


@pytest.mark.parametrize("row", ["aws-expired-token", "aws-slashes-denied"])
def test_without_its_profile_a_row_is_not_seen(site: Site, row: str) -> None:
    found = seen(site, row)
    assert found.verdict is Verdict.NOT_SEEN
    assert "-profile NAME" in found.why


def test_a_profile_that_is_not_there_is_said(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    site.allowed = replace(site.allowed, expired_profile="nobody")
    assert seen(site, "aws-expired-token").why == "there is no AWS profile nobody on this machine"


@pytest.mark.parametrize(("wrong", "verdict"), [("", Verdict.CONFIRMED), ("slashes", Verdict.CONTRADICTED)])
def test_callers_of_a_profile_are_refused(
    api: Recorded, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str, verdict: Verdict
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[other]\naws_access_key_id = other\naws_secret_access_key = other\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    site.allowed = replace(site.allowed, expired_profile="other", denied_profile="other")
    api.wrong = wrong
    assert seen(site, "aws-slashes-denied").verdict is verdict
    assert seen(site, "aws-expired-token").verdict is Verdict.CONFIRMED


# A caller of ours who is refused must not look like a finding


def test_a_refused_operator_stops_the_run(site: Site, api: Recorded) -> None:
    site.place = replace(site.place, session=_Other())
    with pytest.raises(Exception, match="the API refuses your own signed read"):
        seen(site, "aws-path-encoding")


class _Other(Account):
    def get_credentials(self) -> Any:
        current = super().get_credentials()
        current.get_frozen_credentials = expired
        return current


def expired() -> Any:
    return type(CALLER)("example", "expired", None)


def test_a_network_that_drops_is_a_row(site: Site, api: Recorded) -> None:
    api.door.close()
    found = seen(site, "aws-clock-off")
    assert found.verdict is Verdict.NOT_SEEN
    assert "no answer from 127.0.0.1" in found.why
