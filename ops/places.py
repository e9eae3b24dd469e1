"""Where the service is: the local run, or the stack of an environment; and what is deployed there. Table, secret and
provider are read from the deployed configuration of `read_voids`, so that this command line and the functions cannot
mean different ones. Promises that the credentials of one place never go to another."""

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from local.scratch import is_locked
from payments import settings

STACK = "VoidService-"
LOCAL_REGION = "eu-central-1"
LOCAL_CALLER = ("operator", "operator-secret")
"""Whose key `make run` prints: it may read and decide."""
LOCAL_OWNER = ("test", "test")
"""The root of ministack's only account."""
NOT_FOUND = "not found"
"""The local engine's address when no run says it: its API may be used all the same."""
READER = "read_voids.handler"
CACHE = Path(__file__).resolve().parents[1] / ".cache"
# Whoever's profile and files this shell is set up for, the local run is another account.
_NO_FILE = (None, None, os.devnull, None)
_OF_NOBODY: Any = {"profile": (None,) * 4, "config_file": _NO_FILE, "credentials_file": _NO_FILE}
_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})


class OpsError(Exception):
    """What an operator reads instead of a traceback: one clear line."""


@dataclass(frozen=True)
class Place:
    """One running service, and the rights to look at it: `local_caller`, or the session's own role, signs. Without
    `api_url` the stack's output says it; without `aws_endpoint` it is AWS itself."""

    stack: str
    region: str
    session: Any
    local_caller: ReadOnlyCredentials | None = None
    api_url: str | None = None
    aws_endpoint: str | None = None

    @property
    def environment(self) -> str:
        return self.stack.removeprefix(STACK)

    @property
    def caller(self) -> ReadOnlyCredentials:
        """Who signs now: credentials of a role are renewed while a command runs. Raises OpsError."""
        found = self.local_caller or self.session.get_credentials()
        if found is None:
            raise OpsError("no AWS credentials: log in, give --profile, or use --local for the service of `make run`")
        return found if isinstance(found, ReadOnlyCredentials) else found.get_frozen_credentials()

    def client(self, service: str) -> Any:
        """A client with the operator's own rights. Raises OpsError."""
        if self.aws_endpoint == NOT_FOUND:
            raise no_local_run(self)
        try:
            config = _CONFIG if self.aws_endpoint is None else _CONFIG.merge(Config(proxies={}))  # loopback needs none
            return self.session.client(service, region_name=self.region, endpoint_url=self.aws_endpoint, config=config)
        except ValueError as error:  # an address that is none
            raise OpsError(str(error)) from None


def no_local_run(place: Place) -> OpsError:
    return OpsError(
        f"no local run found behind {place.api_url}: start it with `make run`, or name its PORT with --port"
        " and its AWS engine with --aws-endpoint"
    )


def local(port: int, aws_endpoint: str | None) -> Place:
    core = botocore.session.Session(session_vars=_OF_NOBODY)
    session = boto3.Session(*LOCAL_OWNER, region_name=LOCAL_REGION, botocore_session=core)
    caller, url = ReadOnlyCredentials(*LOCAL_CALLER, None), f"http://127.0.0.1:{port}"
    engine = aws_endpoint or next((note["aws_endpoint"] for note in running() if note["url"] == url), NOT_FOUND)
    return Place(f"{STACK}local", LOCAL_REGION, session, caller, f"{url}/v1", engine)


def deployed(environment: str, region: str | None, profile: str | None) -> Place:
    """The stack of an environment, with the credentials that the AWS tools would use here."""
    session = boto3.Session(profile_name=profile, region_name=region)
    if session.region_name is None:
        raise OpsError("no region: give --region, or set AWS_REGION")
    place = Place(f"{STACK}{environment}", session.region_name, session)
    _ = place.caller
    return place


def running() -> Iterator[dict[str, str]]:
    """The notes of local runs that are up, the newest first: `url`, `aws_endpoint`, `sandbox_url`."""
    found: list[tuple[float, dict[str, str]]] = []
    for note in CACHE.glob("run-*/service.json"):
        with contextlib.suppress(OSError, ValueError):  # the run ended just now
            said = json.loads(note.read_text(encoding="utf-8")) if is_locked(note.parent) else {}  # killed
            found += [(note.stat().st_mtime, said)] if said else []
    yield from (note for _, note in sorted(found, key=itemgetter(0), reverse=True))


def api_url(place: Place) -> str:
    """The API's address, with its stage and without a slash at the end."""
    return (place.api_url or output(place, "ApiUrl")).rstrip("/")


@functools.cache
def configuration(place: Place) -> Mapping[str, str]:
    """The environment variables of the deployed `read_voids`. Raises OpsError."""
    pages = place.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=place.stack)
    for resource in (resource for page in pages for resource in page["StackResourceSummaries"]):
        if resource["ResourceType"] == "AWS::Lambda::Function":
            name = resource["PhysicalResourceId"]
            function = place.client("lambda").get_function_configuration(FunctionName=name)
            if function.get("Handler") == READER:
                return dict(function.get("Environment", {}).get("Variables", {}))
    raise OpsError(f"{place.stack} has no function {READER}: is it another version?")


def storage(place: Place) -> settings.StorageSettings:
    return settings.storage(configuration(place))


def refusal_of_aws(error: ClientError) -> str:
    """AWS's no, with the operation that was refused."""
    said = error.response.get("Error", {})
    return f"AWS refused {error.operation_name}: {said.get('Code', '')}: {said.get('Message', '')}"


def output(place: Place, name: str) -> str:
    """One output of the deployed stack. Raises OpsError."""
    stack = place.client("cloudformation").describe_stacks(StackName=place.stack)["Stacks"][0]
    found = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    if name not in found:
        raise OpsError(f"{place.stack} has no output {name}")
    return str(found[name])
