"""Where the local run is: by the note that `make run` keeps in its scratch folder."""

import json
import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from ops import places
from ops.places import OpsError


@dataclass(frozen=True, slots=True)
class Note:
    """A local run that answers."""

    port: int
    aws_endpoint: str
    sandbox_url: str


def find(port: int | None) -> Note:
    """The newest run, or the one with this port. Raises OpsError."""
    wanted = port or _from_environment()
    for file in sorted(places.CACHE.glob("run-*/service.json"), key=os.path.getmtime, reverse=True):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            note = Note(urlsplit(found["url"]).port or 80, found["aws_endpoint"], found["sandbox_url"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the run ended just now, or is another version's
        if wanted in (None, note.port) and _listens(note.port):
            return note
    where = f" on port {wanted}" if wanted else ""
    raise OpsError(
        f"no local run found{where}: start it with `make run` in another terminal, then repeat this; or say which "
        "deployment is meant, as in: make acceptance ENVIRONMENT=test HOLDS=order-1,order-2,order-3"
    )


def _from_environment() -> int | None:
    text = os.environ.get("PORT", "")
    return int(text) or None if text.isdecimal() else None


def _listens(port: int) -> bool:
    """A run that was killed has left its note."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2):
            return True
    except OSError:
        return False
