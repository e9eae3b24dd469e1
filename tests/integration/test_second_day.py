"""What an operator switches, rotates and takes down in the second year, run against the engine's CloudFormation.

It draws no physical names and derives them from the stack's: a stack that is deployed again has another name here, and a
fixed name of a table would take the first one's place. Of what an endpoint needs it does not know two types; the test calls
their API with what CloudFormation has filled in.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.environment import Environment
from local import aws
from local.assembly import assets, zipped
from local.processes import Children
from tests import once
from tests.infra.stack import synthesise
from tests.integration.client import eventually
from tests.integration.clients.raw_server import RawServer, answer

pytestmark = pytest.mark.proof  # half a minute; in the commit tests/infra shows what the templates say of it


class Account:
    """An account of the engine of its own, with one stack."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint, self.folder, self.name = endpoint, folder, "VoidService-test"
        self.s3, self.cloudformation = self.client("s3"), self.client("cloudformation")
        self.s3.create_bucket(Bucket=aws.ASSET_BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        self.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
        (asset,) = assets(once.synthesised("local")).values()
        self.code, self.made = zipped(asset).read_bytes(), set[str]()

    def client(self, service: str) -> Any:
        return aws.client(service, self.endpoint)

    def template(self, **settings: Any) -> dict[str, Any]:
        """Without what the engine refuses."""
        stack = synthesise(Environment(name="test", **settings), self.folder / str(time.monotonic_ns()))
        template = aws.secret_references_as_arns(stack.template)
        for name in aws.refused_by_the_engine(template):
            del template["Resources"][name]
        for function in stack.functions.values():
            self.s3.put_object(Bucket=aws.ASSET_BUCKET, Key=function["Code"]["S3Key"], Body=self.code)
        return template

    def deploy(self, template: dict[str, Any]) -> None:
        self.s3.put_object(Bucket=aws.ASSET_BUCKET, Key="template.json", Body=json.dumps(template).encode())
        url, may = f"{self.endpoint}/{aws.ASSET_BUCKET}/template.json", ["CAPABILITY_NAMED_IAM"]
        self.change("update" if self.name in self.made else "create", TemplateURL=url, Capabilities=may)
        self.made.add(self.name)

    def change(self, how: str, **more: Any) -> None:
        getattr(self.cloudformation, f"{how}_stack")(StackName=self.name, **more)
        done = self.cloudformation.get_waiter(f"stack_{how}_complete")
        done.wait(StackName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def physical(self, logical: str) -> str:
        found = self.cloudformation.describe_stack_resource(StackName=self.name, LogicalResourceId=logical)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    children = Children()
    try:
        yield Account(aws.start_engine(once.engine(), children, tmp_path, tmp_path / "ministack.log"), tmp_path)
    finally:
        children.stop_all()


# ---- switched off and on again, destroyed and deployed again ---------------------------------------------------------


def test_what_is_retained_outlives_a_switch_and_the_stack_and_stops_no_deployment(account: Account) -> None:
    dynamodb, secrets, kms, logs = map(account.client, ("dynamodb", "secretsmanager", "kms", "logs"))
    with_key, without = account.template(own_key=True), account.template()
    account.deploy(with_key)
    table, secret, key = map(account.physical, ("OrdersTable", "ProviderCredentials", "DataKey"))
    order = {"pk": {"S": "pos#1"}, "sk": {"S": "ORDER"}}
    dynamodb.put_item(TableName=table, Item=order)
    secrets.put_secret_value(SecretId=secret, SecretString="{}")
    groups = {each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]}
    assert len(groups) == 6
    account.deploy(without)
    account.deploy(with_key)
    keys = [key, account.physical("DataKey")]
    assert len({*keys}) == 2, "what the first one encrypted is not lost, and the second is new"

    def assert_kept() -> None:
        assert dynamodb.get_item(TableName=table, Key=order)["Item"] == order
        assert secrets.get_secret_value(SecretId=secret)["SecretString"] == "{}"
        assert groups <= {each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]}
        assert [kms.describe_key(KeyId=each)["KeyMetadata"]["KeyState"] for each in keys] == ["Enabled", "Enabled"]

    account.change("delete")
    assert_kept()
    account.name = "VoidService-again"
    account.deploy(with_key)
    assert_kept()
    assert account.physical("OrdersTable") != table


# ---- docs/events.md, "Rotate the header" -----------------------------------------------------------------------------

FILLED_IN = "filled-in"


def with_what_the_engine_lacks(template: dict[str, Any], destination: str) -> dict[str, Any]:
    """A parameter that CloudFormation fills in, where the engine has no type; `destination` is there already."""
    resources = template["Resources"]
    kinds = {each["Type"]: name for name, each in resources.items()}
    asked = resources.pop(kinds["AWS::Events::Connection"])["Properties"]["AuthParameters"]["ApiKeyAuthParameters"]
    assert asked["ApiKeyName"] == "Authorization"
    parameter = {"Name": FILLED_IN, "Type": "String", "Value": asked["ApiKeyValue"]}
    resources["FilledIn"] = {"Type": "AWS::SSM::Parameter", "Properties": parameter}
    name = kinds["AWS::Events::ApiDestination"]
    del resources[name]
    text = json.dumps(template).replace(json.dumps({"Fn::GetAtt": [name, "Arn"]}), json.dumps(destination))
    found: dict[str, Any] = json.loads(text)
    return found


def as_key(value: str) -> dict[str, Any]:
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "Authorization", "ApiKeyValue": value}}
    return {"Name": "shop", "AuthorizationType": "API_KEY", "AuthParameters": key}


def test_a_rotated_header_arrives_with_its_version_and_no_post_is_refused(account: Account, server: RawServer) -> None:
    secrets, events, parameters = map(account.client, ("secretsmanager", "events", "ssm"))
    old, new = "Bearer first", "Bearer second"
    made = secrets.create_secret(Name="shop/header", SecretString=json.dumps({"authorization": old}))
    hook = server.script("shop", answer(200))
    to = events.create_connection(**as_key("none yet"))["ConnectionArn"]
    destination = events.create_api_destination(
        Name="shop", ConnectionArn=to, HttpMethod="POST", InvocationEndpoint=hook
    )

    def posted_with(version: str) -> str:
        """The header of the post of one void.settled, once the stack knows this version of the secret."""
        url, secret = "https://shop.example.com/hook", made["ARN"]
        template = account.template(outcome_url=url, outcome_secret_arn=secret, outcome_secret_version=version)
        account.deploy(with_what_the_engine_lacks(template, destination["ApiDestinationArn"]))
        events.update_connection(**as_key(parameters.get_parameter(Name=FILLED_IN)["Parameter"]["Value"]))
        (bus,) = [each["Name"] for each in events.list_event_buses()["EventBuses"] if each["Name"] != "default"]
        before = len(server.received("shop"))
        entry = {"EventBusName": bus, "Source": "void-service", "DetailType": "void.settled", "Detail": "{}"}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
        return eventually(lambda: server.received("shop")[before:], bool)[0].headers["authorization"]

    assert posted_with(made["VersionId"]) == old
    put = secrets.put_secret_value(SecretId=made["ARN"], SecretString=json.dumps({"authorization": new}))
    assert posted_with(made["VersionId"]) == old  # without another version in the reference a deployment brings nothing
    assert posted_with(put["VersionId"]) == new
