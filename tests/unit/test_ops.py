"""The operators' command line: what each command prints, asks and sends; its errors, its help and the documents."""

import json
import re
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from copy import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from urllib3 import HTTPHeaderDict

from answers import PROBLEMS
from local.merchant import Reply
from local.scratch import scratch_folder
from ops import __main__ as command
from ops import api, arguments, commands, compare, items, places
from ops.places import OpsError
from payments import exact_json
from payments.facts import FailureReason, State
from payments.secret import SecretError
from payments.store import StoreError
from tests.fakes import pipe
from tests.fakes.account import URL, Account, steps
from tests.fakes.scene import operation, submitting, view

SAID = {"at": "2026-12-01T00:00:00.000Z", "by": "arn:aws:iam::1:role/ops", "decision": "voided", "note": "by phone",
        "state": "pending", "reason": None}  # fmt: skip
HOLD = {"reason": "another-hold", "subject": "order", "since": "2026-11-20T00:00:00.000Z", "read_at": None}
READ = HOLD | {"reason": "corrected", "read_at": "2026-11-21T00:00:00.000Z"}


def record(state: State | None, **changes: object) -> dict[str, Any]:
    """A record of the contract, some of it changed."""
    order = submitting() if state is None else pipe.order_in(state)
    return items.record(pipe.image(order)) | changes


def shown(state: State | None = None, **changes: object) -> dict[str, Any]:
    """The same as a read of one order shows it."""
    return record(state, webhooks=[], webhooks_truncated=False) | changes


class Ops:
    """Types commands on a place whose API has these voids, each on a page of its own, and answers with the first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._set, self._capsys = monkeypatch.setattr, capsys
        self.voids: list[Any] = [shown()]
        self.answers: Callable[[], Any] = lambda: self.voids[0]
        self.asked, self.bodies, self.urls = list[str](), list[Any](), list[str | None]()
        self._set(api, "send", self._send)
        self._set(compare, "theirs", lambda _: lambda *_: view(operation(status="pending")))

    def _send(self, place: places.Place, method: str, target: str, body: bytes = b"") -> Reply:
        self.asked.append(f"{method} {target}")
        self.bodies += [json.loads(body)] if body else []
        self.urls.append(place.api_url)
        page = int((re.findall(r"cursor=(\d)", target) or [0])[0])
        cursor = str(page + 1) if page + 1 < len(self.voids) else None
        listed = {"voids": self.voids[page : page + 1], "cursor": cursor}
        found = listed if target.startswith("/voids?") else self.answers()
        return found if isinstance(found, Reply) else Reply(200, HTTPHeaderDict(), exact_json.write(found).encode())

    def __call__(self, *called: str, typed: str = "") -> tuple[int, str, str]:
        self._set("sys.stdin", StringIO(typed))
        code = command.main(list(called))
        return (code, *self._capsys.readouterr())


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ops:
    return Ops(monkeypatch, capsys)


class Row(NamedTuple):
    """A command on these voids: what it prints (patterns), what it does not, and what the API is asked."""

    called: str
    voids: tuple[Any, ...] = (shown(),)
    prints: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    asked: tuple[str, ...] | None = None
    code: int = 0
    typed: str = ""


FAILED = shown(State.FAILED, provider_code="4150", decisions=[SAID | {"decision": "reviewed"}])
PROJECTS = tuple(record(None, pos_id=f"project-{number}") for number in range(2))
REVIEWED = record(State.VOIDED, reviews=[HOLD, READ], review=True)
LIST, READS = "GET /voids?limit=100&state=unsettled", ("GET /voids/123?refresh=true",)
DECIDE = "decide 123 not-voided --note 'Portal shows none'"
QUESTION = "Order 123 in local: not-voided, because: Portal shows none"
COMMANDS = {
    "lists the projects": Row("list", PROJECTS, ("pos id", "project-1", "2 unsettled"), asked=(
        LIST, LIST.replace("?", "?cursor=1&"))),
    "lists one project": Row("list", PROJECTS[:1], ("resend allowed", "1 unsettled"), hides=("project-0",)),
    "says how long": Row("list --state review", (REVIEWED,), (r"another-hold \d+ d", "1 in review"), hides=("corrected",)),
    "lists a day": Row("list --state settled --day 2026-11-18", (REVIEWED,), ("1 settled on 2026-11-18", "settled at"),
                       asked=("GET /voids?day=2026-11-18&limit=100&state=settled",)),
    "no day of open ones": Row("list --day 2026-11-18", prints=("--day is for --state settled",), asked=(), code=1),
    "shows everything": Row("show 123", (FAILED,), ("4150", "Attempts", "Decisions", "by phone", "Timeline", "revision")),
    "refreshes": Row("refresh 123", prints=("Order 123",), asked=READS),
    "decides": Row(DECIDE, (FAILED,), ("provider's own list", "pending", QUESTION), typed="yes\n",
                   asked=(*READS, "POST /voids/123/decisions")),
    "y is no yes": Row(DECIDE, (FAILED,), (QUESTION, "nothing was decided"), typed="y\n", asked=READS, code=1),
    "silence is no yes": Row(DECIDE, (FAILED,), (QUESTION, "nothing was decided"), asked=READS, code=1),
    "backwards": Row("export --from 2026-11-02 --to 2026-11-01", prints=("ends before it begins",), asked=(), code=1),
    "nowhere": Row("--local --environment prod list", prints=("say where",), asked=(), code=1),
}  # fmt: skip


@pytest.mark.parametrize("row", COMMANDS.values(), ids=COMMANDS)
def test_a_command_prints_and_asks(ops: Ops, row: Row) -> None:
    ops.voids = list(row.voids)
    code, out, err = ops("--local", *shlex.split(row.called), typed=row.typed)
    assert (code, [each for each in row.prints if not re.search(each, out + err)]) == (row.code, [])
    assert [each for each in row.hides if each in out + err] == []
    assert row.asked is None or tuple(ops.asked) == row.asked
    decision = {"decision": "not-voided", "revision": FAILED["revision"], "note": "Portal shows none"}
    assert ops.bodies == ([decision] if row.typed == "yes\n" else [])


def test_a_record_that_has_changed_meanwhile_is_shown_and_asked_about_once_more(ops: Ops) -> None:
    read, changed = shown(), Reply(409, HTTPHeaderDict(), b'{"type": "urn:void-service:problem:changed-meanwhile"}')
    ops.answers = Mock(side_effect=[read, changed, read, read])
    code, _, err = ops("--local", *shlex.split(DECIDE), typed="yes\nyes\n")
    assert (code, err.count(QUESTION), "changed meanwhile" in err) == (0, 2, True)


@pytest.mark.parametrize(("seconds", "says"), [(1, "1 s"), (150, "2 min"), (7_300, "2 h"), (200_000, "2 d")])
def test_an_age_is_rounded_down(seconds: int, says: str) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert commands.age((now - timedelta(seconds=seconds)).isoformat(), now) == says


def test_a_timeline_is_in_order_and_the_webhook_comes_before_what_it_caused() -> None:
    history = [{"at": at, "state": state, "evidence": "x"} for at, state in (("1", "submitting"), ("3", "voided"))]
    webhook = {"received_at": "3", "method": "void", "status": "success", "provider": {"operation_id": "x"}}
    lines = [line[:3] for line in commands.timeline({"history": history, "webhooks": [webhook]})]
    assert lines == [["1", "state", "submitting"], ["3", "webhook", "success"], ["3", "state", "voided"]]


ERRORS = [
    (OpsError("a\nb\x1b"), "a b\N{REPLACEMENT CHARACTER}"),
    (SecretError("no-value"), "the provider's credentials cannot be used: no-value"),
    (StoreError("Throttled"), "the table cannot be used: Throttled"),
    (ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "Scan"), "Scan: AccessDenied: not you"),
    (EndpointConnectionError(endpoint_url="https://x.invalid"), "x.invalid"),
    (PermissionError(13, "Permission denied"), "Permission denied"),
    (KeyError("card data"), "unexpected KeyError: a defect of this command line"),
]


@pytest.mark.parametrize(("error", "says"), ERRORS)
def test_every_error_is_one_line(ops: Ops, error: Exception, says: str) -> None:
    ops.answers = Mock(side_effect=error)
    code, out, err = ops("--local", "show", "123")
    assert (code, out, err, says in err, "card data" in err) == (1, "", f"error: {err[7:-1]}\n", True, False)
    with pytest.raises(StoreError, match="unreadable record"):  # as of another release
        items.record({"pk": {"S": "pos#123"}})


def test_what_the_api_finds_wrong_is_named() -> None:
    errors = [{"pointer": "/order_id", "detail": "has a blank at its end"}, {"pointer": "/state", "detail": "no"}]
    problem = {"type": "urn:void-service:problem:invalid-request", "detail": "It is wrong.", "errors": errors}
    says = "400 invalid-request: It is wrong. /order_id has a blank at its end; /state no Again in 45 s."
    with pytest.raises(OpsError, match=f"^{re.escape(says)}$"):
        api._document(Reply(400, HTTPHeaderDict({"Retry-After": "45"}), json.dumps(problem).encode()))


@pytest.mark.parametrize("order", ["", ".", "..", "0", "a\nb", "a" * 33, "\udcff", " a", "a ", "e\u0301"], ids=ascii)
def test_what_is_no_order_id_is_not_asked_for(ops: Ops, order: str) -> None:
    assert "not an order id" in ops("--local", "show", "--", order)[2]
    assert ops.asked == []


IDS = [
    "a b", "a/b", "100%", "%2F", "%2e%2e", "a+b", 'say "x"', "é", "🙂", "it's (1)*!", "?a=b#c&d", "...", "\\", "-x", "--json", "~",
]  # fmt: skip


@pytest.mark.parametrize("order", IDS, ids=ascii)
@pytest.mark.parametrize("called", [("show", "--"), ("decide", "--note=why", "--")], ids=["show", "decide"])
def test_every_order_id_is_taken_from_the_command_line(ops: Ops, called: tuple[str, ...], order: str) -> None:
    ops("--local", *called, order, *(["reviewed"] if "decide" in called else []))
    target = ops.asked[0].removeprefix("GET /voids/").removesuffix("?refresh=true")
    assert (re.fullmatch(r"[\w%.~-]+", target, re.ASCII) is not None, unquote(target)) == (True, order)


def test_options_may_stand_before_or_after_the_command(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "10")
    assert "say where" in ops("list")[2]
    for called in ("--local --port 9 --json list", "list --local --port 9 --json", "list --local"):
        assert ops(*called.split())[0] == 0
    assert ops.urls == [f"http://127.0.0.1:{port}/v1" for port in (9, 9, 10)]


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "1.5", "٣", "9" * 5000])
def test_a_wrong_port_is_said(ops: Ops, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    assert "is not a port" in ops("--local", f"--port={port}", "list")[2]
    monkeypatch.setenv("PORT", port)
    assert "is not a port" in ops("--local", "list")[2]


# The help, and what documents say of it


@pytest.mark.parametrize("called", ["", "--local", "quarantine", "--json quarantine --local"])
def test_without_a_command_it_shows_what_there_is(ops: Ops, called: str) -> None:
    code, out, err = ops(*called.split())
    group, says = (
        (" quarantine", "the messages of one day") if "quarantine" in called else ("", "one order: its record")
    )
    assert (code, err, out.startswith(f"usage: python -m ops{group} ["), says in out) == (2, "", True, True)


def test_the_help_names_every_command_and_the_rights_of_each() -> None:
    lines = [line for line in arguments.TABLE["help"]["rights"].splitlines() if re.match(r"  [a-z]", line)]
    named = {name.strip() for line in lines for name in line[2:24].split(",")}
    assert named - {"the others"} == set(arguments.RUN) == set(arguments.TABLE["commands"])
    text = arguments.parser().format_help()
    assert all(word in text for name in arguments.RUN for word in name.split())


DOCUMENTS = {page.name: page.read_text() for page in sorted(Path(__file__).parents[2].glob("docs/*.md"))}
PLACEHOLDERS = {"ORDER": "123", "DIGEST": "0" * 64, "DATE": "2026-11-24"}


def written_commands(page: str) -> list[str]:
    """What a page says of this command line: in a line of code, or between backticks."""
    return [found.strip() for found in re.findall(r"python -m ops((?: [^\n`#]*)?)(?=[`\n#])", DOCUMENTS[page])]


@pytest.mark.parametrize("page", DOCUMENTS)
def test_the_commands_that_the_documents_write_exist(page: str) -> None:
    assert page != "runbook.md" or len(written_commands(page)) > 8
    for written in written_commands(page):
        words = [PLACEHOLDERS.get(word, word) for word in shlex.split(written) if word != "…"]
        if not words or " ".join(words) in arguments.RUN:
            continue  # only named, without its arguments
        chosen = arguments.parser().parse_args(words)
        assert chosen.run, written
        assert chosen.local or chosen.environment or "…" in written, f"{written}: where?"


def test_the_page_for_people_explains_every_state_reason_and_problem() -> None:
    names = [*State, *FailureReason, *PROBLEMS]
    assert [name for name in names if f"`{name}`" not in DOCUMENTS["how-a-void-works.md"]] == []


# Where it looks

NOTE = json.dumps({"url": "http://127.0.0.1:8080", "aws_endpoint": "http://e"})


def test_only_a_run_that_is_up_is_found_by_its_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "CACHE", tmp_path)
    with ExitStack() as runs:
        for text in ("{", "{}", NOTE):
            (runs.enter_context(scratch_folder(tmp_path)) / "service.json").write_text(text)
        (tmp_path / "run-killed").mkdir()
        (tmp_path / "run-killed" / "service.json").write_text(NOTE.replace("//e", "//killed"))
        (tmp_path / "run-gone").mkdir()
        (tmp_path / "run-gone" / "service.json").symlink_to("nowhere")
        assert places.local(8080, None).aws_endpoint == "http://e"
        with pytest.raises(OpsError, match=r"no local run found behind http://127\.0\.0\.1:8081/v1: .*make run"):
            places.configuration(places.local(8081, None))
    assert places.local(8080, None).aws_endpoint == places.NOT_FOUND


def test_a_deployed_service_is_found_by_its_stack(monkeypatch: pytest.MonkeyPatch, account: Account) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    found = places.deployed("test", "eu-central-1", None)
    assert (found.stack, found.environment, found.caller.access_key) == ("VoidService-test", "test", "example")
    account.plays(*steps({"aws": ["described", "begun"]}))
    place = replace(found, session=account)
    assert (places.api_url(place), places.storage(place).table_name) == (URL, "table")
    asked = [one["FunctionName"] for one in account.asked("lambda:GetFunctionConfiguration")]
    assert asked == ["submit_void", "read_voids"], "the readers', and no more is asked"


def test_the_local_run_is_reached_with_its_own_rights_and_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_PROFILE", "foreign"), ("AWS_CONFIG_FILE", "/nonexistent/config"), ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_ACCESS_KEY_ID", "foreign"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    place = places.local(8080, "http://127.0.0.1:1")
    client = place.client("dynamodb")
    assert (client.meta.endpoint_url, client.meta.config.proxies) == ("http://127.0.0.1:1", {})
    assert client._request_signer._credentials.access_key == "test"
    assert place.caller.access_key == "operator"
