"""Which value of a setting is wrong, and what is expected instead. The settings themselves: `environment.py`."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.environment import CustomDomain, Environment, Throttle, TokenIssuer

# Days to the name that the CDK gives them: CloudWatch Logs accepts these periods only.
RETENTION = {
    7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 60: "TWO_MONTHS", 90: "THREE_MONTHS", 180: "SIX_MONTHS",
    365: "ONE_YEAR", 400: "THIRTEEN_MONTHS", 731: "TWO_YEARS", 1096: "THREE_YEARS", 1827: "FIVE_YEARS",
}  # fmt: skip
MOST_SETTLE_WORKERS = 64  # what `functions/payments/settings.py` accepts; docs/performance.md has their memory
FEWEST_DAYS = 400  # a record that is gone forgets its keys: a repetition of its request would be a new one
# Of signatures that API Gateway checks. With HMAC whoever checks could issue; `none` is no signature.
ALGORITHMS = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}

Check = tuple[str, Callable[["Environment"], object], str]


def matching(setting: str, pattern: str, expected: str) -> Check:
    """A text of this form. `REGION` in the pattern stands for the environment's."""
    return setting, lambda e: re.fullmatch(pattern.replace("REGION", e.region), getattr(e, setting)), expected


def each_once(setting: str, pattern: str, expected: str, most: int = 1000) -> Check:
    """Several texts of this form."""

    def right(e: "Environment") -> bool:
        given, form = getattr(e, setting), re.compile(pattern.replace("REGION", e.region))
        return len({*given}) == len(given) <= most and all(map(form.fullmatch, given))

    return setting, right, expected


def or_none(check: Check) -> Check:
    setting, right, expected = check
    return setting, lambda e: getattr(e, setting) is None or right(e), f"{expected}, or None"


def switch(setting: str) -> Check:
    return setting, lambda e: isinstance(getattr(e, setting), bool), "True or False"


def of_each_issuer(right: Callable[["TokenIssuer"], object], expected: str) -> Check:
    return "token_issuers", lambda e: all(map(right, e.token_issuers)), expected


ACCOUNT = r"\d{12}"
PRINCIPAL = rf"{ACCOUNT}|arn:aws[a-z-]*:iam::\d{{12}}:role/[\w+=,.@/-]+"
WEB_ACL = r"arn:aws[a-z-]*:wafv2:REGION:\d{12}:regional/webacl/[\w-]+/[\w-]+"
STREAM = r"arn:aws[a-z-]*:dynamodb:REGION:\d{12}:table/[\w.-]+/stream/[\w:.-]+"
SECRET = r"arn:aws[a-z-]*:secretsmanager:REGION:\d{12}:secret:[\w/+=.@-]+"
TOPIC = r"arn:aws[a-z-]*:sns:REGION:\d{12}:[\w-]+"
ISSUER = r"(?a)https://[\w.-]+(:\d+)?(/[^\s?#]*)?"
CLIENT = r"[!\"$-+\--~]{1,128}"
# What an API destination accepts, without the `*` that would stand for a part that nobody fills.
ENDPOINT = r"(?a)(?!.{2049})https://[\w.-]+(:\d+)?(/[\w.~!$&'()+,;=:@%/-]*)?(\?[\w.~!$&'()+,;=:@%/-]*)?"

CHECKS: tuple[Check, ...] = (
    matching("name", r"[a-z][a-z0-9]{0,15}", "lower-case letters and digits"),
    or_none(matching("account", ACCOUNT, "twelve digits")),
    matching("region", r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as eu-central-1"),
    matching("provider_url", r"https://[^/\s:]+(:\d{1,5})?", "https://host, without a path"),
    ("provider_scheme", lambda e: e.provider_scheme in ("CPAY", "CPAY-HMAC", "CPAY-SHA1"), "a scheme of the provider"),
    or_none(matching("pos_id", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a UUID in lower case")),
    ("webhook_addresses", lambda e: are_networks(e.webhook_addresses), "networks such as 192.0.2.1/32, not everyone"),
    each_once("callers", PRINCIPAL, "account ids and role ARNs, each once"),
    each_once("operators", PRINCIPAL, "account ids and role ARNs, each once"),
    of_each_issuer(lambda i: re.fullmatch(ISSUER, i.url), "a url of https with a host, without user, query, fragment"),
    ("token_issuers", lambda e: len({i.url for i in e.token_issuers}) == len(e.token_issuers), "each url once"),
    of_each_issuer(lambda i: i.audiences and all(i.audiences), "at least one audience of each issuer, and none empty"),
    of_each_issuer(lambda i: i.algorithms and {*i.algorithms} <= ALGORITHMS,
                   f"algorithms of {sorted(ALGORITHMS)}: neither HMAC nor none"),
    ("token_issuers", lambda e: all(map(have_scopes, e.token_issuers)), "scopes for submit and for read, each once"),
    of_each_issuer(lambda i: re.fullmatch(r"[A-Za-z_]\w*", i.caller_claim), "a caller_claim of letters, digits and _"),
    ("token_issuers", lambda e: len({(i.algorithms, i.caller_claim) for i in e.token_issuers}) <= 1,
     "the same algorithms and caller_claim for all: the API has one list, the functions read one claim"),
    ("token_callers", lambda e: not e.token_callers or e.token_issuers, "token_issuers with it"),
    ("token_callers", lambda e: e.token_callers or not e.token_issuers, "the clients that may come in"),
    each_once("token_callers", CLIENT, "each caller once, of visible ASCII characters without , and #"),
    ("merchant_throttle", lambda e: is_throttle(e.merchant_throttle), "at least 1, burst not below the rate"),
    ("webhook_throttle", lambda e: is_throttle(e.webhook_throttle), "at least 1, burst not below the rate"),
    ("reserved_concurrency", lambda e: all(v is None or v > 0 for v in asdict(e.reserved_concurrency).values()),
     "None or at least 1 for each function"),
    ("settle_workers", lambda e: is_whole(e.settle_workers) and 1 <= e.settle_workers <= MOST_SETTLE_WORKERS,
     f"a whole number from 1 to {MOST_SETTLE_WORKERS}"),
    or_none(("keep_settled_days", lambda e: is_whole(e.keep_settled_days) and (e.keep_settled_days or 0) >= FEWEST_DAYS,
             f"a whole number of at least {FEWEST_DAYS}")),
    or_none(matching("web_acl_arn", WEB_ACL, "the ARN of a regional web ACL in the stack's region")),
    ("log_retention_days", lambda e: e.log_retention_days in RETENTION, f"one of {list(RETENTION)}"),
    or_none(matching("alarm_email", r"[^@\s]+@[^@\s]+", "an address")),
    # An alarm has at most five actions, and the stack's own topic is one. A FIFO topic takes none.
    each_once("alarm_topic_arns", TOPIC, "at most four ARNs of topics in the stack's region, each once", most=4),
    or_none(("custom_domain", lambda e: e.custom_domain and is_domain(e.custom_domain, e.region),
             "a host name and the ARN of a certificate in the stack's region")),
    ("close_default_address", lambda e: not e.close_default_address or e.custom_domain, "a custom_domain with it"),
    or_none(matching("table_stream_arn", STREAM, "the ARN of a table's stream in the stack's region")),
    or_none(matching("outcome_url", ENDPOINT, "https://host/path in ASCII, without a user, a fragment or *")),
    ("outcome_secret_arn", lambda e: (e.outcome_secret_arn is None) == (e.outcome_url is None),
     "a secret exactly with outcome_url"),
    or_none(matching("outcome_secret_arn", SECRET, "the ARN of a secret in the stack's region")),
    or_none(("outcome_secret_version", lambda e: e.outcome_secret_arn, "an outcome_secret_arn with it")),
    or_none(matching("outcome_secret_version", r"[A-Za-z0-9-]{32,64}", "the VersionId of the secret's value")),
)  # fmt: skip


def refuse(environment: "Environment") -> None:
    """Raises ValueError for the first setting that is wrong, with its name."""
    switches = (switch(each.name) for each in fields(environment) if each.type is bool)
    for setting, right, expected in (*CHECKS, *switches):
        if not right(environment):
            value = getattr(environment, setting)
            raise ValueError(f"{environment.name}.{setting} = {value!r}: expected {expected}")


def is_whole(number: Any) -> bool:
    return type(number) is int  # True is no number


def are_networks(networks: tuple[str, ...]) -> bool:
    try:
        return bool(networks) and all(ipaddress.ip_network(network).prefixlen > 0 for network in networks)
    except ValueError:
        return False


def have_scopes(issuer: "TokenIssuer") -> bool:
    named = [*issuer.scopes.values()]
    one_word = all(re.fullmatch(r"[!-~]+", scope) for scope in named)
    return {*issuer.scopes} == {"submit", "read"} and one_word and len({*named}) == len(named)


def is_throttle(throttle: "Throttle") -> bool:
    return 1 <= throttle.requests_per_second <= throttle.burst


def is_domain(domain: "CustomDomain", region: str) -> bool:
    certificate = rf"arn:aws[a-z-]*:acm:{region}:\d{{12}}:certificate/[\w-]+"
    host = re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", domain.name)
    return host is not None and re.fullmatch(certificate, domain.certificate_arn) is not None
