"""What an acceptance sends, keeps, hides and reports: bytes as they are meant, its state file, and the report."""

import json
import os
import socket
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acceptance import run as runner
from acceptance import wire
from acceptance.rows import Redactor, judged, load, locked
from acceptance.site import Site
from acceptance.wire import NoAnswer, Reply
from local.sandbox import Sandbox
from ops.places import OpsError
from play.ledger import Project
from tests.fakes.account import ACCOUNT, POS_ID, Account, deployed


@pytest.fixture
def site(account: Account, tmp_path: Path) -> Site:
    return deployed(account, tmp_path)


# The wire


def serving(answer: bytes) -> tuple[str, list[bytes]]:
    """The address of a bare socket that gives this answer once, and what arrives at it, up to its empty line."""
    server, received = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def serve() -> None:
        with server, server.accept()[0] as connection:
            while b"\r\n\r\n" not in b"".join(received):
                received.append(connection.recv(4096))
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):  # the rest of a body that nobody asked for
                pass

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}", received


@pytest.mark.parametrize("target", ["//v1/voids", "/v1//voids/", "/v1/voids/a%2Fb%41%c3", "/v1/voids?cursor=a+b&x=%20"])
def test_a_target_is_sent_as_it_is(target: str) -> None:
    url, received = serving(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Case: Kept\r\n\r\n{}")
    reply = wire.send(url, "GET", target, {"X-Case": "é"})
    first, *lines = b"".join(received).split(b"\r\n")
    assert (first, b"Host: " + url[7:].encode() in lines) == (f"GET {target} HTTP/1.1".encode(), True)
    assert b"X-Case: \xe9" in lines
    assert (reply.status, reply.headers["x-case"], reply.json) == (200, "Kept", {})


def test_an_answer_that_comes_before_the_whole_body_is_read() -> None:
    url, _ = serving(b"HTTP/1.1 413 X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    assert wire.send(url, "POST", "/", body=b" " * 10_485_761).status == 413


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_an_answer_that_is_none_is_one_error(answer: bytes) -> None:
    with pytest.raises(NoAnswer, match="no answer from 127.0.0.1"):
        wire.send(serving(answer)[0], "GET", "/", seconds=5)


def test_a_certificate_that_nobody_trusts_is_no_answer(tmp_path: Path) -> None:
    provider = Sandbox(0, Project(POS_ID, "k", "s", "e"), tmp_path)
    with closing(SimpleNamespace(close=provider.stop)):
        with pytest.raises(NoAnswer, match="SSLCertVerificationError"):
            wire.send(provider.provider_url, "GET", "/health")
        assert wire.send(provider.provider_url, "GET", "/health", ca_file=str(provider.ca_file)).body == b"OK"


@pytest.mark.parametrize(("body", "read"), [
    (b'{"status": 404}', {"status": 404}), (b"[-7, 1.50, 1E+2]", [-7, Decimal("1.50"), Decimal(100)]),
    (b"123456789012345678901234567890", 123456789012345678901234567890),
    (b'{"amount": 1e1000000000000000000}', {"amount": None}), (b'["a", true, null]', ["a", True, None]),
    (b"<html>", None), (b"", None),
])  # fmt: skip
def test_an_answer_is_read_with_exact_numbers(body: bytes, read: object) -> None:
    answer = Reply(200, {}, body, 0.0).json
    assert (answer, type(answer)) == (read, type(read))


def test_deliveries_are_read_from_the_access_log_where_the_stage_says(site: Site, account: Account) -> None:
    settings = {"accessLogSettings": {"destinationArn": "arn:aws:logs:eu-central-1:111122223333:log-group:the-log:*"}}
    lines = [{"message": f'{{"status": "{status}"}}'} for status in (500, 200)]
    account.plays(("apigateway", "get_stage", settings), ("logs", "filter_log_events", {"events": lines}))
    assert site.deliveries("order-1", site.now()) == [500, 200]
    assert account.asked("apigateway:GetStage") == [{"restApiId": "api1234567", "stageName": "v1"}]
    asked = account.asked("logs:FilterLogEvents")[0]
    assert (asked["logGroupName"], asked["filterPattern"]) == ("the-log", '{ $.route = "/webhooks/financial-line" }')


# The state file


def test_a_state_is_taken_up_again(tmp_path: Path) -> None:
    state = load(tmp_path / "state.json")
    state.begin("stack-1")
    state.keep(judged("aws-clock", True, {"n": Decimal("1.50")}, "so"), "2026-11-24T10:00:00Z")
    state.note("order-1", sent="service")
    again = load(tmp_path / "state.json")
    assert again.settled("aws-clock")
    assert again.note("order-1") == {"sent": "service"}
    assert (again.begin("stack-1"), again.begin("stack-2"), again.findings) == (False, True, {})
    assert load(tmp_path / "state.json").note("order-1") == {"sent": "service"}  # a voided hold stays voided


OLD = '{"format": 3, "deployment": "", "findings": {}, "notes": {}, "made": []}'


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", OLD, '{"format": 4, "deployment": "x"}'])
def test_a_state_that_cannot_be_read_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(OpsError, match="is not readable"):
        load(tmp_path / "state.json")


def test_a_file_is_replaced_as_a_whole(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.state.note("order-1", sent="service")
    before = site.state.path.read_text()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        site.state.note("order-1", sent="unnamed")
    assert site.state.path.read_text() == before
    assert list(tmp_path.iterdir()) == [site.state.path]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    path, refused = tmp_path / "state.json", pytest.raises(OpsError, match="another acceptance is at work")
    with locked(path), refused, locked(path):
        pytest.fail("both are at work")
    with locked(path):
        pass


# What may be written down

SECRETS = st.text("abcdefgh0123456789-+/=", min_size=8, max_size=40)
EVIDENCE = st.recursive(st.text() | st.integers() | st.none(),
                        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)  # fmt: skip


@given(SECRETS, EVIDENCE, st.text(max_size=20))
def test_a_known_secret_never_passes(secret: str, evidence: object, around: str) -> None:
    redact = Redactor()
    redact.learn(secret)
    hidden = redact({"place": [evidence, around + secret + around, {secret: secret}]})
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


# The report


def test_a_report_names_every_row_and_counts_them(site: Site) -> None:
    site.left_behind.append(f"queue of {ACCOUNT}")
    site.state.keep(judged("aws-clock", True, {}), "2026-11-24T10:00:00Z")
    site.state.keep(judged("provider-post-plain", False, {"a": "|`*"}), "2026-11-24T10:00:00Z")
    whole = runner.document(site, (rows := [row.id for row in runner.ROWS]))
    assert [row["id"] for row in whole["rows"]] == rows
    assert whole["counts"] == {"confirmed": 1, "contradicted": 1, "not seen": len(runner.ROWS) - 2}
    assert (whole["account"], bool(whole["versions"]["boto3"])) == ("********3333", True)
    text = "\n".join(runner.lines(whole))
    said = (
        "Contradicted: somebody must act",
        'provider_scheme="CPAY-HMAC"',
        "Left behind",
        "## All rows",
        runner.NOT_ASKED,
    )
    places = [text.index(one) for one in said]
    assert places == sorted(places)
    assert (text.count("```json"), ACCOUNT in text) == (1, False)
