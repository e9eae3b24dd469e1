"""The local Lambda runtime and schedule against recordings: environment, context, forms of errors, limits, event.

The functions here are small ones of the test's own, run by AWS's runtime client as the service's are.
"""

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local import aws
from local.aws import Function
from local.instance import MAX_RESPONSE, FunctionFailed
from local.processes import Children
from local.runtime import NATIVE_CLIENT, PORTABLE_CLIENT, Runtime
from local.service import Service, scheduled_event
from tests.integration.recorded import vector

PROBE = """
import os, sys, time
CONTEXT = ("function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "log_group_name")

def look(event, context):
    shown = {name: getattr(context, name) for name in CONTEXT} | {"remaining": context.get_remaining_time_in_millis()}
    return {"environment": dict(os.environ), "cwd": os.getcwd(), "context": shown}

def echo(event, context):
    if "raise" in event:
        raise ValueError(event["raise"])
    return {"event": event, "id": context.aws_request_id, "pid": os.getpid()}

def answer(event, context):
    return "x" * (event["bytes"] - 2)

def fail(event, context):
    raise Exception("Failing call")

def leave(event, context):
    os._exit(event["status"])

def linger(event, context):
    time.sleep(30)
"""


CLIENTS = {"native": NATIVE_CLIENT, "portable": PORTABLE_CLIENT}
"""AWS's own, and the one of systems for which AWS builds no native part."""


@pytest.fixture(scope="module", params=CLIENTS)
def runtime(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Runtime]:
    code, log = tmp_path_factory.mktemp("code"), tmp_path_factory.mktemp("log") / "functions.log"
    (code / "probe.py").write_text(PROBE)
    (code / "broken.py").write_text('raise Exception("Runtime startup fails")\n')
    handlers = {name: f"probe.{name}" for name in ("look", "echo", "answer", "fail", "leave", "linger")}
    functions = {
        name: Function(name=name, handler=handler, role="none", version="7", alias="live", memory=1024, code=code,
                       timeout=1 if name == "linger" else 5, environment={"OWN": "value"})
        for name, handler in (handlers | {"broken": "broken.x"}).items()
    }  # fmt: skip
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    children = Children()
    runtime = Runtime(functions, "http://127.0.0.1:9", lambda _: dict.fromkeys(names, "fake"), children, log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("local.runtime.CLIENT", CLIENTS[request.param])
        yield runtime
    runtime.stop()
    children.stop_all()


@pytest.fixture(scope="module")
def seen(runtime: Runtime) -> Any:
    return runtime.invoke("look", {})


def failure(runtime: Runtime, name: str, event: Any = None) -> dict[str, Any]:
    with pytest.raises(FunctionFailed) as failed:
        runtime.invoke(name, event)
    return failed.value.payload


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


@pytest.mark.parametrize(("name", "event", "recording", "replaced"), [
    ("fail", None, "error-raised", "errorMessage"), ("broken", None, "error-at-import", ""),
    ("leave", {"status": 0}, "error-process-ends", ""), ("linger", None, "error-time-out", ""),
])  # fmt: skip
def test_a_failure_has_the_recorded_form(
    runtime: Runtime, name: str, event: Any, recording: str, replaced: str
) -> None:
    recorded, payload = vector(recording)["result"]["Payload"], failure(runtime, name, event)
    shown = {part: payload[part] for part in recorded if part in ("errorType", "errorMessage")}
    said = {part: recorded[part].replace("{uuid}", payload["requestId"]) for part in shown}
    assert shown == said | ({replaced: "Failing call"} if replaced else {})
    if name in ("fail", "broken"):
        assert payload.keys() >= recorded.keys()
        assert payload["requestId"] or name == "broken"
    assert runtime.invoke("look", {}), "the others go on"
    assert name != "leave" or failure(runtime, name, {"status": 3})["errorMessage"].endswith("exit status 3")


def test_one_process_serves_on_whatever_its_handler_raised(runtime: Runtime) -> None:
    first, second = (runtime.invoke("echo", {"text": "é\u20ac", "number": number}) for number in (1, 2))
    assert first["event"] == {"text": "é\u20ac", "number": 1}
    assert first["id"] != second["id"]
    with pytest.raises(FunctionFailed, match="no such thing"):
        runtime.invoke("echo", {"raise": "no such thing"})
    assert runtime.invoke("echo", {})["pid"] == second["pid"] == first["pid"]
    assert first["pid"] in runtime.pids()


def test_the_largest_result_is_6_mib_and_a_hundred_bytes(runtime: Runtime) -> None:
    recorded = vector("response-too-large")["result"]
    assert recorded["limit_bytes"] == MAX_RESPONSE
    assert len(runtime.invoke("answer", {"bytes": MAX_RESPONSE})) == MAX_RESPONSE - 2
    assert failure(runtime, "answer", {"bytes": MAX_RESPONSE + 1})["errorType"] == recorded["errorType"]


def test_the_schedule_sends_a_full_event(service: Service) -> None:
    recorded = vector("scheduler-default-event")["result"]
    event = scheduled_event(datetime(2024, 6, 13, 12, 30, tzinfo=UTC))
    assert event.keys() == recorded.keys()
    same = ("version", "detail-type", "source", "time", "detail")
    assert {name: event[name] for name in same} == {name: recorded[name] for name in same}
    assert (event["account"], event["region"]) == (aws.ACCOUNT, aws.REGION)
    (resource,) = event["resources"]
    assert re.fullmatch(r"arn:aws:scheduler:[a-z0-9-]+:\d{12}:schedule/default/.+", resource)
    assert json.loads(json.dumps(event)) == event
    assert service.invoke("settle_voids", event) is not None
