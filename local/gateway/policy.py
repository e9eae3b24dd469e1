"""Who may come in: the signature, the caller's own policy and the API's policy, together as AWS decides.

A condition that is not known here is an error and never passes silently.
"""

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from local.aws import ACCOUNT, REGION
from local.gateway.api import Api, Call, Statement
from local.gateway.exchange import GatewayError
from local.signature import Refused, verify

PRINCIPAL = f"arn:aws:iam::{ACCOUNT}:role/local-merchant"
CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/local-merchant/local"


def authorise(api: Api, call: Call) -> None:
    """Raises GatewayError unless the caller may use the route."""
    signed = call.route.authorization == "AWS_IAM"
    if signed:
        request = call.request
        try:
            verify(request.method, request.target, request.headers, request.body, REGION, datetime.now(UTC))
        except Refused as refused:
            raise GatewayError.of(refused) from None
    principal = PRINCIPAL if signed else None
    resource = f"{api.stage}/{call.method}{call.path}"
    own = effects(api.caller_policy, resource, principal, call.request.source_ip) if signed else set()
    of_the_api = effects(api.policy, resource, principal, call.request.source_ip)
    if not allowed(own, of_the_api, anonymous=not signed, without_policy=not api.policy):
        who = CALLER if signed else "anonymous"
        arn = f"arn:aws:execute-api:{REGION}:********{ACCOUNT[-4:]}:{api.api_id}/{resource}"
        explicitly = " with an explicit deny" if "Deny" in own | of_the_api else ""
        message = f"User: {who} is not authorized to perform: execute-api:Invoke on resource: {arn}{explicitly}"
        raise GatewayError("ACCESS_DENIED", message, member="Message")


def allowed(own: set[str], of_the_api: set[str], *, anonymous: bool, without_policy: bool = False) -> bool:
    """For a caller of the API's own account, whose policy and the API's count alike, or for nobody in particular."""
    if "Deny" in own | of_the_api:
        return False
    return "Allow" in of_the_api or (without_policy if anonymous else "Allow" in own)


def effects(policy: Sequence[Statement], resource: str, principal: str | None, source_ip: str) -> set[str]:
    """What the statements about `stage/METHOD/path` say to this principal; None is an unsigned caller."""
    return {
        statement["Effect"]
        for statement in policy
        if _names(statement, principal)
        and any(fnmatchcase(resource, _relative(pattern)) for pattern in _listed(statement["Resource"]))
        and all(
            _holds(operator, key, _listed(values), source_ip, principal)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    }


def _names(statement: Statement, principal: str | None) -> bool:
    if "Principal" not in statement:  # a policy of the caller's own
        return True
    named = statement["Principal"]
    arns = [named] if isinstance(named, str) else _listed(named.get("AWS", []))
    return "*" in arns or (
        principal is not None and not {principal, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"}.isdisjoint(arns)
    )


def _relative(pattern: str) -> str:
    """Both forms that API Gateway takes: execute-api:/stage/METHOD/path and the full ARN."""
    return re.sub(r"^(execute-api:/|arn:[^/]*/)", "", pattern)


def _holds(operator: str, key: str, wanted: list[str], source_ip: str, principal: str | None) -> bool:
    match key.lower():
        case "aws:sourceip":
            address = ipaddress.ip_address(source_ip)
            found = any(address in ipaddress.ip_network(network, strict=False) for network in wanted)
        case "aws:principalarn":
            found = any(fnmatchcase(principal or "", pattern) for pattern in wanted)
        case "aws:principalaccount":
            found = ACCOUNT in wanted and principal is not None
        case _:
            raise ValueError(f"the local gateway does not know the condition {key}")
    return found != ("Not" in operator)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
