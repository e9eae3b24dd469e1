"""What an acceptance makes of an AWS account, by the tables of tests/vectors/acceptance.toml, and of its API: of good answers,
which are what its row expects, and of those in which one thing is bad. That AWS's own are good shows the local run.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from acceptance.probes import requests
from acceptance.rows import FACTS, Finding, Probe, Verdict
from acceptance.run import PROBES, ROWS, Stopped, findings
from acceptance.site import Allowed, Site
from acceptance.undo import fill
from acceptance.wire import PROBLEM, Reply
from tests.fakes.account import KNOWN, ORDER, START, VECTORS, Account, Api, deployed, steps

ASKING = {row.id: row for row in ROWS if row.requests and row.id.startswith("aws-")}
MINE, TYPE = "the-gateways-own-id", "urn:void-service:problem:"
ISSUER, CLIENT = "https://issuer.invalid", "shop"
TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "RS256"}, {"iss": ISSUER, "client_id": CLIENT}, {"signature": 1})
)
EXPIRED = f"{TOKEN}-of-yesterday"
LOGGED = {"request_id": MINE, "refused_as": "ACCESS_DENIED", "account": "111122223333", "client": CLIENT}
CONFIRMED, CONTRADICTED, NOT_SEEN = Verdict
VERDICTS = {"yes": CONFIRMED, "no": CONTRADICTED, "open": NOT_SEEN}


@pytest.fixture
def site(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    profile = "[{0}]\naws_access_key_id = {0}\naws_secret_access_key = {0}\n"
    (tmp_path / "credentials").write_text(profile.format("other") + profile.format("merchant"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    who = {"expired_profile": "other", "denied_profile": "other", "merchant_profile": "merchant"}
    site = deployed(account, tmp_path, holds=("order-1",), token=TOKEN, expired_token=EXPIRED, **who)
    site.outputs["TokenApiUrl"] = "https://x.example/v1/oauth"
    monkeypatch.setattr(site, "refuse_a_live_project", lambda: None)  # its own test is in test_acceptance_run
    return site


def probe_of(row: str) -> Probe:
    return next(probe for probe in PROBES if row in probe.rows)


# ---- the account -----------------------------------------------------------------------------------------------------

CASES = VECTORS["found"]["cases"]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{one['row']}-{one['finds']}" for n, one in enumerate(CASES)])
def test_what_is_found(site: Site, account: Account, api: Api, case: dict[str, Any]) -> None:
    account.plays(*steps(case))
    vars(api).update(case.get("does", {}))
    vars(site).update(nobody=lambda letters="": ORDER + letters)
    if "sent" in case:
        site.state.note("order-1", sent="service", answer={}, sent_at=START.isoformat())
    probe = probe_of(case["row"])
    try:
        found = list(findings(site, probe, probe.rows))[: len(case["finds"].split())]
        told = " ".join(f"{one.why} {dict(one.evidence)}" for one in found)
        assert [one.verdict for one in found] == [VERDICTS[word] for word in case["finds"].split()], found
    except Stopped as stopped:
        told = case["finds"].replace("stop", str(stopped))
    assert case.get("says", "") in told
    assert [hidden for hidden in ("the value", "b.example") if hidden in told] == []
    for call, member, *values in case.get("asks", ()):
        assert [one.get(member, "") for one in account.asked(call)] == fill(values, KNOWN)
    assert case.get("submits", api.submitted) == api.submitted
    account.finished()
    assert (site.state.made, site.left_behind) == ([], [])  # whatever was made is taken back by then


def test_the_function_of_a_few_minutes_does_what_it_is_asked() -> None:
    namespace: dict[str, Any] = {}
    exec(FACTS["scratch"]["code"], namespace)  # noqa: S102 the code that is sent to Lambda
    handler = namespace["handler"]
    assert handler({"queryStringParameters": {"case": "number"}}, None)["headers"] == {"X-Number": 7}
    assert "unknown" in handler({"queryStringParameters": {"case": "member"}}, None)
    assert handler({"queryStringParameters": None}, None) == {"statusCode": 200, "body": ""}


# ---- the API ---------------------------------------------------------------------------------------------------------


def answers(site: Site, replies: Sequence[Reply], log: Mapping[str, str] = LOGGED) -> list[dict[str, Any]]:
    """The API gives these answers, in turn, and its access log that line of each; what it is asked."""
    asked: list[dict[str, Any]] = []
    left = iter(replies)

    def call(method: str, target: str, **how: Any) -> Reply:
        asked.append({"method": method, "target": target, **how})
        return next(left)

    vars(site).update(call=call, access_log=lambda *_: [log] * 8)
    return asked


def good(request: Mapping[str, Any], body: str | None = None, **more: object) -> Reply:
    """What is expected of this request, with other headers, another body, another member."""
    status = int(request.get("status", "200").partition("|")[0].replace(".", "0"))
    document = {"type": TYPE + (request.get("problem") or "invalid-request"), "status": status, "request_id": MINE,
                "secret": TOKEN, "errors": [{"pointer": request.get("pointer", "/order_id")}]}  # fmt: skip
    headers = {"x-amz-apigw-id": MINE, "content-type": PROBLEM, request.get("header", "x-more"): "Bearer"}
    text = json.dumps(document | {name: value for name, value in more.items() if name in document})
    sent = headers | {name.replace("_", "-"): str(value) for name, value in more.items() if name not in document}
    return Reply(status, sent, (text if body is None else body).encode(), 0.1)


def bad(request: Mapping[str, Any]) -> Iterator[tuple[str, Reply, dict[str, str]]]:
    """The same with one thing that must be noticed: what it is, the answer, the access log's line."""
    fine, opens = good(request), re.fullmatch(request.get("status", "..."), "200")
    no_json = f'{{"status": {fine.status}, "request_id": "a"b"}}'
    for member, what, changed, log in (
        ("status", "let in", replace(fine, status=500 if opens else 200), {}),
        ("problem", "plain text", good(request, content_type="text/plain"), {}),
        ("problem", "another status inside", good(request, status=599), {}),
        ("problem", "another problem", good(request, type=f"{TYPE}not-found"), {}),
        ("own_id", "another id", good(request, request_id="theirs"), {}),
        ("own_id", "no JSON", good(request, body=no_json), {}),
        ("header", "no header", replace(fine, headers={"x-amz-apigw-id": MINE, "content-type": PROBLEM}), {}),
        ("pointer", "another member", good(request, errors=[{"pointer": "/acceptance"}]), {}),
        ("must_log", "not logged", fine, {request.get("must_log", ""): "-"}),
        ("log", "token logged", fine, {"client": TOKEN}),
    ):
        if request.get(member) or (member in request and what != "another problem"):
            yield what, changed, LOGGED | log


BAD = [(row, number, what) for row, one in ASKING.items() for number, request in enumerate(one.requests)
       for what, *_ in bad(request)]  # fmt: skip


@pytest.mark.parametrize("row", ASKING)
def test_what_is_expected_is_confirmed_and_shows_no_secret(site: Site, row: str) -> None:
    answers(site, [good(request) for request in ASKING[row].requests])
    (found,) = requests.ask(site, [ASKING[row]])
    assert found.verdict is CONFIRMED, found
    text = json.dumps(found.evidence)
    assert (TOKEN in text, "ACCESS_DENIED" in text) == (False, any("log" in one for one in ASKING[row].requests))


@pytest.mark.parametrize(("row", "number", "what"), BAD)
def test_what_would_be_bad_is_contradicted(site: Site, row: str, number: int, what: str) -> None:
    replies = [good(request) for request in ASKING[row].requests]
    request = ASKING[row].requests[number]
    replies[number], log = next((reply, log) for name, reply, log in bad(request) if name == what)
    answers(site, replies, log)
    (found,) = requests.ask(site, [ASKING[row]])
    assert found.verdict is (NOT_SEEN if "unfit" in request else CONTRADICTED), found
    assert request.get("name", "") in found.why or found.why == request.get("unfit")


SIGNERS = VECTORS["signs"]


@pytest.mark.parametrize("by", [*SIGNERS, "nobody", "token", "expired-token"])
def test_each_signs_as_it_says(site: Site, by: str) -> None:
    request = next(one for row in ASKING.values() for one in row.requests if one.get("by", "operator") == by)
    asked = answers(site, [good(request)])
    requests.send(site, request)
    how, signer = asked[0], asked[0]["signer"]
    bearer = {"token": f"Bearer {TOKEN}", "expired-token": f"Bearer {EXPIRED}"}.get(by)
    assert (how["unsigned"], how["headers"].get("Authorization")) == (by not in SIGNERS, bearer)
    if by in SIGNERS:
        signed, keys = signer.headers("GET", "https://x/", {}, b""), signer.credentials
        region, service = signed["Authorization"].partition("/aws4_request")[0].split("/")[-2:]
        assert f"{keys.access_key} {keys.secret_key} {service} {region}" == SIGNERS[by]
        assert (signed["X-Amz-Date"] == "20261124T095430Z") == (by == "late")


def test_what_is_sent_is_what_the_row_says(site: Site) -> None:
    def sent(row: str) -> dict[str, Any]:
        asked = answers(site, [good({})])
        requests.send(site, ASKING[row].requests[-1])
        return asked[0]

    assert len(sent("aws-body-too-large")["body"]) == 10 * 1024 * 1024 + 1
    assert len(sent("aws-headers-too-large")["headers"]["X-Padding"]) > 10_240
    assert re.search(b'"acc-[0-9a-f]{16}\xff"', sent("aws-invalid-utf8")["body"])
    assert sent("aws-forwarded-for")["headers"]["X-Forwarded-For"] + "/32" in site.environment.webhook_addresses
    assert re.fullmatch("/v1/voids/acc-[0-9a-f]{28}/decisions", sent("aws-decision-refused")["target"])


DOCUMENT, NO_CREDENTIALS = (
    b'{"message": "no", "args": {"code": "P-404"}}',
    b'{"message": "no", "args": {"code": "S-404"}}',
)
OF_PROVIDER = [
    ("in time", 200, b"", 10.0, True), ("in time", 200, b"", 10.1, False),
    *(("unknown", status, DOCUMENT, 0.1, status in (400, 403, 404, 422)) for status in (400, 402, 403, 404, 409, 422)),
    ("unknown", 404, NO_CREDENTIALS, 0.1, False), ("unknown", 404, b"<html>", 0.1, False),
    ("unknown or empty", 200, b"[]", 0.1, True), ("unknown or empty", 404, DOCUMENT, 0.1, True),
    ("unknown or empty", 400, DOCUMENT, 0.1, False), ("unknown or empty", 200, b"{}", 0.1, False),
]  # fmt: skip


@pytest.mark.parametrize(("expect", "status", "body", "seconds", "holds"), OF_PROVIDER)
def test_the_provider_answers_as_assumed_where_the_service_reads_it_so(
    expect: str, status: int, body: bytes, seconds: float, holds: bool
) -> None:
    reply = Reply(status, {}, body, seconds)
    assert requests.EXPECTED[expect](reply, reply) is holds


def probed(site: Site, row: str) -> Finding:
    return next(finding for finding in findings(site, probe_of(row), probe_of(row).rows) if finding.row == row)


@pytest.mark.parametrize(("by", "verdict"), [(f"{ISSUER}#{CLIENT}", CONFIRMED), (None, CONTRADICTED)])
def test_a_token_names_who_asks(site: Site, by: str | None, verdict: Verdict) -> None:
    answers(site, [Reply(200, {}, json.dumps({"requested_by": by}).encode(), 0.1)] * 3)
    assert probed(site, "aws-token-requester").verdict is verdict


@pytest.mark.parametrize("case", VECTORS["needs"]["cases"])
def test_what_nobody_brought_is_not_seen(site: Site, case: dict[str, Any]) -> None:
    site.allowed = replace(site.allowed, **case["brought"]) if "brought" in case else Allowed()
    if "no_issuer" in case:
        site.outputs.pop("TokenApiUrl")
    answers(site, [good({})] * 8)
    found = probed(site, case["row"])
    assert (found.verdict, case["says"] in found.why) == (NOT_SEEN, True), found
