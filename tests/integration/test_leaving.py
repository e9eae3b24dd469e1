"""`void.settled` on this machine: what a console shows of a running service is what its own pipe would have sent."""

import uuid

from local.merchant import send
from local.service import Service
from tests.integration.client import Client, eventually


def test_a_settled_void_leaves_once_and_a_failed_one_too(service: Service) -> None:
    client = Client(service)
    voided, failed, open_ = client.hold(), client.hold(answer="http_400"), client.hold(answer="pending", webhook="none")
    for order in (voided, failed, open_):
        client.submit(order, uuid.uuid4().hex)

    def left() -> dict[str, list[str]]:
        events = [each["event"] for each in send("GET", f"{service.url}/console/events.json").json["events"]]
        return {
            order: [each["detail"]["state"] for each in events if each["detail"].get("order_id") == order]
            for order in (voided, failed, open_)
        }

    # A repeated webhook of the same void makes no second one, so what has come by then is all.
    eventually(lambda: client.ledger(voided)["webhooks"], bool)
    found = eventually(left, lambda found: bool(found[voided] and found[failed]))
    assert found == {voided: ["voided"], failed: ["failed"], open_: []}


def test_another_site_does_not_see_what_left(service: Service) -> None:
    assert (
        send("GET", f"{service.url}/console/events.json", headers={"Origin": "https://elsewhere.invalid"}).status == 403
    )
