"""What the provider answers about orders that nobody has: credentials, schemes, characters, limits. Moves nothing."""

from collections.abc import Iterator

from ops.acceptance import line
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import Site
from ops.acceptance.wire import Reply
from payments.signatures import Scheme

CURRENCY = "UAH"
SERVICE_WAITS = 10.0
"""ANSWER_SECONDS of payments/provider.py."""
SIGNED = (Scheme.HMAC, Scheme.SHA1)
ANOTHER = {
    "pos_id": "00000000-0000-4000-8000-000000000000",
    "api_key": "00000000-0000-4000-8000-000000000001",
    "api_secret": "not-the-secret-of-this-project-x",
    "endpoints_key": "not-the-key-of-this-project",
}
CHARACTERS = {
    "blank": "a b", "slash": "a/b", "percent": "a%b", "plus": "a+b", "question mark": "a?b", "hash": "a#b",
    "ampersand": "a&b", "quote": 'a"b', "backslash": "a\\b", "apostrophe": "a'b", "angle bracket": "a<b",
    "colon": "a:b", "at sign": "a@b", "accent": "é", "Cyrillic": "ї", "emoji": "🙂",
}  # fmt: skip


def credentials(site: Site) -> Iterator[Finding]:
    """How requests prove who sends them, and what is answered when they do not."""
    order = site.nobody()
    plain = site.line.query(order)
    yield judged("provider-get-plain", not line.about_credentials(plain), line.evidence(plain))
    yield _any_accepted(
        "provider-get-signed", {scheme.value: site.line.query(order, scheme=scheme) for scheme in SIGNED}
    )
    zero, refused = site.line.query("0"), site.line.query("0", wrong={"api_secret": ANOTHER["api_secret"]})
    yield judged(
        "provider-order-zero",
        not line.about_credentials(zero) and line.about_credentials(refused),
        {"right": line.evidence(zero), "wrong": line.evidence(refused)},
    )
    wrong = {name: site.line.query(order, wrong={name: value}) for name, value in ANOTHER.items()}
    yield judged(
        "provider-wrong-credentials",
        all(line.about_credentials(reply) for reply in wrong.values()),
        {name: line.evidence(reply) for name, reply in wrong.items()},
    )


def _any_accepted(row: str, replies: dict[str, Reply]) -> Finding:
    accepted = [name for name, reply in replies.items() if not line.about_credentials(reply)]
    evidence = {name: line.evidence(reply) for name, reply in replies.items()} | {"accepted": accepted}
    return judged(row, not accepted, evidence)


def schemes(site: Site) -> Iterator[Finding]:
    """How a POST may be signed."""
    order = site.nobody()
    replies = {scheme: site.line.void(order, CURRENCY, scheme=scheme) for scheme in (Scheme.PLAIN, *SIGNED)}
    shown = {scheme.value: line.evidence(reply) for scheme, reply in replies.items()}
    accepted = [scheme for scheme, reply in replies.items() if not line.about_credentials(reply)]
    yield judged("provider-post-plain", Scheme.PLAIN in accepted, {"CPAY": shown["CPAY"]})
    yield judged("provider-post-signed", all(scheme in accepted for scheme in SIGNED), shown)


def unknown_orders(site: Site) -> Iterator[Finding]:
    """Orders that nobody has: the void, the query, and how long an answer takes."""
    order = site.nobody()
    void, query = site.line.void(order, CURRENCY), site.line.query(order)
    yield judged("provider-unknown-void", _unknown(void), line.evidence(void))
    empty = query.status == 200 and query.json == []
    yield judged("provider-unknown-query", empty or _unknown(query), line.evidence(query))
    longest = max(reply.seconds for reply in (void, query))
    yield judged("provider-answer-time", longest <= SERVICE_WAITS, {"longest_seconds": round(longest, 3)})


def characters(site: Site) -> Iterator[Finding]:
    """Which orders may be asked for at all: refused as unknown is good, refused as unreadable is not."""
    usual = site.line.void(site.nobody(), CURRENCY)
    if line.about_credentials(usual):
        yield from (
            not_seen(row, "the provider refuses the credentials", line.evidence(usual))
            for row in ("provider-order-limit", "provider-order-characters")
        )
        return
    longest = site.line.void(_padded(site.nobody(), "ї"), CURRENCY)
    too_long = site.line.void(site.nobody() + "x" * 5, CURRENCY)
    yield judged(
        "provider-order-limit",
        longest.status == usual.status,
        {"32 Cyrillic letters": line.evidence(longest), "an unknown order": line.evidence(usual),
         "37 letters": line.evidence(too_long)},
    )  # fmt: skip
    replies = {name: site.line.void(site.nobody(letters), CURRENCY) for name, letters in CHARACTERS.items()}
    refused = {name: line.evidence(reply) for name, reply in replies.items() if reply.status != usual.status}
    yield judged("provider-order-characters", not refused, {"tried": list(CHARACTERS), "refused": refused})


def _unknown(reply: Reply) -> bool:
    """A refusal about the order, as documented."""
    return 400 <= reply.status < 500 and line.is_error_document(reply) and not line.about_credentials(reply)


def _padded(order: str, letter: str) -> str:
    """32 letters, most of them this one, and still an order that nobody has."""
    return order[:12] + letter * 20


PROBES = (
    Probe(
        rows=(
            "provider-get-plain", "provider-get-signed", "provider-order-zero", "provider-wrong-credentials",
        ),
        run=credentials,
        does="query orders that nobody has at the provider, nine times, five of them with wrong credentials",
        rights=("secretsmanager:GetSecretValue",),
    ),
    Probe(
        rows=("provider-post-plain", "provider-post-signed"),
        run=schemes,
        does="ask the provider to void an order that nobody has, signed in three ways",
        rights=("secretsmanager:GetSecretValue",),
    ),
    Probe(
        rows=("provider-unknown-void", "provider-unknown-query", "provider-answer-time"),
        run=unknown_orders,
        does="ask the provider to void an order that nobody has",
        rights=("secretsmanager:GetSecretValue",),
    ),
    Probe(
        rows=("provider-order-limit", "provider-order-characters"),
        run=characters,
        does="ask the provider to void nineteen orders that nobody has, with odd letters",
        rights=("secretsmanager:GetSecretValue",),
    ),
)  # fmt: skip
