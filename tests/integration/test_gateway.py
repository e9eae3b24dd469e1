"""The front door as deployed: who gets in, and what is said to whom does not."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.merchant import Caller, Reply, send
from local.service import Service, running

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
    assert_problem(elsewhere.get("/v1/voids"), 403, "unauthenticated")


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
    assert_problem(merchant.get("/v1/voids"), 403, "unauthenticated")


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
        ("GET", "/v1/voids/"),
        ("GET", "/v1/webhooks/financial-line"),
    ],
)
def test_an_unknown_route_is_refused_like_an_unsigned_request(merchant: Caller, method: str, path: str) -> None:
    assert_problem(merchant.call(method, path), 403, "unauthenticated")


def test_a_body_over_10_megabytes_is_refused_and_its_sender_reads_why(service: Service, merchant: Caller) -> None:
    body = b"x" * (10 * 1024 * 1024 + 1)
    assert_problem(merchant.call("POST", "/v1/voids", body), 413, "too-large")
    assert_problem(send("POST", f"{service.url}/v1/webhooks/financial-line", body), 413, "too-large")


@pytest.mark.parametrize("order_id", ["a b", "a/b", "100%", "é", "日本", "a+b", "a&b=c?d", "~a.b_c-d", "a//b", "a%2Fb"])
def test_an_order_id_comes_through_the_path_as_it_is(merchant: Caller, order_id: str) -> None:
    reply = merchant.get(f"/v1/voids/{quote(order_id, safe='')}")
    assert_problem(reply, 404, "not-found")
    assert reply.json["order_id"] == order_id


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


def test_a_chunked_body_is_read(service: Service) -> None:
    body = b"data=e30%3D&signature=forged"
    request = (
        b"POST /v1/webhooks/financial-line HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n"
        + b"%x\r\n%s\r\n0\r\n\r\n"
        % (len(body), body)
    )
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(request)
        assert connection.recv(64).startswith(b"HTTP/1.1 401 ")


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


def test_the_signer_of_boto3_is_accepted(merchant: Caller, order: str) -> None:
    assert merchant.post("/v1/voids", {"order_id": order, "order_currency": "UAH"}).status == 200


# ---- function processes ----------------------------------------------------------------------------------------------


def instances_of(service: Service, handler: str) -> list[int]:
    return [pid for pid in service.function_pids() if handler.encode() in command_line(pid)]


def command_line(pid: int) -> bytes:
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout


def test_a_function_process_killed_in_the_middle_is_told_and_replaced(
    service: Service, merchant: Caller, sandbox: Any, order: str
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
            line.partition(b"=")[0].decode() for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        }
        assert deployed[stem] <= variables
        assert {name for name in variables - deployed[stem] if name and not name.startswith("AWS_")} == set()


def test_a_busy_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(SystemExit, match=r"Port \d+ is in use: choose another with PORT="),
            running(port=taken.getsockname()[1]),
        ):
            pass
