"""What leaves this machine as an event, and what `make run KEEP=1` has again after a restart."""

import json
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import outcomes
from local.kept import Kept
from local.sandbox.desk import Desk
from local.sandbox.doors import Door, Exchange
from payments.exact_json import Number
from play.ledger import Project


def change(state: str, order: str = "1", kind: str = "void.settled") -> dict[str, Any]:
    keys = {"pk": {"S": order}, "sk": {"S": "ORDER"}}
    image = keys | {"state": {"S": state}, "kind": {"S": kind}, "version": {"N": "2"}, "review": {"BOOL": False}}
    return {"eventName": "MODIFY", "dynamodb": {"Keys": keys, "NewImage": image}}


TEMPLATE = """{"state": "<$.dynamodb.NewImage.state.S>", "reason": "<$.dynamodb.NewImage.reason.S>",
    "order": <$.dynamodb.Keys.pk.S>, "review": <$.dynamodb.NewImage.review.BOOL>, "version": "<$.dynamodb.NewImage.version.N>"}"""


class Bus:
    """An engine that passes what has this state."""

    def test_event_pattern(self, EventPattern: str, Event: str) -> dict[str, bool]:
        return {"Result": json.loads(Event)["dynamodb"]["NewImage"]["state"]["S"] in EventPattern}


def test_what_the_templates_pipe_passes_is_shown_and_void_settled_is_posted_until_it_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outcomes, "PAUSES", (0.01, 0.01))
    posted, shown = list[Any](), list[str]()

    def merchant(exchange: Exchange) -> None:
        posted.append(json.loads(exchange.body))
        exchange.send(503 if len(posted) == 1 else 200, "")

    bus = {"Source": "void-service", "DetailType": "$.dynamodb.NewImage.kind.S"}
    target = {"EventBridgeEventBusParameters": bus, "InputTemplate": TEMPLATE}
    filters = {"FilterCriteria": {"Filters": [{"Pattern": "open"}, {"Pattern": "voided"}]}}
    pipe = {"Type": "AWS::Pipes::Pipe", "Properties": {"SourceParameters": filters, "TargetParameters": target}}
    with closing(Door(0, merchant)) as door:
        leaving = outcomes.Outcomes({"Resources": {"A": pipe}}, Bus(), shown.append, f"http://127.0.0.1:{door.port}/x")
        broken = change("voided", "2")
        del broken["dynamodb"]["NewImage"]["review"]
        leaving.take([change("open", kind="open"), change("pending"), broken, change("voided")])
        give_up = time.monotonic() + 10
        while (latest := leaving.latest()["events"])[-1]["posts"] != [503, 200] and time.monotonic() < give_up:
            time.sleep(0.01)
    kinds = [(each["event"]["detail-type"], each["posts"]) for each in latest]
    assert kinds == [("open", []), ("void.settled", [503, 200])]
    assert [json.loads(line) for line in shown] == [each["event"] for each in latest]
    assert posted == [latest[1]["event"]] * 2
    assert leaving.latest()["dead_letters"] == [broken["dynamodb"]["Keys"]]
    assert posted[0]["detail"] == {"state": "voided", "reason": "", "order": "1", "review": False, "version": "2"}


def test_records_and_holds_are_those_of_the_last_run(tmp_path: Path) -> None:
    def desk() -> Desk:
        return Desk(Project("pos", "key", "secret", "endpoints"), None)

    before, put = desk(), list[Any]()
    before.place_hold("1", Number("1.50"), "UAH")
    before.write_row("1", {"method": "void", "status": "pending", "operation_id": "op-1"})
    kept = Kept(tmp_path, before)
    kept.take([change("voided"), change("open", "2"), change("failed")])
    kept.take([{"eventName": "REMOVE", "dynamodb": {"Keys": change("", "2")["dynamodb"]["Keys"]}}])
    with pytest.raises(SystemExit, match="^Another run keeps its records"):
        Kept(tmp_path, desk())
    kept.close()
    after = desk()
    again = Kept(tmp_path, after)
    again.restore(SimpleNamespace(put_item=lambda **item: put.append(item["Item"])), "table")
    again.close()
    assert put == [change("failed")["dynamodb"]["NewImage"]]
    assert after.view("1") == before.view("1")
    earlier = {"items": [{"pk": "1", "sk": "ORDER", "facts": {"S": "{}"}}], **desk().kept()}
    for text in ("{", json.dumps(earlier)):
        (tmp_path / "kept.json").write_text(text)
        with pytest.raises(SystemExit, match="cannot be read .*: remove it$"), closing(Kept(tmp_path, desk())) as bad:
            bad.restore(None, "table")
