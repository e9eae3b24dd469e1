"""Where the operators' command line looks: the local run that is up, or a deployed stack; whose rights it uses."""

import fcntl
import json
import socket
from contextlib import ExitStack
from copy import replace
from pathlib import Path
from typing import Any

import pytest

from local.scratch import scratch_folder
from ops import __main__ as command
from ops import places
from ops.places import OpsError

NOTE = json.dumps({"url": "http://127.0.0.1:8080", "aws_endpoint": "http://e"})


@pytest.mark.parametrize("held", [True, False], ids=["running", "killed"])
def test_the_running_service_is_found_by_its_note_and_a_killed_one_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: bool
) -> None:
    monkeypatch.setattr(places, "CACHE", tmp_path)
    with ExitStack() as stack:
        for name, text in {"run-0": "{", "run-1": "[]", "run-2": NOTE, "run-older": NOTE}.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "service.json").write_text(text)
            if name != "run-older":
                lock = stack.enter_context((tmp_path / name / "lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX if held else fcntl.LOCK_UN)
        assert places.local(8080, None).aws_endpoint == ("http://e" if held else places.NOT_FOUND)
        with pytest.raises(OpsError, match=r"no local run found behind http://127\.0\.0\.1:8081/v1: .*make run"):
            places.configuration(places.local(8081, None))


def test_the_lock_is_the_one_that_the_local_run_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "CACHE", tmp_path)
    with scratch_folder(tmp_path) as folder:
        (folder / "service.json").write_text(NOTE)
        assert places.local(8080, None).aws_endpoint == "http://e"
    assert places.local(8080, None).aws_endpoint == places.NOT_FOUND


@pytest.mark.parametrize("called", [["list"], ["show", "123"], ["compare", "123"], ["quarantine", "list"]])
def test_without_a_service_no_local_run_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, called: list[str]
) -> None:
    monkeypatch.setattr(places, "CACHE", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert command.main(["--local", f"--port={port}", *called]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: no local run found behind http://127.0.0.1:{port}/v1: start it with `make run`")
    assert len(error.splitlines()) == 1


class Account:
    """A session of an AWS account with one stack in it: the calls by which a deployed service is found."""

    def client(self, _service: str, **_: object) -> "Account":
        return self

    def describe_stacks(self, **_: object) -> Any:
        return {"Stacks": [{"Outputs": [{"OutputKey": "ApiUrl", "OutputValue": "https://x.example/v1/"}]}]}

    def get_paginator(self, _: str) -> "Account":
        return self

    def paginate(self, **_: object) -> Any:
        pages = [["AWS::DynamoDB::Table"], ["AWS::Lambda::Function"] * 2]
        for kinds in pages:
            named = zip(kinds, "ab", strict=False)
            yield {
                "StackResourceSummaries": [{"ResourceType": kind, "PhysicalResourceId": name} for kind, name in named]
            }

    def get_function_configuration(self, FunctionName: str) -> Any:
        handler = {"a": "submit_void.handler", "b": "read_voids.handler"}[FunctionName]
        return {
            "Handler": handler,
            "Environment": {"Variables": {"TABLE_NAME": f"of-{FunctionName}", "SECRET_ID": "s"}},
        }


def test_a_deployed_service_is_found_by_its_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    found = places.deployed("prod", "eu-central-1", None)
    assert (found.stack, found.environment, found.caller.access_key) == ("VoidService-prod", "prod", "example")
    place = replace(found, session=Account())
    assert (places.api_url(place), places.storage(place).table_name) == ("https://x.example/v1", "of-b")


def test_the_local_run_is_reached_with_its_own_rights_and_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_PROFILE", "foreign"), ("AWS_CONFIG_FILE", "/nonexistent/config"), ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_ACCESS_KEY_ID", "foreign"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    place = places.local(8080, "http://127.0.0.1:1")
    client = place.client("dynamodb")
    assert (client.meta.endpoint_url, client.meta.config.proxies) == ("http://127.0.0.1:1", {})
    assert client._request_signer._credentials.access_key == "test"
    assert place.caller.access_key == "operator"
