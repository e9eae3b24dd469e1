"""A wrong setting never reaches AWS: it fails with the environment's name, the setting's and what was expected.

And docs/settings.md says what the code says: every setting with its default, every variable with its functions.
"""

import json
from copy import replace
from dataclasses import MISSING, fields
from typing import Any

import pytest

from infra import environments
from infra.environment import CustomDomain, Environment, ReservedConcurrency, Throttle, TokenIssuer
from infra.environments import ENVIRONMENTS
from infra.functions import FUNCTIONS
from infra.synth import ROOT
from tests.infra.stack import Stack

TOPIC = "arn:aws:sns:eu-central-1:123456789012:pager"
ACCOUNT_TWICE = ("123456789012", "123456789012")
WRONG: dict[str, list[Any]] = {
    "name": ["Prod!"],
    "account": ["12345"],
    "region": ["frankfurt"],
    "provider_url": ["http://api.finline.io", "https://api.finline.io/api/v1"],
    "provider_scheme": ["BASIC"],
    "pos_id": ["12345", "DC728DE1-51EF-4EF1-80F7-3B44B07B5667", "dc728de1-51ef-4ef1-80f7-3b44b07b5667\n"],
    "webhook_addresses": [(), ("0.0.0.0/0",), ("finline.io",)],
    "callers": [("*",), ("arn:aws:iam::123456789012:user/someone",), ACCOUNT_TWICE],
    "operators": [("*",), ACCOUNT_TWICE],
    "merchant_throttle": [Throttle(requests_per_second=0, burst=1)],
    "webhook_throttle": [Throttle(requests_per_second=10, burst=1)],
    "reserved_concurrency": [ReservedConcurrency(settle_voids=0)],
    "settle_workers": [0, 65, True, "8"],
    "alarm_topic_arns": [
        (TOPIC.replace("eu-central", "us-east"),), (f"{TOPIC}.fifo",), (TOPIC, TOPIC), tuple(f"{TOPIC}-{n}" for n in range(5))
    ],
    "log_retention_days": [45],
    "alarm_email": ["nobody"],
    "production": [None], "canary": ["yes"], "own_key": [1], "tracing": ["on"], "settled_events": ["no"],
    "web_acl_arn": ["arn:aws:wafv2:us-east-1:123456789012:global/webacl/front/0a-1b"],
    "outcome_url": ["http://shop.example.com/hook", "https://user:secret@shop.example.com/hook", "https://shop.example.com/*",
                    "https://shop.example.com/hook#part"],
    "outcome_secret_arn": ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop-AbCdEf"],  # without a URL
    "outcome_secret_version": ["a1b2c3d4-5678-90ab-cdef-EXAMPLE11111"],  # without a secret
    "custom_domain": [CustomDomain(name="voids", certificate_arn="arn:aws:acm:us-east-1:1:certificate/x")],
    "close_default_address": [True],  # without another door
    "keep_settled_days": [399, True],
    "table_stream_arn": ["arn:aws:dynamodb:us-east-1:123456789012:table/x/stream/2026"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "value"), [(setting, each) for setting, values in WRONG.items() for each in values]
)
def test_a_wrong_value_fails_with_its_name(setting: str, value: Any) -> None:
    settings = {"name": "prod", setting: value}
    with pytest.raises(ValueError, match=rf"^{settings['name']}\.{setting} = "):
        Environment(**settings)


@pytest.mark.parametrize("secret", [None, "shop", "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-AbCdEf"])
def test_an_endpoint_for_outcomes_needs_a_secret_of_the_same_region(secret: str | None) -> None:
    with pytest.raises(ValueError, match=r"^prod\.outcome_secret_arn = .*: expected (a|the ARN of a) secret "):
        Environment(name="prod", outcome_url="https://shop.example.com/hook", outcome_secret_arn=secret)


ISSUER = TokenIssuer(url="https://id.example.com/", audiences=("voids",), scopes={"submit": "void", "read": "see"})


@pytest.mark.parametrize(
    ("issuers", "callers", "expected"),
    [
        ([{"url": "http://id.example.com/"}], "shop", "https"),
        ([{"url": "https://id.example.com/?a"}], "shop", "https"),
        ([{}, {}], "shop", "each url once"),
        ([{"audiences": ()}], "shop", "audience"),
        ([{"audiences": ("",)}], "shop", "audience"),
        ([{"algorithms": ("HS256",)}], "shop", "HMAC"),
        ([{"algorithms": ("none",)}], "shop", "HMAC"),
        ([{"algorithms": ()}], "shop", "HMAC"),
        ([{}, {"url": "https://two.example.com", "algorithms": ("ES256",)}], "shop", "the same algorithms"),
        ([{"scopes": {"submit": "a", "read": "a"}}], "shop", "once"),
        ([{"scopes": {"submit": "a"}}], "shop", "scopes"),
        ([{"caller_claim": "a b"}], "shop", "caller_claim"),
        ([], "shop", "token_issuers"),
        ([{}], "", "clients"),
        ([{}], "shop shop", "each caller once"),
        ([{}], "a,b", "visible"),
        ([{}], "a#b", "visible"),
    ],
)
def test_tokens_that_would_open_more_than_meant_are_refused_by_name(
    issuers: list[dict[str, Any]], callers: str, expected: str
) -> None:
    with pytest.raises(ValueError, match=rf"^prod\.token_(issuers|callers) = .*{expected}"):
        of_tokens(issuers, callers)
    assert of_tokens([{}], "shop !~-").token_issuers == (ISSUER,)


def of_tokens(issuers: list[dict[str, Any]], callers: str) -> Environment:
    known = tuple(replace(ISSUER, **each) for each in issuers)
    return Environment(name="prod", token_issuers=known, token_callers=tuple(callers.split()))


def test_an_unknown_environment_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="'staging': expected one of test, prod, local"):
        environments.named("staging")


def test_prod_differs_from_test_only_in_what_it_protects() -> None:
    test, prod = ENVIRONMENTS["test"], ENVIRONMENTS["prod"]
    different = {each.name for each in fields(Environment) if getattr(test, each.name) != getattr(prod, each.name)}
    # Whose provider's project it is does not change what the stack does.
    protects = {"production", "log_retention_days", "termination_protection", "canary"}
    assert different - {"pos_id"} == {"name", *protects}


def test_the_project_of_one_environment_is_not_anothers() -> None:
    pos_id = "0a1b2c3d-51ef-4ef1-80f7-3b44b07b5667"
    test, prod = Environment(name="test", pos_id=pos_id), Environment(name="prod", pos_id=pos_id)
    with pytest.raises(ValueError, match=rf"^prod\.pos_id = '{pos_id}': expected another than that of test$"):
        environments.refuse_a_shared_project([test, prod])
    environments.refuse_a_shared_project([test, Environment(name="prod")])


def test_only_prod_refuses_to_be_taken_down(stacks: dict[str, Stack]) -> None:
    for name in ENVIRONMENTS:
        manifest = json.loads((stacks[name].assembly / "manifest.json").read_text("utf-8"))
        stack = manifest["artifacts"][f"VoidService-{name}"]["properties"]
        assert stack.get("terminationProtection", False) is (name == "prod")


# ---- docs/settings.md ------------------------------------------------------------------------------------------------


def rows(heading: str) -> dict[str, list[str]]:
    """First column -> the others, of the table below the heading."""
    section = (ROOT / "docs" / "settings.md").read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line[:3] == "| `"]
    return {first.strip(" `"): [each.strip() for each in others] for first, *others in lines}


def test_every_setting_of_an_environment_is_documented_with_its_default_and_its_place() -> None:
    declared = {each.name: "" if each.default is MISSING else f"`{each.default!r}`" for each in fields(Environment)}
    documented = {name: default for name, (default, _) in rows("Of an environment").items()}
    assert [*documented.items()] == [*declared.items()]


def test_every_variable_is_documented_with_the_functions_that_have_it(stacks: dict[str, Stack]) -> None:
    deployed: dict[str, set[str]] = {}
    for function, each in stacks["local"].functions.items():
        for name in each["Environment"]["Variables"]:
            deployed.setdefault(name, set()).add(function)
    stated = {name: whose.replace("all", ", ".join(FUNCTIONS)) for name, (whose, _) in rows("Of a function").items()}
    assert stated.pop("KEEP_SETTLED_DAYS") == "", "no environment of ours sets it"
    assert deployed == {name: {*whose.split(", ")} for name, whose in stated.items()}


def test_what_prod_has_beyond_the_default_is_said_where_the_setting_is() -> None:
    default, prod = Environment(name="prod"), ENVIRONMENTS["prod"]
    different = {each.name for each in fields(Environment) if getattr(prod, each.name) != getattr(default, each.name)}
    assert {name for name, (_, meaning) in rows("Of an environment").items() if "`prod`" in meaning} == different
