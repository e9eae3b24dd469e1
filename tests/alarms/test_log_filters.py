"""Metric filters on lines of JSON, after the examples of AWS's page, and the two filters of the template."""

import json
from typing import Any

import pytest

from tests import once
from tests.alarms import log_filters
from tests.alarms.account import OURS, Account

LINE = '{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "status": "403", "refused_as": "-"}'
MERCHANT, ONE, WEBHOOK = ("POST", "/voids"), ("GET", "/voids/{order_id}"), ("POST", "/webhooks/financial-line")
BY_TOKEN = ("POST", "/oauth/voids")


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.eventType = "UpdateTrail" }', True), ('{ $.eventType = "Update*" }', True), ('{ $.eventType = "*Trail" }', True),
        ('{ $.eventType = "*" }', True), ('{ $.eventType = "Trail" }', False), ('{ $.sourceIPAddress != "123.123.*" }', True),
        ('{ $.refused_as != "-" }', False), ('{ $.unknown != "-" }', False),
        ('{ ($.status = "403") && ($.refused_as = "-") }', True),
        ('{ $.status = "500" || $.status = "403" && $.refused_as = "x" }', False),
        ('{ ($.status = "500" || $.status = "403") && $.refused_as = "-" }', True),
    ],
)  # fmt: skip
def test_patterns(pattern: str, matches: bool) -> None:
    assert log_filters.matches(pattern, LINE) is matches
    assert log_filters.matches(pattern, "no JSON") is False


@pytest.mark.parametrize("pattern", ["ERROR", "{ $.a > 400 }", '{ $.a = "4*3" }', '{ $.a = "4" } x', "{ $.a IS NULL }"])
def test_patterns_that_are_not_known_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        log_filters.matches(pattern, LINE)


@pytest.mark.parametrize(
    ("route", "status", "refused_as", "account", "counted"),
    [
        (MERCHANT, 200, None, OURS, None), (MERCHANT, 400, None, OURS, None),
        (MERCHANT, 502, None, OURS, None),  # the provider refuses our credentials
        (MERCHANT, 503, None, OURS, None),  # nothing could be sent
        (MERCHANT, 500, None, OURS, "AnswersLost"), (ONE, 500, None, OURS, "AnswersLost"),
        (BY_TOKEN, 500, None, None, "AnswersLost"),
        (WEBHOOK, 500, None, None, None),  # not stored, so that the provider sends it again
        (WEBHOOK, 500, "DEFAULT_5XX", None, "AnswersLost"), (MERCHANT, 504, "INTEGRATION_TIMEOUT", OURS, "AnswersLost"),
        (MERCHANT, 429, "THROTTLED", OURS, None),
        (MERCHANT, 403, "ACCESS_DENIED", OURS, "CallersRefused"), (ONE, 403, "INVALID_SIGNATURE", OURS, "CallersRefused"),
        (MERCHANT, 403, "ACCESS_DENIED", "999988887777", None), (MERCHANT, 403, "MISSING_AUTHENTICATION_TOKEN", None, None),
        (WEBHOOK, 403, "ACCESS_DENIED", None, None), (("GET", "-"), 403, "MISSING_AUTHENTICATION_TOKEN", None, None),
    ],
)  # fmt: skip
def test_what_the_access_log_counts(
    template: dict[str, Any], route: Any, status: int, refused_as: str | None, account: str | None, counted: str | None
) -> None:
    assert counted_in(template, *route, status, refused_as, account) == counted


@pytest.mark.parametrize(
    ("route", "status", "refused_as", "client", "counted"),
    [
        (BY_TOKEN, 403, "ACCESS_DENIED", "shop", "CallersRefused"),  # its token lacks the scope
        (("GET", "/oauth/voids/{order_id}"), 403, None, "shop", "CallersRefused"),  # no longer one of `token_callers`
        (BY_TOKEN, 401, "UNAUTHORIZED", None, None),  # anybody can send a token that is none
        (BY_TOKEN, 403, "ACCESS_DENIED", None, None),  # whose claims AWS does not log: only the caller notices
        (BY_TOKEN, 200, None, "shop", None),
    ],
)  # fmt: skip
def test_what_the_access_log_counts_of_callers_by_token(
    route: Any, status: int, refused_as: str | None, client: str | None, counted: str | None
) -> None:
    template = json.loads((once.synthesised("local") / "VoidService-local.template.json").read_text("utf-8"))
    assert counted_in(template, *route, status, refused_as, None, client) == counted


def counted_in(template: dict[str, Any], *answer: Any) -> str | None:
    service = Account(template)
    service.answered(*answer)
    return next((name for _, name, _ in service.metrics.published()), None)
