"""Who may use which route, in the words of IAM: the API's resource policy, and what a caller's own role must allow.

Within the stack's own account an identity policy alone would open a door, so each list has a Deny for everybody else.
Never imports the CDK: `partition` and `account` may be its tokens.
"""

import json
from collections.abc import Iterable
from typing import Any

from infra.environment import Environment

STAGE = "v1"
WEBHOOK = "POST/webhooks/financial-line"
SUBMIT = "POST/voids"
READ = ("GET/voids", "GET/voids/*")
DECIDE = "POST/voids/*/decisions"
BY_TOKEN = ("POST/oauth/voids", "GET/oauth/voids", "GET/oauth/voids/*")
# AWS finds the route of //voids and of voids/ as well: whether it asks the policy about the path as it was sent or
# about the route is not known. So a Deny names more than a route: for decisions every POST that leads further than to
# submit.
EVERY_VOID = "*voids*"
EVERY_SUBMIT = ("POST/*voids", "POST/*voids/")
EVERY_DECISION = "POST/*voids*/?*"

LONGEST = 8_192  # characters that API Gateway takes as a policy

EVERYBODY = {"AWS": "*"}

Policy = dict[str, Any]


def resource_policy(environment: Environment, partition: str, account: str) -> Policy:
    """Raises ValueError, with the settings' names, if API Gateway would refuse it for its length."""
    length = len(json.dumps(written(environment, "aws-us-gov", "0" * 12), separators=(",", ":")))
    if length > LONGEST:
        raise ValueError(
            f"{environment.name}.callers and operators: expected a policy of at most {LONGEST} characters, "
            f"these make {length}: name accounts instead of roles, or roles by shorter names"
        )
    return written(environment, partition, account)


def written(environment: Environment, partition: str, account: str) -> Policy:
    callers, operators = environment.callers or (environment.account or account,), environment.operators

    def roles(principals: Iterable[str]) -> Policy:
        arns = [each if each.startswith("arn:") else f"arn:{partition}:iam::{each}:*" for each in principals]
        return {"aws:PrincipalArn": arns}

    def allow(sid: str, principals: Iterable[str], *routes: str) -> Policy:
        # AWS turns a role that is a principal into its id, which the role made again would not have. So the account
        # only delegates, and the condition says which of its roles come in.
        accounts = dict.fromkeys(f"arn:{partition}:iam::{account_of(each)}:root" for each in principals)
        return statement(sid, "Allow", {"AWS": [*accounts]}, routes, {"ArnLike": roles(principals)})

    strangers: Policy = {"ArnNotLike": roles(dict.fromkeys((*callers, *operators)))}
    if environment.token_issuers:  # a token has no principal, and a negated condition is true without its key
        strangers["Null"] = {"aws:PrincipalArn": "false"}
    only_decide = [each for each in operators if environment.callers and not is_one_of(callers, each)]
    from_provider = {"IpAddress": {"aws:SourceIp": list(environment.webhook_addresses)}}
    statements = [
        statement("ProviderSendsWebhooks", "Allow", EVERYBODY, [WEBHOOK], from_provider),
        allow("CallersUseVoids", callers, SUBMIT, *READ),
        operators and allow("OperatorsReadAndDecide", operators, *READ, DECIDE),
        environment.token_issuers and statement("TokensUseVoids", "Allow", EVERYBODY, BY_TOKEN),
        statement("NobodyElseUsesVoids", "Deny", EVERYBODY, [EVERY_VOID], strangers),
        only_decide and statement("OperatorsDoNotSubmit", "Deny", EVERYBODY, EVERY_SUBMIT,
                                  {"ArnLike": roles(only_decide)}),
        statement("NobodyElseDecides", "Deny", EVERYBODY, [EVERY_DECISION],
                  {"ArnNotLike": roles(operators)} if operators else None),
    ]  # fmt: skip
    return {"Version": "2012-10-17", "Statement": [each for each in statements if each]}


def account_of(principal: str) -> str:
    return principal.split(":")[4] if principal.startswith("arn:") else principal


def is_one_of(callers: Iterable[str], operator: str) -> bool:
    """Also as a role of an account that may call, or as an account of which a role may."""
    return any(
        operator == caller or (account_of(operator) == account_of(caller) and caller.isdigit() | operator.isdigit())
        for caller in callers
    )


def statement(sid: str, effect: str, who: Policy, routes: Iterable[str], condition: Policy | None = None) -> Policy:
    which = [f"execute-api:/{STAGE}/{route}" for route in routes]
    said = {"Sid": sid, "Effect": effect, "Principal": who, "Action": "execute-api:Invoke", "Resource": which}
    return said | ({"Condition": condition} if condition else {})


def identity_policy(api: str, routes: Iterable[str]) -> Policy:
    """What a role must be allowed, ready to paste. `api`: the ARN of the API."""
    used = [f"{api}/{STAGE}/{route}" for route in routes]
    allowed = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": used}
    return {"Version": "2012-10-17", "Statement": [allowed]}
