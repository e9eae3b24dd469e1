"""Who comes in, said by the policy that is deployed and judged as AWS documents it, in one table."""

import json
from typing import Any

import pytest

from infra import callers
from infra.environment import Environment, TokenIssuer
from local.gateway.policy import allowed, effects

ACCOUNT, OTHER = "123456789012", "210987654321"
MERCHANT, DESK = f"arn:aws:iam::{ACCOUNT}:role/orders", f"arn:aws:iam::{ACCOUNT}:role/platform/desk"
STRANGER, ABROAD = f"arn:aws:iam::{ACCOUNT}:role/anything", f"arn:aws:iam::{OTHER}:role/orders"
ROUTES = {
    "submit": "v1/POST/voids",
    "list": "v1/GET/voids",
    "read": "v1/GET/voids/1",
    "decide": "v1/POST/voids/1/decisions",
    "token": "v1/POST/oauth/voids",
    "token read": "v1/GET/oauth/voids/1",
}
READS = {"list", "read"}
ISSUER = TokenIssuer(url="https://id.example.com", audiences=("voids",), scopes={"submit": "void", "read": "see"})


def comes_in(environment: Environment, principal: str | None) -> set[str]:
    """The routes that a role may use whose own policy allows everything; None: whoever signs nothing."""
    policy = callers.resource_policy(environment, "aws", ACCOUNT)["Statement"]
    facts = {"aws:sourceip": "192.0.2.1", "aws:principalarn": principal}
    own = {"Allow"} if principal else set()
    # Of another account: there both policies have to allow it, and the principal is named by its account's root.
    named = [each | {"Principal": "*"} if is_of(each, principal) else each for each in policy]
    found = {name: effects(named, route, facts) for name, route in ROUTES.items()}
    abroad = principal is not None and ACCOUNT not in principal
    return {
        name
        for name, said in found.items()
        if allowed(own, said, anonymous=principal is None) and not (abroad and "Allow" not in said)
    }


def is_of(statement: dict[str, Any], principal: str | None) -> bool:
    account = principal.split(":")[4] if principal else "nobody"
    return f"arn:aws:iam::{account}:root" in statement["Principal"]["AWS"]


TABLE: list[tuple[dict[str, Any], dict[str | None, set[str]]]] = [
    ({}, {MERCHANT: {"submit"} | READS, STRANGER: {"submit"} | READS, ABROAD: set(), None: set()}),
    ({"callers": (MERCHANT,)}, {MERCHANT: {"submit"} | READS, STRANGER: set(), ABROAD: set(), None: set()}),
    ({"callers": (OTHER,)}, {MERCHANT: set(), ABROAD: {"submit"} | READS, None: set()}),
    ({"callers": (ABROAD,)}, {STRANGER: set(), ABROAD: {"submit"} | READS, f"{ABROAD}-2": set()}),
    (
        {"callers": (MERCHANT,), "operators": (DESK,)},
        {MERCHANT: {"submit"} | READS, DESK: {"decide"} | READS, STRANGER: set(), ABROAD: set(), None: set()},
    ),
    ({"callers": (MERCHANT, DESK), "operators": (DESK,)}, {DESK: {"submit", "decide"} | READS}),
    ({"operators": (DESK,)}, {MERCHANT: {"submit"} | READS, DESK: {"submit", "decide"} | READS}),
    (
        {"callers": (MERCHANT,), "operators": (DESK,), "token_issuers": (ISSUER,), "token_callers": ("shop",)},
        # Past the policy: the token itself is checked by the authorizer.
        {None: {"token", "token read"}, STRANGER: set(), DESK: {"decide"} | READS},
    ),
]


@pytest.mark.parametrize(("settings", "routes"), TABLE)
def test_who_may_use_which_route(settings: dict[str, Any], routes: dict[str | None, set[str]]) -> None:
    environment = Environment(name="test", **settings)
    for principal, expected in routes.items():
        by_role = {"token", "token read"} if principal else set()
        assert comes_in(environment, principal) - by_role == expected, principal


def test_no_spelling_of_a_path_leads_past_the_refusals() -> None:
    environment = Environment(name="test", callers=(MERCHANT,), operators=(DESK,))
    policy = callers.resource_policy(environment, "aws", ACCOUNT)["Statement"]
    paths = {
        STRANGER: ("GET/voids", "GET//voids", "GET/voids/", "GET//voids//1", "POST/voids", "POST//voids/"),
        MERCHANT: ("POST/voids/1/decisions", "POST//voids/1/decisions", "POST/voids//1/decisions/"),
        DESK: ("POST/voids", "POST//voids", "POST/voids/"),
    }
    for principal, spelled in paths.items():
        for path in spelled:
            facts = {"aws:sourceip": "192.0.2.1", "aws:principalarn": principal}
            assert "Deny" in effects(policy, f"v1/{path}", facts), (principal, path)


def test_a_role_made_again_still_matches() -> None:
    # AWS would turn a role that is a principal into its id: so only accounts are principals.
    policy = callers.resource_policy(Environment(name="test", callers=(MERCHANT,), operators=(DESK,)), "aws", ACCOUNT)
    principals = {arn for each in policy["Statement"] for arn in listed(each["Principal"]["AWS"])}
    assert principals == {"*", f"arn:aws:iam::{ACCOUNT}:root"}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_policy_that_aws_would_refuse_for_its_length_fails_with_the_settings_names() -> None:
    def of(number: int) -> Environment:
        return Environment(name="prod", callers=tuple(f"arn:aws:iam::{ACCOUNT}:role/{n:022}" for n in range(number)))

    assert len(json.dumps(callers.resource_policy(of(40), "aws", ACCOUNT), separators=(",", ":"))) < callers.LONGEST
    with pytest.raises(ValueError, match=r"^prod\.callers and operators: expected a policy of at most 8192 characters"):
        callers.resource_policy(of(80), "aws", ACCOUNT)
