"""The contract and the stack say the same: routes, who proves himself by what, and what the gateway answers by itself."""

import json
from collections.abc import Iterator
from typing import Any

from infra.synth import ROOT
from tests.infra.stack import Stack

CONTRACT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in CONTRACT["paths"].items()
    for method, operation in methods.items()
}


def test_the_stack_has_exactly_the_routes_of_the_contract(stacks: dict[str, Stack]) -> None:
    deployed = {route: method["AuthorizationType"] for route, method in stacks["test"].routes().items()}
    assert deployed == {
        route: "AWS_IAM" if operation["security"] else "NONE" for route, operation in OPERATIONS.items()
    }
    stage = stacks["test"].one("ApiGateway::Stage")["StageName"]
    assert {server["url"].rsplit("/", 1)[1] for server in CONTRACT["servers"]} == {stage} == {"v1"}


def test_what_the_gateway_answers_by_itself_is_in_the_contract(stacks: dict[str, Stack]) -> None:
    possible = {
        (answer.get("StatusCode"), json.loads(answer["ResponseTemplates"]["application/json"])["type"])
        for answer in stacks["test"].all("ApiGateway::GatewayResponse")
    }
    everywhere = {pair for pair in possible if pair[0] in ("403", "429", "500", "504")}
    assert {status for status, _ in everywhere} == {"403", "429", "500", "504"}
    for route, operation in OPERATIONS.items():
        assert everywhere <= {*problems(operation)}, route
    known = CONTRACT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert {kind for _, kind in possible} <= {*known}


def problems(operation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    shared = CONTRACT["components"]["responses"]
    for status, declared in operation["responses"].items():
        answer = shared[declared["$ref"].rsplit("/", 1)[1]] if "$ref" in declared else declared
        if "application/problem+json" in answer.get("content", {}):
            narrowed = answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]
            yield from ((status, kind) for kind in narrowed["type"]["enum"])
