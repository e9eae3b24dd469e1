"""How an acceptance begins, is stopped, goes on and ends: whom it refuses, what it asks, keeps, hides and takes back."""

import io
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from acceptance import __main__ as command
from acceptance import calls, undo, wire
from acceptance import run as runner
from acceptance.rows import FACTS, Finding, Probe, Verdict, judged, not_seen
from acceptance.site import HANDLERS, Site
from acceptance.state import load
from local.sandbox.doors import Door, Exchange
from ops import places
from ops.places import OpsError, Place
from payments.secret import Credentials
from tests.fakes.account import ACCOUNT, CALLER, POS_ID, REGION, STACK, START, Account, Step, deployed, reply

API = "AWS::ApiGateway::RestApi"


class Api:
    """An API whose caller is taken, or not; it dies after so many requests."""

    def __init__(self) -> None:
        self.status, self.lives = 200, 1000
        self.door = Door(0, self._answer)
        self.url = f"http://127.0.0.1:{self.door.port}/v1"

    def _answer(self, exchange: Exchange) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise ConnectionAbortedError
        reply(exchange, self.status, {"voids": []}, {"Date": "Tue, 24 Nov 2026 10:00:30 GMT"})


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.door.close()


@pytest.fixture
def site(account: Account, api: Api, tmp_path: Path) -> Site:
    return deployed(account, tmp_path, api.url, holds=("order-1",))


@pytest.fixture(autouse=True)
def the_account(account: Account, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "deployed", lambda *_: Place(STACK, REGION, account, CALLER, api.url))


def found_by(site: Site, run: Callable[[Site], Iterator[Finding]], *rows: str) -> list[Finding]:
    return list(runner.findings(site, Probe(rows=rows, run=run), rows))


# How it begins, and whom it refuses


def stack(**more: Any) -> Step:
    described = {"StackName": STACK, "StackId": "stack-1", "CreationTime": START, "StackStatus": "CREATE_COMPLETE"}
    return ("cloudformation", "describe_stacks", {"Stacks": [described | more]})


def begins(handlers: tuple[str, ...] = HANDLERS, kind: str = API) -> list[Step]:
    """The calls by which the stack is found and known to be of this version."""
    found = [("AWS::Lambda::Function", name) for name in handlers] + [(kind, "api1234567")]
    common = {"LastUpdatedTimestamp": START, "ResourceStatus": "CREATE_COMPLETE"}
    named = [{"LogicalResourceId": name, "PhysicalResourceId": name, "ResourceType": one} for one, name in found]
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    return [
        stack(Outputs=[{"OutputKey": "OutcomeBus", "OutputValue": "b"}]),
        ("sts", "get_caller_identity", {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/u"}),
        ("cloudformation", "list_stack_resources", {"StackResourceSummaries": [one | common for one in named]}),
        *[("lambda", "get_function_configuration", {"Handler": f"{name}.handler", "Role": role, "MemorySize": 512})
          for name in handlers],
    ]  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


TEST, CLOCK, REFUSED = "--environment test --yes", "--environment test --yes --only aws-clock", "describe_stacks"
ASKS = "--environment test --only aws-clock --holds order-7"
AGAIN, DEAD = "log in again, then run the same command again", "the API cannot be reached"
STARTS: list[tuple[str, list[Step], int, str, dict[str, Any]]] = [  # arguments, AWS, exit code, what it says, the API
    ("--environment prod", [], 2, "never runs against prod", {}),
    (f"--environment prod {CLOCK[19:]}", [], 2, "never runs against prod", {}),
    ("--environment moon", [], 2, "expected one of", {}),
    ("--environment local", [], 2, "without --environment", {}),
    ("--environment test --holds a,b,a", [], 2, "given twice", {}),
    (TEST, [stack(Tags=[{"Key": "environment", "Value": "prod"}])], 2, "carries the tag environment=prod", {}),
    (TEST, begins(HANDLERS[:-1]), 1, f"has no function {HANDLERS[-1]}: it was deployed from another version", {}),
    (TEST, begins(kind="AWS::ApiGatewayV2::Api"), 1, f"has no {API}: it was deployed from another version", {}),
    (TEST, [("cloudformation", REFUSED, "ExpiredToken")], 1, AGAIN, {}),
    (TEST, [("cloudformation", REFUSED, "InvalidClientTokenId")], 1, AGAIN, {}),
    (TEST, [("cloudformation", REFUSED, "AccessDenied")], 1, "a right is missing: AWS refused DescribeStacks", {}),
    (TEST, [("cloudformation", REFUSED, "ValidationError")], 1, f"there is no stack {STACK} in eu-central-1", {}),
    (CLOCK, begins(), 1, "CallerPolicy", {"status": 403}),
    (CLOCK, begins(), 1, "the API answers 502", {"status": 502}),
    (CLOCK, begins(), 1, "no answer from 127.0.0.1", {"lives": 0}),
    (CLOCK, begins(), 1, DEAD, {"lives": 1}),  # it dies before the only probe
    (CLOCK, begins(), 1, DEAD, {"lives": 2}),  # and under it
    (CLOCK, begins(), 3, "********3333", {}),  # the fake API's Date is not now
    (ASKS, begins(), 2, "say --yes", {"stdin": io.StringIO("y\n")}),
    (ASKS, begins(), 2, "Go on?", {"stdin": Terminal("n\n")}),
    (ASKS, begins(), 2, "Go on?", {"stdin": Terminal("\n")}),
    (ASKS, begins(), 2, "Go on?", {"stdin": Terminal("")}),
    (ASKS, begins(), 3, "1 rows. It takes up to 1 minutes", {"stdin": Terminal("y\n")}),
    (ASKS, begins(), 3, "Holds that may be voided: order-7.", {"stdin": Terminal("y\n")}),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "steps", "code", "says", "how"), STARTS)
def test_how_it_begins(
    account: Account, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    arguments: str, steps: list[Step], code: int, says: str, how: dict[str, Any],
) -> None:  # fmt: skip
    account.plays(steps)
    monkeypatch.setattr("sys.stdin", how.get("stdin"))
    vars(api).update(how)
    assert command.main([*arguments.split(), "--out", str(tmp_path)]) == code
    printed = capsys.readouterr()
    assert says in " ".join(printed.err.split())
    written = printed.out + printed.err + "".join(file.read_text() for file in tmp_path.iterdir())
    assert ("Traceback" in written, ACCOUNT in written) == (False, False)
    account.finished()


@pytest.mark.parametrize(("error", "says"), [
    (NoCredentialsError(), "there are no AWS credentials"),
    (EndpointConnectionError(endpoint_url="https://x"), "the network gave no answer: EndpointConnectionError"),
])  # fmt: skip
def test_no_network_and_no_credentials_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, says: str
) -> None:
    monkeypatch.setattr(places, "deployed", lambda *_: (_ for _ in ()).throw(error))
    assert command.main(TEST.split()) == 1
    assert says in capsys.readouterr().err


def test_an_output_that_is_missing_is_another_version(site: Site) -> None:
    with pytest.raises(OpsError, match="has no output Nothing"):
        site.output("Nothing")


@pytest.mark.parametrize(("expected", "says"), [(None, "set test.pos_id in"), (POS_ID[::-1], "another project")])
def test_no_hold_of_another_project_is_touched(site: Site, expected: str | None, says: str) -> None:
    object.__setattr__(site.environment, "pos_id", expected)
    site.__dict__["credentials"] = Credentials(POS_ID, "key", "secret", "endpoints")
    with pytest.raises(OpsError, match=says):
        _ = site.line
    of_orders = next(one for one in runner.PROBES if "provider-unknown-void" in one.rows)
    assert {finding.verdict for finding in runner.findings(site, of_orders, of_orders.rows)} == {Verdict.NOT_SEEN}


def test_the_plan_names_what_is_done_with_each_hold(site: Site) -> None:
    text = "\n".join(command.plan(site, runner.due(site, runner.chosen([]), False)))
    assert "void the first hold, for good" in text
    assert "ring the alarm" in text
    assert "second hold" not in text  # it was not given
    assert "a second time" not in text  # nobody allowed it


# What goes wrong on the way


def test_a_defect_is_a_row_and_shows_no_text(site: Site) -> None:
    def fail(_: Site) -> Iterator[Finding]:
        yield judged("aws-clock", True, {})
        raise KeyError("4242424242424242")

    found = found_by(site, fail, "aws-clock", "aws-iam")
    assert found == [
        judged("aws-clock", True, {}),
        not_seen("aws-iam", "unexpected KeyError: a defect of this command line"),
    ]


def test_a_probe_that_forgets_a_row_is_noticed(site: Site) -> None:
    found = found_by(site, lambda _: iter(()), "aws-clock")
    assert found == [not_seen("aws-clock", "the probe ended without a word about it")]


def test_a_provider_that_does_not_answer_is_a_row_while_the_api_lives(site: Site) -> None:
    def fail(_: Site) -> Iterator[Finding]:
        yield from (wire.send("http://127.0.0.1:1", method, "/") for method in "G")  # type: ignore[misc]  # it raises

    assert found_by(site, fail, "aws-clock") == [
        not_seen("aws-clock", "no answer from 127.0.0.1:1: ConnectionRefusedError")
    ]


def test_what_was_answered_is_not_asked_again(site: Site) -> None:
    site.state.keep(judged("aws-clock", True, {}), "now")
    site.state.keep(not_seen("aws-iam", "no right"), "now")
    left = [[row for _, rows in runner.due(site, runner.chosen([]), again) for row in rows] for again in (False, True)]
    assert [("aws-clock" in rows, "aws-iam" in rows) for rows in left] == [(False, True), (True, True)]


def test_evidence_is_hidden_before_it_is_kept(site: Site) -> None:
    site.redact.learn("the-secret")

    def find(_: Site) -> Iterator[Finding]:
        yield judged("aws-clock", True, {"the-secret": ["a the-secret", {"n": 1}]}, "why the-secret")

    runner.run(site, [(Probe(rows=("aws-clock",), run=find), ["aws-clock"])], lambda _: None)
    assert "the-secret" not in (site.state.path).read_text()


# Stopped in the middle


def test_ctrl_c_takes_back_what_was_made_and_keeps_what_was_found(site: Site, account: Account) -> None:
    account.says("cloudwatch", "set_alarm_state")

    def find(site: Site) -> Iterator[Finding]:
        with undo.making(site, "alarm", alarm="a", state="OK"):
            yield judged("aws-clock", True, {})
            os.kill(os.getpid(), signal.SIGINT)
            yield judged("aws-iam", True, {})

    rows = ("aws-clock", "aws-iam")
    with pytest.raises(KeyboardInterrupt):
        runner.run(site, [(Probe(rows=rows, run=find), list(rows))], lambda _: None)
    kept = load(site.state.path)
    assert (list(kept.findings), kept.made) == (["aws-clock"], [])
    account.finished()


def test_ctrl_c_while_something_is_taken_back_waits_until_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def slow(site: Site, what: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        done.append("taken back")

    monkeypatch.setattr(undo, "UNDO", {"alarm": slow})
    with pytest.raises(KeyboardInterrupt), undo.making(site, "alarm", alarm="a"):
        pass
    assert (done, site.state.made) == (["taken back"], [])


def test_what_cannot_be_taken_back_is_named_and_kept(site: Site, account: Account) -> None:
    account.refuses("cloudwatch", "set_alarm_state", "AccessDenied", "not you")
    made = {"kind": "alarm", "alarm": "the alarm", "state": "OK"}
    with undo.making(site, **made):
        assert load(site.state.path).made == [made]  # before it is made
    assert site.left_behind == ["alarm the alarm: AWS refused SetAlarmState: AccessDenied: not you"]
    assert load(site.state.path).made == [made]
    account.says("cloudwatch", "set_alarm_state")
    assert undo.take_back(site) == 1
    assert load(site.state.path).made == []


@pytest.mark.parametrize(("kind", "what", "service", "operation", "code"), [
    ("queue", {"queue": "q"}, "sqs", "get_queue_url", "AWS.SimpleQueueService.NonExistentQueue"),
    ("queue", {"queue": "q"}, "sqs", "get_queue_url", "QueueDoesNotExist"),
    ("deny", {"role": "r"}, "iam", "delete_role_policy", "NoSuchEntity"),
    ("function", {"function": "f"}, "lambda", "delete_function", "ResourceNotFoundException"),
])  # fmt: skip
def test_what_is_gone_already_is_taken_back(
    site: Site, account: Account, kind: str, what: dict[str, str], service: str, operation: str, code: str
) -> None:
    site.state.will_make({"kind": kind} | what)
    account.refuses(service, operation, code)
    assert undo.take_back(site) == 1
    assert (site.state.made, site.left_behind) == ([], [])


def test_every_kind_that_is_made_can_be_taken_back() -> None:
    text = "".join(file.read_text() for file in (Path(undo.__file__).parent / "probes").glob("*.py"))
    listed = {name.removeprefix("undo-") for name in FACTS["calls"] if name.startswith("undo-")}
    assert set(re.findall(r'making\(site, "(\w+)"', text)) == listed | undo.UNDO.keys()


# Whether something is left


@pytest.mark.parametrize(("policy", "queue", "refused", "left"), [
    (False, False, False, []),
    (True, True, False, [f"the policy {calls.MARK} of the role submit_void-role", f"the queue {STACK}-acceptance-100030"]),
    (False, False, True, ["not seen whether something is left: AWS refused ListSecretVersionIds: AccessDenied: refused"]),
])  # fmt: skip
def test_what_is_left_is_found_by_its_name(
    site: Site, account: Account, policy: bool, queue: bool, refused: bool, left: list[str]
) -> None:
    for number in range(len(HANDLERS) + 1):
        marks = [calls.MARK] if policy and number == 0 else []
        account.says("iam", "list_role_policies", {"PolicyNames": ["Default", *marks]})
    urls = [f"https://sqs.example/{ACCOUNT}/{STACK}-acceptance-100030"] if queue else []
    account.says("sqs", "list_queues", {"QueueUrls": urls})
    account.refuses("events", "describe_rule", "ResourceNotFoundException")
    account.refuses("lambda", "get_function_configuration", "ResourceNotFoundException")
    account.says("apigateway", "get_rest_apis", {"items": []})
    for _ in HANDLERS:
        account.says("lambda", "list_versions_by_function", {"Versions": [{"Version": "1", "Description": "x"}]})
    if refused:
        account.refuses("secretsmanager", "list_secret_version_ids", "AccessDenied")
    else:
        account.says("secretsmanager", "list_secret_version_ids", {"Versions": []})
    assert undo.clean(site) == left
    account.finished()


# Which holds, which rows


def test_holds_with_odd_characters_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "holds"
    file.write_text('a,b "c\\é\n\norder-2\n', encoding="utf-8")
    options = command._parser().parse_args(
        ["--holds-file", str(file), "--holds", "order-1,,order-3", "--token-file", str(file)]
    )
    assert command._allowed(options).holds == ("order-1", "order-3", 'a,b "c\\é', "order-2")
    assert command._allowed(options).token == 'a,b "c\\é\n\norder-2'


def test_rows_are_chosen_by_how_they_begin() -> None:
    assert runner.chosen(["aws-clock"]) == ["aws-clock"]
    assert runner.chosen(["aws-cl"]) == ["aws-clock-off", "aws-clock"]
    assert all(row.startswith("provider-webhook") for row in runner.chosen(["provider-webhook"]))
    with pytest.raises(OpsError, match="moon, mars"):
        runner.chosen(["aws-", "moon", "mars"])
