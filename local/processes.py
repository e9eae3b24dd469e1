"""Child processes of the local run: each in a group of its own, none outlives the run.

Stopping kills the whole group; on Linux the kernel does it too when the run itself is killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# The kernel's "kill me when my parent dies" (prctl 1) is set by the child before it becomes the program:
# preexec_fn would fork a process with many threads. The check closes the gap in which the parent died already.
_DIE_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) or sys.exit(1); "
    "os.environ.pop('LC_CTYPE', None); os.execv(sys.argv[2], sys.argv[2:])"  # Python sets that one by itself
)


class Children:
    """Starts processes and stops them all. Never leaves one behind, also when starting the next one failed."""

    def __init__(self) -> None:
        # "Parent" means the thread for the kernel: a process started by a request's thread would die with the request.
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        return self._spawner.submit(self._start, command, environment, directory, log).result()

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        with log.open("ab") as output:
            quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
            process = subprocess.Popen(command, cwd=directory, env=environment, start_new_session=True, **quiet)
        self._processes = [known for known in self._processes if known.poll() is None] + [process]
        return process

    def stop_all(self) -> None:
        self._spawner.shutdown(wait=True)
        for process in self._processes:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all that it started, at once: none of them keeps anything worth saving."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself in between
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
