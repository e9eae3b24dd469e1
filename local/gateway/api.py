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
from local.gateway.tokens import Authorizer, Claims, Readings, read_authorizers
from local.signature import MERCHANT, OPERATOR, Signer, incomplete, is_signature

Statement = Mapping[str, Any]
PRINTED = {MERCHANT.role: "CallerPolicy", OPERATOR.role: "OperatorPolicy"}  # outputs of the stack


@dataclass(frozen=True)
class Route:
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
    # The fewer parameters, the nearer; a greedy one is the last resort.
    for route in sorted(api.routes, key=lambda each: (each.resource.count("+}"), each.resource.count("{"))):
        parameters = route.match(path) if route.method in (request.routed_method, "ANY") else None
        if parameters is not None and stage == api.stage:
            return Call(route, parameters, path, request)
    authorization = request.header("authorization")
    if authorization is not None and not is_signature(authorization):
        raise incomplete(authorization)
    # What API Gateway says of a route that it does not have.
    raise GatewayError("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")


def read_api(
    endpoint: str, api_id: str, function_names: Mapping[str, str], outputs: Mapping[str, str],
    template: Mapping[str, Any], parameters: Mapping[str, str], discovery: Mapping[str, str],
) -> Api:  # fmt: skip
    """The API behind the engine's address.

    `function_names`: deployed name -> the name that the runtime knows the function by; `outputs`: the stack's. Of token
    authorizers the engine keeps the name only: the rest is read from `template` with its `parameters`. `discovery`: an
    issuer that is served elsewhere -> the address of its discovery document.
    """
    apigateway = client("apigateway", endpoint)

    def listed(what: str, **more: Any) -> Any:
        return getattr(apigateway, f"get_{what}")(restApiId=api_id, limit=500, **more)["items"]

    (stage,) = apigateway.get_stages(restApiId=api_id)["item"]
    # The engine returns the policy as AWS does: JSON, escaped once more.
    policy = apigateway.get_rest_api(restApiId=api_id).get("policy", "").replace('\\"', '"')
    responses = listed("gateway_responses")
    names = {each["id"]: each["name"] for each in listed("authorizers")}
    return Api(
        api_id=api_id,
        stage=stage["stageName"],
        routes=[
            _route(resource, method, declared, stage["methodSettings"], function_names)
            for resource in listed("resources", embed=["methods"])
            for method, declared in resource.get("resourceMethods", {}).items()
            if declared["methodIntegration"]["type"] == "AWS_PROXY"
        ],
        policy=_statements(policy),
        own_policies={role: _statements(outputs.get(name, "")) for role, name in PRINTED.items()},
        responses={each["responseType"]: each for each in responses if not each.get("defaultResponse")},
        deployment_id=stage["deploymentId"],
        authorizers=read_authorizers(names, template, parameters, discovery),
    )


def _route(
    resource: dict[str, Any], method: str, declared: dict[str, Any], settings: Any, names: Mapping[str, str]
) -> Route:
    # A method setting's key: the path's slashes are written `~1`, the first one sometimes twice.
    limits = {key.replace("~1", "/").lstrip("/"): setting for key, setting in settings.items()}
    limit = limits.get(f"{resource['path']}/{method}".lstrip("/")) or limits.get("*/*") or {}
    integration = declared["methodIntegration"]
    return Route(
        method=method,
        resource=resource["path"],
        resource_id=resource["id"],
        authorization=declared["authorizationType"],
        function=names[re.findall(r":function:([^/:]+)", integration["uri"])[0]],
        timeout=integration.get("timeoutInMillis", 29_000) / 1000,
        rate=limit.get("throttlingRateLimit", 10_000),
        burst=limit.get("throttlingBurstLimit", 5_000),
        scopes=tuple(declared.get("authorizationScopes") or ()),
        authorizer=declared.get("authorizerId") or "",
    )


def _statements(policy: str) -> list[Statement]:
    return list(json.loads(policy)["Statement"]) if policy else []
