"""The runtime client of systems for which AWS builds no native part, tried on this one."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
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
    sts = aws.client("sts", service.aws_endpoint)
    with ExitStack() as stack:
        children = Children()
        stack.callback(children.stop_all)
        functions = {"read_voids": replace(service.runtime.functions["read_voids"], code=tmp_path)}
        running = Runtime(
            functions, service.aws_endpoint, lambda function: aws.role_credentials(sts, function), children,
            tmp_path / "log",
        )  # fmt: skip
        stack.callback(running.stop)
        yield running


def test_an_event_goes_in_and_a_result_comes_out(portable: Runtime) -> None:
    first, second = (portable.invoke("read_voids", {"text": "é\u20ac", "number": number}) for number in (1, 2))
    assert first["event"] == {"text": "é\u20ac", "number": 1}
    assert first["id"] != second["id"]
    assert 0 < first["left"] <= 1000 * portable.functions["read_voids"].timeout
    assert ":function:" in first["arn"]
    assert len(portable.pids()) == 1, "one process serves both"


def test_what_a_handler_raises_is_reported_and_the_process_serves_on(portable: Runtime) -> None:
    portable.invoke("read_voids", {})
    (pid,) = portable.pids()
    with pytest.raises(FunctionFailed, match="no such thing"):
        portable.invoke("read_voids", {"raise": "no such thing"})
    assert portable.invoke("read_voids", {"again": True})["event"] == {"again": True}
    assert portable.pids() == [pid]


def test_the_command_line_names_the_handler(portable: Runtime, service: Service) -> None:
    assert runtime.NATIVE_CLIENT == ("-m", "awslambdaric")
    assert Path(runtime.PORTABLE_CLIENT[-1]).is_file()
