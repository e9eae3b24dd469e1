"""The front door as deployed: who gets in, and what is said to whom does not."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.gateway.answer import RESPONSE_TYPES
from local.merchant import Caller, Reply, send
from local.service import Service, running
from local.signature import Refused
from tests.integration.recorded import vector

PROBLEM = "application/problem+json"


def assert_problem(reply: Reply, status: int, name: str) -> None:
    assert (reply.status, reply.headers["Content-Type"]) == (status, PROBLEM), reply
    assert reply.json["type"] == f"urn:void-service:problem:{name}"
    assert reply.json["status"] == status
    assert reply.json["request_id"] == reply.headers["x-amz-apigw-id"]


def test_a_request_without_a_signature_is_refused(service: Service) -> None:
    for method, path in (("POST", "/v1/voids"), ("GET", "/v1/voids"), ("GET", "/v1/voids/1")):
        assert_problem(send(method, service.url + path), 403, "unauthenticated")


def test_a_signature_with_another_secret_is_refused(service: Service) -> None:
    thief = Caller(service.url, service.region, service.access_key, "another-secret")
    assert_problem(thief.post("/v1/voids", {"order_id": "1", "order_currency": "UAH"}), 403, "unauthenticated")


def test_an_unknown_access_key_is_refused(service: Service) -> None:
    stranger = Caller(service.url, service.region, "stranger", service.secret_key)
    assert_problem(stranger.get("/v1/voids"), 403, "unauthenticated")


def test_a_signature_for_another_region_is_refused(service: Service) -> None:
    elsewhere = Caller(service.url, "us-east-1", service.access_key, service.secret_key)
    reply = elsewhere.get("/v1/voids")
    assert_problem(reply, 403, "unauthenticated")
    assert f"not 'us-east-1'. Expected: '{service.region}'" in reply.headers["X-Local-Hint"]


def test_a_signature_for_another_service_is_refused(service: Service) -> None:
    url = f"{service.url}/v1/voids"
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(service.access_key, service.secret_key), "dynamodb", service.region).add_auth(request)
    reply = send("GET", url, headers=dict(request.headers.items()))
    assert_problem(reply, 403, "unauthenticated")


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_signature_of_another_time_is_refused(
    service: Service, merchant: Caller, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: then.replace(tzinfo=None))
    reply = merchant.get("/v1/voids")
    assert_problem(reply, 403, "unauthenticated")
    assert "The caller's clock is 3" in reply.headers["X-Local-Hint"]


def test_a_body_other_than_the_signed_one_is_refused(service: Service, merchant: Caller) -> None:
    headers = merchant.signed("POST", "/v1/voids", b'{"order_id": "1"}', {"Content-Type": "application/json"})
    assert_problem(send("POST", f"{service.url}/v1/voids", b'{"order_id": "2"}', headers), 403, "unauthenticated")


def test_a_query_other_than_the_signed_one_is_refused(service: Service, merchant: Caller) -> None:
    headers = merchant.signed("GET", "/v1/voids?limit=1")
    assert_problem(send("GET", f"{service.url}/v1/voids?limit=2", headers=headers), 403, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("GET", "/v2/voids"),
        ("GET", "/voids"),
        ("DELETE", "/v1/voids"),
        ("PUT", "/v1/voids/1"),
        ("GET", "/v1/voids/1/2"),
        ("FOO", "/v1/voids"),
        ("GET", "/v1/webhooks/financial-line"),
    ],
)
def test_an_unknown_route_is_refused_like_an_unsigned_request(merchant: Caller, method: str, path: str) -> None:
    assert_problem(merchant.call(method, path), 403, "unauthenticated")


def test_a_body_over_10_mib_is_refused_and_its_sender_reads_why(service: Service, merchant: Caller) -> None:
    body = b"x" * (10 * 1024 * 1024 + 1)
    for reply in (
        merchant.call("POST", "/v1/voids", body),
        send("POST", f"{service.url}/v1/webhooks/financial-line", body),
        send("POST", f"{service.url}/v1/webhooks/financial-line", iter([body])),
    ):
        assert (reply.status, reply.headers["Content-Type"]) == (413, "text/plain")
        assert reply.body == b"HTTP content length exceeded 10485760 bytes."


def test_a_signed_query_comes_through_in_any_order(merchant: Caller) -> None:
    for query in ("limit=1&state=unsettled", "state=unsettled&limit=1"):
        assert merchant.get(f"/v1/voids?{query}").status == 200


def test_the_webhook_route_asks_for_no_aws_signature(service: Service) -> None:
    forged = send(
        "POST",
        f"{service.url}/v1/webhooks/financial-line",
        b"data=e30%3D&signature=forged",
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert forged.status == 401


# ---- bytes that no tidy client sends ---------------------------------------------------------------------------------

FORM = "Content-Type: application/x-www-form-urlencoded"


def on_the_wire(service: Service, head: str, body: bytes = b"") -> bytes:
    """The answer to these very bytes, up to where the connection is closed."""
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=10) as connection:
        lines = "\r\n".join(["Host: localhost", "Connection: close"])
        connection.sendall(f"{head}\r\n{lines}\r\n\r\n".encode("latin-1") + body)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
        return answer


@pytest.mark.parametrize("size", [b"1c", b"1C", b"01c", b"1c;name=value"])
def test_a_chunked_body_is_read(service: Service, size: bytes) -> None:
    body = b"data=e30%3D&signature=forged"
    head = f"POST /v1/webhooks/financial-line HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{FORM}"
    answer = on_the_wire(service, head, size + b"\r\n" + body + b"\r\n0\r\nTrailer: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("framing", [
    ("Content-Length: -1", b""), ("Content-Length: 1_0", b"0123456789"), ("Content-Length: ten", b""),
    ("Content-Length: 99999999999", b""), ("Transfer-Encoding: chunked", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", b"ffffffffff\r\n"), ("Transfer-Encoding: chunked", b"zz\r\n"),
])  # fmt: skip
def test_a_body_whose_end_cannot_be_told_reaches_no_function(service: Service, framing: tuple[str, bytes]) -> None:
    header, body = framing
    answer = on_the_wire(service, f"POST /v1/webhooks/financial-line HTTP/1.1\r\n{header}\r\n{FORM}", body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer


def test_a_body_that_breaks_off_is_not_answered(service: Service) -> None:
    head = f"POST /v1/webhooks/financial-line HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n{FORM}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(head.encode() + b"data=e30%3D")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(64) == b""


def test_a_head_over_10240_bytes_is_refused(service: Service) -> None:
    for head in (f"GET /v1/voids HTTP/1.1\r\nX-Long: {'v' * 10_240}", f"GET /v1/voids?x={'v' * 10_240} HTTP/1.1"):
        assert on_the_wire(service, head).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("path", ["/v1/voids/", "/v1//voids", "//v1/voids", "//v1///voids//"])
def test_surplus_slashes_find_the_route_and_let_nobody_else_in(service: Service, merchant: Caller, path: str) -> None:
    assert on_the_wire(service, f"GET {path} HTTP/1.1").startswith(b"HTTP/1.1 403 ")
    signed = "\r\n".join(f"{name}: {value}" for name, value in merchant.signed("GET", path).items())
    answer = on_the_wire(service, f"GET {path} HTTP/1.1\r\n{signed}".replace("localhost", "x"))
    assert answer.startswith(b"HTTP/1.1 403 "), "signed for another host"


def test_a_webhook_with_surplus_slashes_is_let_in_only_by_the_path_that_the_policy_names(service: Service) -> None:
    body = b"data=e30%3D&signature=forged"
    for path, status in (("//v1//webhooks/financial-line", 401), ("/v1/webhooks/financial-line/", 403)):
        answer = on_the_wire(service, f"POST {path} HTTP/1.1\r\n{FORM}\r\nContent-Length: {len(body)}", body)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), path


def test_a_replaced_method_needs_its_own_signature(service: Service, merchant: Caller, order: str) -> None:
    document = json.dumps({"order_id": order, "order_currency": "UAH"}).encode()
    for method, instead, path in (
        ("GET", "POST", "/v1/voids"),
        ("POST", "GET", "/v1/voids"),
        ("POST", "GET", f"/v1/voids/{order}"),
    ):
        reply = send(method, service.url + path, document, {"X-HTTP-Method-Override": instead})
        assert_problem(reply, 403, "unauthenticated")
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


# ---- clients that are not ours ---------------------------------------------------------------------------------------


def curl(service: Service, *arguments: str) -> tuple[int, Any]:
    command = ["curl", "-sS", "--aws-sigv4", f"aws:amz:{service.region}:execute-api", "-w", "\n%{http_code}"]
    user = f"{service.access_key}:{service.secret_key}"
    done = subprocess.run([*command, "--user", user, *arguments], capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_signs_what_the_gateway_accepts(service: Service, order: str) -> None:
    document = json.dumps({"order_id": order, "order_currency": "UAH"})
    header = ("-H", "Content-Type: application/json")
    status, record = curl(service, "-X", "POST", f"{service.url}/v1/voids", *header, "-d", document)
    assert (status, record["state"]) == (200, "voided")
    status, record = curl(service, f"{service.url}/v1/voids/{order}")
    assert (status, record["order_id"]) == (200, order)
    assert curl(service, f"{service.url}/v1/voids?limit=5&state=unsettled")[0] == 200


def presigned(service: Service, path: str, seconds: int = 60) -> str:
    request = AWSRequest("GET", service.url + path)
    credentials = Credentials(service.access_key, service.secret_key)
    SigV4QueryAuth(credentials, "execute-api", service.region, seconds).add_auth(request)
    return str(request.url)


def test_a_presigned_address_is_a_signature_for_one_request(service: Service) -> None:
    url = presigned(service, "/v1/voids?state=review&limit=5")
    assert send("GET", url).status == 200
    for other in (
        url.replace("limit=5", "limit=6"),
        url.replace("/v1/voids?", "/v1/voids/1?"),
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=x"),
        url.replace("&X-Amz-Expires=60", ""),
    ):
        assert_problem(send("GET", other), 403, "unauthenticated")
    assert_problem(send("GET", url, b"a body"), 403, "unauthenticated")


def test_a_presigned_address_expires(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    then = datetime.now(UTC) - timedelta(minutes=9)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: then.replace(tzinfo=None))
    assert send("GET", presigned(service, "/v1/voids", seconds=600)).status == 200
    late = send("GET", presigned(service, "/v1/voids", seconds=500))
    assert_problem(late, 403, "unauthenticated")
    assert late.headers["X-Local-Hint"].startswith("Signature expired: ")


def test_a_session_token_belongs_to_no_key_that_is_known_here(service: Service) -> None:
    """As in AWS with a token that is another key's. The local run has no temporary credentials."""
    for signer in (SigV4Auth, SigV4QueryAuth):
        request = AWSRequest("GET", f"{service.url}/v1/voids")
        credentials = Credentials(service.access_key, service.secret_key, "fake-session-token")
        signer(credentials, "execute-api", service.region).add_auth(request)
        reply = send("GET", str(request.url), headers=dict(request.headers.items()))
        assert_problem(reply, 403, "unauthenticated")
        assert reply.headers["X-Local-Hint"] == "The security token included in the request is invalid."
        assert b"fake-session-token" not in reply.body


@pytest.mark.parametrize(
    "kind",
    [kind for kind, (status, _) in RESPONSE_TYPES.items() if status in (None, 401, 403) and kind != "DEFAULT_5XX"],
)
def test_a_wrong_key_is_never_a_400_whatever_type_it_is_to_aws(
    service: Service, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Nobody says which response type an unknown key has; DEFAULT_4XX is possible."""
    monkeypatch.setattr("local.gateway.policy.verify", refused_as(kind))
    stranger = Caller(service.url, service.region, "stranger", service.secret_key)
    reply = stranger.get("/v1/voids")
    assert (reply.status, reply.json["type"]) == (403, "urn:void-service:problem:unauthenticated")
    assert reply.json.get("status", 403) == 403


def refused_as(kind: str) -> Callable[..., None]:
    def verify(*_: object) -> None:
        raise Refused(kind, "The security token included in the request is invalid.")

    return verify


def test_the_signer_of_boto3_is_accepted(merchant: Caller, order: str) -> None:
    assert merchant.post("/v1/voids", {"order_id": order, "order_currency": "UAH"}).status == 200


# ---- function processes ----------------------------------------------------------------------------------------------


def instances_of(service: Service, handler: str) -> list[int]:
    return [pid for pid in service.function_pids() if handler.encode() in command_line(pid)]


def command_line(pid: int) -> bytes:
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout


def test_a_function_process_killed_in_the_middle_is_told_and_replaced(
    service: Service, merchant: Caller, sandbox: Callable[..., Any], order: str
) -> None:
    sandbox("PUT", f"/faults/{order}", {"answer": "timeout_executed", "webhook": "none"})
    before = set(instances_of(service, "submit_void.handler"))
    assert before
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(merchant.post, "/v1/voids", {"order_id": order, "order_currency": "UAH"})
        while sandbox("GET", f"/orders/{order}")["voids_received"] == 0:
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


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_function_process_knows_its_deployed_environment_and_nothing_of_the_host(service: Service) -> None:
    deployed = {stem: set(function.environment) for stem, function in service.runtime.functions.items()}
    for pid in service.function_pids():
        stem = command_line(pid).decode().split()[-1].partition(".")[0]
        variables = {
            line.partition(b"=")[0].decode() for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if line
        }
        assert deployed[stem] <= variables
        assert variables - deployed[stem] <= {*vector("environment-python313")["result"]["names"], "AWS_ENDPOINT_URL"}


def test_a_busy_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(SystemExit, match=r"Port \d+ is in use: choose another with PORT="),
            running(port=taken.getsockname()[1]),
        ):
            pass
