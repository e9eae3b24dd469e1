"""The operators' command line against the running service: what it prints, what it changes, how it fails.

Runs as its own process, as an operator runs it, over the same sockets.
"""

import csv
import io
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from local.merchant import Caller, send
from local.service import CREDENTIALS, Service
from ops import arguments, places
from ops.screen import Screen

ROOT = Path(__file__).resolve().parents[2]
POS_ID = "dc728de1-51ef-4ef1-80f7-3b44b07b5667"
EVIL = "=cmd|'/C calc'!A0 \x1b[31m[red]x[/red]\u202e"
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def ops(service: Service) -> Callable[..., Done]:
    where = ["--local", "--port", str(urlsplit(service.url).port), "--aws-endpoint", service.aws_endpoint]

    def run(*arguments: str, typed: str = "") -> Done:
        command = [sys.executable, "-m", "ops", *where, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, input=typed)

    return run


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def voided(merchant: Caller, order: str, comment: str = "10101") -> None:
    answer = merchant.post("/v1/voids", {"order_id": order, "order_currency": "UAH", "comment": comment})
    assert answer.status in (200, 202), answer.body


def read(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def deliver(service: Service, signed: Any) -> None:
    """A webhook as the provider sends it."""
    form = urlencode({"data": signed["data"], "signature": signed["signature"]}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert send("POST", f"{service.url}/v1/webhooks/financial-line", form, headers).status == 200


def quarantined(ops: Callable[..., Done], needle: str) -> Any:
    done = ops("quarantine", "list", "--json")
    return next(message for message in map(json.loads, done.stdout.splitlines()) if needle in message["text"])


def test_shows_an_order_with_its_webhooks_as_a_timeline(ops: Callable[..., Done], merchant: Caller, order: str) -> None:
    voided(merchant, order)
    give_up = time.monotonic() + 10
    while not (shown := read(ops("show", order, "--json")))["webhooks"] and time.monotonic() < give_up:
        time.sleep(0.1)
    assert shown["state"] == "voided"
    page = ops("show", order)
    assert page.returncode == 0
    assert "\nTimeline\n" in "\n".join(line.rstrip() for line in page.stdout.splitlines())
    assert "\N{REPLACEMENT CHARACTER}" not in page.stdout
    assert "webhook" in page.stdout


def test_the_text_of_others_is_text(ops: Callable[..., Done], merchant: Caller, order: str) -> None:
    voided(merchant, order, EVIL)
    page, document = ops("show", order), ops("show", order, "--json")
    assert "[red]x[/red]" in page.stdout
    for printed in (page.stdout, document.stdout):
        assert "\x1b" not in printed
        assert "\u202e" not in printed
    assert json.loads(document.stdout)["comment"] == EVIL


def test_lists_what_is_not_settled_and_refreshes_it(
    ops: Callable[..., Done], merchant: Caller, sandbox: Callable[..., Any], order: str
) -> None:
    sandbox("PUT", f"/faults/{order}", {"answer": "http_500_executed", "webhook": "none", "query": "not_found"})
    voided(merchant, order)
    listed = ops("list", "--state", "unsettled", "--json")
    assert order in {json.loads(line)["order_id"] for line in listed.stdout.splitlines()}
    assert order in ops("list").stdout
    assert ops("list", "--state", "review").returncode == 0
    give_up = time.monotonic() + 20
    while (state := read(ops("refresh", order, "--json"))["state"]) != "voided" and time.monotonic() < give_up:
        time.sleep(1)
    assert state == "voided"


def test_compares_with_the_providers_own_list(ops: Callable[..., Done], merchant: Caller, order: str) -> None:
    voided(merchant, order)
    agreed = read(ops("compare", order, "--json"))
    assert agreed["agrees"], agreed["differences"]
    assert {operation["method"] for operation in agreed["operations"]} == {"auth", "void"}
    assert "Both agree." in ops("compare", order).stdout


def forget(service: Service, order: str) -> None:
    """Everything that the table has of an order."""
    table, client = service.table_name, service.client("dynamodb")
    values = {":pk": {"S": f"{POS_ID}#{order}"}}
    for item in client.query(TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values)[
        "Items"
    ]:
        client.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})


def test_names_a_void_that_we_do_not_know(
    ops: Callable[..., Done], service: Service, sandbox: Callable[..., Any], order: str
) -> None:
    sandbox("POST", f"/orders/{order}/void")
    give_up = time.monotonic() + 10
    while ops("show", order).returncode and time.monotonic() < give_up:
        time.sleep(0.1)
    forget(service, order)  # as if its webhook had been lost
    compared = read(ops("compare", order, "--json"))
    assert (compared["record"], compared["agrees"]) == (None, False)
    assert compared["differences"] == ["the provider lists 1 void(s), and we have no record"]


def test_exports_a_period_as_csv_that_calculates_nothing(
    ops: Callable[..., Done], merchant: Caller, order: str, tmp_path: Path
) -> None:
    voided(merchant, order, EVIL)
    done = ops("export", "--from", today(), "--to", today())
    assert done.returncode == 0, done.stderr
    rows = {row["order_id"]: row for row in csv.DictReader(io.StringIO(done.stdout, newline=""))}
    assert rows[order]["comment"].startswith("'=cmd")
    assert "\x1b" not in done.stdout
    assert rows[order]["state"] == "voided"
    assert rows[order]["provider_amount"] == "100"
    out = tmp_path / "voids.csv"
    done = ops("export", "--from", today(), "--to", today(), "--out", str(out), "--excel")
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(b"\xef\xbb\xbforder_id,")
    assert not list(tmp_path.glob("*.part"))
    lines = ops("export", "--from", today(), "--to", today(), "--json").stdout.splitlines()
    assert order in {json.loads(line)["order_id"] for line in lines}


def test_applies_a_quarantined_webhook_once_its_cause_is_gone(
    ops: Callable[..., Done], service: Service, sandbox: Callable[..., Any], order: str
) -> None:
    other = "11111111-51ef-4ef1-80f7-3b44b07b5667"
    operation = {"method": "void", "status": "success", "order_id": order, "pos_id": other, "operation_id": order[:8],
                 "amount": 100, "currency": "UAH"}  # fmt: skip
    deliver(service, sandbox("POST", "/sign", {"data": operation, "secret": "current"}))
    message = quarantined(ops, order)
    assert message["why"] == "other-pos-id"
    refused = ops("quarantine", "apply", message["digest"])
    assert refused.returncode == 1
    assert f"is for pos_id {other}" in refused.stderr
    _store_readable(service, message["digest"], {key: value for key, value in operation.items() if key != "pos_id"})
    applied = read(ops("quarantine", "apply", message["digest"][:12], "--json"))
    assert (applied["outcome"], applied["order_id"], applied["state"]) == ("applied", order, "voided")
    assert read(ops("quarantine", "apply", message["digest"], "--date", today(), "--json"))["outcome"] == "duplicate"
    assert read(ops("show", order, "--json"))["state"] == "voided"


def _store_readable(service: Service, digest: str, operation: object) -> None:
    """The cause is gone: the message is one that this version can use."""
    service.client("dynamodb").update_item(
        TableName=service.table_name,
        Key={"pk": {"S": f"QUARANTINE#{today()}"}, "sk": {"S": digest}},
        UpdateExpression="SET #text = :text",
        ExpressionAttributeNames={"#text": "text"},
        ExpressionAttributeValues={":text": {"S": json.dumps(operation)}},
    )


def test_does_not_apply_what_is_still_unreadable(
    ops: Callable[..., Done], service: Service, sandbox: Callable[..., Any], order: str
) -> None:
    mark = order.translate(str.maketrans("0123456789", "ghijklmnop"))  # a run of digits would be masked like a card's
    deliver(service, sandbox("POST", "/sign", {"data": ["no operation", mark], "secret": "current"}))
    refused = ops("quarantine", "apply", quarantined(ops, mark)["digest"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "still unreadable" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "no-such-order"], "not-found"),
        (["show", ".."], "not an order id"),
        (["compare", "no-such-order"], "neither"),
        (["quarantine", "list", "--date", "24.11.2026"], "2026-11-24"),
        (["quarantine", "apply", "abc"], "digest"),
        (
            ["export", "--from", "2026-11-24", "--to", "2026-11-24", "--out", "/nope/x.csv"],
            "/nope/x.csv cannot be written: No such file",
        ),
        (["--port", "1", "list"], "no local run found"),
        (["decide", "no-such-order", "reviewed", "--note", "x"], "not-found"),
        (["events", "resend"], "say which"),
        (["events", "list"], "say which"),
        (["report", "--month", "2026-13"], "written as"),
        (["--aws-endpoint", "http://127.0.0.1:1", "export", "--from", "2026-11-24", "--to", "2026-11-24"], "connect"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(ops: Callable[..., Done], arguments: list[str], says: str) -> None:
    done = ops(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


@pytest.mark.parametrize("order_id", ["a b/c%2F+", "-\"é🙂'(1)*!", "?a=b#c&d;~\\"], ids=ascii)
def test_every_order_id_goes_there_and_back(
    ops: Callable[..., Done], merchant: Caller, sandbox: Callable[..., Any], order_id: str
) -> None:
    wanted = f"{order_id}{uuid.uuid4().hex[:8]}"
    sandbox("POST", "/holds", {"order_id": wanted, "amount": 100, "currency": "UAH"})
    voided(merchant, wanted)
    for name in ("show", "refresh", "compare"):
        assert read(ops(name, "--json", "--", wanted))["order_id"] == wanted
    assert read(ops("compare", "--json", "--", wanted))["agrees"]


def test_an_operator_ends_what_evidence_cannot(
    ops: Callable[..., Done], merchant: Caller, sandbox: Callable[..., Any], order: str
) -> None:
    sandbox(
        "POST",
        f"/orders/{order}/operations",
        {"method": "void", "status": "success", "operation_id": order[:8], "webhook": "once"},
    )
    give_up = time.monotonic() + 10
    while ops("show", order).returncode and time.monotonic() < give_up:
        time.sleep(0.1)
    refused = ops("decide", order, "not-voided", "--note", "the portal shows none", typed="yes\nyes\n")
    assert refused.returncode == 1
    assert "nothing-to-decide" in refused.stderr
    assert "As the provider says" in refused.stdout
    assert "The provider's own list" in refused.stdout
    assert ops("decide", order, "reviewed", "--note", "x", typed="no\n").stderr.endswith("error: nothing was decided\n")


def test_a_review_is_listed_and_read(
    ops: Callable[..., Done], service: Service, merchant: Caller, sandbox: Callable[..., Any], order: str
) -> None:
    voided(merchant, order)
    operation = {"method": "void", "status": "success", "order_id": order, "operation_id": "another", "pos_id": POS_ID,
                 "amount": 100, "currency": "USD"}  # fmt: skip
    deliver(service, sandbox("POST", "/sign", {"data": operation, "secret": "current"}))
    listed = [json.loads(line) for line in ops("list", "--state", "review", "--json").stdout.splitlines()]
    (found,) = [one for one in listed if one["order_id"] == order]
    assert [one["reason"] for one in found["reviews"]]
    page = ops("list", "--state", "review")
    assert found["reviews"][0]["reason"] in page.stdout
    done = read(ops("decide", order, "reviewed", "--note", "asked the provider", "--json", typed="yes\nyes\n"))
    assert (done["review"], done["decisions"][0]["note"]) == (False, "asked the provider")
    assert order in ops("list", "--state", "settled", "--day", today()).stdout


def test_a_period_is_reconciled_with_the_provider(
    ops: Callable[..., Done],
    service: Service,
    merchant: Caller,
    sandbox: Callable[..., Any],
    order: str,
    tmp_path: Path,
) -> None:
    voided(merchant, order)
    lost = uuid.uuid4().hex
    sandbox("POST", "/holds", {"order_id": lost, "amount": 100, "currency": "UAH"})
    sandbox(
        "POST",
        f"/orders/{lost}/operations",
        {"method": "void", "status": "success", "operation_id": lost[:8], "webhook": "none"},
    )
    orders = tmp_path / "orders.csv"
    orders.write_text(f"order_id;amount\n{order};1,00\n{lost};100\n")
    past = "2020-01-01"
    done = ops("reconcile", "--from", past, "--to", past, "--orders", str(orders), "--rate", "100", "--json")
    assert done.returncode == 3, done.stderr
    kinds = {(row["order_id"], row["kind"]) for row in map(json.loads, done.stdout.splitlines())}
    assert kinds == {(order, "amount"), (lost, "unknown-here")}
    orders.write_text(f"order_id\n{order}\n")
    done = ops("reconcile", "--from", past, "--to", past, "--orders", str(orders))
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, [])
    assert "1 orders looked at: no differences" in done.stderr


def test_a_lost_event_is_found_in_the_table_and_put_on_a_bus(
    ops: Callable[..., Done], service: Service, merchant: Caller, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    voided(merchant, order)
    (detail,) = [json.loads(line) for line in ops("events", "list", "--order", order).stdout.splitlines()]
    assert (detail["order_id"], detail["state"], detail["by"]) == (order, "voided", "provider")
    by_day = [json.loads(line) for line in ops("events", "list", "--from", today()).stdout.splitlines()]
    assert detail in by_day
    left = send("GET", f"{service.url}/console/events.json").json["events"]
    assert detail in [one["event"]["detail"] for one in left]  # as the pipe had sent it
    bus, rules = service.client("events"), {"source": ["void-service"]}
    queues = service.client("sqs")
    queue = queues.create_queue(QueueName=f"resent-{order[:8]}")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.create_event_bus(Name=f"resent-{order[:8]}")
    bus.put_rule(Name="all", EventBusName=f"resent-{order[:8]}", EventPattern=json.dumps(rules))
    bus.put_targets(Rule="all", EventBusName=f"resent-{order[:8]}", Targets=[{"Id": "q", "Arn": arn}])
    place = places.local(urlsplit(service.url).port or 80, service.aws_endpoint)
    monkeypatch.setattr(places, "output", lambda *_: f"resent-{order[:8]}")
    chosen = arguments.parser().parse_args(["--local", "events", "resend", "--order", order])
    chosen.run(place, chosen, Screen())
    (message,) = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert json.loads(message["Body"])["detail"] == detail


def test_what_was_written_about_an_order_is_erased(
    ops: Callable[..., Done], service: Service, merchant: Caller, order: str
) -> None:
    voided(merchant, order, "something private")
    time.sleep(0.5)  # its webhook repeats the comment
    done = read(ops("erase", order, "--note", "request 7", "--json", typed="yes\n"))
    assert (done["state"], done["comment"], done["provider"]["comment"]) == (
        "voided",
        "[erased: request 7]",
        "[erased: request 7]",
    )
    item = service.client("dynamodb").get_item(
        TableName=service.table_name, Key={"pk": {"S": f"{POS_ID}#{order}"}, "sk": {"S": "ORDER"}}
    )["Item"]
    assert "private" not in json.dumps(item, default=str)
    assert read(ops("compare", order, "--json"))["agrees"]


def test_a_month_is_one_page(ops: Callable[..., Done], merchant: Caller, order: str, tmp_path: Path) -> None:
    voided(merchant, order)
    out = tmp_path / "month.html"
    assert ops("report", "--month", today()[:7], "--out", str(out)).returncode == 0
    assert f"Voids of local, {today()[:7]}" in out.read_text()


def test_the_reader_of_a_list_may_have_enough(
    ops: Callable[..., Done], service: Service, merchant: Caller, order: str
) -> None:
    voided(merchant, order)
    where = f"--local --port {urlsplit(service.url).port} --aws-endpoint {service.aws_endpoint}"
    script = f"set -o pipefail; '{sys.executable}' -m ops {where} export --from {today()} --to {today()} | head -1"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("order_id,")
    assert [line for line in done.stderr.splitlines() if not line.endswith(" records")] == []


# `make smoke`


def smoke(*arguments: str) -> Done:
    command = [sys.executable, "-m", "acceptance.smoke", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_sound_deployment_passes_from_outside_and_from_inside(service: Service) -> None:
    done = smoke(f"{service.url}/v1/", "--environment", "local")
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[0] for line in done.stdout.splitlines() if " TLS " not in line} == {"ok"}
    assert len(done.stdout.splitlines()) == 11
    for name, value in CREDENTIALS.items():
        assert (value in done.stdout) is (name == "pos_id")


def test_from_outside_no_rights_are_needed_and_the_rest_is_said_to_be_open(service: Service) -> None:
    done = smoke(f"{service.url}/v1")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("skip whose credentials it has")


def test_a_provider_that_says_nothing_about_the_credentials_fails_the_check(
    service: Service, sandbox: Callable[..., Any]
) -> None:
    sandbox("PUT", "/faults/0", {"query": "http_500"})
    done = smoke(f"{service.url}/v1", "--environment", "local")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("FAIL")] == [
        "FAIL the provider accepts them (no answer that says so)"
    ]


def test_the_wrong_address_is_not_looked_behind(service: Service) -> None:
    done = smoke(f"http://localhost:{urlsplit(service.url).port}/v1", "--environment", "local")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith(f"(its ApiUrl is {service.url}/v1)")
