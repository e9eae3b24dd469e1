"""A function and an API of a few minutes, to see what the gateway makes of results and of a throttle.

The function has the role of read_voids, does nothing but answer, and is called by nobody but you: its API demands a
signature, as the real one does.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from acceptance import wire
from acceptance.rows import Finding, judged, not_seen
from acceptance.site import Site
from acceptance.undo import making
from acceptance.wire import NoAnswer, Reply
from ops.places import OpsError

CODE = """
def handler(event, context):
    case = (event.get("queryStringParameters") or {}).get("case")
    answers = {"number": {"headers": {"X-Number": 7}}, "member": {"unknown": 1}}
    return {"statusCode": 200, "body": ""} | answers.get(case, {})
"""
STAGE, AT_ONCE = "v1", 50
COPIED = ("responseType", "statusCode", "responseParameters", "responseTemplates")

Get = Callable[[str], Reply]


@contextmanager
def scratch(site: Site) -> Iterator[tuple[str, Get]]:
    """Make both, wait until the API answers, remove both; the API's id and a way to call it."""
    name = site.temporary
    with making(site, "function", function=name), making(site, "api", api=name):
        api_id = _api(site, name, _function(site, name))
        where = origin(api_id, site.place.region)

        def get(query: str) -> Reply:
            target = f"/{STAGE}/{query}"
            return wire.send(where, "GET", target, site.signer().headers("GET", where + target, {}, b""))

        def status() -> int | None:
            """None while its name is not known everywhere."""
            try:
                return get("").status
            except NoAnswer:
                return None

        answered, _ = site.until("the API", status, lambda seen: seen == 200, site.patience.release)
        if answered != 200:
            raise OpsError(f"the API made for this answered {answered or 'nothing'}")
        yield api_id, get


def origin(api_id: str, region: str) -> str:
    """Where such an API is."""
    return f"https://{api_id}.execute-api.{region}.amazonaws.com"


def _function(site: Site, name: str) -> str:
    archive, lambda_ = io.BytesIO(), site.client("lambda")
    with zipfile.ZipFile(archive, "w") as content:
        file = zipfile.ZipInfo("index.py")
        file.external_attr = 0o644 << 16  # another user than this one reads it
        content.writestr(file, CODE)
    created = lambda_.create_function(
        FunctionName=name, Runtime="python3.13", Role=site.functions["read_voids"].role, Handler="index.handler",
        Code={"ZipFile": archive.getvalue()}, Timeout=3, MemorySize=128, Architectures=["arm64"],
        Description="An acceptance of the void service; removed at its end",
    )  # fmt: skip
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    return str(created["FunctionArn"])


def _api(site: Site, name: str, function: str) -> str:
    gateway, partition = site.client("apigateway"), function.split(":")[1]
    api_id = gateway.create_rest_api(name=name, endpointConfiguration={"types": ["REGIONAL"]})["id"]
    root = gateway.get_resources(restApiId=api_id)["items"][0]["id"]
    where = {"restApiId": api_id, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="AWS_IAM")
    site.client("lambda").add_permission(
        FunctionName=name, StatementId="gateway", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:{partition}:execute-api:{site.place.region}:{site.account}:{api_id}/*",
    )  # fmt: skip
    uri = f"arn:{partition}:apigateway:{site.place.region}:lambda:path/2015-03-31/functions/{function}/invocations"
    gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    ours = gateway.get_gateway_response(restApiId=site.api_id, responseType="THROTTLED")
    gateway.put_gateway_response(restApiId=api_id, **{name: ours[name] for name in COPIED if name in ours})
    gateway.create_deployment(restApiId=api_id, stageName=STAGE)
    return str(api_id)


def results(site: Site) -> Iterator[Finding]:
    """Two results that no function of ours returns, then fifty requests where one a second may pass."""
    with scratch(site) as (api_id, get):
        number, member = get("?case=number"), get("?case=member")
        header = number.headers.get("x-number")
        shown = {"number": {"status": number.status, "header": header}, "member": {"status": member.status}}
        good = (number.status, header, member.status) == (200, "7", 502)
        yield judged("aws-function-result", good, shown)
        limits = (("rateLimit", "1"), ("burstLimit", "1"))
        patch = [{"op": "replace", "path": f"/*/*/throttling/{name}", "value": value} for name, value in limits]
        site.client("apigateway").update_stage(restApiId=api_id, stageName=STAGE, patchOperations=patch)
        site.wait("for the throttle to work", site.patience.rights)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield _throttled(list(pool.map(get, [""] * AT_ONCE)))


def _throttled(replies: list[Reply]) -> Finding:
    statuses = {str(status): count for status, count in Counter(reply.status for reply in replies).items()}
    first = next((reply for reply in replies if reply.status == 429), None)
    if first is None:
        return not_seen("aws-throttle-answer", "none of fifty requests was throttled", {"statuses": statuses})
    after = first.headers.get("retry-after")
    shown = first.evidence() | {"retry_after": after, "statuses": statuses}
    return judged("aws-throttle-answer", first.problem == "throttled" and after is not None, shown)
