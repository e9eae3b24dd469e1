"""What the provider answers about orders that nobody has: credentials, schemes, characters, limits. Moves nothing.

Which queries and voids each row asks, and what must be true of every answer, stands in rows.toml.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from acceptance import line
from acceptance.rows import FACTS, Finding, Row, judged, not_seen
from acceptance.site import Site
from acceptance.wire import Reply
from payments.signatures import Scheme

CURRENCY, ANOTHER = "UAH", FACTS["another"]
SERVICE_WAITS = 10.0
"""ANSWER_SECONDS of payments/provider.py."""


def _unknown(reply: Reply) -> bool:
    """A refusal about the order, as documented."""
    return 400 <= reply.status < 500 and line.is_error_document(reply) and not line.about_credentials(reply)


EXPECTED: Mapping[str, Callable[[Reply, Reply], bool]] = {  # of an answer, beside one about an unknown order
    "accepted": lambda reply, _: not line.about_credentials(reply),
    "refused": lambda reply, _: line.about_credentials(reply),
    "unknown": lambda reply, _: _unknown(reply),
    "unknown or empty": lambda reply, _: _unknown(reply) or (reply.status == 200 and reply.json == []),
    "in time": lambda reply, _: reply.seconds <= SERVICE_WAITS,
    "as unknown": lambda reply, usual: reply.status == usual.status,
    "anything": lambda *_: True,
}


def ask(site: Site, rows: Sequence[Row]) -> Iterator[Finding]:
    """All requests of these rows, each judged by what is expected of it."""
    compared = any(request["expect"] == "as unknown" for row in rows for request in row.requests)
    usual = site.line.void(site.nobody(), CURRENCY) if compared else None
    for row in rows:
        if usual and line.about_credentials(usual):
            yield not_seen(row.id, "the provider refuses the credentials", line.evidence(usual))
            continue
        replies = [(one, _send(site, one)) for one in row.requests]
        wrong = [one["name"] for one, reply in replies if not EXPECTED[one["expect"]](reply, usual or reply)]
        shown = {one["name"]: line.evidence(reply) | {"seconds": round(reply.seconds, 3)} for one, reply in replies}
        yield judged(row.id, not wrong, shown | {"otherwise": wrong})


def _send(site: Site, request: Mapping[str, Any]) -> Reply:
    """A void if it says so, else a query; signed in another way, or with wrong credentials, if it names them."""
    order = request.get("order") or site.nobody(request.get("letters", "")) + request.get("more", "")
    given = {"scheme": Scheme(request["scheme"])} if "scheme" in request else {}
    if "void" in request:
        return site.line.void(order, CURRENCY, **given)
    return site.line.query(order, **given, wrong={name: ANOTHER[name] for name in request.get("wrong", ())})
