"""The runbook's way back from a mistake and from a lost table, its commands run against the engine as they stand there.
The engine keeps no system backup of a deleted table: one made by hand stands for it. It has no pipe either."""

import re
import shlex
from collections.abc import Iterator
from string import Template
from typing import Any

import pytest
from botocore import xform_name

from infra import restore
from infra.account import Account
from infra.environments import ENVIRONMENTS
from infra.synth import ROOT
from local import aws
from local.service import Service
from tests.integration.client import table_like_the_deployed

SECTION = (ROOT / "docs" / "runbook.md").read_text("utf-8").split("\n## Restore the table\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"^ *```sh\n(.*?)^ *```", SECTION, re.DOTALL | re.MULTILINE)


def item(order: str, version: str) -> dict[str, Any]:
    return {"pk": {"S": f"pos#{order}"}, "sk": {"S": "ORDER"}, "version": {"N": version}}


@pytest.fixture
def dynamodb(service: Service) -> Any:
    return service.client("dynamodb")


@pytest.fixture
def table(service: Service, dynamodb: Any) -> Iterator[str]:
    """With two orders."""
    with table_like_the_deployed(service) as name:
        for order in ("1", "2"):
            dynamodb.put_item(TableName=name, Item=item(order, "1"))
        yield name


def run(dynamodb: Any, commands: str, words: dict[str, str]) -> None:
    """Each `aws dynamodb` command of a block, with `$WORD` filled in."""
    for line in re.findall(r"^ *aws dynamodb (.+)", commands, re.MULTILINE):
        operation, *options = shlex.split(Template(line).safe_substitute(words))
        if operation == "wait":
            dynamodb.get_waiter(xform_name(options[0].title().replace("-", ""))).wait(TableName=options[-1])
            continue
        name = operation.replace("-", "_")
        model = dynamodb.meta.service_model.operation_model(dynamodb.meta.method_to_api_mapping[name])
        shapes = model.input_shape.members
        flags, given, call = {f"--{xform_name(each, '-')}": each for each in shapes}, "", dict[str, Any]()
        for option in options:
            if option.startswith("--"):
                given = flags.get(option.replace("--no-", "--"), "")
                call |= {given: not option.startswith("--no-")} if given else {}
            elif given:
                call[given] = value(shapes[given], option, call[given])
        getattr(dynamodb, name)(**call)


def value(shape: Any, text: str, before: Any) -> Any:
    if shape.type_name == "list":
        return [*(before if isinstance(before, list) else []), value(shape.member, text, None)]
    if shape.type_name == "structure":
        return {name: {"true": True}.get(said, said) for name, said in (each.split("=") for each in text.split(","))}
    return text


def test_what_a_mistake_removed_comes_back_from_a_moment_before_it(
    service: Service, dynamodb: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"TABLE": table, "COPY": f"{table}-copy"}
    kept = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=kept)
    (restoring,) = [block for block in BLOCKS if "restore-table-to-point-in-time" in block]
    run(dynamodb, restoring, words)
    dynamodb.delete_item(TableName=table, Key={key: item("1", "1")[key] for key in ("pk", "sk")})
    dynamodb.put_item(TableName=table, Item=item("2", "7"))
    monkeypatch.setattr(Account, "_client", lambda _self, of: service.client(of))
    monkeypatch.setattr(Account, "resources", lambda *_: [table])
    account = Account(ENVIRONMENTS["test"])
    for write, told in ((False, "none written"), (True, "1 written"), (True, "0 written")):
        assert told in restore.restore(account, words["COPY"], write=write)
    versions = {each["pk"]["S"]: each["version"]["N"] for each in dynamodb.scan(TableName=table)["Items"]}
    assert versions == {"pos#1": "1", "pos#2": "7"}, "what came later stays"
    run(dynamodb, next(block for block in BLOCKS if "delete-table" in block), words)


def test_a_lost_table_comes_back_under_its_name_with_all_that_a_restore_leaves_out(dynamodb: Any, table: str) -> None:
    backup = dynamodb.create_backup(TableName=table, BackupName="system")["BackupDetails"]["BackupArn"]
    dynamodb.delete_table(TableName=table)
    arn = f"arn:aws:dynamodb:{aws.REGION}:{aws.ACCOUNT}:table/{table}"
    for block in (block for block in BLOCKS if "restore-table-from-backup" in block or "LatestStreamArn" in block):
        run(dynamodb, block, {"TABLE": table, "TABLE_ARN": arn, "BACKUP": backup})
    described = dynamodb.describe_table(TableName=table)["Table"]
    assert {each["pk"]["S"] for each in dynamodb.scan(TableName=table)["Items"]} == {"pos#1", "pos#2"}
    assert {each["IndexName"] for each in described["GlobalSecondaryIndexes"]} == {"due", "review", "settled"}
    assert described["DeletionProtectionEnabled"] is True
    assert described["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert described["LatestStreamArn"].startswith(f"{arn}/stream/")
    lifetime = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert (lifetime["TimeToLiveStatus"], lifetime["AttributeName"]) == ("ENABLED", "expires_at")
    recovery = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    tags = {each["Key"]: each["Value"] for each in dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]}
    assert tags["backup"] == "orders"
