"""What must survive everything else: the table of the orders and the secret of the provider.

Both outlive the stack, and their names within it never change: another name would be another, empty table. The secret
is created without a value and filled by an operator; none is ever generated.
"""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.environment import Environment
from infra.nag import accept
from infra.wrong_settings import RETENTION

# The names within the stack. Another name would be another resource, empty and beside the old one.
TABLE, SECRET, KEY = "OrdersTable", "ProviderCredentials", "DataKey"

# Of the table alone, for the plan of AWS Backup that the account may have.
BACKUP = ("backup", "orders")

# What a user of the data needs of the key, through the services that hold the data; nothing else may be decrypted.
KEY_ACTIONS = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
]


class Storage(Construct):
    def __init__(self, scope: Construct, name: str, environment: Environment) -> None:
        super().__init__(scope, name)
        self.key = own_key(self) if environment.own_key else None
        self.table = self.orders()
        self.secret_arn = self.credentials()

    def orders(self) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            "Orders",
            partition_key=text("pk"),
            sort_key=text("sk"),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if self.key else None,
            encryption_key=self.key,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,  # settled voids leave by it: infra/events.py
            time_to_live_attribute="expires_at",
            deletion_protection=True,
            # Not RetainExceptOnCreate: a failed first deployment would get stuck on a table that it may not delete.
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        keep_the_name(table.node.default_child, TABLE)
        for index, sort_key in (("due", number("due_at")), ("review", number("review_at"))):
            table.add_global_secondary_index(index_name=index, partition_key=text(f"{index}_pk"), sort_key=sort_key)
        # Who lists the settled voids of a day reads each by its key: to copy them whole would double what a write
        # costs.
        table.add_global_secondary_index(
            index_name="settled",
            partition_key=text("settled_pk"),
            sort_key=text("settled_at"),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        # A plan of AWS Backup belongs to the account; by this tag it can choose the table.
        cdk.Tags.of(table).add(*BACKUP)
        return table

    def credentials(self) -> str:
        # Not the usual Secret: it would generate a random value, which a rotation would turn into "previous".
        secret = secretsmanager.CfnSecret(
            self,
            "ProviderCredentials",
            description="Financial Line: JSON with pos_id, api_key, api_secret, endpoints_key. Filled by an operator.",
            kms_key_id=self.key.key_arn if self.key else None,
        )
        secret.apply_removal_policy(cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
        keep_the_name(secret, SECRET)
        accept(secret, "rotated by hand")
        return secret.attr_id

    def index_arn(self, name: str) -> str:
        return f"{self.table.table_arn}/index/{name}"


def own_key(scope: Construct) -> kms.Key:
    """A key whose policy leaves the decision to IAM, as AWS's default does: otherwise nobody could manage it."""
    stack = cdk.Stack.of(scope)
    key = kms.Key(
        scope,
        "Key",
        enable_key_rotation=True,
        removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        description=stack.stack_name,
    )
    keep_the_name(key.node.default_child, KEY)
    # In a key's policy the resource `*` is this key.
    logs_of_account = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:*"
    for service, conditions in (
        (f"logs.{stack.region}.amazonaws.com", {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs_of_account}}),
        ("cloudwatch.amazonaws.com", {"StringEquals": {"aws:SourceAccount": stack.account}}),
    ):
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=KEY_ACTIONS,
                resources=["*"],
                conditions=conditions,
            )
        )
    return key


def forgotten_in_the_end(scope: Construct, name: str, environment: Environment, key: kms.IKey | None) -> logs.LogGroup:
    """A log group that outlives the stack, and of which each line has an end."""
    return logs.LogGroup(
        scope,
        name,
        retention=logs.RetentionDays[RETENTION[environment.log_retention_days]],
        removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        encryption_key=key,
    )


def keep_the_name(resource: object, name: str) -> None:
    """By itself the CDK names a resource after its place in the tree: moving code would replace it."""
    if not isinstance(resource, cdk.CfnResource):
        raise TypeError(f"{name} is not a resource")
    resource.override_logical_id(name)


def text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def number(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.NUMBER)
