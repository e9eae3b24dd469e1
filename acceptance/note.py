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
    text = os.environ.get("PORT", "")
    wanted = port or (int(text) if text.isdecimal() else None) or None
    for file in sorted(places.CACHE.glob("run-*/service.json"), key=os.path.getmtime, reverse=True):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            note = Note(urlsplit(found["url"]).port or 80, found["aws_endpoint"], found["sandbox_url"])
            if wanted in (None, note.port):
                socket.create_connection(("127.0.0.1", note.port), 2).close()  # a killed run has left its note
                return note
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the run ended just now, or is another version's
    raise OpsError(
        f"no local run found{f' on port {wanted}' if wanted else ''}: start it with `make run` in another terminal, "
        "then repeat this; or name a deployment, as in: make acceptance ENVIRONMENT=test HOLDS=order-1,order-2"
    )
