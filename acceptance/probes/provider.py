"""What the provider answers about orders that nobody has: credentials, schemes, characters, limits. Moves nothing."""

from collections.abc import Iterator

from acceptance import line
from acceptance.rows import FACTS, Finding, judged, not_seen
from acceptance.site import Site
from acceptance.wire import Reply
from payments.signatures import Scheme

CURRENCY = "UAH"
SERVICE_WAITS = 10.0
"""ANSWER_SECONDS of payments/provider.py."""
SIGNED = (Scheme.HMAC, Scheme.SHA1)
CHARACTERS, ANOTHER = FACTS["characters"], FACTS["another"]


def _shown(replies: dict[str, Reply]) -> dict[str, object]:
    return {name: line.evidence(reply) for name, reply in replies.items()}


def _accepted(replies: dict[str, Reply]) -> list[str]:
    return [name for name, reply in replies.items() if not line.about_credentials(reply)]


def credentials(site: Site) -> Iterator[Finding]:
    """How requests prove who sends them, and what is answered when they do not."""
    order = site.nobody()
    plain = site.line.query(order)
    yield judged("provider-get-plain", not line.about_credentials(plain), line.evidence(plain))
    signed = {scheme.value: site.line.query(order, scheme=scheme) for scheme in SIGNED}
    accepted = _accepted(signed)
    yield judged("provider-get-signed", not accepted, _shown(signed) | {"accepted": accepted})
    zero = {"right": site.line.query("0"), "wrong": site.line.query("0", wrong={"api_secret": ANOTHER["api_secret"]})}
    yield judged("provider-order-zero", _accepted(zero) == ["right"], _shown(zero))
    wrong = {name: site.line.query(order, wrong={name: value}) for name, value in ANOTHER.items()}
    yield judged("provider-wrong-credentials", not _accepted(wrong), _shown(wrong))


def schemes(site: Site) -> Iterator[Finding]:
    """How a POST may be signed."""
    order = site.nobody()
    replies = {scheme.value: site.line.void(order, CURRENCY, scheme=scheme) for scheme in (Scheme.PLAIN, *SIGNED)}
    shown, accepted = _shown(replies), _accepted(replies)
    yield judged("provider-post-plain", Scheme.PLAIN.value in accepted, {"CPAY": shown["CPAY"]})
    yield judged("provider-post-signed", {scheme.value for scheme in SIGNED} <= set(accepted), shown)


def unknown_orders(site: Site) -> Iterator[Finding]:
    """Orders that nobody has: the void, the query, and how long an answer takes."""
    order = site.nobody()
    void, query = site.line.void(order, CURRENCY), site.line.query(order)
    yield judged("provider-unknown-void", _unknown(void), line.evidence(void))
    empty = query.status == 200 and query.json == []
    yield judged("provider-unknown-query", empty or _unknown(query), line.evidence(query))
    longest = max(void.seconds, query.seconds)
    yield judged("provider-answer-time", longest <= SERVICE_WAITS, {"longest_seconds": round(longest, 3)})


def _unknown(reply: Reply) -> bool:
    """A refusal about the order, as documented."""
    return 400 <= reply.status < 500 and line.is_error_document(reply) and not line.about_credentials(reply)


def characters(site: Site) -> Iterator[Finding]:
    """Which orders may be named at all: refused as unknown is good, refused as unreadable is not."""
    usual = site.line.void(site.nobody(), CURRENCY)
    if line.about_credentials(usual):
        for row in ("provider-order-limit", "provider-order-characters"):
            yield not_seen(row, "the provider refuses the credentials", line.evidence(usual))
        return
    # 32 letters, most of them Cyrillic, and still an order that nobody has.
    lengths = {"32 Cyrillic letters": site.nobody()[:12] + "ї" * 20, "37 letters": site.nobody() + "x" * 5}
    replies = {name: site.line.void(order, CURRENCY) for name, order in lengths.items()}
    same = replies["32 Cyrillic letters"].status == usual.status
    yield judged("provider-order-limit", same, _shown(replies | {"an unknown order": usual}))
    replies = {name: site.line.void(site.nobody(letters), CURRENCY) for name, letters in CHARACTERS.items()}
    refused = {name: line.evidence(reply) for name, reply in replies.items() if reply.status != usual.status}
    yield judged("provider-order-characters", not refused, {"tried": list(CHARACTERS), "refused": refused})
