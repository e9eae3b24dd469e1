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
from unittest.mock import Mock

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.exchange import Request, refused
from local.gateway.answer import RESPONSE_TYPES
from local.gateway.server import asked
from local.merchant import Caller, Reply, send
from local.service import Service

PROBLEM = "application/problem+json"
WEBHOOK = "/v1/webhooks/financial-line"
FORGED = b"data=e30%3D&signature=forged"
FORM = "Content-Type: application/x-www-form-urlencoded"


def assert_problem(reply: Reply, status: int, name: str) -> None:
    assert (reply.status, reply.headers["Content-Type"]) == (status, PROBLEM), reply
    assert reply.json["type"] == f"urn:void-service:problem:{name}"
    assert reply.json["status"] == status
    assert reply.json["request_id"] == reply.headers["x-amz-apigw-id"]


def signed(
    service: Service, path: str = "/v1/voids", signer: Any = SigV4Auth, name: str = "execute-api", sent: str = "",
    body: bytes = b"", beside: str = "", minutes: float = 0, token: str | None = None, seconds: tuple[int, ...] = (),
) -> Reply:  # fmt: skip
    """A GET that somebody signed, in a header or in the query; `sent`: `a -> b` in the address afterwards."""
    request, then = AWSRequest("GET", service.url + path), datetime.now(UTC) + timedelta(minutes=minutes)
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
INVALID_TOKEN = "The security token included in the request is invalid."


@pytest.mark.parametrize(("ask", "hint"), [
    *(pytest.param(lambda at, m=method, p=path: send(m, at.url + p), "", id=f"{method} {path} without a signature")
      for method, path in (("POST", "/v1/voids"), ("GET", "/v1/voids"), ("GET", "/v1/voids/1"))),
    *(pytest.param(lambda at, m=method, p=path: caller(at).call(m, p), "", id=f"{method} {path} is no route")
      for method, path in (("POST", "/"), ("GET", "/v2/voids"), ("GET", "/voids"), ("DELETE", "/v1/voids"), ("FOO", "/v1/voids"),
                           ("PUT", "/v1/voids/1"), ("GET", "/v1/voids/1/2"), ("GET", WEBHOOK))),
    *(pytest.param(lambda at, m=method, i=instead, p=path: send(m, at.url + p, b"{}", {"X-HTTP-Method-Override": i}), "",
                   id=f"{method} {path} as {instead}")
      for method, instead, path in (("GET", "POST", "/v1/voids"), ("POST", "GET", "/v1/voids"), ("POST", "GET", "/v1/voids/1"))),
    pytest.param(lambda at: send("GET", f"{at.url}/v1/voids", headers={"Authorization": "Bearer e30.e30.e30"}), "A token goes to /v1/oauth", id="a token"),
    pytest.param(lambda at: caller(at, secret_key="another").get("/v1/voids"), "does not match", id="another secret"),
    pytest.param(lambda at: caller(at, secret_key="operator-secret").get("/v1/voids"), "does not match", id="another's secret"),
    pytest.param(lambda at: caller(at, access_key="stranger").get("/v1/voids"), INVALID_TOKEN, id="unknown key"),
    pytest.param(lambda at: caller(at, region="us-east-1").get("/v1/voids"), "not 'us-east-1'. Expected: 'eu-central-1'", id="region"),
    pytest.param(lambda at: signed(at, name="dynamodb"), "'execute-api'. (dynamodb)", id="service"),
    pytest.param(lambda at: signed(at, minutes=-6), "The caller's clock is 3", id="six minutes ago"),
    pytest.param(lambda at: signed(at, minutes=6), "The caller's clock is 3", id="in six minutes"),
    pytest.param(lambda at: signed(at, minutes=-6, beside=", seconds=6000, Expires=6000"), "Signature expired: ", id="a time of one's own beside the signature"),
    pytest.param(lambda at: signed(at, body=b"x"), "does not match", id="another body"),
    pytest.param(lambda at: signed(at, "/v1/voids?limit=1", sent="limit=1 -> limit=2"), "does not match", id="another query"),
    pytest.param(lambda at: signed(at, token="fake-session-token"), INVALID_TOKEN, id="session token"),
    pytest.param(lambda at: signed(at, signer=SigV4QueryAuth, token="fake-session-token"), INVALID_TOKEN, id="token in the query"),
    pytest.param(lambda at: send("GET", f"{at.url}/v1/voids", b"", hashed(at, "UNSIGNED-PAYLOAD")), "", id="no hash of the body"),
    pytest.param(lambda at: send("GET", f"{at.url}/v1/voids", b"x", hashed(at, "0" * 64)), "does not match", id="another hash"),
    pytest.param(lambda at: send("GET", f"{at.url}/v1/voids", headers=caller(at).signed("GET", "/v1/voids") | {"X-Amz-A": "b"}),
                 "must be signed", id="a header beside the signature"),
    *(pytest.param(lambda at, c=change: signed(at, **QUERY, sent=c), "", id=change) for change in (
        "limit=5 -> limit=6", "/v1/voids? -> /v1/voids/1?", "Expires=60 -> Expires=6000", "Expires=60 -> Expires=x", "&X-Amz-Expires=60 -> ")),
    pytest.param(lambda at: signed(at, **QUERY, body=b"a body"), "does not match", id="a body with a presigned address"),
    pytest.param(lambda at: signed(at, **QUERY | {"seconds": (500,)}, minutes=-9), "Signature expired: ", id="presigned, too late"),
])  # fmt: skip
def test_it_is_refused(service: Service, ask: Callable[[Service], Reply], hint: str) -> None:
    reply = ask(service)
    assert_problem(reply, 403, "unauthenticated")
    assert hint in reply.headers.get("X-Local-Hint", "")
    assert b"fake-session-token" not in reply.body


def hashed(service: Service, digest: str) -> dict[str, str]:
    return caller(service).signed("GET", "/v1/voids", b"", {"X-Amz-Content-SHA256": digest})


def test_what_is_signed_comes_in(service: Service, merchant: Caller, order: str) -> None:
    for query in ("limit=1&state=unsettled", "state=unsettled&limit=1"):
        assert merchant.get(f"/v1/voids?{query}").status == 200
    assert signed(service, **QUERY).status == 200
    assert signed(service, **QUERY | {"seconds": (600,)}, minutes=-9).status == 200
    assert merchant.post("/v1/voids", {"order_id": order, "order_currency": "UAH"}).status == 200
    forged = send("POST", service.url + WEBHOOK, FORGED, {"Content-Type": "application/x-www-form-urlencoded"})
    assert forged.status == 401, "the webhook route asks for no signature of AWS"


def test_a_body_over_10_mib_is_refused_and_its_sender_reads_why(service: Service, merchant: Caller) -> None:
    body = b"x" * (10 * 1024 * 1024 + 1)
    hook = service.url + WEBHOOK
    for reply in (merchant.call("POST", "/v1/voids", body), send("POST", hook, body), send("POST", hook, iter([body]))):
        assert (reply.status, reply.headers["Content-Type"]) == (413, "text/plain")
        assert reply.body == b"HTTP content length exceeded 10485760 bytes."


@pytest.mark.parametrize("kind", [kind for kind, (status, _) in RESPONSE_TYPES.items()
                                  if status in (None, 401, 403) and kind != "DEFAULT_5XX"])  # fmt: skip
def test_a_wrong_key_is_never_a_400_whatever_type_it_is_to_aws(
    service: Service, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Nobody says which response type an unknown key has; DEFAULT_4XX is possible."""
    monkeypatch.setattr("local.gateway.policy.verify", Mock(side_effect=refused(kind, INVALID_TOKEN)))
    reply = caller(service, access_key="stranger").get("/v1/voids")
    assert (reply.status in (401, 403), reply.json["type"]) == (True, "urn:void-service:problem:unauthenticated")
    assert reply.json.get("status", reply.status) == reply.status


# ---- bytes that no tidy client sends ---------------------------------------------------------------------------------


def connected(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=10)


def on_the_wire(service: Service, head: str, body: bytes = b"") -> bytes:
    """The answer to these very bytes, up to where the connection is closed."""
    with connected(service) as connection:
        connection.sendall(f"{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1") + body)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


CHUNKED, POST = "Transfer-Encoding: chunked", f"POST {WEBHOOK} HTTP/1.1\r\n{FORM}"
LONG, SLASHES = "v" * 10_240, ("/v1/voids/", "/v1//voids", "//v1/voids", "//v1///voids//")


@pytest.mark.parametrize(("head", "body", "status"), [
    *((f"{POST}\r\n{CHUNKED}", size + b"\r\n" + FORGED + b"\r\n0\r\nTrailer: x\r\n\r\n", 401) for size in (b"1c", b"1C", b"01c", b"1c;name=value")),
    (f"{POST}\r\n{CHUNKED}", b"-5\r\nhello\r\n0\r\n\r\n", 400), (f"{POST}\r\n{CHUNKED}", b"ffffffffff\r\n", 400),
    (f"{POST}\r\n{CHUNKED}", b"zz\r\n", 400), (f"{POST}\r\n{CHUNKED}", b"7fffffff\r\n", 400),
    (f"{POST}\r\nContent-Length: -1", b"", 400), (f"{POST}\r\nContent-Length: 1_0", b"0123456789", 400),
    (f"{POST}\r\nContent-Length: ten", b"", 400), (f"{POST}\r\nContent-Length: 99999999999", b"", 400),
    (f"GET /v1/voids HTTP/1.1\r\nX-Long: {LONG}", b"", 431), (f"GET /v1/voids?x={LONG} HTTP/1.1", b"", 431),
    *((f"GET {path} HTTP/1.1", b"", 403) for path in SLASHES),
    # A webhook with surplus slashes comes in only by the path that the policy names.
    (f"POST //v1//webhooks/financial-line HTTP/1.1\r\n{FORM}\r\nContent-Length: {len(FORGED)}", FORGED, 401),
    (f"POST {WEBHOOK}/ HTTP/1.1\r\n{FORM}\r\nContent-Length: {len(FORGED)}", FORGED, 403),
])  # fmt: skip
def test_untidy_bytes_are_answered(service: Service, head: str, body: bytes, status: int) -> None:
    answer = on_the_wire(service, head, body)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close" in answer


def test_a_body_that_breaks_off_is_not_answered(service: Service) -> None:
    with connected(service) as connection:
        connection.sendall(f"{POST}\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n".encode() + FORGED)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(64) == b""


def test_a_signature_for_another_host_lets_nobody_in_by_surplus_slashes(service: Service, merchant: Caller) -> None:
    for path in SLASHES:
        headers = "\r\n".join(map(": ".join, merchant.signed("GET", path).items()))
        assert on_the_wire(service, f"GET {path} HTTP/1.1\r\n{headers}").startswith(b"HTTP/1.1 403 "), path


def test_a_replaced_method_is_routed_and_signed_as_sent(merchant: Caller, order: str) -> None:
    document = json.dumps({"order_id": order, "order_currency": "UAH"}).encode()
    listed = merchant.call("POST", "/v1/voids", document, {"X-HTTP-Method-Override": "GET"})
    assert (listed.status, set(listed.json)) == (200, {"voids", "cursor"})
    assert merchant.get(f"/v1/voids/{order}").status == 404, "nothing was voided"


def test_a_stranger_cannot_choose_the_request_id_of_an_answer(service: Service, merchant: Caller) -> None:
    chosen = {"x-amzn-RequestId": 'chosen", "type": "x', "X-Amzn-Trace-Id": 'Root=chosen", "type": "x'}
    for reply, status, name in (
        (send("GET", f"{service.url}/v1/voids", headers=chosen), 403, "unauthenticated"),
        (send("GET", f"{service.url}/v1/nothing", headers=chosen), 403, "unauthenticated"),
        (merchant.call("GET", "/v1/voids/nobodys", headers=chosen), 404, "not-found"),
    ):
        assert_problem(reply, status, name)
        assert b"chosen" not in reply.body


# ---- function processes ----------------------------------------------------------------------------------------------


def instances_of(service: Service, handler: str) -> list[int]:
    def command_line(pid: int) -> bytes:
        return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout

    return [pid for pid in service.function_pids() if handler.encode() in command_line(pid)]


def test_a_function_process_killed_in_the_middle_is_reported_and_replaced(
    service: Service, merchant: Caller, sandbox: Callable[..., Any], order: str
) -> None:
    sandbox("PUT", f"faults/{order}", {"answer": "timeout_executed", "webhook": "none"})
    before = set(instances_of(service, "submit_void.handler"))
    assert before
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(merchant.post, "/v1/voids", {"order_id": order, "order_currency": "UAH"})
        while sandbox("GET", f"orders/{order}")["voids_received"] == 0:
            time.sleep(0.05)
        for pid in instances_of(service, "submit_void.handler"):
            os.kill(pid, signal.SIGKILL)
        killed = reply.result(timeout=10)
    assert 500 <= killed.status <= 504
    assert_problem(killed, killed.status, "outcome-unknown")
    # The next request gets a new process, and the intent was durable.
    assert_problem(merchant.post("/v1/voids", {"order_id": order, "order_currency": "UAH"}), 409, "in-progress")
    assert not before & set(service.function_pids())


def test_simultaneous_requests_get_an_instance_each(service: Service, merchant: Caller) -> None:
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: merchant.get("/v1/voids?state=review").status, range(24)))
    assert statuses == [200] * 24
    assert len(instances_of(service, "read_voids.handler")) <= 6


@pytest.mark.parametrize(("target", "proof", "named"), [
    ("/v1/voids", "AWS4-HMAC-SHA256 Credential=AKIA1/20261201/eu-central-1/execute-api/aws4_request", "access key AKIA1"),
    ("/v1/voids?X-Amz-Credential=AKIA2%2F20261201%2Feu-central-1", None, "access key AKIA2"),
    ("/v1/oauth/voids", "Bearer a.b.c", "a token"), ("/v1/voids", "Basic YTpi", "nobody"), ("/v1/voids/\x1b[2J", None, "nobody"),
])  # fmt: skip
def test_what_is_said_of_a_refusal_names_route_and_caller(target: str, proof: str | None, named: str) -> None:
    request = Request("GET", target, [("Authorization", proof)] if proof else [], b"", "127.0.0.1")
    path = target.partition("?")[0].replace("\x1b", "?")
    assert asked(request) == f"GET {path} by {named}"
