"""What is shipped: the sources and the pinned packages, without tests, without anything compiled for one machine; what of
them is left out and must not be; and whom they trust. The asset is the one that is deployed.
"""

import importlib.util
import json
import os
import re
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.session import Session

from infra import bundle, trim, trust
from infra.functions import FUNCTIONS
from infra.synth import ROOT

SOURCES = ROOT / "functions"
KEYS: dict[str, Any] = {"aws_access_key_id": "fake", "aws_secret_access_key": "fake"}


def test_the_sources_and_the_pinned_packages_are_shipped_and_nothing_else(asset: Path) -> None:
    for source in SOURCES.rglob("*.py"):
        assert (asset / source.relative_to(SOURCES)).read_bytes() == source.read_bytes()
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", (SOURCES / "requirements.txt").read_text(), re.MULTILINE)
    shipped = {path.name.removesuffix(".dist-info") for path in asset.glob("*.dist-info")}
    assert shipped == {f"{name.replace('-', '_')}-{version}" for name, version in pinned}
    leftovers = {"tests", "bin", "requirements.txt", ".pytest_cache", "RECORD"}
    assert not leftovers & {path.name for path in asset.rglob("*")}
    assert list(asset.rglob("*.so")) == [], "what is deployed to arm64 is what runs locally"


def test_bytecode_is_shipped_and_never_compared_with_a_modification_time(asset: Path) -> None:
    bytecode = Path(importlib.util.cache_from_source(str(asset / "botocore" / "session.py"))).read_bytes()
    assert int.from_bytes(bytecode[4:8], "little") == 0b01  # by hash, unchecked


def test_every_user_may_read_what_is_shipped_although_it_was_built_under_umask_077(asset: Path) -> None:
    # Lambda runs the code as another user than the one who owns it.
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (asset, *asset.rglob("*"))}
    assert modes == {(True, 0o755), (False, 0o644)}


def test_other_modes_are_another_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise a deployment would find the zip with the wrong modes in the bucket and keep it.
    before = bundle.content_hash()
    monkeypatch.setattr(bundle, "FILE_MODE", 0o640)
    assert bundle.content_hash() != before


PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
modules = [__import__(name) for name in sys.argv[2:]]
import aws_lambda_powertools, boto3
aws_lambda_powertools.Logger("s").info("x")
aws_lambda_powertools.Metrics(namespace="n", service="s").add_metric(name="m", unit="Count", value=1)
hosts = [boto3.client(name, "eu-central-1").meta.endpoint_url for name in ("dynamodb", "secretsmanager")]
files = [getattr(each, "__file__", None) or "" for each in sys.modules.values()]
print(json.dumps([[callable(each.handler) for each in modules], hosts, [each for each in files if "site-packages" in each]]))
"""


def test_every_handler_client_and_log_starts_from_the_asset_alone(asset: Path) -> None:
    variables = {
        "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1", "TABLE_NAME": "voids", "SECRET_ID": "secret",
        "PROVIDER_URL": "https://api.finline.io", "PROVIDER_SCHEME": "CPAY", "WEBHOOK_URL": "https://example.com",
        "POWERTOOLS_SERVICE_NAME": "void-service", "POWERTOOLS_METRICS_NAMESPACE": "VoidService/test",
        "AWS_CA_BUNDLE": str(asset / "trust" / "aws.pem"), "HOME": str(asset), "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": "fake",
    }  # fmt: skip
    command = [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", PROGRAM, str(asset), *FUNCTIONS]
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    hosts = [f"https://{service}.eu-central-1.amazonaws.com" for service in ("dynamodb", "secretsmanager")]
    assert json.loads(ran.stdout.splitlines()[-1]) == [[True] * len(FUNCTIONS), hosts, []]


def test_every_pin_has_a_hash_and_no_registry_is_named() -> None:
    for path in (SOURCES / "requirements.txt", ROOT / "requirements.txt"):
        text = path.read_text(encoding="utf-8")
        pins = re.findall(r"^\S+==\S+ \\\n    --hash=sha256:", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[a-z]\S+==", text, re.MULTILINE)) > 0
        assert "://" not in text


# ---- what is left out ------------------------------------------------------------------------------------------------


def test_exactly_the_operations_that_the_functions_call_are_kept() -> None:
    text = "".join(path.read_text() for path in SOURCES.rglob("*.py"))
    called = set(re.findall(r'call\(\s*"(\w+)"', text))
    kept = {xform_name(name) for operations in trim.OPERATIONS.values() for name in operations}
    assert called == kept


def test_what_is_kept_is_complete_for_botocore_and_has_its_host_in_every_region(asset: Path) -> None:
    cut, whole = Session(), Session()
    only = Loader(extra_search_paths=[str(asset / "botocore" / "data")], include_default_search_paths=False)
    cut.register_component("data_loader", only)
    for service, operations in trim.OPERATIONS.items():
        model, full = (
            cut.create_client(service, "eu-central-1", **KEYS).meta.service_model,
            whole.get_service_model(service),
        )
        for operation, complete in ((model.operation_model(name), full.operation_model(name)) for name in operations):
            assert all(shape and shape.members for shape in (operation.input_shape, operation.output_shape))
            assert [each.name for each in operation.error_shapes] == [each.name for each in complete.error_shapes]
        for region in (
            each for name in whole.get_available_partitions() for each in whole.get_available_regions(service, name)
        ):
            # By the rules, which the asset does not have.
            rules = whole.create_client(service, region, **KEYS)._ruleset_resolver  # type: ignore[attr-defined]
            endpoint = rules.construct_endpoint(operation, call_args={}, request_context={})
            assert cut.create_client(service, region, **KEYS).meta.endpoint_url == endpoint.url, region
    assert not (asset / "botocore" / "data" / "sqs").exists()


def test_the_cache_of_the_installer_is_not_written_through(tmp_path: Path) -> None:
    cached, linked = tmp_path / "cached", tmp_path / "linked"
    cached.write_text("original")
    linked.hardlink_to(cached)
    trim.put(linked, b"cut")
    assert cached.read_text() == "original"


# ---- whom it trusts --------------------------------------------------------------------------------------------------


def test_every_authority_is_found_by_the_name_that_openssl_gives_it(asset: Path) -> None:
    roots, every = asset / "trust" / "roots", (Path(botocore.__file__).parent / "cacert.pem").read_text()
    assert len(list(roots.iterdir())) == len(list(trust.certificates(every)))
    # As `openssl x509 -subject_hash` says.
    found = ssl.create_default_context(cafile=str(roots / "ce5e74ef.0")).get_ca_certs()
    assert "Amazon Root CA 1" in str(found[0]["subject"])


def test_aws_is_trusted_by_its_own_authorities_only(asset: Path) -> None:
    context = ssl.create_default_context(cafile=str(asset / "trust" / "aws.pem"))
    assert len(context.get_ca_certs()) == len(trust.AWS_AUTHORITIES)
