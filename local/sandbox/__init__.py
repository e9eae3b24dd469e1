"""A Financial Line to run against on one machine: the provider API over TLS, and a control side that can break it.

Promises the provider's documented behaviour, signatures included, and each named fault exactly once.
Never listens anywhere but on loopback, and never keeps anything after it stops.
"""

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import trustme

from local.issuer import URL, Issuer
from local.sandbox.control import Control
from local.sandbox.desk import Desk
from local.sandbox.doors import Door
from local.sandbox.provider import ProviderApi
from local.sandbox.webhooks import Announcer
from play.ledger import Project


@dataclass(frozen=True)
class Sandbox:
    control_url: str
    provider_url: str
    ca_file: Path
    desk: Desk
    _doors: tuple[Door, Door]
    _stopping: threading.Event

    def stop(self) -> None:
        """Ends the answers that are being held, too."""
        self._stopping.set()
        for door in self._doors:
            door.close()


def start(
    control_port: int, project: Project, folder: Path, webhook_url: str | None = None, tokens: bool = False
) -> Sandbox:
    """Opens both sides; port 0 picks a free one. The CA that clients must trust is written to `folder`.

    `tokens`: an issuer of tokens is at the control side, too.
    """
    desk = Desk(project, webhook_url)
    stopping = threading.Event()
    announcer = Announcer(desk, stopping)
    ca_file, tls = _certificates(folder)
    provider = Door(0, ProviderApi(desk, announcer, stopping), tls)
    try:
        answering = Control(desk, announcer, provider)
        control = Door(control_port, answering)
    except OSError:
        provider.close()
        raise
    if tokens:
        answering.issuer = Issuer(URL, at=f"http://127.0.0.1:{control.port}")
    return Sandbox(
        control_url=f"http://127.0.0.1:{control.port}",
        provider_url=f"https://127.0.0.1:{provider.port}",
        ca_file=ca_file,
        desk=desk,
        _doors=(provider, control),
        _stopping=stopping,
    )


def _certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A throw-away authority per start; its private key never leaves the process."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    ca_file = folder / "financial-line-ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
    return ca_file, tls
