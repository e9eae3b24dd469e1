"""A fixed address where a provider asks for one: out by HTTPS, in by nothing, and nowhere unless it is switched on."""

import json
from typing import Any

import pytest


def of(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        each["Properties"]["Handler"].removesuffix(".handler"): each
        for each in of(template, "AWS::Lambda::Function").values()
    }


@pytest.mark.parametrize("environment", ["test", "prod", "local"])
def test_there_is_no_network_unless_an_environment_asks_for_a_fixed_address(
    templates: dict[str, Any], environment: str
) -> None:
    assert not any(each["Type"].startswith("AWS::EC2::") for each in templates[environment]["Resources"].values())
    assert not any("VpcConfig" in each["Properties"] for each in functions(templates[environment]).values())
    assert "EgressAddresses" not in templates[environment]["Outputs"]


def test_who_speaks_to_the_provider_does_so_from_two_addresses_that_the_stack_names(everything: dict[str, Any]) -> None:
    addresses = list(of(everything, "AWS::EC2::EIP"))
    gateways = of(everything, "AWS::EC2::NatGateway").values()
    assert [each["Properties"]["AllocationId"]["Fn::GetAtt"] for each in gateways] == [
        [address, "AllocationId"] for address in addresses
    ]
    told = json.dumps(everything["Outputs"]["EgressAddresses"]["Value"])
    assert all(f'["{address}", "PublicIp"]' in told for address in addresses)
    inside = {name for name, each in functions(everything).items() if "VpcConfig" in each["Properties"]}
    assert inside == {"submit_void", "read_voids", "settle_voids"}


def test_each_zone_goes_out_by_its_own_gateway(everything: dict[str, Any]) -> None:
    # One gateway for both would have one zone's failure stop the functions of the other.
    ways = [each["Properties"] for each in of(everything, "AWS::EC2::Route").values()]
    out = [each["NatGatewayId"]["Ref"] for each in ways if "NatGatewayId" in each]
    assert sorted(out) == sorted(of(everything, "AWS::EC2::NatGateway"))
    zones = [json.dumps(each["Properties"]["AvailabilityZone"]) for each in of(everything, "AWS::EC2::Subnet").values()]
    assert len(set(zones)) == 2
    assert all("Fn::GetAZs" in zone for zone in zones), "named by position: synthesis looks nothing up"


def test_nothing_comes_in_and_only_https_goes_out(everything: dict[str, Any]) -> None:
    (group,) = of(everything, "AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group["Properties"]
    assert not of(everything, "AWS::EC2::SecurityGroupIngress")
    out = [
        (each["IpProtocol"], each["FromPort"], each["ToPort"]) for each in group["Properties"]["SecurityGroupEgress"]
    ]
    assert out == [("tcp", 443, 443)]
    for subnet in of(everything, "AWS::EC2::Subnet").values():
        assert subnet["Properties"]["MapPublicIpOnLaunch"] is False


def test_the_table_is_reached_without_the_nat(everything: dict[str, Any]) -> None:
    (endpoint,) = of(everything, "AWS::EC2::VPCEndpoint").values()
    assert "dynamodb" in json.dumps(endpoint["Properties"]["ServiceName"])
    assert endpoint["Properties"]["VpcEndpointType"] == "Gateway"


def test_a_function_starts_only_after_its_way_out_is_there(everything: dict[str, Any]) -> None:
    needed = {*of(everything, "AWS::EC2::SubnetRouteTableAssociation"), *of(everything, "AWS::EC2::Route")}
    private = {name for name in needed if "FunctionsSubnet" in name}
    assert len(private) == 4
    for name in ("submit_void", "read_voids", "settle_voids"):
        assert private <= set(functions(everything)[name]["DependsOn"])


def test_a_functions_own_code_may_not_use_the_rights_by_which_lambda_enters_the_network(
    everything: dict[str, Any],
) -> None:
    for policy in of(everything, "AWS::IAM::Policy").values():
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        allowed = {
            action
            for each in statements
            for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
            if each["Effect"] == "Allow" and action.startswith("ec2:")
        }
        denied = [each for each in statements if each["Effect"] == "Deny"]
        assert bool(allowed) == bool(denied)
        for each in denied:
            assert set(each["Action"]) == allowed
            assert "lambda:SourceFunctionArn" in each["Condition"]["ArnLike"]


def test_what_the_network_refuses_is_logged(everything: dict[str, Any]) -> None:
    (log,) = of(everything, "AWS::EC2::FlowLog").values()
    assert log["Properties"]["TrafficType"] == "REJECT"
