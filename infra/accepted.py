"""A finding of a rule pack that is accepted: on its resource, with the reason and with what would end it.

Promises that whoever reads the resource reads the exception too; never accepts anything for the whole stack.
"""

import aws_cdk as cdk
from constructs import IConstruct


def accept(construct: IConstruct, rule: str, *, because: str, until: str) -> None:
    """`rule` as cdk-nag prints it, such as AwsSolutions-L1 or PCI.DSS.321-LambdaInsideVPC."""
    pack = rule.split("-", 1)[0]
    acknowledgment = cdk.Acknowledgment(id=f"{pack}::{rule}", reason=f"{because} Until: {until}")
    cdk.Validations.of(construct).acknowledge(acknowledgment)


def accept_key_of_aws(construct: IConstruct, rule: str) -> None:
    accept(
        construct,
        rule,
        because="Encrypted by AWS's own key: no key policy to get wrong, no request that a lost key could stop.",
        until="the environment sets own_key.",
    )
