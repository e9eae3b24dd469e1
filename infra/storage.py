"""What must survive everything else: the table of the orders and the secret of the provider.

Both outlive the stack, and their names within it never change: another name would be another, empty table. The secret
is created without a value and filled by an operator; none is ever generated.
"""

from functools import partial

import aws_cdk as cdk
from aws_cdk import aws_dynamodb, aws_iam, aws_kms, aws_logs, aws_secretsmanager
from constructs import Construct, IConstruct

from infra.environment import Environment
from infra.nag import accept
from infra.parts import resource_of
from infra.wrong_settings import RETENTION

# The names within the stack. Another name would be another resource, empty and beside the old one.
TABLE, SECRET, KEY = "OrdersTable", "ProviderCredentials", "DataKey"

# Of the table alone, for the plan of AWS Backup that the account may have.
BACKUP = ("backup", "orders")

# What a user of the data needs of the key, through the services that hold the data; nothing else may be decrypted.
USES = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo")
KEY_ACTIONS = [f"kms:{use}" for use in USES]


class Storage(Construct):
    def __init__(self, scope: Construct, name: str, environment: Environment) -> None:
        super().__init__(scope, name)
        self.key = own_key(self) if environment.own_key else None
        self.table = self.orders()
        self.secret_arn = self.credentials()

    def orders(self) -> aws_dynamodb.Table:
        table = aws_dynamodb.Table(
            self, "Orders", partition_key=text("pk"), sort_key=text("sk"),
            billing_mode=aws_dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification={"point_in_time_recovery_enabled": True},
            encryption=aws_dynamodb.TableEncryption.CUSTOMER_MANAGED if self.key else None, encryption_key=self.key,
            stream=aws_dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,  # settled voids leave by it: infra/events.py
            time_to_live_attribute="expires_at", deletion_protection=True,
            # Not RetainExceptOnCreate: a failed first deployment would get stuck on a table that it may not delete.
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )  # fmt: skip
        keep_the_name(table, TABLE)
        add = table.add_global_secondary_index
        add(index_name="due", partition_key=text("due_pk"), sort_key=number("due_at"))
        add(index_name="review", partition_key=text("review_pk"), sort_key=number("review_at"))
        # Who lists the settled voids of a day reads each by its key: to copy them whole would double what a write
        # costs.
        keys, at = aws_dynamodb.ProjectionType.KEYS_ONLY, text("settled_at")
        add(index_name="settled", partition_key=text("settled_pk"), sort_key=at, projection_type=keys)
        # A plan of AWS Backup belongs to the account; by this tag it can choose the table.
        cdk.Tags.of(table).add(*BACKUP)
        return table

    def credentials(self) -> str:
        # Not the usual Secret: it would generate a random value, which a rotation would turn into "previous".
        secret = aws_secretsmanager.CfnSecret(
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


def own_key(scope: Construct) -> aws_kms.Key:
    """A key whose policy leaves the decision to IAM, as AWS's default does: otherwise nobody could manage it."""
    stack = cdk.Stack.of(scope)
    kept = cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    key = aws_kms.Key(scope, "Key", enable_key_rotation=True, removal_policy=kept, description=stack.stack_name)
    keep_the_name(key, KEY)
    # In a key's policy the resource `*` is this key.
    logs_of_account = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:*"
    for service, conditions in (
        (f"logs.{stack.region}.amazonaws.com", {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs_of_account}}),
        ("cloudwatch.amazonaws.com", {"StringEquals": {"aws:SourceAccount": stack.account}}),
    ):
        who = [aws_iam.ServicePrincipal(service)]
        key.add_to_resource_policy(
            aws_iam.PolicyStatement(principals=who, actions=KEY_ACTIONS, resources=["*"], conditions=conditions)
        )
    return key


def forgotten_in_the_end(
    scope: Construct, name: str, environment: Environment, key: aws_kms.IKey | None
) -> aws_logs.LogGroup:
    """A log group that outlives the stack, and of which each line has an end."""
    days = aws_logs.RetentionDays[RETENTION[environment.log_retention_days]]
    kept = cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    return aws_logs.LogGroup(scope, name, retention=days, removal_policy=kept, encryption_key=key)


def keep_the_name(construct: IConstruct, name: str) -> None:
    """By itself the CDK names a resource after its place in the tree: moving code would replace it."""
    resource_of(construct, cdk.CfnResource).override_logical_id(name)


def text(name: str, kind: aws_dynamodb.AttributeType = aws_dynamodb.AttributeType.STRING) -> aws_dynamodb.Attribute:
    return aws_dynamodb.Attribute(name=name, type=kind)


number = partial(text, kind=aws_dynamodb.AttributeType.NUMBER)
