"""The parts of the operators' command line that decide something: harmless text, cells, comparisons, arguments."""

import json
from collections.abc import Iterator
from copy import replace
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lambda_http import TITLES
from ops import __main__ as command
from ops import api, compare, export, places, quarantine
from ops.places import OpsError
from ops.screen import Screen, clean, json_text, one_line
from payments import exact_json, operations
from payments.messages import OrderView
from payments.operations import State, Void
from payments.secret import SecretError
from payments.store import StoreError, write_void
from payments.webhooks import Fate
from tests.fakes.scene import ABSENT, POS_ID, START, Scene, fields, operation, submitting, view

OBEYED = [
    "\x00", "\x07", "\x08", "\t", "\n", "\r", "\x1b", "\x7f", "\x80", "\x9b", "\x9d", "\u061c", "\u200b", "\u200e",
    "\u202a", "\u202e", "\u2028", "\u2029", "\u2066", "\u2069", "\ufeff", "\U000e0041",
]  # fmt: skip


def voided() -> Void:
    found = operations.learn_webhook(submitting(), operation(amount=Decimal("100.00")), POS_ID, START + 1000)
    assert found is not None
    return found


# Other people's text


@pytest.mark.parametrize("character", OBEYED, ids=ascii)
def test_nothing_that_a_terminal_obeys_is_printed(character: str) -> None:
    out, scripts = StringIO(), StringIO()
    screen = Screen(out=out)
    screen.line(f"<{character}>")
    screen.fields({f"<{character}>": f"<{character}>"})
    screen.table([f"<{character}>"], [[f"<{character}>"]])
    Screen(True, scripts).document({"comment": f"<{character}>"})
    for printed in (out.getvalue(), scripts.getvalue()):
        assert character not in printed.replace("\n", "")
    assert out.getvalue().count("<\N{REPLACEMENT CHARACTER}>") == 5
    assert json.loads(scripts.getvalue()) == {"comment": f"<{character}>"}


def test_markup_links_and_emoji_codes_are_text() -> None:
    out = StringIO()
    Screen(out=out).table(["what"], [["[red]a[/red] [link=https://example.com]b[/link] :smile: [/]"]])
    assert "[red]a[/red] [link=https://example.com]b[/link] :smile: [/]" in out.getvalue()


def test_other_scripts_are_shown_as_they_are() -> None:
    assert clean("Скасування – 取消 🙂") == "Скасування – 取消 🙂"


def test_json_keeps_amounts_and_is_one_line() -> None:
    text = json_text({"amount": Decimal("100.00"), "comment": "a\nb\x9b\U000e0041"})
    assert text == '{"amount":100.00,"comment":"a\\nb\\u009b\\udb40\\udc41"}'


def test_an_error_is_one_short_line() -> None:
    assert one_line("a\n  b\x1b[2J") == "a b\N{REPLACEMENT CHARACTER}[2J"
    assert len(one_line("x" * 5000)) == 500


# CSV


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "\x00=", "\u202e@"], ids=ascii)
def test_no_cell_begins_a_formula(begin: str) -> None:
    if begin[0] in "\x00\u202e":
        assert not export.cell(f"{begin}1+1").startswith(("=", "@"))
    else:
        assert export.cell(f"{begin}1+1") == f"'{begin}1+1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (3, "3"), (Decimal("100.00"), "100.00"), (Decimal("1E-7"), "0.0000001"),
     (Decimal("12345678901234567890.01"), "12345678901234567890.01"), ("0012", "0012"), ("a=b", "a=b")],
)  # fmt: skip
def test_cells_are_exact(value: object, text: str) -> None:
    assert export.cell(value) == text


def test_a_terminal_gets_no_line_breaks_inside_a_cell() -> None:
    assert export.cell("a\r\nb") == "a\r\nb"
    assert export.cell("a\r\nb", to_terminal=True) == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


def test_a_row_has_every_column_and_the_providers_digits() -> None:
    row = export.row(voided())
    assert tuple(row) == export.COLUMNS
    assert row["provider_amount"] == Decimal("100.00")
    with_fee = operations.learn_webhook(None, operation(fee={"amount": 1, "currency": "UAH"}), POS_ID, START)
    assert with_fee is not None
    assert export.row(with_fee)["provider_fee_amount"] == Decimal(1)
    assert export.row(with_fee)["provider_fee_currency"] == "UAH"


def test_a_period_is_whole_days_both_included() -> None:
    period = export.period("2026-11-01", "2026-11-30")
    assert (period.begin, period.end) == ("2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z")


@pytest.mark.parametrize("text", ["", "20261124", "2026-W48-2", "2026-02-30", "24.11.2026", "0001-01-01", "9999-12-31"])
def test_other_dates_are_refused(text: str) -> None:
    with pytest.raises(OpsError):
        export.day(text)


def test_an_export_reads_page_by_page() -> None:
    class Client:
        pages = ({"Items": [write_void(voided())], "ScannedCount": 7}, {"Items": [], "ScannedCount": 3})

        def get_paginator(self, name: str) -> "Client":
            assert name == "scan"
            return self

        def paginate(self, **arguments: Any) -> Iterator[Any]:
            yield from self.pages

    passed: list[int] = []
    found = list(export.records(Client(), "t", export.period("2026-11-01", "2026-11-30"), passed.append))
    assert [void.order_id for void in found] == ["123"]
    assert passed == [7, 3]


def test_half_an_export_does_not_get_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "voids.csv"
    path.write_text("yesterday's")
    with pytest.raises(StoreError), export.whole_file(str(path), excel=False) as out:
        out.write("half")
        raise StoreError("gone")
    assert path.read_text() == "yesterday's"
    assert list(tmp_path.iterdir()) == [path]


# Comparing


def record(void: Void) -> dict[str, Any]:
    return {"state": void.state.value, "provider": dict(void.provider) if void.provider else None}


def test_what_agrees_has_no_differences() -> None:
    assert compare.differences(record(voided()), view(operation())) == []


@pytest.mark.parametrize(
    ("void", "listed", "says"),
    [
        (voided(), view(), "lists no successful void"),
        (submitting(), view(operation()), "`refresh` takes it over"),
        (voided(), view(operation(), operation(operation_id="other")), "executed 2 voids"),
        (voided(), view(operation(amount=99)), "amount: ours 100.00, theirs 99"),
        (voided(), ABSENT, "may also be a delay"),
        (None, view(operation()), "we have no record"),
    ],
)
def test_what_differs_is_named(void: Void | None, listed: OrderView, says: str) -> None:
    assert any(says in line for line in compare.differences(record(void) if void else None, listed))


def test_no_answer_of_the_provider_is_no_difference() -> None:
    class Silent:
        def ask(self, *_: object) -> None:
            return None

    with pytest.raises(OpsError, match="nothing can be said"):
        compare.ask(Scene().secret, Silent(), "123")  # type: ignore[arg-type]


# Quarantine


def message(text: str) -> dict[str, str]:
    return {"digest": "d" * 64, "received_at": "2026-11-24T10:00:00.000Z", "why": "unreadable", "text": text}


def test_a_readable_message_is_applied_once() -> None:
    scene = Scene()
    kept = message(exact_json.write(fields()))
    first, second = (quarantine.apply(scene.store, scene.secret, kept) for _ in range(2))
    assert (first.fate, second.fate) == (Fate.APPLIED, Fate.DUPLICATE)
    assert scene.record().state is State.VOIDED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "still unreadable"),
        (exact_json.write(fields(pos_id="another")), "is for pos_id another"),
        (exact_json.write(fields(order_id="[masked]")), "order_id was masked"),
        (exact_json.write(fields(transaction_id="a[masked]")), "transaction_id was masked"),
    ],
)
def test_what_cannot_be_trusted_is_not_applied(text: str, says: str) -> None:
    scene = Scene()
    with pytest.raises(OpsError, match=says.replace("[", r"\[")):
        quarantine.apply(scene.store, scene.secret, message(text))
    assert scene.table.items == {}


def test_a_masked_comment_does_not_matter() -> None:
    scene = Scene()
    applied = quarantine.apply(scene.store, scene.secret, message(exact_json.write(fields(comment="[masked]"))))
    assert applied.fate is Fate.APPLIED


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "a" * 65, "../../../.."])
def test_a_digest_is_hex(digest: str) -> None:
    with pytest.raises(OpsError, match="digest"):
        quarantine.find(None, "t", digest, date(2026, 11, 24))


# What it is documented by


def test_the_page_for_people_explains_every_state_reason_and_problem() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-a-void-works.md").read_text()
    names = [*State, *operations.Reason, *TITLES]
    assert [name for name in names if f"`{name}`" not in page] == []


# The command line


def test_options_may_stand_before_or_after_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str | None, bool]] = []
    monkeypatch.setattr(command.api, "list_voids", lambda place, state: seen.append((place.api_url, True)) or iter(()))
    assert command.main(["--local", "--port", "9", "--json", "list"]) == 0
    assert command.main(["list", "--local", "--port", "9", "--json"]) == 0
    assert seen == [("http://127.0.0.1:9/v1", True)] * 2


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OpsError("a\nb\x1b"), "a b\N{REPLACEMENT CHARACTER}"),
        (SecretError("no-value"), "no-value"),
        (StoreError("Throttled"), "Throttled"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "Scan"), "Scan: AccessDenied: not you"),
        (EndpointConnectionError(endpoint_url="https://x.invalid"), "x.invalid"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (KeyError("card data"), "unexpected KeyError: a defect of this command line"),
    ],
)
def test_every_error_is_one_line(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(command.api, "read_void", fail)
    assert command.main(["--local", "show", "123"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"error: {printed.err[7:-1]}\n"
    assert says in printed.err
    assert "card data" not in printed.err


@pytest.mark.parametrize("where", [[], ["--local", "--environment", "prod"]])
def test_the_place_is_said_and_only_one(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*where, "list"]) == 1
    assert "say where" in capsys.readouterr().err


def test_the_running_service_is_found_by_its_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "CACHE", tmp_path)
    for number, text in enumerate(
        ["{", "[]", json.dumps({"url": "http://127.0.0.1:8080", "aws_endpoint": "http://e"})]
    ):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        (folder / "service.json").write_text(text)
    assert places.local(8080, None).aws_endpoint == "http://e"
    with pytest.raises(OpsError, match="make run"):
        places.configuration(places.local(8081, None))


class Account:
    """A session of an AWS account with one stack in it: the calls by which a deployed service is found."""

    def client(self, _service: str, **_: object) -> "Account":
        return self

    def describe_stacks(self, **_: object) -> Any:
        return {"Stacks": [{"Outputs": [{"OutputKey": "ApiUrl", "OutputValue": "https://x.example/v1/"}]}]}

    def get_paginator(self, _: str) -> "Account":
        return self

    def paginate(self, **_: object) -> Any:
        functions = [{"ResourceType": "AWS::Lambda::Function", "PhysicalResourceId": name} for name in ("a", "b")]
        return [{"StackResourceSummaries": [{"ResourceType": "AWS::DynamoDB::Table", "PhysicalResourceId": "t"}]},
                {"StackResourceSummaries": functions}]  # fmt: skip

    def get_function_configuration(self, FunctionName: str) -> Any:
        handler = {"a": "submit_void.handler", "b": "read_voids.handler"}[FunctionName]
        return {
            "Handler": handler,
            "Environment": {"Variables": {"TABLE_NAME": f"of-{FunctionName}", "SECRET_ID": "s"}},
        }


def test_a_deployed_service_is_found_by_its_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    place = replace(places.deployed("prod", "eu-central-1", None), session=Account())
    assert (place.stack, place.caller.access_key) == ("VoidService-prod", "example")
    assert places.api_url(place) == "https://x.example/v1"
    assert places.storage(place).table_name == "of-b"


def test_a_timeline_is_in_order_and_the_webhook_comes_before_what_it_caused() -> None:
    void = {
        "history": [{"at": "1", "state": "submitting", "evidence": "request"},
                    {"at": "3", "state": "voided", "evidence": "webhook"}],
        "events": [{"received_at": "3", "method": "void", "status": "success", "provider": {"operation_id": "x"}}],
    }  # fmt: skip
    assert [line[:3] for line in command.timeline(void)] == [
        ["1", "state", "submitting"], ["3", "webhook", "success"], ["3", "state", "voided"],
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["", ".", "..", "0", "a\nb", "a" * 65])
def test_what_is_no_order_id_is_not_asked_for(order: str) -> None:
    with pytest.raises(OpsError, match="not an order id"):
        api.read_void(places.local(1, None), order)
