"""Requests that rows.toml describes, to the API and to the provider: who signs each, what is sent, and which answer
confirms. Voids nothing: the provider is asked about orders that nobody has.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import boto3
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, ProfileNotFound

from acceptance import wire
from acceptance.rows import FACTS, Finding, Row, judged, not_seen
from acceptance.site import JSON, Site
from acceptance.wire import PROBLEM, NoAnswer, Reply, Signer
from ops.places import OpsError
from payments.provider import ANSWER_SECONDS
from payments.signatures import Scheme

ODD = {"blank": "a b", "slash": "a/b", "accent": "é", "percent": "a%41", "ticket": 'b%+"🎫'}
"""`a%41` decoded twice is `aA`, `é` read as Latin-1 is two letters."""
CURRENCY, ANOTHER = "UAH", FACTS["another"]
Request = Mapping[str, Any]


def ask(site: Site, rows: Sequence[Row]) -> Iterator[Finding]:
    """All requests of these rows, then what the access log says of them, then the rows."""
    sent: dict[str, list[tuple[Request, Reply]]] = {}
    for row in rows:
        try:
            sent[row.id] = [(request, send(site, request)) for request in row.requests]
        except NoAnswer as error:
            yield not_seen(row.id, str(error))
    logs = logged(site, [reply for pairs in sent.values() for request, reply in pairs if "log" in request])
    for row_id, pairs in sent.items():
        shown = {str(request.get("name", "answer")): reply.evidence() | logs(reply) for request, reply in pairs}
        unfit = [request["unfit"] for request, reply in pairs if "unfit" in request and wrong(site, request, reply, {})]
        silent = [request for request, reply in pairs if "must_log" in request and not logs(reply)]
        wrongs = [(request.get("name"), wrong(site, request, reply, logs(reply))) for request, reply in pairs]
        why = "; ".join(f"{name}: {said}" if name else said for name, said in wrongs if said)
        if unfit or silent:
            yield not_seen(row_id, (*unfit, "the access log has no line of it yet, or may not be read")[0], shown)
        else:
            yield judged(row_id, not why, shown, why)


def send(site: Site, request: Request) -> Reply:
    """One of them. Raises OpsError if something must be brought along, NoAnswer."""
    if "/oauth/" in request["path"] and "TokenApiUrl" not in site.outputs:
        raise OpsError("`token_issuers` of this environment is empty: nobody calls by token")
    target = request["path"].format(base=site.base, nobody=site.nobody())
    body = request.get("body", "").encode("latin-1").replace(b"NOBODY", site.nobody()[:20].encode())
    body = body or b" " * request.get("size", 0)
    known = {"address": site.environment.webhook_addresses[0].partition("/")[0], "padding": "x" * 11_000}
    headers = {name: value.format_map(known) for name, value in request.get("headers", {}).items()}
    by = _signer(site, request.get("by", "operator"))
    headers = (JSON if body else {}) | headers | ({"Authorization": f"Bearer {by}"} if isinstance(by, str) else {})
    stranger = site.local and "stranger" in request  # from loopback, but none of the local environment's addresses
    source, signer = "127.0.0.2" if stranger else None, by if isinstance(by, Signer) else None
    how: dict[str, Any] = {"headers": headers, "body": body, "signer": signer, "source": source}
    return site.call(request.get("method", "GET"), target, unsigned=signer is None, **how)


def _signer(site: Site, who: str) -> Signer | str | None:
    """Signs, or is a token; None for nobody. Raises OpsError."""
    mine, late, region = site.signer(), site.signer(), site.place.region
    late.at = site.now() - timedelta(minutes=6)
    key, api, other = mine.credentials, "execute-api", "us-east-1" if region != "us-east-1" else "eu-west-1"
    wrong = ReadOnlyCredentials(key.access_key, "not-the-secret-of-this-key", key.token)
    nobody = ReadOnlyCredentials("acceptance-nobody", "no-secret-of-anybody", None)
    signers = {
        "nobody": None, "operator": mine, "late": late, "unknown-key": Signer(nobody, api, region),
        "wrong-secret": Signer(wrong, api, region), "wrong-region": Signer(key, api, other),
        "wrong-service": Signer(key, "s3", region),
    } | ({"merchant-profile": mine} if site.local else {})  # fmt: skip
    if who in signers:
        return signers[who]
    given: str | None = getattr(site.allowed, who.replace("-", "_"))
    if given is None:
        raise OpsError(f"it needs {FACTS['needs'][who]}")
    if "token" in who:
        return given
    with suppress(ProfileNotFound):
        if credentials := boto3.Session(profile_name=given).get_credentials():
            return Signer(credentials.get_frozen_credentials(), api, region)
    raise OpsError(f"there is no AWS profile {given} on this machine")


def logged(site: Site, replies: Sequence[Reply]) -> Callable[[Reply], dict[str, Any]]:
    """Members of the access log's lines. Evidence only: without the log, or the right to read it, there are none."""
    ids = [one for reply in replies if (one := reply.headers.get("x-amz-apigw-id"))]
    entries: list[dict[str, Any]] = []
    if not site.local and ids:
        pattern, since = " || ".join(f'($.request_id = "{one}")' for one in ids), site.now() - timedelta(minutes=15)
        lines = partial(site.access_log, f"{{ {pattern} }}", since)
        with suppress(ClientError):
            entries, _ = site.until("the access log", lines, lambda seen: len(seen) >= len(ids), site.patience.logs)
    names = ("refused_as", "account", "client")
    found = {str(entry.get("request_id")): {name: entry[name] for name in names if name in entry} for entry in entries}
    return lambda reply: found.get(reply.headers.get("x-amz-apigw-id", ""), {})


def wrong(site: Site, request: Request, reply: Reply, log: Mapping[str, Any]) -> str:
    status, problem, document = request.get("status", "..."), request.get("problem"), reply.document
    if not re.fullmatch(status, str(reply.status)):
        return f"status {reply.status}, expected {status.replace('|', ' or ')}"
    if problem is not None and reply.content_type != PROBLEM:
        return f"content type '{reply.content_type}', expected '{PROBLEM}'"
    named = [str(one.get("pointer")) for one in document.get("errors", []) if isinstance(one, dict)]
    checks = {
        "the body is not the problem document of its status": problem is None or document.get("status") == reply.status,
        f"the problem is not {problem}": not problem or reply.problem == problem,
        "the request id is not that of the header": "own_id" not in request
        or (bool(document) and document.get("request_id") == reply.headers.get("x-amz-apigw-id")),
        "the header is missing": request.get("header", "content-type") in reply.headers,
        "another member is named": not named or request.get("pointer") in (None, *named),
        "the log does not say": "must_log" not in request or log.get(request["must_log"]) not in (None, "", "-"),
        "the log has the token": site.allowed.token is None or site.allowed.token not in json.dumps(log),
    }
    return next((said for said, holds in checks.items() if not holds), "")


# ---- the provider ----------------------------------------------------------------------------------------------------


EXPECTED: Mapping[str, Callable[[Reply, Reply], bool]] = {  # of an answer, beside one about an unknown order
    "accepted": lambda reply, _: not wire.about_credentials(reply),
    "refused": lambda reply, _: wire.about_credentials(reply),
    "unknown": lambda reply, _: wire.refuses(reply),
    "unknown or empty": lambda reply, _: (
        reply.json == [] if reply.status == 200 else reply.status == 404 and wire.refuses(reply)
    ),
    "in time": lambda reply, _: reply.seconds <= ANSWER_SECONDS,
    "as unknown": lambda reply, usual: reply.status == usual.status,
    "anything": lambda *_: True,
}


def ask_provider(site: Site, rows: Sequence[Row]) -> Iterator[Finding]:
    """All requests of these rows, each judged by what is expected of it."""
    compared = any(request["expect"] == "as unknown" for row in rows for request in row.requests)
    usual = site.line.void(site.nobody(), CURRENCY) if compared else None
    for row in rows:
        if usual and wire.about_credentials(usual):
            yield not_seen(row.id, "the provider refuses the credentials", wire.evidence(usual))
            continue
        replies = [(one, _send_provider(site, one)) for one in row.requests]
        wrong = [one["name"] for one, reply in replies if not EXPECTED[one["expect"]](reply, usual or reply)]
        shown = {one["name"]: wire.evidence(reply) | {"seconds": round(reply.seconds, 3)} for one, reply in replies}
        yield judged(row.id, not wrong, shown | {"otherwise": wrong})


def _send_provider(site: Site, request: Request) -> Reply:
    """A void if it says so, else a query; signed in another way, or with wrong credentials, if it names them."""
    order = request.get("order") or site.nobody(request.get("letters", "")) + request.get("more", "")
    given: dict[str, Any] = {"scheme": Scheme(request["scheme"])} if "scheme" in request else {}
    if "void" in request:
        return site.line.void(order, CURRENCY, **given)
    return site.line.query(order, **given, **{name: ANOTHER[name] for name in request.get("wrong", ())})


# ---- what more than one request must show ----------------------------------------------------------------------------


def path_encoding(site: Site) -> Iterator[Finding]:
    shown, wrong = dict[str, object](), list[str]()
    for name, letters in ODD.items():
        order = site.nobody(letters)[16:]
        reply = site.read(order)
        named = str(reply.document.get("order_id"))
        shown[name] = {"asked": letters, "named": named[-8:]} | reply.evidence()
        wrong += [] if (named, reply.status) == (order, 404) else [f"it arrived as {named[-8:]!r}"]
    yield judged("aws-path-encoding", not wrong, shown, "; ".join(wrong))


def token_requester(site: Site) -> Iterator[Finding]:
    """What a good token asks for is on record under its issuer and client."""
    order = site.nobody()
    site.refuse_a_live_project()
    body = json.dumps({"order_id": order, "order_currency": "UAH"})
    asked = send(site, {"by": "token", "method": "POST", "path": "{base}/oauth/voids", "body": body})
    claims, requester = _claims(site.allowed.token or ""), str(site.read(order).document.get("requested_by"))
    mine = {name: name in claims for name in ("aud", "client_id", "scope")}
    shown = asked.evidence() | {"requested_by": requester, "claims": mine}
    yield judged("aws-token-requester", requester.startswith(f"{claims.get('iss')}#"), shown)


def _claims(token: str) -> dict[str, Any]:
    """What the token says of itself, unchecked: API Gateway checks it. Raises OpsError."""
    with suppress(IndexError, ValueError):
        part = token.split(".")[1]
        if isinstance(found := json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))), dict):
            return found
    raise OpsError("the file of --token-file holds no access token with claims that can be read")
