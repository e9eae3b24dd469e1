"""The front door: routes, who may come in, how fast, and over which TLS.

Merchant routes ask for a SigV4 signature of a configured caller; the webhook is open to the provider's addresses.
Never logs a body, an address, a caller's session or an order.
"""

import json

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from infra import gateway_responses
from infra.environment import RETENTION, CustomDomain, Environment
from infra.nag import acknowledge, acknowledge_key_of_aws

STAGE = "v1"
WEBHOOK = f"{STAGE}/POST/webhooks/financial-line"
MERCHANT = (f"{STAGE}/POST/voids", f"{STAGE}/GET/voids", f"{STAGE}/GET/voids/*")

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
        policy = resource_policy(environment, stack)
        self.rest = apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=stack.stack_name,
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            policy=policy,
            disable_execute_api_endpoint=environment.custom_domain is not None,  # one door, one certificate
            cloud_watch_role=False,  # one per account and region, a prerequisite: not each stack's to overwrite
            deploy_options=self.stage(environment, key),
        )
        refuse_old_tls(self.rest)
        self.rest.node.try_remove_child("Endpoint")  # the stack has an output for it, with the custom domain in it
        # A policy counts only once it is deployed, so another policy must be another deployment.
        if self.rest.latest_deployment is not None:
            self.rest.latest_deployment.add_to_logical_id(policy.to_json())
        acknowledge(
            self.rest,
            "AwsSolutions-APIG2",
            because="The functions validate the exact bytes and answer with problem documents; a webhook is signed.",
            until="the gateway can validate without reading a signed body anew.",
        )
        acknowledge_of_stage(self.rest.deployment_stage)
        gateway_responses.add_to(self.rest)
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
        domain = environment.custom_domain
        self.url = f"{public_url or (f'https://{domain.name}' if domain else own)}/{STAGE}"
        self.webhook_url = f"{self.url}/webhooks/financial-line"

    def stage(self, environment: Environment, key: kms.IKey | None) -> apigateway.StageOptions:
        self.access_log = logs.LogGroup(
            self,
            "AccessLog",
            retention=logs.RetentionDays[RETENTION[environment.log_retention_days]],
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            encryption_key=key,
        )
        acknowledge_key_of_aws(self.access_log, "PCI.DSS.321-CloudWatchLogGroupEncrypted")
        return apigateway.StageOptions(
            stage_name=STAGE,
            access_log_destination=apigateway.LogGroupLogDestination(self.access_log),
            access_log_format=apigateway.AccessLogFormat.custom(json.dumps(ACCESS_LOG)),
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

    def route(
        self, *, submit_void: lambda_.IFunction, read_voids: lambda_.IFunction, receive_webhook: lambda_.IFunction
    ) -> None:
        signed, anyone = apigateway.AuthorizationType.IAM, apigateway.AuthorizationType.NONE
        voids = self.rest.root.add_resource("voids")
        for resource, method, function in (
            (voids, "POST", submit_void),
            (voids, "GET", read_voids),
            (voids.add_resource("{order_id}"), "GET", read_voids),
        ):
            merchant = resource.add_method(method, invoke(function), authorization_type=signed)
            acknowledge(
                merchant,
                "AwsSolutions-COG4",
                because="Callers are services and sign with SigV4 under their own roles; no person logs in.",
                until="people call this API directly.",
            )
        webhook = self.rest.root.add_resource("webhooks").add_resource("financial-line")
        received = webhook.add_method("POST", invoke(receive_webhook), authorization_type=anyone)
        for rule in ("AwsSolutions-APIG4", "AwsSolutions-COG4"):
            acknowledge(
                received,
                rule,
                because="The provider can only sign its body: the function verifies that, and the policy its address.",
                until="the provider can sign requests or present a certificate.",
            )

    def caller_policy(self) -> str:
        """The identity policy that a caller needs, ready to paste."""
        stack = cdk.Stack.of(self)
        arn = f"arn:{stack.partition}:execute-api:{stack.region}:{stack.account}:{self.rest.rest_api_id}"
        return stack.to_json_string(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "execute-api:Invoke",
                        "Resource": [f"{arn}/{route}" for route in MERCHANT],
                    }
                ],
            }
        )


def acknowledge_of_stage(stage: apigateway.Stage) -> None:
    for rule in ("AwsSolutions-APIG6", "PCI.DSS.321-APIGWExecutionLoggingEnabled"):
        acknowledge(
            stage,
            rule,
            because="Execution logs hold bodies and addresses; the other two logs tell what happened.",
            until="they can be written without bodies and headers.",
        )
    for rule in ("AwsSolutions-APIG3", "PCI.DSS.321-APIGWAssociatedWithWAF"):
        acknowledge(
            stage,
            rule,
            because="Merchant routes need a known role, the webhook a known address: little is left to filter.",
            until="the environment sets web_acl_arn (the rule does not see an association by token).",
        )
    acknowledge(
        stage,
        "PCI.DSS.321-APIGWCacheEnabledAndEncrypted",
        because="An answer of yesterday about money is wrong: nothing here may be cached.",
        until="never; the rule is about APIs that cache.",
    )
    acknowledge(
        stage,
        "PCI.DSS.321-APIGWSSLEnabled",
        because="The certificate is for integrations over HTTP; all of these are functions, called by AWS itself.",
        until="a route has an HTTP integration.",
    )


def refuse_old_tls(rest: apigateway.RestApi) -> None:
    """Without a policy of its own a regional API still speaks TLS 1.0."""
    resource = rest.node.default_child
    if not isinstance(resource, apigateway.CfnRestApi):
        raise TypeError("the API is not a resource")
    resource.security_policy = "TLS_1_2"


def invoke(function: lambda_.IFunction) -> apigateway.LambdaIntegration:
    return apigateway.LambdaIntegration(function, allow_test_invoke=False)


def resource_policy(environment: Environment, stack: cdk.Stack) -> iam.PolicyDocument:
    callers = environment.callers or (environment.account or stack.account,)
    merchant_routes = [f"execute-api:/{route}" for route in MERCHANT]
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid="ProviderSendsWebhooks",
                principals=[iam.AnyPrincipal()],
                actions=["execute-api:Invoke"],
                resources=[f"execute-api:/{WEBHOOK}"],
                conditions={"IpAddress": {"aws:SourceIp": list(environment.webhook_addresses)}},
            ),
            iam.PolicyStatement(
                sid="CallersUseVoids",
                principals=[iam.ArnPrincipal(principal_arn(caller, stack)) for caller in callers],
                actions=["execute-api:Invoke"],
                resources=merchant_routes,
            ),
            # Within the stack's own account an identity policy alone would open the door: so say no to the rest.
            iam.PolicyStatement(
                sid="NobodyElseUsesVoids",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["execute-api:Invoke"],
                # AWS finds the route of //voids and of voids/ as well: whether it asks the policy about the path as it
                # was sent or about the route is not known.
                resources=[f"execute-api:/{STAGE}/*voids*"],
                conditions={"ArnNotLike": {"aws:PrincipalArn": [whose_arn(caller, stack) for caller in callers]}},
            ),
        ]
    )


def principal_arn(caller: str, stack: cdk.Stack) -> str:
    return caller if caller.startswith("arn:") else f"arn:{stack.partition}:iam::{caller}:root"


def whose_arn(caller: str, stack: cdk.Stack) -> str:
    return caller if caller.startswith("arn:") else f"arn:{stack.partition}:iam::{caller}:*"


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
