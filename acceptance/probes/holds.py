"""The holds that were given: looked at, refused once on purpose, voided by the service, and past it.

Promises that what is sent for a hold is in the state file before it is sent. The service's own key makes its request
repeatable, and what goes past the service is sent once: a run that is taken up again sends the provider nothing twice.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from acceptance import wire
from acceptance.rows import Finding, judged, not_seen
from acceptance.site import Site
from acceptance.undo import making, play
from acceptance.wire import Reply
from ops.places import OpsError


def held(site: Site, order: str) -> dict[str, Any]:
    """The hold as the provider lists it. Raises OpsError if it cannot be used."""
    reply = asked(site, order)
    if wire.about_credentials(reply):
        raise OpsError("the provider refuses the credentials")
    if not (holds := wire.succeeded(reply, "auth")):
        known = f"the provider knows no hold of the order {order} (it answered {reply.status})"
        raise OpsError(f"{known}: make one with the test project's credentials")
    if done := [method for method in ("void", "capture") if wire.operations(reply, method)]:
        raise OpsError(f"the hold of the order {order} is over already ({', '.join(done)}): give another one")
    return holds[0]


def asked(site: Site, order: str) -> Reply:
    """A query of an order that exists; how often it was answered 404 is remembered."""
    reply, seen = site.line.query(order), site.state.note(order)
    site.state.note(order, queries=seen.get("queries", 0) + 1, lost=seen.get("lost", 0) + (reply.status == 404))
    return reply


def fresh(site: Site, number: int, but: str | None = None) -> str:
    """One of the given holds, if no earlier run has voided it, but in this way. Raises OpsError."""
    order = site.hold(number)
    if site.state.note(order).get("sent") not in (None, but):
        raise OpsError(f"the order {order} was voided by an earlier run: this is seen on a fresh hold only")
    return order


def look(site: Site) -> Iterator[Finding]:
    order = fresh(site, 0)
    reply = site.line.query(order)
    if reply.status != 200:
        yield not_seen("provider-query-hold", "the hold was not found", wire.evidence(reply))
        return
    lists = isinstance(reply.json, list)
    shown = {"shape": "list" if lists else type(reply.json).__name__} | wire.evidence(reply)
    yield judged("provider-query-hold", lists and wire.operations(reply, "auth"), shown)
    payments = {str(one.get("payment_id")) for one in wire.succeeded(reply, "auth")}
    if payments:
        yield judged("provider-order-once", len(payments) == 1, {"payments": len(payments)})
    void = site.line.query(order, "void")
    absent = void.json == [] if void.status == 200 else void.status == 404 and not wire.about_credentials(void)
    yield judged("provider-query-no-void", absent, wire.evidence(void))


def path(site: Site) -> Iterator[Finding]:
    odd = next((order for order in site.allowed.holds if not re.fullmatch(r"[A-Za-z0-9._~-]+", order)), None)
    if odd is None:
        raise OpsError("it needs a hold whose order id has a blank, a quote or a letter beyond ASCII")
    reply = site.line.query(odd)
    yield judged("provider-order-path", wire.operations(reply), {"order": odd} | wire.evidence(reply))


def other_currency(site: Site) -> Iterator[Finding]:
    """A void that must be refused. If it is executed all the same, the hold is gone."""
    order = fresh(site, 0)
    currency = held(site, order).get("currency")
    wrong = "USD" if currency != "USD" else "UAH"
    refused = site.line.void(order, wrong)
    after = site.line.query(order)
    executed = bool(wire.succeeded(refused, "void") or wire.succeeded(after, "void"))
    shown = {"hold": currency, "void": wrong, "answer": wire.evidence(refused), "query": wire.evidence(after)}
    yield judged("provider-wrong-currency", not executed, shown)
    if executed:
        site.state.note(order, sent="currency")
        yield not_seen("provider-refusal-shape", "it was not refused", shown)
        return
    refusal = wire.refuses(refused) or wire.operations(refused, status="failure")
    yield judged("provider-refusal-shape", refusal, wire.evidence(refused))


# ---- the void by the service -----------------------------------------------------------------------------------------


def voided_by_service(site: Site, order: str, quiet: bool = True) -> dict[str, Any]:
    """Void a given hold once; what was sent and answered. An earlier run's answer is taken from the state file."""
    noted = site.state.note(order)
    if noted.get("sent") not in (None, "service"):
        raise OpsError(f"the order {order} was voided past the service by an earlier run: give another hold")
    if "answer" in noted:
        return noted
    if noted.get("sent") is None:
        hold = held(site, order)
        if quiet and not site.local:
            # The void alone in its minute, so that what it consumes can be told apart; CloudWatch counts by minutes.
            site.wait("a fresh minute, to see what one void consumes", 60 - site.now().second)
        now, what = site.now(), {name: str(hold.get(name)) for name in ("currency", "amount")}
        key = f"acceptance-{now:%Y%m%dT%H%M%S}"
        noted = site.state.note(order, sent="service", key=key, sent_at=now.isoformat(), **what)
    # With its key a repetition sends nothing to the provider a second time.
    reply = site.submit(order, noted["currency"], noted["key"])
    if reply.status not in (200, 202) or not reply.document:
        raise OpsError(f"the service answered {reply.status} {reply.problem or ''} to the void of {order}".rstrip())
    kept = ("state", "reason", "attempt", "provider", "version")  # nothing that says who asked, or why
    answer = {name: as_text(reply.document.get(name)) for name in kept}
    return site.state.note(order, status=reply.status, answer=answer)


def as_text(value: Any) -> Any:
    """Amounts as text, as a state file keeps them."""
    return json.loads(json.dumps(value, default=str))


def shows_void(reply: Reply) -> bool:
    return bool(wire.succeeded(reply, "void"))


# ---- past the service ------------------------------------------------------------------------------------------------


def second_void(site: Site) -> Iterator[Finding]:
    order = site.hold(0)
    if not site.allowed.second_void:
        raise OpsError("only with --allow-second-void: the provider might execute it")
    if site.state.note(order).get("second") == "sent":
        raise OpsError("an earlier run was stopped while it was sent: give a fresh hold as the first one")
    first = voided_by_service(site, order)
    site.until("the first void to be done", lambda: site.line.query(order), shows_void, site.patience.query)
    site.state.note(order, second="sent")
    second = site.line.void(order, first["currency"])
    after = site.line.query(order)
    site.state.note(order, second="answered")
    again, listed = wire.succeeded(second, "void"), wire.succeeded(after, "void")
    known = (first["answer"].get("provider") or {}).get("operation_id")
    same = known in [one.get("operation_id") for one in again]
    shown = {"answer": wire.evidence(second), "voids_listed": len(listed), "same_operation": same}
    yield judged("provider-second-void", not again and len(listed) <= 1, shown)


def again(site: Site) -> Iterator[Finding]:
    """The second hold is voided while receive_webhook may not write: its webhook is answered 500."""
    row, order = "provider-webhook-again", fresh(site, 1)
    answered = partial(site.deliveries, order, site.now())
    role = site.functions["receive_webhook"]["Role"].rpartition("/")[2]
    with denied(site, role, "dynamodb:PutItem", "dynamodb:UpdateItem"):
        voided_by_service(site, order, quiet=False)
        first, _ = site.until("the webhook", answered, bool, site.patience.webhook)
    if 500 not in first or 200 in first:
        yield not_seen(row, "no webhook was answered 500 meanwhile: give another second hold", {"answered": first})
        return
    what = f"the webhook again, after {len(first)} refusals"
    later, seconds = site.until(what, answered, lambda seen: len(seen) > len(first), site.patience.again)
    shown = {"answered": later, "seconds": round(seconds, 1)}
    yield judged(row, len(later) == len(first), shown, f"observed for {site.patience.again:.0f} s")


@contextmanager
def denied(site: Site, role: str, *actions: str) -> Iterator[None]:
    with making(site, "deny", role=role):
        play(site, "deny", {"role": role, "actions": json.dumps(actions)})
        site.wait("the rights to be gone everywhere", site.patience.rights)
        yield


def unnamed(site: Site) -> Iterator[Finding]:
    """The third hold is voided at the provider: no server_url, and the longest comment."""
    row, order = "provider-portal-announced", fresh(site, 2, "unnamed")
    noted = site.state.note(order)
    if "sent" in noted and "status" not in noted:
        raise OpsError("an earlier run was stopped while it was sent: give another third hold")
    if "status" not in noted:
        currency = str(held(site, order).get("currency"))
        site.state.note(order, sent="unnamed")
        reply = site.line.void(order, currency, comment="ї" * 2048)
        accepted = bool(wire.operations(reply, "void"))
        noted = site.state.note(order, status=reply.status, accepted=accepted, shown=wire.evidence(reply))
    yield judged("provider-comment-limit", noted["accepted"], noted["shown"])
    if not noted["accepted"]:
        yield not_seen(row, "the void itself was refused", noted["shown"])
        return
    what, most = "a record of it", site.patience.webhook
    _, seconds = site.until(what, lambda: site.read(order).document.get("state"), lambda state: state == "voided", most)
    record = site.read(order).document
    shown = {name: record.get(name) for name in ("status", "state", "attempt")} | {"seconds": round(seconds, 1)}
    yield judged(row, record.get("state") == "voided", shown)
