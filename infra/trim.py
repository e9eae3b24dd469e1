"""What the asset leaves out of boto3, botocore and Powertools, so that a cold start need not read it.

Promises that every operation that the functions call keeps its whole model, in every region.
"""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OPERATIONS = {"dynamodb": {"GetItem", "PutItem", "Query", "UpdateItem"}, "secretsmanager": {"GetSecretValue"}}
"""Every operation that functions/ calls. A test compares this with the sources."""
# What only S3, EC2 and boto3's resources use, and the time zones of the world: AWS speaks UTC.
NEVER_IMPORTED = (
    *(f"boto3/{each}" for each in ("crt.py", "data", "docs", "dynamodb", "ec2", "examples", "s3")),
    "dateutil/zoneinfo",
)
# What transfers to S3, resources, help texts and HTTP/2 stand on is loaded with every client, for an eighth of a cold
# start: in its place is the little that a client asks of it.
PLACEHOLDERS = {
    "boto3/resources": {
        "__init__.py": "",
        "factory.py": "class ResourceFactory:\n    def __init__(self, *_):\n        pass\n",
    },
    "botocore/docs": {
        "__init__.py": "",
        "docstring.py": "ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = lambda *_, **__: None\n",
    },
    "s3transfer": {"__init__.py": "", "manager.py": "class TransferConfig:\n    pass\n"},
    "urllib3/http2": {"__init__.py": ""},
}
STAYS = ("botocore/docs/utils.py", "urllib3/http2/probe.py")
"""What botocore's event handlers are made of, and what urllib3 asks of HTTP/2 that is never turned on."""
DOCUMENT = {"type": "structure", "members": {}, "document": True}
"""An item's attributes as botocore sees them: we write them as they travel, so it need not look into each of them."""


def cut(out: Path) -> None:
    """Cut botocore's data and Powertools, drop what nothing here imports."""
    data, stays = out / "botocore" / "data", {out / name for name in STAYS}
    unused = [out / name for name in NEVER_IMPORTED]
    unused += [path for path in data.iterdir() if path.is_dir() and path.name not in OPERATIONS]
    unused += [path for package in PLACEHOLDERS for path in (out / package).iterdir() if path not in stays]
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
    for path in unused:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for package, files in PLACEHOLDERS.items():
        for name, text in files.items():
            (out / package / name).write_text(text)


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
    shapes: dict[str, dict[str, Any]] = model["shapes"]
    maps = [name for name, shape in shapes.items() if shape.get("value", {}).get("shape") == "AttributeValue"]
    shapes |= dict.fromkeys(maps, DOCUMENT)
    reached = list(references(model["operations"]))
    for name in reached:  # which grows meanwhile
        reached += set(references(shapes[name])) - set(reached)
    model["shapes"] = {name: without_text(shape) for name, shape in shapes.items() if name in reached}
    model["operations"] = without_text(model["operations"])
    # The same bytes each time: no time of day in the archive.
    put(path, gzip.compress(json.dumps(model, separators=(",", ":")).encode(), mtime=0))


def references(value: Any) -> Iterator[str]:
    """Every shape that a part of a model names."""
    if isinstance(value, dict) and isinstance(value.get("shape"), str):
        yield value["shape"]
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(part)


def without_text(value: Any) -> Any:
    """Without the documentation. A *member* may have that name too: then its value is an object, and it stays."""
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if key != "documentation" or not isinstance(part, str)}
        return {key: without_text(part) for key, part in kept.items()}
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
