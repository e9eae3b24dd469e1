"""A meter before the AWS engine of the local run: counts the request units of each call to the table, and its bytes.

Promises to pass every call on unchanged. It reads the item before and after a write, so it counts what was stored, by
whatever expression it was written. Serves one caller at a time.
"""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlsplit

from proof.benchmarks.units import Index, Item, Table, read_units, size, write_units


@dataclass
class Usage:
    """What was used since the last `take`."""

    writes: Counter[str] = field(default_factory=Counter)
    """Write units by what they count for: `table`, or the name of an index."""
    reads: float = 0
    calls: Counter[str] = field(default_factory=Counter)
    answers: dict[str, str] = field(default_factory=dict)
    """The last answer to each kind of read."""


class Meter:
    """Listens on a port of its own and passes on to the engine. `client` looks at the engine beside it."""

    def __init__(self, engine: str, client: Any) -> None:
        self._engine, self._client = urlsplit(engine), client
        self._tables: dict[str, Table] = {}
        self._usage = Usage()
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self) -> Usage:
        """What was used, and begin again."""
        taken, self._usage = self._usage, Usage()
        return taken

    def items(self, table: str) -> list[Item]:
        """All that a table holds."""
        pages = self._client.get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"]]

    def stored(self, table: str) -> int:
        """Bytes that are billed for all that a table and its indexes hold: AWS adds 100 for each item and entry."""
        shape, items = self._shape(table), self.items(table)
        entries = [index.entry(item, shape.keys) for index in shape.indexes for item in items]
        return sum(size(held) + 100 for held in [*items, *entries] if held is not None)

    @contextmanager
    def running(self) -> Iterator["Meter"]:
        """Serve, while needed."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        meter = self

        class Handler(BaseHTTPRequestHandler):
            # One request a connection: with kept ones a single-threaded server would serve one caller for ever.
            protocol_version = "HTTP/1.0"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, answer = meter.pass_on(dict(self.headers), body)
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def pass_on(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send one call to the engine and note what it used."""
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        asked = json.loads(body)
        writes = list(_writes(operation, asked))
        before = [self._load(write) for write in writes]
        connection = http.client.HTTPConnection(self._engine.hostname or "", self._engine.port or 80)
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        payload = answer.read()
        connection.close()
        for write, old in zip(writes, before, strict=True):
            transaction = operation == "TransactWriteItems"
            self._usage.writes += Counter(
                write_units(self._shape(write["TableName"]), old, self._load(write), transaction=transaction)
            )
        if operation in ("GetItem", "Query"):
            found = json.loads(payload)
            self._usage.answers[operation] = payload.decode()
            items = found.get("Items", [found["Item"]] if "Item" in found else [])
            self._usage.reads += read_units(items, consistent=bool(asked.get("ConsistentRead")))
        self._usage.calls[operation] += 1
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in ("connection", "date")}
        return answer.status, kept, payload

    def _shape(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = _shape(self._client.describe_table(TableName=name)["Table"])
        return self._tables[name]

    def _load(self, write: dict[str, Any]) -> Item | None:
        where = write.get("Key") or {name: write["Item"][name] for name in self._shape(write["TableName"]).keys}
        found: Item | None = self._client.get_item(TableName=write["TableName"], Key=where, ConsistentRead=True).get(
            "Item"
        )
        return found


def _writes(operation: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match operation:
        case "PutItem" | "UpdateItem" | "DeleteItem":
            yield asked
        case "TransactWriteItems":
            for each in asked["TransactItems"]:
                yield from each.values()
        case "GetItem" | "Query":
            return
        case _:
            raise ValueError(f"{operation} is not counted yet")


def _shape(described: dict[str, Any]) -> Table:
    keys = _keys(described)
    indexes = [*described.get("GlobalSecondaryIndexes", []), *described.get("LocalSecondaryIndexes", [])]
    return Table(keys, tuple(Index(each["IndexName"], _keys(each), _projected(each)) for each in indexes))


def _keys(described: dict[str, Any]) -> tuple[str, ...]:
    return tuple(key["AttributeName"] for key in described["KeySchema"])


def _projected(index: dict[str, Any]) -> frozenset[str] | None:
    projection = index["Projection"]
    return None if projection["ProjectionType"] == "ALL" else frozenset(projection.get("NonKeyAttributes", ()))
