"""How a release reaches callers where `canary` is set: a tenth of the requests for five minutes, then all.

Promises to go back by itself when an alarm rings that a bad release can cause. Never releases while one already rings.
"""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.accepted import accept


class Releases(Construct):
    def __init__(
        self, scope: Construct, name: str, live: Mapping[str, lambda_.Alias], alarms: Sequence[cloudwatch.IAlarm]
    ) -> None:
        super().__init__(scope, name)
        application = codedeploy.LambdaApplication(self, "Application")
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"))
        accept(
            role,
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]",
            because="The policy that AWS writes for exactly this role; it moves aliases and reads alarms.",
            until="AWS publishes narrower resources for these actions.",
        )
        for function, alias in live.items():
            codedeploy.LambdaDeploymentGroup(
                self,
                function,
                application=application,
                alias=alias,
                role=role,
                deployment_config=codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
                alarms=list(alarms),
            )
