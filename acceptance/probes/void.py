"""The first hold is voided by the service; then answer, webhook and query are laid side by side, row by row."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from acceptance import wire
from acceptance.probes.holds import as_text, asked, shows_void, voided_by_service
from acceptance.rows import FACTS, Finding, judged, not_seen
from acceptance.site import Site
from acceptance.wire import exact

FIELDS, MOVING, DOCUMENTED = (FACTS["void"][name] for name in ("fields", "moving", "statuses"))

Judged = tuple[object, object] | str
"""Whether it holds and what is shown, or why nothing can be said."""


def _each(s: Any, name: str) -> dict[str, Any]:
    """One field wherever something was shown."""
    hook = s.webhooks[-1].get("provider") if s.webhooks else None
    places = {"answer": s.told, "webhook": hook, "query": s.listed}
    return {place: fields.get(name) for place, fields in places.items() if fields}


def _stamps(s: Any) -> Judged:
    text = str(s.told.get("created_at") or s.told.get("processing_time") or "")
    form = re.sub(r"\d", "9", text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False, {"form": form}
    ahead = moment.replace(tzinfo=UTC) - datetime.fromisoformat(s.sent["sent_at"])
    return moment.tzinfo is None, {"form": form, "hours_ahead_of_utc": round(ahead.total_seconds() / 900) / 4}


def _fields_of_the_webhook(s: Any) -> Judged:
    hook = s.webhooks[0].get("provider") or {}
    if s.told.get("status") != hook.get("status"):
        return "answer and webhook are about different moments"
    known = {name: value for name, value in s.told.items() if value is not None}
    missing = [name for name in known if hook.get(name) is None]
    other = [name for name in known if name not in missing and as_text(hook[name]) != known[name]]
    return not missing and not set(other) - set(MOVING), {"missing": missing, "different": other}


def _order_of_arrival(s: Any) -> Judged:
    history, received = s.record.get("history", []), str(s.webhooks[0].get("received_at"))
    answered = [change["at"] for change in history if change.get("evidence") == "answer"]
    if answered:
        after = (datetime.fromisoformat(received) - datetime.fromisoformat(answered[0])).total_seconds()
        return after >= 0, {"seconds_after_the_answer": after}
    if any(change.get("evidence") == "webhook" for change in history):
        return False, {"settled_by": "webhook", "webhook": received}
    return "the record has no answer of the provider"


def _same_amounts(amounts: Mapping[str, Any]) -> Judged:
    numbers = {exact(str(amount)) for amount in amounts.values() if amount is not None}
    return len(numbers) == 1 and None not in numbers, {name: str(amount) for name, amount in amounts.items()}


def _fees(fees: Mapping[str, Any]) -> Judged:
    kinds = {place: type(fee).__name__ for place, fee in fees.items()}
    objects = [fee for fee in fees.values() if fee is not None]
    return all(isinstance(fee, dict) and {"amount", "currency"} <= fee.keys() for fee in objects), kinds


def _as_answered(ids: Mapping[str, Any]) -> Judged:
    words = {ids["answer"]: "as answered", None: "missing"}
    shown = {place: words.get(one, "another") for place, one in ids.items()}
    return ids["answer"] is not None and "another" not in shown.values(), shown


# What must hold of what one void showed, and what is shown.
ROWS: Mapping[str, Callable[[Any], Judged]] = {
    "answer-fields": lambda s: s.unanswered or (
        all(s.told.get(name) is not None for name in FIELDS), [name for name in FIELDS if s.told.get(name) is None]),
    "at-once": lambda s: s.unanswered or (s.told.get("status") in ("success", "failure"), s.told.get("status")),
    "success-code": lambda s: "the void was not answered with success" if s.told.get("status") != "success" else (
        s.told.get("status_code") == "1009", s.told.get("status_code")),
    "timestamps": lambda s: s.unanswered or _stamps(s),
    "operation-id": lambda s: s.unanswered or _as_answered(_each(s, "operation_id")),
    "statuses": lambda s: (all(str(one) in DOCUMENTED for one in _each(s, "status").values()), _each(s, "status")),
    "fee": lambda s: _fees(_each(s, "fee")),
    "amount": lambda s: _same_amounts({"hold": s.sent.get("amount")} | _each(s, "amount")),
    "webhook-arrives": lambda s: (not s.silent, s.statuses),
    "webhook-address": lambda s: s.silent or (s.webhooks or 403 not in s.statuses, s.statuses),
    "webhook-secret": lambda s: s.silent or (
        "the gateway refused it by its address" if 403 in s.statuses and not s.webhooks
        else (s.webhooks or 401 not in s.statuses, s.statuses)),
    "webhook-number": lambda s: s.untaken or (
        max(len(s.webhooks), s.statuses.count(200)) == 1, {"stored": len(s.webhooks), "answered": s.statuses}),
    "webhook-fields": lambda s: s.untaken or _fields_of_the_webhook(s),
    "webhook-order": lambda s: s.untaken or _order_of_arrival(s),
    "query-delay": lambda s: (s.listed, {"seconds": round(s.delay, 1)}),
    "query-lag": lambda s: "no list shows it yet: run this row again in an hour" if not s.listed and not s.late else (
        s.listed, {"seconds": round(s.delay, 1)}),
    "query-steady": lambda s: (s.noted["lost"] == 0, {"queries": s.noted["queries"], "not_found": s.noted["lost"]}),
}  # fmt: skip


def void(site: Site) -> Iterator[Finding]:
    seen = look(site, site.hold(0))
    for row, judge in ROWS.items():
        found = judge(seen)
        if isinstance(found, str):
            yield not_seen(f"provider-{row}", found, {"status": seen.sent["status"]})
        else:
            yield judged(f"provider-{row}", found[0], {"seen": found[1]})


def look(site: Site, order: str) -> SimpleNamespace:
    """Void it, and wait for what one void shows; `unanswered`, `silent`, `untaken` say why rows cannot be judged."""
    sent = voided_by_service(site, order)
    since = datetime.fromisoformat(sent["sent_at"])
    queried, delay = site.until("a list with the void", lambda: asked(site, order), shows_void, site.patience.query)
    webhooks, _ = site.until("the webhook", lambda: _webhooks(site, order), bool, site.patience.webhook)
    if webhooks:
        site.wait("more webhooks", site.patience.more_webhooks)
        webhooks = _webhooks(site, order)
    for _ in range(4):
        asked(site, order)
    late = (site.now() - since).total_seconds() >= site.patience.lag
    statuses, told = site.deliveries(order, since), sent["answer"].get("provider") or {}
    unanswered = "" if told else "the service's answer shows nothing of the provider's"
    silent = "" if webhooks or statuses else "no webhook came"
    return SimpleNamespace(
        sent=sent, told=told, webhooks=webhooks, statuses=statuses, record=site.read(order).document,
        listed=next(iter(wire.operations(queried, "void")), None) if shows_void(queried) else None,
        noted=site.state.note(order), delay=delay, late=late, unanswered=unanswered, silent=silent,
        untaken=silent or ("" if webhooks else "no webhook was taken"),
    )  # fmt: skip


def _webhooks(site: Site, order: str) -> list[dict[str, Any]]:
    return [one for one in site.read(order).document.get("webhooks", []) if one.get("method") == "void"]
