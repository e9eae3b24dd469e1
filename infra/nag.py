"""Findings of cdk-nag that are acknowledged: each on its resource, with the reason and with what would end it.

Promises that whoever reads the resource reads the exception too; never acknowledges anything for the whole stack.
"""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, *, because: str, until: str) -> None:
    """`rule` as cdk-nag prints it, such as AwsSolutions-L1 or PCI.DSS.321-LambdaInsideVPC."""
    pack = rule.split("-", 1)[0]
    acknowledgment = cdk.Acknowledgment(id=f"{pack}::{rule}", reason=f"{because} Until: {until}")
    cdk.Validations.of(construct).acknowledge(acknowledgment)


def acknowledge_key_of_aws(construct: IConstruct, rule: str) -> None:
    acknowledge(
        construct,
        rule,
        because="Encrypted by AWS's own key: no key policy to get wrong, no request that a lost key could stop.",
        until="the environment sets own_key.",
    )


def acknowledge_inline_policy(role: IConstruct) -> None:
    acknowledge(
        role,
        "PCI.DSS.321-IAMNoInlinePolicy",
        because="The rights belong to this one role and must go with it; a managed policy could be attached elsewhere.",
        until="a second role needs the very same rights.",
    )


def acknowledge_policy_of_aws(role: iam.Role, name: str, *, because: str) -> None:
    acknowledge(
        role,
        f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/{name}]",
        because=because,
        until="AWS publishes narrower resources for these actions.",
    )
