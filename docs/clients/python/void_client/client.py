"""`VoidClient.void` returns when the hold is released, and raises in every other case. `AsyncVoidClient` awaits it.

It repeats only what the contract declares safe to repeat, always with the key that it was given, and never reads "not
known" as "not voided".
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Literal, cast
from urllib.parse import quote, urlencode, urljoin

import urllib3
from botocore.credentials import Credentials

from .errors import NEW_KEY, REVIEW, Answer, NotVoided, RepeatLater, VoidError, error, not_understood
from .records import Ruling, VoidRecord, VoidWithWebhooks
from .transport import ClientCredentials, Log, Signature, Transport

JSON = {"Content-Type": "application/json"}
Listed = Literal["unsettled", "review", "settled"]


def check(right: object, wrong: str) -> None:
    """Arguments are checked when a call is made, before anything is signed or sent."""
    if not right:
        raise error("invalid-argument", wrong)


def fits(value: object, pattern: str) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(pattern, value, re.DOTALL))


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TEXT = "[^\ud800-\udfff]"  # half a surrogate is no text


class VoidClient:
    """`url` is the API with its stage. Give a `region` to sign, with botocore's credentials, or `tokens` for …/oauth.

    `timeout` bounds one request, in seconds: the API answers within 29. Proxy variables are not read; a proxy or a CA
    of your own is a `pool`, for example urllib3.ProxyManager. `log` is given a mapping for each answer and each pause.
    """

    def __init__(
        self, url: str, region: str | None = None, *, credentials: Credentials | None = None,
        tokens: ClientCredentials | None = None, timeout: float = 35.0,
        pool: urllib3.PoolManager | None = None, log: Log | None = None,
    ) -> None:  # fmt: skip
        check(fits(url, r"https?://[^/?#\s]+(/[^?#\s]*)?"), f"not the URL of an API: {url!r}")
        check(fits(region, "[a-z0-9-]+") if tokens is None else region is None, "either a region or tokens are needed")
        check(is_number(timeout) and timeout > 0, "the timeout is a number of seconds above 0")
        self.url, self._tokens = url.rstrip("/"), tokens
        self.transport = Transport(tokens or Signature(region or "", credentials), timeout, pool, log)

    def __enter__(self) -> VoidClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self.transport.pool.clear()

    def void(
        self, order_id: str, order_currency: str, *, idempotency_key: str, comment: str | None = None,
        wait: float = 120.0,
    ) -> VoidRecord:  # fmt: skip
        """Release the hold of an order, and wait up to `wait` seconds for the outcome. Returns only a voided record.

        Keep one key with each decision to void, and give it whenever you ask again. With `wait=0` one request is sent.
        """
        voiding = Voiding(self, order_id, order_currency, idempotency_key, comment, wait)
        while True:
            try:
                if record := voiding.take(self.transport.call(*voiding.request())):
                    return record
            except VoidError as cause:
                time.sleep(voiding.pause(cause))

    def read(self, order_id: str, *, refresh: bool = False) -> VoidWithWebhooks:
        """The record of an order's void; `refresh` has the provider queried first. Sent once."""
        check(isinstance(refresh, bool), "refresh is true or false")
        answer = self.transport.call("GET", self.place(order_id) + ("?refresh=true" if refresh else ""))
        return cast(VoidWithWebhooks, record_of(answer, order_id))

    def decide(self, order_id: str, decision: Ruling, *, revision: str, note: str) -> VoidWithWebhooks:
        """An operator's decision about what the read with this `revision` showed. Sent once, and safe to repeat."""
        url = f"{self.place(order_id)}/decisions"
        check(self._tokens is None, "decisions are signed: no token opens them")
        check(decision in ("reviewed", "not-voided", "voided"), "a decision is reviewed, not-voided or voided")
        check(fits(revision, "[0-9a-f]{16}"), "a revision has 16 hex digits")
        check(fits(note, TEXT + "{1,500}"), "a note has 1 to 500 characters")
        body = json.dumps({"decision": decision, "revision": revision, "note": note}).encode()
        return cast(VoidWithWebhooks, record_of(self.transport.call("POST", url, body, JSON), order_id))

    def voids(self, state: Listed = "unsettled", *, day: str | None = None) -> Iterator[VoidRecord]:
        """The voids that are open, that must be reviewed, or that were settled on a `day` (UTC); page by page."""
        check(state in ("unsettled", "review", "settled"), "a list is unsettled, review or settled")
        dated = fits(day, "[0-9]{4}-[0-9]{2}-[0-9]{2}") if state == "settled" else day is None
        check(dated, "the settled voids, and only those, are listed by a day like 2026-11-30")
        return self._pages({"limit": "100", "state": state} | ({"day": day} if day else {}))

    def _pages(self, query: dict[str, str]) -> Iterator[VoidRecord]:
        while True:
            answer = self.transport.call("GET", f"{self.url}/voids?{urlencode(query)}")
            voids, cursor = answer.document.get("voids"), answer.document.get("cursor")
            if not isinstance(voids, list):
                raise not_understood(answer)
            yield from voids
            if not cursor:
                return
            query["cursor"] = cursor

    def place(self, order_id: str) -> str:
        """The URL of an order's void."""
        # No order has such an id, and in a path they mean something else.
        check(fits(order_id, TEXT + "+") and order_id not in (".", ".."), "no order has this id")
        return f"{self.url}/voids/{quote(order_id, safe='')}"


class AsyncVoidClient:
    """The same for asyncio: each request is sent in a thread, and pauses hold up nothing.

    A task that is cancelled stops waiting; a request that is under way may still arrive.
    """

    def __init__(self, client: VoidClient) -> None:
        self._client = client

    async def __aenter__(self) -> AsyncVoidClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.close()

    async def void(
        self, order_id: str, order_currency: str, *, idempotency_key: str, comment: str | None = None,
        wait: float = 120.0,
    ) -> VoidRecord:  # fmt: skip
        voiding = Voiding(self._client, order_id, order_currency, idempotency_key, comment, wait)
        while True:
            try:
                if record := voiding.take(await asyncio.to_thread(self._client.transport.call, *voiding.request())):
                    return record
            except VoidError as cause:
                await asyncio.sleep(voiding.pause(cause))

    async def read(self, order_id: str, *, refresh: bool = False) -> VoidWithWebhooks:
        return await asyncio.to_thread(self._client.read, order_id, refresh=refresh)

    async def decide(self, order_id: str, decision: Ruling, *, revision: str, note: str) -> VoidWithWebhooks:
        return await asyncio.to_thread(self._client.decide, order_id, decision, revision=revision, note=note)

    async def voids(self, state: Listed = "unsettled", *, day: str | None = None) -> AsyncIterator[VoidRecord]:
        found = self._client.voids(state, day=day)
        while (record := await asyncio.to_thread(next, found, None)) is not None:
            yield record


class Voiding:
    """One call of `void`: the next request, and what each answer or error means after all that was said before."""

    def __init__(
        self, client: VoidClient, order_id: str, order_currency: str, key: str, comment: str | None, wait: float
    ) -> None:
        self._client, self._order_id, self._place = client, order_id, client.place(order_id)
        check(fits(order_currency, TEXT + "+"), "the currency is a text")
        check(fits(key, "[ -~]{1,255}"), "an idempotency key has 1 to 255 printable ASCII characters")
        check(comment is None or fits(comment, TEXT + "*"), "the comment is a text")
        check(is_number(wait) and wait >= 0, "the seconds to wait are a number, 0 or more")
        wanted = {"order_id": order_id, "order_currency": order_currency}
        self._body = json.dumps(wanted if comment is None else {**wanted, "comment": comment}).encode()
        self._headers = JSON | {"Idempotency-Key": key}
        self._deadline, self._pause = time.monotonic() + wait, 0.0
        self._location, self._refresh = "", ""  # once it is accepted, the intent is durable: it is enough to read
        self._record: VoidRecord | None = None
        self._open = ""  # the problem that names what a POST was, or may have been, accepted for

    def request(self) -> tuple[str, str, bytes, dict[str, str]]:
        if not self._location:
            return "POST", f"{self._client.url}/voids", self._body, self._headers
        refresh, self._refresh = self._refresh, ""
        return "GET", self._location + refresh, b"", {}

    def take(self, answer: Answer) -> VoidRecord | None:
        """The voided record; None if the next request is due at once; an open void is raised."""
        record = record_of(answer, self._order_id)
        reading, self._record = bool(self._location), record
        if record["state"] == "voided":
            return record
        if record["state"] == "failed":
            if not reading:
                raise not_understood(answer)  # a refusal is a problem document
            self._location = ""  # what that means for this key, the service says when it is asked with this key
            return None
        if not reading:
            found, base = urljoin(f"{self._client.url}/voids", answer.location), re.escape(f"{self._client.url}/voids/")
            # A place outside of this API gets no authorized request.
            self._location = found if re.fullmatch(base + "[^/?#]+", found) else self._place
            self._refresh, self._open = "?refresh=true", "not-settled-yet"
        advice = NEW_KEY if record.get("resend_allowed") else REVIEW if record.get("review") else ""
        raise error("not-settled-yet", "the outcome is not known yet", advice, answer, record)

    def pause(self, cause: VoidError) -> float:
        """Seconds until the next request; raises what the caller must know when there is none."""
        told, left = cause.retry_after, self._deadline - time.monotonic()
        first = 60 if cause.problem == "provider-credentials" else 5  # the operators act first
        self._pause = max(told, 1) if told is not None else min(max(self._pause * 2, first), 60)
        # Reading earlier than the service said does no harm; asking again may.
        pause = min(self._pause, left) if self._location or told is None else self._pause
        if cause.problem == "outcome-unknown":
            self._open = self._open or cause.problem
        resend = cause.record is not None and cause.record.get("resend_allowed")
        if not isinstance(cause, RepeatLater) or resend or left < 0.1 or pause > left:
            raise self._last(cause)
        told_of = {"event": "wait", "problem": cause.problem, "label": cause.label, "seconds": pause, "error": cause}
        self._client.transport.log(told_of)
        return pause

    def _last(self, cause: VoidError) -> VoidError:
        """Once a POST was accepted, or may have been, whatever follows is "repeat later", with the last record."""
        known = isinstance(cause, NotVoided) or (isinstance(cause, RepeatLater) and cause.record is not None)
        if known or self._open in ("", cause.problem):
            return cause
        detail = f"it was accepted, or may have been; then {cause.label}: {cause.args[0]}"
        last = error(self._open, detail, "", cause.answer, cause.record or self._record)
        last.__cause__ = cause
        return last


def record_of(answer: Answer, order_id: str) -> VoidRecord:
    # A cut answer, or another order's record from a cache in between, is not this void's outcome.
    if answer.document.get("order_id") != order_id or not isinstance(answer.document.get("state"), str):
        raise not_understood(answer)
    return cast(VoidRecord, answer.document)
