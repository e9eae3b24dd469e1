"""Two fixed addresses for what the functions send, for a provider that lets only known callers in.

A small VPC with a NAT gateway in each of two zones, and a way to DynamoDB that does not cost by the byte. Nothing can
come in. Made only where an environment sets `fixed_egress`.
"""

from urllib.parse import urlsplit

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from infra.environment import RETENTION, Environment
from infra.nag import acknowledge, acknowledge_inline_policy, acknowledge_key_of_aws
from infra.storage import Storage, keep_the_name

# Names within the stack. The provider allows the addresses by value, so they outlive what uses them.
ADDRESSES = ("EgressAddress1", "EgressAddress2")


class Network(Construct):
    def __init__(self, scope: Construct, name: str, environment: Environment, storage: Storage) -> None:
        super().__init__(scope, name)
        addresses = [fixed_address(self, each) for each in ADDRESSES]
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr("10.0.0.0/20"),
            # By position: naming them would need a look into the account, and synthesis has none.
            availability_zones=[cdk.Fn.select(number, cdk.Fn.get_azs()) for number in range(len(addresses))],
            nat_gateway_provider=ec2.NatProvider.gateway(
                eip_allocation_ids=[each.attr_allocation_id for each in addresses]
            ),
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Nat", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=28, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="Functions", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=24),
            ],
            restrict_default_security_group=False,  # it would take a function of the CDK's own with wide rights
            gateway_endpoints={
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)
            },
        )
        acknowledge_of_vpc(self.vpc)
        self.security_group = ec2.SecurityGroup(
            self, "FunctionsOnly", vpc=self.vpc, description="Out by HTTPS, in by nothing", allow_all_outbound=False
        )
        for port in sorted({443, urlsplit(environment.provider_url).port or 443}):
            self.security_group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(port), "AWS and the provider")
        self.log_refusals(environment, storage)
        cdk.CfnOutput(
            cdk.Stack.of(self),
            "EgressAddresses",
            value=", ".join(each.attr_public_ip for each in addresses),
            description="The addresses that the provider sees, for its list of allowed callers",
        )

    def log_refusals(self, environment: Environment, storage: Storage) -> None:
        """A connection that the network refuses is otherwise a timeout without a reason."""
        group = logs.LogGroup(
            self,
            "FlowLog",
            retention=logs.RetentionDays[RETENTION[environment.log_retention_days]],
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            encryption_key=storage.key,
        )
        acknowledge_key_of_aws(group, "PCI.DSS.321-CloudWatchLogGroupEncrypted")
        role = iam.Role(self, "FlowLogRole", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        acknowledge_inline_policy(role)
        self.vpc.add_flow_log(
            "Refusals",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )

    def ways_out(self) -> list[IConstruct]:
        """Without these a function in the VPC starts and reaches nobody."""
        ways = (ec2.CfnRoute, ec2.CfnSubnetRouteTableAssociation)
        return [each for subnet in self.vpc.private_subnets for each in subnet.node.children if isinstance(each, ways)]

    def let_in(self, role: iam.Role) -> None:
        """What Lambda needs of a function's role to put it into the VPC, and only Lambda itself may use."""
        stack = cdk.Stack.of(self)
        actions = [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ]
        role.add_to_policy(iam.PolicyStatement(actions=actions, resources=["*"]))
        # AWS sets this key for calls that come from a function's code, and not for Lambda's own.
        code = f"arn:{stack.partition}:lambda:{stack.region}:{stack.account}:function:*"
        role.add_to_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=actions,
                resources=["*"],
                conditions={"ArnLike": {"lambda:SourceFunctionArn": code}},
            )
        )


def acknowledge_of_vpc(vpc: ec2.Vpc) -> None:
    acknowledge(
        vpc,
        "PCI.DSS.321-VPCDefaultSecurityGroupClosed",
        because="Nothing is in the default group; closing it takes a function of the CDK with rights over groups.",
        until="CloudFormation can close it.",
    )
    acknowledge(
        vpc,
        "PCI.DSS.321-VPCNoUnrestrictedRouteToIGW",
        because="These two routes are the NAT gateways' way out; nothing else is in their subnets.",
        until="the provider has a private link.",
    )


def fixed_address(scope: Construct, name: str) -> ec2.CfnEIP:
    address = ec2.CfnEIP(scope, name, domain="vpc")
    address.apply_removal_policy(cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
    keep_the_name(address, name)
    return address
