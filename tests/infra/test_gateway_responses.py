"""Even the gateway's own refusals are problem documents, and say the same as those of the functions."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import answers
from infra import gateway_responses
from infra.synth import ROOT
from tests.infra.stack import Stack

TYPE = "urn:void-service:problem:"
TITLES = {f"{TYPE}{name}": problem.title for name, problem in answers.PROBLEMS.items()}


@pytest.mark.parametrize(
    ("cause", "status", "name", "retry_after"),
    [
        ("MISSING_AUTHENTICATION_TOKEN", 403, "unauthenticated", None),
        ("RESOURCE_NOT_FOUND", 403, "unauthenticated", None),
        ("ACCESS_DENIED", 403, "unauthenticated", None),
        ("INVALID_SIGNATURE", 403, "unauthenticated", None),
        ("UNAUTHORIZED", 403, "unauthenticated", None),
        ("EXPIRED_TOKEN", 403, "unauthenticated", None),
        ("INVALID_API_KEY", 403, "unauthenticated", None),
        ("WAF_FILTERED", 403, "unauthenticated", None),
        ("BAD_REQUEST_BODY", 400, "invalid-request", None),
        ("BAD_REQUEST_PARAMETERS", 400, "invalid-request", None),
        ("UNSUPPORTED_MEDIA_TYPE", 415, "unsupported-media-type", None),
        ("THROTTLED", 429, "throttled", "'1'"),
        ("QUOTA_EXCEEDED", 429, "throttled", "'60'"),
        # Which type AWS uses for a key that it does not know is not documented. If it is this one, a status of ours
        # would replace AWS's 403, and "400 invalid-request" would send the caller looking in the wrong place.
        ("DEFAULT_4XX", None, "unauthenticated", None),
        ("INTEGRATION_TIMEOUT", 504, "outcome-unknown", "'5'"),
        ("INTEGRATION_FAILURE", 504, "outcome-unknown", "'5'"),
        ("DEFAULT_5XX", 500, "outcome-unknown", "'5'"),
    ],
)
@pytest.mark.parametrize("environment", ["test", "every option"])
def test_the_gateways_own_answer_is_a_problem_document(
    stacks: dict[str, Stack], environment: str, cause: str, status: int | None, name: str, retry_after: str | None
) -> None:
    (answer,) = [
        each for each in stacks[environment].all("ApiGateway::GatewayResponse") if each["ResponseType"] == cause
    ]
    of_a_token = environment == "every option" and cause in ("UNAUTHORIZED", "EXPIRED_TOKEN")
    details = {each.cause: each.detail for each in gateway_responses.RESPONSES}
    details |= gateway_responses.BY_TOKEN if environment == "every option" else {}
    status = None if of_a_token else status  # AWS's own 401 or 403: whoever sends a token expects it
    problem, headers = json.loads(answer["ResponseTemplates"]["application/json"]), answer["ResponseParameters"]
    assert problem.keys() - {"status"} == {"type", "title", "detail", "request_id"}
    assert (problem["type"], problem["title"]) == (TYPE + name, TITLES[TYPE + name])
    assert (problem.get("status"), problem["detail"]) == (status, details[cause])
    assert answer.get("StatusCode") == (None if status is None else str(status))
    assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    assert headers.get("gatewayresponse.header.Retry-After") == retry_after
    assert headers.get("gatewayresponse.header.WWW-Authenticate") == ("'Bearer'" if of_a_token else None)
    # AWS fills in without escaping, and documents that a client can set requestId: the text could be broken or forged.
    filled_in = re.findall(r"\$context[.\w]*|method\.request[.\w-]*|\$stageVariables[.\w]*", json.dumps(answer))
    assert filled_in == ["$context.extendedRequestId"]


def test_no_other_answer_of_the_gateway_is_put(stacks: dict[str, Stack]) -> None:
    causes = {each["ResponseType"] for each in stacks["test"].all("ApiGateway::GatewayResponse")}
    assert causes == {each.cause for each in gateway_responses.RESPONSES}
    # AWS documents that one for this has no effect: the answer is a line of plain text.
    assert "REQUEST_TOO_LARGE" not in causes


def test_the_contract_shows_each_type_with_its_title() -> None:
    shown = list(problems(json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))))
    assert len(shown) > 10
    assert [each for each in shown if each["title"] != TITLES.get(each["type"])] == []


def problems(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str) and value["type"].startswith(TYPE) and "title" in value:
            yield value
        for each in value.values():
            yield from problems(each)
    elif isinstance(value, list):
        for each in value:
            yield from problems(each)
