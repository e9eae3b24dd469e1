"""The holds that were given: looked at as they stand, refused once on purpose, and voided by the service.

Promises that what is sent for a hold stands in the state file before it is sent. The service's own key makes its
request repeatable, so a run that is taken up again sends the provider nothing twice.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ops.acceptance import line
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import NotGiven, Site
from ops.acceptance.wire import Reply
from ops.places import OpsError

PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
COMMENT = "acceptance"


class Unusable(OpsError):
    """The hold cannot be used for this."""


# ---- before anything is done -----------------------------------------------------------------------------------------


def held(site: Site, order: str) -> dict[str, Any]:
    """The hold as the provider lists it. Raises Unusable."""
    reply = asked(site, order)
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


def asked(site: Site, order: str) -> Reply:
    """A query of an order that exists; how often it was answered 404 is remembered."""
    reply = site.line.query(order)
    seen = site.state.noted(order)
    site.state.note(order, queries=seen.get("queries", 0) + 1, lost=seen.get("lost", 0) + (reply.status == 404))
    return reply


def look(site: Site) -> Iterator[Finding]:
    """The first hold as it stands, before it is voided."""
    order = site.hold(0)
    nothing_sent(site, order)
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


def nothing_sent(site: Site, order: str) -> None:
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
    nothing_sent(site, order)
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
    return {
        name: as_text(value) for name, value in document.items() if name not in ("requested_by", "comment", "events")
    }


def as_text(value: Any) -> Any:
    match value:
        case Decimal():
            return str(value)
        case dict():
            return {name: as_text(item) for name, item in value.items()}
        case list():
            return [as_text(item) for item in value]
        case _:
            return value


def shows_void(reply: Reply) -> bool:
    return bool(line.voided(reply))


KEY = ("secretsmanager:GetSecretValue",)
PROBES = (
    Probe(rows=("provider-query-hold", "provider-query-no-void"), run=look, does="", rights=KEY, hold=0),
    Probe(rows=("provider-order-path",), run=path, does="", rights=KEY),
    Probe(
        rows=("provider-wrong-currency", "provider-refusal-shape"),
        run=other_currency,
        does="ask the provider to void the first hold in another currency: it must refuse, and if it does not, the "
        "hold is gone",
        rights=KEY,
        hold=0,
    ),
)
