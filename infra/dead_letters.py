"""A dead-letter queue: what could not be delivered waits here for two weeks, and an alarm watches it."""

import aws_cdk as cdk
from aws_cdk import aws_sqs
from constructs import Construct

from infra.nag import accept


class DeadLetters(aws_sqs.Queue):
    def __init__(self, scope: Construct, name: str) -> None:
        by_sqs, two_weeks = aws_sqs.QueueEncryption.SQS_MANAGED, cdk.Duration.days(14)
        super().__init__(scope, name, encryption=by_sqs, enforce_ssl=True, retention_period=two_weeks)
        accept(self, "a dead-letter queue")
