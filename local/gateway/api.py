"""The REST API as it was deployed, read back from the engine: its routes, and who may come in.

So a local route is a deployed route, and what the template forgets is missing here as well. The signature or token, the
caller's own policy and the API's policy decide together, as in AWS. A condition that is not known here is an error.
"""

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from copy import replace
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from local.aws import ACCOUNT, client
from local.exchange import GatewayError, Request
from local.gateway.tokens import Authorizer
from local.signature import MERCHANT, OPERATOR, Signer, verify

Statement = Mapping[str, Any]
WHOLE_ACCOUNT = {ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"}
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


@dataclass(frozen=True)
class Call:
    route: Route
    parameters: dict[str, str]
    path: str  # behind the stage
    request: Request
    signer: Signer | None = None  # who was let in; neither this nor a token: nobody in particular
    token: Mapping[str, Any] | None = None  # as the event says it


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


# ---- who may come in -------------------------------------------------------------------------------------------------


def authorise(api: Api, call: Call) -> Call:
    """With who calls. Raises GatewayError unless they may use the route."""
    call = _proved(api, call)
    signer, resource = call.signer, f"{api.stage}/{call.request.routed_method}{call.path}"
    facts = {"aws:SourceIp": call.request.source_ip, "aws:PrincipalArn": signer.principal if signer else None}
    said = effects(api.policy, resource, facts)
    if signer:  # of the API's own account, where both policies count alike
        said |= effects(api.own_policies.get(signer.role, ()), resource, facts)
    if "Deny" in said or "Allow" not in said:
        raise GatewayError("ACCESS_DENIED", f"{signer.role if signer else 'Nobody'} may not use {resource}.")
    return call


def _proved(api: Api, call: Call) -> Call:
    request, route = call.request, call.route
    match route.authorization:
        case "NONE":
            return call
        case "AWS_IAM":
            return replace(call, signer=verify(request.method, request.target, request.headers, request.body))
        case "JWT" if api.authorizer:
            return replace(call, token=api.authorizer.check(request, route.scopes))
    raise GatewayError("AUTHORIZER_CONFIGURATION_ERROR")


def effects(policy: Sequence[Statement], resource: str, facts: Mapping[str, str | None]) -> set[str]:
    """What the statements about `stage/METHOD/path` say to a caller of whom this is known; no fact is None."""
    return {
        statement["Effect"]
        for statement in policy
        if _names(statement, facts["aws:PrincipalArn"])
        # Both forms that API Gateway takes: execute-api:/stage/METHOD/path and the full ARN.
        and any(
            fnmatchcase(resource, re.sub(r"^(execute-api:/|arn:[^/]*/)", "", pattern))
            for pattern in _listed(statement["Resource"])
        )
        and all(
            holds(operator, key, _listed(values), facts)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    }


def _names(statement: Statement, principal: str | None) -> bool:
    if "Principal" not in statement:  # a policy of the caller's own
        return True
    arns = {*_listed(statement["Principal"]["AWS"])}
    if "*" in arns or principal in arns:
        return True
    # An Allow for the account only delegates: within the account the caller's own policy has to say so as well.
    return statement["Effect"] == "Deny" and principal is not None and not WHOLE_ACCOUNT.isdisjoint(arns)


def holds(operator: str, key: str, wanted: list[str], facts: Mapping[str, str | None]) -> bool:
    """A negated operator holds when the key is absent, as in AWS. Raises ValueError for what is not known here."""
    match operator, facts.get(key, key):
        case "Null", fact if key in facts:
            return wanted == [str(fact is None).lower()]
        case "ArnLike" | "ArnNotLike", None:
            return operator == "ArnNotLike"
        case "ArnLike" | "ArnNotLike", str(arn) if key in facts:
            # Each of the six parts by itself: a star does not reach beyond a colon.
            found = any(all(map(fnmatchcase, arn.split(":", 5), one.split(":", 5))) for one in wanted)
            return found == (operator == "ArnLike")
        case "IpAddress", str(address) if key in facts:
            return any(ipaddress.ip_address(address) in ipaddress.ip_network(one) for one in wanted)
    raise ValueError(f"the local gateway does not know the condition {operator} of {key}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
