"""The runtime client of systems for which AWS builds no native part, tried on this one."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from local import aws, runtime
from local.instance import FunctionFailed
from local.processes import Children
from local.runtime import Runtime
from local.service import Service

ECHO = """
import json

def handler(event, context):
    if "raise" in event:
        raise ValueError(event["raise"])
    return {"event": event, "id": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
            "arn": context.invoked_function_arn}
"""


@pytest.fixture
def portable(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """The deployed function `read_voids` with other code, run by the portable client."""
    monkeypatch.setattr(runtime, "CLIENT", runtime.PORTABLE_CLIENT)
    (tmp_path / "read_voids.py").write_text(ECHO)
    children, roles = Children(), partial(aws.role_credentials, service.client("sts"))
    functions = {"read_voids": replace(service.runtime.functions["read_voids"], code=tmp_path)}
    running = Runtime(functions, service.aws_endpoint, roles, children, tmp_path / "log")
    yield running
    running.stop()
    children.stop_all()


def test_events_go_in_and_results_and_errors_come_out_of_one_process(portable: Runtime) -> None:
    first, second = (portable.invoke("read_voids", {"text": "é\u20ac", "number": number}) for number in (1, 2))
    assert first["event"] == {"text": "é\u20ac", "number": 1}
    assert first["id"] != second["id"]
    assert 0 < first["left"] <= 1000 * portable.functions["read_voids"].timeout
    assert ":function:" in first["arn"]
    (pid,) = portable.pids()
    with pytest.raises(FunctionFailed, match="no such thing"):
        portable.invoke("read_voids", {"raise": "no such thing"})
    assert portable.invoke("read_voids", {"again": True})["event"] == {"again": True}
    assert portable.pids() == [pid], "what a handler raises ends no process"
    assert runtime.NATIVE_CLIENT == ("-m", "awslambdaric")
