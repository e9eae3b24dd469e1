"""A record as the table holds it, read directly and never through the code under test."""

import json
from datetime import datetime
from functools import cached_property
from typing import Any

from tests.fakes.table import Item

RANK = {"submitting": 0, "unknown": 1, "pending": 2, "failed": 3, "voided": 4}
REACHED_NOTHING = ("not-sent", "throttled", "provider-credentials")
WINDOW_MS = 145_000
"""Lease and settle window: only a query that begins so long after the request can show an absence."""


def moment(text: str) -> int:
    """A timestamp in milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class Record:
    """One item with a void."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.pos_id: str = item["pos_id"]["S"]
        self.order: str = item["order_id"]["S"]
        self.state: str = item["state"]["S"]
        self.reason: str | None = item["reason"]["S"] if "reason" in item else None
        self.review: bool = item["review"]["BOOL"]
        self.corrected: bool = item["corrected"]["BOOL"]
        self.resend_allowed: bool = item["resend_allowed"]["BOOL"]
        self.number = int(item["attempt"]["N"])
        self.currency: str | None = item["order_currency"]["S"] if "order_currency" in item else None
        self.due_at: int | None = int(item["due_at"]["N"]) if "due_at" in item else None

    @cached_property
    def details(self) -> dict[str, Any]:
        """What outsiders do not read; what is empty is left out."""
        parsed: dict[str, Any] = json.loads(self.item["details"]["S"])
        return parsed

    @cached_property
    def provider(self) -> dict[str, Any] | None:
        """The provider's fields."""
        return json.loads(self.item["provider"]["S"]) if "provider" in self.item else None

    @property
    def attempt(self) -> dict[str, Any] | None:
        """The newest attempt."""
        return self.details.get("attempt")

    @property
    def attempt_id(self) -> str | None:
        """Its id."""
        return None if self.attempt is None else self.attempt["id"]

    @property
    def known_since(self) -> int:
        """When it was requested or first reported."""
        return int(self.attempt["requested_at"] if self.attempt is not None else self.history[0][0])

    @property
    def history(self) -> list[list[Any]]:
        """Moment, state and evidence of each change."""
        lines: list[list[Any]] = self.details.get("history", [])
        return lines

    @property
    def under_way(self) -> list[str]:
        """What webhooks have shown under way."""
        ids: list[str] = self.details.get("under_way", [])
        return ids

    @property
    def ids(self) -> set[str]:
        """Every id of an operation in it."""
        own = (self.attempt or {}).get("ids", [])
        return {*own, *self.details.get("all_ids", []), *self.details.get("ids_before_attempt", []), *self.under_way}

    @property
    def settled(self) -> bool:
        """Is nothing open?"""
        return self.state in ("failed", "voided")

    @property
    def reached_nothing(self) -> bool:
        """Did it fail before anything was done, so that the merchant repeats it?"""
        return self.state == "failed" and self.reason in REACHED_NOTHING

    @property
    def webhooks(self) -> Item:
        """The stored webhooks."""
        stored: Item = self.item["webhooks"]["M"]
        return stored

    def __str__(self) -> str:
        return f"{self.state}{f' ({self.reason})' if self.reason else ''}"
