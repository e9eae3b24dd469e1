"""The front door: routes, who may come in, how fast, and over which TLS.

Merchant routes ask for a SigV4 signature of a configured caller; the webhook is open to the provider's addresses.
Never logs a body, an address, a caller's session or an order.
"""

import json
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from infra import callers, gateway_responses, tokens
from infra.callers import STAGE
from infra.environment import CustomDomain, Environment
from infra.nag import accept
from infra.storage import forgotten_in_the_end

ACCESS_LOG = {
    "request_id": "$context.extendedRequestId",  # the gateway's own; a client may set requestId
    "time": "$context.requestTime",
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
        self,
        scope: Construct,
        name: str,
        environment: Environment,
        *,
        public_url: str | None,
        key: kms.IKey | None = None,
    ) -> None:
        super().__init__(scope, name)
        stack = cdk.Stack.of(self)
        policy = iam.PolicyDocument.from_json(callers.resource_policy(environment, stack.partition, stack.account))
        self.rest = apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=stack.stack_name,
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            policy=policy,
            disable_execute_api_endpoint=environment.close_default_address,  # one door, one certificate
            cloud_watch_role=False,  # one per account and region, a prerequisite: not each stack's to overwrite
            deploy_options=self.stage(environment, key),
        )
        refuse_old_tls(self.rest)
        self.rest.node.try_remove_child("Endpoint")  # the stack has an output for it, with the custom domain in it
        self.tokens = tokens.Tokens(self, "Tokens", self.rest, environment) if environment.token_issuers else None
        # A policy, a closed address and an authorizer count only once they are deployed: another one, another
        # deployment.
        if self.rest.latest_deployment is not None:
            self.rest.latest_deployment.add_to_logical_id(policy.to_json())
            if environment.close_default_address:
                self.rest.latest_deployment.add_to_logical_id("closed")
            if self.tokens is not None:
                self.rest.latest_deployment.add_to_logical_id(self.tokens.configuration)
        accept(self.rest, "no request validation")
        accept(self.rest.deployment_stage, "no execution logs")
        accept(self.rest.deployment_stage, "no web acl")
        gateway_responses.add_to(self.rest, by_token=bool(environment.token_issuers))
        if environment.custom_domain is not None:
            attach_domain(self.rest, environment.custom_domain)
        if environment.web_acl_arn is not None:
            wafv2.CfnWebACLAssociation(
                self,
                "Filter",
                resource_arn=self.rest.deployment_stage.stage_arn,
                web_acl_arn=environment.web_acl_arn,
            )
        # From the id and the literal stage: the stage depends on the routes, the routes on the function that
        # needs this address, so a reference to the stage would be a cycle.
        own = f"https://{self.rest.rest_api_id}.execute-api.{stack.region}.{stack.url_suffix}"
        # A new domain has no DNS record yet: until the old address is closed, everybody goes on being sent there.
        if environment.custom_domain is not None and environment.close_default_address:
            own = f"https://{environment.custom_domain.name}"
        self.url = f"{public_url or own}/{STAGE}"
        self.webhook_url = f"{self.url}/webhooks/financial-line"

    def stage(self, environment: Environment, key: kms.IKey | None) -> apigateway.StageOptions:
        self.access_log = forgotten_in_the_end(self, "AccessLog", environment, key)
        fields = ACCESS_LOG | tokens.caller_in_log(environment)
        return apigateway.StageOptions(
            stage_name=STAGE,
            access_log_destination=apigateway.LogGroupLogDestination(self.access_log),
            access_log_format=apigateway.AccessLogFormat.custom(json.dumps(fields)),
            logging_level=apigateway.MethodLoggingLevel.OFF,  # execution logs would hold bodies
            data_trace_enabled=False,
            metrics_enabled=False,  # by method they cost as much as all else; the API's own stay, and are free
            tracing_enabled=environment.tracing,
            throttling_rate_limit=environment.merchant_throttle.requests_per_second,
            throttling_burst_limit=environment.merchant_throttle.burst,
            method_options={
                # Its own bucket: a flood of webhooks must not stop the merchant, nor the other way round.
                "/webhooks/financial-line/POST": apigateway.MethodDeploymentOptions(
                    throttling_rate_limit=environment.webhook_throttle.requests_per_second,
                    throttling_burst_limit=environment.webhook_throttle.burst,
                    logging_level=apigateway.MethodLoggingLevel.OFF,
                    data_trace_enabled=False,
                    metrics_enabled=False,
                )
            },
        )

    def route(self, live: Mapping[str, lambda_.IFunction]) -> None:
        """`live`: the functions by their construct's name."""
        signed, anyone = apigateway.AuthorizationType.IAM, apigateway.AuthorizationType.NONE
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
            tokens.tell(cdk.Stack.of(self), self.url)

    def policy_of(self, *routes: str) -> str:
        """The identity policy of whoever uses these routes, ready to paste."""
        stack = cdk.Stack.of(self)
        arn = f"arn:{stack.partition}:execute-api:{stack.region}:{stack.account}:{self.rest.rest_api_id}"
        return stack.to_json_string(callers.identity_policy(arn, routes))


def refuse_old_tls(rest: apigateway.RestApi) -> None:
    """Without a policy of its own a regional API still speaks TLS 1.0."""
    resource = rest.node.default_child
    if not isinstance(resource, apigateway.CfnRestApi):
        raise TypeError("the API is not a resource")
    resource.security_policy = "TLS_1_2"


def invoke(function: lambda_.IFunction) -> apigateway.LambdaIntegration:
    return apigateway.LambdaIntegration(function, allow_test_invoke=False)


def attach_domain(rest: apigateway.RestApi, domain: CustomDomain) -> None:
    """Base path = stage name, so that the same paths hold; the DNS record is the owner's of the zone."""
    certificate = acm.Certificate.from_certificate_arn(rest, "Certificate", domain.certificate_arn)
    custom = rest.add_domain_name(
        "Domain",
        domain_name=domain.name,
        certificate=certificate,
        endpoint_type=apigateway.EndpointType.REGIONAL,
        security_policy=apigateway.SecurityPolicy.TLS_1_2,
        base_path=STAGE,
    )
    cdk.CfnOutput(
        cdk.Stack.of(rest),
        "DomainTarget",
        value=custom.domain_name_alias_domain_name,
        description="CNAME of the domain",
    )
