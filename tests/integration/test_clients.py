"""The clients in docs/clients against the running service: the packages as a merchant's code calls them, and the programs.

What the service here cannot be brought to answer is in test_client_answers.py.
"""

import json
import subprocess
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
from tests.integration.clients.packages import (
    PACKAGES,
    PROGRAMS,
    Merchant,
    finished,
    installed,
    quick_sleep,
)

VOIDED, REFUSED, LATER, MISUSE = range(4)
FOR_LONG = 36_000  # seconds of patience: the test's own end comes first, also on a slow machine
# What a path must encode, what JSON must escape, and letters beyond ASCII; all of it in one at the end.
ORDER_IDS = [
    "a b",
    "a/b",
    "100%",
    "a%2Fb",
    "a+b",
    'a"b',
    "é",
    "🧾",
    "~a.b_c-d",
    "a&b=c?d#e;f:g@h,i$j'k(l)*m!",
    ' /%+"é🧾 %41',
]


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


def place_hold(client: Client, order_id: str, amount: Any = 100, **faults: str) -> None:
    client.sandbox("POST", "holds", {"order_id": order_id, "amount": amount, "currency": "UAH"})
    if faults:
        client.sandbox("PUT", f"faults/{quote(order_id, safe='')}", faults)


def void(order_id: str, key: str = "k", **more: Any) -> dict[str, Any]:
    return {"call": "void", "order_id": order_id, "order_currency": "UAH", "key": key} | more


def voids_received(client: Client, order_id: str) -> int:
    received: int = client.ledger(quote(order_id, safe=""))["voids_received"]
    return received


# ---- the packages ----------------------------------------------------------------------------------------------------


def test_a_void_returns_the_record(package: Merchant, client: Client) -> None:
    order_id, comment = uuid4().hex, 'Привіт, "світ" \\ 100%'
    place_hold(client, order_id, "100.10", webhook="none")
    (got,) = package.call(void(order_id, comment=comment))
    assert got["waits"] == []
    record = client.read(order_id)
    for name in ("events", "events_truncated"):
        del record[name]
    assert got["returned"] == record | {"provider": record["provider"] | {"amount": "100.10"}}
    assert (record["state"], record["comment"]) == ("voided", comment)


def test_a_pending_void_is_waited_for_until_the_webhook_settles_it(package: Merchant, client: Client) -> None:
    order_id = uuid4().hex
    place_hold(client, order_id, answer="pending", webhook="none")
    with settled_by_webhook(client, order_id):
        (got,) = package.call(void(order_id, wait=FOR_LONG), pace=0.1)
    assert got["returned"]["state"] == "voided"
    assert got["returned"]["history"][-1]["evidence"] == "webhook"
    assert got["waits"][0] == ["not-settled-yet (pending)", 5]
    assert voids_received(client, order_id) == 1


def tell_success(client: Client, order_id: str) -> None:
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
            tell_success(client, order_id)

    provider = threading.Thread(target=settle)
    provider.start()
    try:
        yield
    finally:
        provider.join()


def test_a_lost_answer_is_waited_for_and_sent_once(package: Merchant, client: Client) -> None:
    order_id = uuid4().hex
    place_hold(client, order_id, answer="reset_executed", webhook="none")
    (first,) = package.call(void(order_id, wait=0))
    assert (first["raised"], first["record"]["state"]) == ("NotSettledYet", "unknown")
    tell_success(client, order_id)
    (second,) = package.call(void(order_id))
    assert second["returned"]["state"] == "voided"
    assert voids_received(client, order_id) == 1


def test_a_refusal_stands_for_its_key_and_a_new_key_asks_again(package: Merchant, client: Client) -> None:
    order_id = uuid4().hex
    place_hold(client, order_id, answer="failure", webhook="none")
    first, again, new = package.call(void(order_id), void(order_id), void(order_id, key="another decision"))
    assert (first["raised"], first["label"], first["record"]["state"]) == (
        "NotVoidable",
        "not-voidable (refused)",
        "failed",
    )
    assert first["problem"]["provider_code"] == "4150"
    assert (again["raised"], again["label"]) == (first["raised"], first["label"])
    assert new["returned"]["state"] == "voided"
    assert voids_received(client, order_id) == 2


def test_a_void_before_its_hold_asks_again_with_a_new_key(package: Merchant, client: Client) -> None:
    order_id = uuid4().hex
    (early,) = package.call(void(order_id))
    assert early["label"] == "not-voidable (order-not-found)"
    assert "ask with a new key" in early["advice"]
    place_hold(client, order_id)
    same, new = package.call(void(order_id), void(order_id, key="now that the hold is there"))
    assert same["label"] == early["label"]
    assert new["returned"]["state"] == "voided"


def test_a_captured_hold_is_a_refund(package: Merchant, client: Client) -> None:
    order_id = client.hold()
    client.sandbox("POST", f"orders/{order_id}/capture")
    (got,) = package.call(void(order_id))
    assert (got["raised"], got["record"]["reason"]) == ("NotVoidable", "already-captured")
    assert "refund" in got["advice"]


def test_what_the_provider_did_not_do_is_repeated_with_the_same_key(package: Merchant, client: Client) -> None:
    throttled, credentials = client.hold(answer="http_429"), client.hold(answer="http_401")
    impatient = client.hold(answer="http_429")
    first, second, third = package.call(void(throttled), void(credentials), void(impatient, wait=5))
    assert (first["returned"]["state"], first["waits"]) == ("voided", [["throttled", 10]])
    assert (second["returned"]["state"], second["waits"]) == ("voided", [["provider-credentials", 60]])
    assert (third["raised"], third["retry_after"], third["record"]["reason"]) == ("Throttled", 10, "throttled")


def test_a_provider_that_does_not_listen_is_called_until_it_does(package: Merchant, client: Client) -> None:
    order_id = client.hold()
    client.sandbox("PUT", "settings", {"listening": False})
    try:
        (impatient,) = package.call(void(order_id, wait=0))
        assert (impatient["raised"], impatient["record"]["reason"]) == ("NotSent", "not-sent")
        opening = threading.Timer(1, client.sandbox, ("PUT", "settings", {"listening": True}))
        opening.start()
        (got,) = package.call(void(order_id), pace=0.2)
        opening.join()
    finally:
        client.sandbox("PUT", "settings", {"listening": True})
    assert got["returned"]["state"] == "voided"
    assert {label for label, _ in got["waits"]} <= {"not-sent"}  # none if the driver was slow to start
    assert voids_received(client, order_id) == 1


def test_bad_requests_are_misuse(package: Merchant, client: Client) -> None:
    order_id = client.hold(webhook="none")
    wrong, _, mismatch, currency, missing = package.call(
        void("x" * 33, order_currency="uah"),
        void(order_id),
        void(order_id, comment="another body"),
        void(order_id, key="k-2", order_currency="USD"),
        {"call": "read", "order_id": uuid4().hex},
    )
    assert wrong["raised"] == "InvalidRequest"
    assert {error["pointer"] for error in wrong["problem"]["errors"]} == {"/order_id", "/order_currency"}
    assert "/order_currency" in wrong["message"]
    raised = [got["raised"] for got in (mismatch, currency, missing)]
    assert raised == ["IdempotencyMismatch", "CurrencyMismatch", "NotFound"]
    assert {got["group"] for got in (wrong, mismatch, currency, missing)} == {"Misuse"}


def test_a_wrong_key_a_wrong_region_and_a_wrong_clock_are_misuse(package: Merchant, service: Service) -> None:
    thief = Merchant(package.client, package.url, package.region, secret_key="another")
    (stolen,) = thief.call(void("1"))
    (elsewhere,) = package.call(void("1", region="us-east-1"))
    (late,), (early,) = package.call(void("1"), skew=-600), package.call(void("1"), skew=600)
    for got in (stolen, elsewhere, late, early):
        assert (got["raised"], got["waits"]) == ("Unauthenticated", [])
    assert "region" in elsewhere["advice"]
    assert "clock" in late["advice"]


def test_every_order_id_comes_back_as_it_was_sent(package: Merchant, client: Client) -> None:
    order_ids = [an_order(like) for like in ORDER_IDS]
    for order_id in order_ids:
        place_hold(client, order_id, answer="pending", webhook="none")
    with settled_by_webhook(client, *order_ids):
        voided = package.call(*(void(order_id, wait=FOR_LONG) for order_id in order_ids), pace=0.02)
    read = package.call(*({"call": "read", "order_id": order_id} for order_id in order_ids))
    for order_id, first, second in zip(order_ids, voided, read, strict=True):
        assert (first["returned"]["order_id"], first["returned"]["state"]) == (order_id, "voided"), first
        assert (second["returned"]["order_id"], second["returned"]["provider"]["order_id"]) == (order_id, order_id)
        assert len(second["returned"]["events"]) == 1
    assert [voids_received(client, order_id) for order_id in order_ids] == [1] * len(order_ids)


def test_open_voids_are_listed_and_the_provider_is_asked_on_demand(package: Merchant, client: Client) -> None:
    order_id = uuid4().hex
    place_hold(client, order_id, answer="pending", webhook="none")
    _, listed = package.call(void(order_id, wait=0), {"call": "voids", "state": "unsettled"})
    assert order_id in {record["order_id"] for record in listed["returned"]}
    (asked,) = package.call({"call": "read", "order_id": order_id, "refresh": True})
    assert (asked["returned"]["order_id"], asked["returned"]["state"]) == (order_id, "pending")


# ---- the programs ----------------------------------------------------------------------------------------------------


def test_a_program_voids(program: Merchant, client: Client) -> None:
    order_id, comment = client.hold(), 'Привіт, "світ" \\ 100%'
    code, out, err = program.run(order_id, "UAH", comment)
    assert (code, err) == (VOIDED, "")
    assert json.loads(out)["comment"] == comment
    assert program.run(order_id, "UAH", more={"IDEMPOTENCY_KEY": "another"})[0] == VOIDED
    assert voids_received(client, order_id) == 1


@pytest.mark.parametrize("like", ORDER_IDS)
def test_curl_sh_reads_a_pending_void_of_every_order_id(service: Service, client: Client, like: str) -> None:
    merchant, order_id = Merchant(installed("curl"), f"{service.url}/v1", service.region), an_order(like)
    place_hold(client, order_id, answer="pending", webhook="none")
    with settled_by_webhook(client, order_id):
        code, out, err = merchant.run(order_id, "UAH", wait=FOR_LONG, more=quick_sleep())
    assert (code, json.loads(out)["order_id"]) == (VOIDED, order_id), err
    assert {line.partition(":")[0] for line in err.splitlines()} == {"not-settled-yet (pending)"}
    assert voids_received(client, order_id) == 1


@pytest.fixture(scope="module")
def waiting(service: Service) -> Iterator[dict[str, tuple[str, subprocess.Popen[str]]]]:
    """Each program with a void that is pending until its webhook comes: they wait at the same time, five seconds."""
    client, started = Client(service), {}
    for name in PROGRAMS:
        try:
            merchant = Merchant(installed(name), f"{service.url}/v1", service.region)
        except pytest.skip.Exception:
            continue  # the program's own tests say why
        order_id = an_order(ORDER_IDS[-1])
        place_hold(client, order_id, answer="pending", webhook="none")
        started[name] = (order_id, merchant.start(order_id, "UAH", wait=FOR_LONG, more={"IDEMPOTENCY_KEY": "k"}))
    try:
        with settled_by_webhook(client, *(order_id for order_id, _ in started.values())):
            yield started
    finally:
        for _, process in started.values():
            process.kill()
            process.communicate()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_waits_for_a_pending_void(
    name: str, waiting: dict[str, tuple[str, subprocess.Popen[str]]], client: Client
) -> None:
    installed(name)
    order_id, running = waiting[name]
    code, out, err = finished(running)
    assert (code, err.splitlines()[0]) == (VOIDED, "not-settled-yet (pending): again in 5 s"), err
    assert (json.loads(out)["order_id"], json.loads(out)["state"]) == (order_id, "voided")
    assert voids_received(client, order_id) == 1


def test_a_program_ends_with_later_when_the_void_stays_pending(program: Merchant, client: Client) -> None:
    code, out, err = program.run(client.hold(answer="pending", webhook="none"), "UAH")
    assert (code, out) == (LATER, "")
    assert err == (
        "not-settled-yet (pending): the outcome is not known yet. "
        "Do: repeat the same request later, or read the void\n"
    )  # fmt: skip


def test_a_program_tells_a_refusal_from_later_and_from_misuse(program: Merchant, client: Client) -> None:
    refused, throttled = client.hold(answer="failure", webhook="none"), client.hold(answer="http_429", webhook="none")
    for arguments, more, expected, label in (
        ((refused, "UAH"), {}, REFUSED, "not-voidable (refused): "),
        ((throttled, "UAH"), {}, LATER, "throttled: "),
        (("x" * 33, "uah"), {}, MISUSE, "invalid-request: "),
        (("1", "UAH"), {"AWS_SECRET_ACCESS_KEY": "another"}, MISUSE, "unauthenticated: "),
        (("1", "UAH"), {"VOID_SERVICE_URL": "http://127.0.0.1:9/v1"}, LATER, "outcome-unknown: "),
    ):
        code, out, err = program.run(*arguments, more=more)
        assert (code, out) == (expected, ""), err
        assert err.splitlines()[-1].startswith(label), err


def test_a_program_says_misuse_before_it_sends(program: Merchant) -> None:
    assert program.run("1")[0] == MISUSE
    assert program.run("1", "UAH", "comment", "more")[0] == MISUSE
    assert program.run("1", "UAH", more={"VOID_SERVICE_URL": ""})[0] == MISUSE
    assert program.run("1", "UAH", more={"AWS_REGION": ""})[0] == MISUSE
    assert program.run("1", "UAH", more={"VOID_WAIT_SECONDS": "soon"})[0] == MISUSE
