"""How a settled void becomes known: the table's stream through a pipe onto a bus, and from there where merchants like.

Promises at least one `void.settled` for each void that is settled, in order for each order, without a function of ours.
Never holds back a void: what cannot be delivered waits in a queue that an alarm watches.
"""

import json

import aws_cdk as cdk
from aws_cdk import aws_events, aws_events_targets, aws_iam, aws_pipes
from constructs import Construct

from infra.environment import Environment
from infra.nag import accept
from infra.parts import DeadLetters, after_the_rights_of, allow
from infra.settled_event import DETAIL_TYPE, FILTER, SETTLED, SOURCE, TEMPLATE
from infra.storage import Storage


class SettledEvents(Construct):
    def __init__(self, scope: Construct, name: str, environment: Environment, storage: Storage) -> None:
        super().__init__(scope, name)
        self.bus = aws_events.EventBus(self, "Bus", description="void.settled: docs/events.md")
        self.dead_letters = DeadLetters(self, "DeadLetters")
        # A table that was brought back has another stream than the one that CloudFormation knows of.
        stream = environment.table_stream_arn or storage.table.table_stream_arn
        if environment.settled_events and stream is not None:
            self.pipe(storage, stream)
        secret, version = environment.outcome_secret_arn, environment.outcome_secret_version
        if environment.outcome_url is not None and secret is not None:
            # CloudFormation reads a secret only when the text of the reference changes: so the version is a part of it.
            header = cdk.SecretValue.secrets_manager(secret, json_field="authorization", version_id=version)
            self.send_to(environment.outcome_url, header)

    def pipe(self, storage: Storage, stream: str) -> None:
        role = self.role_of_pipe(storage, stream)
        reading = {
            # A recreated pipe repeats the stream's 24 h rather than miss an event; the id tells a repeat.
            "startingPosition": "TRIM_HORIZON",
            "batchSize": 10,  # as many as a bus takes at once
            "onPartialBatchItemFailure": "AUTOMATIC_BISECT",
            # The stream keeps a day: what has failed for an hour leaves 23 to look at it and holds up no other.
            "maximumRecordAgeInSeconds": 3600,
            "maximumRetryAttempts": -1,
            "deadLetterConfig": {"arn": self.dead_letters.queue_arn},
        }
        filters = {"filters": [{"pattern": json.dumps(FILTER)}]}
        writing = {"source": SOURCE, "detailType": DETAIL_TYPE}
        pipe = aws_pipes.CfnPipe(
            self, "Pipe", description="Settled voids, from the table to the bus", role_arn=role.role_arn,
            source=stream, source_parameters={"dynamoDbStreamParameters": reading, "filterCriteria": filters},
            target=self.bus.event_bus_arn,
            target_parameters={"inputTemplate": TEMPLATE, "eventBridgeEventBusParameters": writing},
        )  # fmt: skip
        after_the_rights_of(role, pipe)

    def role_of_pipe(self, storage: Storage, stream: str) -> aws_iam.Role:
        stack = cdk.Stack.of(self)
        # Only for a pipe of this account: otherwise another's pipe could have the service use this role.
        own = {"StringEquals": {"aws:SourceAccount": stack.account}}
        principal = aws_iam.ServicePrincipal("pipes.amazonaws.com", conditions=own)
        role = aws_iam.Role(self, "PipeRole", assumed_by=principal)
        accept(role, "list of streams")
        allow(role, [f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator")], stream)
        allow(role, ["dynamodb:ListStreams"], "*")
        allow(role, ["events:PutEvents"], self.bus.event_bus_arn)
        allow(role, ["sqs:SendMessage"], self.dead_letters.queue_arn)
        if storage.key is not None:  # the stream lies under the table's key
            allow(role, ["kms:Decrypt"], storage.key.key_arn, via=["dynamodb"])
        return role

    def send_to(self, url: str, header: cdk.SecretValue) -> None:
        """POST each event to the merchant, with the header `Authorization` from the merchant's own secret."""
        authorization = aws_events.Authorization.api_key("Authorization", header)
        connection = aws_events.Connection(self, "Connection", authorization=authorization)
        destination = aws_events.ApiDestination(self, "Endpoint", connection=connection, endpoint=url)
        role = aws_iam.Role(self, "EndpointRole", assumed_by=aws_iam.ServicePrincipal("events.amazonaws.com"))
        target = aws_events_targets.ApiDestination(
            destination, event_role=role, retry_attempts=185, max_event_age=cdk.Duration.hours(24),
            dead_letter_queue=self.dead_letters,
        )  # fmt: skip
        what, settled = "Settled voids, to the merchant's endpoint", {"source": [SOURCE], "detail_type": [SETTLED]}
        aws_events.Rule(
            self, "ToEndpoint", event_bus=self.bus, description=what, event_pattern=settled, targets=[target]
        )
