"""What must survive everything else: the table of the operation records and the secret of the provider.

Both outlive the stack. The secret is created without a value and filled by an operator; none is ever generated.
"""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct


class Storage(Construct):
    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        self.table = dynamodb.Table(
            self,
            "Operations",
            partition_key=text("pk"),
            sort_key=text("sk"),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="expires_at",
            deletion_protection=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        self.table.add_global_secondary_index(index_name="due", partition_key=text("due_pk"), sort_key=number("due_at"))
        self.table.add_global_secondary_index(
            index_name="review", partition_key=text("review_pk"), sort_key=number("review_at")
        )
        # The record and the newest webhooks of an order in one consistent read; only a local index can promise that.
        self.table.add_local_secondary_index(index_name="timeline", sort_key=text("at"))
        # Not the usual Secret: it would generate a random value, which a rotation would turn into "previous".
        secret = secretsmanager.CfnSecret(
            self,
            "ProviderCredentials",
            description="Financial Line: JSON with pos_id, api_key, api_secret, endpoints_key. Filled by an operator.",
        )
        secret.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        self.secret_arn = secret.attr_id

    def index_arn(self, name: str) -> str:
        return f"{self.table.table_arn}/index/{name}"


def text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def number(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.NUMBER)
