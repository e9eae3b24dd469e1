"""How the local run begins and what it says when it cannot: one sentence each, and nothing of a killed run stays."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local import __main__ as command
from local import assembly, aws, service
from local.processes import Children
from local.sandbox.doors import Door, Exchange
from local.scratch import scratch_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run takes the signals of its process over: here they are pytest's."""
    monkeypatch.setattr(command, "STOP_SIGNALS", ())


def test_what_a_killed_run_left_goes_with_the_next_one_and_a_living_one_keeps_its_folder(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as kept:
        for left in ("run-killed", "run-without-a-lock"):
            (tmp_path / left).mkdir()
        (tmp_path / "run-killed" / "lock").touch()  # the kernel has released it
        with scratch_folder(tmp_path) as own:
            assert {path for path in tmp_path.iterdir() if path.is_dir()} == {own, kept}
        assert kept.exists()
        assert not own.exists()


def test_an_engine_that_is_half_installed_is_installed_from_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = tmp_path / "ministack"
    (engine / "bin").mkdir(parents=True)
    (engine / "bin" / "python").symlink_to("/nonexistent")
    seen: list[bool] = []

    def run(command: list[str]) -> None:
        seen.append(engine.exists())
        (engine / "bin").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(aws, "CACHE", tmp_path)
    monkeypatch.setattr(aws, "_run", run)
    assert aws.install_engine(lambda _: None) == engine / "bin" / "python"
    assert seen[0] is False
    assert (engine / "installed.txt").exists()


NO_PORT = "is not a port: give a number from 1 to 65535, or 0"


@pytest.mark.parametrize(("variable", "said", "texts"), [
    *((variable, NO_PORT, ("abc", "-1", "65536", "99999", "1e3", "٣", " 80", "9" * 5000)) for variable in ("PORT", "SANDBOX_PORT")),
    ("OUTCOME_URL", "is no address", ("nonsense", "ftp://127.0.0.1/x", "http://")), ("AUTH", "is not known", ("basic", "tokens")),
])  # fmt: skip
def test_a_wrong_setting_is_said(
    monkeypatch: pytest.MonkeyPatch, variable: str, said: str, texts: tuple[str, ...]
) -> None:
    for text in texts:
        monkeypatch.setenv(variable, text)
        with pytest.raises(SystemExit, match=f"^{variable}={text} {said}"):
            command.main(["up"])


@pytest.mark.parametrize("variable", ["PORT", "SANDBOX_PORT"])
def test_a_port_in_use_is_said_and_nothing_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setattr(service, "CACHE", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("PORT", "0")
        monkeypatch.setenv("SANDBOX_PORT", "0")
        monkeypatch.setenv(variable, str(other.getsockname()[1]))
        with pytest.raises(SystemExit, match=rf"is in use: choose another with {variable}=…, or {variable}=0"):
            command.main(["up"])
    assert list(tmp_path.glob("run-*")) == []


FOREIGN = {
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9"),
    **dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"), "http://127.0.0.1:9"),
    **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"), "/nope"),
    "AWS_PROFILE": "nobody", "AWS_REGION": "us-east-9", "AWS_ACCESS_KEY_ID": "AKIAFOREIGN", "AWS_SECRET_ACCESS_KEY": "x",
}  # fmt: skip


def test_no_foreign_profile_key_address_or_proxy_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def engine(exchange: Exchange) -> None:
        seen.append(exchange.headers["Authorization"])
        exchange.send(200, {"TableNames": []})

    door = Door(0, engine)
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    try:
        assert aws.client("dynamodb", f"http://127.0.0.1:{door.port}").list_tables()["TableNames"] == []
    finally:
        door.close()
    assert f"Credential={aws.ADMIN[0]}/" in seen[0]
    assert f"/{aws.REGION}/dynamodb/" in seen[0]


@pytest.mark.parametrize(("program", "said"), [
    ("print('line one'); print('no port is left'); raise SystemExit(3)", "ended with 3: line one no port is left"),
    ("raise SystemExit(0)", "ended with 0: it has said nothing"),
])  # fmt: skip
def test_an_engine_that_does_not_start_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, said: str
) -> None:
    (tmp_path / "ministack.py").write_text(program)
    monkeypatch.setattr(aws, "free_port", lambda: 1)
    children = Children()
    try:
        with pytest.raises(SystemExit, match=f"^ministack {said}$"):
            aws.start_engine(Path(sys.executable), children, tmp_path, tmp_path / "log")
    finally:
        children.stop_all()


def test_a_stack_that_cannot_be_synthesised_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stdout="a\nb: c\n\n"))
    with pytest.raises(SystemExit, match=r"^The stack could not be synthesised \(.* local shows all\): b: c$"):
        assembly._synthesise(tmp_path / "kept")


@pytest.mark.parametrize(("raised", "said"), [
    (ClientError({"Error": {"Code": "No", "Message": "why"}}, "Put"), "ClientError: .+"),
    (EndpointConnectionError(endpoint_url="x"), "EndpointConnectionError: .+"),
    (OSError(20, "Not a directory", "/a/.cache"), "Not a directory: /a/.cache"),  # a checkout that cannot be written
])  # fmt: skip
def test_what_stops_the_run_is_one_line(monkeypatch: pytest.MonkeyPatch, raised: Exception, said: str) -> None:
    monkeypatch.setattr(service, "running", Mock(side_effect=raised))
    with pytest.raises(SystemExit, match=f"^The local run cannot go on: {said}$"):
        command.main(["demo"])


def test_a_second_ctrl_c_leaves_the_clean_up_alone_unless_it_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 101.0, 107.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    interrupt = command.Interrupt()
    for ends in (True, False, True):
        with pytest.raises(KeyboardInterrupt) if ends else nullcontext():
            interrupt(signal.SIGINT, None)


AT_ONCE = (
    "import runpy, sys; sys.argv[1:] = ['up']; print('on', flush=True); runpy.run_module('local', run_name='__main__')"
)


@pytest.mark.slow
def test_from_the_shell_it_is_one_line_and_a_failure_and_an_early_ctrl_c_says_nothing_more() -> None:
    run = [sys.executable, "-m", "local", "up"]
    done = subprocess.run(run, cwd=ROOT, env=os.environ | {"PORT": "http"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    free: dict[str, Any] = {"env": os.environ | {"PORT": "0", "SANDBOX_PORT": "0"}, "stdout": -1, "stderr": -1}
    for seconds in (0.2, 0.5):  # imports that are still going on, and what comes after them
        with subprocess.Popen([sys.executable, "-c", AT_ONCE], cwd=ROOT, text=True, **free) as early:
            assert early.stdout is not None
            assert early.stdout.readline() == "on\n"
            time.sleep(seconds)
            early.send_signal(signal.SIGINT)
            said, wrong = early.communicate(timeout=60)
        assert (early.returncode, wrong) == (0, "")
        assert said.endswith("\nStopped.\n")
