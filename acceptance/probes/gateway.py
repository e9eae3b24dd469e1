"""What more than one request must show: an id that comes through the path, and who a token's claims say has asked."""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from acceptance.probes import requests
from acceptance.rows import Finding, judged
from acceptance.site import Site
from ops.places import OpsError

ODD = {"blank": "a b", "slash": "a/b", "accent": "é", "percent": "a%41", "ticket": 'b%+"🎫'}
"""`a%41` decoded twice is `aA`, `é` read as Latin-1 is two letters."""


def path_encoding(site: Site) -> Iterator[Finding]:
    """Which order does a path name?"""
    shown: dict[str, dict[str, object]] = {}
    for name, letters in ODD.items():
        order = site.nobody(letters)[16:]
        reply = site.read(order)
        named = str(reply.document.get("order_id"))
        good = named == order and reply.status == 404
        shown[name] = {"asked": letters, "named": named[-8:], "good": good} | reply.evidence()
    wrong = [f"it arrived as {one['named']!r}" for one in shown.values() if not one["good"]]
    yield judged("aws-path-encoding", not wrong, shown, "; ".join(wrong))


def token_requester(site: Site) -> Iterator[Finding]:
    """What a good token asks for is on record under its issuer and client."""
    order, by = site.nobody(), {"path": f"{site.base}/oauth/voids", "by": "token"}
    site.refuse_a_live_project()
    asked = requests.send(
        site, by | {"method": "POST", "body": json.dumps({"order_id": order, "order_currency": "UAH"})}
    )
    claims, requester = _claims(site.allowed.token or ""), str(site.read(order).document.get("requested_by"))
    mine = {name: name in claims for name in ("aud", "client_id", "scope")}
    shown = asked.evidence() | {"requested_by": requester, "claims": mine}
    yield judged("aws-token-requester", requester.startswith(f"{claims.get('iss')}#"), shown)


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
