"""The clients in docs/clients against the running service: the packages as a merchant's code calls them, and the programs.

What the service here cannot be brought to answer is in test_client_answers.py.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from local.service import Service
from tests.integration.client import Client, eventually
from tests.integration.clients.packages import PACKAGES, PROGRAMS, QUICK_SLEEP, Merchant, installed

VOIDED, REFUSED, LATER, WRONG = range(4)
FOR_LONG = 36_000  # seconds of patience: the test's own end comes first, also on a slow machine
# What a path must encode, what JSON must escape, and letters beyond ASCII; all of it in one at the end.
ORDER_IDS = [
    "a b", "a/b", "100%", "a%2Fb", "a+b", 'a"b', "é", "🧾", "~a.b_c-d", "a&b=c?d#e;f:g@h,i$j'k(l)*m!", ' /%+"é🧾 %41',
]  # fmt: skip


def an_order(like: str) -> str:
    """One that nobody else uses, without a blank at an end."""
    return f"{uuid4().hex[: 31 - len(like)]}{like}z"


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service)


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, service: Service) -> Merchant:
    return Merchant(installed(request.param), f"{service.url}/v1", service.region)


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest, service: Service) -> Merchant:
    return Merchant(installed(request.param), f"{service.url}/v1", service.region)


def place_hold(client: Client, order_id: str, amount: Any = 100, **faults: str) -> str:
    client.sandbox("POST", "holds", {"order_id": order_id, "amount": amount, "currency": "UAH"})
    if faults:
        client.sandbox("PUT", f"faults/{quote(order_id, safe='')}", faults)
    return order_id


def void(order_id: str, key: str = "k", **more: Any) -> dict[str, Any]:
    return {"call": "void", "order_id": order_id, "order_currency": "UAH", "key": key} | more


def voids_received(client: Client, order_id: str) -> int:
    received: int = client.ledger(quote(order_id, safe=""))["voids_received"]
    return received


def report_success(client: Client, order_id: str) -> None:
    """The provider's webhook: this void succeeded."""
    operation = client.ledger(quote(order_id, safe=""))["operations"][1]
    signed = client.sandbox("POST", "sign", {"data": operation | {"status": "success", "status_code": "1009"}})
    assert client.webhook(**signed).status == 200


@contextmanager
def settled_by_webhook(client: Client, *order_ids: str) -> Iterator[None]:
    """The provider's success for each order, once its record says pending."""

    def settle() -> None:
        for order_id in order_ids:
            path = f"voids/{quote(order_id, safe='')}"
            eventually(partial(client.call, "GET", path), lambda answer: b'"pending"' in answer.body, seconds=60)
            report_success(client, order_id)

    provider = threading.Thread(target=settle)
    provider.start()
    try:
        yield
    finally:
        provider.join()


# ---- the packages ----------------------------------------------------------------------------------------------------


def test_a_void_returns_the_record(package: Merchant, client: Client) -> None:
    order_id, comment = uuid4().hex, 'Привіт, "світ" \\ 100%'
    place_hold(client, order_id, "100.10", webhook="none")
    (got,) = package.call(void(order_id, comment=comment))
    assert (got["waits"], len(got["ids"])) == ([], 1)
    record = client.read(order_id)
    for name in ("webhooks", "webhooks_truncated"):
        del record[name]
    assert got["returned"] == record | {"provider": record["provider"] | {"amount": "100.10"}}
    assert (record["state"], record["comment"]) == ("voided", comment)


def test_every_order_id_is_waited_for_and_comes_back_as_it_was_sent(package: Merchant, client: Client) -> None:
    order_ids = [place_hold(client, an_order(like), answer="pending", webhook="none") for like in ORDER_IDS]
    with settled_by_webhook(client, *order_ids):
        voided = package.call(*(void(order_id, wait=FOR_LONG) for order_id in order_ids), pace=0.02)
    read = package.call(*({"call": "read", "order_id": order_id} for order_id in order_ids))
    for order_id, first, second in zip(order_ids, voided, read, strict=True):
        assert (first["returned"]["order_id"], first["returned"]["state"]) == (order_id, "voided"), first
        assert (second["returned"]["order_id"], second["returned"]["provider"]["order_id"]) == (order_id, order_id)
        assert len(second["returned"]["webhooks"]) == 1
    assert voided[0]["waits"][0] == ["not-settled-yet (pending)", 5]
    assert [voids_received(client, order_id) for order_id in order_ids] == [1] * len(order_ids)


def test_a_lost_answer_is_settled_by_the_first_read_and_sent_once(package: Merchant, client: Client) -> None:
    order_id = client.hold(answer="reset_executed", webhook="none")
    (got,) = package.call(void(order_id, wait=60))
    assert got["returned"]["state"] == "voided"
    assert [label for label, _ in got["waits"]] == ["not-settled-yet (unknown)"]
    assert voids_received(client, order_id) == 1


def test_a_refusal_is_final_for_its_key_and_a_new_key_asks_again(package: Merchant, client: Client) -> None:
    order_id, early = client.hold(answer="failure", webhook="none"), uuid4().hex
    first, again, new, before = package.call(
        void(order_id), void(order_id), void(order_id, key="another decision"), void(early)
    )
    assert (first["raised"], first["label"], first["record"]["state"]) == (
        "NotVoided",
        "not-voidable (refused)",
        "failed",
    )
    assert first["document"]["provider_code"] == "4150"
    assert (again["raised"], again["label"]) == (first["raised"], first["label"])
    assert (new["returned"]["state"], voids_received(client, order_id)) == ("voided", 2)
    assert (before["label"], "ask with a new key" in before["advice"]) == ("not-voidable (order-not-found)", True)
    same, later = package.call(void(place_hold(client, early)), void(early, key="now that the hold is there"))
    assert (same["label"], later["returned"]["state"]) == (before["label"], "voided")


def test_what_the_provider_did_not_do_is_repeated_with_the_same_key(package: Merchant, client: Client) -> None:
    throttled, credentials = client.hold(answer="http_429"), client.hold(answer="http_401")
    impatient = client.hold(answer="http_429")
    first, second, third = package.call(void(throttled), void(credentials), void(impatient, wait=5))
    assert (first["returned"]["state"], first["waits"]) == ("voided", [["throttled", 10]])
    assert (second["returned"]["state"], second["waits"]) == ("voided", [["provider-credentials", 60]])
    assert (third["label"], third["retry_after"], third["record"]["reason"]) == ("throttled", 10, "throttled")


def test_wrong_calls_are_wrong_calls(package: Merchant, client: Client) -> None:
    order_id = client.hold(webhook="none")
    wrong, _, mismatch, currency, missing, elsewhere = package.call(
        void("x" * 33, order_currency="uah"), void(order_id), void(order_id, comment="another body"),
        void(order_id, key="k-2", order_currency="USD"), {"call": "read", "order_id": uuid4().hex}, void("1", region="us-east-1"),
    )  # fmt: skip
    assert {error["pointer"] for error in wrong["document"]["errors"]} == {"/order_id", "/order_currency"}
    assert "/order_currency" in wrong["message"]
    (stolen,) = Merchant(package.client, package.url, package.region, secret_key="another").call(void("1"))
    (late,), (early,) = package.call(void("1"), skew=-600), package.call(void("1"), skew=600)
    all_of_them = (wrong, mismatch, currency, missing, elsewhere, stolen, late, early)
    assert [got["label"] for got in all_of_them] == [
        "invalid-request", "idempotency-mismatch", "currency-mismatch", "not-found", *["unauthenticated"] * 4,
    ]  # fmt: skip
    assert {(got["raised"], bool(got["request_id"]), *got["waits"]) for got in all_of_them} == {("WrongCall", True)}
    assert "us-east-1" in elsewhere["hint"]
    assert late["hint"] in late["message"]


def test_open_voids_are_listed_and_the_provider_is_queried_on_demand(package: Merchant, client: Client) -> None:
    order_id = client.hold(answer="pending", webhook="none")
    refreshed = {"call": "read", "order_id": order_id, "refresh": True}
    _, listed, read = package.call(void(order_id, wait=0), {"call": "voids", "state": "unsettled"}, refreshed)
    assert order_id in {record["order_id"] for record in listed["returned"]}
    assert (read["returned"]["order_id"], read["returned"]["state"]) == (order_id, "pending")


def test_an_operator_decides_about_what_was_seen_and_a_merchant_does_not(package: Merchant, client: Client) -> None:
    order_id = client.hold(webhook="none")
    (auth, *_) = client.ledger(order_id)["operations"]
    reported = auth | {
        "method": "void",
        "status": "pending",
        "operation_id": str(uuid4()),
        "transaction_id": str(uuid4()),
    }
    assert client.webhook(**client.sandbox("POST", "sign", {"data": reported})).status == 200
    if "decide" not in client.service.runtime.functions:
        pytest.skip("needs the function for decisions to be deployed")
    (seen,) = package.call({"call": "read", "order_id": order_id})
    decision: dict[str, Any] = {
        "call": "decide",
        "order_id": order_id,
        "decision": "not-voided",
        "note": "Порталу не видно",
    }
    decision["revision"] = seen["returned"]["revision"]
    (merchant,) = package.call(decision)
    assert (merchant["raised"], merchant["label"]) == ("WrongCall", "unauthenticated")
    operator = Merchant(package.client, package.url, package.region, "operator-secret", "operator")
    decided, again, stale = operator.call(decision, decision, decision | {"revision": "0" * 16})
    assert (decided["returned"]["state"], decided["returned"]["reason"]) == ("failed", "not-executed")
    assert decided["returned"]["decisions"][-1]["note"] == decision["note"]
    assert again["returned"] == decided["returned"]
    assert (stale["raised"], stale["label"], stale["record"]["state"]) == ("WrongCall", "changed-meanwhile", "failed")


# ---- the programs ----------------------------------------------------------------------------------------------------


def test_a_program_voids(program: Merchant, client: Client) -> None:
    order_id, comment = client.hold(), 'Привіт, "світ" \\ 100%'
    code, out, err = program.run(order_id, "UAH", comment)
    assert (code, err, json.loads(out)["comment"]) == (VOIDED, "", comment)
    assert program.run(order_id, "UAH", more={"IDEMPOTENCY_KEY": "another"})[0] == VOIDED
    assert voids_received(client, order_id) == 1


@pytest.mark.parametrize("like", ORDER_IDS)
def test_curl_sh_reads_a_pending_void_of_every_order_id(service: Service, client: Client, like: str) -> None:
    merchant, order_id = Merchant(installed("curl"), f"{service.url}/v1", service.region), an_order(like)
    place_hold(client, order_id, answer="pending", webhook="none")
    with settled_by_webhook(client, order_id):
        code, out, err = merchant.run(order_id, "UAH", wait=FOR_LONG, more=QUICK_SLEEP)
    assert (code, json.loads(out)["order_id"]) == (VOIDED, order_id), err
    assert {line.partition(":")[0] for line in err.splitlines()} == {"not-settled-yet (pending)"}
    assert voids_received(client, order_id) == 1


def test_a_program_tells_a_refusal_from_later_and_from_a_wrong_call(program: Merchant, client: Client) -> None:
    refused, throttled = client.hold(answer="failure", webhook="none"), client.hold(answer="http_429", webhook="none")
    for arguments, more, expected, label in (
        ((refused, "UAH"), {}, REFUSED, "not-voidable (refused): "),
        ((throttled, "UAH"), {}, LATER, "throttled: "),
        (
            (client.hold(answer="pending", webhook="none"), "UAH"),
            {},
            LATER,
            "not-settled-yet (pending): the outcome is",
        ),
        (("x" * 33, "uah"), {}, WRONG, "invalid-request: "),
        (("1", "UAH"), {"AWS_SECRET_ACCESS_KEY": "another"}, WRONG, "unauthenticated: "),
        (("1", "UAH"), {"VOID_SERVICE_URL": "http://127.0.0.1:9/v1"}, LATER, "nothing-sent: "),
        (("1",), {}, WRONG, "invalid-argument: "),
        (("1", "UAH", "comment", "more"), {}, WRONG, "invalid-argument: "),
        (("1", "UAH"), {"VOID_SERVICE_URL": ""}, WRONG, "invalid-argument: "),
        (("1", "UAH"), {"AWS_REGION": ""}, WRONG, "invalid-argument: "),
        (("1", "UAH"), {"VOID_WAIT_SECONDS": "soon"}, WRONG, "invalid-argument: "),
        (("1", "UAH"), {"IDEMPOTENCY_KEY": "a\nb"}, WRONG, "invalid-argument: "),
    ):
        code, out, err = program.run(*arguments, more=more)
        assert (code, out) == (expected, ""), err
        assert err.splitlines()[-1].startswith(label), err
