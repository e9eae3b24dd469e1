"""A cold start is spent on importing: the collector keeps out of it, and is back for the first request."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
# In a process of its own: argv is the handler.
PROBE = """
import gc, json, sys

during = []
gc.callbacks.append(lambda phase, _: during.append(phase) if "cold_start" in sys.modules else None)
__import__(sys.argv[1])
found = {"collections": len(during), "on": gc.isenabled(), "aside": gc.get_freeze_count()}


class Knot:
    pass


knots = []
gc.callbacks.append(lambda phase, _: knots.append(phase))
for _ in range(10 * gc.get_threshold()[0]):
    knot = Knot()
    knot.itself = knot
print(json.dumps({**found, "later": len(knots)}))
"""


@pytest.mark.parametrize("module", ["submit_void", "read_voids", "receive_webhook", "settle_voids"])
def test_nothing_is_collected_at_init_and_garbage_is_later(module: str) -> None:
    environment = {
        "PYTHONPATH": str(FUNCTIONS),
        "POWERTOOLS_SERVICE_NAME": "void-service",
        "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
    }
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, module], env=environment, capture_output=True, text=True, check=False
    )
    assert probe.returncode == 0, probe.stderr
    found = json.loads(probe.stdout)
    assert found["collections"] == 0
    assert found["on"]
    assert found["aside"] > 10_000, "what init left is set aside"
    assert found["later"] > 0
