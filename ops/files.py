"""Files that this command line writes for others: whole or not at all, and never in the place of something else.

Promises that a pipe, a terminal or a device is written through, and that a link stays one: what it leads to is written.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ops.places import OpsError


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
