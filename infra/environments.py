"""The environments as frozen values: the only place where they differ.

A wrong value fails at synth with the environment's and the setting's name. No secret is ever written here.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["CPAY", "CPAY-HMAC", "CPAY-SHA1"]

FINANCIAL_LINE = "https://api.finline.io"
FINANCIAL_LINE_ADDRESSES = ("35.187.74.148/32",)

# What the local engine refuses to deploy. Nothing that the behaviour of a void depends on may be on this list.
# Of pipes it knows the type but neither filters, nor templates, nor a bus as the target.
NOT_DEPLOYED_LOCALLY = frozenset({"AWS::Logs::QueryDefinition", "AWS::Pipes::Pipe"})

# Days to the name that the CDK gives them: CloudWatch Logs accepts these periods only.
RETENTION = {
    7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 60: "TWO_MONTHS", 90: "THREE_MONTHS", 180: "SIX_MONTHS",
    365: "ONE_YEAR", 400: "THIRTEEN_MONTHS", 731: "TWO_YEARS", 1096: "THREE_YEARS", 1827: "FIVE_YEARS",
}  # fmt: skip


SWITCHES = ("canary", "snap_start", "own_key", "tracing", "termination_protection", "local")


@dataclass(frozen=True, kw_only=True)
class CustomDomain:
    name: str
    certificate_arn: str  # in the stack's own region


@dataclass(frozen=True, kw_only=True)
class Throttle:
    requests_per_second: int
    burst: int


@dataclass(frozen=True, kw_only=True)
class Environment:
    name: str
    account: str | None = None  # None: the account of whoever deploys
    region: str = "eu-central-1"
    provider_url: str = FINANCIAL_LINE
    provider_scheme: Scheme = "CPAY"
    pos_id: str | None = None  # the provider's project that this environment's secret must hold; `make smoke` compares
    webhook_addresses: tuple[str, ...] = FINANCIAL_LINE_ADDRESSES
    callers: tuple[str, ...] = ()  # account ids and role ARNs; empty: the stack's own account
    merchant_throttle: Throttle = Throttle(requests_per_second=200, burst=400)
    webhook_throttle: Throttle = Throttle(requests_per_second=200, burst=400)
    submit_reserved_concurrency: int | None = None  # None: a new account's quota is too small to reserve from
    canary: bool = False  # a release serves a tenth of the requests for five minutes; alarms take it back
    snap_start: bool = False  # quicker cold starts, at a price per version
    own_key: bool = False  # table, secret, logs and topic under a key of this stack; new from the first deployment only
    web_acl_arn: str | None = None  # a regional web ACL of the account, in front of the API
    log_retention_days: int = 90
    alarm_email: str | None = None
    custom_domain: CustomDomain | None = None
    outcome_url: str | None = None  # where settled voids are posted to, besides the bus
    outcome_secret_arn: str | None = None  # JSON with `authorization`, the header of these posts; the merchant's own
    tracing: bool = True
    termination_protection: bool = False
    local: bool = False  # the provider's address, its trust and the public address are parameters of the stack

    @property
    def metrics_namespace(self) -> str:
        """Two environments in one account must not add up, nor wake anyone for the other."""
        return f"VoidService/{self.name}"

    def __post_init__(self) -> None:
        for setting, valid, expected in (
            ("name", re.fullmatch(r"[a-z][a-z0-9]{0,15}", self.name), "lower-case letters and digits"),
            ("account", self.account is None or is_account(self.account), "twelve digits or None"),
            ("region", re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region), "an AWS region such as eu-central-1"),
            ("provider_url", re.fullmatch(r"https://[^/\s]+", self.provider_url), "https://host, without a path"),
            ("provider_scheme", self.provider_scheme in ("CPAY", "CPAY-HMAC", "CPAY-SHA1"), "a scheme of the provider"),
            ("pos_id", self.pos_id is None or is_pos_id(self.pos_id), "a UUID in lower case, or None"),
            ("webhook_addresses", are_networks(self.webhook_addresses), "networks such as 192.0.2.1/32, not everyone"),
            ("callers", all(is_account(c) or is_role(c) for c in self.callers), "account ids and role ARNs"),
            ("merchant_throttle", is_throttle(self.merchant_throttle), "at least 1, burst not below the rate"),
            ("webhook_throttle", is_throttle(self.webhook_throttle), "at least 1, burst not below the rate"),
            ("submit_reserved_concurrency", self.submit_reserved_concurrency is None
             or self.submit_reserved_concurrency > 0, "None or at least 1"),
            *((switch, isinstance(getattr(self, switch), bool), "True or False") for switch in SWITCHES),
            ("web_acl_arn", self.web_acl_arn is None or is_web_acl(self.web_acl_arn, self.region),
             f"None or the ARN of a regional web ACL in {self.region}"),
            ("log_retention_days", self.log_retention_days in RETENTION, f"one of {list(RETENTION)}"),
            ("alarm_email", self.alarm_email is None
             or re.fullmatch(r"[^@\s]+@[^@\s]+", self.alarm_email), "an address or None"),
            ("custom_domain", self.custom_domain is None or is_domain(self.custom_domain, self.region),
             f"a host name and the ARN of a certificate in {self.region}"),
            ("outcome_url", self.outcome_url is None or is_endpoint(self.outcome_url),
             "https://host/path in ASCII, without a user, a fragment or *, or None"),
            ("outcome_secret_arn", (self.outcome_secret_arn is None) == (self.outcome_url is None)
             and (self.outcome_secret_arn is None or is_secret(self.outcome_secret_arn, self.region)),
             f"the ARN of a secret in {self.region} with outcome_url, None without"),
        ):  # fmt: skip
            if not valid:
                raise ValueError(f"{self.name}.{setting} = {getattr(self, setting)!r}: expected {expected}")


def is_account(text: str) -> bool:
    return re.fullmatch(r"\d{12}", text) is not None


def is_role(text: str) -> bool:
    return re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", text) is not None


def is_pos_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


def are_networks(networks: tuple[str, ...]) -> bool:
    try:
        return bool(networks) and all(ipaddress.ip_network(network).prefixlen > 0 for network in networks)
    except ValueError:
        return False


def is_throttle(throttle: Throttle) -> bool:
    return 1 <= throttle.requests_per_second <= throttle.burst


def is_domain(domain: CustomDomain, region: str) -> bool:
    certificate = rf"arn:aws[a-z-]*:acm:{region}:\d{{12}}:certificate/[\w-]+"
    named = re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", domain.name) is not None
    return named and re.fullmatch(certificate, domain.certificate_arn) is not None


def is_web_acl(arn: str, region: str) -> bool:
    return re.fullmatch(rf"arn:aws[a-z-]*:wafv2:{region}:\d{{12}}:regional/webacl/[\w-]+/[\w-]+", arn) is not None


def is_endpoint(url: str) -> bool:
    """What an API destination accepts, without the `*` that would stand for a part that nobody fills."""
    part = r"[\w.~!$&'()+,;=:@%/-]"
    return (
        len(url) <= 2048 and re.fullmatch(rf"https://[\w.-]+(:\d+)?(/{part}*)?(\?{part}*)?", url, re.ASCII) is not None
    )


def is_secret(arn: str, region: str) -> bool:
    return re.fullmatch(rf"arn:aws[a-z-]*:secretsmanager:{region}:\d{{12}}:secret:[\w/+=.@-]+", arn) is not None


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment(name="test"),
        Environment(name="prod", log_retention_days=400, termination_protection=True, canary=True),
        Environment(
            name="local",
            local=True,
            webhook_addresses=("127.0.0.1/32",),
            pos_id="dc728de1-51ef-4ef1-80f7-3b44b07b5667",  # the sandbox's, from the provider's published examples
        ),
    )
}


def refuse_a_shared_project(known: Iterable[Environment]) -> None:
    """Two environments with one `pos_id`: a void of `test` would release a real hold."""
    owners: dict[str, str] = {}
    for environment in known:
        if environment.pos_id is not None:
            owner = owners.setdefault(environment.pos_id, environment.name)
            if owner != environment.name:
                raise ValueError(
                    f"{environment.name}.pos_id = {environment.pos_id!r}: expected another than that of {owner}"
                )


refuse_a_shared_project(ENVIRONMENTS.values())


def named(name: str) -> Environment:
    if name not in ENVIRONMENTS:
        raise ValueError(f"environment = {name!r}: expected one of {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name]
