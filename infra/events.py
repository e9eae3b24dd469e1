"""How a settled void becomes known: the table's stream through a pipe onto a bus, and from there where merchants like.

Promises at least one `void.settled` for each void that is settled, in order for each order, without a function of ours.
Never holds back a void: what cannot be delivered waits in a queue that an alarm watches.
"""

import json

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_pipes as pipes
from constructs import Construct

from infra.dead_letters import DeadLetters
from infra.dependencies import after_the_rights_of
from infra.environment import Environment
from infra.nag import accept
from infra.settled_event import DETAIL_TYPE, FILTER, SETTLED, SOURCE, TEMPLATE
from infra.storage import Storage


class SettledEvents(Construct):
    def __init__(self, scope: Construct, name: str, environment: Environment, storage: Storage) -> None:
        super().__init__(scope, name)
        self.bus = events.EventBus(self, "Bus", description="void.settled: docs/events.md")
        self.dead_letters = DeadLetters(self, "DeadLetters")
        # A table that was brought back has another stream than the one that CloudFormation knows of.
        stream = environment.table_stream_arn or storage.table.table_stream_arn
        if environment.settled_events and stream is not None:
            self.pipe(storage, stream)
        if environment.outcome_url is not None and environment.outcome_secret_arn is not None:
            # CloudFormation reads a secret only when the text of the reference changes: so the version is a part of it.
            header = cdk.SecretValue.secrets_manager(
                environment.outcome_secret_arn,
                json_field="authorization",
                version_id=environment.outcome_secret_version,
            )
            self.send_to(environment.outcome_url, header)

    def pipe(self, storage: Storage, stream: str) -> None:
        role = self.role_of_pipe(storage, stream)
        pipe = pipes.CfnPipe(
            self,
            "Pipe",
            description="Settled voids, from the table to the bus",
            role_arn=role.role_arn,
            source=stream,
            source_parameters=pipes.CfnPipe.PipeSourceParametersProperty(
                dynamo_db_stream_parameters=pipes.CfnPipe.PipeSourceDynamoDBStreamParametersProperty(
                    # A recreated pipe repeats the stream's 24 h rather than miss an event; the id tells a repeat.
                    starting_position="TRIM_HORIZON",
                    batch_size=10,  # as many as a bus takes at once
                    on_partial_batch_item_failure="AUTOMATIC_BISECT",
                    # The stream keeps a day: what has failed for an hour leaves 23 to look at it and holds up no other.
                    maximum_record_age_in_seconds=3600,
                    maximum_retry_attempts=-1,
                    dead_letter_config=pipes.CfnPipe.DeadLetterConfigProperty(arn=self.dead_letters.queue_arn),
                ),
                filter_criteria=pipes.CfnPipe.FilterCriteriaProperty(
                    filters=[pipes.CfnPipe.FilterProperty(pattern=json.dumps(FILTER))]
                ),
            ),
            target=self.bus.event_bus_arn,
            target_parameters=pipes.CfnPipe.PipeTargetParametersProperty(
                input_template=TEMPLATE,
                event_bridge_event_bus_parameters=pipes.CfnPipe.PipeTargetEventBridgeEventBusParametersProperty(
                    source=SOURCE, detail_type=DETAIL_TYPE
                ),
            ),
        )
        after_the_rights_of(role, pipe)

    def role_of_pipe(self, storage: Storage, stream: str) -> iam.Role:
        stack = cdk.Stack.of(self)
        role = iam.Role(
            self,
            "PipeRole",
            # Only for a pipe of this account: otherwise another's pipe could have the service use this role.
            assumed_by=iam.ServicePrincipal(
                "pipes.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": stack.account}}
            ),
        )
        accept(role, "list of streams")
        for actions, resource in (
            ([f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator")], stream),
            (["dynamodb:ListStreams"], "*"),
            (["events:PutEvents"], self.bus.event_bus_arn),
            (["sqs:SendMessage"], self.dead_letters.queue_arn),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
        if storage.key is not None:  # the stream lies under the table's key
            via = {"StringEquals": {"kms:ViaService": f"dynamodb.{stack.region}.amazonaws.com"}}
            role.add_to_policy(
                iam.PolicyStatement(actions=["kms:Decrypt"], resources=[storage.key.key_arn], conditions=via)
            )
        return role

    def send_to(self, url: str, header: cdk.SecretValue) -> None:
        """POST each event to the merchant, with the header `Authorization` from the merchant's own secret."""
        connection = events.Connection(
            self,
            "Connection",
            authorization=events.Authorization.api_key("Authorization", header),
        )
        destination = events.ApiDestination(self, "Endpoint", connection=connection, endpoint=url)
        role = iam.Role(self, "EndpointRole", assumed_by=iam.ServicePrincipal("events.amazonaws.com"))
        events.Rule(
            self,
            "ToEndpoint",
            event_bus=self.bus,
            description="Settled voids, to the merchant's endpoint",
            event_pattern=events.EventPattern(source=[SOURCE], detail_type=[SETTLED]),
            targets=[
                targets.ApiDestination(
                    destination,
                    event_role=role,
                    retry_attempts=185,
                    max_event_age=cdk.Duration.hours(24),
                    dead_letter_queue=self.dead_letters,
                )
            ],
        )
