"""A Financial Line to run against on one machine: the provider API over TLS, and a control side that can break it.

Promises the provider's documented behaviour, signatures included, and each named fault exactly once.
Never listens anywhere but on loopback, and never keeps anything after it stops.
"""

import ssl
import threading
from pathlib import Path

import trustme

from local.issuer import URL, Issuer
from local.sandbox.control import Control
from local.sandbox.desk import Desk
from local.sandbox.doors import Door
from local.sandbox.provider import Announcer, ProviderApi
from play.ledger import Project


class Sandbox:
    """Opens both sides; port 0 picks a free one. The CA that clients must trust is written to `folder`.

    `tokens`: an issuer of tokens is at the control side, too.
    """

    def __init__(
        self, control_port: int, project: Project, folder: Path, webhook_url: str | None = None, tokens: bool = False
    ) -> None:
        self.desk, self._stopping = Desk(project, webhook_url), threading.Event()
        announcer = Announcer(self.desk, self._stopping)
        folder.mkdir(parents=True, exist_ok=True)
        # A throw-away authority per start; its private key never leaves the process.
        authority, self.ca_file = trustme.CA(), folder / "financial-line-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
        self._provider = Door(0, ProviderApi(self.desk, announcer, self._stopping), tls)
        try:
            control = Control(self.desk, announcer, self._provider)
            self._control = Door(control_port, control)
        except OSError:
            self._provider.close()
            raise
        self.control_url = f"http://127.0.0.1:{self._control.port}"
        self.provider_url = f"https://127.0.0.1:{self._provider.port}"
        if tokens:
            control.issuer = Issuer(URL, at=self.control_url)

    def stop(self) -> None:
        """Ends the answers that are being held, too."""
        self._stopping.set()
        self._provider.close()
        self._control.close()
