"""What several test processes need and only one of them makes: the AWS engine and the synthesised stacks.

Promises that whoever comes second waits and then finds it done. Everything is kept below .cache by what it is made of, so
that the next run of the tests finds it too.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.synth import synthesise
from local import assembly, aws
from local.assembly import CACHE


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold a lock against the other test processes."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def engine() -> Path:
    """The Python that runs the AWS engine."""
    with alone("engine"):
        return aws.install_engine(print)


@contextmanager
def strict_umask() -> Iterator[None]:
    """As somebody whose files nobody else may read: what is deployed must not depend on it."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def synthesised(environment: str) -> Path:
    """The cloud assembly of an environment. It is shared: nobody may change it."""
    with alone("assemblies"), strict_umask():
        local = assembly.assembly(print)
        if environment == "local":
            return local
        kept = CACHE / "cdk-tests" / f"{local.name}-{environment}"
        if not (kept / "complete").exists():
            _drop_old(kept.parent)
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            # One asset for all environments: the CDK does not bundle again what it finds in place.
            for asset in assembly.assets(local).values():
                shutil.copytree(asset, kept / asset.name)
            synthesise(environment, kept)
            (kept / "complete").touch()
        return kept


def _drop_old(folder: Path) -> None:
    """Forget what was made more than a day ago."""
    for old in folder.glob("*"):
        if old.stat().st_mtime < time.time() - 86_400:
            shutil.rmtree(old, ignore_errors=True)
