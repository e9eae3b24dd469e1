"""The service's own API, called as a merchant calls it: signed with SigV4. Promises a problem document's title and
detail as the error, and numbers with their digits. Never follows a redirect: a signature is for one address."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from local.merchant import Reply
from ops.places import OpsError, Place, api_url, no_local_run
from payments import exact_json
from payments.messages import wrong_order_id

Document = dict[str, Any]


class NotFound(OpsError):
    """There is no record of this order."""


class Changed(OpsError):
    """The record is no longer the one that a decision was about."""


def read_void(place: Place, order_id: str, refresh: bool = False) -> Document:
    """The record of one order with its webhooks; `refresh` has the service ask the provider first."""
    return _document(send(place, "GET", void_path(order_id) + ("?refresh=true" if refresh else "")))


def list_voids(place: Place, state: str, day: str | None = None) -> Iterator[Document]:
    """All voids of one state, page by page: `unsettled` by what is due next, `review`, or `settled` on a day (UTC)."""
    query = {"limit": "100", "state": state} | ({"day": day} if day else {})
    while True:
        page = _document(send(place, "GET", f"/voids?{urlencode(sorted(query.items()), quote_via=quote, safe='')}"))
        yield from page["voids"]
        if page["cursor"] is None:
            return
        query["cursor"] = page["cursor"]


def decide(place: Place, order_id: str, decision: str, revision: str, note: str) -> Document:
    """Give the service an operator's decision about the record of that revision; the record that came of it."""
    body = exact_json.write({"decision": decision, "revision": revision, "note": note}).encode()
    return _document(send(place, "POST", f"{void_path(order_id)}/decisions", body))


def void_path(order_id: str) -> str:
    """Where the record of an order is. Raises OpsError for what the service itself takes for no order's id."""
    wrong = wrong_order_id(order_id)
    if wrong is not None:
        raise OpsError(f"not an order id: it {wrong}")
    return f"/voids/{quote(order_id, safe='')}"


def send(place: Place, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
    """One signed request; `target` is as it is sent, behind the stage. Raises OpsError if nothing answers."""
    address = api_url(place)
    sent = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {}) | dict(headers or {})
    request = AWSRequest(method, address + target, headers=sent, data=body)
    SigV4Auth(place.caller, "execute-api", place.region).add_auth(request)
    signed = dict(request.headers.items())
    patience = urllib3.Timeout(35, connect=5)  # longer than API Gateway lets any request take
    with urllib3.PoolManager(retries=False, timeout=patience) as http:
        try:
            answer = http.request(method, address + target, body=body or None, headers=signed, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            if place.local_caller is not None and isinstance(error, urllib3.exceptions.NewConnectionError):
                raise no_local_run(place) from None
            raise OpsError(f"no answer from {address}: {type(error).__name__}") from None
    return Reply(answer.status, answer.headers, answer.data)


def _document(reply: Reply) -> Document:
    try:
        document = exact_json.parse(reply.body)
    except exact_json.Unreadable:
        document = None
    if not isinstance(document, dict):
        raise OpsError(f"the API answered {reply.status}, and not with our JSON: is this the right address?")
    if reply.status == 200:
        return document
    name = str(document.get("type", "")).rpartition(":")[2] or str(document.get("message", ""))
    why = document.get("detail") or document.get("title") or "refused"
    again = f" Again in {reply.headers['Retry-After']} s." if "Retry-After" in reply.headers else ""
    kind = {"not-found": NotFound, "changed-meanwhile": Changed}.get(name, OpsError)
    raise kind(f"{reply.status} {name}: {why}{_violations(document.get('errors'))}{again}")


def _violations(errors: object) -> str:
    found = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    return ";".join(f" {one.get('pointer')} {one.get('detail')}" for one in found)
