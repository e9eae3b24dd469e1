"""What a caller reads when the gateway itself answers and no function did: problem documents, as from the functions.

Promises the same title for the same type as the functions (a test compares them), and nothing in the text that a caller
could have chosen: AWS puts values in without escaping them. Not here: a body over 10 MB, which AWS answers with 413 and
a line of plain text, whatever a gateway response says.
"""

import json

from aws_cdk import aws_apigateway

UNAUTHENTICATED = ("unauthenticated", "No valid signature or token")
LOST = ("outcome-unknown", "The outcome is not known")
PROBLEMS = {
    None: UNAUTHENTICATED,  # AWS's own status, which the text cannot know
    400: ("invalid-request", "The request breaks the contract"),
    403: UNAUTHENTICATED,
    415: ("unsupported-media-type", "The body is not of the expected type"),
    429: ("throttled", "Too many requests"),
    500: LOST,
    504: LOST,
}  # type and title by status: those of functions/, which infra/ does not import

UNSIGNED = "The request is not signed, or there is no such route."
NOT_HERE = "This caller may not use this route."
REPEAT = "The answer was lost. Repeat the same request or read the void: both are safe."

RESPONSES: dict[str, tuple[int | None, str, int | None]] = {
    "MISSING_AUTHENTICATION_TOKEN": (403, UNSIGNED, None),
    "RESOURCE_NOT_FOUND": (403, UNSIGNED, None),
    "ACCESS_DENIED": (403, NOT_HERE, None),
    "INVALID_SIGNATURE": (403, "The SigV4 signature does not match the request.", None),
    "UNAUTHORIZED": (403, "The request is not signed by a caller who is known here.", None),
    "EXPIRED_TOKEN": (403, "The credentials or the signature have expired.", None),
    "INVALID_API_KEY": (403, NOT_HERE, None),
    "WAF_FILTERED": (403, "The request was filtered.", None),
    "BAD_REQUEST_BODY": (400, "The gateway could not read the body.", None),
    "BAD_REQUEST_PARAMETERS": (400, "The gateway could not read the parameters.", None),
    "UNSUPPORTED_MEDIA_TYPE": (415, "The content type of the request is not supported.", None),
    "THROTTLED": (429, "Too many requests at once: repeat the same request later.", 1),
    "QUOTA_EXCEEDED": (429, "The quota is used up: repeat the same request later.", 60),
    # Everything that AWS does not name, an unknown key among it. A status here would replace AWS's own 403.
    "DEFAULT_4XX": (None, "The gateway refused the request before it was read: look at the key, the signature, the "
                          "headers.", None),
    "INTEGRATION_TIMEOUT": (504, REPEAT, 5),
    "INTEGRATION_FAILURE": (504, REPEAT, 5),
    "DEFAULT_5XX": (500, REPEAT, 5),
}  # fmt: skip  # the cause as AWS names it -> status, what is wrong, and in how many seconds to repeat

# Where tokens are taken their refusals keep AWS's own status, 401, as whoever sends a token expects it. A missing scope
# is ACCESS_DENIED, and so is a signer without a right: AWS puts the same headers into both, so no challenge is true.
BY_TOKEN = {
    "UNAUTHORIZED": "The token is missing, or is none that is taken here.",
    "EXPIRED_TOKEN": "The token, or the signature and its credentials, have expired.",
    "ACCESS_DENIED": "This caller may not use this route, or the token lacks its scope.",
}


def add_to(rest: aws_apigateway.RestApi, *, by_token: bool) -> None:
    for cause, (usual, what, retry_after) in RESPONSES.items():
        headers, status = {"Content-Type": "'application/problem+json'"}, usual
        detail = BY_TOKEN.get(cause, what) if by_token else what
        if by_token and cause in ("UNAUTHORIZED", "EXPIRED_TOKEN"):
            headers["WWW-Authenticate"], status = "'Bearer'", None
        if retry_after is not None:
            headers["Retry-After"] = f"'{retry_after}'"
        rest.add_gateway_response(
            "".join(word.capitalize() for word in cause.split("_")), type=aws_apigateway.ResponseType.of(cause),
            status_code=None if status is None else str(status), response_headers=headers,
            templates={"application/json": json.dumps(problem(status, detail))},
        )  # fmt: skip


def problem(status: int | None, detail: str) -> dict[str, object]:
    name, title = PROBLEMS[status]
    known = {} if status is None else {"status": status}
    # Not `requestId`: AWS documents that a client may set that one, and it would stand in this text unescaped.
    request_id = "$context.extendedRequestId"
    kind = f"urn:void-service:problem:{name}"
    return {"type": kind, "title": title, **known, "detail": detail, "request_id": request_id}
