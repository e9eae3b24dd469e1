"""The contract and the stack say the same: routes, and who proves himself by what.

Reads the synthesised template of `test`, so a route that is forgotten on either side fails here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONTRACT: dict[str, Any] = json.loads((Path(__file__).resolve().parents[2] / "docs" / "openapi.json").read_text())


def resources(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: item["Properties"] for name, item in template["Resources"].items() if item["Type"] == kind}


def path_of(template: dict[str, Any], reference: dict[str, Any]) -> str:
    """The path of a resource, by its chain of parents; the API's root ends it."""
    if "Ref" not in reference:
        return ""
    resource = template["Resources"][reference["Ref"]]["Properties"]
    return f"{path_of(template, resource['ParentId'])}/{resource['PathPart']}"


def deployed(template: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for method in resources(template, "AWS::ApiGateway::Method").values():
        yield method["HttpMethod"], path_of(template, method["ResourceId"]), method["AuthorizationType"]


def promised() -> Iterator[tuple[str, str, str]]:
    for path, methods in CONTRACT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, "AWS_IAM" if operation["security"] else "NONE"


def test_the_stack_has_exactly_the_routes_of_the_contract(template: dict[str, Any]) -> None:
    assert sorted(deployed(template)) == sorted(promised())


def test_only_the_webhook_is_not_signed_by_a_caller(template: dict[str, Any]) -> None:
    assert [path for _, path, proof in deployed(template) if proof == "NONE"] == ["/webhooks/financial-line"]


def test_the_stage_is_the_one_in_the_contract(template: dict[str, Any]) -> None:
    stages = {stage["StageName"] for stage in resources(template, "AWS::ApiGateway::Stage").values()}
    assert stages == {server["url"].rsplit("/", 1)[1] for server in CONTRACT["servers"]} == {"v1"}


def test_what_the_gateway_answers_by_itself_is_in_the_contract(template: dict[str, Any]) -> None:
    possible = {
        (answer.get("StatusCode"), json.loads(answer["ResponseTemplates"]["application/json"])["type"])
        for answer in resources(template, "AWS::ApiGateway::GatewayResponse").values()
    }
    everywhere = {pair for pair in possible if pair[0] in ("403", "429", "500", "504")}
    assert {status for status, _ in everywhere} == {"403", "429", "500", "504"}
    for path, methods in CONTRACT["paths"].items():
        for method, operation in methods.items():
            missing = everywhere - set(problems(operation))
            assert not missing, f"{method.upper()} {path}"
    problem = CONTRACT["components"]["schemas"]["Problem"]
    assert {kind for _, kind in possible} <= set(problem["properties"]["type"]["enum"])


def problems(operation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    shared = CONTRACT["components"]["responses"]
    for status, declared in operation["responses"].items():
        answer = shared[declared["$ref"].rsplit("/", 1)[1]] if "$ref" in declared else declared
        if "application/problem+json" in answer.get("content", {}):
            narrowed = answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]
            yield from ((status, kind) for kind in narrowed["type"]["enum"])
