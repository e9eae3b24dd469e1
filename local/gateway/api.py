"""The REST API as it was deployed: routes, policy and gateway responses, read back from the engine.

So a local route is a deployed route, and what the template forgets is missing here as well.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.aws import client
from local.gateway.exchange import GatewayError, Request
from local.signature import incomplete, is_signature

Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Route:
    """One method of one resource."""

    method: str
    resource: str
    resource_id: str
    authorization: str
    function: str
    timeout: float
    rate: float
    burst: float

    def match(self, path: str) -> dict[str, str] | None:
        """The path parameters, still percent-encoded. Slashes at the end do not count."""
        wanted, given = self.resource.strip("/").split("/"), path.strip("/").split("/")
        if wanted[-1].endswith("+}"):
            given = [*given[: len(wanted) - 1], "/".join(given[len(wanted) - 1 :])]
        if len(wanted) != len(given):
            return None
        parameters = {}
        for name, value in zip(wanted, given, strict=True):
            if name.startswith("{") and value:
                parameters[name.strip("{+}")] = value
            elif name != value:
                return None
        return parameters


@dataclass(frozen=True)
class Api:
    """The REST API as it was deployed."""

    api_id: str
    stage: str
    routes: list[Route]
    policy: Sequence[Statement] = ()
    """The resource policy; without a statement there is none."""
    caller_policy: Sequence[Statement] = ()
    """What the local merchant's own role allows: the policy that the stack prints for callers."""
    responses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The gateway responses that the stack sets, by type."""
    deployment_id: str = "local"


@dataclass(frozen=True)
class Call:
    """A request on its route."""

    route: Route
    parameters: dict[str, str]
    path: str  # behind the stage
    request: Request

    @property
    def method(self) -> str:
        return self.request.routed_method


def find(api: Api, request: Request) -> Call:
    """The route of a request. AWS folds surplus slashes before and after the stage, and decodes nothing."""
    stage, _, rest = request.path.lstrip("/").partition("/")
    path = "/" + rest.lstrip("/")
    if stage == api.stage:
        for route in sorted(api.routes, key=_vagueness):
            parameters = route.match(path) if route.method in (request.routed_method, "ANY") else None
            if parameters is not None:
                return Call(route, parameters, path, request)
    authorization = request.header("authorization")
    if authorization is not None and not is_signature(authorization):
        raise GatewayError.of(incomplete(authorization))
    # What API Gateway says of a route that it does not have.
    raise GatewayError("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")


def _vagueness(route: Route) -> tuple[int, int]:
    return route.resource.count("+}"), route.resource.count("{")


def read_api(endpoint: str, api_id: str, function_names: Mapping[str, str], caller_policy: str) -> Api:
    """`function_names`: deployed name -> the name that the runtime knows the function by."""
    apigateway = client("apigateway", endpoint)
    stage = apigateway.get_stages(restApiId=api_id)["item"][0]
    resources = apigateway.get_resources(restApiId=api_id, embed=["methods"], limit=500)["items"]
    settings = {_plain(key): setting for key, setting in stage["methodSettings"].items()}
    routes = [
        _route(resource, method, declared, settings, function_names)
        for resource in resources
        for method, declared in resource.get("resourceMethods", {}).items()
        if declared["methodIntegration"]["type"] == "AWS_PROXY"
    ]
    # The engine returns the policy as AWS does: JSON, escaped once more.
    policy = apigateway.get_rest_api(restApiId=api_id).get("policy", "").replace('\\"', '"')
    responses = apigateway.get_gateway_responses(restApiId=api_id, limit=500)["items"]
    return Api(
        api_id=api_id,
        stage=stage["stageName"],
        routes=routes,
        policy=_statements(policy),
        caller_policy=_statements(caller_policy),
        responses={each["responseType"]: each for each in responses if not each.get("defaultResponse")},
        deployment_id=stage["deploymentId"],
    )


def _route(
    resource: dict[str, Any], method: str, declared: dict[str, Any], settings: Any, names: Mapping[str, str]
) -> Route:
    found = re.search(r":function:([^/:]+)", declared["methodIntegration"]["uri"])
    assert found is not None  # noqa: S101 - a proxy integration names its function
    setting = settings.get(_plain(f"{resource['path']}/{method}")) or settings.get("*/*") or {}
    return Route(
        method=method,
        resource=resource["path"],
        resource_id=resource["id"],
        authorization=declared["authorizationType"],
        function=names[found[1]],
        timeout=declared["methodIntegration"].get("timeoutInMillis", 29_000) / 1000,
        rate=setting.get("throttlingRateLimit", 10_000),
        burst=setting.get("throttlingBurstLimit", 5_000),
    )


def _plain(key: str) -> str:
    """A method setting's key: the path's slashes are written `~1`, the first one sometimes twice."""
    return key.replace("~1", "/").lstrip("/")


def _statements(policy: str) -> list[Statement]:
    if not policy:
        return []
    statements = json.loads(policy)["Statement"]
    return statements if isinstance(statements, list) else [statements]
