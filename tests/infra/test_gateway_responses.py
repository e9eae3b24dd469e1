"""Even the gateway's own refusals are problem documents, and say the same as those of the functions."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import answers
from infra import gateway_responses
from tests.infra.stack import CONTRACT, OPERATIONS, Stack

TYPE = "urn:void-service:problem:"
TITLES = {f"{TYPE}{name}": problem.title for name, problem in answers.PROBLEMS.items()}


ANSWERS = {
    (403, "unauthenticated"): "MISSING_AUTHENTICATION_TOKEN RESOURCE_NOT_FOUND ACCESS_DENIED INVALID_SIGNATURE UNAUTHORIZED "
                              "EXPIRED_TOKEN INVALID_API_KEY WAF_FILTERED",
    (400, "invalid-request"): "BAD_REQUEST_BODY BAD_REQUEST_PARAMETERS",
    (415, "unsupported-media-type"): "UNSUPPORTED_MEDIA_TYPE",
    (429, "throttled"): "THROTTLED QUOTA_EXCEEDED",
    # Which type AWS uses for a key that it does not know is not documented. If it is this one, a status of ours
    # would replace AWS's 403, and "400 invalid-request" would send the caller looking in the wrong place.
    (None, "unauthenticated"): "DEFAULT_4XX",
    (504, "outcome-unknown"): "INTEGRATION_TIMEOUT INTEGRATION_FAILURE",
    (500, "outcome-unknown"): "DEFAULT_5XX",
}  # fmt: skip
RETRY = {"THROTTLED": 1, "QUOTA_EXCEEDED": 60, "INTEGRATION_TIMEOUT": 5, "INTEGRATION_FAILURE": 5, "DEFAULT_5XX": 5}


@pytest.mark.parametrize(
    ("cause", "status", "name"),
    [(cause, *answer) for answer, causes in ANSWERS.items() for cause in causes.split()],
)
@pytest.mark.parametrize("environment", ["test", "every option"])
def test_the_gateways_own_answer_is_a_problem_document(
    stacks: dict[str, Stack], environment: str, cause: str, status: int | None, name: str
) -> None:
    every = stacks[environment].all("ApiGateway::GatewayResponse")
    (answer,) = [each for each in every if each["ResponseType"] == cause]
    of_a_token = environment == "every option" and cause in ("UNAUTHORIZED", "EXPIRED_TOKEN")
    details = {each: detail for each, (_, detail, _) in gateway_responses.RESPONSES.items()}
    details |= gateway_responses.BY_TOKEN if environment == "every option" else {}
    status = None if of_a_token else status  # AWS's own 401 or 403: whoever sends a token expects it
    problem, headers = json.loads(answer["ResponseTemplates"]["application/json"]), answer["ResponseParameters"]
    assert problem.keys() - {"status"} == {"type", "title", "detail", "request_id"}
    assert (problem["type"], problem["title"]) == (TYPE + name, TITLES[TYPE + name])
    assert (problem.get("status"), problem["detail"]) == (status, details[cause])
    assert answer.get("StatusCode") == (None if status is None else str(status))
    expected = {"Content-Type": "'application/problem+json'"}
    expected |= {"Retry-After": f"'{RETRY[cause]}'"} if cause in RETRY else {}
    expected |= {"WWW-Authenticate": "'Bearer'"} if of_a_token else {}
    assert headers == {f"gatewayresponse.header.{each}": value for each, value in expected.items()}
    # AWS fills in without escaping, and documents that a client can set requestId: the text could be broken or forged.
    filled_in = re.findall(r"\$context[.\w]*|method\.request[.\w-]*|\$stageVariables[.\w]*", json.dumps(answer))
    assert filled_in == ["$context.extendedRequestId"]


def test_what_the_gateway_answers_by_itself_is_in_the_contract_and_nothing_else_is_put(
    stacks: dict[str, Stack],
) -> None:
    # None for REQUEST_TOO_LARGE: AWS documents that it has no effect, the answer is a line of plain text.
    causes = {each["ResponseType"] for each in stacks["test"].all("ApiGateway::GatewayResponse")}
    assert causes == {*" ".join(ANSWERS.values()).split()}
    everywhere = {(str(status), TYPE + name) for status, name in ANSWERS if status in (403, 429, 500, 504)}
    for route, operation in OPERATIONS.items():
        assert everywhere <= {*declared(operation)}, route
    known = CONTRACT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert {TYPE + name for _, name in ANSWERS} <= {*known}


def declared(operation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    shared = CONTRACT["components"]["responses"]
    for status, each in operation["responses"].items():
        answer = shared[each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each
        if "application/problem+json" in answer.get("content", {}):
            narrowed = answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]
            yield from ((status, kind) for kind in narrowed["type"]["enum"])


def test_the_contract_shows_each_type_with_its_title() -> None:
    shown = list(problems(CONTRACT))
    assert len(shown) > 10
    assert [each for each in shown if each["title"] != TITLES.get(each["type"])] == []


def problems(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and str(value.get("type")).startswith(TYPE) and "title" in value:
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from problems(each)
