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
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import urllib3

from local import sandbox
from local.sandbox.doors import Door, Exchange

POS_ID = "dc728de1-51ef-4ef1-80f7-3b44b07b5667"
API_KEY = "2c2b91a3-9b73-4551-81ac-84e0d0360995"
SECRET = "ktMdTyollYMRkEfvgqbaWmvFiXPy1a80"
ENDPOINTS_KEY = "fake-endpoints-key"
HEADERS = {"X-API-AUTH": f"CPAY {API_KEY}:{SECRET}", "X-API-KEY": ENDPOINTS_KEY, "Content-Type": "application/json"}

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


class Receiver:
    """Takes webhooks and answers them with `status`."""

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.status = 200
        self.door = Door(0, self._take)
        self.url = f"http://127.0.0.1:{self.door.port}/hooks/financial-line"

    def _take(self, exchange: Exchange) -> None:
        self.forms.append({name: values[0] for name, values in parse_qs(exchange.body.decode()).items()})
        exchange.send(self.status, "")

    def statuses(self) -> list[str]:
        return [decoded(form)["status"] for form in self.forms]


class Line:
    """One sandbox, its receiver, and the calls that a test makes."""

    def __init__(self, folder: Path) -> None:
        self.receiver = Receiver()
        self.sandbox = sandbox.start(
            0,
            pos_id=POS_ID,
            api_key=API_KEY,
            api_secret=SECRET,
            endpoints_key=ENDPOINTS_KEY,
            folder=folder,
            default_webhook_url=self.receiver.url,
        )
        self.provider = urllib3.PoolManager(ca_certs=str(self.sandbox.ca_file), retries=False, timeout=1.0)
        self._control = urllib3.PoolManager(retries=False, timeout=15.0)

    def close(self) -> None:
        self.provider.clear()
        self._control.clear()
        self.sandbox.stop()
        self.receiver.door.close()

    def control(self, method: str, path: str, content: Any = None, expect: int = 200) -> Any:
        body = None if content is None else json.dumps(content)
        answer = self._control.request(method, f"{self.sandbox.control_url}/sandbox/{path}", body=body)
        assert answer.status == expect, answer.data
        return answer.json()

    def hold(self, order_id: str = "123", currency: str = "UAH") -> None:
        self.control("POST", "holds", {"order_id": order_id, "amount": 100, "currency": currency})

    def faults(self, **names: str) -> None:
        self.control("PUT", "faults/123", names)

    def order(self, order_id: str = "123") -> Any:
        return self.control("GET", f"orders/{quote(order_id, safe='')}")

    def void(self, **changes: Any) -> urllib3.BaseHTTPResponse:
        request: dict[str, Any] = {"pos_id": POS_ID, "order_id": "123", "order_currency": "UAH", "comment": "10101"}
        request |= {"server_url": self.receiver.url} | changes
        return self.post(json.dumps({name: value for name, value in request.items() if value is not None}).encode())

    def post(self, body: bytes, headers: dict[str, str] = HEADERS) -> urllib3.BaseHTTPResponse:
        return self.provider.request(
            "POST", f"{self.sandbox.provider_url}/api/v1/void", body=body, headers=headers, redirect=False
        )

    def query(self, path: str = "123", headers: dict[str, str] = HEADERS) -> urllib3.BaseHTTPResponse:
        return self.provider.request(
            "GET", f"{self.sandbox.provider_url}/api/v1/pos/{POS_ID}/orders/{path}", headers=headers
        )

    def executed(self) -> int:
        return int(self.order()["voids_executed"])


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


def openssl_signature(secret: str, data: str) -> str:
    command = ["openssl", "dgst", "-sha1", "-binary"]
    digest = subprocess.run(command, input=(secret + data + secret).encode(), capture_output=True, check=True).stdout
    return base64.urlsafe_b64encode(digest).decode()


# Authentication


@pytest.mark.parametrize(
    "proof", [f"CPAY {API_KEY}:{SECRET}", f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY}", f"CPAY-SHA1 {API_KEY}:{SHA1_OF_BODY}"]
)
def test_each_scheme_accepts_the_published_proof(line: Line, proof: str) -> None:
    line.hold()
    line.faults(webhook="none")
    answer = line.post(BODY, HEADERS | {"X-API-AUTH": proof})
    assert (answer.status, answer.json()["status"]) == (200, "success")


@pytest.mark.parametrize(
    "wrong",
    [
        {"X-API-AUTH": f"CPAY {API_KEY}:wrong"},
        {"X-API-AUTH": f"CPAY other:{SECRET}"},
        {"X-API-AUTH": f"CPAY-HMAC {API_KEY}:{SHA1_OF_BODY}"},
        {"X-API-AUTH": f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY.upper()}"},
        {"X-API-AUTH": f"CPAY-SHA1 {API_KEY}:{HMAC_OF_BODY}"},
        {"X-API-AUTH": f"CPAY-HMAC-SHA256 {API_KEY}:{HMAC_OF_BODY}"},
        {"X-API-AUTH": ""},
        {"X-API-KEY": "another-key"},
    ],
)
def test_wrong_credentials_are_refused_before_anything_else(line: Line, wrong: dict[str, str]) -> None:
    line.hold()
    answer = line.post(BODY, HEADERS | wrong)
    assert (answer.status, answer.json()["args"]) == (401, {"code": "S-403"})
    assert line.order()["voids_received"] == 0


def test_a_signature_covers_the_received_bytes(line: Line) -> None:
    line.hold()
    assert line.post(BODY + b" ", HEADERS | {"X-API-AUTH": f"CPAY-HMAC {API_KEY}:{HMAC_OF_BODY}"}).status == 401
    cyrillic = json.dumps(
        {"pos_id": POS_ID, "order_id": "123", "order_currency": "UAH", "comment": "клієнт"}, ensure_ascii=False
    ).encode()
    signature = hmac.new(SECRET.encode(), cyrillic, hashlib.sha1).hexdigest()
    assert line.post(cyrillic, HEADERS | {"X-API-AUTH": f"CPAY-HMAC {API_KEY}:{signature}"}).status == 200


def test_a_query_takes_the_plain_scheme_only(line: Line) -> None:
    line.hold()
    of_nothing = hmac.new(SECRET.encode(), b"", hashlib.sha1).hexdigest()
    assert line.query().status == 200
    assert line.query(headers=HEADERS | {"X-API-AUTH": f"CPAY-HMAC {API_KEY}:{of_nothing}"}).status == 401
    assert line.query("0").status == 404  # the documented check of credentials


def test_tls_is_real(line: Line) -> None:
    with pytest.raises(urllib3.exceptions.SSLError), urllib3.PoolManager(retries=False) as stranger:
        stranger.request("GET", f"{line.sandbox.provider_url}/health")
    assert line.provider.request("GET", f"{line.sandbox.provider_url}/health").data == b"OK"


# The void itself


def test_a_void_answers_with_all_sixteen_fields(line: Line) -> None:
    line.control("POST", "holds", {"order_id": "123", "amount": 100, "currency": "UAH"})
    answer = line.void()
    assert list(answer.json()) == FIELDS
    assert answer.json() | {"method": "void", "amount": 100, "status_code": "1009", "comment": "10101"} == answer.json()
    assert answer.json()["payment_id"] == line.order()["operations"][0]["payment_id"]


def test_amounts_keep_their_digits(line: Line) -> None:
    raw = b'{"order_id":"123","amount":1234567890123456.70,"currency":"UAH"}'
    urllib3.request("POST", f"{line.sandbox.control_url}/sandbox/holds", body=raw)
    assert b'"amount":1234567890123456.70,' in line.void().data
    assert b'"amount":1234567890123456.70,' in line.query().data


def test_fields_that_break_the_rules_are_all_named(line: Line) -> None:
    answer = line.void(pos_id=None, order_id="x" * 33, order_currency=7, comment="c" * 2049, server_url="nonsense")
    assert answer.status == 400
    named = [entry["field_name"] for entry in answer.json()["args"]]
    assert named == ["pos_id", "order_id", "order_currency", "comment", "server_url"]


@pytest.mark.parametrize(("body", "status"), [(b"[]", 400), (b"{", 406), (b"\xff", 406), (b"", 406)])
def test_a_body_that_is_no_json_object_is_refused(line: Line, body: bytes, status: int) -> None:
    assert line.post(body).status == status


def test_an_unknown_order_is_not_a_credentials_error(line: Line) -> None:
    answer = line.void()
    assert (answer.status, answer.json()["args"]) == (404, {})
    assert isinstance(answer.json()["message"], str)


def test_a_foreign_pos_id_is(line: Line) -> None:
    answer = line.void(pos_id=API_KEY)
    assert (answer.status, answer.json()["args"]["code"]) == (401, "S-404")


def test_another_currency_is_refused(line: Line) -> None:
    line.hold()
    assert line.void(order_currency="USD").status == 400
    assert line.executed() == 0


def test_a_captured_payment_is_not_voided(line: Line) -> None:
    line.hold()
    assert [item["method"] for item in line.control("POST", "orders/123/capture")["operations"]] == ["auth", "capture"]
    assert line.void().status == 400
    line.control("POST", "orders/123/void", expect=400)
    assert line.executed() == 0


def test_a_second_void_is_refused_unless_told_to_execute_it(line: Line) -> None:
    line.hold()
    assert line.void().status == 200
    assert line.void().status == 400
    line.control("PUT", "settings", {"second_void": "execute"})
    assert line.void().status == 200
    assert (line.order()["voids_received"], line.executed()) == (3, 2)


def test_racing_voids_are_executed_once(line: Line) -> None:
    line.hold()
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(line.void().status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [400] * 7
    assert line.executed() == 1


@pytest.mark.parametrize("order_id", ["INV-2024/000123", "замовлення №7", "50%2F", "a b+c"])
def test_any_order_id_works_in_a_path(line: Line, order_id: str) -> None:
    line.hold(order_id)
    assert line.void(order_id=order_id).status == 200
    assert [item["method"] for item in line.query(quote(order_id, safe="")).json()] == ["auth", "void"]
    assert line.order(order_id)["voids_executed"] == 1


def test_one_operation_can_be_queried(line: Line) -> None:
    line.hold()
    assert line.query("123/void").status == 404
    line.void()
    assert [item["method"] for item in line.query("123/void").json()] == ["void"]


def test_unknown_paths_and_methods(line: Line) -> None:
    url = line.sandbox.provider_url
    assert line.provider.request("GET", f"{url}/api/v1/nothing").status == 404
    assert line.provider.request("GET", f"{url}/api/v1/void").status == 405


# Faults of the answer


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("http_400", 400, None),
        ("http_401", 401, "S-403"),
        ("http_404", 404, None),
        ("http_429", 429, None),
        ("http_500_not_executed", 500, None),
        ("http_503", 503, None),
    ],
)
def test_an_error_answer_executes_nothing(line: Line, fault: str, status: int, code: str | None) -> None:
    line.hold()
    line.faults(answer=fault)
    answer = line.void()
    assert (answer.status, answer.json()["args"].get("code")) == (status, code)
    assert line.executed() == 0
    time.sleep(0.2)
    assert line.order()["webhooks"] == []
    assert line.void().status == 200  # a fault works once


@pytest.mark.parametrize(("fault", "executed"), [("timeout_executed", 1), ("timeout_not_executed", 0)])
def test_a_held_answer_never_comes(line: Line, fault: str, executed: int) -> None:
    line.hold()
    line.faults(answer=fault)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        line.void()
    assert line.executed() == executed
    assert len(line.receiver.forms) == executed  # the webhook overtakes the answer


@pytest.mark.parametrize(("fault", "executed"), [("reset_executed", 1), ("reset_not_executed", 0)])
def test_a_reset_is_a_reset(line: Line, fault: str, executed: int) -> None:
    line.hold()
    line.faults(answer=fault)
    with pytest.raises(urllib3.exceptions.ProtocolError) as caught:
        line.void()
    assert isinstance(caught.value.args[1], ConnectionResetError)
    assert line.executed() == executed


def test_an_internal_error_may_hide_a_success(line: Line) -> None:
    line.hold()
    line.faults(answer="http_500_executed")
    assert line.void().status == 500
    assert line.executed() == 1


@pytest.mark.parametrize("fault", ["garbage", "redirect", "wrong_order"])
def test_an_answer_may_say_nothing_about_the_void(line: Line, fault: str) -> None:
    line.hold()
    line.faults(answer=fault)
    answer = line.void()
    match fault:
        case "garbage":
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
            with pytest.raises(ValueError):
                answer.json()
        case "redirect":
            assert (answer.status, answer.headers["Location"][:5]) == (302, "/api/")
        case "wrong_order":
            assert (answer.status, answer.json()["order_id"]) == (200, "not-123")
    assert line.executed() == 1


def test_an_answer_may_be_cut_in_half(line: Line) -> None:
    line.hold()
    line.faults(answer="truncated")
    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        line.void()
    assert line.executed() == 1


def test_a_void_may_be_refused_in_a_2xx(line: Line) -> None:
    line.hold()
    line.faults(answer="failure")
    answer = line.void()
    assert (answer.status, answer.json()["status"], answer.json()["status_code"]) == (200, "failure", "4150")
    eventually(lambda: line.receiver.statuses() == ["failure"])
    assert line.executed() == 0


def test_a_pending_void_stays_pending(line: Line) -> None:
    line.hold()
    line.faults(answer="pending")
    assert line.void().json()["status"] == "pending"
    eventually(lambda: line.receiver.statuses() == ["pending"])
    assert line.query("123/void").json()[0]["status"] == "pending"
    assert line.executed() == 0


def test_a_pending_void_may_fail_after_a_second(line: Line) -> None:
    line.hold()
    line.faults(answer="pending_then_failure")
    started = time.monotonic()
    assert line.void().json()["status"] == "pending"
    eventually(lambda: line.receiver.statuses() == ["failure"])
    assert time.monotonic() - started > 1
    assert line.query("123/void").json()[0]["status"] == "failure"


# Faults of the query


def test_each_query_fault_works_once(line: Line) -> None:
    line.hold()
    line.void()
    line.faults(query="not_found")
    assert (line.query().status, line.query().status) == (404, 200)
    line.faults(query="http_500")
    assert (line.query().status, line.query().status) == (500, 200)
    line.faults(query="stale")
    assert [len(line.query().json()), len(line.query().json())] == [1, 2]
    line.faults(query="wrong_order")
    assert {item["order_id"] for item in line.query().json()} == {"not-123"}
    line.faults(query="timeout")
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        line.query()
    assert line.query().status == 200


def test_the_fault_of_a_query_waits_for_the_query(line: Line) -> None:
    line.hold()
    line.faults(answer="http_404", query="not_found")
    assert (line.void().status, line.query().status, line.query().status) == (404, 404, 200)


# Webhooks


def test_a_webhook_is_signed_as_openssl_signs_it(line: Line) -> None:
    line.hold()
    answer = line.void().json()
    eventually(lambda: len(line.receiver.forms) == 1)
    form = line.receiver.forms[0]
    assert decoded(form) == answer
    assert form["signature"] == openssl_signature(SECRET, form["data"])
    eventually(lambda: len(line.order()["webhooks"]) == 1)
    sent = line.order()["webhooks"][0]
    assert (sent["url"], sent["status"], sent["data"]) == (line.receiver.url, 200, form["data"])


def test_the_published_webhook_signature(line: Line) -> None:
    line.control("PUT", "settings", {"api_secret": "changeme"})
    assert line.control("POST", "sign", {"data": {"name": "Joe", "age": 20}}) == {
        "data": "eyJuYW1lIjoiSm9lIiwiYWdlIjoyMH0=",
        "signature": "Bcj3hb-h00HrEMIoJ5nPW5ZHlVQ=",
    }


@pytest.mark.parametrize(
    ("mode", "statuses"),
    [
        ("once", ["success"]),
        ("twice", ["success", "success"]),
        ("failure_then_success", ["failure", "success"]),
        ("success_then_failure", ["success", "failure"]),
    ],
)
def test_webhook_modes(line: Line, mode: str, statuses: list[str]) -> None:
    line.hold()
    line.faults(webhook=mode)
    line.void()
    eventually(lambda: len(line.receiver.forms) == len(statuses))
    time.sleep(0.1)
    assert line.receiver.statuses() == statuses
    assert line.executed() == 1


def test_a_refused_void_may_turn_out_to_have_succeeded(line: Line) -> None:
    line.hold()
    line.faults(answer="failure", webhook="failure_then_success")
    assert line.void().json()["status"] == "failure"
    assert line.query("123/void").json()[0]["status"] == "failure"
    eventually(lambda: line.receiver.statuses() == ["failure", "success"])
    assert line.executed() == 1


def test_a_webhook_may_come_before_the_answer(line: Line) -> None:
    line.hold()
    line.faults(webhook="before_answer")
    line.void()
    assert line.receiver.statuses() == ["success"]
    time.sleep(0.2)
    assert line.receiver.statuses() == ["success"]


@pytest.mark.parametrize("answer", ["success", "http_400"])
def test_a_forged_webhook_comes_with_and_without_an_operation(line: Line, answer: str) -> None:
    line.hold()
    line.faults(answer=answer, webhook="forged")
    line.void()
    eventually(lambda: len(line.receiver.forms) == 1)
    form = line.receiver.forms[0]
    assert decoded(form)["status"] == "success"
    assert form["signature"] != openssl_signature(SECRET, form["data"])


def test_an_unreadable_webhook_is_genuine(line: Line) -> None:
    line.hold()
    line.faults(webhook="unreadable")
    line.void()
    eventually(lambda: len(line.receiver.forms) == 1)
    form = line.receiver.forms[0]
    assert form["signature"] == openssl_signature(SECRET, form["data"])
    with pytest.raises(ValueError):
        decoded(form)


def test_a_suppressed_webhook_can_be_sent_by_hand(line: Line) -> None:
    line.hold()
    line.faults(webhook="none")
    operation = line.void().json()
    time.sleep(0.2)
    assert line.receiver.forms == []
    line.receiver.status = 503
    assert line.control("POST", "webhooks/123")["status"] == 503
    assert decoded(line.receiver.forms[0]) == operation
    assert [sent["status"] for sent in line.order()["webhooks"]] == [503]  # and it is not sent again


def test_a_receiver_out_of_reach_is_recorded(line: Line) -> None:
    line.receiver.door.close()
    line.hold()
    line.void()
    eventually(lambda: len(line.order()["webhooks"]) == 1)
    assert line.order()["webhooks"][0]["status"] is None
    assert line.order()["webhooks"][0]["error"]


def test_a_void_in_the_portal_is_announced_to_the_last_known_url(line: Line) -> None:
    line.hold()
    assert line.control("POST", "orders/123/void")["voids_executed"] == 1
    eventually(lambda: line.receiver.statuses() == ["success"])
    assert line.order()["voids_received"] == 0
    assert line.void().status == 400


# Settings and the control side


def test_a_rotated_secret_holds_from_now_on(line: Line) -> None:
    line.hold()
    line.control("POST", "sign", {"data": 1, "secret": "previous"}, expect=400)
    line.control("PUT", "settings", {"api_secret": "rotated"})
    assert line.void().status == 401
    answer = line.post(BODY.replace(b"https://callback.example.com/callback/", line.receiver.url.encode()), HEADERS | {
        "X-API-AUTH": f"CPAY {API_KEY}:rotated"
    })  # fmt: skip
    assert answer.status == 200
    eventually(lambda: len(line.receiver.forms) == 1)
    form = line.receiver.forms[0]
    assert form["signature"] == openssl_signature("rotated", form["data"])
    old = line.control("POST", "sign", {"data": {"any": "thing"}, "secret": "previous"})
    assert old["signature"] == openssl_signature(SECRET, old["data"])


def test_a_provider_that_does_not_listen_refuses_connections(line: Line) -> None:
    line.hold()
    assert line.query().status == 200  # leaves an idle connection, which must not survive
    assert line.control("PUT", "settings", {"listening": False}) == {"second_void": "refuse", "listening": False}
    with pytest.raises((urllib3.exceptions.NewConnectionError, urllib3.exceptions.ProtocolError)):
        line.void()
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        line.void()
    line.control("PUT", "settings", {"listening": True})
    assert line.void().status == 200


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("PUT", "faults/1", {"answer": "explode"}),
        ("PUT", "faults/1", {"answer": ["success"]}),
        ("PUT", "faults/1", {"mood": "bad"}),
        ("PUT", "settings", {"listening": 1}),
        ("PUT", "settings", {"second_void": "maybe"}),
        ("PUT", "settings", {"api_secret": ""}),
        ("POST", "holds", {"order_id": "1", "amount": "a lot", "currency": "UAH"}),
        ("POST", "holds", {"order_id": "", "amount": 1, "currency": "UAH"}),
        ("POST", "holds", {"order_id": "1", "amount": True, "currency": "UAH"}),
        ("POST", "holds", []),
        ("POST", "webhooks/unknown", None),
        ("POST", "orders/unknown/void", None),
        ("POST", "sign", {}),
        ("GET", "nothing", None),
    ],
)
def test_nonsense_on_the_control_side_is_explained(line: Line, method: str, path: str, content: Any) -> None:
    assert isinstance(line.control(method, path, content, expect=400)["error"], str)


def test_an_order_has_one_hold(line: Line) -> None:
    line.hold()
    line.control("POST", "holds", {"order_id": "123", "amount": 1, "currency": "UAH"}, expect=400)


def test_stopping_ends_what_is_held(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.hold()
    line.faults(answer="timeout_executed")
    outcome: list[BaseException] = []

    def void() -> None:
        try:
            line.provider.request(
                "POST",
                f"{line.sandbox.provider_url}/api/v1/void",
                body=json.dumps({"pos_id": POS_ID, "order_id": "123", "order_currency": "UAH"}),
                headers=HEADERS,
                timeout=20.0,
            )
        except urllib3.exceptions.HTTPError as error:
            outcome.append(error)

    caller = threading.Thread(target=void)
    caller.start()
    eventually(lambda: line.executed() == 1)
    started = time.monotonic()
    line.close()
    caller.join(5)
    assert time.monotonic() - started < 2
    assert isinstance(outcome[0], urllib3.exceptions.ProtocolError)


# Who may give orders


def asked(line: Line, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, Any]:
    """With the headers exactly as given: a browser sets Host and Origin, and no page can change them."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(line.sandbox.control_url).port, timeout=5)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": "127.0.0.1:8081", "Content-Length": str(len(body))} | headers).items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "127.0.0.1.attacker.example:8081"},
        {"Host": ""},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8082"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_gives_no_orders(line: Line, headers: dict[str, str]) -> None:
    body = b'{"order_id":"123","amount":1,"currency":"UAH"}'
    status, answer = asked(line, "POST", "/sandbox/holds", headers, body)
    assert (status, list(answer)) == (403, ["error"])
    assert line.order()["operations"] == []
    assert asked(line, "GET", "/sandbox/orders/123", headers)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:8081"},
        {"Host": "[::1]:8081"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://127.0.0.1:8081", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_this_machine_gives_orders(line: Line, headers: dict[str, str]) -> None:
    body = b'{"order_id":"123","amount":1,"currency":"UAH"}'
    assert asked(line, "POST", "/sandbox/holds", headers, body)[0] == 200


def test_the_control_side_says_what_it_is(line: Line) -> None:
    status, answer = asked(line, "GET", "/", {})
    assert status == 200
    assert "sandbox" in answer["what"]
    assert answer["provider"] == line.sandbox.provider_url
    assert "PUT /sandbox/settings" in answer["calls"]


# In what it may differ from what the service assumes. What each difference does is seen by tests of the acceptance.


def test_settings_that_name_no_difference_are_answered_as_ever(line: Line) -> None:
    answer = urllib3.request("PUT", f"{line.sandbox.control_url}/sandbox/settings", body=b'{"second_void":"refuse"}')
    assert answer.data == b'{"second_void":"refuse","listening":true}'


def test_differences_are_named_and_all_that_are_not_named_end(line: Line) -> None:
    def differs(*names: str) -> Any:
        return line.control("PUT", "settings", {"differs": list(names)})["differs"]

    assert differs("fee", "amount") == ["amount", "fee"]
    assert differs("fee") == ["fee"]
    line.hold()
    assert line.query().json()[0]["fee"] == 1.5
    assert differs() == []
    assert line.query().json()[0]["fee"] is None


@pytest.mark.parametrize("names", [["mood"], "fee", [1], {"fee": True}])
def test_an_unknown_difference_is_refused(line: Line, names: Any) -> None:
    assert "differs" in line.control("PUT", "settings", {"differs": names}, expect=400)["error"]
