"""The versions to go back to: the last ten stay, and whatever an alias leads to."""

from typing import Any

import pytest

from infra.versions import KEPT, Version, led_to_by, too_old, versions_of


def published(count: int, live: int) -> list[Version]:
    return [Version("submit", number, "2026-11-24", "0a1b2c3d", number == live) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("count", "live", "deleted"),
    [(1, 1, []), (10, 10, []), (11, 11, [1]), (13, 13, [1, 2, 3]), (13, 2, [1, 3]), (13, 1, [2, 3])],
)
def test_the_newest_ten_and_the_live_one_stay(count: int, live: int, deleted: list[int]) -> None:
    assert [version.number for version in too_old(published(count, live))] == deleted
    assert KEPT == 10


def test_while_a_release_is_under_way_both_of_its_versions_are_live() -> None:
    canary = {"FunctionVersion": "3", "RoutingConfig": {"AdditionalVersionWeights": {"4": 0.1}}}
    assert led_to_by([canary]) == {"3", "4"}
    assert led_to_by([{"FunctionVersion": "3"}, {"FunctionVersion": "7", "RoutingConfig": {}}]) == {"3", "7"}


def test_versions_are_ordered_by_their_number_and_latest_is_none_of_them() -> None:
    listed = [
        {"Version": version, "LastModified": "2026-11-24", "CodeSha256": "0a1b2c3d4e5f"}
        for version in ("$LATEST", "10", "9", "2")
    ]

    class Listing:
        def pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
            assert (service, parameters) == ("lambda", {"FunctionName": "submit"})
            return {"Versions": listed, "Aliases": [{"FunctionVersion": "9"}]}[key]

    found = versions_of(Listing(), "submit")  # type: ignore[arg-type]
    assert [(version.number, version.live) for version in found] == [(2, False), (9, True), (10, False)]
    assert {version.code for version in found} == {"0a1b2c3d"}
