"""What the curl of this machine can sign, and that docs/clients/README.md says it rightly for this version.

Judged by botocore's signer over what curl sent, and by the running service.
"""

import re
import subprocess
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.service import Service
from tests.integration.client import Client
from tests.integration.clients.packages import CLIENTS, installed, run
from tests.integration.clients.raw_server import RawServer, Request, answer
from tests.integration.order_ids import SENT, whole

SORTS_QUERIES, ENCODES_PATHS, ALWAYS = (8, 3), (8, 14), (7, 86)
README = (CLIENTS / "README.md").read_text()


@pytest.fixture(scope="module")
def curl_version() -> tuple[int, int]:
    installed("curl")
    found = re.match(r"curl (\d+)\.(\d+)", run("curl", "--version").stdout)
    assert found is not None
    return int(found[1]), int(found[2])


def sent_by_curl(server: RawServer, target: str, *arguments: str) -> Request:
    server.script("curl", answer(200, {}))
    signing = ["--aws-sigv4", "aws:amz:eu-central-1:execute-api", "--user", "local:local-secret"]
    subprocess.run(["curl", "-sS", *signing, *arguments, server.url + target], check=True, capture_output=True)
    (request,) = server.received("curl")
    return request


def rightly_signed(request: Request, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Does botocore sign this very request in the same way?"""
    then = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: then.replace(tzinfo=None))
    signed = re.search(r"SignedHeaders=([^,]+)", request.headers["authorization"])
    assert signed is not None
    own = {name: request.headers[name] for name in signed[1].split(";") if name not in ("host", "x-amz-date")}
    url = f"http://{request.headers['host']}{request.target}"
    again = AWSRequest(request.method, url, headers=own, data=request.body)
    SigV4Auth(Credentials("local", "local-secret"), "execute-api", "eu-central-1").add_auth(again)
    signature = again.headers["Authorization"].partition("Signature=")[2]
    return request.headers["authorization"].endswith(f"Signature={signature}")


HEADERS = ("-H", "Content-Type: application/json", "-H", "Idempotency-Key: k-1", "-H", "X-Amz-Security-Token: FQoG/+=")


@pytest.mark.parametrize(("since", "target", "arguments"), [
    *((ALWAYS, f"voids?{query}", ()) for query in ("limit=5", "cursor=ab-_9&limit=5&state=review", "state=")),
    *((SORTS_QUERIES, f"voids?{query}", ()) for query in ("state=review&limit=5", "state")),
    (ALWAYS, "voids", (*HEADERS, "-d", '{"order_id": "é /%+"}')),
])  # fmt: skip
def test_a_request_is_signed_rightly_since_a_version(
    since: tuple[int, int], target: str, arguments: tuple[str, ...], server: RawServer, curl_version: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    right = rightly_signed(sent_by_curl(server, f"/curl/v1/{target}", *arguments), monkeypatch)
    assert right is (curl_version >= since)


@pytest.mark.parametrize("order_id", SENT)
def test_an_encoded_path_is_signed_rightly_since_8_14_and_before_by_another_way(
    order_id: str, server: RawServer, curl_version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/curl/v1/voids/{quote(order_id, safe='')}"
    new = curl_version >= ENCODES_PATHS or "%" not in path
    assert rightly_signed(sent_by_curl(server, path), monkeypatch) is new
    other = sent_by_curl(server, path.replace("%", "%25"), "--request-target", path)
    assert other.target == path
    assert rightly_signed(other, monkeypatch) is (curl_version < ENCODES_PATHS or "%" not in path)


def test_the_readme_s_way_around_reads_the_void(
    service: Service, client: Client, curl_version: tuple[int, int]
) -> None:
    if curl_version >= ENCODES_PATHS:
        pytest.skip("this curl encodes the path itself, and the README says to use the plain URL")
    client.submit(order_id := client.hold(whole(" é"), webhook="none"))
    (command,) = re.findall(r"^(curl --aws-sigv4 .*?--request-target .*?)\n```", README, re.MULTILINE | re.DOTALL)
    once = quote(order_id, safe="")
    command = command.replace("a%2520b", quote(once, safe="")).replace("a%20b", once)
    command = command.replace("http://127.0.0.1:8080", service.url)
    done = subprocess.run(["bash", "-c", f"{command} --silent --fail"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f'"{order_id}"' in done.stdout
