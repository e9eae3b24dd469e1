"""Who may come in: the signature or token, the caller's own policy and the API's policy, together as AWS decides.

A condition that is not known here is an error and never passes silently.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from copy import replace
from fnmatch import fnmatchcase
from typing import Any

from local.aws import ACCOUNT
from local.exchange import GatewayError
from local.gateway.api import Api, Call, Statement
from local.signature import verify

WHOLE_ACCOUNT = {ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"}


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
            return replace(call, claims=api.authorizer.check(request, route.scopes, api.readings))
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
