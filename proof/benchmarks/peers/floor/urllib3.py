"""The floor: what the handlers by hand ask of urllib3, over one kept connection, opened again when it was closed."""

import http.client
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

trust = ssl.create_default_context(cafile=os.environ["CA_FILE"])


class Endpoint:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self.connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=trust, timeout=10)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        if self.connection.sock is not None and closed(self.connection.sock):
            self.connection.close()
        self.connection.request("POST", path, body, headers)
        return self.connection.getresponse().read()


def closed(sock: Any) -> bool:
    """Has the other side hung up? Session tickets that wait to be read are no hang-up."""
    sock.settimeout(0)
    try:
        return bool(sock.recv(1) == b"")
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(10)


class PoolManager:
    def __init__(self, **_: Any) -> None:
        self.endpoint = Endpoint(os.environ["PROVIDER_URL"])

    def request(self, _method: str, url: str, *, body: str, headers: dict[str, str], **_: Any) -> "PoolManager":
        self.data = self.endpoint.post(urlsplit(url).path, body.encode(), headers)
        return self
