"""The floor: what the handlers by hand ask of urllib3."""

import os
from typing import Any
from urllib.parse import urlsplit

from wire import Endpoint


class PoolManager:
    def __init__(self, **_: Any) -> None:
        self.endpoint = Endpoint(os.environ["PROVIDER_URL"])

    def request(self, _method: str, url: str, *, body: str, headers: dict[str, str], **_: Any) -> "PoolManager":
        self.data = self.endpoint.post(urlsplit(url).path, body.encode(), headers)
        return self
