"""The service's own API, called as a merchant calls it: signed with SigV4.

Promises a problem document's title and detail as the error, and numbers with their digits. Never follows a redirect:
a signature is for one address.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ops.places import OpsError, Place, api_url, no_local_run
from payments import exact_json
from payments.record import wrong_order_id

SECONDS = 35.0
"""Longer than API Gateway lets any request take."""
PAGE = 100

Document = dict[str, Any]


class NotFound(OpsError):
    """There is no record of this order; `order_id` is the name that the service read from the path."""

    def __init__(self, message: str, order_id: object) -> None:
        super().__init__(message)
        self.order_id = order_id


def read_void(place: Place, order_id: str, refresh: bool = False) -> Document:
    """The record of one order with its events; `refresh` has the service ask the provider first."""
    return _get(place, f"/voids/{quote(_valid(order_id), safe='')}", {"refresh": "true"} if refresh else {})


def list_voids(place: Place, state: str) -> Iterator[Document]:
    """All unsettled voids, or all in review, page by page, next due first."""
    cursor: str | None = None
    while True:
        query = {"limit": str(PAGE), "state": state} | ({"cursor": cursor} if cursor else {})
        page = _get(place, "/voids", query)
        yield from page["voids"]
        cursor = page["cursor"]
        if cursor is None:
            return


def probe(place: Place) -> None:
    """One signed read that is answered. Raises OpsError."""
    _get(place, "/voids", {"limit": "1"})


def _valid(order_id: str) -> str:
    """What the service itself takes for an order's id; `.` and `..` could not even be sent."""
    wrong = wrong_order_id(order_id)
    if wrong is not None:
        raise OpsError(f"not an order id: it {wrong}")
    return order_id


def _get(place: Place, path: str, query: dict[str, str]) -> Document:
    address = api_url(place)
    url = address + path + (f"?{urlencode(sorted(query.items()), quote_via=quote, safe='')}" if query else "")
    request = AWSRequest("GET", url, headers={"Accept": "application/json"})
    SigV4Auth(place.caller, "execute-api", place.region).add_auth(request)
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(SECONDS, connect=5)) as http:
        try:
            answer = http.request("GET", url, headers=dict(request.headers.items()), redirect=False)
        except urllib3.exceptions.HTTPError as error:
            if place.api_url is not None and isinstance(error, urllib3.exceptions.NewConnectionError):
                raise no_local_run(place) from None
            raise OpsError(f"no answer from {address}: {type(error).__name__}") from None
    return _document(answer.status, answer.data)


def _document(status: int, body: bytes) -> Document:
    try:
        document = exact_json.parse(body)
    except exact_json.Unreadable:
        document = None
    if not isinstance(document, dict):
        raise OpsError(f"the API answered {status}, and not with our JSON: is this the right address?")
    if status != 200:
        name = str(document.get("type", "")).rpartition(":")[2] or str(document.get("message", ""))
        why = document.get("detail") or document.get("title") or "refused"
        message = f"{status} {name}: {why}{_violations(document)}"
        raise NotFound(message, document.get("order_id")) if name == "not-found" else OpsError(message)
    return document


def _violations(problem: Document) -> str:
    errors = problem.get("errors")
    found = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    return "".join(f" {one.get('pointer')} {one.get('detail')};" for one in found).rstrip(";")
