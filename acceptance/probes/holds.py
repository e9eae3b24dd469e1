"""The holds that were given: examined as they are, refused once on purpose, and voided by the service.

Promises that what is sent for a hold is in the state file before it is sent. The service's own key makes its
request repeatable, so a run that is taken up again sends the provider nothing twice.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from acceptance import line
from acceptance.rows import Finding, judged, not_seen
from acceptance.site import NotGiven, Site
from acceptance.wire import Reply
from ops.places import OpsError

PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
KEPT = ("state", "reason", "attempt", "provider", "version")
"""Of a record: nothing that says who asked, or why."""


class Unusable(OpsError):
    """The hold cannot be used for this."""


def held(site: Site, order: str) -> dict[str, Any]:
    """The hold as the provider lists it. Raises Unusable."""
    reply = asked(site, order)
    if line.about_credentials(reply):
        raise Unusable("the provider refuses the credentials")
    holds = line.succeeded(reply, "auth")
    if not holds:
        raise Unusable(
            f"the provider knows no hold of the order {order} (it answered {reply.status}): make one with the test "
            "project's credentials"
        )
    done = [str(one.get("method")) for one in line.operations(reply) if one.get("method") in ("void", "capture")]
    if done:
        raise Unusable(f"the hold of the order {order} is over already ({', '.join(done)}): give another one")
    return holds[0]


def asked(site: Site, order: str) -> Reply:
    """A query of an order that exists; how often it was answered 404 is remembered."""
    reply = site.line.query(order)
    seen = site.state.noted(order)
    site.state.note(order, queries=seen.get("queries", 0) + 1, lost=seen.get("lost", 0) + (reply.status == 404))
    return reply


def nothing_sent(site: Site, order: str) -> None:
    """Raises Unusable."""
    if site.state.noted(order).get("sent"):
        raise Unusable(f"the order {order} was voided by an earlier run: this is seen on a fresh hold only")


def look(site: Site) -> Iterator[Finding]:
    """The first hold as it is, before it is voided."""
    order = site.hold(0)
    nothing_sent(site, order)
    reply = site.line.query(order)
    if reply.status != 200:
        yield not_seen("provider-query-hold", "the hold was not found", line.evidence(reply))
        return
    lists = isinstance(reply.json, list)
    shown = {"shape": "list" if lists else type(reply.json).__name__} | line.evidence(reply)
    yield judged("provider-query-hold", lists and bool(line.operations(reply, "auth")), shown)
    payments = {str(one.get("payment_id")) for one in line.succeeded(reply, "auth")}
    if payments:
        yield judged("provider-order-once", len(payments) == 1, {"payments": len(payments)})
    void = site.line.query(order, "void")
    absent = void.json == [] if void.status == 200 else void.status == 404 and not line.about_credentials(void)
    yield judged("provider-query-no-void", absent, line.evidence(void))


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
    nothing_sent(site, order)
    currency = held(site, order).get("currency")
    wrong = "USD" if currency != "USD" else "UAH"
    refused = site.line.void(order, wrong)
    after = site.line.query(order)
    executed = bool(line.succeeded(refused, "void") or line.succeeded(after, "void"))
    shown = {"hold": currency, "void": wrong, "answer": line.evidence(refused), "query": line.evidence(after)}
    yield judged("provider-wrong-currency", not executed, shown)
    if executed:
        site.state.note(order, sent="currency")
        yield not_seen("provider-refusal-shape", "it was not refused", shown)
        return
    failure = any(one.get("status") == "failure" for one in line.operations(refused))
    documented = failure or (400 <= refused.status < 500 and line.is_error_document(refused))
    yield judged("provider-refusal-shape", documented, line.evidence(refused))


# ---- the void by the service ---------------------------------------------------------------------------------------


def voided_by_service(site: Site, order: str, quiet: bool = True) -> dict[str, Any]:
    """Void a given hold once; what was sent and answered. An earlier run's answer is taken from the state file."""
    noted = site.state.noted(order)
    if noted.get("sent") not in (None, "service"):
        raise Unusable(f"the order {order} was voided past the service by an earlier run: give another hold")
    if "answer" in noted:
        return noted
    if noted.get("sent") is None:
        hold = held(site, order)
        if quiet and not site.local:
            # The void alone in its minute, so that what it consumes can be told apart; CloudWatch counts by minutes.
            site.wait("a fresh minute, to see what one void consumes", 60 - site.now().second)
        now, what = site.now(), {name: str(hold.get(name)) for name in ("currency", "amount")}
        site.state.note(order, sent="service", key=f"acceptance-{now:%Y%m%dT%H%M%S}", sent_at=now.isoformat(), **what)
        noted = site.state.noted(order)
    # With its key a repetition sends nothing to the provider a second time.
    reply = site.submit(order, noted["currency"], key=noted["key"], comment="acceptance")
    if reply.status not in (200, 202) or not reply.document:
        raise Unusable(f"the service answered {reply.status} {reply.problem or ''} to the void of {order}".rstrip())
    answer = {name: as_text(reply.document.get(name)) for name in KEPT}
    site.state.note(order, status=reply.status, answer=answer)
    return site.state.noted(order)


def as_text(value: Any) -> Any:
    """Amounts as text, as a state file keeps them."""
    match value:
        case Decimal():
            return str(value)
        case dict():
            return {name: as_text(item) for name, item in value.items()}
        case list():
            return [as_text(item) for item in value]
    return value


def shows_void(reply: Reply) -> bool:
    return bool(line.succeeded(reply, "void"))
