"""What the asset leaves out of botocore and Powertools, and the certificate authorities that it carries ready to use.

Promises that every operation the functions call keeps its whole model, and that the provider is verified against every
authority that botocore ships. What is cut is read at each cold start otherwise: 1.2 MB of endpoints, 126 certificates.
"""

import gzip
import hashlib
import json
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OPERATIONS = {
    "dynamodb": {"GetItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem"},
    "secretsmanager": {"GetSecretValue"},
}
"""Every operation that functions/ calls. A test compares this with the sources."""
# The authorities that AWS names for its endpoints: https://www.amazontrust.com/repository/
AWS_AUTHORITIES = (
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
    "Starfield Class 2 CA",
)


def cut(out: Path) -> None:
    """Cut botocore's data and Powertools, drop documentation, write trust/."""
    data = out / "botocore" / "data"
    for service in [path for path in data.iterdir() if path.is_dir()]:
        if service.name not in OPERATIONS:
            shutil.rmtree(service)
    for service_name, operations in OPERATIONS.items():
        *older, _ = sorted((data / service_name).iterdir())
        for version in older:
            shutil.rmtree(version)
        for path in (data / service_name).rglob("*"):
            if path.name == "service-2.json.gz":
                cut_model(path, operations)
            # Without a service's rules botocore takes the host from endpoints.json: the same host, for half the work.
            elif path.name.startswith(("endpoint-rule-set-", "examples-", "paginators-", "waiters-")):
                path.unlink()
    cut_endpoints(data / "endpoints.json")
    cut_powertools(out / "aws_lambda_powertools")
    write_trust(out / "botocore" / "cacert.pem", out / "trust")


def cut_powertools(package: Path) -> None:
    """Keep what Logger and Metrics stand on; the resolvers and the other utilities are most of the package."""
    shutil.rmtree(package / "event_handler")
    for path in (package / "utilities").iterdir():
        if path.is_dir() and path.name != "jmespath_utils":
            shutil.rmtree(path)


def cut_model(path: Path, operations: set[str]) -> None:
    """Keep these operations and every shape that they reach."""
    model = json.loads(gzip.decompress(path.read_bytes()))
    model["operations"] = {name: model["operations"][name] for name in sorted(operations)}
    reached: set[str] = set()
    waiting = list(references(model["operations"]))
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += references(model["shapes"][name])
    model["shapes"] = {name: without_text(shape) for name, shape in model["shapes"].items() if name in reached}
    model["operations"] = without_text(model["operations"])
    # The same bytes each time: no time of day in the archive.
    put(path, gzip.compress(json.dumps(model, separators=(",", ":")).encode(), mtime=0))


def references(value: Any) -> Iterator[str]:
    """Every shape that a part of a model names."""
    if isinstance(value, dict):
        if isinstance(value.get("shape"), str):
            yield value["shape"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def without_text(value: Any) -> Any:
    """Without the documentation. A *member* may have that name too: then its value is an object, and it stays."""
    if isinstance(value, dict):
        return {
            key: without_text(part)
            for key, part in value.items()
            if not (key == "documentation" and isinstance(part, str))
        }
    return [without_text(part) for part in value] if isinstance(value, list) else value


def cut_endpoints(path: Path) -> None:
    """The partitions and regions stay; the services go, but for ours."""
    endpoints = json.loads(path.read_text())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: service for name, service in partition["services"].items() if name in OPERATIONS}
    put(path, json.dumps(endpoints, separators=(",", ":")).encode())


def put(path: Path, content: bytes) -> None:
    """A new file in its place: an installer may have linked it from its cache, and the cache is not ours to change."""
    path.unlink()
    path.write_bytes(content)


# ---- trust -----------------------------------------------------------------------------------------------------------


def write_trust(bundle: Path, out: Path) -> None:
    """`aws.pem`: the few authorities of AWS. `roots/`: the whole bundle, one file each, which OpenSSL finds by name."""
    roots = out / "roots"
    roots.mkdir(parents=True)
    labelled = list(certificates(bundle.read_text()))
    ours = [pem for label, pem in labelled if label in AWS_AUTHORITIES]
    if len(ours) != len(AWS_AUTHORITIES):
        raise ValueError("botocore's bundle names AWS's authorities differently now")
    (out / "aws.pem").write_text("".join(ours))
    for _, pem in labelled:
        name = subject_hash(ssl.PEM_cert_to_DER_cert(pem))
        number = next(number for number in range(100) if not (roots / f"{name}.{number}").exists())
        (roots / f"{name}.{number}").write_text(pem)


def certificates(text: str) -> Iterator[tuple[str, str]]:
    """Label and PEM of each certificate of a bundle in Mozilla's layout."""
    label, lines = "", list[str]()
    for line in text.splitlines():
        if line.startswith("# Label: "):
            label = line.removeprefix("# Label: ").strip('"')
        elif line.startswith("-----BEGIN"):
            lines = [line]
        elif lines:
            lines.append(line)
            if line.startswith("-----END"):
                yield label, "\n".join(lines) + "\n"
                lines = []


def subject_hash(der: bytes) -> str:
    """OpenSSL's name of an authority's file: a hash over the subject, written canonically (X509_NAME_hash)."""
    fields = [value for _, value in elements(next(elements(next(elements(der))[1]))[1])]
    tags = [tag for tag, _ in elements(next(elements(next(elements(der))[1]))[1])]
    subject = fields[5 if tags[0] == 0xA0 else 4]  # version (optional), serial, algorithm, issuer, validity, subject
    canonical = b"".join(
        tlv(0x31, b"".join(tlv(0x30, canonical_attribute(pair)) for _, pair in elements(group)))
        for _, group in elements(subject)
    )
    # SHA-1 is what the format asks for; nothing rests on it.
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def canonical_attribute(pair: bytes) -> bytes:
    (kind, name), (tag, value) = elements(pair)
    encoding = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
    if tag not in encoding:
        return tlv(kind, name) + tlv(tag, value)
    # Lower case for ASCII only, runs of white space as one space: as OpenSSL's asn1_string_canon.
    text = b" ".join(value.decode(encoding[tag]).encode().split())
    return tlv(kind, name) + tlv(0x0C, bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in text))


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and value of each DER element."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size]), at + size
        yield tag, data[at : at + length]
        at += length


def tlv(tag: int, value: bytes) -> bytes:
    """One DER element."""
    if len(value) < 0x80:
        return bytes([tag, len(value)]) + value
    size = (len(value).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(value).to_bytes(size) + value
