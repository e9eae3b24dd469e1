"""What a role may do: exact actions on exact resources; and that whatever needs them waits for them."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam
from constructs import IConstruct

from infra.resources import resource_of


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
