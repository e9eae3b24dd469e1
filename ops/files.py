"""Where a command about a period writes: standard output or a file, which is whole or not there; and how far it is.
Promises that a pipe, a terminal or a device is written through, and that a link stays one: what it leads to is
written."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TextIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

from ops.places import OpsError
from ops.screen import progress_console


def output(path: str | None, excel: bool = False) -> AbstractContextManager[TextIO]:
    """Standard output, or the file that is named. Excel takes UTF-8 for something else unless it begins with a mark."""
    return nullcontext(sys.stdout) if path is None else whole_file(path, "utf-8-sig" if excel else "utf-8")


@contextmanager
def whole_file(path: str, encoding: str = "utf-8") -> Iterator[TextIO]:
    """A text file that gets its name when it is complete: half of it is not taken for the whole. Raises OpsError."""
    try:
        target = Path(os.path.realpath(path))
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        through = target.is_dir() or (os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode))
        # By its own name: what a pipe's real path would be is no file. A folder refuses by itself.
        out = (Path(path) if through else part).open("w" if through else "x", encoding=encoding, newline="")
    except (OSError, ValueError) as error:
        raise OpsError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    try:
        with out:
            yield out
        if not through:
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def progress(what: str, total: int | None, path: str | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; none where rows on the same terminal are progress enough."""
    console = progress_console()
    unseen = not console.is_terminal or (path is None and sys.stdout.isatty())
    columns = (SpinnerColumn(), "{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=unseen) as bar:
        yield partial(bar.advance, bar.add_task(what, total=total))
