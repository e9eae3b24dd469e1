"""The REST API as it was deployed: routes, policy and gateway responses, read back from the engine.

So a local route is a deployed route, and what the template forgets is missing here as well.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.aws import client
from local.exchange import GatewayError, Request
from local.gateway.tokens import Authorizer, Claims, Readings
from local.signature import MERCHANT, OPERATOR, Signer

Statement = Mapping[str, Any]
PRINTED = {MERCHANT.role: "CallerPolicy", OPERATOR.role: "OperatorPolicy"}  # outputs of the stack


@dataclass(frozen=True)
class Route:
    method: str
    resource: str
    authorization: str
    function: str
    timeout: float = 29.0
    rate: float = -1.0
    burst: float = 1.0
    scopes: tuple[str, ...] = ()

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
    policy: Sequence[Statement]
    own_policies: Mapping[str, Sequence[Statement]] = field(default_factory=dict)  # of the local callers, by role
    responses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # gateway responses of the stack, by type
    authorizer: Authorizer | None = None  # of the routes by token
    readings: Readings = field(default_factory=Readings)


@dataclass(frozen=True)
class Call:
    route: Route
    parameters: dict[str, str]
    path: str  # behind the stage
    request: Request
    signer: Signer | None = None  # who was let in; neither this nor claims: nobody in particular
    claims: Claims | None = None


def find(api: Api, request: Request) -> Call:
    """The route of a request. AWS folds surplus slashes before and after the stage, and decodes nothing."""
    stage, _, rest = request.path.lstrip("/").partition("/")
    path = "/" + rest.lstrip("/")
    for route in sorted(api.routes, key=lambda each: each.resource.count("{")):  # the fewer parameters, the nearer
        parameters = route.match(path) if route.method in (request.routed_method, "ANY") else None
        if parameters is not None and stage == api.stage:
            return Call(route, parameters, path, request)
    raise GatewayError("MISSING_AUTHENTICATION_TOKEN")  # what API Gateway says of a route that it does not have


def read_api(
    endpoint: str, api_id: str, names: Mapping[str, str], outputs: Mapping[str, str], authorizer: Authorizer | None
) -> Api:
    """The API behind the engine's address.

    `names`: deployed name of a function -> the name that the runtime knows it by; `outputs`: the stack's.
    """
    gateway = client("apigateway", endpoint)
    (stage,) = gateway.get_stages(restApiId=api_id)["item"]
    # A method setting's key: the path's slashes are written `~1`, the first one sometimes twice.
    limits = {key.replace("~1", "/").lstrip("/"): setting for key, setting in stage["methodSettings"].items()}
    # The engine returns the policy as AWS does: JSON, escaped once more.
    policy = gateway.get_rest_api(restApiId=api_id).get("policy", "").replace('\\"', '"')
    responses = gateway.get_gateway_responses(restApiId=api_id, limit=500)["items"]
    return Api(
        api_id=api_id,
        stage=stage["stageName"],
        routes=[
            _route(resource["path"], method, declared, limits, names)
            for resource in gateway.get_resources(restApiId=api_id, embed=["methods"], limit=500)["items"]
            for method, declared in resource.get("resourceMethods", {}).items()
        ],
        policy=_statements(policy),
        own_policies={role: _statements(outputs[name]) for role, name in PRINTED.items()},
        responses={each["responseType"]: each for each in responses if not each.get("defaultResponse")},
        authorizer=authorizer,
    )


def _route(path: str, method: str, declared: Any, limits: Mapping[str, Any], names: Mapping[str, str]) -> Route:
    limit = limits.get(f"{path}/{method}".lstrip("/")) or limits.get("*/*") or {}
    integration = declared["methodIntegration"]
    return Route(
        method=method,
        resource=path,
        authorization=declared["authorizationType"],
        function=names[re.findall(r":function:([^/:]+)", integration["uri"])[0]],
        timeout=integration.get("timeoutInMillis", 29_000) / 1000,
        rate=limit.get("throttlingRateLimit", 10_000),
        burst=limit.get("throttlingBurstLimit", 5_000),
        scopes=tuple(declared.get("authorizationScopes") or ()),
    )


def _statements(policy: str) -> list[Statement]:
    return list(json.loads(policy)["Statement"])
