"""The sandbox's control side: the portal, rows as they stand, settings, and what it says to nonsense and to strangers."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.sandbox import Sandbox
from play.ledger import Project
from tests.integration.financial_line import API_KEY, HELD, POS_ID, SECRET, Line, decoded, eventually, is_genuine


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


# The portal, rows as they stand, names by channel


def test_the_portal_voids_and_captures_and_says_so(line: Line) -> None:
    line.hold()
    assert line.control("POST orders/123/void")["voids_executed"] == 1
    line.announced("success")
    assert line.order()["voids_received"] == 0
    assert line.void().status == 400
    line.control("POST holds", HELD | {"order_id": "124"})
    assert line.control("POST orders/124/capture")["operations"][1]["status_code"] == "1000"
    assert line.void(order_id="124").status == 400
    line.control("POST orders/124/void", expect=400)


def test_a_hold_can_be_made_anew_once_it_is_voided(line: Line) -> None:
    line.hold()
    line.control("POST holds", HELD, expect=400)
    first = line.void().json()["payment_id"]
    line.hold()
    second = line.void().json()["payment_id"]
    assert first != second
    assert [row["payment_id"] for row in line.query().json()] == [first, first, second, second]


def test_a_row_is_written_as_it_stands_and_its_id_changes_its_status(line: Line) -> None:
    line.hold()
    row = {"method": "reverse", "status": "pending", "operation_id": "op-1", "transaction_id": None, "webhook": "none"}
    shown = line.control("POST orders/123/operations", row)["operations"][1]
    assert (shown["operation_id"], shown.get("transaction_id")) == ("op-1", None)
    assert line.rows() == [("auth", "success"), ("reverse", "pending")]
    line.control("POST orders/123/operations", {"status": "failure", "operation_id": "op-1"})
    line.announced("failure")
    assert line.rows() == [("auth", "success"), ("reverse", "failure")]
    row = {"method": "VOID", "status": "odd", "currency": "USD", "webhook": "twice"}
    line.control("POST orders/123/operations", row)
    line.announced("failure", "odd", "odd")
    assert decoded(line.forms[1])["currency"] == "USD"
    row = {"method": "auth", "status": "success", "payment_id": "pay-1", "webhook": "none"}
    assert line.control("POST orders/other/operations", row)["operations"][0]["payment_id"] == "pay-1"


def test_each_channel_gives_the_names_that_it_is_told_to(line: Line) -> None:
    ids = {"answer": ["operation_id", "transaction_id"], "list": ["transaction_id"], "webhook": []}
    assert line.control("PUT settings", {"ids": ids})["ids"] == ids
    line.hold()
    said = line.void().json()
    line.announced("success")
    listed = line.query().json()[1]
    told = [{"operation_id", "transaction_id"} & each.keys() for each in (said, listed, decoded(line.forms[0]))]
    assert [sorted(names) for names in told] == list(ids.values())
    assert line.control("PUT settings", {"ids": {}})["ids"]["webhook"] == ["operation_id", "transaction_id"]


# Settings and the control side


def test_a_rotated_secret_holds_from_now_on(line: Line) -> None:
    line.hold()
    line.control("POST sign", {"data": 1, "secret": "previous"}, expect=400)
    line.control("PUT settings", {"api_secret": "changeme"})
    assert line.void().status == 401
    body = {"pos_id": POS_ID, "order_id": "123", "order_currency": "UAH", "server_url": line.url}
    assert line.post(json.dumps(body).encode(), X_API_AUTH=f"CPAY {API_KEY}:changeme").status == 200
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


def test_differences_are_named_and_all_that_are_not_named_end(line: Line) -> None:
    line.hold()
    for names, fee in ((["fee", "amount"], 1.5), (["fee"], 1.5), ([], None)):
        assert line.control("PUT settings", {"differs": names})["differs"] == sorted(names)
        assert line.query().json()[0]["fee"] == fee


@pytest.mark.parametrize(("call", "content", "named"), [
    ("PUT faults/1", {"answer": "explode"}, "answer: one of success, pending"), ("PUT faults/1", {"answer": ["success"]}, "answer"),
    ("PUT faults/1", {"mood": "bad"}, "unknown: mood"), ("PUT settings", {"listening": 1}, "listening"),
    ("PUT settings", {"second_void": "maybe"}, "second_void"), ("PUT settings", {"api_secret": ""}, "api_secret"),
    ("PUT settings", {"differs": ["mood"]}, "differs"), ("PUT settings", {"differs": {"fee": True}}, "differs"),
    ("PUT settings", {"ids": {"post": []}}, "ids"), ("PUT settings", {"ids": {"list": ["payment_id"]}}, "ids"),
    ("POST holds", {"order_id": "1", "amount": "a lot", "currency": "UAH"}, "amount"),
    ("POST holds", {"order_id": "", "amount": 1, "currency": "UAH"}, "order_id"),
    ("POST holds", {"order_id": "1", "amount": True, "currency": "UAH"}, "amount"),
    ("POST holds", [], "not a JSON object"), ("POST holds", b"{", "not JSON"),
    ("POST holds", b'{"order_id": "\\ud83d"}', "half of a surrogate pair"), ("POST sign", b'{"data": "\\ud83d"}', "half of a surrogate pair"),
    ("POST sign", {}, "data"), ("POST webhooks/unknown", None, "no webhook"), ("POST orders/unknown/void", None, "Payment not found"),
    ("POST orders/1/operations", {"status": "success"}, "method"), ("POST orders/1/operations", {"method": "void"}, "status"),
    ("POST orders/1/operations", {"method": "void", "status": "x", "webhook": "often"}, "webhook: one of once"),
    ("POST orders/1/operations", {"method": "void", "status": "x", "operation_id": 1}, "operation_id"),
    ("GET nothing", None, "there is no GET"),
])  # fmt: skip
def test_nonsense_on_the_control_side_is_explained(line: Line, call: str, content: Any, named: str) -> None:
    assert named in line.control(call, content, expect=400)["error"]


@pytest.mark.parametrize(("expect", "sender"), [
    *((200, sender) for sender in ("Host: localhost:8081", "Host: [::1]:8081", "Host: 127.0.0.1", "Sec-Fetch-Site: none",
                                   "Host: 127.0.0.1:8081|Origin: http://127.0.0.1:8081|Sec-Fetch-Site: same-origin")),
    *((403, sender) for sender in ("Host: attacker.example", "Host: 127.0.0.1.attacker.example:8081", "Host: ", "Origin: null",
                                   "Origin: https://attacker.example", "Origin: http://127.0.0.1:8082", "Sec-Fetch-Site: cross-site",
                                   "Sec-Fetch-Site: same-site")),
])  # fmt: skip
def test_a_page_of_another_site_gives_no_orders(line: Line, expect: int, sender: str) -> None:
    headers = dict(header.split(": ") for header in sender.split("|"))
    line.control("POST holds", HELD, expect, headers)
    assert len(line.order()["operations"]) == (expect == 200)
    said = line.control("GET /", None, expect, headers)
    assert expect == 403 or (said["provider"] == line.sandbox.provider_url and "PUT /sandbox/settings" in said["calls"])


def test_stopping_ends_what_is_held(line: Line) -> None:
    line.hold(answer="timeout_executed")
    line.provider.connection_pool_kw["timeout"] = 20.0
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(line.void)
        eventually(lambda: line.order()["voids_executed"] == 1)
        line.sandbox.stop()
        assert isinstance(held.exception(timeout=2), urllib3.exceptions.ProtocolError)


def test_an_issuer_of_tokens_is_there_only_when_it_is_wanted(line: Line, tmp_path: Path) -> None:
    line.control("GET /.well-known/openid-configuration", expect=400)
    other = Sandbox(0, Project(POS_ID, API_KEY, SECRET, "fake-endpoints-key"), tmp_path / "other", tokens=True)
    with ExitStack() as stack, urllib3.PoolManager(retries=False) as pool:
        stack.callback(other.stop)
        discovered = pool.request("GET", f"{other.control_url}/.well-known/openid-configuration").json()
        form, known = {"grant_type": "client_credentials"}, urllib3.make_headers(basic_auth="shop:shop-secret")
        url: Any = discovered["token_endpoint"]
        granted, unknown = (
            pool.request("POST", url, fields=form, headers=sent, encode_multipart=False) for sent in (known, {})
        )
        assert (granted.status, granted.json()["scope"], unknown.status) == (200, "submit read", 401)
        assert unknown.headers["WWW-Authenticate"].startswith("Basic")
        assert pool.request("GET", discovered["jwks_uri"]).json()["keys"]
