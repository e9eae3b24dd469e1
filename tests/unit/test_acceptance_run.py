"""How an acceptance begins, is stopped, goes on and ends: whom it refuses, what it asks, keeps, hides and takes back."""

import io
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from acceptance import __main__ as command
from acceptance import run as runner
from acceptance import undo
from acceptance.rows import FACTS, Finding, Probe, Verdict, judged, load, not_seen
from acceptance.site import Allowed, Site
from acceptance.wire import NoAnswer, Reply
from ops import places
from ops.places import OpsError
from payments.secret import Credentials
from tests.fakes.account import ACCOUNT, POS_ID, VECTORS, Account, Api, Step, deployed, steps


@pytest.fixture(autouse=True)
def site(account: Account, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = deployed(account, tmp_path, holds=("order-1",))
    monkeypatch.setattr(places, "deployed", lambda *_: site.place)
    return site


# How it begins, and whom it refuses


ERRORS = {one.__name__: one for one in (NoCredentialsError, EndpointConnectionError)}
BEGINS = VECTORS["begins"]["cases"]


@pytest.mark.parametrize("case", BEGINS, ids=[f"{number}-{one['says']}" for number, one in enumerate(BEGINS)])
def test_how_it_begins(
    account: Account, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    case: dict[str, Any],
) -> None:  # fmt: skip
    account.plays(*steps(case))
    if "raises" in case:
        error = ERRORS[case["raises"]](endpoint_url="https://x")
        monkeypatch.setattr(places, "deployed", lambda *_: (_ for _ in ()).throw(error))
    typed = io.StringIO(case.get("stdin", case.get("piped", "")))
    vars(typed).update(isatty=lambda: "stdin" in case)
    monkeypatch.setattr("sys.stdin", typed)
    vars(api).update(case.get("api", {}))
    assert command.main([*case["call"].split(), "--out", str(tmp_path)]) == case["code"]
    printed = capsys.readouterr()
    assert case["says"] in " ".join(printed.err.split())
    written = printed.out + printed.err + "".join(file.read_text() for file in tmp_path.iterdir())
    assert ("Traceback" in written, ACCOUNT in written) == (False, False)
    account.finished()


def test_an_output_that_is_missing_is_another_version(site: Site) -> None:
    with pytest.raises(OpsError, match="has no output Nothing: it was deployed from another version"):
        site.output("Nothing")


def test_no_hold_of_another_project_is_touched(site: Site) -> None:
    site.credentials = Credentials("another", "key", "secret", "endpoints")
    with pytest.raises(OpsError, match=f"touched: expected '{POS_ID}'"):
        _ = site.line
    of_orders = next(one for one in runner.PROBES if "provider-unknown-void" in one.rows)
    assert {finding.verdict for finding in runner.findings(site, of_orders, of_orders.rows)} == {Verdict.NOT_SEEN}


def test_the_plan_names_what_is_done_with_each_hold(site: Site) -> None:
    text = "\n".join(command.plan(site, runner.due(site, runner.chosen([]), False)))
    said = ("void the first hold, for good", "ring the alarm", "second hold", "a second time")
    assert [one in text for one in said] == [True, True, False, False]  # a second was not given, and nobody allowed it


def test_holds_with_odd_characters_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "holds"
    file.write_text('a,b "c\\é\n\norder-2\n', encoding="utf-8")
    arguments = ["--holds-file", str(file), "--holds", "order-1,,order-3", "--token-file", str(file)]
    allowed = command._allowed(command._parser().parse_args(arguments))
    assert allowed.holds == ("order-1", "order-3", 'a,b "c\\é', "order-2")
    assert allowed.token == 'a,b "c\\é\n\norder-2'


def test_rows_are_chosen_by_how_they_begin() -> None:
    assert runner.chosen(["aws-clock"]) == ["aws-clock"]
    assert runner.chosen(["aws-cl"]) == ["aws-clock-off", "aws-clock"]
    assert all(row.startswith("provider-webhook") for row in runner.chosen(["provider-webhook"]))


# What goes wrong on the way


WRONG: dict[str, tuple[Exception | None, str]] = {
    "a defect shows no text": (KeyError("4242424242424242"), "unexpected KeyError: a defect of this command line"),
    "a row is forgotten": (None, "the probe ended without a word about it"),
    "the provider is silent while the API lives": (NoAnswer("nobody is there"), "nobody is there"),
}


@pytest.mark.parametrize(("error", "why"), WRONG.values(), ids=WRONG)
def test_whatever_goes_wrong_is_a_row(site: Site, error: Exception | None, why: str) -> None:
    def find(_: Site) -> Iterator[Finding]:
        yield judged("aws-clock", True, {})
        if error:
            raise error

    rows = ("aws-clock", "aws-iam")
    found = list(runner.findings(site, Probe(rows=rows, run=find), rows))
    assert found == [judged("aws-clock", True, {}), not_seen("aws-iam", why)]


def test_what_was_answered_is_not_asked_again(site: Site) -> None:
    site.state.keep(judged("aws-clock", True, {}), "now")
    site.state.keep(not_seen("aws-iam", "no right"), "now")
    left = [[row for _, rows in runner.due(site, runner.chosen([]), again) for row in rows] for again in (False, True)]
    assert [("aws-clock" in rows, "aws-iam" in rows) for rows in left] == [(False, True), (True, True)]


def test_evidence_is_hidden_before_it_is_kept(site: Site) -> None:
    site.redact.learn("the-secret")
    found = judged("aws-clock", True, {"the-secret": ["a the-secret", {"n": 1}]}, "why the-secret")
    runner.run(site, [(Probe(rows=("aws-clock",), run=lambda _: iter([found])), ["aws-clock"])], lambda _: None)
    assert "the-secret" not in site.state.path.read_text()


# Stopped in the middle


@pytest.mark.parametrize("case", VECTORS["held"]["cases"])
def test_what_may_have_been_sent_is_not_sent_again(site: Site, account: Account, case: dict[str, Any]) -> None:
    site.allowed = Allowed(("1", "2", "3")[: case.get("given", 3)], second_void=True)
    probe = next(one for one in runner.PROBES if case["row"] in one.rows)
    if "noted" in case:
        site.state.note(site.hold(probe.hold or 0), **case["noted"])
    listed = json.dumps([{"method": method, "status": "success"} for method in case.get("lists", ())]).encode()
    line = SimpleNamespace(query=lambda *_: Reply(200, {}, listed, 0.1))
    vars(site).update(line=line if "lists" in case else None)  # otherwise the provider is not even asked
    account.plays(*steps(case))
    found = {one.row: one for one in runner.findings(site, probe, probe.rows)}[case["row"]]
    assert (found.verdict, case["says"] in found.why) == (Verdict.NOT_SEEN, True), found


RESET: Step = ("cloudwatch", "set_alarm_state", {})


def test_ctrl_c_takes_back_what_was_made_and_keeps_what_was_found(site: Site, account: Account) -> None:
    account.plays(RESET)

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

    def slow(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        done.append("taken back")

    monkeypatch.setattr(undo, "UNDO", {"alarm": slow})
    with pytest.raises(KeyboardInterrupt), undo.making(site, "alarm", alarm="a"):
        pass
    assert (done, site.state.made) == (["taken back"], [])


def test_what_cannot_be_taken_back_is_named_and_kept(site: Site, account: Account) -> None:
    account.plays(("cloudwatch", "set_alarm_state", "AccessDenied: not you"), RESET)
    made = {"kind": "alarm", "alarm": "the alarm", "state": "OK"}
    with undo.making(site, **made):
        assert load(site.state.path).made == [made]  # before it is made
    assert site.left_behind == ["alarm the alarm: AWS refused SetAlarmState: AccessDenied: not you"]
    assert load(site.state.path).made == [made]
    assert (undo.take_back(site), load(site.state.path).made) == (1, [])


def test_every_kind_that_is_made_can_be_taken_back() -> None:
    text = "".join(file.read_text() for file in (Path(undo.__file__).parent / "probes").glob("*.py"))
    listed = {name.removeprefix("undo-") for name in FACTS["calls"] if name.startswith("undo-")}
    assert set(re.findall(r'making\(site, "(\w+)"', text)) == listed | undo.UNDO.keys()


@pytest.mark.parametrize("case", VECTORS["left"]["cases"])
def test_what_is_left_is_found_by_its_name(site: Site, account: Account, case: dict[str, Any]) -> None:
    site.state.made += case.get("made", [])
    account.plays(*steps(case))
    assert undo.clean(site) == case["says"]
    assert site.state.made == []
    account.finished()
