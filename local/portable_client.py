"""AWS's runtime client where AWS builds no native part of it (macOS): `python local/portable_client.py HANDLER`.

Speaks the Runtime API over plain HTTP in the native part's place; everything above it is AWS's own client. On Linux the
native part is used, which is what runs in Lambda.
"""

import http.client
import json
import os
import sys
from contextlib import closing

INVOCATION = "/2018-06-01/runtime/invocation"
DEADLINE = "Lambda-Runtime-Deadline-Ms"


def initialize_client(_user_agent: str) -> None:
    pass


def next() -> tuple[bytes, dict[str, str | int]]:
    """Wait for the next invocation: its event and its headers, the deadline as a number."""
    body, headers = _call("GET", "/next", b"", {}, http.HTTPStatus.OK)
    return body, {**headers, DEADLINE: int(headers[DEADLINE])}


def post_invocation_result(request_id: str, result: bytes, content_type: str, _invocation_id: str | None) -> None:
    _call("POST", f"/{request_id}/response", result, {"Content-Type": content_type}, http.HTTPStatus.ACCEPTED)


def post_error(request_id: str, error: str, cause: str, _invocation_id: str | None) -> None:
    headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-XRay-Error-Cause": json.dumps(cause)}
    _call("POST", f"/{request_id}/error", error.encode(), headers, http.HTTPStatus.ACCEPTED)


def _call(method: str, path: str, body: bytes, headers: dict[str, str], good: int) -> tuple[bytes, dict[str, str]]:
    with closing(http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])) as connection:
        connection.request(method, INVOCATION + path, body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != good:
            raise RuntimeError(f"the Runtime API answered {answer.status}: {said.decode(errors='replace')}")
        return said, dict(answer.getheaders())


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())  # the function's folder, as `python -m awslambdaric` has it
    sys.modules["runtime_client"] = sys.modules[__name__]  # before AWS's client looks for its native part
    from awslambdaric.__main__ import main

    main(sys.argv)
