"""The Financial Line sandbox keeps to the provider's documentation and misbehaves exactly as it is told.

Driven over real sockets and real TLS with a client that is not ours (urllib3); signatures are checked by openssl.
"""

import base64
import hashlib
import hmac
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
import urllib3

from local import sandbox
from local.sandbox.doors import Door, Exchange

POS_ID = "dc728de1-51ef-4ef1-80f7-3b44b07b5667"
API_KEY = "2c2b91a3-9b73-4551-81ac-84e0d0360995"
SECRET = "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80"
HEADERS = {"X-API-AUTH": f"CPAY {API_KEY}:{SECRET}", "X-API-KEY": "fake-endpoints-key"}

# The published request of a void with its signatures (documented algorithm, published credentials).
BODY = (
    b'{"pos_id":"dc728de1-51ef-4ef1-80f7-3b44b07b5667","order_id":"123","order_currency":"UAH","comment":"10101",'
    b'"server_url":"https://callback.example.com/callback/"}'
)
HMAC_OF_BODY = "2c4ab136ef348e1daa46bb1afff2d59a6074fa29"
SHA1_OF_BODY = "d3d566f1543d43017145b6f2322d3eec7ac34abc"
FIELDS = [
    "operation_id", "payment_id", "order_id", "transaction_id", "pos_id", "mode", "method", "amount", "currency",
    "status", "status_code", "status_description", "created_at", "processing_time", "fee", "comment",
]  # fmt: skip
HELD = {"order_id": "123", "amount": 100, "currency": "UAH"}


class Line:
    """One sandbox, a receiver of its webhooks that answers `status`, and the calls that a test makes."""

    def __init__(self, folder: Path) -> None:
        self.forms: list[dict[str, str]] = []
        self.status = 200
        self.receiver = Door(0, self._take)
        self.url = f"http://127.0.0.1:{self.receiver.port}/hooks/financial-line"
        keys = {"pos_id": POS_ID, "api_key": API_KEY, "api_secret": SECRET, "endpoints_key": "fake-endpoints-key"}
        self.sandbox = sandbox.start(0, **keys, folder=folder, default_webhook_url=self.url)
        self.provider = urllib3.PoolManager(ca_certs=str(self.sandbox.ca_file), retries=False, timeout=1.0)

    def _take(self, exchange: Exchange) -> None:
        self.forms.append({name: values[0] for name, values in parse_qs(exchange.body.decode()).items()})
        exchange.send(self.status, "")

    def close(self) -> None:
        self.provider.clear()
        self.sandbox.stop()
        self.receiver.close()

    def control(self, call: str, content: Any = None, expect: int = 200, headers: dict[str, str] | None = None) -> Any:
        """`PUT settings`: of the control side."""
        method, path = call.split(" ")
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        with urllib3.PoolManager(retries=False, timeout=15.0) as pool:
            url = f"{self.sandbox.control_url}/{path if path.startswith('/') else f'sandbox/{path}'}"
            answer = pool.request(method, url, body=body, headers=headers)
        assert answer.status == expect, answer.data
        return answer.json()

    def hold(self, **faults: str) -> None:
        self.control("POST holds", HELD)
        if faults:
            self.control("PUT faults/123", faults)

    def order(self, order_id: str = "123") -> Any:
        return self.control(f"GET orders/{quote(order_id, safe='')}")

    def rows(self) -> list[tuple[str, str]]:
        return [(row["method"], row["status"]) for row in self.query().json()]

    def void(self, **changes: Any) -> urllib3.BaseHTTPResponse:
        request: dict[str, Any] = {"pos_id": POS_ID, "order_id": "123", "order_currency": "UAH", "comment": "10101"}
        request |= {"server_url": self.url} | changes
        return self.post(json.dumps({name: value for name, value in request.items() if value is not None}).encode())

    def post(self, body: bytes, **headers: str) -> urllib3.BaseHTTPResponse:
        url = f"{self.sandbox.provider_url}/api/v1/void"
        sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.provider.request("POST", url, body=body, headers=sent, redirect=False)

    def query(self, path: str = "123", **headers: str) -> urllib3.BaseHTTPResponse:
        sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.sandbox.provider_url}/api/v1/pos/{POS_ID}/orders/{path}"
        return self.provider.request("GET", url, headers=sent)

    def statuses(self) -> list[str]:
        return [decoded(form)["status"] for form in self.forms]

    def announced(self, *statuses: str) -> None:
        """Exactly these webhooks come."""
        eventually(lambda: len(self.forms) >= len(statuses))
        time.sleep(0.15)
        assert self.statuses() == list(statuses)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


def decoded(form: dict[str, str]) -> Any:
    return json.loads(base64.urlsafe_b64decode(form["data"]))


def eventually(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not ready():
        assert time.monotonic() < deadline, "did not happen within 5 s"
        time.sleep(0.01)


def is_genuine(form: dict[str, str], secret: str = SECRET) -> bool:
    command, data = ["openssl", "dgst", "-sha1", "-binary"], form["data"]
    digest = subprocess.run(command, input=(secret + data + secret).encode(), capture_output=True, check=True).stdout
    return form["signature"] == base64.urlsafe_b64encode(digest).decode()


# Who asks, and for what


PROOFS = {
    200: [f"CPAY {API_KEY}:{SECRET}", f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY}", f"CPAY-SHA1 {API_KEY}:{SHA1_OF_BODY}"],
    401: [f"CPAY {API_KEY}:wrong", f"CPAY other:{SECRET}", f"CPAY-HMAC {API_KEY}:{SHA1_OF_BODY}", "", f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY.upper()}",
          f"CPAY-SHA1 {API_KEY}:{HMAC_OF_BODY}", f"CPAY-HMAC-SHA256 {API_KEY}:{HMAC_OF_BODY}"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "proof"), [(status, proof) for status, proofs in PROOFS.items() for proof in proofs]
)
def test_credentials_are_checked_before_anything_else(line: Line, status: int, proof: str) -> None:
    line.hold(webhook="none")
    assert line.post(BODY, X_API_KEY="another-key").status == 401
    answer = line.post(BODY, X_API_AUTH=proof)
    assert answer.status == status
    assert answer.json().get("args") == (None if status == 200 else {"code": "S-403"})
    assert line.order()["voids_received"] == (status == 200)


def test_a_signature_covers_the_bytes_as_they_came_and_a_query_has_none(line: Line) -> None:
    line.hold()
    assert line.post(BODY + b" ", X_API_AUTH=f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY}").status == 401
    cyrillic = BODY.replace(b"10101", "клієнт".encode())
    signature = hmac.new(SECRET.encode(), cyrillic, hashlib.sha1).hexdigest()
    assert line.post(cyrillic, X_API_AUTH=f"CPAY-HMAC {API_KEY}:{signature}").json()["comment"] == "клієнт"
    of_nothing = hmac.new(SECRET.encode(), b"", hashlib.sha1).hexdigest()
    assert line.query(X_API_AUTH=f"CPAY-HMAC {API_KEY}:{of_nothing}").status == 401
    assert line.query("0").status == 404  # the documented check of credentials
    with pytest.raises(urllib3.exceptions.SSLError), urllib3.PoolManager(retries=False) as stranger:
        stranger.request("GET", f"{line.sandbox.provider_url}/health")


@pytest.mark.parametrize(
    ("body", "status", "args"),
    [
        (b"[]", 400, {"obj": [{"msg": ["error.expected.jsobject"], "args": []}]}),
        (b"{", 406, {}),
        (b"\xff", 406, {}),
        (b"", 406, {}),
        (BODY.replace(POS_ID.encode(), API_KEY.encode()), 401, {"code": "S-404"}),
        (BODY.replace(b'"123"', b'"124"'), 404, {}),  # no S- code: an unknown order is no credentials error
        (BODY.replace(b"UAH", b"USD"), 400, {}),
    ],
)
def test_what_cannot_be_voided_is_refused(line: Line, body: bytes, status: int, args: Any) -> None:
    line.hold()
    answer = line.post(body)
    assert (answer.status, answer.json()["args"]) == (status, args)
    assert line.rows() == [("auth", "success")]


def test_fields_that_break_the_rules_are_all_named(line: Line) -> None:
    answer = line.void(pos_id=None, order_id="x" * 33, order_currency=7, comment="c" * 2049, server_url="nonsense")
    named = [entry["field_name"] for entry in answer.json()["args"]]
    assert (answer.status, named) == (400, ["pos_id", "order_id", "order_currency", "comment", "server_url"])


def test_a_void_answers_with_all_sixteen_fields_and_keeps_the_digits_of_amounts(line: Line) -> None:
    line.control("POST holds", b'{"order_id":"123","amount":1234567890123456.70,"currency":"UAH"}')
    answer = line.void()
    said = answer.json()
    assert list(said) == FIELDS
    assert (said["method"], said["status_code"], said["comment"]) == ("void", "1009", "10101")
    assert said["payment_id"] == line.order()["operations"][0]["payment_id"]
    assert b'"amount":1234567890123456.70,' in answer.data
    assert b'"amount":1234567890123456.70,' in line.query().data


@pytest.mark.parametrize("order_id", ["INV-2024/000123", "замовлення №7", "50%2F", "a b+c"])
def test_any_order_id_works_in_a_path(line: Line, order_id: str) -> None:
    line.control("POST holds", HELD | {"order_id": order_id})
    path = quote(order_id, safe="")
    assert line.query(f"{path}/void").status == 404
    assert line.void(order_id=order_id).status == 200
    assert [row["method"] for row in line.query(path).json()] == ["auth", "void"]
    assert [row["method"] for row in line.query(f"{path}/void").json()] == ["void"]
    assert line.order(order_id)["voids_executed"] == 1


def test_unknown_paths_and_methods(line: Line) -> None:
    for path, status in (("/health", 200), ("/api/v1/nothing", 404), ("/api/v1/void", 405)):
        assert line.provider.request("GET", line.sandbox.provider_url + path).status == status


def test_one_of_racing_voids_is_executed_and_a_second_one_if_that_is_wanted(line: Line) -> None:
    line.hold()
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(line.void().status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [400] * 7
    line.control("PUT settings", {"second_void": "execute"})
    assert line.void().status == 200
    assert (line.order()["voids_received"], line.order()["voids_executed"]) == (9, 2)


# How the next void goes: fault of the answer, HTTP status or what breaks, voids executed, webhooks

LATE, RESET, CUT = urllib3.exceptions.ReadTimeoutError, ConnectionResetError, http.client.IncompleteRead
ANSWERS = [
    ("success", 200, 1, ["success"]), ("pending", 200, 0, ["pending"]), ("pending_then_failure", 200, 0, ["failure"]),
    ("failure", 200, 0, ["failure"]), ("timeout_executed", LATE, 1, ["success"]), ("timeout_not_executed", LATE, 0, []),
    ("reset_executed", RESET, 1, ["success"]), ("reset_not_executed", RESET, 0, []), ("http_400", 400, 0, []),
    ("http_401", 401, 0, []), ("http_404", 404, 0, []), ("http_429", 429, 0, []), ("http_503", 503, 0, []),
    ("http_500_executed", 500, 1, ["success"]), ("http_500_not_executed", 500, 0, []), ("garbage", 200, 1, ["success"]),
    ("truncated", CUT, 1, ["success"]), ("redirect", 302, 1, ["success"]), ("wrong_order", 200, 1, ["success"]),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "how", "executed", "webhooks"), ANSWERS)
def test_a_fault_of_the_answer(line: Line, fault: str, how: Any, executed: int, webhooks: list[str]) -> None:
    line.hold(answer=fault)
    try:
        answer = line.void()
    except urllib3.exceptions.HTTPError as broken:
        said: Any = [type(broken), *map(type, broken.args)]
    else:
        shown = {"garbage": b"works!", "wrong_order": b'"not-123"', "http_401": b'"S-403"', "http_404": b'"args":{}'}
        said = [answer.status]
        assert shown.get(fault, fault.partition("_")[0].encode() if how == 200 else b"") in answer.data
    assert how in said
    assert line.order()["voids_executed"] == executed
    line.announced(*webhooks)
    assert line.void().status == (200 if webhooks in ([], ["failure"]) else 400)  # a fault works once


WEBHOOKS = [
    ("success", "once", ["success"]),
    ("success", "twice", ["success", "success"]),
    ("success", "none", []),
    ("success", "before_answer", ["success"]),
    ("success", "failure_then_success", ["failure", "success"]),
    ("success", "success_then_failure", ["success", "failure"]),
    ("failure", "failure_then_success", ["failure", "success"]),
    ("http_400", "once", []),
]


@pytest.mark.parametrize(("answer", "mode", "statuses"), WEBHOOKS)
def test_genuine_webhooks(line: Line, answer: str, mode: str, statuses: list[str]) -> None:
    line.hold(answer=answer, webhook=mode)
    said = line.void().json()
    assert line.statuses() == (["success"] if mode == "before_answer" else [])
    assert said.get("status") in (answer, None)
    line.announced(*statuses)
    assert all(is_genuine(form) for form in line.forms)
    assert line.order()["voids_executed"] == (answer != "http_400")
    assert not statuses or decoded(line.forms[statuses.index("success")]).keys() == said.keys()
    sent = line.order()["webhooks"]
    assert [(each["status"], each["data"]) for each in sent] == [(200, form["data"]) for form in line.forms]


@pytest.mark.parametrize(("answer", "mode"), [("success", "forged"), ("http_400", "forged"), ("success", "unreadable")])
def test_webhooks_that_are_none(line: Line, answer: str, mode: str) -> None:
    genuine = mode == "unreadable"
    line.hold(answer=answer, webhook=mode)
    line.void()
    eventually(lambda: len(line.forms) == 1)
    assert is_genuine(line.forms[0]) == genuine
    if genuine:
        with pytest.raises(ValueError):
            decoded(line.forms[0])
    else:
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


QUERIES = [
    ("not_found", 404, 200), ("http_500", 500, 200), ("timeout", None, 200),
    ("stale", ["auth"], ["auth", "void"]), ("wrong_order", ["not-123", "not-123"], ["123", "123"]),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "first", "then"), QUERIES)
def test_a_fault_of_the_query_waits_for_it_and_works_once(line: Line, fault: str, first: Any, then: Any) -> None:
    line.hold(query=fault)
    line.void()

    def seen() -> Any:
        try:
            answer = line.query()
        except urllib3.exceptions.ReadTimeoutError:
            return None
        if isinstance(then, int):
            return answer.status
        return [row["order_id" if fault == "wrong_order" else "method"] for row in answer.json()]

    assert [seen(), seen()] == [first, then]


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
    body = BODY.replace(b"https://callback.example.com/callback/", line.url.encode())
    assert line.post(body, X_API_AUTH=f"CPAY {API_KEY}:changeme").status == 200
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


@pytest.mark.parametrize(
    ("call", "content", "named"),
    [
        ("PUT faults/1", {"answer": "explode"}, "answer: one of success, pending"),
        ("PUT faults/1", {"answer": ["success"]}, "answer"),
        ("PUT faults/1", {"mood": "bad"}, "unknown: mood"),
        ("PUT settings", {"listening": 1}, "listening"),
        ("PUT settings", {"second_void": "maybe"}, "second_void"),
        ("PUT settings", {"api_secret": ""}, "api_secret"),
        ("PUT settings", {"differs": ["mood"]}, "differs"),
        ("PUT settings", {"differs": {"fee": True}}, "differs"),
        ("PUT settings", {"ids": {"post": []}}, "ids"),
        ("PUT settings", {"ids": {"list": ["payment_id"]}}, "ids"),
        ("POST holds", {"order_id": "1", "amount": "a lot", "currency": "UAH"}, "amount"),
        ("POST holds", {"order_id": "", "amount": 1, "currency": "UAH"}, "order_id"),
        ("POST holds", {"order_id": "1", "amount": True, "currency": "UAH"}, "amount"),
        ("POST holds", [], "not a JSON object"),
        ("POST holds", b"{", "not JSON"),
        ("POST holds", b'{"order_id": "\\ud83d"}', "half of a surrogate pair"),
        ("POST sign", b'{"data": "\\ud83d"}', "half of a surrogate pair"),
        ("POST sign", {}, "data"),
        ("POST webhooks/unknown", None, "no webhook"),
        ("POST orders/unknown/void", None, "Payment not found"),
        ("POST orders/1/operations", {"status": "success"}, "method"),
        ("POST orders/1/operations", {"method": "void"}, "status"),
        ("POST orders/1/operations", {"method": "void", "status": "x", "webhook": "often"}, "webhook: one of once"),
        ("POST orders/1/operations", {"method": "void", "status": "x", "operation_id": 1}, "operation_id"),
        ("GET nothing", None, "there is no GET"),
    ],
)
def test_nonsense_on_the_control_side_is_explained(line: Line, call: str, content: Any, named: str) -> None:
    assert named in line.control(call, content, expect=400)["error"]


SENDERS = {
    200: ["Host: localhost:8081", "Host: [::1]:8081", "Host: 127.0.0.1", "Host: 127.0.0.1:8081|Origin: http://127.0.0.1:8081|Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"],
    403: ["Host: attacker.example", "Host: 127.0.0.1.attacker.example:8081", "Host: ", "Origin: https://attacker.example", "Origin: null",
          "Origin: http://127.0.0.1:8082", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("expect", "sender"), [(expect, sender) for expect, senders in SENDERS.items() for sender in senders]
)
def test_a_page_of_another_site_gives_no_orders(line: Line, expect: int, sender: str) -> None:
    headers = dict(header.split(": ") for header in sender.split("|"))
    line.control("POST holds", HELD, expect, headers)
    assert len(line.order()["operations"]) == (expect == 200)
    said = line.control("GET /", None, expect, headers)
    assert expect == 403 or (said["provider"] == line.sandbox.provider_url and "PUT /sandbox/settings" in said["calls"])


def test_stopping_ends_what_is_held(line: Line) -> None:
    line.hold(answer="timeout_executed")
    line.provider.connection_pool_kw["timeout"] = 20.0
    outcome: list[BaseException] = []

    def void() -> None:
        try:
            line.void()
        except urllib3.exceptions.HTTPError as error:
            outcome.append(error)

    caller = threading.Thread(target=void)
    caller.start()
    eventually(lambda: line.order()["voids_executed"] == 1)
    started = time.monotonic()
    line.sandbox.stop()
    caller.join(5)
    assert time.monotonic() - started < 2
    assert isinstance(outcome[0], urllib3.exceptions.ProtocolError)
