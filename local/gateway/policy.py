"""Who may come in: the signature or token, the caller's own policy and the API's policy, together as AWS decides.

A condition that is not known here is an error and never passes silently.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from copy import replace
from fnmatch import fnmatchcase
from typing import Any

from local.aws import ACCOUNT, REGION
from local.exchange import GatewayError
from local.gateway.api import Api, Call, Statement
from local.signature import verify

WHOLE_ACCOUNT = {ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"}


def authorise(api: Api, call: Call) -> Call:
    """With who calls. Raises GatewayError unless they may use the route."""
    call = _proved(api, call)
    signer, resource = call.signer, f"{api.stage}/{call.request.routed_method}{call.path}"
    known = (signer.principal, ACCOUNT) if signer else (None, None)
    facts = {"aws:sourceip": call.request.source_ip, "aws:principalarn": known[0], "aws:principalaccount": known[1]}
    own = effects(api.own_policies.get(signer.role, ()), resource, facts) if signer else set()
    of_the_api = effects(api.policy, resource, facts)
    if allowed(own, of_the_api, anonymous=signer is None, without_policy=not api.policy):
        return call
    who, explicitly = signer.session if signer else "anonymous", "Deny" in own | of_the_api
    arn = f"arn:aws:execute-api:{REGION}:********{ACCOUNT[-4:]}:{api.api_id}/{resource}"
    message = f"User: {who} is not authorized to perform: execute-api:Invoke on resource: {arn}"
    raise GatewayError("ACCESS_DENIED", message + " with an explicit deny" * explicitly, member="Message")


def _proved(api: Api, call: Call) -> Call:
    request, route = call.request, call.route
    match route.authorization:
        case "NONE":
            return call
        case "AWS_IAM":
            return replace(call, signer=verify(request.method, request.target, request.headers, request.body))
        case "JWT" if route.authorizer in api.authorizers:
            return replace(call, claims=api.authorizers[route.authorizer].check(request, route.scopes, api.readings))
    raise GatewayError("AUTHORIZER_CONFIGURATION_ERROR", "Internal server error")


def allowed(own: set[str], of_the_api: set[str], *, anonymous: bool, without_policy: bool = False) -> bool:
    """For a caller of the API's own account, whose policy and the API's count alike, or for one without an account."""
    if "Deny" in own | of_the_api:
        return False
    return "Allow" in of_the_api or (without_policy if anonymous else "Allow" in own)


def effects(policy: Sequence[Statement], resource: str, facts: Mapping[str, str | None]) -> set[str]:
    """What the statements about `stage/METHOD/path` say to a caller of whom this is known; no fact is None."""
    return {
        statement["Effect"]
        for statement in policy
        if _names(statement, facts["aws:principalarn"])
        and any(fnmatchcase(resource, _relative(pattern)) for pattern in _listed(statement["Resource"]))
        and all(
            holds(operator, key, _listed(values), facts)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    }


def _names(statement: Statement, principal: str | None) -> bool:
    if "Principal" not in statement:  # a policy of the caller's own
        return True
    named = statement["Principal"]
    arns = {named} if isinstance(named, str) else {*_listed(named.get("AWS", []))}
    if "*" in arns or principal in arns:
        return True
    # An Allow for the account only delegates: within the account the caller's own policy has to say so as well.
    return statement["Effect"] == "Deny" and principal is not None and not WHOLE_ACCOUNT.isdisjoint(arns)


def _relative(pattern: str) -> str:
    """Both forms that API Gateway takes: execute-api:/stage/METHOD/path and the full ARN."""
    return re.sub(r"^(execute-api:/|arn:[^/]*/)", "", pattern)


def holds(operator: str, key: str, wanted: list[Any], facts: Mapping[str, str | None]) -> bool:
    """A negated operator holds when the key is absent, as in AWS. Raises ValueError for what is not known here."""
    compare = COMPARISONS.get(operator.replace("Not", ""))
    if key.lower() not in facts or (compare is None and operator != "Null"):
        raise ValueError(f"the local gateway does not know the condition {operator} of {key}")
    fact = facts[key.lower()]
    if compare is None:
        return str(wanted[0]).lower() == ("true" if fact is None else "false")
    return (fact is not None and any(compare(fact, one) for one in wanted)) != ("Not" in operator)


def _in_network(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)


def _arn_like(arn: str, pattern: str) -> bool:
    """Each of the six parts by itself: a star does not reach beyond a colon."""
    parts, patterns = arn.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "IpAddress": _in_network,
    "ArnLike": _arn_like,
    "ArnEquals": _arn_like,
    "StringLike": fnmatchcase,
    "StringEquals": str.__eq__,
}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
