"""What API Gateway makes of access tokens of the environment's own issuer. Voids nothing, and shows no token."""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from acceptance.probes.gateway import logged_as
from acceptance.rows import Finding, judged, not_seen
from acceptance.site import JSON, NotGiven, Site
from acceptance.wire import Reply, compact
from ops.places import OpsError

ROUTE = "/oauth/voids"


def _bearing(site: Site, token: str | None, path: str = "?limit=1", method: str = "GET", body: bytes = b"") -> Reply:
    """One request by token, or without any. Raises NotGiven."""
    if "TokenApiUrl" not in site.outputs:
        raise NotGiven("`token_issuers` of this environment is empty: nobody calls by token")
    headers = ({"Authorization": f"Bearer {token}"} if token else {}) | (JSON if body else {})
    return site.call(method, f"{site.base}{ROUTE}{path}", headers=headers, body=body, unsigned=True)


def refused(site: Site) -> Iterator[Finding]:
    """No token, one that is none, one signed by nobody, and a signature instead."""
    unsigned = f"{_part({'alg': 'none'})}.{_part({'iss': 'x', 'client_id': 'x'})}."
    replies = {
        name: _bearing(site, token) for name, token in (("none", None), ("garbage", "x"), ("unsigned", unsigned))
    }
    logged = logged_as(site, list(replies.values()), "refused_as")
    shown = {name: _evidence(reply) | logged(reply) for name, reply in replies.items()}
    shown["SigV4"] = _evidence(signature := site.call("GET", f"{site.base}{ROUTE}?limit=1"))
    good = all(reply.status == 401 and "www-authenticate" in reply.headers for reply in replies.values())
    yield judged("aws-token-refused", good and signature.status in (401, 403), shown)


def _evidence(reply: Reply) -> dict[str, object]:
    return reply.evidence() | {"www_authenticate": "www-authenticate" in reply.headers}


def _part(document: object) -> str:
    return base64.urlsafe_b64encode(compact(document)).decode().rstrip("=")


def expired(site: Site) -> Iterator[Finding]:
    """401 or 403 is not documented."""
    if site.allowed.expired_token is None:
        raise NotGiven("it needs a token that has expired: --expired-token-file FILE")
    reply = _bearing(site, site.allowed.expired_token)
    logged = logged_as(site, [reply], "refused_as")(reply)
    yield judged("aws-token-expired", reply.status == 401, _evidence(reply) | logged)


def caller(site: Site) -> Iterator[Finding]:
    """A good token reads; what it asks for is on record and in the log under its issuer and client, without the token."""
    token = site.allowed.token
    if token is None:
        raise NotGiven("it needs a token of a client that `token_callers` names: --token-file FILE")
    site.refuse_a_live_project()
    claims, reply = _claims(token), _bearing(site, token)
    mine = {name: name in claims for name in ("aud", "client_id", "scope")}
    yield judged("aws-token-accepted", reply.status == 200, reply.evidence() | {"claims": mine})
    if reply.status != 200:
        return
    order = site.nobody()
    asked = _bearing(site, token, "", "POST", compact({"order_id": order, "order_currency": "UAH"}))
    by = str(site.read(order).document.get("requested_by"))
    named = by.startswith(f"{claims.get('iss')}#")
    yield judged("aws-token-requester", named, asked.evidence() | {"requested_by": by})
    logged = logged_as(site, [reply], "client", "account", "refused_as")(reply)
    if not logged:
        yield not_seen("aws-token-logged", "the access log has no line of it yet, or may not be read")
    else:
        secret = token in json.dumps(logged)
        yield judged("aws-token-logged", logged["client"] not in (None, "", "-") and not secret, logged)


def _claims(token: str) -> dict[str, Any]:
    """What the token says of itself, unchecked: API Gateway checks it. Raises OpsError."""
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, binascii.Error):
        found = None
    if not isinstance(found, dict):
        raise OpsError("the file of --token-file holds no access token with claims that can be read")
    return found
