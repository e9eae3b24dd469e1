"""The operators' command line against the running service: what it prints, what it changes, how it fails.

Runs as its own process, as an operator runs it, over the same sockets.
"""

import csv
import io
import json
import shlex
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.merchant import send
from local.service import CREDENTIALS, Service
from ops import arguments, places
from ops.screen import Screen
from tests.integration.client import Client, eventually
from tests.integration.order_ids import PATHS

ROOT = Path(__file__).resolve().parents[2]
EVIL = "=cmd|'/C calc'!A0 \x1b[31m[red]x[/red]\u202e"
TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
Done = subprocess.CompletedProcess[str]


def run(*command: str, typed: str = "") -> Done:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, input=typed)


@dataclass
class Ops:
    """`python -m ops`, in the place where the service runs."""

    service: Service

    @property
    def command(self) -> list[str]:
        where = f"-m ops --local --port {urlsplit(self.service.url).port} --aws-endpoint {self.service.aws_endpoint}"
        return [sys.executable, *where.split()]

    def __call__(self, line: str, *more: str, typed: str = "", exits: int = 0) -> Done:
        done = run(*self.command, *shlex.split(line), *more, typed=typed)
        assert done.returncode == exits, done.stderr
        return done

    def read(self, line: str, *more: str, typed: str = "") -> Any:
        """What is printed of one order."""
        return json.loads(self(f"{line} --json", *more, typed=typed).stdout)

    def rows(self, line: str, exits: int = 0) -> list[Any]:
        """What is printed as a list."""
        return [json.loads(row) for row in self(f"{line} --json", exits=exits).stdout.splitlines()]


@pytest.fixture
def ops(service: Service) -> Ops:
    return Ops(service)


def voided(client: Client, order: str = "", comment: str = "10101", **faults: str) -> str:
    order = client.hold(order, **faults)
    assert client.submit(order, comment=comment).status in (200, 202)
    return order


def known(client: Client, order: str, webhooks: int) -> None:
    """Until its webhooks have come."""
    eventually(
        lambda: client.call("GET", f"voids/{order}").json.get("webhooks", []), lambda seen: len(seen) >= webhooks
    )


@pytest.fixture
def order(client: Client) -> str:
    return voided(client)


def test_shows_an_order_with_its_webhooks_as_a_timeline(ops: Ops, client: Client, order: str) -> None:
    known(client, order, 1)
    shown = ops.read(f"show {order}")
    assert (shown["state"], len(shown["webhooks"])) == ("voided", 1)
    page = ops(f"show {order}").stdout
    assert "Timeline" in [line.strip() for line in page.splitlines()]
    assert ("webhook" in page, "\N{REPLACEMENT CHARACTER}" in page) == (True, False)


def test_the_text_of_others_is_text(ops: Ops, client: Client) -> None:
    order = voided(client, comment=EVIL)
    page, document = ops(f"show {order}").stdout, ops(f"show {order} --json").stdout
    assert "[red]x[/red]" in page
    assert not {"\x1b", "\u202e"} & {*page, *document}
    assert json.loads(document)["comment"] == EVIL


def test_lists_what_is_not_settled_and_refreshes_it(ops: Ops, client: Client) -> None:
    order = voided(client, answer="http_500_executed", webhook="none", query="not_found")
    assert order in {row["order_id"] for row in ops.rows("list --state unsettled")}
    assert order in ops("list").stdout
    ops("list --state review")
    eventually(lambda: ops.read(f"refresh {order}")["state"], lambda state: state == "voided", seconds=20)


def test_compares_with_the_providers_own_list(ops: Ops, order: str) -> None:
    agreed = ops.read(f"compare {order}")
    assert agreed["agrees"], agreed["differences"]
    assert {operation["method"] for operation in agreed["operations"]} == {"auth", "void"}
    assert "Both agree." in ops(f"compare {order}").stdout


def test_names_a_void_that_we_do_not_know(ops: Ops, service: Service, client: Client) -> None:
    order = client.hold()
    client.sandbox("POST", f"orders/{order}/void")
    known(client, order, 1)
    for item in client.items(order):  # as if its webhook had been lost
        service.client("dynamodb").delete_item(TableName=service.table_name, Key={"pk": item["pk"], "sk": item["sk"]})
    compared = ops.read(f"compare {order}")
    assert (compared["record"], compared["agrees"]) == (None, False)
    assert compared["differences"] == ["the provider lists 1 void(s), and we have no record"]


def test_exports_a_period_as_csv_that_calculates_nothing(ops: Ops, client: Client, tmp_path: Path) -> None:
    order, period = voided(client, comment=EVIL), f"export --from {TODAY} --to {TODAY}"
    text = ops(period).stdout
    row = next(row for row in csv.DictReader(io.StringIO(text, newline="")) if row["order_id"] == order)
    assert (row["comment"][:5], row["state"], row["provider_amount"]) == ("'=cmd", "voided", "100")
    assert "\x1b" not in text
    ops(f"{period} --excel --out", str(out := tmp_path / "voids.csv"))
    assert out.read_bytes().startswith(b"\xef\xbb\xbforder_id,")
    assert list(tmp_path.iterdir()) == [out]
    assert order in {row["order_id"] for row in ops.rows(period)}


def quarantined(ops: Ops, client: Client, data: Any, needle: str) -> Any:
    """A genuine webhook that cannot be used, as it is listed."""
    assert client.webhook(**client.sandbox("POST", "sign", {"data": data})).status == 200
    return next(message for message in ops.rows("quarantine list") if needle in message["text"])


def test_applies_a_quarantined_webhook_once_its_cause_is_gone(ops: Ops, service: Service, client: Client) -> None:
    order, other = client.hold(), "11111111-51ef-4ef1-80f7-3b44b07b5667"
    operation = {"method": "void", "status": "success", "order_id": order, "operation_id": order[:8], "amount": 100, "currency": "UAH"}  # fmt: skip
    message = quarantined(ops, client, operation | {"pos_id": other}, order)
    assert message["why"] == "other-pos-id"
    apply = f"quarantine apply {message['digest']}"
    assert f"is for pos_id {other}" in ops(apply, exits=1).stderr
    service.client("dynamodb").update_item(  # its cause is gone: it is one that this version can use
        TableName=service.table_name, Key={"pk": {"S": f"QUARANTINE#{TODAY}"}, "sk": {"S": message["digest"]}},
        UpdateExpression="SET #text = :text", ExpressionAttributeNames={"#text": "text"},
        ExpressionAttributeValues={":text": {"S": json.dumps(operation)}},
    )  # fmt: skip
    applied = ops.read(f"quarantine apply {message['digest'][:12]}")
    assert (applied["outcome"], applied["order_id"], applied["state"]) == ("applied", order, "voided")
    assert ops.read(f"{apply} --date {TODAY}")["outcome"] == "duplicate"
    assert ops.read(f"show {order}")["state"] == "voided"


def test_does_not_apply_what_is_still_unreadable(ops: Ops, client: Client) -> None:
    # A run of digits would be masked like a card's.
    mark = uuid.uuid4().hex.translate(str.maketrans("0123456789", "ghijklmnop"))
    message = quarantined(ops, client, ["no operation", mark], mark)
    refused = ops(f"quarantine apply {message['digest']}", exits=1)
    assert (refused.stdout, "still unreadable" in refused.stderr) == ("", True)


@pytest.mark.parametrize(("line", "says"), [
    ("show no-such-order", "not-found"),
    ("show ..", "not an order id"),
    ("compare no-such-order", "neither"),
    ("quarantine list --date 24.11.2026", "2026-11-24"),
    ("quarantine apply abc", "digest"),
    ("export --from 2026-11-24 --to 2026-11-24 --out /nope/x.csv", "/nope/x.csv cannot be written: No such file"),
    ("--port 1 list", "no local run found"),
    ("decide no-such-order reviewed --note x", "not-found"),
    ("events resend", "say which"),
    ("events list", "say which"),
    ("report --month 2026-13", "written as"),
    ("--aws-endpoint http://127.0.0.1:1 export --from 2026-11-24 --to 2026-11-24", "connect"),
])  # fmt: skip
def test_an_error_is_one_line_and_exit_code_1(ops: Ops, line: str, says: str) -> None:
    (said,) = ops(line, exits=1).stderr.splitlines()
    assert said.startswith("error: ")
    assert says in said


@pytest.mark.parametrize("like", PATHS, ids=ascii)
def test_every_order_id_goes_there_and_back(ops: Ops, client: Client, like: str) -> None:
    order = voided(client, f"{like}{uuid.uuid4().hex[:8]}")
    shown = [ops.read(name, "--", order) for name in ("show", "refresh", "compare")]
    assert [each["order_id"] for each in shown] == [order] * 3
    assert shown[-1]["agrees"]


def happened(client: Client, order: str, webhook: str) -> None:
    """The provider voids it without us."""
    void = {"method": "void", "status": "success", "operation_id": order[:8], "webhook": webhook}
    client.sandbox("POST", f"orders/{order}/operations", void)


def test_an_operator_ends_what_evidence_cannot(ops: Ops, client: Client) -> None:
    order = client.hold()
    happened(client, order, "once")
    known(client, order, 1)
    refused = ops(f"decide {order} not-voided --note 'the portal shows none'", typed="yes\nyes\n", exits=1)
    assert "nothing-to-decide" in refused.stderr
    assert ("As the provider says" in refused.stdout, "The provider's own list" in refused.stdout) == (True, True)
    no = ops(f"decide {order} reviewed --note x", typed="no\n", exits=1)
    assert no.stderr.endswith("error: nothing was decided\n")


def test_a_review_is_listed_and_read(ops: Ops, client: Client, order: str) -> None:
    client.report(order, operation_id="another", currency="USD")
    (found,) = [row for row in ops.rows("list --state review") if row["order_id"] == order]
    assert found["reviews"][0]["reason"] in ops("list --state review").stdout
    done = ops.read(f"decide {order} reviewed --note 'asked the provider'", typed="yes\nyes\n")
    assert (done["review"], done["decisions"][0]["note"]) == (False, "asked the provider")
    assert order in ops(f"list --state settled --day {TODAY}").stdout


def test_a_period_is_reconciled_with_the_provider(ops: Ops, client: Client, order: str, tmp_path: Path) -> None:
    happened(client, lost := client.hold(), "none")
    orders = tmp_path / "orders.csv"
    orders.write_text(f"order_id;amount\n{order};1,00\n{lost};100\n")
    reconcile = f"reconcile --from 2020-01-01 --to 2020-01-01 --orders {orders}"
    kinds = {(row["order_id"], row["kind"]) for row in ops.rows(f"{reconcile} --rate 100", exits=3)}
    assert kinds == {(order, "amount"), (lost, "unknown-here")}
    orders.write_text(f"order_id\n{order}\n")
    done = ops(reconcile)
    assert done.stdout.splitlines()[1:] == []
    assert "1 orders looked at: no differences" in done.stderr


def test_a_lost_event_is_found_in_the_table_and_put_on_a_bus(
    ops: Ops, service: Service, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (detail,) = [json.loads(line) for line in ops(f"events list --order {order}").stdout.splitlines()]
    assert (detail["order_id"], detail["state"], detail["by"]) == (order, "voided", "provider")
    assert detail in [json.loads(line) for line in ops(f"events list --from {TODAY}").stdout.splitlines()]
    left = send("GET", f"{service.url}/console/events.json").json["events"]
    assert detail in [one["event"]["detail"] for one in left]  # as the pipe had sent it
    bus, queues, name = service.client("events"), service.client("sqs"), f"resent-{order[:8]}"
    queue = queues.create_queue(QueueName=name)["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.create_event_bus(Name=name)
    bus.put_rule(Name="all", EventBusName=name, EventPattern='{"source": ["void-service"]}')
    bus.put_targets(Rule="all", EventBusName=name, Targets=[{"Id": "q", "Arn": arn}])
    place = places.local(urlsplit(service.url).port or 80, service.aws_endpoint)
    monkeypatch.setattr(places, "output", lambda *_: name)
    chosen = arguments.parser().parse_args(["--local", "events", "resend", "--order", order])
    chosen.run(place, chosen, Screen())
    (message,) = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert json.loads(message["Body"])["detail"] == detail


def test_what_was_written_about_an_order_is_erased(ops: Ops, client: Client) -> None:
    order, erased = voided(client, comment="something private"), "[erased: request 7]"
    known(client, order, 1)  # its webhook repeats the comment
    done = ops.read(f"erase {order} --note 'request 7'", typed="yes\n")
    assert (done["state"], done["comment"], done["provider"]["comment"]) == ("voided", erased, erased)
    (item,) = [item for item in client.items(order) if item["sk"] == {"S": "ORDER"}]
    assert "private" not in json.dumps(item, default=str)
    assert ops.read(f"compare {order}")["agrees"]


def test_a_month_is_one_page(ops: Ops, order: str, tmp_path: Path) -> None:
    ops(f"report --month {TODAY[:7]} --out", str(out := tmp_path / "month.html"))
    assert f"Voids of local, {TODAY[:7]}" in out.read_text()


def test_the_reader_of_a_list_may_have_enough(ops: Ops, order: str) -> None:
    command = shlex.join([*ops.command, "export", "--from", TODAY, "--to", TODAY])
    done = run("bash", "-c", f"set -o pipefail; {command} | head -1")
    assert done.stdout.startswith("order_id,")
    assert [line for line in done.stderr.splitlines() if not line.endswith(" records")] == []


# `make smoke`


def smoke(*arguments: str) -> Done:
    return run(sys.executable, "-m", "acceptance.smoke", *arguments)


def test_a_sound_deployment_passes_from_outside_and_from_inside(service: Service) -> None:
    done = smoke(f"{service.url}/v1/", "--environment", "local")
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[0] for line in done.stdout.splitlines() if " TLS " not in line} == {"ok"}
    assert len(done.stdout.splitlines()) == 11
    assert [name for name, value in CREDENTIALS.items() if value in done.stdout] == ["pos_id"]


def test_what_is_not_sound_or_cannot_be_seen_from_outside_is_the_last_line(service: Service, client: Client) -> None:
    """Whose credentials it has cannot be seen without rights; a silent provider and another address fail the check."""
    done = smoke(f"{service.url}/v1")
    assert (done.returncode, done.stdout.splitlines()[-1].startswith("skip whose credentials it has")) == (0, True)
    client.sandbox("PUT", "faults/0", {"query": "http_500"})
    done = smoke(f"{service.url}/v1", "--environment", "local")
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert (done.returncode, failed) == (1, ["FAIL the provider accepts them (no answer that says so)"])
    done = smoke(f"http://localhost:{urlsplit(service.url).port}/v1", "--environment", "local")
    assert (done.returncode, done.stdout.splitlines()[-1].endswith(f"(its ApiUrl is {service.url}/v1)")) == (1, True)
