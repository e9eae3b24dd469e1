"""What all tests stand on: the environment of a function, and which tests stay together when several processes share them."""

import os

import pytest

# Before anything of functions/ is imported, by whichever test comes first.
os.environ |= {
    "POWERTOOLS_SERVICE_NAME": "void-service",
    "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "AWS_DEFAULT_REGION": "eu-central-1",
}

LONGEST_FIRST = ("the service", "a second service", "faults", "stock", "infra")
SECOND_SERVICE = ("test_console", "test_console_pages", "test_real_faults", "test_rotation")
"""Files whose tests get a running service for themselves: together they take as long as all other tests of a service."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into its group: `make test` gives a group to one process, the longest groups first.

    What is expensive to set up is thus set up once. Within a group, tests keep their order.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: _rank(group(item)))


def group(item: pytest.Item) -> str:
    """The tests of one service, one folder or one file."""
    kind, stem = item.path.parent.name, item.path.stem
    if "service" in getattr(item, "fixturenames", ()):
        return "a second service" if stem in SECOND_SERVICE else "the service"
    if stem == "test_stock_deploy":
        return "stock"
    return kind if kind in LONGEST_FIRST else f"{kind}/{stem}"


def _rank(name: str) -> int:
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)
