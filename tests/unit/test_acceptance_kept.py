"""What an acceptance keeps, hides and reports: its state file, what may be written down, and the report."""

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acceptance import __main__ as command
from acceptance import report
from acceptance import run as runner
from acceptance.redact import Redactor, masked_account
from acceptance.rows import Finding, judged
from acceptance.site import Site
from acceptance.state import load, locked
from ops.places import OpsError
from tests.fakes.account import ACCOUNT, POS_ID, Account, deployed


@pytest.fixture
def site(account: Account, tmp_path: Path) -> Site:
    return deployed(account, tmp_path)


# The state file


def test_a_state_is_taken_up_again(tmp_path: Path) -> None:
    state = load(tmp_path / "state.json")
    state.begin("stack-1")
    state.keep(judged("aws-clock", True, {"n": Decimal("1.50")}, "so"), "2026-11-24T10:00:00Z")
    state.note("order-1", sent="service")
    again = load(tmp_path / "state.json")
    assert again.settled("aws-clock")
    assert again.noted("order-1") == {"sent": "service"}
    assert (again.begin("stack-1"), again.begin("stack-2"), again.findings) == (False, True, {})
    assert load(tmp_path / "state.json").noted("order-1") == {"sent": "service"}  # a voided hold stays voided


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 2}', '{"format": 3, "deployment": "x"}']
)
def test_a_state_that_cannot_be_read_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(OpsError, match="is not readable"):
        load(tmp_path / "state.json")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = load(tmp_path / "state.json")
    state.note("order-1", sent="service")
    before = (tmp_path / "state.json").read_text()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        state.note("order-1", sent="unnamed")
    assert (tmp_path / "state.json").read_text() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "state.json"]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    path, refused = tmp_path / "state.json", pytest.raises(OpsError, match="another acceptance is at work")
    with locked(path), refused, locked(path):
        pytest.fail("both are at work")
    with locked(tmp_path / "state.json"):
        pass


# What may be written down

SECRETS = st.text("abcdefgh0123456789-+/=", min_size=8, max_size=40)


@given(SECRETS, st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(
    st.text(), inner), max_leaves=8), st.data())  # fmt: skip
def test_a_known_secret_never_passes(secret: str, evidence: object, data: st.DataObject) -> None:
    around = data.draw(st.text(max_size=20))
    hidden = Redactor([secret])({"place": [evidence, around + secret + around, {secret: secret}]})
    assert secret not in json.dumps(hidden, ensure_ascii=False)


@pytest.mark.parametrize(("hidden", "text"), [
    (True, "AKIA" + "ABCDEFGHIJKLMNOP"), (True, "CPAY-HMAC 2c2b91a3:48731878acbb41e6ee70eac5f1e6f8b8031f9484"),
    (True, "Credential=AKIDEXAMPLE/20261124/eu-central-1/execute-api/aws4_request, Signature=abc"),
    (True, "48731878acbb41e6ee70eac5f1e6f8b8031f9484"), (True, "4242 4242 4242 4242"),
    (True, "card 4242424242424242 of somebody@example.com"),
    (True, "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.ABCDEFGH"), (False, "2026-11-24T10:00:30.100Z"),
    (False, POS_ID), (False, "order-1"), (False, "1009"), (False, "9999-99-99T99:99:99.999"),
])  # fmt: skip
def test_what_looks_like_a_secret_or_a_person_is_hidden_and_what_evidence_needs_stays(hidden: bool, text: str) -> None:
    shown = Redactor().text(text)
    assert ("[hidden]" in shown, shown == text) == (hidden, not hidden)
    assert [part for part in ("4242", "48731878", "AKIDEXAMPLE", "example.com", "ABCDEFGH") if part in shown] == []


def test_an_account_keeps_four_digits() -> None:
    assert masked_account(ACCOUNT) == "********3333"
    assert ACCOUNT not in Redactor(account=ACCOUNT).text(f"arn:aws:iam::{ACCOUNT}:role/x")


# The report


def report_of(site: Site, *found: Finding) -> dict[str, Any]:
    for finding in found:
        site.state.keep(finding, "2026-11-24T10:00:00Z")
    return report.document(site, [row.id for row in runner.ROWS])


def test_a_report_names_every_row_and_counts_them(site: Site) -> None:
    site.left_behind.append(f"queue of {ACCOUNT}")
    whole = report_of(site, judged("aws-clock", True, {}), judged("provider-post-plain", False, {"a": "|`*"}))
    assert [row["id"] for row in whole["rows"]] == [row.id for row in runner.ROWS]
    assert whole["counts"] == {"confirmed": 1, "contradicted": 1, "not seen": len(runner.ROWS) - 2}
    assert (whole["account"], bool(whole["versions"]["boto3"])) == ("********3333", True)
    text = "\n".join(report.lines(whole))
    for one in ('provider_scheme="CPAY-HMAC"', report.NOT_ASKED, "Left behind"):
        assert one in text
    assert text.index("Contradicted: somebody must act") < text.index("## All rows")
    assert text.count("```json") == 1
    assert ACCOUNT not in text


@pytest.mark.parametrize(
    ("verdict", "strict", "code"), [(True, False, 0), (True, True, 4), (False, False, 3), (False, True, 3)]
)
def test_exit_codes_are_for_pipelines(site: Site, verdict: bool, strict: bool, code: int) -> None:
    assert command._code(report_of(site, judged("aws-clock", verdict, {})), strict) == code
