"""What several constructs stand on: exact rights, a dead-letter queue, and the resource beneath a construct."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam, aws_sqs
from constructs import Construct, IConstruct

from infra.nag import accept


class DeadLetters(aws_sqs.Queue):
    """What could not be delivered waits here for two weeks, and an alarm watches it."""

    def __init__(self, scope: Construct, name: str) -> None:
        by_sqs, two_weeks = aws_sqs.QueueEncryption.SQS_MANAGED, cdk.Duration.days(14)
        super().__init__(scope, name, encryption=by_sqs, enforce_ssl=True, retention_period=two_weeks)
        accept(self, "a dead-letter queue")


def allow(role: aws_iam.Role, actions: Sequence[str], *resources: str, via: Sequence[str] = ()) -> None:
    """`via`: the only services through which; of a key."""
    services = [f"{service}.{cdk.Stack.of(role).region}.amazonaws.com" for service in via]
    only = {"StringEquals": {"kms:ViaService": services if services[1:] else services[0]}} if services else None
    role.add_to_policy(aws_iam.PolicyStatement(actions=[*actions], resources=[*resources], conditions=only))


def after_the_rights_of(role: aws_iam.Role, construct: IConstruct) -> None:
    """Make `construct` once its role's policy is there: before that it is refused, or fails at its first use.

    The CDK would name the role too, which the reference to it already does: cfn-lint W3005.
    """
    policy = resource_of(role.node.find_child("DefaultPolicy"), cdk.CfnResource)
    resource_of(construct, cdk.CfnResource).add_override("DependsOn", [policy.logical_id])


def resource_of[Kind: cdk.CfnResource](construct: IConstruct, kind: type[Kind]) -> Kind:
    """For what the CDK has no word for."""
    found = construct.node.default_child or construct
    if not isinstance(found, kind):
        raise TypeError(f"{construct.node.path} is no {kind.__name__}")
    return found
