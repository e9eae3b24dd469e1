"""What of cdk-nag's findings is accepted: on which resources, with the reason and with what would end it.

Promises that a resource names the exception that it needs; never accepts anything for the whole stack.
"""

import aws_cdk as cdk
from constructs import IConstruct

PACK = "AwsSolutions"

ACCEPTED: dict[str, tuple[str, str, str]] = {
    "no request validation": ("APIG2",
        "The functions validate the exact bytes and answer with problem documents; a webhook is signed.",
        "the gateway can validate without reading a signed body anew."),
    "no execution logs": ("APIG6",
        "Execution logs hold bodies and addresses; the other two logs tell what happened.",
        "they can be written without bodies and headers."),
    "no web acl": ("APIG3",
        "Who comes in is a known role or client at the merchant's routes, a known address at the webhook's: a filter "
        "by default would cost 5 USD a month and might take an order's text for an attack.",
        "the environment sets web_acl_arn."),
    "signed by a role": ("COG4",
        "Callers are services and operators and sign with SigV4 under their own roles.",
        "people call this API from a browser."),
    "proved by a token": ("COG4",
        "The tokens of any OpenID Connect issuer are checked by the API itself, those of a user pool among them.",
        "the rule knows authorizers of the type JWT."),
    "signed by the provider": ("APIG4 COG4",
        "The provider can only sign its body: the function verifies that, and the policy its address.",
        "the provider can sign requests or present a certificate."),
    "a dead-letter queue": ("SQS3",
        "It is the dead-letter queue itself.",
        "cdk-nag recognises a queue that is named as one by something else than a queue."),
    "not the newest runtime": ("L1",
        "3.13 is what the tests run; a runtime is changed on purpose and not because a newer one exists.",
        "the project moves to 3.14, at the latest when AWS announces the end of 3.13."),
    "traces": ("IAM5[Resource::*]",
        "X-Ray's actions to send traces know no narrower resource; the others do.",
        "these actions have resources, or the environment sets tracing to False."),
    "list of streams": ("IAM5[Resource::*]",
        "A pipe lists streams, and that action knows no narrower resource; those that read the stream do.",
        "the action has resources, or AWS documents that a pipe with a stream's ARN need not list."),
    "aws's policy of a release": (
        "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]",
        "The policy that AWS writes for exactly this role; it moves aliases and reads alarms.",
        "AWS publishes narrower resources for these actions."),
    "rotated by hand": ("SMG4",
        "Only the provider issues these credentials, by hand; docs/runbook.md has the order of a rotation.",
        "the provider has an API that rotates them."),
}  # fmt: skip
"""What it is called here -> the pack's rules as cdk-nag prints them, why, and until when."""


def accept(construct: IConstruct, *what: str) -> None:
    for rules, because, until in map(ACCEPTED.__getitem__, what):
        for rule in rules.split():
            said = cdk.Acknowledgment(id=f"{PACK}::{PACK}-{rule}", reason=f"{because} Until: {until}")
            cdk.Validations.of(construct).acknowledge(said)
