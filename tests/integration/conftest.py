"""The running service, one for the whole session: every test uses orders of its own.

Real sockets, real runtime client, real IAM: nothing is replaced but AWS by ministack and Financial Line by the sandbox.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.merchant import Caller
from local.service import Service, running
from tests import once
from tests.integration.browser import Page, chromium
from tests.integration.client import Client
from tests.integration.clients.packages import drivers
from tests.integration.clients.raw_server import RawServer, serving


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    once.engine()
    once.synthesised("local")
    with running(tokens=True) as service:
        yield service


@pytest.fixture(scope="session")
def client(service: Service) -> Client:
    return Client(service)


@pytest.fixture(scope="session")
def merchant(client: Client) -> Caller:
    return client.merchant


@pytest.fixture(scope="session")
def sandbox(client: Client) -> Callable[..., Any]:
    """sandbox("PUT", "faults/123", {"answer": "pending"}) -> the JSON that the control side answered."""
    return client.sandbox


@pytest.fixture
def order(client: Client) -> str:
    """An order that nobody else uses, with a hold of 1.00 UAH."""
    return client.hold()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    with browser.opened():
        yield browser


@pytest.fixture(scope="session")
def server() -> Iterator[RawServer]:
    """Says what the service cannot be brought to say."""
    with serving(RawServer()) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def drivers_that_stop() -> Iterator[None]:
    """What calls the packages, stopped in the end."""
    yield
    for process in drivers.values():
        process.communicate(timeout=20)
