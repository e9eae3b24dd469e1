"""The local Lambda runtime and schedule against recordings: environment, context, what a failure is.

The functions here are small ones of the test's own, run by AWS's runtime client as the service's are.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local import aws
from local.aws import Function
from local.processes import Children
from local.runtime import NATIVE_CLIENT, PORTABLE_CLIENT, FunctionFailed, Runtime
from local.service import Service
from tests.integration.client import eventually
from tests.integration.recorded import vector

PROBE = """
import os, sys, time
CONTEXT = ("function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "log_group_name")

def look(event, context):
    shown = {name: getattr(context, name) for name in CONTEXT} | {"remaining": context.get_remaining_time_in_millis()}
    return {"environment": dict(os.environ), "cwd": os.getcwd(), "context": shown}

def echo(event, context):
    if "raise" in event:
        raise Exception(event["raise"])
    return {"event": event, "id": context.aws_request_id, "pid": os.getpid()}

def leave(event, context):
    os._exit(3)

def linger(event, context):
    time.sleep(30)
"""


CLIENTS = {"native": NATIVE_CLIENT, "portable": PORTABLE_CLIENT}
"""AWS's own, and the one of systems for which AWS builds no native part."""


@contextmanager
def running(folder: Path, which: str = "native") -> Iterator[Runtime]:
    (folder / "probe.py").write_text(PROBE)
    (folder / "broken.py").write_text('raise Exception("Runtime startup fails")\n')
    handlers = {name: f"probe.{name}" for name in ("look", "echo", "leave", "linger")} | {"broken": "broken.x"}
    functions = {
        name: Function(name=name, handler=handler, role="none", version="7", alias="live", memory=1024, code=folder,
                       timeout=1 if name == "linger" else 5, environment={"OWN": "value"})
        for name, handler in handlers.items()
    }  # fmt: skip
    credentials = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "fake")
    children = Children()
    runtime = Runtime(functions, "http://127.0.0.1:9", lambda _: credentials, children, folder / "functions.log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("local.runtime.CLIENT", CLIENTS[which])
        yield runtime
    runtime.stop()
    children.stop_all()


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    with running(tmp_path_factory.mktemp("code")) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def seen(runtime: Runtime) -> Any:
    return runtime.invoke("look", {})


def test_a_function_has_the_names_that_lambda_sets_and_no_others(seen: Any) -> None:
    recorded, environment = vector("environment-python313")["result"], seen["environment"]
    # Python sets LC_CTYPE by itself where it does not find the locale of LANG, as in Lambda; here it may find it.
    own = {"OWN", "AWS_ENDPOINT_URL", "LC_CTYPE"}
    assert set(environment) - own == set(recorded["names"]) - own
    elsewhere = {"LAMBDA_TASK_ROOT", "PWD", "LC_CTYPE"}  # the code lies in another folder here
    expected = {name: value for name, value in recorded["values"].items() if name not in elsewhere}
    assert {name: environment[name] for name in expected} == expected
    assert environment["LAMBDA_TASK_ROOT"] == environment["PWD"] == seen["cwd"]
    assert environment["_HANDLER"] == "probe.look"
    assert environment["AWS_LAMBDA_INITIALIZATION_TYPE"] in vector("initialization-type")["result"]["values"]
    trace = environment["_X_AMZN_TRACE_ID"]
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", trace)
    assert vector("environment-python313")["setup"].startswith("python{}.{}".format(*sys.version_info[:2]))


def test_a_function_is_called_by_its_alias_and_knows_its_version(seen: Any, service: Service) -> None:
    recorded, plain, context = vector("context-alias")["result"], vector("context-python313")["result"], seen["context"]
    assert recorded["invoked_function_arn"].endswith(":{name}:alias1")
    assert context["invoked_function_arn"] == f"arn:aws:lambda:{aws.REGION}:{aws.ACCOUNT}:function:look:live"
    assert recorded["function_version"].isdecimal()
    assert (context["function_version"], seen["environment"]["AWS_LAMBDA_FUNCTION_VERSION"]) == ("7", "7")
    assert context["memory_limit_in_mb"] == plain["memory_limit_in_mb"]
    assert context["log_group_name"] == plain["log_group_name"].format(name="look")
    assert 0 < context["remaining"] <= 5000
    # The deployed functions: by the alias that the API calls.
    apis = service.client("apigateway")
    (api,) = (each["id"] for each in apis.get_rest_apis()["items"] if each["name"] == "VoidService-local")
    resources = json.dumps(apis.get_resources(restApiId=api, embed=["methods"], limit=500)["items"])
    called, functions = set(re.findall(r":function:([^/]+)/invocations", resources)), service.runtime.functions.values()
    assert called
    assert called < {f"{each.name}:{each.alias}" for each in functions}
    assert all(each.version.isdecimal() for each in functions)
    assert {stem: each.schedule for stem, each in service.runtime.functions.items() if each.schedule} == {
        "settle_voids": "rate(1 minute)"
    }
    assert service.runtime.invoke("settle_voids", {}) is not None


@pytest.mark.parametrize(("name", "event", "recording"), [
    ("echo", {"raise": "Failing call"}, "error-raised"), ("broken", {}, "error-at-import"), ("leave", {}, "error-process-ends"),
    ("linger", {}, "error-time-out"),
])  # fmt: skip
def test_a_failure_has_the_recorded_type_and_the_others_go_on(
    runtime: Runtime, name: str, event: Any, recording: str
) -> None:
    recorded, before = vector(recording)["result"]["Payload"], {*runtime.pids()}
    with pytest.raises(FunctionFailed, match=f"^{recorded.get('errorType', 'Sandbox.Timedout')}: "):
        runtime.invoke(name, event)
    assert len({*runtime.pids()} - before) == (name == "echo"), "only one that raised serves on"
    assert runtime.invoke("look", {})


@pytest.mark.parametrize("which", CLIENTS)
def test_one_process_serves_on_whatever_its_handler_raised(tmp_path: Path, which: str) -> None:
    with running(tmp_path, which) as runtime:
        first, second = (runtime.invoke("echo", {"text": "é\u20ac", "number": number}) for number in (1, 2))
        assert first["event"] == {"text": "é\u20ac", "number": 1}
        assert first["id"] != second["id"]
        with pytest.raises(FunctionFailed, match="^Exception: no such thing$"):
            runtime.invoke("echo", {"raise": "no such thing"})
        assert runtime.invoke("echo", {})["pid"] == second["pid"] == first["pid"]
        assert runtime.pids() == [first["pid"]]
        os.kill(first["pid"], signal.SIGKILL)
        eventually(runtime.pids, lambda pids: not pids)
        assert runtime.invoke("echo", {})["event"] == {}
