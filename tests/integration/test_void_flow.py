"""A void from hold to record over real sockets: gateway, functions, table, secret and sandbox, as `make run` has them.

Requests are signed by botocore, webhooks by the sandbox. What a merchant's way consists of (submit, repeat, read, list, be
refused) goes by token, too. Each answer of the provider with each webhook is in test_real_faults.py, each rule of a request
in the unit tests of its function.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from local.merchant import send
from local.service import CREDENTIALS, Service
from tests.fakes.table import unzipped
from tests.integration.client import FORM, JSON, POS_ID, Client, TokenClient, eventually, problem, token_of

MOVING = {"version", "revision", "webhooks", "webhooks_truncated"}
"""What moves with each webhook that is stored, and what only a read shows."""


@pytest.fixture(params=["signed", "by token"])
def either(service: Service, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The same merchant in each form of a call."""
    if request.param == "signed":
        return Client(service)
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    return TokenClient(service, token_of(service, "shop"))


# ---- the way of a void -----------------------------------------------------------------------------------------------


def still(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in MOVING}


def test_a_void_goes_out_a_webhook_comes_in_and_the_record_says_both(either: Client) -> None:
    """Text in any script and amounts of any size keep what they say."""
    order_id, comment = f"50%2F+&=?# замовлення №7 {uuid4().hex[:6]}", "Скасування резерву — клієнт 🙂 " * 60
    hold = f'{{"order_id":{json.dumps(order_id)},"amount":1234567890123456.70,"currency":"UAH"}}'
    send("POST", f"{either.service.sandbox_url}/sandbox/holds", hold.encode())
    answer, ledger = either.submit(order_id, comment=comment), partial(either.ledger, quote(order_id, safe=""))
    void = answer.json
    assert (answer.status, void["state"], "Idempotency-Replayed" in answer.headers) == (200, "voided", False)
    assert b'"amount":1234567890123456.70,' in answer.body
    assert void["comment"] == void["provider"]["comment"] == comment
    assert void["provider"] == ledger()["operations"][1]
    steps = [(step["state"], step["evidence"]) for step in void["history"]]
    assert steps == [("submitting", "request"), ("voided", "answer")]
    record = eventually(lambda: either.read(order_id), lambda record: len(record["webhooks"]) == 1)
    assert still(record) == still(void)
    assert [sent["status"] for sent in ledger()["webhooks"]] == [200]
    (item,) = either.items(order_id)
    assert (item["sk"]["S"], len(item["webhooks"]["M"])) == ("ORDER", 1)


def test_requests_for_an_order_in_flight_are_told_so(client: Client) -> None:
    """And an answer that never comes leaves the void unknown, until the provider's word arrives."""
    order_id, overtaken = client.hold(answer="timeout_executed", webhook="none"), client.hold(answer="timeout_executed")
    began = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(client.submit, order_id), threads.submit(client.submit, overtaken)
        for each in (order_id, overtaken):
            eventually(partial(client.ledger, each), lambda ledger: ledger["voids_received"] == 1)
        busy = client.submit(order_id)
        document = problem(busy, 409, "in-progress")
        assert (document["order_id"], int(busy.headers["Retry-After"]) > 0) == (order_id, True)
        eventually(lambda: client.read(overtaken), lambda record: record["state"] == "voided")  # webhook first
    assert 9 < time.monotonic() - began < 29  # an answer is given 10 s; the sandbox would hold it for 30
    assert (first.result().status, first.result().json["state"]) == (202, "unknown")
    assert (second.result().status, second.result().json["state"]) == (200, "voided")
    assert client.submit(order_id).status == 202
    assert client.sandbox("POST", f"webhooks/{order_id}")["status"] == 200
    assert client.submit(order_id).status == 200
    assert client.ledger(order_id)["voids_received"] == 1


def test_racing_requests_send_one_void(client: Client) -> None:
    order_id = client.hold(webhook="none")
    client.sandbox("PUT", "settings", {"second_void": "execute"})
    try:
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda _: client.submit(order_id), range(6)))
        assert {answer.status for answer in answers} <= {200, 409}
        assert client.submit(order_id).status == 200
        assert (client.ledger(order_id)["voids_received"], client.ledger(order_id)["voids_executed"]) == (1, 1)
    finally:
        client.sandbox("PUT", "settings", {"second_void": "refuse"})


type End = tuple[int, str, int]
"""Status, the void's state or its reason, attempt."""
SENT: dict[str, tuple[dict[str, str] | None, End, End, End, int]] = {
    # What goes wrong with a hold, or no hold. A first request; the same again, which shows what its attempt came to; one with another key; voids at the provider.
    "a success": ({}, (200, "voided", 1), (200, "voided", 1), (200, "voided", 1), 1),
    "a captured payment": ({"portal": "capture"}, (409, "already-captured", 1), (409, "already-captured", 1), (409, "already-captured", 1), 1),
    "an order that is not known": (None, (409, "order-not-found", 1), (409, "order-not-found", 1), (409, "order-not-found", 2), 2),
    "a final refusal": ({"answer": "http_400"}, (409, "refused", 1), (409, "refused", 1), (200, "voided", 2), 2),
    "credentials that moved nothing": ({"answer": "http_401"}, (502, "provider-credentials", 1), (200, "voided", 2), (200, "voided", 2), 2),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "first", "again", "anew", "received"), SENT.values(), ids=SENT)
def test_what_a_request_comes_to_its_repetition_and_one_with_another_key(
    either: Client, wrong: dict[str, str] | None, first: End, again: End, anew: End, received: int
) -> None:
    order_id = uuid4().hex if wrong is None else either.hold(webhook="none", answer=wrong.get("answer", "success"))
    if wrong and "portal" in wrong:
        either.sandbox("POST", f"orders/{order_id}/{wrong['portal']}")
    answers = [either.submit(order_id, "k")]
    record = either.read(order_id)
    answers += [either.submit(order_id, key) for key in ("k", "new")]
    voids = [answer.json.get("void", answer.json) for answer in answers]
    ends = [(answer.status, void["reason"] or void["state"], void["attempt"]) for answer, void in zip(answers, voids, strict=True)]  # fmt: skip
    assert ends == [first, again, anew]
    assert still(record) == still(voids[0])
    replayed = ["Idempotency-Replayed" in answer.headers for answer in answers]
    assert replayed == [False, first[2] == again[2], again[2] == anew[2]]
    assert voids[0]["reason"] not in ("refused", "order-not-found") or answers[0].json["provider_message"]
    assert either.ledger(order_id)["voids_received"] == received
    assert either.ledger(order_id)["voids_executed"] <= 1


def test_a_provider_out_of_reach_means_not_sent(client: Client) -> None:
    order_id = client.hold(webhook="none")
    client.sandbox("PUT", "settings", {"listening": False})
    try:
        answer = client.submit(order_id, key="k")
    finally:
        client.sandbox("PUT", "settings", {"listening": True})
    assert problem(answer, 503, "not-sent")["void"]["reason"] == "not-sent"
    assert int(answer.headers["Retry-After"]) > 0
    assert client.ledger(order_id)["voids_received"] == 0
    assert client.submit(order_id, key="k").status == 200


# ---- webhooks --------------------------------------------------------------------------------------------------------


def test_what_a_webhook_does_to_a_record(client: Client) -> None:
    """A forged one nothing; the first genuine one makes it; what is unreadable or of another project is kept aside."""
    order_id, pending = uuid4().hex, client.hold(answer="pending", webhook="unreadable")

    def delivered(order_id: str, /, **data: object) -> Any:
        message = {"order_id": order_id, "pos_id": POS_ID, "method": "void", "status": "success"} | data
        answer = client.webhook(**client.sandbox("POST", "sign", {"data": message}))
        assert (answer.status, answer.body) == (200, b"")
        return client.read(order_id)

    signed = client.sandbox("POST", "sign", {"data": {"order_id": order_id, "method": "void", "status": "success"}})
    for signature in ("A" * 27 + "=", signed["signature"][:-1], "", "підпис"):
        assert client.webhook(signed["data"], signature).status in (400, 401)
    assert client.items(order_id) == []
    record = delivered(order_id, amount=100.5, cc_number="4242424242424242", payload={"email": "joe@example.com"})
    assert [record[name] for name in ("state", "attempt", "requested_at", "requested_by")] == ["voided", 0, None, None]
    stored = json.dumps(client.items(order_id), default=unzipped)
    assert ("100.5" in stored, "4242424242424242" in stored, "joe@" in stored) == (True, False, False)
    assert client.submit(order_id).headers["Idempotency-Replayed"] == "true"
    client.submit(pending)
    ledger = eventually(lambda: client.ledger(pending), lambda it: [hook["status"] for hook in it["webhooks"]] == [200])
    assert delivered(pending, pos_id=str(uuid4()))["webhooks"] == []
    assert delivered(pending, **ledger["operations"][1] | {"status": "success"})["state"] == "voided"


# ---- bad requests ----------------------------------------------------------------------------------------------------

MANY = {"order_id": "", "order_currency": 1, "comment": [], "amount": 1}
FINE = json.dumps({"order_id": "123", "order_currency": "UAH"}).encode()
REFUSED: dict[str, tuple[str, bytes, dict[str, str], int, str]] = {
    "many violations": ("POST voids", json.dumps(MANY).encode(), JSON, 400, "invalid-request"),
    "half a character": ("POST voids", FINE.replace(b"123", rb"a\ud800"), JSON, 400, "invalid-request"),
    "a key in another script": ("POST voids", FINE, JSON | {"Idempotency-Key": "ключ".encode().decode("latin-1")}, 400, "invalid-request"),
    "no content type": ("POST voids", FINE, {"Content-Type": ""}, 415, "unsupported-media-type"),
    "a large body": ("POST voids", FINE[:-1] + b" " * 32_768 + b"}", JSON, 413, "too-large"),
    "no void": ("GET voids/nobody-asked-for-it", b"", {}, 404, "not-found"),
    "a webhook with a field twice": ("POST webhooks/financial-line", b"data=a&data=b&signature=c", FORM, 400, "invalid-request"),
    "no route": ("GET nothing", b"", {}, 403, "unauthenticated"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "body", "headers", "status", "name"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_refused_as_a_problem(
    client: Client, line: str, body: bytes, headers: dict[str, str], status: int, name: str
) -> None:
    method, path = line.split(" ")
    signed = client.merchant.signed(method, f"/v1/{path}", body)
    document = problem(send(method, f"{client.service.url}/v1/{path}", body, signed | headers), status, name)
    assert status != 404 or document["order_id"] == "nobody-asked-for-it"
    if b'"amount"' in body:
        assert {error["pointer"] for error in document["errors"]} == {f"/{each}" for each in MANY}
        assert all(error["detail"] for error in document["errors"])


def test_who_proves_nothing_is_refused_by_the_gateway_as_a_problem(client: Client) -> None:
    problem(send("POST", f"{client.service.url}/v1/voids", b"{}", JSON), 403, "unauthenticated")
    order_id = client.hold(webhook="none")
    answer = TokenClient(client.service, "no-token").submit(order_id)
    assert (answer.status, answer.headers["WWW-Authenticate"], b"no-token" in answer.body) == (401, "Bearer", False)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["type"] == "urn:void-service:problem:unauthenticated"
    assert client.ledger(order_id)["voids_received"] == 0


# ---- lists -----------------------------------------------------------------------------------------------------------


def test_unsettled_voids_are_listed_page_by_page(either: Client) -> None:
    orders = {either.hold(answer="pending", webhook="none") for _ in range(3)}
    for order_id in orders:
        either.submit(order_id)
    seen = set[str]()
    cursor: str | None = ""
    while cursor is not None:
        page = either.call("GET", f"voids?{f'cursor={cursor}&' if cursor else ''}limit=2&state=unsettled").json
        assert len(page["voids"]) <= 2
        assert all(void["state"] not in ("voided", "failed") for void in page["voids"])
        seen |= {void["order_id"] for void in page["voids"]}
        cursor = page["cursor"]
    assert orders <= seen


# ---- rotation: last, because until the caches are old the functions hold the other secret ----------------------------


def test_the_previous_secret_counts_after_a_rotation(client: Client) -> None:
    secrets, name = client.service.client("secretsmanager"), client.service.secret_arn
    before = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])

    def announced(secret: str) -> int:
        data = {"order_id": uuid4().hex, "pos_id": POS_ID, "method": "void", "status": "success"}
        return client.webhook(**client.sandbox("POST", "sign", {"data": data, "secret": secret})).status

    def rotate(secret: str) -> None:
        """The functions look at most every 5 s: strangers must not be able to make them look more often."""
        secrets.put_secret_value(SecretId=name, SecretString=json.dumps(before | {"api_secret": secret}))
        client.sandbox("PUT", "settings", {"api_secret": secret})
        eventually(lambda: announced("current"), lambda status: status == 200)

    try:
        rotate("the-secret-after-a-rotation")
        assert announced("previous") == 200
    finally:
        rotate(CREDENTIALS["api_secret"])
