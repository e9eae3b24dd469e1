"""The front door: routes, who may come in, how fast, and over which TLS.

Merchant routes ask for a SigV4 signature of a configured caller; the webhook is open to the provider's addresses.
Never logs a body, an address, a caller's session or an order.
"""

import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway, aws_certificatemanager, aws_iam, aws_kms, aws_lambda, aws_wafv2
from constructs import Construct

from infra import callers, gateway_responses
from infra.callers import STAGE
from infra.environment import CustomDomain, Environment, Throttle, TokenIssuer
from infra.nag import accept
from infra.parts import resource_of
from infra.storage import forgotten_in_the_end

ACCESS_LOG = {
    "request_id": "$context.extendedRequestId",  # the gateway's own; a client may set requestId
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",  # the template of the path: the path itself names an order
    "status": "$context.status",
    "refused_as": "$context.error.responseType",
    "response_bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "function_ms": "$context.integrationLatency",
    "function_status": "$context.integrationStatus",
    "trace": "$context.xrayTraceId",
    "account": "$context.identity.accountId",  # whose role signed; `-` for the provider
    "tls": "$context.tlsVersion",
}


class Api(Construct):
    def __init__(
        self, scope: Construct, name: str, environment: Environment, public_url: str | None, key: aws_kms.IKey | None
    ) -> None:
        super().__init__(scope, name)
        stack = cdk.Stack.of(self)
        policy = aws_iam.PolicyDocument.from_json(callers.resource_policy(environment, stack.partition, stack.account))
        self.rest = self.rest_api(environment, policy, key)
        self.tokens = Tokens(self, "Tokens", self.rest, environment) if environment.token_issuers else None
        if environment.tracing and not environment.local:  # X-Ray's own rule takes 5%, and one of each second besides
            rule: dict[str, Any] = {
                "RuleName": stack.stack_name[:32], "Version": 1, "Priority": 1000, "FixedRate": 0.01,
                "ServiceName": f"{stack.stack_name}/{STAGE}", "ServiceType": "AWS::ApiGateway::Stage",
                "ReservoirSize": 0, "HTTPMethod": "*", "Host": "*", "ResourceARN": "*", "URLPath": "*",
            }  # fmt: skip
            cdk.CfnResource(self, "Traces", type="AWS::XRay::SamplingRule", properties={"SamplingRule": rule})
        # These count only once they are deployed: another policy, address or authorizer is another deployment.
        for counts in (policy.to_json(), environment.close_default_address, self.tokens and self.tokens.configuration):
            if counts and self.rest.latest_deployment is not None:
                self.rest.latest_deployment.add_to_logical_id(counts)
        gateway_responses.add_to(self.rest, by_token=bool(environment.token_issuers))
        if environment.custom_domain is not None:
            attach_domain(self.rest, environment.custom_domain)
        if environment.web_acl_arn is not None:
            front = self.rest.deployment_stage.stage_arn
            aws_wafv2.CfnWebACLAssociation(self, "Filter", resource_arn=front, web_acl_arn=environment.web_acl_arn)
        # From the id and the literal stage: the stage depends on the routes, the routes on the function that
        # needs this address, so a reference to the stage would be a cycle.
        own = f"https://{self.rest.rest_api_id}.execute-api.{stack.region}.{stack.url_suffix}"
        # A new domain has no DNS record yet: until the old address is closed, everybody goes on being sent there.
        if environment.custom_domain is not None and environment.close_default_address:
            own = f"https://{environment.custom_domain.name}"
        self.url = f"{public_url or own}/{STAGE}"
        self.webhook_url = f"{self.url}/webhooks/financial-line"

    def rest_api(
        self, environment: Environment, policy: aws_iam.PolicyDocument, key: aws_kms.IKey | None
    ) -> aws_apigateway.RestApi:
        rest = aws_apigateway.RestApi(
            self, "Rest", rest_api_name=cdk.Stack.of(self).stack_name, policy=policy,
            endpoint_types=[aws_apigateway.EndpointType.REGIONAL], deploy_options=self.stage(environment, key),
            disable_execute_api_endpoint=environment.close_default_address,  # one door, one certificate
            cloud_watch_role=False,  # one per account and region, a prerequisite: not each stack's to overwrite
        )  # fmt: skip
        rest.node.try_remove_child("Endpoint")  # the stack has an output for it, with the custom domain in it
        # Without a policy of its own a regional API still speaks TLS 1.0.
        resource_of(rest, aws_apigateway.CfnRestApi).security_policy = "TLS_1_2"
        accept(rest, "no request validation")
        accept(rest.deployment_stage, "no execution logs", "no web acl")
        return rest

    def stage(self, environment: Environment, key: aws_kms.IKey | None) -> aws_apigateway.StageOptions:
        self.access_log = forgotten_in_the_end(self, "AccessLog", environment, key)
        # The client, as far as API Gateway tells; by the same claim of each issuer.
        claims = [f"$context.authorizer.claims.{each.caller_claim}" for each in environment.token_issuers]
        by_token = {"client": claims[0]} if claims else {}
        quiet: dict[str, Any] = {
            "logging_level": aws_apigateway.MethodLoggingLevel.OFF,  # execution logs would hold bodies
            "data_trace_enabled": False,
            "metrics_enabled": False,  # by method they cost as much as all else; the API's own stay, and are free
        }
        # The webhook has its own bucket: a flood of webhooks must not stop the merchant, nor the other way round.
        of_webhook = aws_apigateway.MethodDeploymentOptions(**limits(environment.webhook_throttle), **quiet)
        return aws_apigateway.StageOptions(
            stage_name=STAGE,
            access_log_destination=aws_apigateway.LogGroupLogDestination(self.access_log),
            access_log_format=aws_apigateway.AccessLogFormat.custom(json.dumps(ACCESS_LOG | by_token)),
            tracing_enabled=environment.tracing,
            method_options={"/webhooks/financial-line/POST": of_webhook},
            **limits(environment.merchant_throttle),
            **quiet,
        )

    def route(self, live: Mapping[str, aws_lambda.IFunction]) -> None:
        """`live`: the functions by their construct's name."""
        signed, anyone = aws_apigateway.AuthorizationType.IAM, aws_apigateway.AuthorizationType.NONE
        submit, read = invoke(live["SubmitVoid"]), invoke(live["ReadVoids"])
        voids = self.rest.root.add_resource("voids")
        void = voids.add_resource("{order_id}")
        for resource, method, function in (
            (voids, "POST", submit),
            (voids, "GET", read),
            (void, "GET", read),
            (void.add_resource("decisions"), "POST", invoke(live["Decide"])),
        ):
            accept(resource.add_method(method, function, authorization_type=signed), "signed by a role")
        webhook = self.rest.root.add_resource("webhooks").add_resource("financial-line")
        received = webhook.add_method("POST", invoke(live["ReceiveWebhook"]), authorization_type=anyone)
        accept(received, "signed by the provider")
        if self.tokens is not None:
            voids = self.rest.root.add_resource("oauth").add_resource("voids")
            for resource, method, function, right in (
                (voids, "POST", submit, "submit"),
                (voids, "GET", read, "read"),
                (voids.add_resource("{order_id}"), "GET", read, "read"),
            ):
                self.tokens.protect(resource.add_method(method, function), right)

    def policy_of(self, *routes: str) -> str:
        """The identity policy of whoever uses these routes, ready to paste."""
        stack = cdk.Stack.of(self)
        arn = f"arn:{stack.partition}:execute-api:{stack.region}:{stack.account}:{self.rest.rest_api_id}"
        return stack.to_json_string(callers.identity_policy(arn, routes))


def limits(throttle: Throttle) -> dict[str, Any]:
    return {"throttling_rate_limit": throttle.requests_per_second, "throttling_burst_limit": throttle.burst}


def invoke(function: aws_lambda.IFunction) -> aws_apigateway.LambdaIntegration:
    return aws_apigateway.LambdaIntegration(function, allow_test_invoke=False)


def attach_domain(rest: aws_apigateway.RestApi, domain: CustomDomain) -> None:
    """Base path = stage name, so that the same paths hold; the DNS record is the owner's of the zone."""
    certificate = aws_certificatemanager.Certificate.from_certificate_arn(rest, "Certificate", domain.certificate_arn)
    regional: dict[str, Any] = {"endpoint_type": aws_apigateway.EndpointType.REGIONAL, "base_path": STAGE}
    tls = aws_apigateway.SecurityPolicy.TLS_1_2
    custom = rest.add_domain_name(
        "Domain", domain_name=domain.name, certificate=certificate, security_policy=tls, **regional
    )
    target, stack = custom.domain_name_alias_domain_name, cdk.Stack.of(rest)
    cdk.CfnOutput(stack, "DomainTarget", value=target, description="CNAME of the domain")


class Tokens(Construct):
    """The same routes once more under /oauth, for callers outside AWS, who prove themselves by a token of their issuer.

    API Gateway checks signature, issuer, audience, times and scope; the functions check that the client is a known one.
    Made only where an environment sets `token_issuers`. Never a route for decisions, and never a token in a log.
    """

    def __init__(self, scope: Construct, name: str, rest: aws_apigateway.RestApi, environment: Environment) -> None:
        super().__init__(scope, name)
        self.issuers = environment.token_issuers
        self.configuration = configuration(self.issuers)
        api, header = rest.rest_api_id, "method.request.header.Authorization"
        self.authorizer = aws_apigateway.CfnAuthorizer(
            self, "Authorizer", rest_api_id=api, name="tokens", type="JWT", identity_source=header
        )
        # The CDK has no property for it yet, and the linters' schemas have not either: until they do, they must not
        # refuse it. cfn-lint reads its excuse from the resource.
        self.authorizer.add_property_override("JwtConfiguration", self.configuration)
        self.authorizer.add_metadata("cfn-lint", {"config": {"ignore_checks": ["E3002"]}})

    def protect(self, method: aws_apigateway.Method, right: str) -> None:
        """`right`: submit or read.

        A method has one authorizer, so that these routes are others than the signed ones.
        """
        resource = resource_of(method, aws_apigateway.CfnMethod)
        resource.authorization_type = "JWT"
        resource.authorizer_id = self.authorizer.ref
        resource.authorization_scopes = sorted({issuer.scopes[right] for issuer in self.issuers})
        accept(method, "proved by a token")


def configuration(issuers: tuple[TokenIssuer, ...]) -> Mapping[str, Any]:
    # Without the claim nobody could say whose token it is; it and the algorithms are the same of each issuer.
    claim = {"ClaimName": issuers[0].caller_claim, "Format": "SINGLE_STRING", "Required": True}
    every = [{"Issuer": each.url, "Audiences": [*each.audiences], "AdditionalClaims": [claim]} for each in issuers]
    return {"DefaultAlgorithms": [*issuers[0].algorithms], "Issuers": every}
