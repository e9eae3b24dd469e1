"""What is done with the holds that were given: looked at, voided once by the service, and told apart afterwards.

Promises that what is sent for a hold stands in the state file before it is sent, and that a run which is taken up again
sends nothing twice. The service's own key makes its request repeatable; what goes past the service is never repeated.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ops.acceptance import line
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import NotGiven, Site
from ops.acceptance.undo import MARK, making
from ops.acceptance.wire import Reply, compact
from ops.places import OpsError

PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
DOCUMENTED = ("init", "pending", "success", "failure")
FIELDS = (
    "operation_id", "payment_id", "order_id", "transaction_id", "pos_id", "mode", "method", "amount", "currency",
    "status", "status_code", "status_description", "created_at", "processing_time", "comment",
)  # fmt: skip
"""All but `fee`, which may be null."""
MOVING = ("processing_time",)
"""May differ between answer and webhook: the time of the last change."""
COMMENT = "acceptance"
CYRILLIC_COMMENT = "ї" * 2048


class Unusable(OpsError):
    """The hold cannot be used for this."""


# ---- before anything is done -----------------------------------------------------------------------------------------


def held(site: Site, order: str) -> dict[str, Any]:
    """The hold as the provider lists it. Raises Unusable."""
    reply = _asked(site, order)
    if line.about_credentials(reply):
        raise Unusable("the provider refuses the credentials")
    holds = [one for one in line.of_method(reply, "auth") if one.get("status") == "success"]
    if not holds:
        raise Unusable(
            f"the provider knows no hold of the order {order} (it answered {reply.status}): make one with the test "
            "project's credentials"
        )
    done = [str(one.get("method")) for one in line.operations(reply) if one.get("method") in ("void", "capture")]
    if done:
        raise Unusable(f"the hold of the order {order} is over already ({', '.join(done)}): give another one")
    return holds[0]


def _asked(site: Site, order: str) -> Reply:
    """A query of an order that exists; how often it was answered 404 is remembered."""
    reply = site.line.query(order)
    seen = site.state.noted(order)
    site.state.note(order, queries=seen.get("queries", 0) + 1, lost=seen.get("lost", 0) + (reply.status == 404))
    return reply


def look(site: Site) -> Iterator[Finding]:
    """The first hold as it stands, before it is voided."""
    order = site.hold(0)
    _nothing_sent(site, order)
    reply = site.line.query(order)
    shown = line.operations(reply)
    lists = isinstance(reply.json, list) and any(one.get("method") == "auth" for one in shown)
    shape = "list" if isinstance(reply.json, list) else "object" if isinstance(reply.json, dict) else "neither"
    if reply.status == 200:
        yield judged("provider-query-hold", lists, {"shape": shape} | line.evidence(reply))
    else:
        yield not_seen("provider-query-hold", "the hold was not found", line.evidence(reply))
        return
    void = site.line.query(order, "void")
    absent = void.status == 200 and void.json == []
    absent = absent or (void.status == 404 and not line.about_credentials(void))
    yield judged("provider-query-no-void", absent, line.evidence(void))


def _nothing_sent(site: Site, order: str) -> None:
    if site.state.noted(order).get("sent"):
        raise Unusable(f"the order {order} was voided by an earlier run: this is seen on a fresh hold only")


def path(site: Site) -> Iterator[Finding]:
    """A hold whose id needs percent-encoding."""
    odd = next((order for order in site.allowed.holds if not PLAIN.fullmatch(order)), None)
    if odd is None:
        raise NotGiven("it needs a hold whose order id has a blank, a quote or a letter beyond ASCII")
    reply = site.line.query(odd)
    yield judged("provider-order-path", bool(line.operations(reply)), {"order": odd} | line.evidence(reply))


def other_currency(site: Site) -> Iterator[Finding]:
    """A void that must be refused. If it is executed all the same, the hold is gone."""
    order = site.hold(0)
    _nothing_sent(site, order)
    hold = held(site, order)
    wrong = "USD" if hold.get("currency") != "USD" else "UAH"
    refused = site.line.void(order, wrong)
    after = site.line.query(order)
    executed = bool(line.voided(refused) or line.voided(after))
    if executed:
        site.state.note(order, sent="currency")
    shown = {
        "hold": hold.get("currency"),
        "void": wrong,
        "answer": line.evidence(refused),
        "query": line.evidence(after),
    }
    yield judged("provider-wrong-currency", not executed, shown)
    failure = any(one.get("status") == "failure" for one in line.operations(refused))
    documented = failure or (400 <= refused.status < 500 and line.is_error_document(refused))
    if executed:
        yield not_seen("provider-refusal-shape", "it was not refused", shown)
    else:
        yield judged("provider-refusal-shape", documented, line.evidence(refused))


# ---- the void --------------------------------------------------------------------------------------------------------

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
        "the query to show the void", lambda: _asked(site, order), _shows_void, site.patience.query
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


def voided_by_service(site: Site, order: str, quiet: bool = True) -> dict[str, Any]:
    """Void a given hold once; what was sent and answered. An earlier run's answer is taken from the state file."""
    noted = site.state.noted(order)
    if noted.get("sent") not in (None, "service"):
        raise Unusable(f"the order {order} was voided past the service by an earlier run: give another hold")
    if "answer" in noted:
        return noted
    if noted.get("sent") is None:
        hold = held(site, order)
        if quiet:
            _quiet_minute(site)
        site.state.note(
            order, sent="service", key=f"acceptance-{site.now():%Y%m%dT%H%M%S}", currency=str(hold.get("currency")),
            amount=str(hold.get("amount")), sent_at=site.now().isoformat(),
        )  # fmt: skip
        noted = site.state.noted(order)
    # With its key a repetition sends nothing to the provider a second time.
    reply = site.submit(order, noted["currency"], key=noted["key"], comment=COMMENT)
    document = reply.json
    if reply.status not in (200, 202) or not isinstance(document, dict):
        raise Unusable(f"the service answered {reply.status} {reply.problem or ''} to the void of {order}".rstrip())
    site.state.note(
        order, status=reply.status, answer=_plain(document), replayed="idempotency-replayed" in reply.headers
    )  # fmt: skip
    return site.state.noted(order)


def _quiet_minute(site: Site) -> None:
    """The void alone in its minute, so that what it consumes can be told apart; CloudWatch counts by minutes."""
    if not site.local:
        site.wait("a fresh minute, to see what one void consumes", 60 - site.now().second)


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it may be kept: without who asked, amounts as text."""
    return {name: _text(value) for name, value in document.items() if name not in ("requested_by", "comment", "events")}


def _text(value: Any) -> Any:
    match value:
        case Decimal():
            return str(value)
        case dict():
            return {name: _text(item) for name, item in value.items()}
        case list():
            return [_text(item) for item in value]
        case _:
            return value


def _shows_void(reply: Reply) -> bool:
    return bool(line.voided(reply))


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
    other = [name for name in known if name not in missing and _text(webhook[name]) != told[name]]
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
    return judged("provider-query-delay", _shows_void(queried), shown, f"looked for {site.patience.query:.0f} s")


def _steady(site: Site, order: str) -> Finding:
    for _ in range(4):
        _asked(site, order)
    noted = site.state.noted(order)
    return judged(
        "provider-query-steady", noted["lost"] == 0, {"queries": noted["queries"], "not_found": noted["lost"]}
    )


# ---- what goes past the service --------------------------------------------------------------------------------------


def second_void(site: Site) -> Iterator[Finding]:
    """The voided hold once more, at the provider itself: only where the team allows it."""
    row, order = "provider-second-void", site.hold(0)
    if not site.allowed.second_void:
        raise NotGiven("only with --allow-second-void: the provider might execute it")
    noted = site.state.noted(order)
    if noted.get("second") == "sent":
        yield not_seen(row, "an earlier run was stopped while it was sent: give a fresh hold as the first one")
        return
    first = voided_by_service(site, order)
    site.until("the first void to be done", lambda: site.line.query(order), _shows_void, site.patience.query)
    site.state.note(order, second="sent")
    second = site.line.void(order, first["currency"])
    after = site.line.query(order)
    site.state.note(order, second="answered")
    again = line.voided(second)
    same = [
        one for one in again if one.get("operation_id") == (first["answer"].get("provider") or {}).get("operation_id")
    ]
    shown = {"answer": line.evidence(second), "voids_listed": len(line.voided(after)), "same_operation": bool(same)}
    yield judged(row, not again and len(line.voided(after)) <= 1, shown)


def again(site: Site) -> Iterator[Finding]:
    """The second hold is voided while receive_webhook may not write: its webhook is answered 500."""
    row, order = "provider-webhook-again", site.hold(1)
    _nothing_sent(site, order)
    role = site.functions["receive_webhook"].role.rpartition("/")[2]
    since = site.now()
    with making(site, "deny", role=role):
        deny(site, role, ["dynamodb:PutItem", "dynamodb:UpdateItem"])
        voided_by_service(site, order, quiet=False)
        first, _ = site.until("the webhook", lambda: site.deliveries(order, since), bool, site.patience.webhook)
        refused = len(first)
    shown: dict[str, object] = {"answered": first}
    if 500 not in first or 200 in first:
        yield not_seen(row, "no webhook was answered 500 meanwhile: give another second hold", shown)
        return
    repeated = f"the webhook again, after {refused} refusals"
    later, seconds = site.until(
        repeated, lambda: site.deliveries(order, since), lambda seen: len(seen) > refused, site.patience.again
    )
    shown = {"answered": later, "seconds": round(seconds, 1)}
    yield judged(row, len(later) == refused, shown, f"looked for {site.patience.again:.0f} s")


def deny(site: Site, role: str, actions: list[str]) -> None:
    """Take rights from a role. Only inside `making`, which gives them back."""
    statement = {"Effect": "Deny", "Action": actions, "Resource": "*"}
    policy = compact({"Version": "2012-10-17", "Statement": [statement]}).decode()
    site.client("iam").put_role_policy(RoleName=role, PolicyName=MARK, PolicyDocument=policy)
    site.wait("for the rights to be gone everywhere", site.patience.rights)


def unnamed(site: Site) -> Iterator[Finding]:
    """The third hold is voided at the provider: no server_url, and the longest comment."""
    order = site.hold(2)
    noted = site.state.noted(order)
    if noted.get("sent") and noted.get("sent") != "unnamed":
        raise Unusable(f"the order {order} was voided by an earlier run: give another third hold")
    if noted.get("sent") and "status" not in noted:
        raise Unusable("an earlier run was stopped while it was sent: give another third hold")
    if "status" not in noted:
        currency = str(held(site, order).get("currency"))
        site.state.note(order, sent="unnamed")
        reply = site.line.void(order, currency, comment=CYRILLIC_COMMENT)
        accepted = bool(line.of_method(reply, "void"))
        site.state.note(order, status=reply.status, accepted=accepted, shown=line.evidence(reply))
        noted = site.state.noted(order)
    yield judged("provider-comment-limit", noted["accepted"], noted["shown"])
    if not noted["accepted"]:
        yield not_seen("provider-portal-announced", "the void itself was refused", noted["shown"])
        return
    record, seconds = site.until("a record of it", lambda: site.read(order), _is_record, site.patience.webhook)
    document = record.json if _is_record(record) else {}
    shown = {"status": record.status, "state": document.get("state"), "attempt": document.get("attempt")}
    yield judged("provider-portal-announced", _is_record(record), shown | {"seconds": round(seconds, 1)})


def _is_record(reply: Reply) -> bool:
    return reply.status == 200 and isinstance(reply.json, dict) and reply.json.get("state") == "voided"


_KEY = ("secretsmanager:GetSecretValue",)
PROBES = (
    Probe(rows=("provider-query-hold", "provider-query-no-void"), run=look, does="", rights=_KEY, hold=0),
    Probe(rows=("provider-order-path",), run=path, does="", rights=_KEY),
    Probe(
        rows=("provider-wrong-currency", "provider-refusal-shape"),
        run=other_currency,
        does="ask the provider to void the first hold in another currency: it must refuse, and if it does not, the "
        "hold is gone",
        rights=_KEY,
        hold=0,
    ),
    Probe(
        rows=VOID_ROWS,
        run=void,
        does="void the first hold, for good",
        rights=(*_KEY, "execute-api:Invoke", "apigateway:GET", "logs:FilterLogEvents"),
        minutes=9,
        hold=0,
    ),
    Probe(
        rows=("provider-second-void",),
        run=second_void,
        does="with --allow-second-void: void the first hold a second time at the provider",
        rights=_KEY,
        minutes=0.2,
        hold=0,
    ),
    Probe(
        rows=("provider-webhook-again",),
        run=again,
        does="take the right to write to the table from receive_webhook, void the second hold for good, give the right "
        "back after its first webhook",
        rights=(*_KEY, "iam:PutRolePolicy", "iam:DeleteRolePolicy", "apigateway:GET", "logs:FilterLogEvents"),
        minutes=17,
        hold=1,
    ),
    Probe(
        rows=("provider-comment-limit", "provider-portal-announced"),
        run=unnamed,
        does="void the third hold at the provider itself, for good",
        rights=_KEY,
        minutes=5,
        hold=2,
    ),
)
