"""The parts of the operators' command line that decide something: harmless text, cells, comparisons, arguments."""

import fcntl
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from copy import replace
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local.scratch import scratch_folder
from ops import __main__ as command
from ops import api, arguments, commands, compare, export, items, places, quarantine
from ops.places import OpsError
from ops.screen import Screen, clean, json_text, one_line
from payments import exact_json, rules
from payments.items import write_order
from payments.messages import OrderView, read_operation
from payments.record import MOST_WEBHOOKS, FailureReason, State, Void
from payments.secret import Credentials, SecretError
from payments.store import StoreError
from payments.webhooks import WebhookOutcome
from representations import PROBLEMS
from tests.fakes.scene import ABSENT, POS_ID, START, Scene, fields, operation, order_of, submitting, view
from tests.fakes.secret import PUBLISHED

OBEYED = [
    "\x00", "\x07", "\x08", "\t", "\n", "\r", "\x1b", "\x7f", "\x80", "\x9b", "\x9d", "\u061c", "\u200b", "\u200e",
    "\u202a", "\u202e", "\u2028", "\u2029", "\u2066", "\u2069", "\ufeff", "\U000e0041",
]  # fmt: skip


def exact(digits: str) -> Any:
    """A number as the provider wrote it."""
    return exact_json.parse(digits)


def voided(**more: object) -> Void:
    message = read_operation(exact_json.parse(exact_json.write(fields() | {"amount": exact("100.00")} | more)))
    assert message is not None
    found = rules.apply_webhook(submitting(), message, START + 1000)
    assert found is not None
    return found


def item(void: Void) -> dict[str, Any]:
    return write_order(order_of(void, version=1))


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
    text = json_text({"amount": exact("100.00"), "comment": "a\nb\x9b\U000e0041"})
    assert text == '{"amount":100.00,"comment":"a\\nb\\u009b\\udb40\\udc41"}'


def test_an_error_is_one_short_line() -> None:
    assert one_line("a\n  b\x1b[2J") == "a b\N{REPLACEMENT CHARACTER}[2J"
    assert len(one_line("x" * 5000)) == 500


# CSV


SIGNS = [
    "=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫", "−", "⁼", "⁺", "⁻", "₌", "₊", "₋", "‐", "‑", "➕", "➖",
    "˗", "﬩", "꞊",
]  # fmt: skip
AHEAD = [
    "", " ", "   ", "\xa0", "\u3000", "\u2007", "\t", "\r", "\n", "\r\n", " \t ", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u200b",
    "\u202e", "\ufeff", "\u2060", "\u00ad", "\u034f", "\u0301", "\ufe0f", "\u3164", "\u115f", "\u2800", "\U000e0020",
]  # fmt: skip


@pytest.mark.parametrize("sign", SIGNS, ids=ascii)
def test_no_cell_begins_a_formula(sign: str) -> None:
    for ahead in AHEAD:
        cell = export.cell(f"{ahead}{sign}1+1")
        assert cell.startswith("'"), ascii(ahead)
        assert cell.replace("'", "") == f"{clean(ahead, keep='\t\r\n')}{sign}1+1"


@pytest.mark.parametrize("sign", SIGNS, ids=ascii)
def test_no_formula_hides_behind_what_parts_cells_elsewhere(sign: str) -> None:
    for part, blank in ((";", ""), (";", " "), (";", "\xa0"), ("\t", ""), ("\n", ""), ("\r\n", "")):
        assert export.cell(f"a{part}{blank}{sign}1+1") == f"a{part}'{blank}{sign}1+1"


@pytest.mark.parametrize(
    "text",
    ["", " ", "a", "a=b", "a-b", "1+1", "'=1", "слово", "10101", "– з тире", "—", "№ 5", "🙂", "a; b", "a;b\nc", "(−1)", "a\t1",
     "https://x.example/?a=b;c=d", "\u0301a", "´"],
    ids=ascii,
)  # fmt: skip
def test_other_text_stays_as_it_is(text: str) -> None:
    assert export.cell(text) == text


def test_what_a_tab_or_a_line_break_begins_is_text_as_well() -> None:
    for begin in "\t\r\n":
        assert export.cell(f"{begin}1") == f"'{begin}1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (3, "3"), (exact("100.00"), "100.00"), (exact("1E-7"), "0.0000001"), (exact("1E+2"), "100"),
     (exact("12345678901234567890.01"), "12345678901234567890.01"), (exact("-1.50"), "-1.50"),
     (exact("-1e1000000000000000000"), "'-1e1000000000000000000"), ({"a": exact("1.0")}, '{"a":1.0}'),
     ("0012", "0012"), ("a=b", "a=b")],
)  # fmt: skip
def test_cells_are_exact(value: object, text: str) -> None:
    assert export.cell(value) == text


def test_a_terminal_gets_no_line_breaks_inside_a_cell() -> None:
    assert export.cell("a\r\nb") == "a\r\nb"
    assert export.cell("a\r\nb", to_terminal=True) == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


def test_a_row_has_every_column_and_the_providers_digits() -> None:
    row = export.row(items.record(item(voided())))
    assert tuple(row) == export.COLUMNS
    assert len(export.COLUMNS) == 27
    assert export.cell(row["provider_amount"]) == "100.00"
    assert row["pos_id"] == POS_ID
    row = export.row(items.record(item(voided(fee={"amount": exact("1.0"), "currency": "UAH"}))))
    assert (export.cell(row["provider_fee_amount"]), row["provider_fee_currency"]) == ("1.0", "UAH")


def test_a_period_is_whole_days_both_included() -> None:
    period = export.period("2026-11-01", "2026-11-30")
    assert (period.begin, period.end) == ("2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z")


@pytest.mark.parametrize("text", ["", "20261124", "2026-W48-2", "2026-02-30", "24.11.2026", "0001-01-01", "9999-12-31"])
def test_other_dates_are_refused(text: str) -> None:
    with pytest.raises(OpsError):
        export.day(text)


class Pages:
    """A table whose scan or query gives these pages."""

    def __init__(self, *pages: list[Any]) -> None:
        self.pages, self.asked = pages, list[Any]()

    def get_paginator(self, name: str) -> "Pages":
        self.asked.append(name)
        return self

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        self.asked.append(arguments)
        yield from ({"Items": items, "ScannedCount": len(items) + 2} for items in self.pages)


def test_an_export_reads_page_by_page() -> None:
    passed: list[int] = []
    table = Pages([item(voided())], [])
    found = list(export.records(table, "t", export.period("2026-11-01", "2026-11-30"), passed.append))
    assert [void["order_id"] for void in found] == ["123"]
    assert passed == [3, 2]
    assert table.asked[0] == "scan"
    assert table.asked[1]["ConsistentRead"] is True


@pytest.mark.parametrize(
    ("settled", "requested", "holds"),
    [
        ("2026-11-24T00:00:00.000Z", "2026-11-23T23:59:59.999Z", True),
        ("2026-11-24T23:59:59.999Z", None, True),
        ("2026-11-25T00:00:00.000Z", "2026-11-24T10:00:00.000Z", False),
        (None, "2026-11-24T10:00:00.000Z", True),
        (None, "2026-11-25T00:00:00.000Z", False),
        (None, None, False),
    ],
)
def test_a_void_belongs_to_the_day_of_its_end_or_else_of_its_request(
    settled: str | None, requested: str | None, holds: bool
) -> None:
    period = export.period("2026-11-24", "2026-11-24")
    assert period.holds({"settled_at": settled, "requested_at": requested}) is holds


def test_only_records_of_orders_are_looked_for_however_they_are_stored() -> None:
    condition = items.settled_between("a", "b")["FilterExpression"]
    assert condition.startswith("attribute_exists(#state) AND ")
    assert "sk" not in condition


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
    return items.record(item(void))


def test_what_agrees_has_no_differences() -> None:
    assert compare.differences(record(voided()), view(operation())) == []


@pytest.mark.parametrize(
    ("void", "listed", "says"),
    [
        (voided(), view(), "lists no successful void"),
        (submitting(), view(operation()), "`refresh` takes it over"),
        (voided(), view(operation(), operation(operation_id="other")), "executed 2 voids"),
        (voided(), view(operation(amount=99)), "amount: ours 100.00, theirs 99"),
        (voided(), view(operation(status="pending")), "lists no successful void"),
        (voided(), ABSENT, "may also be a delay"),
        (None, view(operation()), "we have no record"),
    ],
)
def test_what_differs_is_named(void: Void | None, listed: OrderView, says: str) -> None:
    assert any(says in line for line in compare.differences(record(void) if void else None, listed))


def test_no_answer_of_the_provider_is_no_difference() -> None:
    class Silent:
        def get_order(self, *_: object) -> None:
            return None

    with pytest.raises(OpsError, match="nothing can be said"):
        compare.ask(Scene().secret, Silent(), "123", None)  # type: ignore[arg-type]


def test_the_provider_is_asked_with_the_credentials_of_the_records_project() -> None:
    class Asked:
        def get_order(self, credentials: Credentials, *_: object) -> OrderView:
            asked.append(credentials.pos_id)
            return ABSENT

    asked: list[str] = []
    other = PUBLISHED | {"pos_id": "11111111-51ef-4ef1-80f7-3b44b07b5667"}
    for pos_id in (None, POS_ID, POS_ID.upper(), other["pos_id"]):
        compare.ask(Scene(previous=other).secret, Asked(), "123", pos_id)  # type: ignore[arg-type]
    assert asked == [POS_ID, POS_ID, POS_ID, other["pos_id"]]
    with pytest.raises(OpsError, match="belongs to project nobody's"):
        compare.ask(Scene().secret, Asked(), "123", "nobody's")  # type: ignore[arg-type]


# Quarantine


def message(text: str) -> dict[str, str]:
    return {"digest": "d" * 64, "received_at": "2026-11-24T10:00:00.000Z", "why": "unreadable", "text": text}


def test_a_readable_message_is_applied_once() -> None:
    scene = Scene()
    kept = message(exact_json.write(fields()))
    first, second = (quarantine.apply(scene.storage, kept) for _ in range(2))
    assert (first.outcome, second.outcome) == (WebhookOutcome.APPLIED, WebhookOutcome.DUPLICATE)
    assert scene.record().state is State.VOIDED


def test_a_message_of_the_previous_project_goes_to_its_order() -> None:
    other = PUBLISHED | {"pos_id": "11111111-51ef-4ef1-80f7-3b44b07b5667", "api_secret": "another"}
    scene = Scene(previous=other)
    applied = quarantine.apply(scene.storage, message(exact_json.write(fields(pos_id=other["pos_id"].upper()))))
    assert applied.outcome is WebhookOutcome.APPLIED
    assert scene.record(pos_id=other["pos_id"]).state is State.VOIDED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "still unreadable"),
        (exact_json.write(fields(pos_id="another")), "is for pos_id another"),
        (exact_json.write(fields(order_id="[masked]")), "order_id was masked"),
        (exact_json.write(fields(transaction_id="a[masked]")), "transaction_id was masked"),
        (exact_json.write(fields(order_id="..")), "its order id must be text of 1 to 32 characters"),
        (exact_json.write(fields(order_id=" 1")), "its order id must not begin or end with a blank"),
    ],
)
def test_what_cannot_be_trusted_is_not_applied(text: str, says: str) -> None:
    scene = Scene()
    with pytest.raises(OpsError, match=says.replace("[", r"\[")):
        quarantine.apply(scene.storage, message(text))
    assert scene.table.items == {}


def test_a_masked_comment_does_not_matter() -> None:
    scene = Scene()
    applied = quarantine.apply(scene.storage, message(exact_json.write(fields(comment="[masked]"))))
    assert applied.outcome is WebhookOutcome.APPLIED


def test_what_an_order_has_no_room_for_is_said() -> None:
    scene = Scene()
    for number in range(MOST_WEBHOOKS):
        quarantine.apply(scene.storage, message(exact_json.write(fields(status_code=str(number)))))
    one_more = message(exact_json.write(fields(status_code="one more")))
    assert quarantine.apply(scene.storage, one_more).outcome is WebhookOutcome.QUARANTINED  # asks for a review
    with pytest.raises(OpsError, match=r"still cannot be stored, as when it came \(unreadable\): the record stays"):
        quarantine.apply(scene.storage, one_more)


def test_a_day_in_quarantine_is_one_partition() -> None:
    kept = {"pk": {"S": "QUARANTINE#2026-11-24"}, "sk": {"S": "d" * 64}, "expires_at": {"N": "1"}}
    kept |= {name: {"S": name} for name in ("received_at", "why", "text")}
    table = Pages([kept], [kept])
    found = list(quarantine.on_day(table, "t", date(2026, 11, 24), "d" * 8))
    assert [one["digest"] for one in found] == ["d" * 64] * 2
    assert found[0] == {"digest": "d" * 64, "received_at": "received_at", "why": "why", "text": "text"}
    assert table.asked[1]["ExpressionAttributeValues"] == {
        ":pk": {"S": "QUARANTINE#2026-11-24"},
        ":digest": {"S": "d" * 8},
    }


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "a" * 65, "../../../.."])
def test_a_digest_is_hex(digest: str) -> None:
    with pytest.raises(OpsError, match="digest"):
        quarantine.find(None, "t", digest, date(2026, 11, 24))


# What it is documented by


def test_the_page_for_people_explains_every_state_reason_and_problem() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-a-void-works.md").read_text()
    names = [*State, *FailureReason, *PROBLEMS]
    assert [name for name in names if f"`{name}`" not in page] == []


# The command line


@pytest.mark.parametrize("called", [[], ["--local"], ["quarantine"], ["--json", "quarantine", "--local"]])
def test_without_a_command_it_shows_what_there_is(called: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(called) == 2
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith("usage: python -m ops")
    assert ("the messages of one day" if "quarantine" in called else "one order: its record") in printed.out
    assert "defect" not in printed.out


def known_commands() -> dict[str, Any]:
    """Every command by the words that call it -> its parser."""
    found: dict[str, Any] = {}

    def walk(parser: Any, words: str) -> None:
        for action in parser._subparsers._group_actions if parser._subparsers else ():
            for name, below in action.choices.items():
                walk(below, f"{words} {name}".strip())
        if not parser._subparsers:
            found[words] = parser

    walk(arguments.parser(), "")
    return found


def test_the_help_names_every_command_and_the_rights_of_each() -> None:
    known = known_commands()
    assert set(known) == {"list", "show", "refresh", "compare", "export", "quarantine list", "quarantine apply"}
    named = {
        name.strip()
        for line in arguments.RIGHTS.splitlines()
        if re.match(r"  [a-z]", line)
        for name in line[2:24].split(",")
    }
    assert named - {"the others"} == set(known)
    text = arguments.parser().format_help()
    assert all(word in text for name in known for word in name.split())


DOCUMENTS = sorted(Path(__file__).resolve().parents[2].glob("docs/*.md"))
PLACEHOLDERS = {"ORDER": "123", "DIGEST": "0" * 64, "DATE": "2026-11-24"}


def written_commands(page: Path) -> list[str]:
    """What a page says of this command line: in a line of code, or between backticks."""
    return [found.strip() for found in re.findall(r"python -m ops((?: [^\n`#]*)?)(?=[`\n#])", page.read_text())]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_the_commands_that_the_documents_write_exist(page: Path) -> None:
    known = known_commands()
    for written in written_commands(page):
        words = [PLACEHOLDERS.get(word, word) for word in written.split() if word != "…"]
        if not words or " ".join(words) in known:
            continue  # only named, without its arguments
        chosen = arguments.parser().parse_args(words)
        assert chosen.run, written
        assert chosen.local or chosen.environment or "…" in written, f"{written}: where?"


def test_the_runbook_is_read_for_commands() -> None:
    runbook = next(page for page in DOCUMENTS if page.name == "runbook.md")
    assert len(written_commands(runbook)) > 8


def test_options_may_stand_before_or_after_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def listed(place: places.Place, _: str) -> Iterator[Any]:
        seen.append(place.api_url)
        return iter(())

    monkeypatch.setattr(api, "list_voids", listed)
    assert command.main(["--local", "--port", "9", "--json", "list"]) == 0
    assert command.main(["list", "--local", "--port", "9", "--json"]) == 0
    assert seen == ["http://127.0.0.1:9/v1"] * 2
    monkeypatch.setenv("PORT", "10")
    assert command.main(["list", "--local"]) == 0
    assert seen[-1] == "http://127.0.0.1:10/v1"


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "1.5", "٣", "9" * 5000])
@pytest.mark.parametrize("where", ["option", "variable"])
def test_a_wrong_port_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str, where: str
) -> None:
    if where == "variable":
        monkeypatch.setenv("PORT", port)
    assert command.main(["--local", *([f"--port={port}"] if where == "option" else []), "list"]) == 1
    assert "is not a port" in capsys.readouterr().err


def test_a_list_of_several_projects_names_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("order_id", "state", "reason", "review", "resend_allowed", "requested_at", "comment")
    voids = [dict.fromkeys(names) | {"order_id": "123", "pos_id": f"project-{number}"} for number in range(2)]
    monkeypatch.setattr(api, "list_voids", lambda *_: iter(voids))
    assert command.main(["--local", "list"]) == 0
    assert "project-1" in capsys.readouterr().out
    monkeypatch.setattr(api, "list_voids", lambda *_: iter(voids[:1]))
    assert command.main(["--local", "list"]) == 0
    assert "project-0" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OpsError("a\nb\x1b"), "a b\N{REPLACEMENT CHARACTER}"),
        (SecretError("no-value"), "the provider's credentials cannot be used: no-value"),
        (StoreError("Throttled"), "the table cannot be used: Throttled"),
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

    monkeypatch.setattr(api, "read_void", fail)
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


@pytest.mark.parametrize("held", [True, False], ids=["running", "killed"])
def test_the_running_service_is_found_by_its_note_and_a_killed_one_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: bool
) -> None:
    monkeypatch.setattr(places, "CACHE", tmp_path)
    note = json.dumps({"url": "http://127.0.0.1:8080", "aws_endpoint": "http://e"})
    with ExitStack() as stack:
        for number, text in enumerate(["{", "[]", note]):
            folder = tmp_path / f"run-{number}"
            folder.mkdir()
            (folder / "service.json").write_text(text)
            lock = stack.enter_context((folder / "lock").open("w"))
            if held:
                fcntl.flock(lock, fcntl.LOCK_EX)
        (tmp_path / "run-older").mkdir()
        (tmp_path / "run-older" / "service.json").write_text(note)
        assert places.local(8080, None).aws_endpoint == ("http://e" if held else places.NOT_FOUND)
        with pytest.raises(OpsError, match=r"no local run found behind http://127\.0\.0\.1:8081/v1: .*make run"):
            places.configuration(places.local(8081, None))


def test_the_lock_is_the_one_that_the_local_run_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "CACHE", tmp_path)
    note = json.dumps({"url": "http://127.0.0.1:8080", "aws_endpoint": "http://e"})
    with scratch_folder(tmp_path) as folder:
        (folder / "service.json").write_text(note)
        assert places.local(8080, None).aws_endpoint == "http://e"
    assert places.local(8080, None).aws_endpoint == places.NOT_FOUND


@pytest.mark.parametrize("called", [["list"], ["show", "123"], ["compare", "123"], ["quarantine", "list"]])
def test_without_a_service_no_local_run_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, called: list[str]
) -> None:
    monkeypatch.setattr(places, "CACHE", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert command.main(["--local", f"--port={port}", *called]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: no local run found behind http://127.0.0.1:{port}/v1: start it with `make run`")
    assert len(error.splitlines()) == 1


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
    assert [line[:3] for line in commands.timeline(void)] == [
        ["1", "state", "submitting"], ["3", "webhook", "success"], ["3", "state", "voided"],
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["", ".", "..", "0", "a\nb", "a" * 33, "\udcff", " a", "a ", "e\u0301"])
def test_what_is_no_order_id_is_not_asked_for(order: str) -> None:
    with pytest.raises(OpsError, match="not an order id"):
        api.read_void(places.local(1, None), order)


IDS = [
    "a b",
    "a/b",
    "100%",
    "%2F",
    "%2e%2e",
    "a+b",
    'say "x"',
    "é",
    "🙂",
    "it's (1)*!",
    "?a=b#c&d",
    "...",
    "\\",
    "-x",
    "--json",
    "~",
]


@pytest.mark.parametrize("order", IDS, ids=ascii)
@pytest.mark.parametrize("name", ["show", "refresh", "compare"])
def test_every_order_id_is_taken_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, order: str
) -> None:
    asked: list[str] = []

    def read(_: object, path: str, query: object) -> None:
        asked.append(path)
        raise OpsError("enough")

    monkeypatch.setattr(api, "_get", read)
    assert command.main(["--local", name, "--", order]) == 1
    assert capsys.readouterr().err == "error: enough\n"
    (path,) = asked
    assert path.count("/") == 2
    assert unquote(path.removeprefix("/voids/")) == order


def test_what_the_api_finds_wrong_is_named() -> None:
    errors = [{"pointer": "/order_id", "detail": "has a blank at its end"}, {"pointer": "/state", "detail": "no"}]
    problem = {"type": "urn:void-service:problem:invalid-request", "detail": "It is wrong.", "errors": errors}
    with pytest.raises(OpsError) as raised:
        api._document(400, json.dumps(problem).encode())
    assert str(raised.value) == "400 invalid-request: It is wrong. /order_id has a blank at its end; /state no"
