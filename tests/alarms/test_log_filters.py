"""Metric filters on lines of JSON, after the examples of AWS's page, and the two filters of the template."""

from typing import Any

import pytest

from tests.alarms import log_filters
from tests.alarms.account import Account
from tests.alarms.service import START

LINE = '{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "status": "403", "refused_as": "-"}'


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ('{ $.eventType = "Update*" }', True),
        ('{ $.eventType = "*Trail" }', True),
        ('{ $.eventType = "*" }', True),
        ('{ $.eventType = "Trail" }', False),
        ('{ $.sourceIPAddress != "123.123.*" }', True),
        ('{ $.refused_as != "-" }', False),
        ('{ $.unknown != "-" }', False),
        ('{ ($.status = "403") && ($.refused_as = "-") }', True),
        ('{ $.status = "500" || $.status = "403" && $.refused_as = "x" }', False),
        ('{ ($.status = "500" || $.status = "403") && $.refused_as = "-" }', True),
    ],
)
def test_patterns(pattern: str, matches: bool) -> None:
    assert log_filters.matches(pattern, LINE) is matches
    assert log_filters.matches(pattern, "no JSON") is False


@pytest.mark.parametrize(
    "pattern", ["ERROR", "{ $.status > 400 }", '{ $.status = "4*3" }', '{ $.status = "403" } x', "{ $.status IS NULL }"]
)
def test_patterns_that_are_not_known_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        log_filters.matches(pattern, LINE)


@pytest.mark.parametrize(
    ("method", "route", "status", "refused_as", "counted"),
    [
        ("POST", "/voids", 200, None, set()),
        ("POST", "/voids", 400, None, set()),
        ("POST", "/voids", 502, None, set()),  # the provider refuses our credentials
        ("POST", "/voids", 503, None, set()),  # nothing could be sent
        ("POST", "/voids", 500, None, {"AnswersLost"}),
        ("GET", "/voids/{order_id}", 500, None, {"AnswersLost"}),
        ("POST", "/webhooks/financial-line", 500, None, set()),  # not stored, so that the provider sends it again
        ("POST", "/webhooks/financial-line", 500, "DEFAULT_5XX", {"AnswersLost"}),
        ("POST", "/voids", 504, "INTEGRATION_TIMEOUT", {"AnswersLost"}),
        ("POST", "/voids", 429, "THROTTLED", set()),
        ("POST", "/voids", 403, "ACCESS_DENIED", {"CallersRefused"}),
        ("GET", "/voids/{order_id}", 403, "INVALID_SIGNATURE", {"CallersRefused"}),
        ("POST", "/webhooks/financial-line", 403, "ACCESS_DENIED", set()),
        ("GET", "-", 403, "MISSING_AUTHENTICATION_TOKEN", set()),
    ],
)
def test_what_the_access_log_counts(
    template: dict[str, Any], method: str, route: str, status: int, refused_as: str | None, counted: set[str]
) -> None:
    account = Account(template)
    account.answered(method, route, START, status, refused_as)
    found = {
        name
        for (_, name, _), minutes in account.metrics.published().items()
        if name in ("AnswersLost", "CallersRefused") and any(point.value for each in minutes.values() for point in each)
    }
    assert found == counted
