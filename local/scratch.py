"""The folder of one run below .cache. It goes with the run, and if the run was killed, with the next one.

A run holds a lock on its folder, and the kernel releases it however the run ends. Neither a process id nor an age says
so surely whether a run is still up.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"


@contextmanager
def scratch_folder(cache: Path) -> Iterator[Path]:
    """A folder for this run only; what killed runs left behind is removed first. Raises OSError."""
    cache.mkdir(parents=True, exist_ok=True)
    # One run at a time here: another one's folder has no lock yet while it is being made.
    with (cache / "runs.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for folder in cache.glob("run-*"):
            if not is_locked(folder):
                shutil.rmtree(folder, ignore_errors=True)
        own = tempfile.TemporaryDirectory(prefix="run-", dir=cache, ignore_cleanup_errors=True)
        lock = (Path(own.name) / LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    with own, lock:
        yield Path(own.name)


def is_locked(folder: Path) -> bool:
    """Is the run of this folder still up? Raises OSError where nobody can tell."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
