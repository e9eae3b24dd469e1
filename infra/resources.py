"""The resource beneath a construct, for what the CDK has no word for."""

import aws_cdk as cdk
from constructs import IConstruct


def resource_of[Kind: cdk.CfnResource](construct: IConstruct, kind: type[Kind]) -> Kind:
    found = construct.node.default_child or construct
    if not isinstance(found, kind):
        raise TypeError(f"{construct.node.path} is no {kind.__name__}")
    return found
