"""Void one order and wait for the outcome: python_client.py ORDER_ID CURRENCY [COMMENT]

Signs with botocore, sends with urllib3; configuration and exit codes are in README.md beside this file.
Repeats nothing that the service does not declare safe to repeat, and never reads "not known" as "not voided".
"""

import json
import os
import sys
import time
import urllib.parse
import uuid
from typing import Any, NoReturn

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import get_session

VOIDED, REFUSED, LATER, MISUSE = 0, 1, 2, 3

# The last part of a problem's type: exit code, whether the same request is repeated, what to do.
PROBLEMS = {
    "invalid-request": (MISUSE, False, "correct everything listed"),
    "unauthenticated": (MISUSE, False, "check VOID_SERVICE_URL, AWS_REGION, the credentials, the role and the clock"),
    "not-found": (MISUSE, False, "there is no void of this order here: check the order and VOID_SERVICE_URL"),
    "in-progress": (LATER, True, "another request for this order is in flight: run the same again"),
    "not-voidable": (REFUSED, False, "see the reason"),
    "too-many-attempts": (REFUSED, False, "twenty attempts were made: a person must look"),
    "too-large": (MISUSE, False, "send a shorter comment"),
    "unsupported-media-type": (MISUSE, False, "send Content-Type: application/json"),
    "idempotency-mismatch": (MISUSE, False, "this IDEMPOTENCY_KEY came with another body: use a new one"),
    "currency-mismatch": (MISUSE, False, "use the currency of the void on record"),
    "throttled": (LATER, True, "too many requests, nothing was done: run the same again"),
    "provider-credentials": (LATER, False, "nothing was voided, the operators are alarmed: run the same again later"),
    "not-sent": (LATER, True, "nothing was sent: run the same again"),
    "outcome-unknown": (LATER, True, "it may be voided or not: run the same again, which is safe"),
}

# Why a void failed: exit code, what to do.
REASONS = {
    "refused": (REFUSED, "understand the provider's answer; to try again use a new IDEMPOTENCY_KEY"),
    "already-captured": (REFUSED, "the money was taken: decide about a refund, which is another operation"),
    "order-not-found": (REFUSED, "the provider knows no such order: check the order_id"),
    "not-executed": (REFUSED, "the hold still stands: use a new IDEMPOTENCY_KEY if the void is still wanted"),
    "not-sent": (LATER, "nothing was sent: run the same again"),
    "throttled": (LATER, "too many requests, nothing was done: run the same again"),
    "provider-credentials": (LATER, "nothing was voided, the operators are alarmed: run the same again later"),
}


def finish(code: int, text: str) -> NoReturn:
    print("".join(c if c.isprintable() else "?" for c in text), file=sys.stderr)  # a terminal obeys control characters
    if code == LATER:
        print(f"with IDEMPOTENCY_KEY={KEY}", file=sys.stderr)
    sys.exit(code)


def call(method: str, url: str, body: bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse | None:
    """The answer, or None if there is none: then nobody knows whether the request arrived."""
    credentials = SESSION.get_credentials()
    if credentials is None:
        finish(MISUSE, "no AWS credentials")
    request = AWSRequest(method, url, headers=headers, data=body)
    SigV4Auth(credentials.get_frozen_credentials(), "execute-api", REGION).add_auth(request)
    try:
        # Without urllib3's own retries: they know nothing of Retry-After's meaning here. The API answers within 29 s.
        return POOL.request(method, url, body=body, headers=dict(request.headers.items()))
    except urllib3.exceptions.HTTPError as error:
        print(f"no answer: {type(error).__name__}", file=sys.stderr)
        return None


def judge(answer: urllib3.BaseHTTPResponse | None) -> tuple[int, bool, str]:
    """Exit code, whether to go on, what to say."""
    if answer is None:
        return LATER, True, "outcome-unknown: " + PROBLEMS["outcome-unknown"][2]
    try:
        document: Any = json.loads(answer.data)
        if answer.status in (200, 202):
            return judge_record(document)
        name = document["type"].rpartition(":")[2]
        code, again, advice = PROBLEMS[name]
    except (ValueError, KeyError, TypeError, AttributeError):
        if 400 <= answer.status < 500:
            return MISUSE, False, f"HTTP {answer.status} by something that is not the void service: check the URL"
        return LATER, True, f"HTTP {answer.status}, not understood: it may be voided or not: run the same again"
    details = [document.get("detail"), document.get("provider_code"), document.get("provider_message")]
    details += [f"{error['pointer']} {error['detail']}" for error in document.get("errors", [])]
    if name == "not-voidable":
        reason = document["void"]["reason"]
        code, advice = REASONS.get(reason, (code, advice))
        name = f"{name} ({reason})"
    return code, again, f"{name}: {'; '.join(str(detail) for detail in details if detail)}. Do: {advice}"


def judge_record(record: Any) -> tuple[int, bool, str]:
    state, reason = record["state"], record["reason"]
    if state == "voided":
        return VOIDED, False, "voided"
    if state == "failed":
        code, advice = REASONS.get(reason, (REFUSED, "see how-a-void-works.md"))
        return code, False, f"failed ({reason}). Do: {advice}"
    if record["resend_allowed"]:
        return LATER, False, f"{state}: it did not arrive. Do: send it again with a new IDEMPOTENCY_KEY, not with this"
    looking = ", and a person must look at it" if record["review"] else ""
    return LATER, True, f"{state}: not known yet{looking}. Do: run the same again later"


def main(order_id: str, currency: str, comment: str | None) -> NoReturn:
    deadline = time.monotonic() + float(os.environ.get("VOID_WAIT_SECONDS", "120"))
    wanted = {"order_id": order_id, "order_currency": currency} | ({"comment": comment} if comment else {})
    post = ("POST", f"{URL}/voids", json.dumps(wanted).encode())
    read = ("GET", f"{URL}/voids/{urllib.parse.quote(order_id, safe='')}", b"")
    headers = {"Content-Type": "application/json", "Idempotency-Key": KEY}
    accepted = False  # after a 202 the intent is durable: it is enough to read
    wait = 5.0
    while True:
        answer = call(*read, {}) if accepted else call(*post, headers)
        code, again, text = judge(answer)
        if code == VOIDED and answer is not None:
            print(answer.data.decode())
        # A read has no Retry-After: it is asked less and less often.
        told = answer.headers.get("Retry-After", "") if answer is not None else ""
        wait = float(told) if told.isdigit() else min(wait * 2, 60) if accepted else wait
        accepted = accepted or (answer is not None and answer.status == 202)
        if not again or time.monotonic() + wait > deadline:
            finish(code, text)
        print(f"{text.partition(':')[0]}: again in {wait:g} s", file=sys.stderr)
        time.sleep(wait)


if __name__ == "__main__":
    URL = os.environ.get("VOID_SERVICE_URL", "").rstrip("/")
    REGION = os.environ.get("AWS_REGION", "")
    KEY = os.environ.get("IDEMPOTENCY_KEY") or str(uuid.uuid4())
    SESSION = get_session()
    POOL = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=35))
    if not URL or not REGION or len(sys.argv) not in (3, 4):
        finish(MISUSE, "set VOID_SERVICE_URL, AWS_REGION and credentials; python_client.py ORDER_ID CURRENCY [COMMENT]")
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else None)
