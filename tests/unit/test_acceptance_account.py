"""What an acceptance makes of an AWS account: rights, alarms, quotas, releases, rotations, events and figures.

By the table tests/vectors/acceptance.toml: what AWS answers call by call, and what is found. Each answer is checked
by botocore against AWS's own models. What is made is taken back, also when AWS refuses midway.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.probes import account as of_account
from acceptance.probes import changes
from acceptance.rows import FACTS, Verdict
from acceptance.run import PROBES, Stopped, findings
from acceptance.site import Site
from acceptance.undo import fill
from local.sandbox.doors import Exchange
from tests.fakes.account import START, Account, an_api, deployed, reply
from tests.fakes.account_steps import COLD, KNOWN, ORDER, VECTORS, WARM, steps


class Api:
    """The service's API and, at its root, the one of a few minutes; its attributes say what either does badly."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.date, self.state = "Tue, 24 Nov 2026 10:00:30 GMT", "failed"
        self.member, self.throttled, self.retry, self.asked = 502, 429, {"Retry-After": "1"}, 0

    def answer(self, exchange: Exchange) -> None:
        if exchange.command == "POST":
            self.submitted.append(json.loads(exchange.body)["order_id"])
            return reply(exchange, 409, {"void": {"order_id": self.submitted[-1], "state": self.state}})
        if "limit=1" in exchange.path:
            return reply(exchange, 200, {"voids": []}, {"Date": self.date})
        if "/voids/" in exchange.path:
            return reply(exchange, 404, {"type": "urn:void-service:problem:not-found"})
        self.asked += 1
        if "case=number" in exchange.path:
            return reply(exchange, 200, "", {"X-Number": "7"})
        if "case=member" in exchange.path:
            return reply(exchange, self.member, {"message": "Internal server error"})
        problem = {"Content-Type": "application/problem+json"} | self.retry
        status = 200 if self.asked <= 4 else self.throttled
        return reply(exchange, status, {"type": "urn:void-service:problem:throttled"}, problem)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def site(account: Account, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with an_api(api.answer) as url:
        site = deployed(account, tmp_path, url, holds=("order-1",))
        monkeypatch.setattr(site, "refuse_a_live_project", lambda: None)  # its own test is in test_acceptance_run
        monkeypatch.setattr(site, "nobody", lambda letters="": ORDER + letters)
        monkeypatch.setattr(changes, "origin", lambda *_: url.removesuffix("/v1"))
        yield site


VERDICTS = {"yes": Verdict.CONFIRMED, "no": Verdict.CONTRADICTED, "open": Verdict.NOT_SEEN}
CASES = VECTORS["found"]["cases"]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{number}-{one['row']}-{one['finds']}" for number, one in enumerate(CASES)]
)
def test_what_is_found(site: Site, account: Account, api: Api, case: dict[str, Any]) -> None:
    account.plays(*steps(case))
    vars(api).update(case.get("does", {}))
    if "sent" in case:
        site.state.note("order-1", sent="service", answer={}, sent_at=START.isoformat())
    probe = next(probe for probe in PROBES if case["row"] in probe.rows)
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


@pytest.mark.parametrize(("line", "report"), [
    (WARM.format("12.34"), ("12.34", "70", None)), (COLD.format("20.00"), ("20.00", "70", "250.50")),
    ("START RequestId: 1 Version: 5", None), ('{"message": "REPORT Duration: 1 ms\tBilled"}', None),
])  # fmt: skip
def test_report_lines_are_read(line: str, report: tuple[object, ...] | None) -> None:
    found = of_account.REPORT.match(line)
    assert (found and found.groups()) == report
