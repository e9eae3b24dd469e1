"""What the asset leaves out, and what it must not. The asset is the one that is deployed."""

import re
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.loaders import Loader
from botocore.session import Session

from infra import trim
from infra.synth import ROOT
from tests.infra.test_bundle import ran_from


def test_exactly_the_operations_that_the_functions_call_are_kept() -> None:
    text = "".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))
    called = set(re.findall(r'call\(\s*"(\w+)"', text))
    kept = {xform_name(name) for operations in trim.OPERATIONS.values() for name in operations}
    assert called == kept


def test_what_is_kept_is_complete_for_botocore(asset: Path) -> None:
    session = Session()
    session.set_config_variable("data_path", str(asset / "botocore" / "data"))
    for service, operations in trim.OPERATIONS.items():
        client = session.create_client(service, "eu-central-1", aws_access_key_id="fake", aws_secret_access_key="fake")
        model = client.meta.service_model
        for name in operations:
            operation = model.operation_model(name)
            assert all(shape and shape.members for shape in (operation.input_shape, operation.output_shape))
            whole = Session().get_service_model(service).operation_model(name)
            assert [each.name for each in operation.error_shapes] == [each.name for each in whole.error_shapes]
    assert not (asset / "botocore" / "data" / "sqs").exists()


def test_every_region_has_the_host_that_botocores_whole_data_name(asset: Path) -> None:
    cut, whole = Session(), Session()
    only = Loader(extra_search_paths=[str(asset / "botocore" / "data")], include_default_search_paths=False)
    cut.register_component("data_loader", only)
    keys: dict[str, Any] = {"aws_access_key_id": "fake", "aws_secret_access_key": "fake"}
    for service in trim.OPERATIONS:
        for partition in whole.get_available_partitions():
            for region in whole.get_available_regions(service, partition):
                ours = cut.create_client(service, region, **keys)
                # By the rules, which the asset does not have.
                theirs = whole.create_client(service, region, **keys)._ruleset_resolver  # type: ignore[attr-defined]
                operation = ours.meta.service_model.operation_model(min(trim.OPERATIONS[service]))
                endpoint = theirs.construct_endpoint(operation, call_args={}, request_context={})
                assert ours.meta.endpoint_url == endpoint.url, region


def test_the_cache_of_the_installer_is_not_written_through(tmp_path: Path) -> None:
    cached, linked = tmp_path / "cached", tmp_path / "linked"
    cached.write_text("original")
    linked.hardlink_to(cached)
    trim.put(linked, b"cut")
    assert cached.read_text() == "original"


def test_logger_and_metrics_need_nothing_that_was_cut(asset: Path) -> None:
    program = "import aws_lambda_powertools as it; it.Logger('s').info('x'); "
    program += "it.Metrics(namespace='n', service='s').add_metric(name='m', unit='Count', value=1); print(it.__file__)"
    assert ran_from(asset, program).splitlines()[-1].startswith(str(asset))
