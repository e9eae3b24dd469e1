"""The operators' command line against the running service: what it prints, what it changes, how it fails
(stories/ops.txt). Over the same sockets as an operator's; most commands without a process of their own, whose start
would be most of it."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock
from urllib.parse import urlsplit

import pytest

from acceptance import smoke
from local.merchant import send
from local.service import CREDENTIALS, Service
from ops import __main__ as command
from ops import places
from tests.integration.client import Client, eventually
from tests.integration.story import Story, stories

ROOT = Path(__file__).resolve().parents[2]
TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
GIVEN = {
    "today": TODAY, "evil": "=cmd|'/C calc'!A0 \x1b[31m[red]x[/red]\u202e", "escape": "\x1b", "turn": "\u202e",
    "unreadable": "\N{REPLACEMENT CHARACTER}", "mark": "\ufeff", "private": "something private",
}  # fmt: skip


class Operator(Story):
    """Types commands where the service runs. Seen, of what was printed: members of a JSON document, or all documents as
    `rows`; `out`, `err`, `lines`, `csv`; `said`, the credentials in it; `files`, and the `file` that was written
    last."""

    writes: ClassVar = dict.fromkeys(("ops", "exits", "error", "until", "apart"), shlex.quote)

    def __init__(self, client: Client, folder: Path) -> None:
        port = urlsplit(client.service.url).port
        super().__init__(client, **GIVEN, folder=str(folder), url=client.service.url, port=str(port))
        self.folder, self.typed = folder, ""
        self.where = ["--local", f"--port={port}", f"--aws-endpoint={client.service.aws_endpoint}"]

    def run(self, code: str, main: Callable[[list[str]], int], words: list[str]) -> None:
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.multiple("sys", stdin=io.StringIO(self.typed), stdout=out, stderr=err):
            found = main(words)
        self.show(out.getvalue(), err.getvalue())
        assert found == int(code), self.shown

    def show(self, out: str, err: str) -> None:
        files = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        lines = list(map(str.strip, out.splitlines()))
        rows = [json.loads(line) for line in lines if line.startswith("{")]
        self.shown = (rows[0] if rows else {}) | {
            "rows": rows, "out": out, "err": err, "lines": lines, "csv": list(csv.DictReader(io.StringIO(out, newline=""))),
            "said": [name for name, value in CREDENTIALS.items() if value in out],
            "files": [path.name for path in files], "file": files[-1].read_text("utf-8") if files else "",
        }  # fmt: skip
        self.typed = ""

    def ops(self, line: str) -> None:
        self.exits("0", line)

    def exits(self, code: str, line: str) -> None:
        self.run(code, command.main, [*self.where, *shlex.split(line)])

    def error(self, line: str) -> None:
        self.exits("1", line)
        (said,) = self.shown["err"].splitlines()
        assert said.startswith("error: ")

    def until(self, state: str, line: str) -> None:
        """Again and again, until the record is in this state."""
        eventually(lambda: self.ops(line), lambda _: self.shown["state"] == state, 20)

    def apart(self, line: str) -> None:
        """As a process of its own, without what tests set up, and where text is ASCII."""
        known = {name: value for name, value in os.environ.items() if not name.startswith(("POWERTOOLS_", "AWS_"))}
        python = f"{shlex.quote(sys.executable)} -m ops {shlex.join(self.where)} {line}"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", python], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
            env=known | {"PYTHONIOENCODING": "ascii"},
        )  # fmt: skip
        self.show(done.stdout, done.stderr)

    def smoke(self, code: str, line: str) -> None:
        self.run(code, smoke.main, line.split())

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
        kept = partial(self.client.items, order_id)
        eventually(kept, lambda items: [len(item["webhooks"]["M"]) for item in items] == [int(count)])

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
    operator.play(rows, given)


def test_a_lost_event_is_found_in_the_table_and_put_on_a_bus(
    operator: Operator, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.play("void {order}\n ops events list --order {order} --json")
    order, (detail,) = operator.names["order"], operator.shown["rows"]
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
    monkeypatch.setattr(places, "output", lambda *_: order)
    operator.ops(f"events resend --order {order}")
    (message,) = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert json.loads(message["Body"])["detail"] == detail
