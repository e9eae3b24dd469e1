"""What is shipped: the sources and the pinned packages, without tests, without anything compiled for one machine."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def asset(assembly: Path) -> Path:
    (asset,) = (assembly / "test").glob("asset.*")
    return asset


def test_the_sources_are_shipped(asset: Path) -> None:
    for source in (ROOT / "functions").rglob("*.py"):
        assert (asset / source.relative_to(ROOT / "functions")).read_bytes() == source.read_bytes()


def test_the_pinned_packages_are_shipped_and_no_other(asset: Path) -> None:
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "functions" / "requirements.txt").read_text(), re.MULTILINE)
    shipped = {path.name.removesuffix(".dist-info") for path in asset.glob("*.dist-info")}
    assert shipped == {f"{name.replace('-', '_')}-{version}" for name, version in pinned}


def test_nothing_is_compiled_for_one_processor(asset: Path) -> None:
    # So the asset that is deployed to arm64 is the one that runs locally.
    assert list(asset.rglob("*.so")) == []


def test_no_tests_and_no_leftovers_are_shipped(asset: Path) -> None:
    assert [
        path for path in asset.rglob("*") if path.name in ("tests", "bin", "requirements.txt", ".pytest_cache")
    ] == []


def test_bytecode_is_shipped_and_never_compared_with_a_modification_time(asset: Path) -> None:
    bytecode = Path(importlib.util.cache_from_source(str(asset / "botocore" / "session.py"))).read_bytes()
    flags = int.from_bytes(bytecode[4:8], "little")
    assert flags == 0b01  # by hash, unchecked


def test_every_pin_has_a_hash_and_no_registry_is_named() -> None:
    for path in (ROOT / "functions" / "requirements.txt", ROOT / "requirements.txt"):
        text = path.read_text(encoding="utf-8")
        pins = re.findall(r"^\S+==\S+ \\\n    --hash=sha256:", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[a-z]\S+==", text, re.MULTILINE)) > 0
        assert "://" not in text
