"""A dead-letter queue: what could not be delivered waits here for two weeks, and an alarm watches it."""

import aws_cdk as cdk
from aws_cdk import aws_sqs
from constructs import Construct

from infra.nag import accept


class DeadLetters(aws_sqs.Queue):
    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(
            scope,
            name,
            encryption=aws_sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        accept(self, "a dead-letter queue")
