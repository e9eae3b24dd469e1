"""The four functions and what each may do: exact actions on exact resources, nobody scans, nobody deletes.

Which of them may speak to the provider cannot be said in IAM; a test of the imports says it.
"""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct

from infra.bundle import functions_code
from infra.dead_letters import DeadLetters
from infra.dependencies import after_the_rights_of
from infra.environment import RETENTION, Environment
from infra.nag import acknowledge, acknowledge_inline_policy, acknowledge_key_of_aws
from infra.network import Network
from infra.storage import KEY_ACTIONS, Storage


class Functions(Construct):
    def __init__(
        self,
        scope: Construct,
        name: str,
        environment: Environment,
        storage: Storage,
        *,
        provider: dict[str, str],
        webhook_url: str,
        network: Network | None = None,
    ) -> None:
        super().__init__(scope, name)
        self.environment = environment
        self.storage = storage
        self.network = network
        self.code = functions_code()
        table, due, review = storage.table.table_arn, storage.index_arn("due"), storage.index_arn("review")

        # 20 s: connect and answer of the provider, a query after a refusal, and the durable outcome, all within.
        # 1024 MB: the share of CPU is the latency of the TLS handshake.
        self.submit_void = self.function(
            "SubmitVoid", "submit_void", seconds=20, memory=1024,
            variables={**provider, "WEBHOOK_URL": webhook_url},
        )  # fmt: skip
        allow(self.submit_void, ["dynamodb:GetItem", "dynamodb:PutItem"], [table])

        self.read_voids = self.function("ReadVoids", "read_voids", seconds=20, memory=512, variables=provider)
        allow(self.read_voids, ["dynamodb:GetItem", "dynamodb:PutItem"], [table])
        allow(self.read_voids, ["dynamodb:Query"], [due, review])

        self.receive_webhook = self.function("ReceiveWebhook", "receive_webhook", seconds=10, memory=512, variables={})
        allow(self.receive_webhook, ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], [table])

        # 55 s: the next run begins at 60 s.
        # 1769 MB, a whole processor: with less, `settle_workers` above its default would wait for the processor.
        self.settle_voids = self.function(
            "SettleVoids", "settle_voids", seconds=55, memory=1769,
            variables={**provider, "SETTLE_WORKERS": str(environment.settle_workers)},
        )  # fmt: skip
        allow(self.settle_voids, ["dynamodb:GetItem", "dynamodb:PutItem"], [table])
        allow(self.settle_voids, ["dynamodb:Query"], [due])

        self.all = [self.submit_void, self.read_voids, self.receive_webhook, self.settle_voids]
        # What is called is the alias: a release moves it, at once or by a canary, and can move it back.
        self.live = {each.node.id: each.add_alias("live") for each in self.all}
        self.dead_letters = self.every_minute(self.live["SettleVoids"])

    def function(
        self,
        name: str,
        module: str,
        *,
        seconds: int,
        memory: int,
        variables: dict[str, str],
    ) -> lambda_.Function:
        reached_from = self.network if "PROVIDER_URL" in variables else None  # who never calls out needs no way out
        log_group = logs.LogGroup(
            self,
            f"{name}Logs",
            retention=logs.RetentionDays[RETENTION[self.environment.log_retention_days]],
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            encryption_key=self.storage.key,
        )
        # A role of its own instead of the managed policy, which may write to every log group of the account.
        role = iam.Role(self, f"{name}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(role)
        acknowledge_key_of_aws(log_group, "PCI.DSS.321-CloudWatchLogGroupEncrypted")
        acknowledge_of_role(role)
        function = lambda_.Function(
            self,
            name,
            code=self.code,
            handler=f"{module}.handler",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            role=role,
            log_group=log_group,
            timeout=cdk.Duration.seconds(seconds),
            memory_size=memory,
            reserved_concurrent_executions=getattr(self.environment.reserved_concurrency, module),
            # Kept, so that a release can go back; `python -m infra.versions` deletes all but the last ten. One that a
            # failed deployment made goes with it: it would stand in the way of the same release tried again.
            current_version_options=lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE),
            vpc=reached_from.vpc if reached_from else None,
            security_groups=[reached_from.security_group] if reached_from else None,
            environment_encryption=self.storage.key,
            # Nothing unique is drawn before the first request, so a snapshot may be started many times.
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if self.environment.snap_start else None,
            # The one `*` resource in the stack comes with this: X-Ray's two actions know no narrower one.
            tracing=lambda_.Tracing.ACTIVE if self.environment.tracing else lambda_.Tracing.DISABLED,
            environment={
                "TABLE_NAME": self.storage.table.table_name,
                "SECRET_ID": self.storage.secret_arn,
                # botocore parses its file of authorities for each new connection: the few of AWS take a twentieth.
                "AWS_CA_BUNDLE": "/var/task/trust/aws.pem",
                "POWERTOOLS_SERVICE_NAME": "void-service",
                "POWERTOOLS_METRICS_NAMESPACE": self.environment.metrics_namespace,
                "POWERTOOLS_LOG_LEVEL": "INFO",
                **variables,
            },
        )
        acknowledge(
            function,
            "AwsSolutions-L1",
            because="3.13 is what the tests run; a runtime is changed on purpose and not because a newer one exists.",
            until="the project moves to 3.14, at the latest when AWS announces the end of 3.13.",
        )
        if reached_from is None:
            acknowledge(
                function,
                "PCI.DSS.321-LambdaInsideVPC",
                because="It reaches the internet and two AWS services: a VPC adds a NAT to fail and protects nothing.",
                until="the provider offers a private link, or the environment sets fixed_egress.",
            )
        allow(function, ["secretsmanager:GetSecretValue"], [self.storage.secret_arn])
        if self.storage.key is not None:
            function.add_to_role_policy(use_of_key(self.storage.key.key_arn, cdk.Stack.of(self)))
        if reached_from is None:
            after_the_rights_of(role, function)
        else:
            reached_from.let_in(role)
            after_the_rights_of(role, function, *reached_from.ways_out())
        return function

    def every_minute(self, function: lambda_.Alias) -> DeadLetters:
        """No retry anywhere: the next minute is the retry, and a late second run would only compete with it."""
        dead_letters = DeadLetters(self, "DeadLetters", whose="the schedule and the function's asynchronous runs")
        # The schedule invokes asynchronously, and Lambda would by itself repeat a failed asynchronous run twice.
        function.configure_async_invoke(
            retry_attempts=0,
            max_event_age=cdk.Duration.minutes(1),
            on_failure=destinations.SqsDestination(dead_letters),
        )
        scheduler.Schedule(
            self,
            "EveryMinute",
            schedule=scheduler.ScheduleExpression.rate(cdk.Duration.minutes(1)),
            target=targets.LambdaInvoke(function, retry_attempts=0, dead_letter_queue=dead_letters),
            description="Asks the provider about the voids that are not settled.",
        )
        for child in cdk.Stack.of(self).node.children:
            if child.node.id.startswith("SchedulerRole"):  # made by the target, beside this construct
                acknowledge_inline_policy(child)
        return dead_letters


def use_of_key(key_arn: str, stack: cdk.Stack) -> iam.PolicyStatement:
    services = [f"{service}.{stack.region}.amazonaws.com" for service in ("dynamodb", "lambda", "secretsmanager")]
    return iam.PolicyStatement(
        actions=KEY_ACTIONS, resources=[key_arn], conditions={"StringEquals": {"kms:ViaService": services}}
    )


def acknowledge_of_role(role: iam.Role) -> None:
    acknowledge_inline_policy(role)
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::*]",
        because="X-Ray's actions to send traces and Lambda's to enter a VPC know no narrower resource; the others do.",
        until="these actions have resources, or the environment sets tracing and fixed_egress to False.",
    )


def allow(function: lambda_.Function, actions: list[str], resources: list[str]) -> None:
    function.add_to_role_policy(iam.PolicyStatement(actions=actions, resources=resources))
