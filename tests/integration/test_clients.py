"""The clients in docs/clients against the running service: the packages as a merchant's code calls them, and the programs.

What the service here cannot be brought to answer is in test_client_answers.py.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from local.service import Service
from tests.integration.client import ORDER_IDS, Client, eventually, whole
from tests.integration.clients.packages import PROGRAMS, Merchant
from tests.integration.test_client_answers import kind_of

FOR_LONG = 36_000  # seconds of patience: the test's own end comes first, also on a slow machine
COMMENT = 'Привіт, "світ" \\ 100%'


@pytest.fixture(params=["python", "node", "php"])
def package(request: pytest.FixtureRequest, service: Service) -> Merchant:
    return Merchant(request.param, f"{service.url}/v1")


def void(order_id: str, key: str = "k", **more: Any) -> dict[str, Any]:
    return {"call": "void", "order_id": order_id, "order_currency": "UAH", "key": key} | more


def voids_received(client: Client, *order_ids: str) -> list[int]:
    return [client.ledger(quote(order_id, safe=""))["voids_received"] for order_id in order_ids]


@contextmanager
def settled_by_webhook(client: Client, *order_ids: str) -> Iterator[None]:
    """The provider's success for each order, once its record says pending."""

    def settle() -> None:
        for order_id in order_ids:
            path = f"voids/{quote(order_id, safe='')}"
            eventually(partial(client.call, "GET", path), lambda answer: b'"pending"' in answer.body, seconds=60)
            _, operation, *_ = client.ledger(quote(order_id, safe=""))["operations"]
            client.report(**operation | {"status": "success", "status_code": "1009"})

    provider = threading.Thread(target=settle)
    provider.start()
    try:
        yield
    finally:
        provider.join()


def test_a_void_returns_the_record_that_is_read(package: Merchant, client: Client) -> None:
    order_id = client.hold(amount="100.10", webhook="none")
    voided, read = package.call(void(order_id, comment=COMMENT), {"call": "read", "order_id": order_id})
    record = client.read(order_id)
    assert (voided["waits"], len(voided["ids"]), record["state"], record["comment"]) == ([], 1, "voided", COMMENT)
    record["provider"]["amount"] = "100.10"
    assert read["returned"] == record
    assert voided["returned"] == {name: record[name] for name in record.keys() - {"webhooks", "webhooks_truncated"}}


def test_awkward_order_ids_are_waited_for_and_come_back_as_they_were_sent(package: Merchant, client: Client) -> None:
    order_ids = [client.hold(whole(like), answer="pending", webhook="none") for like in ORDER_IDS[-4:]]
    with settled_by_webhook(client, *order_ids):
        got = package.call(*(void(order_id, wait=FOR_LONG) for order_id in order_ids), pace=0.02)
    got += package.call(*({"call": "read", "order_id": order_id} for order_id in order_ids))
    assert [each["returned"]["order_id"] for each in got] == order_ids * 2
    assert got[0]["waits"][0] == ["not-settled-yet (pending)", 5]
    assert voids_received(client, *order_ids) == [1] * len(order_ids)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_voids_or_says_why_not(name: str, service: Service, client: Client) -> None:
    program, order_id = Merchant(name, f"{service.url}/v1"), client.hold()
    code, out, err = program.run(order_id, "UAH", COMMENT)
    assert (code, err, json.loads(out)["comment"], voids_received(client, order_id)) == (0, "", COMMENT, [1])
    code, out, err = program.run(client.hold(answer="failure", webhook="none"), "UAH")
    assert (code, out, err.partition(": ")[0]) == (1, "", "not-voidable (refused)")


@pytest.mark.parametrize("like", [ORDER_IDS[-1], "../a"])
def test_curl_sh_reads_a_pending_void(service: Service, client: Client, like: str) -> None:
    order_id = client.hold(whole(like), answer="pending", webhook="none")
    with settled_by_webhook(client, order_id):
        code, out, err = Merchant("curl", f"{service.url}/v1").run(order_id, "UAH", wait=FOR_LONG)
    assert (code, json.loads(out)["order_id"], voids_received(client, order_id)) == (0, order_id, [1]), err
    assert {line.partition(":")[0] for line in err.splitlines()} == {"not-settled-yet (pending)"}


NO, UNKNOWN = "NotVoided: not-voidable (refused)", "NotVoided: not-voidable (order-not-found)"
# The order: a hold whose void meets these faults, the one before, or one without a hold; what is called besides, what is made
# of the answers, and the pauses.
CALLS: list[tuple[str, dict[str, Any], str, list[Any]]] = [
    ("answer=reset_executed webhook=none", {"wait": 60}, "voided", [["not-settled-yet (unknown)", 5]]),
    ("answer=http_429", {}, "voided", [["throttled", 10]]),
    ("answer=http_401", {}, "voided", [["provider-credentials", 60]]),
    ("answer=http_429", {"wait": 5}, "RepeatLater: throttled", []),
    ("answer=failure webhook=none", {}, NO, []),
    ("the same", {}, NO, []),
    ("the same", {"key": "another decision"}, "voided", []),
    ("the same", {"key": "another decision", "comment": "another body"}, "WrongCall: idempotency-mismatch", []),
    ("the same", {"key": "k-3", "order_currency": "USD"}, "WrongCall: currency-mismatch", []),
    ("the same", {"region": "us-east-1"}, "WrongCall: unauthenticated", []),
    ("no hold", {}, UNKNOWN, []),
    ("no hold", {"call": "read"}, "WrongCall: not-found", []),
    ("no hold", {"order_id": "x" * 33, "order_currency": "uah"}, "WrongCall: invalid-request", []),
    ("answer=pending webhook=none", {"wait": 0}, "RepeatLater: not-settled-yet (pending)", []),
    ("the same", {"call": "read", "refresh": True}, "pending", []),
]  # fmt: skip


def test_what_the_service_answers_is_understood(package: Merchant, client: Client) -> None:
    orders: list[str] = []
    for which, *_ in CALLS:
        faults = dict(pair.split("=") for pair in which.split() if "=" in pair)
        orders.append(client.hold(**faults) if faults else orders[-1] if which == "the same" else uuid4().hex)
    calls = [void(order_id) | more for order_id, (_, more, _, _) in zip(orders, CALLS, strict=True)]
    got = package.call(*calls, {"call": "voids", "state": "unsettled"})
    listed = {record["order_id"] for record in got.pop()["returned"]}
    assert [(kind_of(each), each["waits"]) for each in got] == [(kind, waits) for *_, kind, waits in CALLS]
    assert voids_received(client, orders[0], orders[4]) == [1, 2]
    assert orders[-1] in listed
    (stolen,) = replace(package, keys=("local", "another")).call(void("1"))
    assert (kind_of(stolen), bool(stolen["request_id"])) == ("WrongCall: unauthenticated", True)


def test_an_operator_decides_about_what_was_seen_and_a_merchant_does_not(package: Merchant, client: Client) -> None:
    order_id = client.hold(webhook="none")
    (auth, *_) = client.ledger(order_id)["operations"]
    names = {"operation_id": str(uuid4()), "transaction_id": str(uuid4())}
    client.report(**auth | names | {"method": "void", "status": "pending"})
    decision = {"call": "decide", "order_id": order_id, "decision": "not-voided", "note": "Порталу не видно",
                "revision": client.read(order_id)["revision"]}  # fmt: skip
    assert [kind_of(got) for got in package.call(decision)] == ["WrongCall: unauthenticated"]
    operator = replace(package, keys=("operator", "operator-secret"))
    decided, again, stale = operator.call(decision, decision, decision | {"revision": "0" * 16})
    assert (kind_of(decided), decided["returned"]["reason"]) == ("failed", "not-executed")
    assert decided["returned"]["decisions"][-1]["note"] == decision["note"]
    assert again["returned"] == decided["returned"]
    assert (kind_of(stale), stale["record"]["state"]) == ("WrongCall: changed-meanwhile", "failed")
