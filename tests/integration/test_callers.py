"""Who may do what at the local gateway: conditions, principals, the merchant and the operator."""

from typing import Any

import pytest

from local.aws import ACCOUNT
from local.gateway.policy import effects, holds
from local.merchant import Caller
from local.signature import MERCHANT, OPERATOR, Signer
from tests.integration.front_door import DEPLOYED, ROLES, ROOT, ROUTES, spoken

ROLE = ROLES[MERCHANT]
HERE = {"aws:sourceip": "127.0.0.1", "aws:principalarn": ROLE, "aws:principalaccount": ACCOUNT}
NOBODY = HERE | {"aws:principalarn": None, "aws:principalaccount": None}


@pytest.mark.parametrize(("operator", "key", "wanted", "by_a_role", "by_nobody"), [
    ("ArnLike", "aws:PrincipalArn", [f"arn:aws:iam::{ACCOUNT}:*"], True, False),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:*", ROLE], True, False),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:*:role/local-merchant"], False, False),  # a star ends at a colon
    ("ArnNotLike", "aws:PrincipalArn", [ROLE], False, True),  # negated: true without its key
    ("ArnNotLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:*"], True, True),
    ("Null", "aws:PrincipalArn", ["false"], True, False), ("Null", "aws:PrincipalArn", [True], False, True),
    ("StringEquals", "aws:PrincipalAccount", [ACCOUNT], True, False), ("StringNotEquals", "aws:PrincipalAccount", [ACCOUNT], False, True),
    ("IpAddress", "aws:SourceIp", ["127.0.0.0/8"], True, True), ("NotIpAddress", "aws:SourceIp", ["35.187.74.148/32"], True, True),
    ("StringEquals", "aws:SourceVpc", ["x"], ValueError, ValueError), ("BinaryEquals", "aws:SourceIp", ["x"], ValueError, ValueError),
])  # fmt: skip
def test_a_condition_holds_as_in_aws_and_an_unknown_one_never(
    operator: str, key: str, wanted: list[Any], by_a_role: Any, by_nobody: Any
) -> None:
    for facts, expected in ((HERE, by_a_role), (NOBODY, by_nobody)):
        if expected is ValueError:
            with pytest.raises(ValueError, match="does not know the condition"):
                holds(operator, key, wanted, facts)
        else:
            assert holds(operator, key, wanted, facts) == expected


@pytest.mark.parametrize(("effect", "principal", "expected"), [
    ("Allow", ROOT, set()), ("Allow", ACCOUNT, set()), ("Allow", ROLE, {"Allow"}), ("Deny", ROOT, {"Deny"}),
    ("Deny", "arn:aws:iam::111111111111:root", set()), ("Allow", "*", {"Allow"}),
])  # fmt: skip
def test_an_account_that_is_allowed_only_delegates(effect: str, principal: str, expected: set[str]) -> None:
    statement = {"Effect": effect, "Principal": {"AWS": principal}, "Resource": "execute-api:/v1/GET/voids"}
    assert effects([statement], "v1/GET/voids", HERE) == expected
    assert effects([statement], "v1/GET/voids", NOBODY) == (expected if principal == "*" else set())


@pytest.mark.parametrize(("who", "statuses"), [(MERCHANT, (200, 200, 200, 403)), (OPERATOR, (403, 200, 200, 200))])
def test_the_merchant_submits_and_the_operator_decides(who: Signer, statuses: tuple[int, ...]) -> None:
    for (method, resource), status in zip(ROUTES, statuses, strict=True):
        path = f"/v1{resource.replace('{order_id}', '1')}"
        headers = Caller("http://local", "eu-central-1", who.access_key, who.secret_key).signed(method, path)
        reply = spoken(DEPLOYED, f"{method} {path}", tuple(map(": ".join, headers.items())), host="local")
        assert (reply.status, len(reply.events)) == (status, int(status == 200)), (path, reply.text)
        if status == 200:
            identity = reply.events[0]["requestContext"]["identity"]
            assert identity["userArn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{who.role}/{who.access_key}"
            assert identity["accessKey"] == who.access_key
