"""Even the gateway's own refusals are problem documents, and say the same as those of the functions."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import answers
from infra import gateway_responses
from infra.synth import ROOT

Resources = dict[str, dict[str, Any]]
TYPE = "urn:void-service:problem:"


def by_cause(of_type: Callable[[str], Resources]) -> dict[str, dict[str, Any]]:
    answers = [each["Properties"] for each in of_type("AWS::ApiGateway::GatewayResponse").values()]
    return {each["ResponseType"]: each for each in answers}


def document(answer: dict[str, Any]) -> dict[str, Any]:
    problem: dict[str, Any] = json.loads(answer["ResponseTemplates"]["application/json"])
    return problem


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
        ("DEFAULT_4XX", None, "unauthenticated", None),
        ("INTEGRATION_TIMEOUT", 504, "outcome-unknown", "'5'"),
        ("INTEGRATION_FAILURE", 504, "outcome-unknown", "'5'"),
        ("DEFAULT_5XX", 500, "outcome-unknown", "'5'"),
    ],
)
def test_the_gateways_own_answer_is_a_problem_document(
    of_type: Callable[[str], Resources], cause: str, status: int | None, name: str, retry_after: str | None
) -> None:
    answer = by_cause(of_type)[cause]
    problem = document(answer)
    headers = answer["ResponseParameters"]
    assert problem.keys() - {"status"} == {"type", "title", "detail", "request_id"}
    assert problem["type"] == TYPE + name
    assert problem.get("status") == status
    assert answer.get("StatusCode") == (None if status is None else str(status))
    assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    assert headers.get("gatewayresponse.header.Retry-After") == retry_after


def test_no_other_answer_of_the_gateway_is_put(of_type: Callable[[str], Resources]) -> None:
    assert set(by_cause(of_type)) == {each.cause for each in gateway_responses.RESPONSES}
    # AWS documents that one for this has no effect: the answer is a line of plain text.
    assert "REQUEST_TOO_LARGE" not in by_cause(of_type)


def test_an_unknown_key_is_never_told_that_its_request_is_malformed(of_type: Callable[[str], Resources]) -> None:
    # Which type of response AWS uses for a key that it does not know is not documented. If it is the default one, a
    # status of ours would replace AWS's 403, and "400 invalid-request" would send the caller looking in the wrong place.
    default = by_cause(of_type)["DEFAULT_4XX"]
    assert "StatusCode" not in default
    assert document(default)["type"] == f"{TYPE}unauthenticated"


def test_a_type_has_one_title_whoever_answers(of_type: Callable[[str], Resources]) -> None:
    titles = {f"{TYPE}{name}": problem.title for name, problem in answers.PROBLEMS.items()}
    for cause, answer in by_cause(of_type).items():
        problem = document(answer)
        assert problem["title"] == titles[problem["type"]], cause


def test_the_contract_shows_each_type_with_its_title() -> None:
    titles = {f"{TYPE}{name}": problem.title for name, problem in answers.PROBLEMS.items()}
    shown = list(problems(json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))))
    assert {each["type"] for each in shown} <= set(titles)
    assert len(shown) > 10
    assert [(each["type"], each["title"]) for each in shown if each["title"] != titles[each["type"]]] == []


def problems(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str) and value["type"].startswith(TYPE) and "title" in value:
            yield value
        for each in value.values():
            yield from problems(each)
    elif isinstance(value, list):
        for each in value:
            yield from problems(each)


def test_nothing_that_a_stranger_may_choose_is_put_into_an_answer(of_type: Callable[[str], Resources]) -> None:
    # AWS fills in without escaping, and documents that a client can set requestId: the text could be broken or forged.
    for cause, answer in by_cause(of_type).items():
        text = json.dumps([answer["ResponseTemplates"], answer["ResponseParameters"]])
        used = set(re.findall(r"\$context[.\w]*|method\.request[.\w-]*|\$stageVariables[.\w]*", text))
        assert used == {"$context.extendedRequestId"}, cause
