"""What all tests stand on: a function's environment, and which tests stay together when several processes share them."""

import os
import signal
from pathlib import PurePosixPath

import botocore.loaders
import botocore.session
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Before anything of functions/ is imported, by whichever test comes first.
os.environ |= {
    "POWERTOOLS_SERVICE_NAME": "void-service",
    "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "CDK_VALIDATION": "false",  # by the CDK itself, in each process: tests/infra/test_checks.py does it once
}

# Reading AWS's models is most of what a client costs, and a session reads them anew: once a process is enough.
LOADER = botocore.loaders.create_loader()
botocore.session.create_loader = lambda *_: LOADER

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what it runs in the background; the tests of Ctrl-C need it, and so do the processes that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

SECOND_SERVICE = ("test_console", "test_console_pages", "test_real_faults", "test_rotation", "test_stock_deploy")
"""They have a running service of their own: one of them waits a minute, and the others take long."""
LONGEST_FIRST = ("a second service", "the service", "alarms", "infra")


def group(nodeid: str) -> str:
    """The group of a test by its file. What is expensive to set up is set up once for a group."""
    path = PurePosixPath(nodeid.partition("::")[0])
    if path.parent.name == "integration":
        return "a second service" if path.stem in SECOND_SERVICE else "the service"
    return path.parent.name if path.parent.name in LONGEST_FIRST else str(path)


def rank(nodeid: str) -> int:
    """Where a test's group stands in the queue."""
    return (*LONGEST_FIRST, group(nodeid)).index(group(nodeid))


class Groups(LoadScopeScheduling):
    """Gives whole groups to the processes of `pytest -n`, in the order of the queue.

    xdist's own marks for groups do nothing under pytest 9.2, without a word: the tests would be spread one by one.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    config.option.loadscopereorder = False  # it would put the groups with most tests first, not the longest
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))
