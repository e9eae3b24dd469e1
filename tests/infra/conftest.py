"""Synthesises each environment once per test session; the tests read plain templates."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.account import Account
from infra.environment import CustomDomain, Environment, ReservedConcurrency, TokenIssuer
from infra.environments import ENVIRONMENTS
from local.assembly import assets
from tests import once
from tests.infra.stack import Stack, synthesise

# What a bank may switch on, all at once: no environment of ours has everything, so it is checked here.
EVERY_OPTION = Environment(
    name="prod", production=True, account="123456789012", pos_id="0a1b2c3d-51ef-4ef1-80f7-3b44b07b5667",
    callers=("arn:aws:iam::123456789012:role/orders",), operators=("arn:aws:iam::123456789012:role/payment-operations",),
    reserved_concurrency=ReservedConcurrency(submit_void=50, read_voids=20, receive_webhook=30, settle_voids=5),
    settle_workers=32, canary=True, own_key=True, keep_settled_days=400, alarm_email="night@example.com",
    alarm_topic_arns=("arn:aws:sns:eu-central-1:123456789012:pager",),
    web_acl_arn="arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/front/0a-1b",
    outcome_url="https://shop.example.com/hooks/void-settled?from=voids", outcome_secret_version="0a1b" * 8,
    outcome_secret_arn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/void-settled-AbCdEf",
    custom_domain=CustomDomain(
        name="voids.example.com", certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/0a-1b"
    ),
    close_default_address=True, token_callers=("shop",),
    table_stream_arn="arn:aws:dynamodb:eu-central-1:123456789012:table/copy/stream/2026-11-24T10:10:10.100",
    token_issuers=(TokenIssuer(url="https://id.example.com/", audiences=("voids",), scopes={"submit": "voids/submit", "read": "voids/read"}),),
)  # fmt: skip


Answers = Callable[[str], Stubber]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """answers(service): what AWS will say, in this order; a call that is not expected fails."""
    session: Any = boto3.Session(aws_access_key_id="fake", aws_secret_access_key="fake", region_name="eu-central-1")
    stubs: dict[str, Stubber] = {}

    def of(service: str) -> Stubber:
        if service not in stubs:
            stubs[service] = Stubber(session.client(service))
            stubs[service].activate()
        return stubs[service]

    monkeypatch.setattr(Account, "_client", lambda _self, service: of(service).client)
    yield of
    for stub in stubs.values():
        stub.assert_no_pending_responses()


@pytest.fixture(scope="session")
def asset() -> Path:
    """What is zipped and deployed as the code of all functions."""
    (asset,) = assets(once.synthesised("local")).values()
    return asset


@pytest.fixture(scope="session")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Environment], Stack]:
    return lambda environment: synthesise(environment, tmp_path_factory.mktemp("cloud-assembly"))


@pytest.fixture(scope="session")
def stacks(synthesised: Callable[[Environment], Stack]) -> dict[str, Stack]:
    """The environments, and `every option`: one that switches everything on."""
    return {name: synthesised(each) for name, each in {**ENVIRONMENTS, "every option": EVERY_OPTION}.items()}


@pytest.fixture(params=[*ENVIRONMENTS, "every option"])
def stack(request: pytest.FixtureRequest, stacks: dict[str, Stack]) -> Stack:
    return stacks[request.param]
