"""The Financial Line sandbox over sockets: what goes wrong on purpose, its webhooks, and its control side.

That it keeps to the provider's documentation is held by the provider rows of the acceptance (test_acceptance.py), what each
answer and view says by tests/unit/test_play.py.
"""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.integration.client import eventually
from tests.integration.financial_line import HELD, Line, decoded, is_genuine

BOTH = ["operation_id", "transaction_id"]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with closing(Line(tmp_path)) as line:
        yield line


def rows(line: Line) -> list[tuple[str, str]]:
    return [(row["method"], row["status"]) for row in line.query().json()]


def test_who_is_let_in_and_what_is_no_call(line: Line) -> None:
    line.hold()
    for method, path, body, status in (
        ("GET", "nothing", b"", 404), ("GET", "void", b"", 405), ("POST", "void", b"[]", 400), ("POST", "void", b"{", 406),
    ):  # fmt: skip
        assert line.ask(method, path, body).status == status
    assert (line.void("wrong").status, line.order()["voids_received"]) == (401, 0)
    with pytest.raises(urllib3.exceptions.SSLError), urllib3.PoolManager(retries=False) as stranger:
        stranger.request("GET", f"{line.sandbox.provider_url}/health")


def test_one_of_racing_voids_is_executed_and_a_second_one_if_that_is_wanted(line: Line) -> None:
    line.control("POST holds", b'{"order_id":"123","amount":1234567890123456.70,"currency":"UAH"}')
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: line.void(), range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert b'"amount":1234567890123456.70,' in line.query().data  # with all its digits
    line.control("PUT settings", {"second_void": "execute"})
    assert line.void().status == 200
    assert (line.order()["voids_received"], line.order()["voids_executed"]) == (9, 2)


LATE, RESET, CUT = urllib3.exceptions.ReadTimeoutError, ConnectionResetError, http.client.IncompleteRead


@pytest.mark.parametrize(("fault", "how", "executed", "webhooks"), [
    ("success", 200, 1, ["success"]), ("pending", 200, 0, ["pending"]), ("pending_then_failure", 200, 0, ["failure"]),
    ("failure", 200, 0, ["failure"]), ("timeout_executed", LATE, 1, ["success"]), ("timeout_not_executed", LATE, 0, []),
    ("reset_executed", RESET, 1, ["success"]), ("reset_not_executed", RESET, 0, []), ("http_400", 400, 0, []),
    ("truncated", CUT, 1, ["success"]), ("redirect", 302, 1, ["success"]),
])  # fmt: skip
def test_a_fault_of_the_answer(line: Line, fault: str, how: Any, executed: int, webhooks: list[str]) -> None:
    line.hold(answer=fault)
    try:
        said: list[Any] = [line.void().status]
    except urllib3.exceptions.HTTPError as broken:
        said = [type(broken), *map(type, broken.args)]
    assert how in said
    assert line.order()["voids_executed"] == executed
    line.announced(*webhooks)
    assert line.void().status == (200 if webhooks in ([], ["failure"]) else 400)  # a fault works once


@pytest.mark.parametrize(("answer", "mode", "statuses"), [
    ("success", "once", "success"), ("success", "twice", "success success"), ("success", "none", ""), ("http_400", "once", ""),
    ("success", "before_answer", "success"), ("success", "failure_then_success", "failure success"),
    ("success", "success_then_failure", "success failure"), ("failure", "failure_then_success", "failure success"),
])  # fmt: skip
def test_genuine_webhooks(line: Line, answer: str, mode: str, statuses: str) -> None:
    line.hold(answer=answer, webhook=mode)
    said = line.void().json()
    assert line.statuses() == (["success"] if mode == "before_answer" else [])
    assert said.get("status") in (answer, None)
    line.announced(*statuses.split())
    assert all(is_genuine(form) for form in line.forms)
    assert line.order()["voids_executed"] == (answer != "http_400")
    assert not statuses or decoded(line.forms[statuses.split().index("success")]).keys() == said.keys()
    sent = line.order()["webhooks"]
    assert [(each["status"], each["data"]) for each in sent] == [(200, form["data"]) for form in line.forms]


@pytest.mark.parametrize(("answer", "mode"), [("success", "forged"), ("http_400", "forged"), ("success", "unreadable")])
def test_webhooks_that_are_none(line: Line, answer: str, mode: str) -> None:
    line.hold(answer=answer, webhook=mode)
    line.void()
    eventually(lambda: len(line.forms), bool)
    assert is_genuine(line.forms[0]) == (mode == "unreadable")
    with nullcontext() if mode == "forged" else pytest.raises(ValueError):
        assert decoded(line.forms[0])["status"] == "success"


def test_a_suppressed_webhook_can_be_sent_by_hand_and_nobody_needs_to_listen(line: Line) -> None:
    line.hold(webhook="none")
    said = line.void().json()
    line.announced()
    line.status = 503
    assert line.control("POST webhooks/123")["status"] == 503
    assert decoded(line.forms[0]) == said
    line.receiver.close()
    assert line.control("POST webhooks/123")["error"]
    assert [sent["status"] for sent in line.order()["webhooks"]] == [503, None]  # and none is sent again


@pytest.mark.parametrize(("fault", "first", "then"), [
    ("not_found", 404, 200), ("http_500", 500, 200), ("timeout", None, 200), ("stale", ["123"], ["123", "123"]),
    ("wrong_order", ["not-123", "not-123"], ["123", "123"]),
])  # fmt: skip
def test_a_fault_of_the_query_waits_for_it_and_works_once(line: Line, fault: str, first: Any, then: Any) -> None:
    line.hold(query=fault)
    line.void()

    def seen() -> Any:
        try:
            answer = line.query()
        except urllib3.exceptions.ReadTimeoutError:
            return None
        return answer.status if isinstance(then, int) else [row["order_id"] for row in answer.json()]

    assert [seen(), seen()] == [first, then]


# ---- the control side ------------------------------------------------------------------------------------------------


def test_the_portal_voids_and_captures_and_a_hold_can_be_made_anew_once_it_is_voided(line: Line) -> None:
    line.hold()
    line.control("POST holds", HELD, expect=400)
    assert line.control("POST orders/123/void")["voids_executed"] == 1
    line.announced("success")
    assert (line.order()["voids_received"], line.void().status) == (0, 400)
    line.hold()
    line.control("POST holds", HELD, expect=400)
    assert line.control("POST orders/123/capture")["operations"][3]["status_code"] == "1000"
    assert line.void().status == 400
    line.control("POST orders/123/void", expect=400)
    paid = [row["payment_id"] for row in line.query().json()]
    assert (paid[0], paid[2]) == (paid[1], paid[3])
    assert paid[1] != paid[2]


def test_a_row_is_written_as_it_stands_and_its_id_changes_its_status(line: Line) -> None:
    line.hold()
    row = {"method": "reverse", "status": "pending", "operation_id": "op-1", "transaction_id": None, "webhook": "none"}
    shown = line.control("POST orders/123/operations", row)["operations"][1]
    assert (shown["operation_id"], shown.get("transaction_id")) == ("op-1", None)
    assert rows(line) == [("auth", "success"), ("reverse", "pending")]
    line.control("POST orders/123/operations", {"status": "failure", "operation_id": "op-1"})
    line.announced("failure")
    assert rows(line) == [("auth", "success"), ("reverse", "failure")]
    row = {"method": "VOID", "status": "odd", "currency": "USD", "webhook": "twice"}
    line.control("POST orders/123/operations", row)
    line.announced("failure", "odd", "odd")
    assert decoded(line.forms[1])["currency"] == "USD"
    row = {"method": "auth", "status": "success", "payment_id": "pay-1", "webhook": "none"}
    assert line.control("POST orders/other/operations", row)["operations"][0]["payment_id"] == "pay-1"


def test_settings_hold_until_others_are_named(line: Line) -> None:
    """Which names each channel gives; what differs."""
    ids = {"answer": BOTH, "list": ["transaction_id"], "webhook": []}
    assert line.control("PUT settings", {"ids": ids})["ids"] == ids
    line.hold()
    said = line.void().json()
    line.announced("success")
    shown = said, line.query().json()[1], decoded(line.forms[0])
    assert [[name for name in BOTH if name in each] for each in shown] == list(ids.values())
    assert line.control("PUT settings", {"ids": {}})["ids"]["webhook"] == BOTH
    for names, fee in ((["fee", "amount"], 1.5), (["fee"], 1.5), ([], None)):
        assert line.control("PUT settings", {"differs": names})["differs"] == sorted(names)
        assert line.query().json()[0]["fee"] == fee


def test_a_rotated_secret_holds_from_now_on(line: Line) -> None:
    line.hold()
    line.control("POST sign", {"data": 1, "secret": "previous"}, expect=400)
    line.control("PUT settings", {"api_secret": "changeme"})
    assert [line.void(*secret).status for secret in ((), ("changeme",))] == [401, 200]
    line.announced("success")
    assert is_genuine(line.forms[0], "changeme")
    published = {"data": "eyJuYW1lIjoiSm9lIiwiYWdlIjoyMH0=", "signature": "Bcj3hb-h00HrEMIoJ5nPW5ZHlVQ="}
    assert line.control("POST sign", {"data": {"name": "Joe", "age": 20}}) == published
    assert is_genuine(line.control("POST sign", {"data": {"any": "thing"}, "secret": "previous"}))


def test_a_provider_that_does_not_listen_refuses_connections(line: Line) -> None:
    line.hold()
    assert line.query().status == 200  # leaves an idle connection, which must not survive
    assert line.control("PUT settings", {"listening": False}) == {"second_void": "refuse", "listening": False}
    for _ in range(2):
        with pytest.raises((urllib3.exceptions.NewConnectionError, urllib3.exceptions.ProtocolError)):
            line.void()
    line.control("PUT settings", {"listening": True})
    assert line.void().status == 200


HOLD, ROW = {"order_id": "1", "amount": 1, "currency": "UAH"}, {"method": "void", "status": "x"}


def test_nonsense_on_the_control_side_is_explained(line: Line) -> None:
    for call, content, named in (
        ("PUT faults/1", {"answer": "explode"}, "answer: one of success, pending"), ("PUT faults/1", {"answer": ["success"]}, "answer"),
        ("PUT faults/1", {"mood": "bad"}, "unknown: mood"), ("PUT settings", {"listening": 1}, "listening"),
        ("PUT settings", {"second_void": "maybe"}, "second_void"), ("PUT settings", {"api_secret": ""}, "api_secret"),
        ("PUT settings", {"differs": ["mood"]}, "differs"), ("PUT settings", {"differs": {"fee": True}}, "differs"),
        ("PUT settings", {"ids": {"post": []}}, "ids"), ("PUT settings", {"ids": {"list": ["payment_id"]}}, "ids"),
        ("POST holds", HOLD | {"amount": "a lot"}, "amount"), ("POST holds", HOLD | {"order_id": ""}, "order_id"),
        ("POST holds", HOLD | {"amount": True}, "amount"), ("POST holds", [], "not a JSON object"), ("POST holds", b"{", "not JSON"),
        ("POST sign", b'{"data": "\\ud83d"}', "half of a surrogate pair"), ("POST sign", {}, "data"),
        ("POST webhooks/unknown", None, "no webhook"), ("POST orders/unknown/void", None, "Payment not found"),
        ("POST orders/1/operations", {"status": "success"}, "method"), ("POST orders/1/operations", {"method": "void"}, "status"),
        ("POST orders/1/operations", ROW | {"webhook": "often"}, "webhook: one of once"),
        ("POST orders/1/operations", ROW | {"operation_id": 1}, "operation_id"), ("GET nothing", None, "there is no GET"),
    ):  # fmt: skip
        assert named in line.control(call, content, expect=400)["error"], (call, content)


def test_a_page_of_another_site_gives_no_orders(line: Line) -> None:
    own = "Host: 127.0.0.1:8081|Origin: http://127.0.0.1:8081|Sec-Fetch-Site: same-origin"
    for expect, senders in (
        (200, ("Host: localhost:8081", "Host: [::1]:8081", "Host: 127.0.0.1", "Sec-Fetch-Site: none", own)),
        (403, ("Host: attacker.example", "Host: 127.0.0.1.attacker.example:8081", "Host: ", "Origin: null", "Origin: https://attacker.example",
               "Origin: http://127.0.0.1:8082", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site")),
    ):  # fmt: skip
        for sender in senders:
            headers = dict(header.split(": ") for header in sender.split("|"))
            said = line.control("GET /", None, expect, headers)
            assert expect == 403 or (
                said["provider"] == line.sandbox.provider_url and "PUT /sandbox/settings" in said["calls"]
            )
    line.control("POST holds", HELD, 403, headers)
    assert line.order()["operations"] == []


def test_stopping_ends_what_is_held(line: Line) -> None:
    line.hold(answer="timeout_executed")
    line.provider.connection_pool_kw["timeout"] = 20.0
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(line.void)
        eventually(lambda: line.order()["voids_executed"], bool)
        line.sandbox.stop()
        assert isinstance(held.exception(timeout=2), urllib3.exceptions.ProtocolError)


def test_an_issuer_of_tokens_is_there_only_when_it_is_wanted(line: Line, tmp_path: Path) -> None:
    line.control("GET /.well-known/openid-configuration", expect=400)
    with closing(Line(tmp_path, tokens=True)) as other, urllib3.PoolManager(retries=False) as pool:
        discovered = other.control("GET /.well-known/openid-configuration")
        known = urllib3.make_headers(basic_auth="shop:shop-secret")
        granted, unknown = (
            pool.request("POST", discovered["token_endpoint"], body=b"grant_type=client_credentials", headers=sent)
            for sent in (known, {})
        )
        assert (granted.status, granted.json()["scope"], unknown.status) == (200, "submit read", 401)
        assert unknown.headers["WWW-Authenticate"].startswith("Basic")
        assert pool.request("GET", discovered["jwks_uri"]).json()["keys"]
