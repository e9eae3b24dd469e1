"""The front door as deployed: who gets in, and what is said to whom does not."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.merchant import Caller, Reply, send
from local.service import Service
from tests.integration.client import FORM, Client, problem

WEBHOOK = "/v1/webhooks/financial-line"
FORGED = b"data=e30%3D&signature=forged"


def signed(
    service: Service, path: str = "/v1/voids", signer: Any = SigV4Auth, name: str = "execute-api", sent: str = "",
    body: bytes = b"", beside: str = "", minutes: float = 0, token: str | None = None, seconds: tuple[int, ...] = (),
    header: tuple[str, str] = ("Accept", "*/*"),
) -> Reply:  # fmt: skip
    """A GET that somebody signed, in a header or in the query; `sent`: `a -> b` in the address afterwards."""
    request, then = (
        AWSRequest("GET", service.url + path, dict([header])),
        datetime.now(UTC) + timedelta(minutes=minutes),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda *_: then.replace(tzinfo=None))
        credentials = Credentials(service.access_key, service.secret_key, token)
        signer(credentials, name, service.region, *seconds).add_auth(request)
    headers, (before, _, after) = dict(request.headers.items()), sent.partition(" -> ")
    assert before in f"{request.url} {headers}"
    if beside:
        headers["Authorization"] += beside
    return send("GET", str(request.url).replace(before or " ", after), body, headers)


def caller(service: Service, **changes: str) -> Caller:
    return Caller(**{name: getattr(service, name) for name in ("url", "region", "access_key", "secret_key")} | changes)


QUERY: dict[str, Any] = {"signer": SigV4QueryAuth, "path": "/v1/voids?state=review&limit=5", "seconds": (60,)}
HASH, EXPIRED = "X-Amz-Content-SHA256", "Signature expired"


@pytest.mark.parametrize(("ask", "hint"), [
    *(pytest.param(lambda at, m=method, p=path: send(m, at.url + p), "", id=f"{method} {path} without a signature")
      for method, path in (("POST", "/v1/voids"), ("GET", "/v1/voids"), ("GET", "/v1/voids/1"))),
    *(pytest.param(lambda at, m=method, p=path: caller(at).call(m, p), "", id=f"{method} {path} is no route")
      for method, path in (("POST", "/"), ("GET", "/v2/voids"), ("GET", "/voids"), ("FOO", "/v1/voids"), ("PUT", "/v1/voids/1"), ("GET", "/v1/voids/1/2"), ("GET", WEBHOOK))),
    *(pytest.param(lambda at, m=method, i=instead: send(m, f"{at.url}/v1/voids", b"{}", {"X-HTTP-Method-Override": i}), "", id=f"{method} as {instead}")
      for method, instead in (("GET", "POST"), ("POST", "GET"))),
    pytest.param(lambda at: send("GET", f"{at.url}/v1/voids", headers={"Authorization": "Bearer e30.e30.e30"}), "A token goes to /v1/oauth", id="a token"),
    pytest.param(lambda at: caller(at, secret_key="operator-secret").get("/v1/voids"), "does not match", id="another's secret"),
    pytest.param(lambda at: caller(at, access_key="stranger").get("/v1/voids"), "Access key stranger is not known", id="unknown key"),
    pytest.param(lambda at: caller(at, region="us-east-1").get("/v1/voids"), "in 'us-east-1'. Expected: 'execute-api' in 'eu-central-1'", id="region"),
    pytest.param(lambda at: signed(at, name="dynamodb"), "for 'dynamodb' in", id="service"),
    pytest.param(lambda at: signed(at, minutes=-6), "The caller's clock is 36", id="six minutes ago"),
    pytest.param(lambda at: signed(at, minutes=6), "The caller's clock is 3", id="in six minutes"),
    pytest.param(lambda at: signed(at, minutes=-6, beside=", seconds=6000, Expires=6000"), EXPIRED, id="a time of one's own beside the signature"),
    pytest.param(lambda at: signed(at, body=b"x"), "does not match", id="another body"),
    pytest.param(lambda at: signed(at, "/v1/voids?limit=1", sent="limit=1 -> limit=2"), "does not match", id="another query"),
    pytest.param(lambda at: signed(at, token="fake-session-token"), "came with a token", id="session token"),
    pytest.param(lambda at: signed(at, signer=SigV4QueryAuth, token="fake-session-token"), "came with a token", id="token in the query"),
    pytest.param(lambda at: signed(at, header=(HASH, "UNSIGNED-PAYLOAD")), "", id="no hash of the body"),
    pytest.param(lambda at: signed(at, header=(HASH, "0" * 64)), "does not match", id="another hash"),
    pytest.param(lambda at: send("GET", f"{at.url}/v1/voids", headers=caller(at).signed("GET", "/v1/voids") | {"X-Amz-A": "b"}),
                 "must be signed", id="a header beside the signature"),
    *(pytest.param(lambda at, c=change: signed(at, **QUERY, sent=c), "", id=change) for change in (
        "limit=5 -> limit=6", "/v1/voids? -> /v1/voids/1?", "Expires=60 -> Expires=6000", "Expires=60 -> Expires=x", "&X-Amz-Expires=60 -> ")),
    pytest.param(lambda at: signed(at, **QUERY, body=b"a body"), "does not match", id="a body with a presigned address"),
    pytest.param(lambda at: signed(at, **QUERY | {"seconds": (500,)}, minutes=-9), EXPIRED, id="presigned, too late"),
])  # fmt: skip
def test_it_is_refused(service: Service, ask: Callable[[Service], Reply], hint: str) -> None:
    reply = ask(service)
    assert problem(reply, 403, "unauthenticated")["request_id"] == reply.headers["x-amz-apigw-id"]
    assert hint in reply.headers.get("X-Local-Hint", "")
    assert b"fake-session-token" not in reply.body


def test_what_is_signed_comes_in(service: Service, merchant: Caller, order: str) -> None:
    for query in ("limit=1&state=unsettled", "state=unsettled&limit=1"):
        assert merchant.get(f"/v1/voids?{query}").status == 200
    assert signed(service, **QUERY).status == 200
    assert signed(service, **QUERY | {"seconds": (600,)}, minutes=-9).status == 200
    forged = send("POST", service.url + WEBHOOK, FORGED, FORM)
    assert forged.status == 401, "the webhook route asks for no signature of AWS"
    # A replaced method is routed, and signed as sent.
    document = json.dumps({"order_id": order, "order_currency": "UAH"}).encode()
    listed = merchant.call("POST", "/v1/voids", document, {"X-HTTP-Method-Override": "GET"})
    assert (listed.status, set(listed.json)) == (200, {"voids", "cursor"})
    assert merchant.get(f"/v1/voids/{order}").status == 404, "nothing was voided"


# ---- bytes that no tidy client sends ---------------------------------------------------------------------------------


def on_the_wire(service: Service, head: str, body: bytes = b"") -> bytes:
    """The answer to these very bytes, after which nothing comes, up to where the connection is closed."""
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(f"{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1") + body)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


CHUNKED, POST = (
    "Transfer-Encoding: chunked",
    f"POST {WEBHOOK} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded",
)
LENGTH, LONG = f"Content-Length: {len(FORGED)}", "v" * 10_240


@pytest.mark.parametrize(("head", "body", "status"), [
    *((f"{POST}\r\n{CHUNKED}", size + b"\r\n" + FORGED + b"\r\n0\r\nTrailer: x\r\n\r\n", "401") for size in (b"1c", b"01C;name=value")),
    *((f"{POST}\r\n{CHUNKED}", body, "400") for body in (b"-5\r\nhello\r\n0\r\n\r\n", b"ffffffffff\r\n", b"zz\r\n", b"7fffffff\r\n")),
    *((f"{POST}\r\nContent-Length: {length}", b"0123456789", "400") for length in ("-1", "1_0", "ten", "99999999999")),
    (f"{POST}\r\nContent-Length: 100", FORGED, ""),  # it breaks off
    (f"GET /v1/voids HTTP/1.1\r\nX-Long: {LONG}", b"", "431"), (f"GET /v1/voids?x={LONG} HTTP/1.1", b"", "431"),
    # A webhook with surplus slashes comes in only by the path that the policy names.
    (f"{POST}\r\n{LENGTH}".replace("/v1/webhooks", "//v1//webhooks"), FORGED, "401"), (f"{POST}\r\n{LENGTH}".replace(WEBHOOK, f"{WEBHOOK}/"), FORGED, "403"),
])  # fmt: skip
def test_untidy_bytes_are_answered(service: Service, head: str, body: bytes, status: str) -> None:
    answer = on_the_wire(service, head, body)
    assert answer[9:12].decode() == status
    assert not status or b"\r\nConnection: close" in answer


def test_a_signature_for_another_host_lets_nobody_in_by_surplus_slashes(service: Service, merchant: Caller) -> None:
    for path in ("/v1/voids/", "/v1//voids", "//v1/voids", "//v1///voids//"):
        headers = "\r\n".join(map(": ".join, merchant.signed("GET", path).items()))
        assert on_the_wire(service, f"GET {path} HTTP/1.1\r\n{headers}").startswith(b"HTTP/1.1 403 "), path


# ---- function processes ----------------------------------------------------------------------------------------------


def instances_of(service: Service, handler: str) -> list[int]:
    def command_line(pid: int) -> bytes:
        return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout

    return [pid for pid in service.function_pids() if handler.encode() in command_line(pid)]


def test_a_function_process_killed_in_the_middle_is_reported_and_replaced(service: Service, client: Client) -> None:
    order = client.hold(answer="timeout_executed", webhook="none")
    before = set(instances_of(service, "submit_void.handler"))
    assert before
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(client.submit, order)
        while client.ledger(order)["voids_received"] == 0:
            time.sleep(0.05)
        for pid in instances_of(service, "submit_void.handler"):
            os.kill(pid, signal.SIGKILL)
        killed = reply.result(timeout=10)
    assert 500 <= killed.status <= 504
    problem(killed, killed.status, "outcome-unknown")
    # The next request gets a new process, and the intent was durable.
    problem(client.submit(order), 409, "in-progress")
    assert not before & set(service.function_pids())


def test_simultaneous_requests_get_an_instance_each(service: Service, merchant: Caller) -> None:
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: merchant.get("/v1/voids?state=review").status, range(24)))
    assert statuses == [200] * 24
    assert len(instances_of(service, "read_voids.handler")) <= 6
