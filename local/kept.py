"""`make run KEEP=1`: records and holds of this machine over a restart, in one file below .cache.

Promises that the file is whole at each moment, that one run has it, and that what is put back leaves no event.
"""

import fcntl
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.outcomes import Record
from local.sandbox.desk import Desk


class Kept:
    """The table's items and the provider's desk, written after each change."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file, self._desk, self._written = folder / "kept.json", desk, ""
        self._items: dict[str, Any] = {}
        self._lock = (folder / "kept.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise SystemExit("Another run keeps its records in .cache: end it, or run without KEEP=1") from None

    def restore(self, table: Any, name: str) -> None:
        """What the last run has kept, before anybody follows the stream."""
        if not self._file.exists():
            return
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self._items = {_key(item): item for item in kept["items"]}
            facts = {key: b64decode(item["facts"]["B"]) for key, item in self._items.items() if "facts" in item}
            self._desk.restore(kept["operations"], kept["orders"])
        except (ValueError, KeyError, TypeError) as problem:
            raise SystemExit(f"{self._file} cannot be read ({type(problem).__name__}): remove it") from None
        for key, item in self._items.items():
            table.put_item(TableName=name, Item=item | ({"facts": {"B": facts[key]}} if key in facts else {}))

    def take(self, records: Sequence[Record]) -> None:
        """Changes of the table; those of the desk are seen here too."""
        for record in records:
            change = record["dynamodb"]
            if "NewImage" in change:
                self._items[_key(change["NewImage"])] = change["NewImage"]
            else:
                self._items.pop(_key(change["Keys"]), None)
        kept = {"items": list(self._items.values()), **self._desk.kept()}
        text = json.dumps(kept, ensure_ascii=False, default=lambda data: b64encode(data).decode())
        if text != self._written:
            partial = self._file.with_suffix(".new")
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._file)
            self._written = text

    def close(self) -> None:
        self._lock.close()


def _key(item: dict[str, Any]) -> str:
    return json.dumps([item["pk"], item["sk"]])
