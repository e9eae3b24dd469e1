"""What is measured: this service's asset, the two peers and the floor, each as a directory like Lambda's /var/task.

Promises that our own asset is made by `infra.bundle`, as a deployment makes it, and that peers get pinned packages and
the same byte code. Everything is below .cache/bench; a directory is made again only when what it is made from changes.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import trustme

from benchmarks.stub import SECRET, operation

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache" / "bench"
WORKS = ("submit", "webhook")
OUR_MODULES = {
    "submit": "submit_void",
    "webhook": "receive_webhook",
    "read": "read_voids",
    "settle": "settle_voids",
}
"""Only ours can be read, and asks by itself about what is open."""
HEADS = {"ours": "ours", "by_hand": "by hand", "powertools": "Powertools", "floor": "floor"}
"""The subjects, as the heads of columns say."""
PEERS = ("by_hand", "powertools", "floor")
SHIPPABLE = PEERS[:2]
"""What somebody would deploy; the floor is a limit only."""


@dataclass(frozen=True)
class Subject:
    """One directory that is run, and the environment that only it gets."""

    name: str
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def module(self, work: str) -> str:
        """The module whose `handler` does this work."""
        return OUR_MODULES[work] if self.name.startswith("ours") else work


def prepare() -> dict[str, Subject]:
    """Make what is missing; the subjects by name."""
    CACHE.mkdir(parents=True, exist_ok=True)
    made = {name: Subject(name, make(name)) for name in ("ours", *PEERS)}
    certificates(made["by_hand"].directory / "botocore" / "cacert.pem")
    # The floor trusts the one authority that it meets: less cannot be parsed.
    floor = replace(made["floor"], environment={"CA_FILE": str(CACHE / "ca.pem")})
    return {**made, "floor": floor, "ours": trusting(made["ours"])}


def make(name: str) -> Path:
    """One subject's directory, with byte code."""
    from infra import bundle  # here, because it starts the CDK's Node

    digest = bundle.content_hash() if name == "ours" else peer_hash(name)
    directory, stamp = CACHE / name, CACHE / f"{name}.made-from"
    if directory.is_dir() and stamp.is_file() and stamp.read_text() == digest:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    sys.stderr.write(f"making {name}\n")
    if name == "ours":
        bundle.bundle(directory)
    else:
        make_peer(name, directory)
    stamp.write_text(digest)
    return directory


def peer_hash(name: str) -> str:
    """Over a peer's sources and pins."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    requirements = HERE / f"requirements-{name}.txt"
    for path in [*sorted((HERE / "peers" / name).glob("*.py")), *([requirements] if requirements.exists() else [])]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make_peer(name: str, directory: Path) -> None:
    """Handlers and pinned packages, side by side as in /var/task."""
    requirements = HERE / f"requirements-{name}.txt"
    if requirements.exists():
        pinned = ["--target", str(directory), "--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-config", "--link-mode", "copy"]
        subprocess.run([*uv, "--python", sys.executable, *pinned], check=True, stdout=sys.stderr)
    shutil.copytree(HERE / "peers" / name, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    compile_all(directory)


def compile_all(directory: Path) -> None:
    """Byte code for every subject, made as for the deployed asset."""
    from infra import bundle

    bundle.compile_all(directory)


def without_bytecode(subject: Subject) -> Subject:
    """As most tools zip it: Lambda's disk is read-only, so everything is compiled at every cold start."""
    copy = changed(subject, "plain")
    for folder in [path for path in copy.directory.rglob("__pycache__") if path.is_dir()]:
        shutil.rmtree(folder)
    return copy


def with_whole_data(subject: Subject, whole: Path) -> Subject:
    """Our asset with the data of all of AWS's services, as botocore ships it."""
    copy = changed(subject, "whole-data")
    for package in ("boto3", "botocore"):
        if (copy.directory / package).is_dir():
            shutil.copytree(whole / package / "data", copy.directory / package / "data", dirs_exist_ok=True)
    return copy


def with_collector(subject: Subject) -> Subject:
    """Python looks for garbage during init too, as it does everywhere."""
    copy = changed(subject, "collecting")
    (switch,) = [path for path in copy.directory.glob("*.py") if "gc.disable()" in path.read_text()]
    switch.write_text("def finish() -> None: ...\n")
    compile_all(copy.directory)
    return copy


BOTOCORE_AS_BOTO3 = """
import botocore.session

SESSION = botocore.session.get_session()


class Session:
    def client(self, name, **options):
        return SESSION.create_client(name, **options)


client = Session().client
"""


def makes_clients_by_boto3(subject: Subject) -> bool:
    """Does the asset import boto3? If not, there is nothing to take out."""
    return "boto3" in (subject.directory / "clients.py").read_text()


def without_boto3(subject: Subject) -> Subject:
    """The same sources, whose `boto3` is a few lines that make the same clients by botocore."""
    copy = changed(subject, "botocore-alone")
    for name in ("boto3", "s3transfer"):
        shutil.rmtree(copy.directory / name, ignore_errors=True)
    package = copy.directory / "boto3"
    package.mkdir()
    for module in ("__init__", "session"):
        (package / f"{module}.py").write_text(BOTOCORE_AS_BOTO3)
    compile_all(copy.directory)
    return copy


LIMIT = re.compile(r"\b([A-Z_]+_SECONDS = |connect_timeout=|read_timeout=)([\d.]+)")


def unhurried(subject: Subject) -> Subject:
    """The same with a hundred times the patience, because whoever counts instructions slows it down fifty times."""
    copy = changed(subject, "unhurried")
    for path in [*copy.directory.glob("*.py"), *copy.directory.glob("payments/*.py")]:
        path.write_text(LIMIT.sub(lambda found: f"{found[1]}{float(found[2]) * 100:g}", path.read_text()))
    compile_all(copy.directory)
    return replace(copy, name=subject.name)


def with_whole_trust(subject: Subject) -> Subject:
    """Every certificate authority parsed for each context, which is what happens when nothing is done about it."""
    environment = {"AWS_CA_BUNDLE": str(CACHE / "trust.pem"), "PROVIDER_CA_FILE": str(CACHE / "trust.pem")}
    return replace(subject, name=f"{subject.name}-whole-trust", environment=environment)


def changed(subject: Subject, how: str) -> Subject:
    """A fresh copy to take something out of."""
    directory = CACHE / f"{subject.name}-{how}"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(subject.directory, directory)
    return replace(subject, name=f"{subject.name}-{how}", directory=directory)


def trusting(ours: Subject) -> Subject:
    """What our asset ships as its trust, with the stubs' authority added; the usual whole file where it ships none."""
    shipped = ours.directory / "trust" / "aws.pem"
    aws = CACHE / "trust.pem"
    if shipped.is_file():
        aws = CACHE / "trust-ours.pem"
        aws.write_bytes(shipped.read_bytes() + (CACHE / "ca.pem").read_bytes())
    roots = ours.directory / "trust" / "roots"
    if not roots.is_dir():
        return replace(ours, environment={"AWS_CA_BUNDLE": str(aws), "PROVIDER_CA_FILE": str(CACHE / "trust.pem")})
    copy = changed(ours, "trusting")
    # OpenSSL looks an authority up by the hash of its name; the tool that knows the hash comes with OpenSSL.
    asked = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(CACHE / "ca.pem")]
    name = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(CACHE / "ca.pem", copy.directory / "trust" / "roots" / f"{name}.0")
    return Subject("ours", copy.directory, {"AWS_CA_BUNDLE": str(aws)})


def certificates(usual: Path) -> None:
    """The stubs' certificate (RSA-2048, like AWS's), and their authority in the usual file of some 140 others."""
    if not (CACHE / "trust.pem").is_file():
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        authority.cert_pem.write_to_path(str(CACHE / "ca.pem"))
        leaf = authority.issue_cert("127.0.0.1", "localhost", key_type=trustme.KeyType.RSA)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(CACHE / "stub.pem"))
        (CACHE / "trust.pem").write_bytes(usual.read_bytes() + b"\n" + authority.cert_pem.bytes())


# ---- sizes -----------------------------------------------------------------------------------------------------------


def size(directory: Path) -> tuple[int, int]:
    """Bytes unzipped and zipped."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    archive = CACHE / "size.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in files:
            out.write(path, path.relative_to(directory))
    zipped = archive.stat().st_size
    archive.unlink()
    return sum(path.stat().st_size for path in files), zipped


# ---- events ----------------------------------------------------------------------------------------------------------


def events(work: str, first: int, count: int) -> list[dict[str, Any]]:
    """The events for `count` different orders."""
    make = {"submit": submit_event, "webhook": webhook_event, "read": read_event, "settle": settle_event}[work]
    return [make(f"order-{number}") for number in range(first, first + count)]


def submit_event(order_id: str) -> dict[str, Any]:
    """POST /voids."""
    body = json.dumps({"order_id": order_id, "order_currency": "UAH", "comment": "benchmark"})
    return event("/voids", "application/json", body, {"Idempotency-Key": f"release-{order_id}"})


def read_event(order_id: str) -> dict[str, Any]:
    """GET /voids/{order_id}."""
    path = {"path": f"/voids/{order_id}", "pathParameters": {"order_id": order_id}}
    return {**event("/voids/{order_id}", "application/json", ""), **path, "httpMethod": "GET", "body": None}


def settle_event(_order_id: str) -> dict[str, Any]:
    """What the schedule sends; settle_voids does not look at it."""
    return {"source": "aws.scheduler"}


def webhook_event(order_id: str) -> dict[str, Any]:
    """POST /webhooks/financial-line: the provider's message that a void succeeded, signed."""
    data = base64.urlsafe_b64encode(json.dumps(operation(order_id, "UAH")).encode())
    secret = SECRET["api_secret"].encode()
    signature = base64.urlsafe_b64encode(hashlib.sha1(secret + data + secret).digest())  # noqa: S324
    form = urlencode({"data": data.decode(), "signature": signature.decode()})
    return event("/webhooks/financial-line", "application/x-www-form-urlencoded", form)


def event(path: str, kind: str, body: str, more: dict[str, str] | None = None) -> dict[str, Any]:
    """A whole event of a REST API's proxy integration."""
    headers = {
        **(more or {}),
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "Content-Type": kind,
        "Host": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
        "User-Agent": "benchmark/1",
        "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    return {
        "resource": path,
        "path": path,
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "domainName": headers["Host"],
            "domainPrefix": "abcdefghij",
            "extendedRequestId": "AbCdEfGhIjKlMnO=",
            "httpMethod": "POST",
            "identity": {
                "sourceIp": "192.0.2.1",
                "userAgent": "benchmark/1",
                "userArn": "arn:aws:sts::123456789012:assumed-role/shop/session",
            },
            "path": f"/v1{path}",
            "protocol": "HTTP/1.1",
            "requestId": "00000000-0000-4000-8000-000000000000",
            "requestTime": "24/Nov/2026:10:10:10 +0000",
            "requestTimeEpoch": 1795515010000,
            "resourceId": "abc123",
            "resourcePath": path,
            "stage": "v1",
        },
        "body": body,
        "isBase64Encoded": False,
    }
