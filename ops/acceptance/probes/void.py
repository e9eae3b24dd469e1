"""The first hold is voided by the service; then answer, webhook and query are laid side by side."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ops.acceptance import line
from ops.acceptance.probes.holds import KEY, as_text, asked, shows_void, voided_by_service
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import Site
from ops.acceptance.wire import Reply

DOCUMENTED = ("init", "pending", "success", "failure")
FIELDS = (
    "operation_id", "payment_id", "order_id", "transaction_id", "pos_id", "mode", "method", "amount", "currency",
    "status", "status_code", "status_description", "created_at", "processing_time", "comment",
)  # fmt: skip
"""All but `fee`, which may be null."""
MOVING = ("processing_time",)
"""May differ between answer and webhook: the time of the last change."""
VOID_ROWS = (
    "provider-answer-fields", "provider-operation-id", "provider-success-code", "provider-statuses", "provider-at-once",
    "provider-timestamps", "provider-fee", "provider-amount", "provider-webhook-arrives", "provider-webhook-address",
    "provider-webhook-secret", "provider-webhook-fields", "provider-webhook-number", "provider-webhook-order",
    "provider-query-delay", "provider-query-steady",
)  # fmt: skip


def void(site: Site) -> Iterator[Finding]:
    """The first hold is voided by the service; then answer, webhook and query are compared."""
    order = site.hold(0)
    sent = voided_by_service(site, order)
    since = datetime.fromisoformat(sent["sent_at"])
    answer: dict[str, Any] = sent["answer"]
    told: dict[str, Any] = answer.get("provider") or {}
    queried, delay = site.until(
        "the query to show the void", lambda: asked(site, order), shows_void, site.patience.query
    )
    webhooks = _await_webhooks(site, order)
    statuses = site.deliveries(order, since)
    record = site.read(order).json or {}
    listed = next(iter(line.of_method(queried, "void")), {})
    yield from _of_answer(answer, told, sent)
    yield from _of_all(told, webhooks, listed, sent)
    yield from _of_webhooks(site, told, webhooks, statuses, record)
    yield _of_query(site, queried, delay)
    yield _steady(site, order)


def _await_webhooks(site: Site, order: str) -> list[dict[str, Any]]:
    """The stored webhooks of the void: after the first, a while longer for more."""
    found, _ = site.until("the webhook", lambda: _webhooks(site, order), bool, site.patience.webhook)
    if found:
        site.wait("for more webhooks", site.patience.more_webhooks)
        found = _webhooks(site, order)
    return found


def _webhooks(site: Site, order: str) -> list[dict[str, Any]]:
    record = site.read(order).json
    events = record.get("events", []) if isinstance(record, dict) else []
    return [event for event in events if event.get("method") == "void"]


def _of_answer(answer: Mapping[str, Any], told: Mapping[str, Any], sent: Mapping[str, Any]) -> Iterator[Finding]:
    shown = {"status": sent["status"], "state": answer.get("state"), "provider_status": told.get("status")}
    if not told:
        reason = "the service's answer shows nothing of the provider's"
        for row in ("answer-fields", "operation-id", "success-code", "at-once", "timestamps"):
            yield not_seen(f"provider-{row}", reason, shown)
        return
    missing = [name for name in FIELDS if told.get(name) is None]
    yield judged("provider-answer-fields", not missing, {"missing": missing})
    yield judged("provider-at-once", told.get("status") in ("success", "failure"), shown)
    if told.get("status") == "success":
        yield judged(
            "provider-success-code", told.get("status_code") == "1009", {"status_code": told.get("status_code")}
        )
    else:
        yield not_seen("provider-success-code", "the void was not answered with success", shown)
    yield _of_timestamps(told, datetime.fromisoformat(sent["sent_at"]))


def _of_timestamps(told: Mapping[str, Any], sent_at: datetime) -> Finding:
    text = str(told.get("created_at") or told.get("processing_time") or "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return judged("provider-timestamps", False, {"form": re.sub(r"\d", "9", text)})
    hours = round((moment.replace(tzinfo=UTC) - sent_at).total_seconds() / 3600 * 4) / 4
    shown = {"form": re.sub(r"\d", "9", text), "hours_ahead_of_utc": hours}
    return judged("provider-timestamps", moment.tzinfo is None, shown, "The hours say which zone is meant.")


def _of_all(
    told: Mapping[str, Any], webhooks: list[dict[str, Any]], listed: Mapping[str, Any], sent: Mapping[str, Any]
) -> Iterator[Finding]:
    """What answer, webhook and query must agree about."""
    from_webhook: Mapping[str, Any] = (webhooks[-1].get("provider") or {}) if webhooks else {}
    places = {"answer": told, "webhook": from_webhook, "query": listed}
    seen = {name: place for name, place in places.items() if place}
    if told:
        ids = {name: place.get("operation_id") for name, place in seen.items()}
        same = told.get("operation_id") is not None and set(ids.values()) - {None} == {told.get("operation_id")}
        shown = {name: "missing" if one is None else "as answered" if one == told.get("operation_id") else "another"
                 for name, one in ids.items()}  # fmt: skip
        yield judged("provider-operation-id", same, shown)
    statuses = {name: str(place.get("status")) for name, place in seen.items()}
    yield judged("provider-statuses", all(one in DOCUMENTED for one in statuses.values()), statuses)
    fees = {name: place.get("fee") for name, place in seen.items()}
    yield judged(
        "provider-fee", all(_is_fee(fee) for fee in fees.values()), {n: _shape(fee) for n, fee in fees.items()}
    )
    amounts = {"hold": sent.get("amount")} | {n: place.get("amount") for n, place in seen.items() if "amount" in place}
    numbers = {_number(amount) for amount in amounts.values() if amount is not None}
    shown_amounts = {name: str(amount) for name, amount in amounts.items()}
    yield judged("provider-amount", len(numbers) == 1 and None not in numbers, shown_amounts)


def _is_fee(fee: Any) -> bool:
    return fee is None or (isinstance(fee, dict) and {"amount", "currency"} <= fee.keys())


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"object with {', '.join(map(str, value))}"
    return "null" if value is None else "number" if isinstance(value, int | Decimal) else type(value).__name__


def _number(amount: Any) -> Decimal | None:
    try:
        return Decimal(str(amount))
    except InvalidOperation:
        return None


def _of_webhooks(
    site: Site,
    told: Mapping[str, Any],
    webhooks: list[dict[str, Any]],
    statuses: list[int],
    record: Mapping[str, Any],
) -> Iterator[Finding]:
    shown = {"stored": len(webhooks), "answered": statuses}
    patience = f"within {site.patience.webhook:.0f} s"
    yield judged("provider-webhook-arrives", bool(webhooks or statuses), shown, "" if webhooks else patience)
    if not webhooks and not statuses:
        for row in ("address", "secret", "fields", "number", "order"):
            yield not_seen(f"provider-webhook-{row}", f"no webhook came {patience}", shown)
        return
    yield judged("provider-webhook-address", bool(webhooks) or 403 not in statuses, shown)
    if 403 in statuses and not webhooks:
        yield not_seen("provider-webhook-secret", "the gateway refused it by its address", shown)
    else:
        yield judged("provider-webhook-secret", bool(webhooks) or 401 not in statuses, shown)
    if not webhooks:
        for row in ("fields", "number", "order"):
            yield not_seen(f"provider-webhook-{row}", "no webhook was taken", shown)
        return
    number = max(len(webhooks), statuses.count(200))
    yield judged("provider-webhook-number", number == 1, shown)
    yield _of_fields(told, webhooks[0].get("provider") or {})
    yield _of_order(record, webhooks[0])


def _of_fields(told: Mapping[str, Any], webhook: Mapping[str, Any]) -> Finding:
    row = "provider-webhook-fields"
    if told.get("status") != webhook.get("status"):
        return not_seen(row, "answer and webhook are about different moments", {"answer": told.get("status")})
    known = [name for name, value in told.items() if value is not None]
    missing = [name for name in known if webhook.get(name) is None]
    other = [name for name in known if name not in missing and as_text(webhook[name]) != told[name]]
    wrong = [name for name in other if name not in MOVING]
    return judged(row, not missing and not wrong, {"missing": missing, "different": other})


def _of_order(record: Mapping[str, Any], webhook: Mapping[str, Any]) -> Finding:
    """Which of the two told the service first."""
    row = "provider-webhook-order"
    answered = [change["at"] for change in record.get("history", []) if change.get("evidence") == "answer"]
    received = str(webhook.get("received_at"))
    if not answered:
        by_webhook = any(change.get("evidence") == "webhook" for change in record.get("history", []))
        if not by_webhook:
            return not_seen(row, "the record has no answer of the provider", {"webhook": received})
        return judged(row, False, {"settled_by": "webhook", "webhook": received})
    seconds = (datetime.fromisoformat(received) - datetime.fromisoformat(answered[0])).total_seconds()
    return judged(row, seconds >= 0, {"seconds_after_the_answer": seconds})


def _of_query(site: Site, queried: Reply, delay: float) -> Finding:
    shown = {"seconds": round(delay, 1)} | line.evidence(queried)
    return judged("provider-query-delay", shows_void(queried), shown, f"looked for {site.patience.query:.0f} s")


def _steady(site: Site, order: str) -> Finding:
    for _ in range(4):
        asked(site, order)
    noted = site.state.noted(order)
    return judged(
        "provider-query-steady", noted["lost"] == 0, {"queries": noted["queries"], "not_found": noted["lost"]}
    )


PROBES = (
    Probe(
        rows=VOID_ROWS,
        run=void,
        does="void the first hold, for good",
        rights=(*KEY, "execute-api:Invoke", "apigateway:GET", "logs:FilterLogEvents"),
        minutes=9,
        hold=0,
    ),
)
