"""What an operator switches, rotates and takes down in the second year, run against the engine's CloudFormation.

It draws no physical names and derives them from the stack's: a stack that is deployed again has another name here, and a
fixed name of a table would take the first one's place. Of what an endpoint needs it does not know two types; the test calls
their API with what CloudFormation has filled in.
"""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.environment import Environment
from infra.environments import NOT_DEPLOYED_LOCALLY
from local import aws
from local.assembly import assets, zipped
from local.processes import Children
from tests import once
from tests.infra.stack import synthesise
from tests.integration.client import eventually


class Account:
    """An account of the engine of its own, with one stack."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint, self.folder, self.name = endpoint, folder, "VoidService-test"
        self.s3, self.cloudformation = self.client("s3"), self.client("cloudformation")
        self.s3.create_bucket(Bucket=aws.ASSET_BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        self.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
        (asset,) = assets(once.synthesised("local")).values()
        self.code = zipped(asset).read_bytes()

    def client(self, service: str) -> Any:
        return aws.client(service, self.endpoint)

    def template(self, **settings: Any) -> dict[str, Any]:
        """Without what the engine refuses."""
        out = self.folder / str(time.monotonic_ns())
        stack = synthesise(Environment(name="test", **settings), out)
        template = aws.secret_references_as_arns(stack.template)
        unknown = [name for name, each in stack.resources.items() if each["Type"] in NOT_DEPLOYED_LOCALLY]
        for name in (*unknown, *aws.refused_by_the_engine(template)):
            del template["Resources"][name]
        for function in stack.functions.values():
            self.s3.put_object(Bucket=aws.ASSET_BUCKET, Key=function["Code"]["S3Key"], Body=self.code)
        return template

    def deploy(self, template: dict[str, Any]) -> None:
        self.s3.put_object(Bucket=aws.ASSET_BUCKET, Key="template.json", Body=json.dumps(template).encode())
        change = self.cloudformation.update_stack if self.status() else self.cloudformation.create_stack
        url = f"{self.endpoint}/{aws.ASSET_BUCKET}/template.json"
        change(StackName=self.name, TemplateURL=url, Capabilities=["CAPABILITY_NAMED_IAM"])
        assert eventually(self.status, lambda status: not status.endswith("IN_PROGRESS"), seconds=60) in (
            "CREATE_COMPLETE", "UPDATE_COMPLETE"
        )  # fmt: skip

    def destroy(self) -> None:
        self.cloudformation.delete_stack(StackName=self.name)
        eventually(self.status, lambda status: not status, seconds=60)

    def status(self) -> str:
        stacks = {each["StackName"]: each["StackStatus"] for each in self.cloudformation.describe_stacks()["Stacks"]}
        return str(stacks.get(self.name, ""))

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

    account.destroy()
    assert_kept()
    account.name = "VoidService-again"
    account.deploy(with_key)
    assert_kept()
    assert account.physical("OrdersTable") != table


# ---- docs/events.md, "Rotate the header" -----------------------------------------------------------------------------


class Shop:
    """The merchant's endpoint: takes what it accepts, and keeps which header each post had."""

    def __init__(self) -> None:
        self.accepts: set[str] = set()
        self.posts: list[tuple[str, int]] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                header = self.headers["Authorization"]
                shop.posts.append((header, 200 if header in shop.accepts else 401))
                self.send_response(shop.posts[-1][1])
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.server.shutdown()
    shop.server.server_close()


class Endpoint:
    """The stack's way to the shop; where the engine has no type, what CloudFormation filled in goes to the API."""

    def __init__(self, account: Account, shop: Shop, secret: str) -> None:
        self.account, self.secret, self.events = account, secret, account.client("events")
        made = self.events.create_connection(
            Name="shop", AuthorizationType="API_KEY", AuthParameters=as_key("none yet")
        )
        self.arn = self.events.create_api_destination(
            Name="shop", ConnectionArn=made["ConnectionArn"], HttpMethod="POST",
            InvocationEndpoint=f"http://127.0.0.1:{shop.server.server_port}/hook",
        )["ApiDestinationArn"]  # fmt: skip

    def deploy(self, version: str) -> None:
        template = self.account.template(
            outcome_url="https://shop.example.com/hook", outcome_secret_arn=self.secret, outcome_secret_version=version
        )
        resources = template["Resources"]
        (connection,) = [name for name, each in resources.items() if each["Type"] == "AWS::Events::Connection"]
        (destination,) = [name for name, each in resources.items() if each["Type"] == "AWS::Events::ApiDestination"]
        asked = resources[connection]["Properties"]["AuthParameters"]["ApiKeyAuthParameters"]
        assert asked["ApiKeyName"] == "Authorization"
        resources[connection] = {"Type": "AWS::SSM::Parameter", "Properties": {
            "Name": "filled-in", "Type": "String", "Value": asked["ApiKeyValue"]
        }}  # fmt: skip
        del resources[destination]
        text = json.dumps(template).replace(json.dumps({"Fn::GetAtt": [destination, "Arn"]}), json.dumps(self.arn))
        self.account.deploy(json.loads(text))
        filled_in = self.account.client("ssm").get_parameter(Name="filled-in")["Parameter"]["Value"]
        self.events.update_connection(Name="shop", AuthorizationType="API_KEY", AuthParameters=as_key(filled_in))

    def settle(self, shop: Shop) -> tuple[str, int]:
        """What the post of one void.settled had as its header, and what it was answered."""
        (bus,) = [each["Name"] for each in self.events.list_event_buses()["EventBuses"] if each["Name"] != "default"]
        before = len(shop.posts)
        entry = {"EventBusName": bus, "Source": "void-service", "DetailType": "void.settled", "Detail": "{}"}
        assert self.events.put_events(Entries=[entry])["FailedEntryCount"] == 0
        return eventually(lambda: shop.posts[before:], bool)[0]


def as_key(value: str) -> dict[str, Any]:
    return {"ApiKeyAuthParameters": {"ApiKeyName": "Authorization", "ApiKeyValue": value}}


def test_a_rotated_header_arrives_with_its_version_and_no_post_is_refused(account: Account, shop: Shop) -> None:
    secrets, old, new = account.client("secretsmanager"), "Bearer first", "Bearer second"
    made = secrets.create_secret(Name="shop/header", SecretString=json.dumps({"authorization": old}))
    endpoint, shop.accepts = Endpoint(account, shop, made["ARN"]), {old}
    endpoint.deploy(made["VersionId"])
    assert endpoint.settle(shop) == (old, 200)
    shop.accepts = {old, new}
    put = secrets.put_secret_value(SecretId=made["ARN"], SecretString=json.dumps({"authorization": new}))
    endpoint.deploy(made["VersionId"])  # without another version in the reference a deployment brings nothing
    assert endpoint.settle(shop) == (old, 200)
    endpoint.deploy(put["VersionId"])
    shop.accepts = {new}
    assert endpoint.settle(shop) == (new, 200)
