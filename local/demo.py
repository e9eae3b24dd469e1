"""One void, from hold to webhook to record, told step by step to a person.

Goes through the front door only, as a merchant does; fails loudly when a step does not end as it must.
"""

import json
import time
from typing import Any

from local.merchant import Caller, Reply, send
from local.service import Service

ORDER = "123"


def demonstrate(service: Service) -> int:
    merchant = Caller(service.url, service.region, service.access_key, service.secret_key)
    sandbox = f"{service.sandbox_url}/sandbox"

    _step(1, "The shopper pays: Financial Line holds 100 UAH for the order.")
    hold = {"order_id": ORDER, "amount": 100, "currency": "UAH"}
    _show(f"POST {sandbox}/holds {json.dumps(hold)}", _control("POST", f"{sandbox}/holds", hold))

    _step(2, "The order falls through: the merchant signs a void with its AWS credentials (SigV4).")
    document = {"order_id": ORDER, "order_currency": "UAH", "comment": "10101"}
    body = json.dumps(document).encode()
    signed = merchant.signed("POST", "/v1/voids", body, {"Content-Type": "application/json"})
    print(f"   POST {service.url}/v1/voids {body.decode()}")
    for name in ("X-Amz-Date", "Authorization"):
        print(f"   {name}: {signed[name]}")

    _step(3, "The service writes its intent, sends one void to Financial Line, and answers with the record.")
    answer = merchant.post("/v1/voids", document)
    _show(f"{answer.status}", answer.json)

    _step(4, "Financial Line reports by webhook. The service proves it genuine and stores it.")
    read = _read_until_reported(merchant)
    webhooks = read.json.get("webhooks", [])
    for webhook in webhooks:
        print(_indented(webhook))

    _step(5, "The record, as anybody with the credentials reads it from now on:")
    _show(f"GET {service.url}/v1/voids/{ORDER}", {key: value for key, value in read.json.items() if key != "webhooks"})

    _step(6, "The same request again: nothing is sent, the record already knows.")
    again = merchant.post("/v1/voids", document)
    ledger = _control("GET", f"{sandbox}/orders/{ORDER}")
    print(f"   {again.status}, Idempotency-Replayed: {again.headers.get('Idempotency-Replayed')}")
    print(f"   Financial Line received {ledger['voids_received']} void and executed {ledger['voids_executed']}.")

    came = (answer.status, again.status, read.json.get("state"), len(webhooks), ledger["voids_executed"])
    done = came == (200, 200, "voided", 1, 1)
    print("\nThe hold is released." if done else f"\nThis did not end as it must. The functions say:\n{service.logs()}")
    return 0 if done else 1


def _read_until_reported(merchant: Caller) -> Reply:
    give_up = time.monotonic() + 10
    while True:
        read = merchant.get(f"/v1/voids/{ORDER}")
        if read.json.get("webhooks") or time.monotonic() > give_up:
            return read
        time.sleep(0.1)


def _control(method: str, url: str, document: Any = None) -> Any:
    body = b"" if document is None else json.dumps(document).encode()
    return send(method, url, body, {"Content-Type": "application/json"}).json


def _step(number: int, text: str) -> None:
    print(f"\n{number}. {text}", flush=True)


def _show(line: str, document: Any) -> None:
    print(f"   {line}\n{_indented(document)}", flush=True)


def _indented(document: Any) -> str:
    return "\n".join(f"   {line}" for line in json.dumps(document, indent=2, ensure_ascii=False).splitlines())
