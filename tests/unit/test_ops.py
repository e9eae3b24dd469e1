"""The operators' command line: harmless text, one place, one line for each error, comparisons, the quarantine."""

import fcntl
import json
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from copy import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from answers import PROBLEMS
from local.scratch import scratch_folder
from ops import __main__ as command
from ops import api, arguments, commands, compare, items, places, quarantine
from ops.places import OpsError
from ops.screen import Screen, clean, json_text, one_line
from payments import exact_json
from payments.facts import FailureReason, State
from payments.messages import OrderView
from payments.orders import MOST_WEBHOOKS
from payments.secret import Credentials, SecretError
from payments.store import StoreError
from receive_webhook import WebhookOutcome
from tests.fakes import pipe
from tests.fakes.scene import ABSENT, POS_ID, Scene, fields, operation, submitting, view
from tests.fakes.secret import PUBLISHED

OBEYED = [
    "\x00", "\x07", "\x08", "\t", "\n", "\r", "\x1b", "\x7f", "\x80", "\x9b", "\x9d", "\u061c", "\u200b", "\u200e",
    "\u202a", "\u202e", "\u2028", "\u2029", "\u2066", "\u2069", "\ufeff", "\U000e0041",
]  # fmt: skip


def exact(digits: str) -> Any:
    """A number as the provider wrote it."""
    return exact_json.parse(digits)


def record(state: State | None, **changes: object) -> dict[str, Any]:
    """A record of the contract, some of it changed."""
    order = submitting() if state is None else pipe.order_in(state)
    return items.record(pipe.image(order)) | changes


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


# Comparing

OTHER_HOLD = operation(method="auth", operation_id="h2", payment_id="another")
SAID = {
    "at": "2026-12-01T00:00:00.000Z",
    "by": "arn:aws:iam::1:role/ops",
    "note": "by phone",
    "state": "pending",
    "reason": None,
}


@pytest.mark.parametrize(
    ("state", "listed", "kinds", "says"),
    [
        (State.VOIDED, view(operation()), [], ""),
        (State.FAILED, view(), [], ""),
        (State.FAILED, ABSENT, [], ""),
        (State.VOIDED, view(), ["voided-here-not-there"], "lists no successful void"),
        (State.VOIDED, view(operation(status="pending")), ["voided-here-not-there"], "lists no successful void"),
        (State.VOIDED, ABSENT, ["voided-here-not-there"], "may also be a delay"),
        (None, view(operation()), ["voided-there-not-here"], "`refresh` takes it over"),
        (State.FAILED, view(operation(method="VOID")), ["voided-there-not-here"], "`refresh` takes it over"),
        (None, view(), ["open"], "our record is"),
        (State.FAILED, view(operation(status="pending")), ["open"], "a void under way"),
        (State.VOIDED, view(operation(), operation(operation_id="other")), ["second-void"], "executed 2 voids"),
        (State.VOIDED, view(operation(amount=99)), ["amount"], "amount: ours 100, theirs 99"),
        (State.VOIDED, view(operation(currency="USD")), ["currency"], "theirs USD"),
        (State.VOIDED, view(operation(payment_id="p2")), ["ids", "another-hold"][:1], "payment_id: ours"),
        (State.VOIDED, view(operation(), OTHER_HOLD), ["another-hold"], "may stand: another"),
    ],
)  # fmt: skip
def test_what_differs_is_named(state: State | None, listed: OrderView, kinds: list[str], says: str) -> None:
    found = compare.differences(record(state), listed)
    assert [one.kind for one in found] == kinds
    assert says in "".join(one.says for one in found)


def test_a_void_without_a_record_is_a_difference_and_one_that_failed_is_none() -> None:
    assert [one.kind for one in compare.differences(None, view(operation()))] == ["unknown-here"]
    assert compare.differences(None, view(operation(status="failure"))) == []


@pytest.mark.parametrize(
    ("state", "decision", "listed", "kind"),
    [
        (State.VOIDED, {"decision": "voided"}, view(), compare.DECIDED),
        (State.FAILED, {"decision": "not-voided"}, view(operation(status="pending")), compare.DECIDED),
        (State.VOIDED, {"decision": "reviewed"}, view(), "voided-here-not-there"),
        (State.FAILED, {"decision": "not-voided"}, view(operation()), "voided-there-not-here"),
        (State.VOIDED, {"decision": "voided", "at": "2020-01-01T00:00:00.000Z"}, view(), "voided-here-not-there"),
    ],
    ids=["voided", "not voided", "read only", "contradicted", "of an earlier attempt"],
)
def test_what_an_operator_has_decided_is_no_difference(
    state: State, decision: Any, listed: OrderView, kind: str
) -> None:
    (found,) = compare.differences(record(state, decisions=[SAID | decision]), listed)
    assert found.kind == kind
    assert ("by phone" in found.says) is (kind == compare.DECIDED)


@pytest.mark.parametrize("answer", [None, OrderView((operation(),), partial=True)], ids=["silent", "one of a list"])
def test_no_whole_answer_of_the_provider_is_no_difference(answer: OrderView | None) -> None:
    class Provider:
        def get_order(self, *_: object) -> OrderView | None:
            return answer

    with pytest.raises(OpsError, match="nothing can be said"):
        compare.ask(Scene().secret, Provider(), "123", None)  # type: ignore[arg-type]


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
    assert len(known) == 14
    named = {
        name.strip()
        for line in arguments.HELP["rights"].splitlines()
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
        words = [PLACEHOLDERS.get(word, word) for word in shlex.split(written) if word != "…"]
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

    def listed(place: places.Place, *_: object) -> Iterator[Any]:
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
    voids = [record(None, pos_id=f"project-{number}") for number in range(2)]
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
    found = places.deployed("prod", "eu-central-1", None)
    assert (found.stack, found.environment, found.caller.access_key) == ("VoidService-prod", "prod", "example")
    place = replace(found, session=Account())
    assert places.api_url(place) == "https://x.example/v1"
    assert places.storage(place).table_name == "of-b"


def test_a_timeline_is_in_order_and_the_webhook_comes_before_what_it_caused() -> None:
    void = {
        "history": [{"at": "1", "state": "submitting", "evidence": "request"},
                    {"at": "3", "state": "voided", "evidence": "webhook"}],
        "webhooks": [{"received_at": "3", "method": "void", "status": "success", "provider": {"operation_id": "x"}}],
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
@pytest.mark.parametrize("name", ["show", "decide"])
def test_every_order_id_is_taken_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, order: str
) -> None:
    asked: list[str] = []

    def read(_: object, __: str, target: str) -> None:
        asked.append(target.partition("?")[0])
        raise OpsError("enough")

    monkeypatch.setattr(api, "send", read)
    more = ["reviewed"] if name == "decide" else []
    assert command.main(["--local", name, *(["--note=why"] if more else []), "--", order, *more]) == 1
    assert capsys.readouterr().err == "error: enough\n"
    (path,) = asked
    assert path.count("/") == 2
    assert unquote(path.removeprefix("/voids/")) == order


def test_what_the_api_finds_wrong_is_named() -> None:
    errors = [{"pointer": "/order_id", "detail": "has a blank at its end"}, {"pointer": "/state", "detail": "no"}]
    problem = {"type": "urn:void-service:problem:invalid-request", "detail": "It is wrong.", "errors": errors}
    with pytest.raises(OpsError) as raised:
        api._document(api.Reply(400, {"Retry-After": "45"}, json.dumps(problem).encode()))
    assert str(raised.value) == (
        "400 invalid-request: It is wrong. /order_id has a blank at its end; /state no Again in 45 s."
    )


def test_a_list_says_for_how_long_and_what_must_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews = [
        {"reason": "another-hold", "subject": "order", "since": "2026-11-20T00:00:00.000Z", "read_at": None},
        {
            "reason": "corrected",
            "subject": "order",
            "since": "2026-11-20T00:00:00.000Z",
            "read_at": "2026-11-21T00:00:00.000Z",
        },
    ]
    asked: list[object] = []

    def listed(_: object, *state_and_day: object) -> Iterator[Any]:
        asked.append(state_and_day)
        return iter([record(State.VOIDED, reviews=reviews, review=True)])

    monkeypatch.setattr(api, "list_voids", listed)
    assert command.main(["--local", "list", "--state", "review"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"another-hold \d+ d", shown)
    assert "corrected" not in shown
    assert command.main(["--local", "list", "--state", "settled", "--day", "2026-11-18"]) == 0
    assert "1 settled on 2026-11-18" in capsys.readouterr().out
    assert command.main(["--local", "list", "--day", "2026-11-18"]) == 1
    assert asked == [("review", None), ("settled", "2026-11-18")]


@pytest.mark.parametrize(("seconds", "says"), [(1, "1 s"), (150, "2 min"), (7_300, "2 h"), (200_000, "2 d")])
def test_an_age_is_rounded_down(seconds: int, says: str) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert commands.age((now - timedelta(seconds=seconds)).isoformat(), now) == says


def test_everything_of_a_record_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = record(State.FAILED, provider_code="4150", decisions=[{**SAID, "decision": "reviewed"}], webhooks=[])
    monkeypatch.setattr(api, "read_void", lambda *_: shown | {"webhooks_truncated": False})
    assert command.main(["--local", "show", "123"]) == 0
    page = capsys.readouterr().out
    assert [
        name for name in ("4150", "Attempts", "Decisions", "by phone", "Timeline", "revision") if name not in page
    ] == []


@pytest.mark.parametrize(("typed", "decided"), [("yes\n", True), ("y\n", False), ("", False)])
def test_a_decision_is_shown_both_sides_asked_and_about_what_was_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, decided: bool
) -> None:
    shown = record(State.FAILED, webhooks=[], webhooks_truncated=False)
    taken: list[object] = []

    def take(_: object, *decision: object) -> Any:
        taken.extend(decision)
        return shown

    monkeypatch.setattr(api, "read_void", lambda *_, refresh: shown if refresh else None)
    monkeypatch.setattr(api, "decide", take)
    monkeypatch.setattr(commands, "_view", lambda *_: view(operation(status="pending")))
    monkeypatch.setattr("sys.stdin", StringIO(typed))
    code = command.main(["--local", "decide", "123", "not-voided", "--note", "Portal shows none"])
    printed = capsys.readouterr()
    assert "provider's own list" in printed.out
    assert "Order 123 in local: not-voided, because: Portal shows none" in printed.err
    assert code == (0 if decided else 1)
    assert taken == (["123", "not-voided", shown["revision"], "Portal shows none"] if decided else [])


def test_the_local_run_is_reached_with_its_own_rights_and_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_PROFILE", "foreign"), ("AWS_CONFIG_FILE", "/nonexistent/config"), ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_ACCESS_KEY_ID", "foreign"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    place = places.local(8080, "http://127.0.0.1:1")
    client = place.client("dynamodb")
    assert client.meta.endpoint_url == "http://127.0.0.1:1"
    assert client._request_signer._credentials.access_key == "test"
    assert client.meta.config.proxies == {}
    assert place.caller.access_key == "operator"
