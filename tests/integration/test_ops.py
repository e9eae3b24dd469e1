"""The operators' command line against the running service: what it prints, what it changes, how it fails (stories/ops.txt).

Runs as its own process, as an operator runs it, over the same sockets.
"""

import csv
import io
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.merchant import send
from local.service import CREDENTIALS, Service
from ops import arguments, places
from ops.screen import Screen
from tests.integration.client import Client, eventually
from tests.integration.story import Fill, Story, shows, stories

ROOT = Path(__file__).resolve().parents[2]
TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
GIVEN = {
    "today": TODAY, "evil": "=cmd|'/C calc'!A0 \x1b[31m[red]x[/red]\u202e", "escape": "\x1b", "turn": "\u202e",
    "unreadable": "\N{REPLACEMENT CHARACTER}", "mark": "\ufeff", "private": "something private",
}  # fmt: skip


class Operator:
    """Runs `python -m ops` where the service runs.

    Seen, of what was printed: members of a JSON document, or all documents as `rows`; `out`, `err`, `lines`, `csv`; `said`,
    the credentials in it; `files`, and the `file` that was written last.
    """

    def __init__(self, client: Client, folder: Path) -> None:
        self.client, self.folder, self.typed = client, folder, ""
        self.story = Story(client, self, **GIVEN, folder=str(folder), url=client.service.url)
        self.writes: dict[str, Callable[[Any], str]] = dict.fromkeys(("ops", "exits", "error", "until"), shlex.quote)
        self.story.names["port"] = port = urlsplit(client.service.url).port
        where = f"-m ops --local --port {port} --aws-endpoint {client.service.aws_endpoint}"
        self.command = [sys.executable, *where.split()]
        self.shown: dict[str, Any] = {}
        self.again: list[str] = []

    def run(self, code: int, *command: str) -> None:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, input=self.typed
        )
        assert done.returncode == code, done.stdout + done.stderr
        files = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        rows = [json.loads(line) for line in done.stdout.splitlines()] if "--json" in command else []
        self.typed, self.again = "", []
        self.shown = (rows[0] if rows else {}) | {
            "rows": rows, "out": done.stdout, "err": done.stderr, "lines": list(map(str.strip, done.stdout.splitlines())),
            "csv": list(csv.DictReader(io.StringIO(done.stdout, newline=""))),
            "said": [name for name, value in CREDENTIALS.items() if value in done.stdout],
            "files": [path.name for path in files], "file": files[-1].read_text("utf-8") if files else "",
        }  # fmt: skip

    def ops(self, line: str) -> None:
        self.exits("0", line)

    def exits(self, code: str, line: str) -> None:
        self.run(int(code), *self.command, *shlex.split(line))

    def error(self, line: str) -> None:
        self.exits("1", line)
        (said,) = self.shown["err"].splitlines()
        assert said.startswith("error: ")

    def until(self, line: str) -> None:
        """Again and again, until it is seen."""
        self.ops(line)
        self.again = [line]

    def smoke(self, code: str, line: str) -> None:
        self.run(int(code), sys.executable, "-m", "acceptance.smoke", *line.split())

    def sees(self, sight: str, fill: Fill, quoted: Fill) -> None:
        give_up = time.monotonic() + 20
        while not (found := shows(self.shown, sight, fill))[0] and self.again and time.monotonic() < give_up:
            self.until(self.again[0])
        assert found[0], f"{sight}: {found[1]!r}"

    # What else is done

    def typing(self, words: str) -> None:
        self.typed = "".join(f"{word}\n" for word in words.split())

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text.replace("\\n", "\n"))

    def sandbox(self, method: str, path: str, content: str = "null") -> None:
        self.client.sandbox(method, path, json.loads(content))

    def webhook(self, content: str) -> None:
        assert self.client.webhook(**self.client.sandbox("POST", "sign", {"data": json.loads(content)})).status == 200

    def webhooks(self, count: str, order_id: str) -> None:
        """Until so many have come."""
        read = partial(self.client.call, "GET", f"voids/{order_id}")
        eventually(read, lambda answer: len(answer.json.get("webhooks", [])) == int(count))

    def stored(self, order_id: str) -> None:
        """What the table has of it."""
        kept = [item for item in self.client.items(order_id) if item["sk"]["S"] == "ORDER"]
        self.shown = {"out": json.dumps(kept, default=str)}

    def forget(self, order_id: str) -> None:
        table, database = self.client.service.table_name, self.client.service.client("dynamodb")
        for item in self.client.items(order_id):
            database.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})

    def make_usable(self, digest: str, text: str) -> None:
        """As if a newer version could use this message of quarantine."""
        self.client.service.client("dynamodb").update_item(
            TableName=self.client.service.table_name, Key={"pk": {"S": f"QUARANTINE#{TODAY}"}, "sk": {"S": digest}},
            UpdateExpression="SET #text = :text", ExpressionAttributeNames={"#text": "text"},
            ExpressionAttributeValues={":text": {"S": text}},
        )  # fmt: skip


@pytest.fixture
def operator(client: Client, tmp_path: Path) -> Operator:
    return Operator(client, tmp_path)


@stories("ops")
def test_a_story(operator: Operator, given: dict[str, Any], rows: str) -> None:
    operator.story.play(rows, given)


def test_a_lost_event_is_found_in_the_table_and_put_on_a_bus(
    operator: Operator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.story.play("void {order}\n ops events list --order {order} --json")
    order, (detail,) = operator.story.names["order"], operator.shown["rows"]
    assert (detail["order_id"], detail["state"], detail["by"]) == (order, "voided", "provider")
    operator.ops(f"events list --from {TODAY} --json")
    assert detail in operator.shown["rows"]
    left = send("GET", f"{service.url}/console/events.json").json["events"]
    assert detail in [one["event"]["detail"] for one in left]  # as the pipe had sent it
    bus, queues = service.client("events"), service.client("sqs")
    queue = queues.create_queue(QueueName=order)["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.create_event_bus(Name=order)
    bus.put_rule(Name="all", EventBusName=order, EventPattern='{"source": ["void-service"]}')
    bus.put_targets(Rule="all", EventBusName=order, Targets=[{"Id": "q", "Arn": arn}])
    place = places.local(urlsplit(service.url).port or 80, service.aws_endpoint)
    monkeypatch.setattr(places, "output", lambda *_: order)
    chosen = arguments.parser().parse_args(["--local", "events", "resend", "--order", order])
    chosen.run(place, chosen, Screen())
    (message,) = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert json.loads(message["Body"])["detail"] == detail


def test_the_reader_of_a_list_may_have_enough(operator: Operator) -> None:
    operator.story.play("void {order}")
    command = shlex.join([*operator.command, "export", "--from", TODAY, "--to", TODAY])
    operator.run(0, "bash", "-c", f"set -o pipefail; {command} | head -1")
    assert operator.shown["lines"][0].startswith("order_id,")
    assert [line for line in operator.shown["err"].splitlines() if not line.endswith(" records")] == []
