"""What may be set for an environment, with its default. What is set: `environments.py`.

A wrong value fails at synth with the environment's and the setting's name. No secret is ever written here.
"""

import ipaddress
import re
from dataclasses import asdict, dataclass
from typing import Literal

Scheme = Literal["CPAY", "CPAY-HMAC", "CPAY-SHA1"]

FINANCIAL_LINE = "https://api.finline.io"
FINANCIAL_LINE_ADDRESSES = ("35.187.74.148/32",)

# Days to the name that the CDK gives them: CloudWatch Logs accepts these periods only.
RETENTION = {
    7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 60: "TWO_MONTHS", 90: "THREE_MONTHS", 180: "SIX_MONTHS",
    365: "ONE_YEAR", 400: "THIRTEEN_MONTHS", 731: "TWO_YEARS", 1096: "THREE_YEARS", 1827: "FIVE_YEARS",
}  # fmt: skip


MOST_SETTLE_WORKERS = 64  # what `functions/payments/settings.py` accepts; docs/performance.md has their memory


@dataclass(frozen=True, kw_only=True)
class CustomDomain:
    name: str
    certificate_arn: str  # in the stack's own region


@dataclass(frozen=True, kw_only=True)
class Throttle:
    requests_per_second: int
    burst: int


@dataclass(frozen=True, kw_only=True)
class ReservedConcurrency:
    """What Lambda keeps free for a function, which is its limit too. None: it shares the account's."""

    submit_void: int | None = None
    read_voids: int | None = None
    receive_webhook: int | None = None
    settle_voids: int | None = None


SWITCHES = (
    "production", "canary", "snap_start", "own_key", "fixed_egress", "tracing", "termination_protection", "local",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Environment:
    name: str
    production: bool = False  # it releases real holds: `make deploy` refuses it while something is missing
    account: str | None = None  # None: the account of whoever deploys
    region: str = "eu-central-1"
    provider_url: str = FINANCIAL_LINE
    provider_scheme: Scheme = "CPAY"
    pos_id: str | None = None  # the provider's project that this environment's secret must hold; `make smoke` compares
    webhook_addresses: tuple[str, ...] = FINANCIAL_LINE_ADDRESSES
    callers: tuple[str, ...] = ()  # account ids and role ARNs; empty: the stack's own account
    merchant_throttle: Throttle = Throttle(requests_per_second=200, burst=400)
    webhook_throttle: Throttle = Throttle(requests_per_second=200, burst=400)
    reserved_concurrency: ReservedConcurrency = ReservedConcurrency()  # a new account's quota is too small for it
    settle_workers: int = 8  # questions that one settle run asks at once: what the provider has to bear
    canary: bool = False  # a release serves a tenth of the requests for a quarter of an hour; alarms take it back
    snap_start: bool = False  # quicker cold starts, at a price per version
    own_key: bool = False  # table, secret, variables, logs and topic under a key of this stack
    fixed_egress: bool = False  # the provider sees the same two addresses for ever: a VPC with two NAT gateways
    backup_days: int | None = None  # a daily copy of the table in a vault, kept so long
    web_acl_arn: str | None = None  # a regional web ACL of the account, in front of the API
    log_retention_days: int = 90
    alarm_email: str | None = None
    alarm_topic_arns: tuple[str, ...] = ()  # topics of a pager or a chat, which each alarm tells too
    custom_domain: CustomDomain | None = None  # the API's own address is closed then
    outcome_url: str | None = None  # where settled voids are posted to, besides the bus
    outcome_secret_arn: str | None = None  # JSON with `authorization`, the header of these posts; the merchant's own
    tracing: bool = True
    termination_protection: bool = False
    local: bool = False  # the provider's address, its trust and the public address are parameters of the stack

    @property
    def metrics_namespace(self) -> str:
        """Two environments in one account must not add up, nor wake anyone for the other."""
        return f"VoidService/{self.name}"

    def missing(self) -> list[str]:
        """What production may not be deployed without, each as `name.setting: why`."""
        if not self.production:
            return []
        needed = {
            "account": (self.account, "else whoever deploys decides which account has the real credentials"),
            "pos_id": (self.pos_id, "else nobody notices the credentials of another project"),
            "callers": (self.callers, "else every role of the account may release holds"),
            "alarm_email or alarm_topic_arns": (self.alarm_email or self.alarm_topic_arns, "else no alarm is read"),
        }
        return [f"{self.name}.{setting}: {why}" for setting, (value, why) in needed.items() if not value]

    def __post_init__(self) -> None:
        for setting, valid, expected in (
            ("name", re.fullmatch(r"[a-z][a-z0-9]{0,15}", self.name), "lower-case letters and digits"),
            ("account", self.account is None or is_account(self.account), "twelve digits or None"),
            ("region", re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region), "an AWS region such as eu-central-1"),
            ("provider_url", is_origin(self.provider_url), "https://host, without a path"),
            ("provider_scheme", self.provider_scheme in ("CPAY", "CPAY-HMAC", "CPAY-SHA1"), "a scheme of the provider"),
            ("pos_id", self.pos_id is None or is_pos_id(self.pos_id), "a UUID in lower case, or None"),
            ("webhook_addresses", are_networks(self.webhook_addresses), "networks such as 192.0.2.1/32, not everyone"),
            ("callers", all(is_account(c) or is_role(c) for c in self.callers), "account ids and role ARNs"),
            ("merchant_throttle", is_throttle(self.merchant_throttle), "at least 1, burst not below the rate"),
            ("webhook_throttle", is_throttle(self.webhook_throttle), "at least 1, burst not below the rate"),
            ("reserved_concurrency", all(value is None or value > 0 for value in
             asdict(self.reserved_concurrency).values()), "None or at least 1 for each function"),
            ("settle_workers", is_number_of_workers(self.settle_workers),
             f"a whole number from 1 to {MOST_SETTLE_WORKERS}"),
            *((switch, isinstance(getattr(self, switch), bool), "True or False") for switch in SWITCHES),
            ("backup_days", self.backup_days is None or self.backup_days > 0, "None or at least 1"),
            ("web_acl_arn", self.web_acl_arn is None or is_web_acl(self.web_acl_arn, self.region),
             f"None or the ARN of a regional web ACL in {self.region}"),
            ("log_retention_days", self.log_retention_days in RETENTION, f"one of {list(RETENTION)}"),
            ("alarm_email", self.alarm_email is None
             or re.fullmatch(r"[^@\s]+@[^@\s]+", self.alarm_email), "an address or None"),
            ("alarm_topic_arns", are_topics(self.alarm_topic_arns, self.region),
             f"at most four ARNs of topics in {self.region}, each once"),
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


def is_origin(url: str) -> bool:
    return re.fullmatch(r"https://[^/\s:]+(:\d{1,5})?", url) is not None


def is_pos_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


def are_networks(networks: tuple[str, ...]) -> bool:
    try:
        return bool(networks) and all(ipaddress.ip_network(network).prefixlen > 0 for network in networks)
    except ValueError:
        return False


def is_throttle(throttle: Throttle) -> bool:
    return 1 <= throttle.requests_per_second <= throttle.burst


def is_number_of_workers(workers: object) -> bool:
    return type(workers) is int and 1 <= workers <= MOST_SETTLE_WORKERS  # True is no number of workers


def are_topics(arns: tuple[str, ...], region: str) -> bool:
    """An alarm has at most five actions, and the stack's own topic is one. A FIFO topic takes none."""
    topic = re.compile(rf"arn:aws[a-z-]*:sns:{region}:\d{{12}}:[\w-]+")
    return len(set(arns)) == len(arns) <= 4 and all(topic.fullmatch(arn) for arn in arns)


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
