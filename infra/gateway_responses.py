"""What a caller reads when the gateway itself answers and no function did: problem documents, as from the functions.

Promises the same title for the same type as the functions (a test compares them), and nothing in the text that a caller
could have chosen: AWS puts values in without escaping them. Not here: a body over 10 MB, which AWS answers with 413 and
a line of plain text, whatever a gateway response says.
"""

import json
from dataclasses import dataclass, replace

from aws_cdk import aws_apigateway as apigateway

TITLES = {
    "invalid-request": "The request breaks the contract",
    "unauthenticated": "No valid signature or token",
    "unsupported-media-type": "The body is not of the expected type",
    "throttled": "Too many requests",
    "outcome-unknown": "The outcome is not known",
}
"""Of the types that the gateway answers with: those of functions/, which infra/ does not import."""


@dataclass(frozen=True)
class GatewayResponse:
    cause: str  # as AWS names it
    status: int | None  # None: AWS's own, which the text cannot know
    name: str
    detail: str
    retry_after: int | None = None


LOST = "The answer was lost. Repeat the same request or read the void: both are safe."

RESPONSES = (
    GatewayResponse("MISSING_AUTHENTICATION_TOKEN", 403, "unauthenticated",
                    "The request is not signed, or there is no such route."),
    GatewayResponse("RESOURCE_NOT_FOUND", 403, "unauthenticated",
                    "The request is not signed, or there is no such route."),
    GatewayResponse("ACCESS_DENIED", 403, "unauthenticated", "This caller may not use this route."),
    GatewayResponse("INVALID_SIGNATURE", 403, "unauthenticated", "The SigV4 signature does not match the request."),
    GatewayResponse("UNAUTHORIZED", 403, "unauthenticated", "The request is not signed by a caller who is known here."),
    GatewayResponse("EXPIRED_TOKEN", 403, "unauthenticated", "The credentials or the signature have expired."),
    GatewayResponse("INVALID_API_KEY", 403, "unauthenticated", "This caller may not use this route."),
    GatewayResponse("WAF_FILTERED", 403, "unauthenticated", "The request was filtered."),
    GatewayResponse("BAD_REQUEST_BODY", 400, "invalid-request", "The gateway could not read the body."),
    GatewayResponse("BAD_REQUEST_PARAMETERS", 400, "invalid-request", "The gateway could not read the parameters."),
    GatewayResponse("UNSUPPORTED_MEDIA_TYPE", 415, "unsupported-media-type",
                    "The content type of the request is not supported."),
    GatewayResponse("THROTTLED", 429, "throttled", "Too many requests at once: repeat the same request later.", 1),
    GatewayResponse("QUOTA_EXCEEDED", 429, "throttled", "The quota is used up: repeat the same request later.", 60),
    # Everything that AWS does not name, an unknown key among it. A status here would replace AWS's own 403.
    GatewayResponse("DEFAULT_4XX", None, "unauthenticated",
                    "The gateway refused the request before it was read: look at the key, the signature, the headers."),
    GatewayResponse("INTEGRATION_TIMEOUT", 504, "outcome-unknown", LOST, 5),
    GatewayResponse("INTEGRATION_FAILURE", 504, "outcome-unknown", LOST, 5),
    GatewayResponse("DEFAULT_5XX", 500, "outcome-unknown", LOST, 5),
)  # fmt: skip


# Where tokens are taken their refusals keep AWS's own status, 401, as whoever sends a token expects it. A missing scope
# is ACCESS_DENIED, and so is a signer without a right: AWS puts the same headers into both, so no challenge is true.
BY_TOKEN = {
    "UNAUTHORIZED": "The token is missing, or is none that is taken here.",
    "EXPIRED_TOKEN": "The token, or the signature and its credentials, have expired.",
    "ACCESS_DENIED": "This caller may not use this route, or the token lacks its scope.",
}


def add_to(rest: apigateway.RestApi, *, by_token: bool) -> None:
    for each in RESPONSES:
        headers, response = {"Content-Type": "'application/problem+json'"}, each
        if by_token:
            response = replace(each, detail=BY_TOKEN.get(each.cause, each.detail))
        if by_token and each.cause in ("UNAUTHORIZED", "EXPIRED_TOKEN"):
            response = replace(response, status=None)
            headers["WWW-Authenticate"] = "'Bearer'"
        if response.retry_after is not None:
            headers["Retry-After"] = f"'{response.retry_after}'"
        rest.add_gateway_response(
            "".join(word.capitalize() for word in response.cause.split("_")),
            type=apigateway.ResponseType.of(response.cause),
            status_code=None if response.status is None else str(response.status),
            response_headers=headers,
            templates={"application/json": json.dumps(problem(response))},
        )


def problem(response: GatewayResponse) -> dict[str, object]:
    status = {} if response.status is None else {"status": response.status}
    return {
        "type": f"urn:void-service:problem:{response.name}",
        "title": TITLES[response.name],
        **status,
        "detail": response.detail,
        # Not `requestId`: AWS documents that a client may set that one, and it would stand in this text unescaped.
        "request_id": "$context.extendedRequestId",
    }
