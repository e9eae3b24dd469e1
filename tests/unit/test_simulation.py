"""The simulator in small: no harm in random schedules, and harm without each guard."""

import random
import re
from collections.abc import Iterator

import pytest

from proof.simulation import explorer
from proof.simulation.__main__ import PAGE
from proof.simulation.configurations import CONFIGURATIONS
from proof.simulation.guards import GUARDS, MISTAKES, Guard, hunt, without

EACH = 15
RECORDED = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| `(.+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE))


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    with explorer.installed():
        yield


@pytest.mark.parametrize("guard", [*GUARDS, *MISTAKES], ids=lambda guard: guard.name)
def test_without_a_guard_there_is_harm(guard: Guard) -> None:
    """The recorded schedule shows it; if a change has moved its steps, another one is hunted."""
    with without(guard):
        sim = explorer.run(*explorer.read(RECORDED.get(guard.name, "plain:")))
    assert sim.watch.violations or hunt(guard)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_schedule_does_harm(name: str) -> None:
    config, seed = CONFIGURATIONS[name], random.SystemRandom().randrange(10**9)
    for number in range(EACH):
        sim, schedule = explorer.walk(config, f"{seed}/{number}")
        if sim.watch.violations:
            line = explorer.written(config, explorer.shrink(config, schedule))
            pytest.fail(f"{sim.watch.violations[0]} (seed {seed}): make faults REPLAY='{line}'")
