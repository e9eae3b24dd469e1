"""Who asks for voids: a fixed list of requests, or a merchant who does to the letter what our documentation says."""

from dataclasses import dataclass, replace
from typing import Any

ORDER, SECOND, THIRD = "order-1", "order-2", "order-3"
CURRENCY = "UAH"
PATIENCE_MS = (5_000, 180_000, 3_600_000, 86_400_000, 86_400_000, 604_800_000)
"""How long he waits after each 202 in a row before he reads again."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as the merchant means it."""

    key: str | None = None
    comment: str | None = None
    currency: str = CURRENCY
    order: str = ORDER


@dataclass(slots=True)
class Listed:
    """Requests one after the other, whatever is answered."""

    asks: tuple[Ask, ...]
    place: int = 0
    not_before: int = 0

    def next(self) -> Ask | None:
        """The next request; None: there is none."""
        return self.asks[self.place] if self.place < len(self.asks) else None

    def asked(self) -> None:
        """It was sent."""
        self.place += 1

    def answered(self, ask: Ask, answer: dict[str, Any] | None, now: int) -> None:
        """Nothing follows from it."""


@dataclass(slots=True)
class Obedient:
    """Follows docs/how-a-void-works.md and the texts of our answers until the order is voided or nothing is advised."""

    ask: Ask | None
    most: int
    """How often he asks at most."""
    keyless: bool = False
    """Where a new key or none is advised, he takes none."""
    asks: int = 0
    not_before: int = 0
    waits: int = 0
    end: str = ""
    """Why he stopped."""

    def next(self) -> Ask | None:
        """The next request; None: he is done."""
        return self.ask if self.asks < self.most else None

    def asked(self) -> None:
        """It was sent."""
        self.asks += 1

    def answered(self, ask: Ask, answer: dict[str, Any] | None, now: int) -> None:
        """Do as it says. `answer`: None if the function died before there was one."""
        if answer is None:
            self._again(now, 5_000)  # "My HTTP client timed out: send the same request again"
            return
        status, retry_after, body, problem = answer["status"], answer["retry_after"], answer["body"], answer["problem"]
        match problem or status:
            case 200:
                self._stop("voided")
            case 202:
                self._accepted(body, now)
            case "not-voidable" if body["void"]["reason"] == "already-captured":
                self._stop("captured")
            case "not-voidable":
                self._with_another_key(now)
            case "in-progress":
                self._again(now, max((retry_after or 0) * 1000, PATIENCE_MS[min(self.waits, len(PATIENCE_MS) - 1)]))
                self.waits += 1
            case "throttled" | "not-sent" | "provider-credentials" | "outcome-unknown":
                self._again(now, (retry_after or 60) * 1000)
            case "idempotency-mismatch":
                self._with_another_key(now)
            case "currency-mismatch":
                self._again(now, 86_400_000)
            case _:
                self._stop(str(problem or status))

    def _accepted(self, body: dict[str, Any], now: int) -> None:
        if body["resend_allowed"]:
            self._with_another_key(now)
            return
        self._again(now, PATIENCE_MS[min(self.waits, len(PATIENCE_MS) - 1)])
        self.waits += 1

    def _again(self, now: int, ms: int) -> None:
        self.not_before = now + ms

    def _with_another_key(self, now: int) -> None:
        assert self.ask is not None
        self.waits = 0
        self.not_before = now
        self.ask = replace(self.ask, key=None if self.keyless else f"own-{self.asks}")

    def _stop(self, why: str) -> None:
        self.end, self.ask = why, None


Merchant = Listed | Obedient
