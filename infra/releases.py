"""How a release reaches callers where `canary` is set: a tenth of the requests for a quarter of an hour, then all.

Promises to go back by itself when an alarm rings that a bad release can cause. Never releases while one already rings.
"""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_cloudwatch, aws_codedeploy, aws_iam, aws_lambda
from constructs import Construct

from infra.nag import accept

# Of a run a minute, and of the few decisions of a day, a tenth is too little for an alarm to see. These move at once,
# and if they do harm, the alarms that they ring take the others back and CloudFormation takes these back with them.
AT_ONCE = ("SettleVoids", "Decide")


class Releases(Construct):
    def __init__(
        self, scope: Construct, name: str, live: Mapping[str, aws_lambda.Alias], alarms: Sequence[aws_cloudwatch.IAlarm]
    ) -> None:
        super().__init__(scope, name)
        application = aws_codedeploy.LambdaApplication(self, "Application")
        role = aws_iam.Role(self, "Role", assumed_by=aws_iam.ServicePrincipal("codedeploy.amazonaws.com"))
        accept(role, "aws's policy of a release")
        for function, alias in live.items():
            if function not in AT_ONCE:
                aws_codedeploy.LambdaDeploymentGroup(
                    self,
                    function,
                    application=application,
                    alias=alias,
                    role=role,
                    # Long enough for an alarm over minutes to see a tenth of the requests fail.
                    deployment_config=aws_codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_15_MINUTES,
                    alarms=list(alarms),
                )
