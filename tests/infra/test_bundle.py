"""What is shipped: the sources and the pinned packages, without tests, without anything compiled for one machine; and whom
it trusts.
"""

import importlib.util
import os
import re
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import botocore
import pytest

from infra import bundle, trust
from infra.functions import FUNCTIONS

ROOT = Path(__file__).parents[2]
ALONE = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": "fake"}


def ran_from(asset: Path, program: str, **variables: str) -> str:
    """What a program prints that has the asset alone: neither site-packages nor the settings of whoever runs this."""
    whole = f"import sys; sys.path.insert(0, {str(asset)!r}); {program}"
    isolated = [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", whole]
    ran = subprocess.run(isolated, env=ALONE | variables, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout


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
    leftovers = {"tests", "bin", "requirements.txt", ".pytest_cache", "RECORD"}
    assert not leftovers & {path.name for path in asset.rglob("*")}


def test_bytecode_is_shipped_and_never_compared_with_a_modification_time(asset: Path) -> None:
    bytecode = Path(importlib.util.cache_from_source(str(asset / "botocore" / "session.py"))).read_bytes()
    flags = int.from_bytes(bytecode[4:8], "little")
    assert flags == 0b01  # by hash, unchecked


def test_every_user_may_read_what_is_shipped_although_it_was_built_under_umask_077(asset: Path) -> None:
    # Lambda runs the code as another user than the one who owns it.
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (asset, *asset.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o755}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o644}


def test_other_modes_are_another_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise a deployment would find the zip with the wrong modes in the bucket and keep it.
    before = bundle.content_hash()
    monkeypatch.setattr(bundle, "FILE_MODE", 0o640)
    assert bundle.content_hash() != before


@pytest.mark.parametrize("service", ["dynamodb", "secretsmanager"])
def test_boto3_makes_its_clients_from_the_asset_alone(asset: Path, service: str) -> None:
    program = (
        f"import boto3; client = boto3.client({service!r}, region_name='eu-central-1'); "
        "print(boto3.__file__); print(client.meta.endpoint_url); "
        "print(*(m.__file__ for m in sys.modules.values() if 'site-packages' in (getattr(m, '__file__', '') or '')))"
    )
    assert ran_from(asset, program, HOME=str(asset)).splitlines() == [
        str(asset / "boto3" / "__init__.py"), f"https://{service}.eu-central-1.amazonaws.com", ""
    ]  # fmt: skip


def test_every_handler_starts_from_the_asset_alone(asset: Path) -> None:
    variables = {
        "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1", "TABLE_NAME": "voids", "SECRET_ID": "secret",
        "PROVIDER_URL": "https://api.finline.io", "PROVIDER_SCHEME": "CPAY", "WEBHOOK_URL": "https://example.com",
        "POWERTOOLS_SERVICE_NAME": "void-service", "POWERTOOLS_METRICS_NAMESPACE": "VoidService/test",
        "AWS_CA_BUNDLE": str(asset / "trust" / "aws.pem"), "HOME": str(asset),
    }  # fmt: skip
    for module in FUNCTIONS:
        ran_from(asset, f"import {module}; assert callable({module}.handler)", **variables)


def test_every_pin_has_a_hash_and_no_registry_is_named() -> None:
    for path in (ROOT / "functions" / "requirements.txt", ROOT / "requirements.txt"):
        text = path.read_text(encoding="utf-8")
        pins = re.findall(r"^\S+==\S+ \\\n    --hash=sha256:", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[a-z]\S+==", text, re.MULTILINE)) > 0
        assert "://" not in text


# ---- whom it trusts --------------------------------------------------------------------------------------------------


def test_every_authority_is_found_by_the_name_that_openssl_gives_it(asset: Path) -> None:
    roots = asset / "trust" / "roots"
    assert len(list(roots.iterdir())) == len(
        list(trust.certificates((Path(botocore.__file__).parent / "cacert.pem").read_text()))
    )
    # As `openssl x509 -subject_hash` says.
    found = ssl.create_default_context(cafile=str(roots / "ce5e74ef.0")).get_ca_certs()
    assert "Amazon Root CA 1" in str(found[0]["subject"])


def test_aws_is_trusted_by_its_own_authorities_only(asset: Path) -> None:
    context = ssl.create_default_context(cafile=str(asset / "trust" / "aws.pem"))
    assert len(context.get_ca_certs()) == len(trust.AWS_AUTHORITIES)
