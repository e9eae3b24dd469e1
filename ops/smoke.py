"""Looks at a deployed API from outside, without credentials: `make smoke URL=https://…/v1`.

Promises to send nothing that could void a hold: every request here must be refused. Prints each check;
exits 0 only if all of them hold.
"""

import json
import sys
from typing import NamedTuple

import urllib3

PROBLEM = "application/problem+json"


class Check(NamedTuple):
    """One request that the API must refuse, and how."""

    says: str
    method: str
    path: str
    content_type: str
    body: str
    statuses: tuple[int, ...]


CHECKS = (
    Check("an unsigned void is refused", "POST", "/voids", "application/json",
          '{"order_id": "smoke", "order_currency": "XTS"}', (403,)),
    Check("an unsigned read is refused", "GET", "/voids/smoke", "application/json", "", (403,)),
    # 403: our address is not the provider's. 401: it is allowed (a local run), so the signature is looked at.
    Check("a forged webhook is refused", "POST", "/webhooks/financial-line", "application/x-www-form-urlencoded",
          "data=e30%3D&signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D", (401, 403)),
    Check("an unknown route is refused", "GET", "/nothing-here", "application/json", "", (403,)),
)  # fmt: skip


def refusal(http: urllib3.PoolManager, base: str, check: Check) -> str | None:
    """What is wrong with the answer to one check; None if nothing is."""
    body = check.body.encode() or None
    try:
        answer = http.request(check.method, base + check.path, body=body, headers={"Content-Type": check.content_type})
    except urllib3.exceptions.HTTPError as error:
        return f"no answer: {type(error).__name__}"
    if answer.status not in check.statuses:
        return f"status {answer.status}, expected {' or '.join(map(str, check.statuses))}"
    if answer.headers.get("Content-Type", "").split(";")[0] != PROBLEM:
        return f"content type {answer.headers.get('Content-Type')}, expected {PROBLEM}"
    try:
        problem = json.loads(answer.data)
    except ValueError:
        return "the body is not JSON"
    if not isinstance(problem, dict) or problem.get("status") != answer.status:
        return "the body is not the problem document of its status"
    return None


def main(arguments: list[str]) -> int:
    """Run every check against the API at arguments[0]; 0 if all hold, 1 if not, 2 if called wrongly."""
    if len(arguments) != 1 or not arguments[0].startswith(("http://", "https://")):
        print("usage: python -m ops.smoke https://{api}/v1", file=sys.stderr)
        return 2
    base = arguments[0].rstrip("/")
    http = urllib3.PoolManager(timeout=urllib3.Timeout(10), retries=False)
    failures = 0
    for check in CHECKS:
        wrong = refusal(http, base, check)
        failures += wrong is not None
        print(
            f"{'ok  ' if wrong is None else 'FAIL'} {check.says}: {check.method} {check.path}"
            + f" ({wrong})" * bool(wrong)
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
