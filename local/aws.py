"""AWS on this machine: ministack with IAM enforced, and the synthesised template deployed into it.

Promises that routes, permissions and environment variables are those of the template. Never listens beyond loopback.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import urllib3
from botocore.config import Config
from botocore.exceptions import WaiterError

from local.assembly import CACHE, ROOT, STACK, Say, assets, template, zipped
from local.processes import Children

REGION = "eu-central-1"
ACCOUNT = "000000000000"
ADMIN = ("test", "test")  # the engine's root of the account; no function ever gets it
ASSET_BUCKET = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
_OF_NOBODY: Any = {
    name: (None, None, os.devnull if name.endswith("_file") else None, None)
    for name in ("profile", "config_file", "credentials_file", "ca_bundle")
}


@dataclass(frozen=True)
class Function:
    """What is deployed of one function."""

    name: str
    handler: str
    role: str
    version: str
    alias: str  # what is invoked: it points at the version
    timeout: int
    memory: int
    environment: Mapping[str, str]
    code: Path
    schedule: str = ""  # the expression, of one that is invoked by the clock


@dataclass(frozen=True)
class Deployment:
    """The physical names of what the gateway, the runtime and the tests need."""

    api_id: str
    table_name: str
    secret_arn: str
    functions: Mapping[str, Function]
    outputs: Mapping[str, str]


def client(service: str, endpoint: str, credentials: tuple[str, str] = ADMIN) -> Any:
    """Whatever profile, files or proxy this shell is set up for: the engine is on this machine and none of AWS's."""
    session = boto3.Session(botocore_session=botocore.session.Session(session_vars=_OF_NOBODY))
    return session.client(  # type: ignore[call-overload]  # the name is not a literal here
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=credentials[0],
        aws_secret_access_key=credentials[1],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}),
    )


def install_engine(say: Say) -> Path:
    """The engine's Python; installed on first use and again when its pins changed."""
    pins, environment = ROOT / "local" / "requirements.txt", CACHE / "ministack"
    python, installed = environment / "bin" / "python", environment / "installed.txt"
    if python.exists() and installed.exists() and installed.read_bytes() == pins.read_bytes():
        return python
    say("Installing ministack, which stands in for AWS (once)")
    shutil.rmtree(environment, ignore_errors=True)  # of other pins, or half made by a run that was killed
    uv = str(Path(sys.executable).with_name("uv"))  # the Makefile puts it there
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)])
    _run([uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(pins)])
    installed.write_bytes(pins.read_bytes())
    return python


def start_engine(python: Path, children: Children, scratch: Path, log: Path, *tls: Path) -> str:
    """Starts the engine and returns its address once it answers. `tls`: the authority; a certificate and its key."""
    port = free_port()
    environment = {
        **dict.fromkeys(("HOME", "TMPDIR", "STATE_DIR", "S3_DATA_DIR"), str(scratch)),
        "AUTH": "true",  # IAM is evaluated for every call: a forgotten grant fails here
        "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "LOG_LEVEL": "WARNING", "PATH": "/usr/bin:/bin",
        "MINISTACK_REGION": REGION, "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AWS_ACCESS_KEY_ID": ADMIN[0], "AWS_SECRET_ACCESS_KEY": ADMIN[1],
    }  # fmt: skip
    if tls:
        environment |= {"USE_SSL": "1", "MINISTACK_SSL_CERT": str(tls[1]), "MINISTACK_SSL_KEY": str(tls[1])}
    process = children.start([str(python), "-m", "ministack"], environment, scratch, log)
    endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    give_up = time.monotonic() + 30
    ca_certs = str(tls[0]) if tls else None
    with urllib3.PoolManager(retries=False, timeout=2, ca_certs=ca_certs) as pool:  # which knows no proxy
        while time.monotonic() < give_up and process.poll() is None:
            try:
                if pool.request("GET", f"{endpoint}/_ministack/health").status == HTTPStatus.OK:
                    return endpoint
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)
    why = "does not answer after 30 s" if process.poll() is None else f"ended with {process.returncode}"
    raise SystemExit(f"ministack {why}: {one_line(log.read_text(errors='replace')) or 'it has said nothing'}")


def deploy(endpoint: str, assembly: Path, parameters: Mapping[str, str]) -> Deployment:
    """Uploads the assets, creates the stack and reads back what was made of it."""
    s3, cloudformation = client("s3", endpoint), client("cloudformation", endpoint)
    s3.create_bucket(Bucket=ASSET_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, asset in assets(assembly).items():
        s3.put_object(Bucket=ASSET_BUCKET, Key=key, Body=zipped(asset).read_bytes())
    deployable = secret_references_as_arns(template(assembly))
    # The engine would run what is scheduled in its own Python with its own clients: it must not.
    for name in (*refused_by_the_engine(deployable), *_of_kind(deployable["Resources"], "AWS::Scheduler::Schedule")):
        del deployable["Resources"][name]
    body = json.dumps(deployable)
    s3.put_object(Bucket=ASSET_BUCKET, Key="template.json", Body=body.encode())
    # The bootstrap version that the template's rule asks for.
    client("ssm", endpoint).put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=f"{endpoint}/{ASSET_BUCKET}/template.json",
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    return _read_deployment(endpoint, assembly, cloudformation, _wait_for_stack(cloudformation))


def secret_references_as_arns(template: dict[str, Any]) -> dict[str, Any]:
    """The engine resolves Ref of a secret to its name, AWS to its ARN; GetAtt Id is the ARN on both."""
    secrets = _of_kind(template["Resources"], "AWS::SecretsManager::Secret")

    def rewritten(node: dict[str, Any]) -> Any:
        return {"Fn::GetAtt": [node["Ref"], "Id"]} if node.keys() == {"Ref"} and node["Ref"] in secrets else node

    result: dict[str, Any] = json.loads(json.dumps(template), object_hook=rewritten)
    return result


def refused_by_the_engine(template: dict[str, Any]) -> list[str]:
    """Pipes, whose filters, templates and buses it does not know: `outcomes` stands in. And alarms about a pipe,
    or over metric math, which it refuses whole stacks for, and saved queries: no void depends on any of them."""
    resources = template["Resources"]
    pipes = _of_kind(resources, "AWS::Pipes::Pipe")

    def is_refused(alarm: Any) -> bool:
        return "Metrics" in alarm["Properties"] or any(f'"{pipe}"' in json.dumps(alarm) for pipe in pipes)

    queries = _of_kind(resources, "AWS::Logs::QueryDefinition")  # `local` has none
    alarms = [name for name in _of_kind(resources, "AWS::CloudWatch::Alarm") if is_refused(resources[name])]
    return pipes + queries + alarms


def _of_kind(resources: Mapping[str, Any], kind: str) -> list[str]:
    return [name for name, resource in resources.items() if resource["Type"] == kind]


def role_credentials(sts: Any, function: Function) -> dict[str, str]:
    """Credentials of the function's own role, as the function's process gets them in Lambda."""
    session = f"{function.handler.partition('.')[0]}-local"
    credentials = sts.assume_role(RoleArn=function.role, RoleSessionName=session)["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


def one_line(output: str) -> str:
    """The end of what a program said, where the cause stands."""
    return " ".join(output.split())[-600:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_stack(cloudformation: Any) -> dict[str, Any]:
    with suppress(WaiterError):
        often = {"Delay": 0.05, "MaxAttempts": 1200}
        cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig=often)
    stack: dict[str, Any] = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    if stack["StackStatus"] == "CREATE_COMPLETE":
        return stack
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    failed = (event for event in events if event["ResourceStatus"].endswith("FAILED"))
    reasons = "; ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)
    raise SystemExit(f"The stack could not be deployed: {one_line(reasons)}")


def _read_deployment(endpoint: str, assembly: Path, cloudformation: Any, stack: dict[str, Any]) -> Deployment:
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
    names: dict[str, dict[str, str]] = {}  # kind, logical id -> the name that the engine gave
    for each in (each for page in pages for each in page["StackResourceSummaries"]):
        names.setdefault(each["ResourceType"], {})[each["LogicalResourceId"]] = each["PhysicalResourceId"]
    kinds = ("AWS::ApiGateway::RestApi", "AWS::DynamoDB::Table", "AWS::SecretsManager::Secret")
    (api,), (table,), (secret,) = (names[kind].values() for kind in kinds)
    return Deployment(
        api_id=api,
        table_name=table,
        secret_arn=client("secretsmanager", endpoint).describe_secret(SecretId=secret)["ARN"],
        functions=_read_functions(endpoint, assembly, names["AWS::Lambda::Function"]),
        outputs={output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]},
    )


def _read_functions(endpoint: str, assembly: Path, names: Mapping[str, str]) -> dict[str, Function]:
    unpacked, lambda_, functions = assets(assembly), client("lambda", endpoint), {}
    declared: Any = template(assembly)["Resources"]
    clocks = [declared[name]["Properties"] for name in _of_kind(declared, "AWS::Scheduler::Schedule")]
    schedules = {
        declared[clock["Target"]["Arn"]["Ref"]]["Properties"]["FunctionName"]["Ref"]: clock["ScheduleExpression"]
        for clock in clocks
    }
    for logical, name in names.items():
        deployed = lambda_.get_function_configuration(FunctionName=name)
        (alias,) = lambda_.list_aliases(FunctionName=name)["Aliases"]
        functions[deployed["Handler"].partition(".")[0]] = Function(
            name=name, handler=deployed["Handler"], role=deployed["Role"], version=alias["FunctionVersion"],
            alias=alias["Name"], timeout=deployed["Timeout"], memory=deployed["MemorySize"],
            environment=deployed["Environment"]["Variables"], schedule=schedules.get(logical, ""),
            code=unpacked[declared[logical]["Properties"]["Code"]["S3Key"]],
        )  # fmt: skip
    return functions


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{Path(command[0]).name} {' '.join(command[1:3])} failed: {one_line(done.stdout)}")
