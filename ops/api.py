"""The service's own API, called as a merchant calls it: signed with SigV4.

Promises a problem document's title and detail as the error, and numbers with their digits. Never follows a redirect:
a signature is for one address.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ops.places import OpsError, Place, api_url, no_local_run
from payments import exact_json
from payments.messages import wrong_order_id

SECONDS = 35.0
"""Longer than API Gateway lets any request take."""
PAGE = 100

Document = dict[str, Any]


class NotFound(OpsError):
    """There is no record of this order; `order_id` is the name that the service read from the path."""

    def __init__(self, message: str, order_id: object) -> None:
        super().__init__(message)
        self.order_id = order_id


class Reply(NamedTuple):
    """An answer of the API as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Changed(OpsError):
    """The record is no longer the one that a decision was about."""


def read_void(place: Place, order_id: str, refresh: bool = False) -> Document:
    """The record of one order with its webhooks; `refresh` has the service ask the provider first."""
    return _document(send(place, "GET", void_path(order_id) + ("?refresh=true" if refresh else "")))


def list_voids(place: Place, state: str, day: str | None = None) -> Iterator[Document]:
    """All voids of one state, page by page: `unsettled` by what is due next, `review`, or `settled` on a day (UTC)."""
    cursor: str | None = None
    while True:
        query = {"limit": str(PAGE), "state": state, "day": day, "cursor": cursor}
        given = sorted((name, value) for name, value in query.items() if value is not None)
        page = _document(send(place, "GET", f"/voids?{urlencode(given, quote_via=quote, safe='')}"))
        yield from page["voids"]
        cursor = page["cursor"]
        if cursor is None:
            return


def decide(place: Place, order_id: str, decision: str, revision: str, note: str) -> Document:
    """Tell the service an operator's decision about the record of that revision; the record that came of it."""
    body = exact_json.write({"decision": decision, "revision": revision, "note": note}).encode()
    return _document(send(place, "POST", f"{void_path(order_id)}/decisions", body))


def probe(place: Place) -> None:
    """One signed read that is answered. Raises OpsError."""
    _document(send(place, "GET", "/voids?limit=1"))


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
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(SECONDS, connect=5)) as http:
        try:
            answer = http.request(
                method, address + target, body=body or None, headers=dict(request.headers.items()), redirect=False
            )
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
    if reply.status != 200:
        name = str(document.get("type", "")).rpartition(":")[2] or str(document.get("message", ""))
        why = document.get("detail") or document.get("title") or "refused"
        again = reply.headers.get("Retry-After")
        message = f"{reply.status} {name}: {why}{_violations(document)}" + (f" Again in {again} s." if again else "")
        if name == "not-found":
            raise NotFound(message, document.get("order_id"))
        raise Changed(message) if name == "changed-meanwhile" else OpsError(message)
    return document


def _violations(problem: Document) -> str:
    errors = problem.get("errors")
    found = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    return "".join(f" {one.get('pointer')} {one.get('detail')};" for one in found).rstrip(";")
