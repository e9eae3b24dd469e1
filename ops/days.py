"""Days, months and moments as an operator writes them, all in UTC. Each reader raises OpsError for anything else."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from ops.places import OpsError


class Period(NamedTuple):
    """Whole days, both ends included, and as the API writes times their begin and the first moment after them."""

    first: date
    last: date
    begin: str
    end: str

    def holds(self, void: Mapping[str, Any]) -> bool:
        """Is it a void of these days? See `dated`."""
        return self.begin <= dated(void) < self.end


def dated(void: Mapping[str, Any]) -> str:
    """When it was settled, or else requested; what the portal alone has announced: when we first heard of it."""
    return str(void["settled_at"] or void["requested_at"] or void["history"][0]["at"])


def day(text: str) -> date:
    """`2026-11-24`."""
    with suppress(ValueError):
        found = date.fromisoformat(text)
        if found.isoformat() == text and 2000 <= found.year <= 9000:
            return found
    raise OpsError("a date is written as 2026-11-24")


def period(first: str, last: str) -> Period:
    """Two days, in their order."""
    begin, end = day(first), day(last)
    if end < begin:
        raise OpsError("the period ends before it begins")
    return Period(begin, end, *(f"{at.isoformat()}T00:00:00.000Z" for at in (begin, end + timedelta(days=1))))


def month(text: str) -> Period:
    """The days of `2026-11`."""
    if not re.fullmatch(r"\d{4}-\d{2}", text):
        raise OpsError("a month is written as 2026-11")
    first = day(f"{text}-01")
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return period(first.isoformat(), last.isoformat())


def moment(text: str, end: bool = False) -> datetime:
    """`2026-11-24` (its beginning, or with `end` its end) or `2026-11-24T10:10:00Z`."""
    with suppress(ValueError, OpsError):
        if len(text) == len("2026-11-24"):
            return datetime.combine(day(text) + timedelta(days=end), time(), UTC)
        found = datetime.fromisoformat(text)
        if found.tzinfo and 2000 <= found.year <= 9000:
            return found.astimezone(UTC)
    raise OpsError("a moment is written as 2026-11-24 or, with its zone, as 2026-11-24T10:10:00Z")


def now() -> datetime:
    return datetime.now(UTC)
