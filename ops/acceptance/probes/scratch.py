"""A function and an API of a few minutes, to see what the gateway makes of results and of a throttle.

The function has the role of read_voids, does nothing but answer, and is called by nobody but you: its API asks for a
signature, as the real one does.
"""

import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ops.acceptance import wire
from ops.acceptance.rows import Finding, Probe, judged, not_seen
from ops.acceptance.site import Site
from ops.acceptance.undo import making
from ops.acceptance.wire import NoAnswer, Reply

CODE = """
def handler(event, context):
    case = (event.get("queryStringParameters") or {}).get("case")
    if case == "number":
        return {"statusCode": 200, "headers": {"X-Number": 7}, "body": ""}
    if case == "member":
        return {"statusCode": 200, "body": "", "unknown": 1}
    return {"statusCode": 200, "body": ""}
"""
STAGE = "v1"
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Scratch:
    """The API while it exists."""

    site: Site
    api_id: str

    @property
    def origin(self) -> str:
        return f"https://{self.api_id}.execute-api.{self.site.place.region}.amazonaws.com"

    def get(self, query: str = "") -> Reply:
        """One signed request."""
        target = f"/{STAGE}/{query}"
        headers = self.site.signer().headers("GET", self.origin + target, {}, b"")
        return wire.send(self.origin, "GET", target, headers)


@contextmanager
def scratch(site: Site) -> Iterator[Scratch]:
    """Make both, wait until the API answers, remove both."""
    name = site.temporary
    with making(site, "function", function=name), making(site, "api", api=name):
        arn = _function(site, name)
        api = Scratch(site, _api(site, name, arn))
        reply, _ = site.until("the API", lambda: _answer(api), lambda one: one is not None, site.patience.release)
        if reply is None or reply.status != 200:
            raise NoAnswer(f"the API made for this answered {reply.status if reply else 'nothing'}")
        yield api


def _answer(api: Scratch) -> Reply | None:
    """None while its name is not known everywhere, or the function may not be called yet."""
    try:
        reply = api.get()
    except NoAnswer:
        return None
    return reply if reply.status == 200 else None


def _function(site: Site, name: str) -> str:
    lambda_ = site.client("lambda")
    created = lambda_.create_function(
        FunctionName=name, Runtime="python3.13", Role=site.functions["read_voids"].role, Handler="index.handler",
        Code={"ZipFile": zipped(CODE)}, Timeout=3, MemorySize=128, Architectures=["arm64"],
        Description="An acceptance of the void service; removed at its end",
    )  # fmt: skip
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    return str(created["FunctionArn"])


def zipped(code: str) -> bytes:
    """A function's archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        file = zipfile.ZipInfo("index.py")
        file.external_attr = 0o644 << 16  # another user than this one reads it
        content.writestr(file, code)
    return archive.getvalue()


def _api(site: Site, name: str, function: str) -> str:
    gateway = site.client("apigateway")
    api_id = gateway.create_rest_api(name=name, endpointConfiguration={"types": ["REGIONAL"]})["id"]
    root = gateway.get_resources(restApiId=api_id)["items"][0]["id"]
    where = {"restApiId": api_id, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="AWS_IAM")
    partition = function.split(":")[1]
    uri = f"arn:{partition}:apigateway:{site.place.region}:lambda:path/2015-03-31/functions/{function}/invocations"
    site.client("lambda").add_permission(
        FunctionName=name, StatementId="gateway", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:{partition}:execute-api:{site.place.region}:{site.account}:{api_id}/*",
    )  # fmt: skip
    gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    ours = gateway.get_gateway_response(restApiId=site.api_id, responseType="THROTTLED")
    gateway.put_gateway_response(restApiId=api_id, **_copied(ours))
    gateway.create_deployment(restApiId=api_id, stageName=STAGE)
    return str(api_id)


def _copied(response: dict[str, Any]) -> dict[str, Any]:
    names = ("responseType", "statusCode", "responseParameters", "responseTemplates")
    return {name: response[name] for name in names if name in response}


def results(site: Site) -> Iterator[Finding]:
    """Two results that no function of ours returns, then fifty requests where one a second may pass."""
    with scratch(site) as api:
        number, member = api.get("?case=number"), api.get("?case=member")
        shown = {
            "number": {"status": number.status, "header": number.headers.get("x-number")},
            "member": {"status": member.status},
        }
        good = number.status == 200 and number.headers.get("x-number") == "7" and member.status == 502
        yield judged("aws-function-result", good, shown)
        _throttle(site, api)
        yield _throttled(api)


def _throttle(site: Site, api: Scratch) -> None:
    limits = {"rateLimit": "1", "burstLimit": "1"}
    operations = [
        {"op": "replace", "path": f"/*/*/throttling/{name}", "value": value} for name, value in limits.items()
    ]
    site.client("apigateway").update_stage(restApiId=api.api_id, stageName=STAGE, patchOperations=operations)
    site.wait("for the throttle to work", site.patience.rights)


def _throttled(api: Scratch) -> Finding:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = list(pool.map(lambda _: api.get(), range(AT_ONCE)))
    refused = [reply for reply in replies if reply.status == 429]
    statuses = {str(one): sum(reply.status == one for reply in replies) for one in {r.status for r in replies}}
    if not refused:
        return not_seen("aws-throttle-answer", "none of fifty requests was throttled", {"statuses": statuses})
    first = refused[0]
    shown = first.evidence() | {"retry_after": first.headers.get("retry-after"), "statuses": statuses}
    return judged("aws-throttle-answer", first.problem == "throttled" and "retry-after" in first.headers, shown)


PROBES = (
    Probe(
        rows=("aws-function-result", "aws-throttle-answer"),
        run=results,
        does="make a function and an API that only you may call, ask them sixty times, remove both",
        rights=(
            "lambda:CreateFunction", "lambda:DeleteFunction", "lambda:AddPermission", "iam:PassRole",
            "apigateway:POST", "apigateway:PUT", "apigateway:PATCH", "apigateway:GET", "apigateway:DELETE",
        ),
        minutes=2,
        not_locally="the local gateway serves the stack's own API only",
    ),
)  # fmt: skip
