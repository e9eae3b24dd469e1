"""One request: authorized by a signature or a token, sent once, and what is known if no answer came."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from .errors import Answer, VoidError, error, error_of

VERSION = "2.0.0"  # of the contract, openapi.json
Log = Callable[[Mapping[str, Any]], object]


class Signature:
    """SigV4 with botocore's credentials; without any, it looks for them as the AWS CLI does, at the first request."""

    def __init__(self, region: str, credentials: Credentials | None) -> None:
        self._region, self._credentials, self._lock = region, credentials, threading.Lock()

    def authorize(self, _: Transport, request: AWSRequest) -> None:
        try:
            with self._lock:
                self._credentials = self._credentials or get_session().get_credentials()
            if self._credentials is None:
                raise LookupError("none in the environment, the profile or the machine")
            SigV4Auth(self._credentials.get_frozen_credentials(), "execute-api", self._region).add_auth(request)
        except Exception as cause:
            raise error("not-configured", f"no AWS credentials ({type(cause).__name__}: {cause})") from cause


class ClientCredentials:
    """Tokens of an OpenID Connect issuer for a client: one is fetched, and used until shortly before its end.

    Share one between clients and threads: whoever needs a token while one is fetched waits for that one.
    """

    def __init__(self, token_url: str, client_id: str, client_secret: str, scope: str = "") -> None:
        basic = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
        self._basic = "Basic " + base64.b64encode(basic.encode()).decode()
        self._url, self._form = token_url, {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._bearer, self._fetched, self._lasts, self._lock = "", 0.0, 0.0, threading.Lock()

    def authorize(self, transport: Transport, request: AWSRequest) -> None:
        with self._lock:
            # By the wall clock, which goes on while a machine is frozen; an age below 0 is old.
            if not (self._bearer and 0 <= time.time() - self._fetched < self._lasts):
                self._fetch(transport)
            request.headers["Authorization"] = self._bearer

    def renew(self, request: AWSRequest) -> None:
        """A token was refused: fetch another, unless somebody has done so meanwhile."""
        with self._lock:
            if request.headers["Authorization"] == self._bearer:
                self._bearer = ""

    def _fetch(self, transport: Transport) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": self._basic}
        self._fetched = time.time()
        try:
            answer = transport.exchange("POST", self._url, urlencode(self._form).encode(), headers)
        except VoidError as cause:  # whatever became of that request, to the API nothing was sent
            name = cause.problem if cause.problem == "not-configured" else "nothing-sent"
            raise error(name, f"no token: {cause.args[0]}") from cause
        token, lasts = answer.document.get("access_token"), answer.document.get("expires_in", 300)
        if answer.status != 200 or not isinstance(token, str) or not isinstance(lasts, int | Decimal):
            again = answer.status in (200, 429) or answer.status >= 500
            said = f"no token: HTTP {answer.status} {answer.document.get('error', '')}"
            raise error("nothing-sent" if again else "not-configured", said, "", answer)
        self._bearer, self._lasts = f"Bearer {token}", float(lasts) - min(60.0, float(lasts) / 2)


class Transport:
    """Sends each request once: without urllib3's retries and redirects, which do not know what may be repeated here."""

    def __init__(
        self, auth: Signature | ClientCredentials, timeout: float, pool: urllib3.PoolManager | None, log: Log | None
    ) -> None:
        self._limits = urllib3.Timeout(connect=min(timeout, 5.0), read=timeout)
        self._auth, self.pool, self.log = auth, pool or urllib3.PoolManager(maxsize=10), log or (lambda _: None)

    def call(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Authorize and send. Returns a 2xx, and raises for everything else."""
        for tries_left in (1, 0):
            named = {**(headers or {}), "User-Agent": f"void-client-python/{VERSION}"}
            request = AWSRequest(method, url, headers=named, data=body)
            self._auth.authorize(self, request)
            answer = self.exchange(method, url, body, dict(request.headers.items()))
            if answer.status != 401 or not isinstance(self._auth, ClientCredentials) or not tries_left:
                break
            self._auth.renew(request)
        if answer.status in range(200, 300):
            return answer
        raise error_of(answer)

    def exchange(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        left = [] if body else [True]  # what has no body could have left any time

        def leaving() -> Iterator[bytes]:
            left.append(True)  # urllib3 asks for the body when it is connected and has sent the head
            yield body

        began, sized = time.monotonic(), {**headers, "Content-Length": str(len(body))} if body else headers
        try:
            got = self.pool.request(
                method, url, body=leaving() if body else None, headers=sized,
                retries=False, redirect=False, timeout=self._limits,
            )  # fmt: skip
            answer = _answer(got)
        except (HTTPError, OSError, ValueError) as cause:
            lost = _lost(cause, bool(left))
            self.log({"event": "answer", "method": method, "url": url, "problem": lost.problem, "error": lost})
            raise lost from cause
        told = {"status": got.status, "request_id": answer.request_id, "seconds": time.monotonic() - began}
        self.log({"event": "answer", "method": method, "url": url} | told)
        return answer


def _answer(got: urllib3.BaseHTTPResponse) -> Answer:
    try:
        document = json.loads(got.data, parse_float=Decimal, parse_constant=int)  # which refuses NaN and Infinity
    except (ValueError, ArithmeticError, RecursionError):
        document = None
    named, told = got.headers.get, got.headers.get("Retry-After", "")
    seconds = int(told) if re.fullmatch("[0-9]{1,9}", told) else None
    ids = named("x-amz-apigw-id") or named("x-amzn-RequestId") or ""
    document = document if isinstance(document, dict) else {}
    return Answer(got.status, document, named("Location", ""), seconds, ids, named("X-Local-Hint", ""))


def _lost(cause: Exception, left: bool) -> VoidError:
    """No answer. Nothing was sent if the body never left, or nobody was there; what cannot get better says so."""
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in (*cause.args, cause.__context__)):
        return error("not-configured", f"the server's certificate does not verify ({cause})")
    if isinstance(cause, NewConnectionError | ConnectTimeoutError):
        return error("nothing-sent", f"no connection ({cause})")
    return error("outcome-unknown" if left else "nothing-sent", f"no answer ({type(cause).__name__})")
