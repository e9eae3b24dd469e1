"""What leaves on this machine: the table's stream through the template's own pipe, which the engine cannot run.

Promises that filter and template are the deployed ones. What leaves is kept for the console, printed if that is wanted,
and posted to a merchant's endpoint as EventBridge posts it. Never holds up a void.
"""

import json
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import urllib3

from local.aws import ACCOUNT, REGION

type Record = dict[str, Any]
type Take = Callable[[Sequence[Record]], None]

POLL_SECONDS = 0.2
AGAIN = (401, 407, 409, 429)  # what EventBridge repeats besides each 5xx
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # seconds; EventBridge goes on for a day
MOST_KEPT = 1000
ENVELOPE = {"source": "", "detail-type": "", "account": "", "region": "", "time": "", "resources": [], "id": ""}


class Follower:
    """Gives what happens to the table from now on to whoever takes it, in a thread of its own until it is stopped."""

    def __init__(self, client: Any, table: str, takers: Sequence[Take]) -> None:
        self._client, self._takers = client, takers
        (stream,) = client.list_streams(TableName=table)["Streams"]
        latest = {"StreamArn": stream["StreamArn"], "ShardIteratorType": "LATEST"}
        shards = client.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
        asked = [client.get_shard_iterator(**latest, ShardId=shard["ShardId"]) for shard in shards]
        self._iterators = [each["ShardIterator"] for each in asked]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="stream")
        self._thread.start()

    def stop(self) -> None:
        """After a last look."""
        self._stopping.set()
        self._thread.join()

    def _follow(self) -> None:
        last = False
        while not last:
            last, records = self._stopping.wait(POLL_SECONDS), list[Record]()
            for place, iterator in enumerate(self._iterators):
                answer = self._client.get_records(ShardIterator=iterator)
                records += answer["Records"]
                self._iterators[place] = answer.get("NextShardIterator", iterator)
            for take in self._takers:
                take(records)


class Outcomes:
    """The events of the template's pipe. `show`: prints one; `url`: where void.settled is posted to."""

    def __init__(
        self, template: dict[str, Any], bus: Any, show: Callable[[str], None] | None = None, url: str = ""
    ) -> None:
        self._bus, self._show, self._url = bus, show, url
        resources = template["Resources"].values()
        (self._pipe,) = (each["Properties"] for each in resources if each["Type"] == "AWS::Pipes::Pipe")
        self._events: deque[dict[str, Any]] = deque(maxlen=MOST_KEPT)
        self._dead: deque[Any] = deque(maxlen=MOST_KEPT)

    def latest(self) -> dict[str, list[Any]]:
        """Events, the newest last, each with what its posts came to; and by its key what no template could hold."""
        return {"events": list(self._events), "dead_letters": list(self._dead)}

    def take(self, records: Sequence[Record]) -> None:
        filters, passes = self._pipe["SourceParameters"]["FilterCriteria"]["Filters"], self._bus.test_event_pattern
        for record in json.loads(json.dumps(records, default=str)):
            event = json.dumps(ENVELOPE | record)
            if any(passes(EventPattern=each["Pattern"], Event=event)["Result"] for each in filters):
                self._leave(record)

    def _leave(self, record: Record) -> None:
        target = self._pipe["TargetParameters"]
        bus = target["EventBridgeEventBusParameters"]
        try:
            detail = json.loads(filled(target["InputTemplate"], record))
        except ValueError:
            return self._dead.append(record["dynamodb"]["Keys"])
        event = {
            "version": "0", "id": str(uuid.uuid4()), "detail-type": said(bus["DetailType"], record),
            "source": said(bus["Source"], record), "account": ACCOUNT, "region": REGION, "resources": [],
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "detail": detail,
        }  # fmt: skip
        entry: dict[str, Any] = {"event": event, "posts": []}
        self._events.append(entry)
        if self._show:
            self._show(json.dumps(event, ensure_ascii=False))
        if self._url and event["detail-type"] == "void.settled":
            threading.Thread(target=self._post, args=(self._url, entry), daemon=True, name="outcome").start()
        return None

    def _post(self, url: str, entry: dict[str, Any]) -> None:
        body = json.dumps(entry["event"]).encode()
        # In AWS the header is what the merchant's own secret says.
        headers = {"Content-Type": "application/json", "Authorization": "local"}
        for pause in (0.0, *PAUSES):
            threading.Event().wait(pause)
            with urllib3.PoolManager(retries=False, timeout=5) as pool:
                try:
                    said: int | str = pool.request("POST", url, body=body, headers=headers, redirect=False).status
                except (urllib3.exceptions.HTTPError, ValueError) as problem:
                    said = f"{type(problem).__name__}: {problem}"
            entry["posts"].append(said)
            if isinstance(said, int) and said not in AGAIN and said < 500:
                return


def said(value: str, record: Record) -> Any:
    """A text as it stands, or what is found at a path."""
    if not value.startswith("$."):
        return value
    found: Any = record
    for name in value.split(".")[1:]:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def filled(template: str, record: Record) -> str:
    """Each path by its value, as it is: a pipe escapes nothing, and puts quotes around a text if there are none."""

    def put(match: re.Match[str]) -> str:
        quote, path = match.groups()
        found = said(path, record)
        if found is None:
            return quote * 2
        return f'"{found}"' if isinstance(found, str) else f"{quote}{json.dumps(found)}{quote}"

    return re.sub(r'("?)<(\$\.[\w.]+)>\1', put, template)
