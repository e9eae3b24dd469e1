"""Submits twice and reads once, with a client that others generate from openapi.json."""

import sys

from generated import Client
from generated.api.merchant import read_void, submit_void
from generated.models import Void, VoidRequest

client = Client(base_url=sys.argv[1])
wanted = VoidRequest(order_id="123", order_currency="UAH")
accepted, refused = (submit_void.sync_detailed(client=client, body=wanted, idempotency_key="k") for _ in range(2))
assert (accepted.status_code, accepted.parsed.state.value, accepted.parsed.order_id) == (202, "pending", "123")
assert (refused.status_code, refused.parsed.void.state.value) == (409, "failed")
assert read_void.sync(client=client, order_id="123").webhooks == []
record = accepted.parsed.to_dict()
assert Void.from_dict(record).to_dict() == record
