"""How the local run begins and what it says when it cannot: one sentence each, and nothing of a killed run stays."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import __main__ as command
from local import aws, service
from local.scratch import scratch_folder

ROOT = Path(__file__).resolve().parents[2]
WAITING = """
import sys, time
from pathlib import Path
from local.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "service.json").write_text("{}")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """The run takes the signals of its process over: here they are pytest's."""
    before = {number: signal.getsignal(number) for number in command.STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def waiting(cache: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another run, in its own process, and its folder."""
    run = subprocess.Popen([sys.executable, "-c", WAITING, str(cache)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    return run, Path(run.stdout.readline().strip())


def end(run: subprocess.Popen[str], how: int) -> None:
    run.send_signal(how)
    run.communicate()


def test_what_a_killed_run_left_goes_with_the_next_one_and_a_living_one_keeps_its_folder(tmp_path: Path) -> None:
    killed, left = waiting(tmp_path)
    living, kept = waiting(tmp_path)
    end(killed, signal.SIGKILL)
    older = tmp_path / "run-without-a-lock"
    older.mkdir()
    try:
        assert left.exists()
        with scratch_folder(tmp_path) as own:
            assert {path for path in tmp_path.iterdir() if path.is_dir()} == {own, kept}
        assert (kept / "service.json").exists()
        assert not own.exists()
    finally:
        end(living, signal.SIGKILL)


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


@pytest.mark.parametrize("text", ["abc", "-1", "65536", "99999", "1e3", "٣", " 80", "9" * 5000])
@pytest.mark.parametrize("variable", ["PORT", "SANDBOX_PORT"])
def test_a_wrong_port_is_said(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SystemExit, match=f"^{variable}={text} is not a port: give a number from 1 to 65535, or 0"):
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


def test_a_checkout_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache = tmp_path / "not-a-folder" / ".cache"
    cache.parent.write_text("")
    monkeypatch.setattr(service, "CACHE", cache)
    with pytest.raises(SystemExit, match=f"^The local run cannot go on: Not a directory: {cache}$"):
        command.main(["up"])


def test_from_the_shell_it_is_one_line_and_a_failure() -> None:
    environment = os.environ | {"PORT": "http"}
    command = [sys.executable, "-m", "local", "up"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


def test_the_run_says_that_nothing_of_it_is_kept() -> None:
    assert "in memory only: they are gone when it stops" in command.READY
