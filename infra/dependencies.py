"""In which order CloudFormation makes things, where the CDK would name more than is needed."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import IConstruct


def after_the_rights_of(role: iam.Role, construct: IConstruct) -> None:
    """Make `construct` once its role's policy is there: before that it is refused, or fails at its first use.

    The CDK would name the role too, which the reference to it already does: cfn-lint W3005.
    """
    policy = role.node.find_child("DefaultPolicy").node.default_child
    resource = construct.node.default_child or construct
    if not isinstance(resource, cdk.CfnResource) or not isinstance(policy, cdk.CfnResource):
        raise TypeError(f"{construct.node.path} is not a resource, or its role has no policy")
    resource.add_override("DependsOn", [policy.logical_id])
