"""How an acceptance begins, is stopped, goes on and ends: whom it refuses, what it asks, keeps, hides and takes back."""

import io
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from infra import environments
from infra.environment import Environment
from local import sandbox
from local.sandbox.doors import Door, Exchange
from ops import places
from acceptance import __main__ as command
from acceptance import report, undo, wire
from acceptance import run as runner
from acceptance.redact import Redactor, masked_account
from acceptance.rows import Finding, Probe, Verdict, judged, not_seen
from acceptance.site import AnotherVersion, Site
from acceptance.state import Made, State, load, lock, write_whole
from acceptance.wire import NoAnswer
from ops.places import OpsError, Place
from payments.secret import Credentials
from tests.fakes.account import ACCOUNT, CALLER, POS_ID, REGION, STACK, START, Account, deployed

HANDLERS = ("submit_void", "read_voids", "receive_webhook", "settle_voids")


class Api:
    """An API whose caller is taken, or not."""

    def __init__(self) -> None:
        self.status = 200
        self.door = Door(0, self._answer)

    def _answer(self, exchange: Exchange) -> None:
        exchange.send(self.status, {"voids": []}, {"Date": "Tue, 24 Nov 2026 10:00:30 GMT"})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.door.port}/v1"


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.door.close()


@pytest.fixture
def site(account: Account, api: Api, tmp_path: Path) -> Site:
    return deployed(account, tmp_path, api.url, holds=("order-1",))


def probe(run: Callable[[Site], Iterator[Finding]], *rows: str, **more: Any) -> Probe:
    return Probe(rows=rows, run=run, does="", **more)


# Whom it refuses


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--environment", "prod"], "never runs against prod"),
        (["--environment", "prod", "--yes", "--only", "aws-clock"], "never runs against prod"),
        (["--environment", "moon"], "expected one of"),
        (["--environment", "local"], "without --environment"),
        (["--environment", "test", "--holds", "a,b,a"], "given twice"),
    ],
)
def test_what_it_must_not_do_it_does_not(
    arguments: list[str],
    says: str,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(places, "deployed", lambda *_: Place(STACK, REGION, account, CALLER))
    assert command.main(arguments) == 2
    assert says in capsys.readouterr().err
    assert account.calls == []


def test_a_stack_that_says_that_it_is_prod_is_refused(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(places, "deployed", lambda *_: Place(STACK, REGION, account, CALLER))
    account.says("cloudformation", "describe_stacks", stack(Tags=[{"Key": "environment", "Value": "prod"}]))
    assert command.main(["--environment", "test", "--yes"]) == 2
    assert "carries the tag environment=prod" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expected", "says"), [(None, "set test.pos_id in infra/environments.py"), (POS_ID[::-1], "another project")]
)
def test_no_hold_of_another_project_is_touched(site: Site, expected: str | None, says: str) -> None:
    object.__setattr__(site.environment, "pos_id", expected)
    site.__dict__["credentials"] = Credentials(POS_ID, "key", "secret", "endpoints")
    with pytest.raises(OpsError, match=says):
        _ = site.line
    of_orders = next(one for one in runner.PROBES if "provider-unknown-void" in one.rows)
    found = list(runner.findings(site, of_orders, of_orders.rows))
    assert {finding.verdict for finding in found} == {Verdict.NOT_SEEN}


# How it begins


def stack(**more: Any) -> dict[str, Any]:
    described = {"StackName": STACK, "StackId": "stack-1", "CreationTime": START, "StackStatus": "CREATE_COMPLETE"}
    return {"Stacks": [described | more]}


def begins(account: Account, handlers: tuple[str, ...] = HANDLERS, kind: str = "AWS::ApiGateway::RestApi") -> None:
    """The calls by which the stack is found and known to be of this version."""
    account.says("cloudformation", "describe_stacks", stack(Outputs=[{"OutputKey": "OutcomeBus", "OutputValue": "b"}]))
    account.says("sts", "get_caller_identity", {"Account": ACCOUNT, "Arn": "arn:aws:iam::111122223333:user/u"})
    resources = [resource("AWS::Lambda::Function", name) for name in handlers] + [resource(kind, "api1234567")]
    account.says("cloudformation", "list_stack_resources", {"StackResourceSummaries": resources})
    for name in handlers:
        account.says("lambda", "get_function_configuration",
                     {"Handler": f"{name}.handler", "Role": f"arn:aws:iam::{ACCOUNT}:role/{name}", "MemorySize": 512})  # fmt: skip


def resource(kind: str, name: str) -> dict[str, Any]:
    return {"LogicalResourceId": name, "PhysicalResourceId": name, "ResourceType": kind, "LastUpdatedTimestamp": START,
            "ResourceStatus": "CREATE_COMPLETE"}  # fmt: skip


type Started = Callable[..., tuple[int, str, str]]


@pytest.fixture
def started(
    account: Account, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Started:
    """started("--yes", …) -> exit code, standard output and error, for the stack of the fake account."""
    monkeypatch.setattr(places, "deployed", lambda *_: Place(STACK, REGION, account, CALLER, api.url))

    def start(*arguments: str) -> tuple[int, str, str]:
        code = command.main(["--environment", "test", "--out", str(tmp_path), *arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return code, printed.out, printed.err

    return start


def test_a_deployed_stack_is_looked_at(account: Account, started: Started, tmp_path: Path) -> None:
    begins(account)
    code, out, err = started("--yes", "--only", "aws-clock")
    assert code in (0, command.CONTRADICTED)  # the fake API's Date is not now
    assert "********3333" in err
    assert ACCOUNT not in out + err + "".join(file.read_text() for file in tmp_path.iterdir())
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["account"] == "********3333"
    assert found["versions"]["boto3"]
    account.finished()


@pytest.mark.parametrize(
    ("handlers", "kind", "says"),
    [
        (HANDLERS[:3], "AWS::ApiGateway::RestApi", "has no function settle_voids"),
        (HANDLERS, "AWS::ApiGatewayV2::Api", "has no AWS::ApiGateway::RestApi"),
    ],
)
def test_a_stack_of_another_version_is_one_sentence(
    account: Account, started: Started, handlers: tuple[str, ...], kind: str, says: str
) -> None:
    begins(account, handlers, kind)
    code, _, err = started("--yes")
    assert code == 1
    assert says in err
    assert "was deployed from another version of this project" in err


def test_an_output_that_is_missing_is_another_version(site: Site) -> None:
    with pytest.raises(AnotherVersion, match="has no output Nothing"):
        site.output("Nothing")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("ExpiredToken", "log in again, then run the same command again"),
        ("InvalidClientTokenId", "log in again, then run the same command again"),
        ("AccessDenied", "a right is missing: AWS refused DescribeStacks"),
        ("ValidationError", "there is no stack VoidService-test in eu-central-1"),
    ],
)
def test_what_is_wrong_at_the_start_is_one_sentence(account: Account, started: Started, code: str, says: str) -> None:
    account.refuses("cloudformation", "describe_stacks", code)
    assert started("--yes")[0] == 1
    account.refuses("cloudformation", "describe_stacks", code)
    assert says in started("--yes")[2]


def test_a_caller_whom_the_api_refuses_is_one_sentence(account: Account, api: Api, started: Started) -> None:
    begins(account)
    api.status = 403
    code, _, err = started("--yes", "--only", "aws-clock")
    assert (code, "CallerPolicy" in err) == (1, True)


def test_an_api_out_of_reach_is_one_sentence(account: Account, api: Api, started: Started) -> None:
    begins(account)
    api.door.close()
    code, _, err = started("--yes", "--only", "aws-clock")
    assert (code, "no answer from 127.0.0.1" in err) == (1, True)


@pytest.mark.parametrize(
    ("error", "says"),
    [(NoCredentialsError(), "there are no AWS credentials"),
     (EndpointConnectionError(endpoint_url="https://x"), "the network gave no answer: EndpointConnectionError")],
)  # fmt: skip
def test_no_network_and_no_credentials_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, says: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(places, "deployed", fail)
    assert command.main(["--environment", "test"]) == 1
    assert says in capsys.readouterr().err


def test_without_anybody_to_ask_nothing_is_done(
    account: Account, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins(account)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, _, err = started("--only", "aws-clock")
    assert (code, "say --yes" in err) == (2, True)


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("\n", 2), ("", 2), ("y\n", 3)])
def test_it_asks_first_and_says_what_it_will_do(
    account: Account, started: Started, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    begins(account)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    got, _, err = started("--only", "aws-clock", "--holds", "order-7")
    assert got == code
    assert "1 rows. It takes up to 1 minutes" in " ".join(err.split())
    assert "Holds that may be voided: order-7." in err


def test_the_plan_names_what_is_done_with_each_hold(site: Site) -> None:
    text = "\n".join(command.plan(site, runner.due(site, runner.chosen([]), False)))
    assert "void the first hold, for good" in text
    assert "second hold" not in text  # it was not given
    assert "a second time" not in text  # nobody allowed it
    assert "ring the alarm" in text


# What goes wrong on the way


def test_a_defect_is_a_row_and_shows_no_text(site: Site) -> None:
    def fail(_: Site) -> Iterator[Finding]:
        yield judged("aws-clock", True, {})
        raise KeyError("4242424242424242")

    found = list(runner.findings(site, probe(fail, "aws-clock", "aws-iam"), ["aws-clock", "aws-iam"]))
    assert [finding.verdict for finding in found] == [Verdict.CONFIRMED, Verdict.NOT_SEEN]
    assert found[1].why == "unexpected KeyError: a defect of this command"


def test_a_probe_that_forgets_a_row_is_noticed(site: Site) -> None:
    found = list(runner.findings(site, probe(lambda _: iter(()), "aws-clock"), ["aws-clock"]))
    assert found == [not_seen("aws-clock", "the probe ended without a word about it")]


def test_what_was_answered_is_not_asked_again(site: Site) -> None:
    site.state.keep(judged("aws-clock", True, {}), "now")
    site.state.keep(not_seen("aws-iam", "no right"), "now")
    left = [row for _, rows in runner.due(site, runner.chosen([]), False) for row in rows]
    assert "aws-clock" not in left
    assert "aws-iam" in left
    assert "aws-clock" in [row for _, rows in runner.due(site, runner.chosen([]), True) for row in rows]


def test_evidence_is_hidden_before_it_is_kept(site: Site) -> None:
    site.redact.learn("the-secret")

    def find(_: Site) -> Iterator[Finding]:
        yield judged("aws-clock", True, {"the-secret": ["a the-secret", {"n": 1}]}, "why the-secret")

    runner.run(site, [(probe(find, "aws-clock"), ["aws-clock"])], lambda _: None)
    assert "the-secret" not in (site.state.path).read_text()


# Stopped in the middle


def test_ctrl_c_takes_back_what_was_made_and_keeps_what_was_found(
    site: Site, account: Account, started: Started
) -> None:
    account.says("cloudwatch", "set_alarm_state")

    def find(site: Site) -> Iterator[Finding]:
        with undo.making(site, "alarm", alarm="a", state="OK"):
            yield judged("aws-clock", True, {})
            os.kill(os.getpid(), signal.SIGINT)
            yield judged("aws-iam", True, {})

    with pytest.raises(KeyboardInterrupt):
        runner.run(site, [(probe(find, "aws-clock", "aws-iam"), ["aws-clock", "aws-iam"])], lambda _: None)
    kept = load(site.state.path)
    assert list(kept.findings) == ["aws-clock"]
    assert kept.made == []
    account.finished()


def test_ctrl_c_while_something_is_taken_back_waits_until_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def slow(site: Site, what: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        done.append("taken back")

    monkeypatch.setattr(undo, "KINDS", {"alarm": slow})
    with pytest.raises(KeyboardInterrupt), undo.making(site, "alarm", alarm="a"):
        pass
    assert done == ["taken back"]
    assert site.state.made == []


def test_what_cannot_be_taken_back_is_named_and_kept(site: Site, account: Account) -> None:
    account.refuses("cloudwatch", "set_alarm_state", "AccessDenied", "not you")
    with undo.making(site, "alarm", alarm="the alarm", state="OK"):
        pass
    assert site.left_behind == ["alarm the alarm: AWS refused SetAlarmState: AccessDenied: not you"]
    assert load(site.state.path).made == [Made("alarm", {"alarm": "the alarm", "state": "OK"})]


def test_a_thing_stands_in_the_file_before_it_is_made(site: Site, account: Account) -> None:
    account.says("sqs", "get_queue_url", {"QueueUrl": "https://q"})
    account.says("sqs", "delete_queue")
    with undo.making(site, "queue", queue="q"):
        assert load(site.state.path).made == [Made("queue", {"queue": "q"})]
    assert load(site.state.path).made == []


@pytest.mark.parametrize(
    ("kind", "what", "service", "operation", "code"),
    [
        ("queue", {"queue": "q"}, "sqs", "get_queue_url", "AWS.SimpleQueueService.NonExistentQueue"),
        ("queue", {"queue": "q"}, "sqs", "get_queue_url", "QueueDoesNotExist"),
        ("deny", {"role": "r"}, "iam", "delete_role_policy", "NoSuchEntity"),
        ("function", {"function": "f"}, "lambda", "delete_function", "ResourceNotFoundException"),
    ],
)
def test_what_is_gone_already_is_taken_back(
    site: Site, account: Account, kind: str, what: dict[str, str], service: str, operation: str, code: str
) -> None:
    site.state.will_make(Made(kind, what))
    account.refuses(service, operation, code)
    assert undo.take_back(site) == 1
    assert (site.state.made, site.left_behind) == ([], [])


def test_every_kind_that_is_made_can_be_taken_back() -> None:
    folder = Path(undo.__file__).parent
    text = "".join(file.read_text() for file in (folder / "probes").glob("*.py"))
    for kind in undo.KINDS:
        assert f'"{kind}"' in text, kind


# Whether something is left


def looked(account: Account, *, policy: list[str], queue: bool) -> None:
    for _ in range(5):
        account.says("iam", "list_role_policies", {"PolicyNames": ["Default", *policy]})
        policy = []
    urls = {"QueueUrls": [f"https://sqs.example/{ACCOUNT}/{STACK}-acceptance-100030"]} if queue else {}
    account.says("sqs", "list_queues", urls)
    account.refuses("events", "describe_rule", "ResourceNotFoundException")
    account.refuses("lambda", "get_function_configuration", "ResourceNotFoundException")
    account.says("apigateway", "get_rest_apis", {"items": []})
    for _ in HANDLERS:
        account.says("lambda", "list_versions_by_function", {"Versions": [{"Version": "1", "Description": "x"}]})
    account.says("secretsmanager", "list_secret_version_ids", {"Versions": []})


@pytest.mark.parametrize(
    ("policy", "queue", "left"),
    [
        ([], False, []),
        (
            [undo.MARK],
            True,
            [f"the policy {undo.MARK} of the role submit_void-role", f"the queue {STACK}-acceptance-100030"],
        ),
    ],
)
def test_what_is_left_is_found_by_its_name(
    site: Site, account: Account, policy: list[str], queue: bool, left: list[str]
) -> None:
    looked(account, policy=policy, queue=queue)
    assert undo.clean(site) == left
    account.finished()


def test_what_may_not_be_looked_at_is_not_called_clean(site: Site, account: Account) -> None:
    looked(account, policy=[], queue=False)
    account.refuses("secretsmanager", "list_secret_version_ids", "AccessDenied")
    account.client("secretsmanager").list_secret_version_ids(SecretId="the one that was told first")
    assert undo.clean(site) == ["not looked at: AWS refused ListSecretVersionIds: AccessDenied: refused"]


# The state file


def test_a_state_is_taken_up_again(tmp_path: Path) -> None:
    state = load(tmp_path / "state.json")
    state.begin("stack-1")
    state.keep(judged("aws-clock", True, {"n": Decimal("1.50")}, "so"), "2026-11-24T10:00:00Z")
    state.note("order-1", sent="service")
    again = load(tmp_path / "state.json")
    assert again.settled("aws-clock")
    assert again.noted("order-1") == {"sent": "service"}
    assert again.begin("stack-1") is False
    assert again.begin("stack-2") is True
    assert again.findings == {}
    assert load(tmp_path / "state.json").noted("order-1") == {"sent": "service"}  # a voided hold stays voided


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1, "deployment": "x"}'])
def test_a_state_that_cannot_be_read_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(OpsError, match="is not readable"):
        load(tmp_path / "state.json")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_whole(path, "before")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    handle = lock(tmp_path / "state.json")
    with pytest.raises(OpsError, match="another acceptance is at work"):
        lock(tmp_path / "state.json")
    command.lock_ends(handle)
    command.lock_ends(lock(tmp_path / "state.json"))


# What may be written down

SECRETS = st.text("abcdefgh0123456789-+/=", min_size=8, max_size=40)


@given(SECRETS, st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(
    st.text(), inner), max_leaves=8), st.data())  # fmt: skip
def test_a_known_secret_never_passes(secret: str, evidence: object, data: st.DataObject) -> None:
    around = data.draw(st.text(max_size=20))
    hidden = Redactor([secret])({"place": [evidence, around + secret + around, {secret: secret}]})
    assert secret not in json.dumps(hidden, ensure_ascii=False)


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "Credential=AKIDEXAMPLE/20261124/eu-central-1/execute-api/aws4_request, Signature=abc",
        "CPAY-HMAC 2c2b91a3:48731878acbb41e6ee70eac5f1e6f8b8031f9484",
        "48731878acbb41e6ee70eac5f1e6f8b8031f9484",
        "4242 4242 4242 4242",
        "card 4242424242424242 of somebody@example.com",
    ],
)
def test_what_looks_like_a_secret_or_a_person_is_hidden(text: str) -> None:
    hidden = Redactor().text(text)
    assert "[hidden]" in hidden
    for part in ("4242", "48731878", "AKIDEXAMPLE", "example.com", "ABCDEFGH"):
        assert part not in hidden


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T10:00:30.100Z", "dc728de1-51ef-4ef1-80f7-3b44b07b5667", "order-1", "1009", "9999-99-99T99:99:99.999"],
)
def test_what_evidence_needs_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_an_account_keeps_four_digits() -> None:
    assert masked_account(ACCOUNT) == "********3333"
    assert ACCOUNT not in Redactor(account=ACCOUNT).text(f"arn:aws:iam::{ACCOUNT}:role/x")


# The report


def report_of(site: Site, *found: Finding) -> dict[str, Any]:
    for finding in found:
        site.state.keep(finding, "2026-11-24T10:00:00Z")
    return report.document(site, [row.id for row in runner.ROWS])


def test_a_report_names_every_row_and_counts_them(site: Site) -> None:
    whole = report_of(site, judged("aws-clock", True, {}), judged("provider-post-plain", False, {"a": "|`*"}))
    assert [row["id"] for row in whole["rows"]] == [row.id for row in runner.ROWS]
    assert whole["counts"] == {"confirmed": 1, "contradicted": 1, "not seen": len(runner.ROWS) - 2}
    text = "\n".join(report.lines(whole))
    assert text.index("Contradicted: somebody must act") < text.index("## All rows")
    assert 'provider_scheme="CPAY-HMAC"' in text
    assert text.count("```json") == 1
    assert report.NOT_ASKED in text


@pytest.mark.parametrize(
    ("verdict", "strict", "code"),
    [(True, False, 0), (True, True, 4), (False, False, 3), (False, True, 3)],
)
def test_exit_codes_are_for_pipelines(site: Site, verdict: bool, strict: bool, code: int) -> None:
    whole = report_of(site, judged("aws-clock", verdict, {}))
    assert command._code(whole, strict) == code


def test_what_is_left_behind_stands_in_the_report(site: Site) -> None:
    site.left_behind.append(f"queue of {ACCOUNT}")
    text = "\n".join(report.lines(report_of(site)))
    assert "Left behind" in text
    assert ACCOUNT not in text


# What goes onto the wire


class Wire:
    """A bare socket that keeps what arrives, up to its empty line, and gives one answer."""

    def __init__(self, answer: bytes) -> None:
        self.received = b""
        self._answer, self._server = answer, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._server, self._server.accept()[0] as connection:
            while b"\r\n\r\n" not in self.received:
                self.received += connection.recv(4096)
            connection.sendall(self._answer)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):  # the rest of a body that nobody asked for
                pass


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Case: Kept\r\n\r\n{}"


@pytest.mark.parametrize("target", ["//v1/voids", "/v1//voids/", "/v1/voids/a%2Fb%41%c3", "/v1/voids?cursor=a+b&x=%20"])
def test_a_target_is_sent_as_it_is(target: str) -> None:
    server = Wire(OK)
    reply = wire.send(server.url, "GET", target, {"X-Case": "é"})
    assert server.received.startswith(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1".encode())
    assert b"X-Case: \xe9\r\n" in server.received
    assert (reply.status, reply.headers["x-case"], reply.json) == (200, "Kept", {})


def test_an_answer_that_comes_before_the_whole_body_is_read() -> None:
    server = Wire(b"HTTP/1.1 413 X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    assert wire.send(server.url, "POST", "/", body=b" " * 10_485_761).status == 413


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_an_answer_that_is_none_is_one_error(answer: bytes) -> None:
    server = Wire(answer)
    with pytest.raises(NoAnswer, match="no answer from 127.0.0.1"):
        wire.send(server.url, "GET", "/", seconds=5)


def test_a_certificate_that_nobody_trusts_is_no_answer(tmp_path: Path) -> None:
    provider = sandbox.start(0, pos_id=POS_ID, api_key="k", api_secret="s", endpoints_key="e", folder=tmp_path)
    try:
        with pytest.raises(NoAnswer, match="SSLCertVerificationError"):
            wire.send(provider.provider_url, "GET", "/health")
        assert wire.send(provider.provider_url, "GET", "/health", ca_file=str(provider.ca_file)).body == b"OK"
    finally:
        provider.stop()


def test_deliveries_are_read_from_the_access_log(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def log(pattern: str, since: object) -> list[dict[str, str]]:
        asked.append(pattern)
        return [{"status": "500"}, {"status": "200"}]

    monkeypatch.setattr(site, "access_log", log)
    assert site.deliveries("order-1", site.now()) == [500, 200]
    assert asked == ['{ $.route = "/webhooks/financial-line" }']


# Which holds, which rows


def test_holds_with_odd_characters_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "holds"
    file.write_text('a,b "c\\é\n\norder-2\n', encoding="utf-8")
    options = command._parser().parse_args(["--holds-file", str(file), "--holds", "order-1,,order-3"])
    assert command._allowed(options).holds == ("order-1", "order-3", 'a,b "c\\é', "order-2")


def test_rows_are_chosen_by_how_they_begin() -> None:
    assert runner.chosen(["aws-clock"]) == ["aws-clock"]
    assert runner.chosen(["aws-cl"]) == ["aws-clock-off", "aws-clock"]
    assert all(row.startswith("provider-webhook") for row in runner.chosen(["provider-webhook"]))
    with pytest.raises(OpsError, match="moon, mars"):
        runner.chosen(["aws-", "moon", "mars"])


def test_environments_that_may_be_accepted_are_not_prod() -> None:
    assert {"test", "prod", "local"} <= set(environments.ENVIRONMENTS)
    assert isinstance(environments.named("test"), Environment)
    assert State(Path("x")).made == []
