"""Who comes in where: the resource policy as AWS documents that it evaluates one, whatever a role's own policy allows."""

import json
from copy import replace

import pytest

from infra import callers
from infra.environment import Environment, TokenIssuer
from local.gateway.api import effects
from tests.infra.stack import Stack

OWN = "111122223333"
MERCHANT, DESK, OTHER = (f"arn:aws:iam::{OWN}:role/{name}" for name in ("shop", "desk", "other"))
ELSEWHERE = "arn:aws:iam::999999999999:role/shop"
ISSUER = TokenIssuer(url="https://id.example.com/", audiences=("voids",), scopes={"submit": "s", "read": "r"})

BOTH = Environment(name="test", callers=(MERCHANT,), operators=(DESK,))
DEFAULT = Environment(name="test", account=OWN)
TOKENS = replace(BOTH, token_issuers=(ISSUER,), token_callers=("shop",))
ABROAD = Environment(name="test", account=OWN, callers=("999999999999",))

SUBMIT, READS = "POST/voids", ("GET/voids", "GET/voids/123")
SUBMITS = (SUBMIT, "POST//voids", "POST/voids/")
DECIDES = ("POST/voids/123/decisions", "POST//voids/123/decisions", "POST/voids//123//decisions")
BY_TOKEN = ("POST/oauth/voids", "GET/oauth/voids", "GET/oauth/voids/1")


def lets_in(environment: Environment, principal: str | None, request: str) -> bool:
    """A Deny wins. In the API's own account either side's policy is enough, so a role there may allow itself everything.

    What another account is allowed, the one role there has from it.
    """
    written = json.dumps(callers.resource_policy(environment, "aws", OWN)["Statement"])
    statements = json.loads(written.replace(f"arn:aws:iam::{ABROAD.callers[0]}:root", ELSEWHERE))
    facts = {"aws:PrincipalArn": principal, "aws:SourceIp": "192.0.2.1"}
    by_itself = {"Allow"} if f"::{OWN}:" in str(principal) else set()
    return effects(statements, f"v1/{request}", facts) | by_itself == {"Allow"}


@pytest.mark.parametrize(
    ("environment", "principal", "routes", "comes_in"),
    [
        (BOTH, MERCHANT, (SUBMIT, *READS), True),
        (BOTH, MERCHANT, DECIDES, False),
        (BOTH, DESK, (DECIDES[0], *READS), True),
        (BOTH, DESK, SUBMITS, False),
        (BOTH, OTHER, (*SUBMITS, *READS, *DECIDES), False),
        (BOTH, ELSEWHERE, (*SUBMITS, *READS, *DECIDES), False),
        (DEFAULT, OTHER, (SUBMIT, *READS), True),
        (DEFAULT, OTHER, DECIDES, False),
        (DEFAULT, ELSEWHERE, (*SUBMITS, *READS), False),
        (replace(DEFAULT, operators=(DESK,)), DESK, (SUBMIT, DECIDES[0]), True),  # its account may call
        (ABROAD, ELSEWHERE, (SUBMIT, *READS), True),
        (ABROAD, OTHER, (*SUBMITS, *READS), False),
        (TOKENS, None, BY_TOKEN, True),
        (TOKENS, None, ("POST/oauth/voids/1/decisions", SUBMIT, *READS, *DECIDES), False),
        (TOKENS, OTHER, (*SUBMITS, *BY_TOKEN), False),
        (TOKENS, MERCHANT, (SUBMIT, *READS), True),
        (BOTH, None, (*SUBMITS, *READS, *DECIDES, *BY_TOKEN, callers.WEBHOOK), False),
    ],
)
def test_who_comes_in_where(
    environment: Environment, principal: str | None, routes: tuple[str, ...], comes_in: bool
) -> None:
    assert {route: lets_in(environment, principal, route) for route in routes} == dict.fromkeys(routes, comes_in)


def test_a_role_that_was_made_again_is_still_the_caller() -> None:
    # A role that is a principal itself becomes its id; as a condition it stays a name.
    allowed = callers.resource_policy(BOTH, "aws", OWN)["Statement"][1]
    assert allowed["Principal"] == {"AWS": [f"arn:aws:iam::{OWN}:root"]}
    assert allowed["Condition"] == {"ArnLike": {"aws:PrincipalArn": [MERCHANT]}}


def test_a_policy_that_api_gateway_would_refuse_for_its_length_fails_by_the_settings_names() -> None:
    roles = [f"arn:aws:iam::{n:012}:role/{'r' * 22}" for n in range(100)]
    assert callers.resource_policy(Environment(name="prod", callers=tuple(roles[:40])), "aws", OWN)
    with pytest.raises(ValueError, match=r"^prod\.callers and operators: expected a policy of at most 8192 characters"):
        callers.resource_policy(Environment(name="prod", callers=tuple(roles)), "aws", OWN)


def test_anyone_at_the_providers_addresses_may_call_the_webhook_and_only_that(stacks: dict[str, Stack]) -> None:
    for name, addresses in (("test", ["35.187.74.148/32"]), ("local", ["127.0.0.1/32"])):
        statements = stacks[name].one("ApiGateway::RestApi")["Policy"]["Statement"]
        open_to_all = [each for each in statements if (each["Principal"], each["Effect"]) == ({"AWS": "*"}, "Allow")]
        assert open_to_all[0]["Resource"] == "execute-api:/v1/POST/webhooks/financial-line"
        assert open_to_all[0]["Condition"] == {"IpAddress": {"aws:SourceIp": addresses}}
        assert [each["Sid"] for each in open_to_all[1:]] == ["TokensUseVoids"] * (name == "local")
