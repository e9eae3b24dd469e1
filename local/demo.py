"""One void, from hold to webhook to record, told step by step to a person.

Goes through the front door only, as a merchant does; fails loudly when a step does not end as it must.
"""

import json
import time
from typing import Any

from local.merchant import Caller, send
from local.service import Service

ORDER = "123"
HOLD = {"order_id": ORDER, "amount": 100, "currency": "UAH"}
VOID = {"order_id": ORDER, "order_currency": "UAH", "comment": "10101"}


def demonstrate(service: Service) -> int:
    merchant = Caller(service.url, service.region, service.access_key, service.secret_key)
    sandbox, body = f"{service.sandbox_url}/sandbox", json.dumps(VOID).encode()

    _step(1, "The shopper pays: Financial Line holds 100 UAH for the order.")
    held = send("POST", f"{sandbox}/holds", json.dumps(HOLD).encode())
    _show(f"POST {sandbox}/holds {json.dumps(HOLD)}", held.json)

    _step(2, "The order falls through: the merchant signs a void with its AWS credentials (SigV4).")
    signed = merchant.signed("POST", "/v1/voids", body, {"Content-Type": "application/json"})
    print(f"   POST {service.url}/v1/voids {body.decode()}")
    for name in ("X-Amz-Date", "Authorization"):
        print(f"   {name}: {signed[name]}")

    _step(3, "The service writes its intent, sends one void to Financial Line, and answers with the record.")
    answer = merchant.post("/v1/voids", VOID)
    _show(f"{answer.status}", answer.json)

    _step(4, "Financial Line reports by webhook. The service proves it genuine and stores it.")
    record = _read_until_reported(merchant)
    _show("the record's webhooks", webhooks := record.pop("webhooks", []))

    _step(5, "The record, as anybody with the credentials reads it from now on:")
    _show(f"GET {service.url}/v1/voids/{ORDER}", record)

    _step(6, "The same request again: nothing is sent, the record already knows.")
    again, ledger = merchant.post("/v1/voids", VOID), send("GET", f"{sandbox}/orders/{ORDER}").json
    print(f"   {again.status}, Idempotency-Replayed: {again.headers.get('Idempotency-Replayed')}")
    print(f"   Financial Line received {ledger['voids_received']} void and executed {ledger['voids_executed']}.")

    came = (answer.status, again.status, record.get("state"), len(webhooks), ledger["voids_executed"])
    done = came == (200, 200, "voided", 1, 1)
    print("\nThe hold is released." if done else f"\nThis did not end as it must. The functions say:\n{service.logs()}")
    return 0 if done else 1


def _read_until_reported(merchant: Caller) -> Any:
    give_up = time.monotonic() + 10
    while not (read := merchant.get(f"/v1/voids/{ORDER}").json).get("webhooks") and time.monotonic() < give_up:
        time.sleep(0.1)
    return read


def _step(number: int, text: str) -> None:
    print(f"\n{number}. {text}", flush=True)


def _show(line: str, document: Any) -> None:
    print("\n".join(f"   {each}" for each in [line, *json.dumps(document, indent=2, ensure_ascii=False).splitlines()]))
