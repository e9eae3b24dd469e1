"""The same routes once more under /oauth, for callers outside AWS, who prove themselves by a token of their own issuer.

API Gateway checks signature, issuer, audience, times and scope; the functions check that the client is a known one.
Made only where an environment sets `token_issuers`. Never a route for decisions, and never a token in a log.
"""

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_apigateway
from constructs import Construct

from infra.environment import Environment, TokenIssuer
from infra.nag import accept
from infra.resources import resource_of


class Tokens(Construct):
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
    return {
        "DefaultAlgorithms": list(issuers[0].algorithms),  # the same of each issuer
        "Issuers": [
            {
                "Issuer": issuer.url,
                "Audiences": list(issuer.audiences),
                # Without it nobody could say whose token it is.
                "AdditionalClaims": [{"ClaimName": issuer.caller_claim, "Format": "SINGLE_STRING", "Required": True}],
            }
            for issuer in issuers
        ],
    }
