"""Every order id that is allowed comes back as it was sent; and what the curl of this machine can sign, as README says.

The signers are foreign ones: botocore's and curl's, each judged by the other's and by the running service.
"""

import json
import re
import shlex
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.service import Service
from tests.integration.client import ORDER_IDS, Client, whole
from tests.integration.clients.packages import CLIENTS, NODE, ROOT, installed, succeed
from tests.integration.clients.raw_server import RawServer, Request, answer

ALWAYS, SORTS_QUERIES, ENCODES_PATHS, NEVER = (7, 86), (8, 3), (8, 14), (99, 0)  # versions of curl
PATHS = [quote(order_id, safe="") for order_id in ORDER_IDS]
PLAIN, ENCODED = ([path for path in PATHS if ("%" in path) is encoded] for encoded in (False, True))


@pytest.fixture(scope="module")
def curl_version() -> tuple[int, int]:
    installed("curl")
    (found,) = re.findall(r"^curl (\d+)\.(\d+)", succeed("curl", "--version"))
    return int(found[0]), int(found[1])


def test_location_leads_to_the_void(client: Client) -> None:
    for order_id in [client.hold(whole(like), answer="pending", webhook="none") for like in ORDER_IDS]:
        accepted = client.submit(order_id)
        location = accepted.headers["Location"]
        assert (accepted.status, location) == (202, f"/v1/voids/{quote(order_id, safe='')}")
        read = client.merchant.get(location).json
        assert (read["order_id"], read["state"]) == (order_id, "pending")


def sent_by_curl(server: RawServer, target: str, *arguments: str) -> Request:
    server.script("curl", answer(200, {}))
    signing = ["--aws-sigv4", "aws:amz:eu-central-1:execute-api", "--user", "local:local-secret"]
    succeed("curl", "-sS", *signing, *arguments, f"{server.url}/curl/v1/{target}")
    (request,) = server.received("curl")
    return request


def rightly_signed(request: Request, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Does botocore sign this very request in the same way?"""
    then = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: then.replace(tzinfo=None))
    (signed,) = re.findall(r"SignedHeaders=([^,]+)", request.headers["authorization"])
    own = {name: request.headers[name] for name in signed.split(";") if name not in ("host", "x-amz-date")}
    url = f"http://{request.headers['host']}{request.target}"
    again = AWSRequest(request.method, url, headers=own, data=request.body)
    SigV4Auth(Credentials("local", "local-secret"), "execute-api", "eu-central-1").add_auth(again)
    return request.headers["authorization"].endswith(again.headers["Authorization"].partition("Signature=")[2])


HEADERS = ("-H", "Content-Type: application/json", "-H", "Idempotency-Key: k-1", "-H", "X-Amz-Security-Token: FQoG/+=")


@pytest.mark.parametrize(("since", "until", "target", "arguments"), [
    *((ALWAYS, NEVER, f"voids?{query}", ()) for query in ("limit=5", "cursor=ab-_9&limit=5&state=review", "state=")),
    *((SORTS_QUERIES, NEVER, f"voids?{query}", ()) for query in ("state=review&limit=5", "state")),
    (ALWAYS, NEVER, "voids", (*HEADERS, "-d", '{"order_id": "é /%+"}')),
    *((ALWAYS, NEVER, f"voids/{path}", ()) for path in PLAIN),
    *((ENCODES_PATHS, NEVER, f"voids/{path}", ()) for path in ENCODED),
    *((ALWAYS, ENCODES_PATHS, f"voids/{quote(path)}", ("--request-target", f"/curl/v1/voids/{path}")) for path in ENCODED),
])  # fmt: skip
def test_a_request_is_signed_rightly_by_some_versions(
    since: tuple[int, int], until: tuple[int, int], target: str, arguments: tuple[str, ...], server: RawServer,
    curl_version: tuple[int, int], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    right = rightly_signed(sent_by_curl(server, target, *arguments), monkeypatch)
    assert right is (since <= curl_version < until)


def test_the_way_around_of_the_clients_readme_reads_the_void(
    service: Service, client: Client, curl_version: tuple[int, int]
) -> None:
    if curl_version >= ENCODES_PATHS:
        pytest.skip("this curl encodes the path itself, and the README says to use the plain URL")
    client.submit(order_id := client.hold(whole(" é"), webhook="none"))
    readme = (CLIENTS / "README.md").read_text()
    (command,) = re.findall(r"^(curl --aws-sigv4 .*?--request-target .*?)\n```", readme, re.MULTILINE | re.DOTALL)
    once = quote(order_id, safe="")
    command = command.replace("a%2520b", quote(once)).replace("a%20b", once)
    command = command.replace("http://127.0.0.1:8080", service.url)
    assert f'"{order_id}"' in succeed("bash", "-c", f"{command} --silent --fail")


def test_the_example_of_the_readme_works_with_the_curl_that_is_here(
    service: Service, curl_version: tuple[int, int]
) -> None:
    section = (ROOT / "README.md").read_text().split("\n## One void\n")[1]
    (script,) = re.findall(r"```sh\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    order_id = whole("")
    for theirs, ours in (
        ("http://127.0.0.1:8081", service.sandbox_url), ("http://127.0.0.1:8080", service.url), ('"123"', f'"{order_id}"'),
        ("/voids/123", f"/voids/{order_id}"), ("curl ", "curl -sS --fail "), ("\\\n", " "),
    ):  # fmt: skip
        script = script.replace(theirs, ours)
    _, voided, read = (json.loads(succeed(*shlex.split(command))) for command in script.strip().split("\n\n"))
    assert (voided["state"], voided["comment"], read["order_id"]) == ("voided", "10101", order_id)


CONSOLE = """
globalThis.location = { host: process.argv[1] };
const real = fetch;
globalThis.fetch = (path, options) => real(new URL(path, `http://${process.argv[1]}`), options);
const { readVoid, sandbox, submitVoid } = await import(process.argv[2]);
const seen = [];
for (const id of JSON.parse(process.argv[3])) {
  await sandbox("POST", ["holds"], { order_id: id, amount: 100, currency: "UAH" });
  const submitted = await submitVoid({ order_id: id, order_currency: "UAH" });
  const read = await readVoid(id);
  const ledger = await sandbox("GET", ["orders", id]);
  seen.push([submitted.status, read.status, read.json.order_id, ledger.voids_received]);
}
console.log(JSON.stringify(seen));
"""


def test_the_console_voids_and_reads_any_order(service: Service) -> None:
    """local/console/static/api.js as it is served, in Node: the page itself has tests of its own."""
    order_ids = [whole(like) for like in ORDER_IDS]
    script = (ROOT / "local" / "console" / "static" / "api.js").as_uri()
    arguments = [CONSOLE, urlsplit(service.url).netloc, script, json.dumps(order_ids)]
    seen = json.loads(succeed(NODE, "--input-type=module", "--eval", *arguments))
    assert seen == [[200, 200, order_id, 1] for order_id in order_ids]
