"""The five functions and what each may do: exact actions on exact resources, nobody scans, nobody deletes.

Which of them may speak to the provider cannot be said in IAM; a test of the imports says it. Where `canary` is set, a
release serves a tenth of the requests for a quarter of an hour, then all, and goes back by itself when an alarm rings
that a bad one can cause. None begins while one already rings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import (
    aws_cloudwatch,
    aws_codedeploy,
    aws_iam,
    aws_lambda,
    aws_lambda_destinations,
    aws_logs,
    aws_scheduler,
    aws_scheduler_targets,
)  # fmt: skip
from constructs import Construct

from infra.bundle import functions_code
from infra.environment import Environment
from infra.nag import accept
from infra.parts import DeadLetters, after_the_rights_of, allow
from infra.storage import KEY_ACTIONS, Storage, forgotten_in_the_end


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What one function needs besides its log, its trace and the secret."""

    seconds: int
    memory: int
    table: tuple[str, ...] = ("GetItem", "PutItem")
    indexes: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


PROVIDER = ("PROVIDER_URL", "PROVIDER_SCHEME", "PROVIDER_CA_FILE")
TOKENS = ("TOKEN_CALLERS", "TOKEN_CALLER_CLAIM")

FUNCTIONS = {
    # 20 s: connect and answer of the provider, a query after a refusal, and the durable outcome, all within.
    "submit_void": Needs(seconds=20, memory=512, variables=(*PROVIDER, *TOKENS, "WEBHOOK_URL")),
    "read_voids": Needs(seconds=20, memory=512, variables=(*PROVIDER, *TOKENS), indexes=("due", "review", "settled")),
    "receive_webhook": Needs(seconds=10, memory=512, table=("GetItem", "PutItem", "UpdateItem")),
    # 55 s: the next run begins at 60 s.
    # 1769 MB, a whole processor: with less, `settle_workers` above its default would wait for the processor.
    "settle_voids": Needs(seconds=55, memory=1769, variables=(*PROVIDER, "SETTLE_WORKERS"), indexes=("due",)),
    "decide": Needs(seconds=20, memory=512, variables=PROVIDER),
}  # fmt: skip


class Functions(Construct):
    def __init__(
        self, scope: Construct, name: str, environment: Environment, storage: Storage, addresses: dict[str, str]
    ) -> None:
        """`addresses`: the provider's and our own, as variables."""
        super().__init__(scope, name)
        self.environment, self.storage, self.code = environment, storage, functions_code()
        self.values = {**addresses, "SETTLE_WORKERS": str(environment.settle_workers)}
        for issuer in environment.token_issuers:
            self.values["TOKEN_CALLERS"] = ",".join(environment.token_callers)
            self.values["TOKEN_CALLER_CLAIM"] = issuer.caller_claim  # the same of each issuer
        self.all = [self.function(module, needs) for module, needs in FUNCTIONS.items()]
        # What is called is the alias: a release moves it, at once or by a canary, and can move it back.
        self.live = {each.node.id: each.add_alias("live") for each in self.all}
        self.dead_letters = self.every_minute(self.live["SettleVoids"])

    def function(self, module: str, needs: Needs) -> aws_lambda.Function:
        name = "".join(word.title() for word in module.split("_"))
        log_group = forgotten_in_the_end(self, f"{name}Logs", self.environment, self.storage.key)
        role = self.role(name, log_group, needs)
        function = aws_lambda.Function(
            self, name, code=self.code, handler=f"{module}.handler",
            runtime=aws_lambda.Runtime.PYTHON_3_13,
            architecture=aws_lambda.Architecture.ARM_64,
            role=role, log_group=log_group, timeout=cdk.Duration.seconds(needs.seconds), memory_size=needs.memory,
            reserved_concurrent_executions=getattr(self.environment.reserved_concurrency, module),
            # Kept, so that a release can go back. One that a failed deployment made goes with it: it would stand in the
            # way of the same release tried again.
            current_version_options={"removal_policy": cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE},
            environment_encryption=self.storage.key,
            # The one `*` resource of a function comes with this: X-Ray's two actions know no narrower one.
            tracing=aws_lambda.Tracing.ACTIVE if self.environment.tracing else aws_lambda.Tracing.DISABLED,
            environment=self.variables(needs),
        )  # fmt: skip
        accept(function, "not the newest runtime")
        after_the_rights_of(role, function)
        return function

    def role(self, name: str, log_group: aws_logs.LogGroup, needs: Needs) -> aws_iam.Role:
        """A role of its own instead of the managed policy, which may write to every log group of the account."""
        role = aws_iam.Role(self, f"{name}Role", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"))
        accept(role, "traces")
        log_group.grant_write(role)
        allow(role, [f"dynamodb:{action}" for action in needs.table], self.storage.table.table_arn)
        if needs.indexes:
            allow(role, ["dynamodb:Query"], *map(self.storage.index_arn, needs.indexes))
        allow(role, ["secretsmanager:GetSecretValue"], self.storage.secret_arn)
        if self.storage.key is not None:
            allow(role, KEY_ACTIONS, self.storage.key.key_arn, via=["dynamodb", "lambda", "secretsmanager"])
        return role

    def variables(self, needs: Needs) -> dict[str, str]:
        days = self.environment.keep_settled_days
        return {
            "TABLE_NAME": self.storage.table.table_name,
            "SECRET_ID": self.storage.secret_arn,
            # botocore parses its file of authorities for each new connection: the few of AWS take a twentieth.
            "AWS_CA_BUNDLE": "/var/task/trust/aws.pem",
            "POWERTOOLS_SERVICE_NAME": "void-service",
            "POWERTOOLS_METRICS_NAMESPACE": self.environment.metrics_namespace,
            "POWERTOOLS_LOG_LEVEL": "INFO",
            **({"KEEP_SETTLED_DAYS": str(days)} if days is not None else {}),  # any of them may write what is settled
            **{name: self.values[name] for name in needs.variables if name in self.values},
        }

    def every_minute(self, function: aws_lambda.Alias) -> DeadLetters:
        """No retry anywhere: the next minute is the retry, and a late second run would only compete with it."""
        dead_letters = DeadLetters(self, "DeadLetters")
        # The schedule invokes asynchronously, and Lambda would by itself repeat a failed asynchronous run twice.
        minute, failed = cdk.Duration.minutes(1), aws_lambda_destinations.SqsDestination(dead_letters)
        function.configure_async_invoke(retry_attempts=0, max_event_age=minute, on_failure=failed)
        aws_scheduler.Schedule(
            self, "EveryMinute", schedule=aws_scheduler.ScheduleExpression.rate(minute),
            target=aws_scheduler_targets.LambdaInvoke(function, retry_attempts=0, dead_letter_queue=dead_letters),
            description="Asks the provider about the voids that are not settled.",
        )  # fmt: skip
        return dead_letters


# Of a run a minute, and of the few decisions of a day, a tenth is too little for an alarm to see. These move at once,
# and if they do harm, the alarms that they ring take the others back and CloudFormation takes these back with them.
AT_ONCE = ("SettleVoids", "Decide")


def release_step_by_step(scope: Construct, functions: Functions, alarms: Sequence[aws_cloudwatch.IAlarm]) -> None:
    """`alarms`: those that a bad release can ring."""
    releases = Construct(scope, "Releases")
    application = aws_codedeploy.LambdaApplication(releases, "Application")
    role = aws_iam.Role(releases, "Role", assumed_by=aws_iam.ServicePrincipal("codedeploy.amazonaws.com"))
    accept(role, "aws's policy of a release")
    for function, alias in functions.live.items():
        if function not in AT_ONCE:
            aws_codedeploy.LambdaDeploymentGroup(
                releases, function, application=application, alias=alias, role=role, alarms=[*alarms],
                # Long enough for an alarm over minutes to see a tenth of the requests fail.
                deployment_config=aws_codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_15_MINUTES,
            )  # fmt: skip
