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
from tests.integration.client import Client, eventually
from tests.integration.clients.packages import PROGRAMS, QUICK_SLEEP, Merchant, installed
from tests.integration.order_ids import SENT, whole
from tests.integration.test_client_answers import kind_of

VOIDED, REFUSED, LATER, WRONG = range(4)
FOR_LONG = 36_000  # seconds of patience: the test's own end comes first, also on a slow machine
COMMENT = 'Привіт, "світ" \\ 100%'


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, service: Service) -> Merchant:
    return Merchant(installed(request.param), f"{service.url}/v1", service.region)


def void(order_id: str, key: str = "k", **more: Any) -> dict[str, Any]:
    return {"call": "void", "order_id": order_id, "order_currency": "UAH", "key": key} | more


def read(order_id: str, **more: Any) -> dict[str, Any]:
    return {"call": "read", "order_id": order_id} | more


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


# ---- the packages ----------------------------------------------------------------------------------------------------


def test_a_void_returns_the_record(package: Merchant, client: Client) -> None:
    order_id = client.hold(amount="100.10", webhook="none")
    (got,) = package.call(void(order_id, comment=COMMENT))
    assert (got["waits"], len(got["ids"])) == ([], 1)
    record = client.read(order_id)
    assert (record["state"], record["comment"]) == ("voided", COMMENT)
    with_digits = record | {"provider": record["provider"] | {"amount": "100.10"}}
    assert got["returned"] | {name: record[name] for name in ("webhooks", "webhooks_truncated")} == with_digits
    assert len(got["returned"]) == len(record) - 2


def test_every_order_id_is_waited_for_and_comes_back_as_it_was_sent(package: Merchant, client: Client) -> None:
    order_ids = [client.hold(whole(like), answer="pending", webhook="none") for like in SENT]
    with settled_by_webhook(client, *order_ids):
        voided = package.call(*(void(order_id, wait=FOR_LONG) for order_id in order_ids), pace=0.02)
    shown = package.call(*map(read, order_ids))
    assert [(got["returned"]["order_id"], kind_of(got)) for got in voided] == [(each, "voided") for each in order_ids]
    assert [got["returned"]["provider"]["order_id"] for got in shown] == order_ids
    assert [(got["returned"]["order_id"], len(got["returned"]["webhooks"])) for got in shown] == [
        (each, 1) for each in order_ids
    ]
    assert voided[0]["waits"][0] == ["not-settled-yet (pending)", 5]
    assert voids_received(client, *order_ids) == [1] * len(order_ids)


def test_what_is_lost_or_not_done_is_asked_again_with_the_same_key(package: Merchant, client: Client) -> None:
    lost = client.hold(answer="reset_executed", webhook="none")
    throttled, refused, impatient = (client.hold(answer=answer) for answer in ("http_429", "http_401", "http_429"))
    got = package.call(void(lost, wait=60), void(throttled), void(refused), void(impatient, wait=5))
    assert [kind_of(each) for each in got] == ["voided", "voided", "voided", "RepeatLater: throttled"]
    assert [label for label, _ in got[0]["waits"]] == ["not-settled-yet (unknown)"]
    assert voids_received(client, lost) == [1]
    assert [each["waits"] for each in got[1:]] == [[["throttled", 10]], [["provider-credentials", 60]], []]
    assert (got[3]["retry_after"], got[3]["record"]["reason"]) == (10, "throttled")


def test_a_refusal_is_final_for_its_key_and_a_new_key_asks_again(package: Merchant, client: Client) -> None:
    order_id, early = client.hold(answer="failure", webhook="none"), uuid4().hex
    got = package.call(void(order_id), void(order_id), void(order_id, key="another decision"), void(early))
    no, unknown = "NotVoided: not-voidable (refused)", "NotVoided: not-voidable (order-not-found)"
    assert [kind_of(each) for each in got] == [no, no, "voided", unknown]
    assert (got[0]["record"]["state"], got[0]["document"]["provider_code"]) == ("failed", "4150")
    assert voids_received(client, order_id) == [2]
    assert "ask with a new key" in got[3]["advice"]
    got = package.call(void(client.hold(early)), void(early, key="now that the hold is there"))
    assert [kind_of(each) for each in got] == [unknown, "voided"]


def test_wrong_calls_are_wrong_calls(package: Merchant, client: Client) -> None:
    order_id = client.hold(webhook="none")
    wrong, voided, *more = package.call(
        void("x" * 33, order_currency="uah"), void(order_id), void(order_id, comment="another body"),
        void(order_id, key="k-2", order_currency="USD"), read(uuid4().hex), void("1", region="us-east-1"),
    )  # fmt: skip
    stolen = replace(package, secret_key="another").call(void("1"))
    late, early = (package.call(void("1"), skew=skew)[0] for skew in (-600, 600))
    more += [*stolen, late, early]
    kinds = ["idempotency-mismatch", "currency-mismatch", "not-found", *["unauthenticated"] * 4]
    assert [kind_of(got) for got in (wrong, voided)] == ["WrongCall: invalid-request", "voided"]
    assert [kind_of(got) for got in more] == [f"WrongCall: {kind}" for kind in kinds]
    assert [(bool(got["request_id"]), got["waits"]) for got in (wrong, *more)] == [(True, [])] * 8
    assert {error["pointer"] for error in wrong["document"]["errors"]} == {"/order_id", "/order_currency"}
    assert "/order_currency" in wrong["message"]
    assert "us-east-1" in more[3]["hint"]
    assert late["hint"] in late["message"]


def test_open_voids_are_listed_and_the_provider_is_queried_on_demand(package: Merchant, client: Client) -> None:
    order_id = client.hold(answer="pending", webhook="none")
    calls = void(order_id, wait=0), {"call": "voids", "state": "unsettled"}, read(order_id, refresh=True)
    _, listed, shown = package.call(*calls)
    assert order_id in {record["order_id"] for record in listed["returned"]}
    assert (shown["returned"]["order_id"], kind_of(shown)) == (order_id, "pending")


def test_an_operator_decides_about_what_was_seen_and_a_merchant_does_not(package: Merchant, client: Client) -> None:
    order_id = client.hold(webhook="none")
    (auth, *_) = client.ledger(order_id)["operations"]
    names = {"operation_id": str(uuid4()), "transaction_id": str(uuid4())}
    client.report(**auth | names | {"method": "void", "status": "pending"})
    (seen,) = package.call(read(order_id))
    decision = {"call": "decide", "order_id": order_id, "decision": "not-voided", "note": "Порталу не видно",
                "revision": seen["returned"]["revision"]}  # fmt: skip
    assert [kind_of(got) for got in package.call(decision)] == ["WrongCall: unauthenticated"]
    operator = replace(package, access_key="operator", secret_key="operator-secret")
    decided, again, stale = operator.call(decision, decision, decision | {"revision": "0" * 16})
    assert (kind_of(decided), decided["returned"]["reason"]) == ("failed", "not-executed")
    assert decided["returned"]["decisions"][-1]["note"] == decision["note"]
    assert again["returned"] == decided["returned"]
    assert (kind_of(stale), stale["record"]["state"]) == ("WrongCall: changed-meanwhile", "failed")


# ---- the programs ----------------------------------------------------------------------------------------------------


def test_a_program_voids(program: Merchant, client: Client) -> None:
    order_id = client.hold()
    code, out, err = program.run(order_id, "UAH", COMMENT)
    assert (code, err, json.loads(out)["comment"]) == (VOIDED, "", COMMENT)
    assert program.run(order_id, "UAH", more={"IDEMPOTENCY_KEY": "another"})[0] == VOIDED
    assert voids_received(client, order_id) == [1]


@pytest.mark.parametrize("like", SENT)
def test_curl_sh_reads_a_pending_void_of_every_order_id(service: Service, client: Client, like: str) -> None:
    merchant = Merchant(installed("curl"), f"{service.url}/v1", service.region)
    order_id = client.hold(whole(like), answer="pending", webhook="none")
    with settled_by_webhook(client, order_id):
        code, out, err = merchant.run(order_id, "UAH", wait=FOR_LONG, more=QUICK_SLEEP)
    assert (code, json.loads(out)["order_id"]) == (VOIDED, order_id), err
    assert {line.partition(":")[0] for line in err.splitlines()} == {"not-settled-yet (pending)"}
    assert voids_received(client, order_id) == [1]


# What the order's void gets, or the arguments; what is set; the code, and how the last line begins.
RUNS: list[tuple[str, dict[str, str], int, str]] = [
    ("answer=failure", {}, REFUSED, "not-voidable (refused): "),
    ("answer=http_429", {}, LATER, "throttled: "),
    ("answer=pending", {}, LATER, "not-settled-yet (pending): the outcome is"),
    (f"{'x' * 33} uah", {}, WRONG, "invalid-request: "),
    ("1 UAH", {"AWS_SECRET_ACCESS_KEY": "another"}, WRONG, "unauthenticated: "),
    ("1 UAH", {"VOID_SERVICE_URL": "http://127.0.0.1:9/v1"}, LATER, "nothing-sent: "),
    ("1", {}, WRONG, "invalid-argument: "),
    ("1 UAH comment more", {}, WRONG, "invalid-argument: "),
    ("1 UAH", {"VOID_SERVICE_URL": ""}, WRONG, "invalid-argument: "),
    ("1 UAH", {"AWS_REGION": ""}, WRONG, "invalid-argument: "),
    ("1 UAH", {"VOID_WAIT_SECONDS": "soon"}, WRONG, "invalid-argument: "),
    ("1 UAH", {"IDEMPOTENCY_KEY": "a\nb"}, WRONG, "invalid-argument: "),
]


def test_a_program_tells_a_refusal_from_later_and_from_a_wrong_call(program: Merchant, client: Client) -> None:
    for given, more, expected, label in RUNS:
        _, _, fault = given.partition("answer=")
        arguments = [client.hold(answer=fault, webhook="none"), "UAH"] if fault else given.split()
        code, out, err = program.run(*arguments, more=more)
        assert (code, out) == (expected, ""), (given, more, err)
        assert err.splitlines()[-1].startswith(label), err
