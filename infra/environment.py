"""What may be set for an environment, with its default. What is set: `environments.py`.

A wrong value fails at synth with the environment's and the setting's name. No secret is ever written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from infra import wrong_settings

Scheme = Literal["CPAY", "CPAY-HMAC", "CPAY-SHA1"]

FINANCIAL_LINE = "https://api.finline.io"
FINANCIAL_LINE_ADDRESSES = ("35.187.74.148/32",)


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
    decide: int | None = None


@dataclass(frozen=True, kw_only=True)
class TokenIssuer:
    """Whoever issues tokens to callers outside AWS: any OpenID Connect issuer whose documents are public."""

    url: str  # exactly the tokens' `iss`, a slash at its end included
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = ("RS256",)
    caller_claim: str = "client_id"  # the claim that names the client
    scopes: Mapping[str, str]  # what a token must hold to `submit`, and to `read`


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
    operators: tuple[str, ...] = ()  # account ids and role ARNs that may read and decide; empty: nobody decides
    token_issuers: tuple[TokenIssuer, ...] = ()  # for callers outside AWS: the routes under /v1/oauth
    token_callers: tuple[str, ...] = ()  # the clients of these issuers that may come in
    merchant_throttle: Throttle = Throttle(requests_per_second=200, burst=400)
    webhook_throttle: Throttle = Throttle(requests_per_second=200, burst=400)
    reserved_concurrency: ReservedConcurrency = ReservedConcurrency()  # a new account's quota is too small for it
    settle_workers: int = 8  # questions that one settle run asks at once: what the provider has to bear
    keep_settled_days: int | None = None  # what is settled, confirmed and read goes after so long; None: it stays
    canary: bool = False  # a release serves a tenth of the requests for a quarter of an hour; alarms take it back
    own_key: bool = False  # table, secret, variables, logs and topic under a key of this stack
    web_acl_arn: str | None = None  # a regional web ACL of the account, in front of the API
    log_retention_days: int = 90
    alarm_email: str | None = None
    alarm_topic_arns: tuple[str, ...] = ()  # topics of a pager or a chat, which each alarm tells too
    custom_domain: CustomDomain | None = None
    close_default_address: bool = False  # the second step: only the domain is left
    settled_events: bool = True  # False: without the pipe, while a lost table is brought back
    table_stream_arn: str | None = None  # the stream of a table that was brought back; None: the table's first
    outcome_url: str | None = None  # where settled voids are posted to, besides the bus
    outcome_secret_arn: str | None = None  # JSON with `authorization`, the header of these posts; the merchant's own
    outcome_secret_version: str | None = None  # the secret's VersionId: another one is what has it read again
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
        wrong_settings.refuse(self)
