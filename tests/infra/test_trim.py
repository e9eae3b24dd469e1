"""What the asset leaves out, and what it must not."""

import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.session import Session

from infra import slim

BOTOCORE = Path(__import__("botocore").__file__).parent
KEPT = ("endpoints.json", "partitions.json", "_retry.json", "sdk-default-configuration.json")
FUNCTIONS = Path(slim.__file__).parent.parent / "functions"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("asset")
    for name in (*KEPT, "dynamodb", "secretsmanager", "sqs"):
        source, copy = BOTOCORE / "data" / name, target / "botocore" / "data" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    shutil.copy(BOTOCORE / "cacert.pem", target / "botocore")
    shutil.copytree(BOTOCORE.parent / "aws_lambda_powertools", target / "aws_lambda_powertools")
    slim.cut(target)
    return target


def test_every_operation_that_the_functions_call_is_kept() -> None:
    text = "".join(path.read_text() for path in FUNCTIONS.rglob("*.py"))
    called = set(re.findall(r'_call\(\s*"(\w+)"', text)) | set(re.findall(r"_client\.(\w+)\(", text))
    kept = {xform_name(name) for operations in slim.OPERATIONS.values() for name in operations}
    assert called <= kept


def test_what_is_kept_is_complete_for_botocore(out: Path) -> None:
    session = Session()
    session.set_config_variable("data_path", str(out / "botocore" / "data"))
    for service, operations in slim.OPERATIONS.items():
        client = session.create_client(service, "eu-central-1", aws_access_key_id="fake", aws_secret_access_key="fake")
        model = client.meta.service_model
        for name in operations:
            operation = model.operation_model(name)
            assert operation.input_shape.members
            assert operation.output_shape.members
            assert [shape.name for shape in operation.error_shapes] == [
                shape.name for shape in Session().get_service_model(service).operation_model(name).error_shapes
            ]
    assert not (out / "botocore" / "data" / "sqs").exists()


def test_every_region_has_the_host_that_botocores_whole_data_name(out: Path) -> None:
    cut, whole = Session(), Session()
    only = Loader(extra_search_paths=[str(out / "botocore" / "data")], include_default_search_paths=False)
    cut.register_component("data_loader", only)
    keys = {"aws_access_key_id": "fake", "aws_secret_access_key": "fake"}
    for service in slim.OPERATIONS:
        for partition in whole.get_available_partitions():
            for region in whole.get_available_regions(service, partition):
                ours = cut.create_client(service, region, **keys)
                # By the rules, which the asset does not have.
                theirs = whole.create_client(service, region, **keys)._ruleset_resolver  # type: ignore[attr-defined]
                name = min(slim.OPERATIONS[service])
                operation = ours.meta.service_model.operation_model(name)
                endpoint = theirs.construct_endpoint(operation, call_args={}, request_context={})
                assert ours.meta.endpoint_url == endpoint.url, region


def test_the_cache_of_the_installer_is_not_written_through(tmp_path: Path) -> None:
    cached, linked = tmp_path / "cached", tmp_path / "linked"
    cached.write_text("original")
    linked.hardlink_to(cached)
    slim.put(linked, b"cut")
    assert cached.read_text() == "original"


def test_every_authority_is_found_by_the_name_that_openssl_gives_it(out: Path) -> None:
    roots = out / "trust" / "roots"
    assert len(list(roots.iterdir())) == len(list(slim.certificates((BOTOCORE / "cacert.pem").read_text())))
    # As `openssl x509 -subject_hash` says.
    assert "Amazon Root CA 1" in subject_of(roots / "ce5e74ef.0")


def test_aws_is_trusted_by_its_own_authorities_only(out: Path) -> None:
    context = ssl.create_default_context(cafile=str(out / "trust" / "aws.pem"))
    assert len(context.get_ca_certs()) == len(slim.AWS_AUTHORITIES)


def subject_of(path: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=str(path))
    return str(context.get_ca_certs()[0]["subject"])


def test_logger_and_metrics_need_nothing_that_was_cut(out: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(out)!r}); import aws_lambda_powertools as it; it.Logger('s').info('x'); "
    )
    program += "it.Metrics(namespace='n', service='s').add_metric(name='m', unit='Count', value=1); print(it.__file__)"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1].startswith(str(out))
