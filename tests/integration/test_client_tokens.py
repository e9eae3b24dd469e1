"""The clients with tokens: fetched once, kept until shortly before the end, fetched again after one refusal; and events."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.integration.clients.packages import Merchant, installed
from tests.integration.clients.raw_server import Answer, RawServer, answer
from tests.integration.test_client_answers import ORDER, RECORD, SECRET, kind_of

VOID = answer(200, RECORD)
NO = answer(401, {"message": "Unauthorized"})


def token(name: str, lasts: float = 3600) -> bytes:
    return answer(200, {"access_token": name, "token_type": "Bearer", "expires_in": lasts})


def by_token(server: RawServer, tokens: list[Answer], *answers: Answer) -> dict[str, Any]:
    """A case whose client takes these tokens, and whose API answers so."""
    return ORDER | {
        "url": server.script("api", *answers), "region": None, "wait": 0,
        "tokens": {"url": server.script("issuer", *tokens), "id": "shop", "secret": SECRET, "scope": "a/submit a/read"},
    }  # fmt: skip


def bearers(server: RawServer) -> list[str]:
    return [request.headers["authorization"] for request in server.received("api")]


def test_one_token_serves_until_shortly_before_its_end(package: Merchant, server: RawServer) -> None:
    case = by_token(server, [token("t1", 600), token("t2", 600)], VOID)
    got = package.call(case, case, case | {"later": 530}, case | {"later": 20})
    assert [kind_of(each) for each in got] == ["voided"] * 4
    assert bearers(server) == ["Bearer t1"] * 3 + ["Bearer t2"]
    first, _ = server.received("issuer")
    assert first.headers["authorization"] == "Basic c2hvcDpzJTJGZSUyMGNyZXQ="  # each part as a form sends it
    assert parse_qs(first.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["a/submit a/read"]}


@pytest.mark.parametrize("name", ["python", "python-async", "node"])
def test_concurrent_callers_fetch_one_token(name: str, server: RawServer) -> None:
    tokens: list[Answer] = [token("t1"), token("t2"), token("t3")]
    case = by_token(server, tokens, lambda sent: NO if "t2" in sent.headers["authorization"] else VOID)
    for fetched in (1, 3):  # a client of its own each; in the second all are refused at once, and one more is fetched
        got = Merchant(installed(name), "").call(*[case] * 12, together=True)
        assert [kind_of(each) for each in got] == ["voided"] * 12
        assert len(server.received("issuer")) == fetched


def test_php_keeps_its_token_in_a_file_of_its_own(server: RawServer, tmp_path: Path) -> None:
    file, php = tmp_path / "token", Merchant(installed("php"), "")
    case = by_token(server, [token("t1"), token("t2")], VOID, VOID, NO, VOID)
    case["tokens"]["file"] = str(file)
    for _ in range(3):  # another client each, as in another process
        assert kind_of(php.call(case)[0]) == "voided"
    assert bearers(server) == ["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2"]
    assert (file.stat().st_mode & 0o777, SECRET in file.read_text()) == (0o600, False)
    file.chmod(0o644)
    assert kind_of(php.call(case)[0]) == "WrongCall: not-configured"
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    assert kind_of(php.call(case)[0]) == "WrongCall: not-configured"
    assert not (tmp_path / "elsewhere").exists()


# ---- what a client does besides --------------------------------------------------------------------------------------

DETAIL = {
    "id": "0b7cf1b3f0c14a6e-7", "order_id": "7%2F2%20%22%C3%A9%22", "state": "failed", "reason": "refused", "attempt": "1",
    "version": "9", "settled_at": "2026-11-24T10:10:12.345Z", "review": False, "corrected": False, "order_currency": "", "by": "provider",
}  # fmt: skip
NEWER = DETAIL | {"version": "10", "state": "voided", "reason": "", "by": "operator", "order_currency": "UAH"}
READ = {"order_id": '7/2 "é"', "state": "voided", "reason": None, "version": 10, "attempt": 1, "order_currency": "UAH"}


@pytest.mark.parametrize("name", ["python", "node", "php"])
def test_events_are_decoded_and_the_newest_of_each_order_counts(name: str) -> None:
    whole = {"detail-type": "void.settled", "source": "void-service", "detail": DETAIL}
    other = json.dumps(DETAIL | {"order_id": "8", "version": "1"})
    heartbeat = {"detail-type": "void-service.heartbeat", "detail": {"at": "x"}}
    given: list[list[Any]] = [[NEWER | {"more": 1}, whole, other], [heartbeat], ["no JSON"], [{}]]
    calls = [{"call": "settled", "events": events} for events in given]
    got, *wrong = Merchant(installed(name), "https://x.example").call(*calls)
    seven, eight = sorted(got["returned"], key=lambda outcome: -int(outcome["version"]))
    assert seven == {name: READ.get(name, value) for name, value in NEWER.items()}
    assert (eight["order_id"], eight["order_currency"]) == ("8", None)
    assert [each["raised"] for each in wrong] == ["ValueError"] * 3


def test_an_aborted_void_in_node_says_what_is_known(server: RawServer) -> None:
    node, accepted = Merchant(installed("node"), ""), answer(202, RECORD | {"state": "pending"}, Retry_After="5")
    for pace in (1, 0):  # while it waits, and while it reads
        case = ORDER | {"url": server.script("aborted", accepted, "silence"), "wait": 600, "abort_after": 700}
        (got,) = node.call(case, pace=pace)
        assert (kind_of(got), got["record"]["state"]) == ("RepeatLater: not-settled-yet (pending)", "pending")
    (got,) = node.call(case | {"abort_after": 0, "url": "http://127.0.0.1:9/v1"})
    assert kind_of(got) == "RepeatLater: nothing-sent"
