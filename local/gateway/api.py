"""The REST API as it was deployed: routes, policy and gateway responses, read back from the engine.

So a local route is a deployed route, and what the template forgets is missing here as well.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.aws import client
from local.gateway.exchange import Request
from local.gateway.tokens import Authorizer, Readings, read_authorizers
from local.refusal import GatewayError
from local.signature import MERCHANT, OPERATOR, incomplete, is_signature

Statement = Mapping[str, Any]
PRINTED = {MERCHANT.role: "CallerPolicy", OPERATOR.role: "OperatorPolicy"}  # outputs of the stack


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
    scopes: tuple[str, ...] = ()
    authorizer: str = ""  # its id, of a route by token

    def match(self, path: str) -> dict[str, str] | None:
        """The path parameters, still percent-encoded. Slashes at the end do not count."""
        pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+?)", re.escape(self.resource))
        found = re.fullmatch(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern) + "/*", path)
        return found and found.groupdict()


@dataclass(frozen=True)
class Api:
    api_id: str
    stage: str
    routes: Sequence[Route]
    policy: Sequence[Statement] = ()  # the resource policy; without a statement there is none
    own_policies: Mapping[str, Sequence[Statement]] = field(default_factory=dict)  # of the local callers, by role
    responses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # gateway responses of the stack, by type
    deployment_id: str = "local"
    authorizers: Mapping[str, Authorizer] = field(default_factory=dict)
    readings: Readings = field(default_factory=Readings)


@dataclass(frozen=True)
class Call:
    """A request on its route."""

    route: Route
    parameters: dict[str, str]
    path: str  # behind the stage
    request: Request


def find(api: Api, request: Request) -> Call:
    """The route of a request. AWS folds surplus slashes before and after the stage, and decodes nothing."""
    stage, _, rest = request.path.lstrip("/").partition("/")
    path = "/" + rest.lstrip("/")
    for route in sorted(api.routes, key=_vagueness) if stage == api.stage else ():
        parameters = route.match(path) if route.method in (request.routed_method, "ANY") else None
        if parameters is not None:
            return Call(route, parameters, path, request)
    authorization = request.header("authorization")
    if authorization is not None and not is_signature(authorization):
        raise incomplete(authorization)
    # What API Gateway says of a route that it does not have.
    raise GatewayError("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")


def _vagueness(route: Route) -> tuple[int, int]:
    return route.resource.count("+}"), route.resource.count("{")


def read_api(
    endpoint: str, api_id: str, function_names: Mapping[str, str], outputs: Mapping[str, str],
    template: Mapping[str, Any] | None = None, parameters: Mapping[str, str] | None = None,
    discovery: Mapping[str, str] | None = None,
) -> Api:  # fmt: skip
    """The API behind the engine's address.

    `function_names`: deployed name -> the name that the runtime knows the function by; `outputs`: the stack's. Of token
    authorizers the engine keeps the name only: the rest is read from `template` with its `parameters`. `discovery`: an
    issuer that is served elsewhere -> the address of its discovery document.
    """
    apigateway = client("apigateway", endpoint)
    stage = apigateway.get_stages(restApiId=api_id)["item"][0]
    # A method setting's key: the path's slashes are written `~1`, the first one sometimes twice.
    settings = {key.replace("~1", "/").lstrip("/"): setting for key, setting in stage["methodSettings"].items()}
    # The engine returns the policy as AWS does: JSON, escaped once more.
    policy = apigateway.get_rest_api(restApiId=api_id).get("policy", "").replace('\\"', '"')
    responses = apigateway.get_gateway_responses(restApiId=api_id, limit=500)["items"]
    names = {each["id"]: each["name"] for each in apigateway.get_authorizers(restApiId=api_id, limit=500)["items"]}
    routes = [
        _route(resource, method, declared, settings, function_names)
        for resource in apigateway.get_resources(restApiId=api_id, embed=["methods"], limit=500)["items"]
        for method, declared in resource.get("resourceMethods", {}).items()
        if declared["methodIntegration"]["type"] == "AWS_PROXY"
    ]
    return Api(
        api_id=api_id,
        stage=stage["stageName"],
        routes=routes,
        policy=_statements(policy),
        own_policies={role: _statements(outputs.get(name, "")) for role, name in PRINTED.items()},
        responses={each["responseType"]: each for each in responses if not each.get("defaultResponse")},
        deployment_id=stage["deploymentId"],
        authorizers=read_authorizers(names, template or {}, parameters or {}, discovery or {}),
    )


def _route(
    resource: dict[str, Any], method: str, declared: dict[str, Any], settings: Any, names: Mapping[str, str]
) -> Route:
    setting = settings.get(f"{resource['path']}/{method}".lstrip("/")) or settings.get("*/*") or {}
    return Route(
        method=method,
        resource=resource["path"],
        resource_id=resource["id"],
        authorization=declared["authorizationType"],
        function=names[re.findall(r":function:([^/:]+)", declared["methodIntegration"]["uri"])[0]],
        timeout=declared["methodIntegration"].get("timeoutInMillis", 29_000) / 1000,
        rate=setting.get("throttlingRateLimit", 10_000),
        burst=setting.get("throttlingBurstLimit", 5_000),
        scopes=tuple(declared.get("authorizationScopes") or ()),
        authorizer=declared.get("authorizerId") or "",
    )


def _statements(policy: str) -> list[Statement]:
    statements = json.loads(policy)["Statement"] if policy else []
    return statements if isinstance(statements, list) else [statements]
