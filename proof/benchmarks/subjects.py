"""What is measured: this service's asset, two peers and the floor, each as a directory like Lambda's /var/task.

Promises that our own asset is made by `infra.bundle`, as a deployment makes it, and that peers get pinned packages and
the same byte code. Everything is below .cache/bench; a directory is made again only when what it is made from changes.
"""

import hashlib
import io
import os
import py_compile
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import trustme

from proof.commit import ROOT

HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".cache" / "bench"
WORKS = ("submit", "webhook")
OUR_MODULES = {"submit": "submit_void", "webhook": "receive_webhook", "read": "read_voids", "settle": "settle_voids"}
ALONE = ("read", "settle")
"""Only ours can be read, and queries by itself what is open."""
HEADS = {"ours": "ours", "by_hand": "by hand", "powertools": "Powertools", "floor": "floor"}
PEERS = ("by_hand", "powertools", "floor")
SHIPPABLE = PEERS[:2]
"""What somebody would deploy; the floor is a limit only."""
LIMIT = re.compile(r"\b([A-Z_]+_SECONDS = |connect_timeout=|read_timeout=)([\d.]+)")
"""The time limits in our sources."""


@dataclass(frozen=True)
class Subject:
    """One directory that is run, and the environment that only it gets."""

    name: str
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def entry(self, work: str) -> tuple[str, str]:
        if self.name.startswith("ours"):
            return OUR_MODULES[work], "handler"
        return (work, "handler") if self.name == "powertools" else ("handlers", work)


def prepare() -> dict[str, Subject]:
    """Make what is missing; the subjects by name."""
    CACHE.mkdir(parents=True, exist_ok=True)
    made = {name: Subject(name, make(name)) for name in ("ours", *PEERS)}
    certificates(made["by_hand"].directory / "botocore" / "cacert.pem")
    # The floor trusts the one authority that it meets: less cannot be parsed.
    floor = replace(made["floor"], environment={"CA_FILE": str(CACHE / "ca.pem")})
    return {**made, "floor": floor, "ours": patient(made["ours"])}


def make(name: str) -> Path:
    from infra import bundle  # here, because it starts the CDK's Node

    requirements = HERE / f"requirements-{name}.txt"
    sources = [HERE / "peers" / folder for folder in (("by_hand", "floor") if name == "floor" else (name,))]
    files = [path for folder in sources for path in sorted(folder.rglob("*.py"))]
    made_from = [path for path in (Path(__file__), *files, requirements) if path.is_file()]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_from)).hexdigest()
    if name == "ours":
        digest = bundle.content_hash()
    directory, stamp = CACHE / name, CACHE / f"{name}.made-from"
    if directory.is_dir() and stamp.is_file() and stamp.read_text() == digest:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    sys.stderr.write(f"making {name}\n")
    if name == "ours":
        bundle.bundle(directory)
    else:
        if requirements.is_file():
            pinned = ["--target", str(directory), "--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
            uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-config", "--link-mode", "copy"]
            subprocess.run([*uv, "--python", sys.executable, *pinned], check=True, stdout=sys.stderr)
        for folder in sources:
            shutil.copytree(folder, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        bundle.compile_all(directory)
    stamp.write_text(digest)
    return directory


def certificates(usual: Path) -> None:
    """The stubs' certificate (RSA-2048, like AWS's), and their authority in the usual file of some 140 others."""
    if not (CACHE / "trust.pem").is_file():
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        authority.cert_pem.write_to_path(str(CACHE / "ca.pem"))
        leaf = authority.issue_cert("127.0.0.1", "localhost", key_type=trustme.KeyType.RSA)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(CACHE / "stub.pem"))
        (CACHE / "trust.pem").write_bytes(usual.read_bytes() + b"\n" + authority.cert_pem.bytes())


def patient(ours: Subject) -> Subject:
    """Our asset with the stubs' authority added to its trust, and a hundred times its patience.

    Whoever counts instructions slows it down fifty times, and a busy machine is not what is measured.
    """
    aws = CACHE / "trust-ours.pem"
    aws.write_bytes((ours.directory / "trust" / "aws.pem").read_bytes() + (CACHE / "ca.pem").read_bytes())
    copy = copied(ours, "patient")
    # OpenSSL looks an authority up by the hash of its name; the tool that knows the hash comes with OpenSSL.
    asked = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(CACHE / "ca.pem")]
    name = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(CACHE / "ca.pem", copy.directory / "trust" / "roots" / f"{name}.0")
    rewrite(copy, LIMIT, lambda found: f"{found[1]}{float(found[2]) * 100:g}")
    return Subject("ours", copy.directory, {"AWS_CA_BUNDLE": str(aws)})


# ---- something taken out of it ---------------------------------------------------------------------------------------


def copied(subject: Subject, how: str) -> Subject:
    """A fresh copy to take something out of, of links: what is changed must be unlinked before."""
    copy = replace(subject, name=f"{subject.name}-{how}", directory=CACHE / f"{subject.name}-{how}")
    shutil.rmtree(copy.directory, ignore_errors=True)
    shutil.copytree(subject.directory, copy.directory, copy_function=os.link)
    return copy


def rewrite(copy: Subject, what: re.Pattern[str], to: Callable[[re.Match[str]], str]) -> None:
    """Change our sources. The byte code of an asset is never compared with its source, so it is made anew."""
    for path in [*copy.directory.glob("*.py"), *copy.directory.glob("payments/*.py")]:
        before = path.read_text("utf-8")
        if (after := what.sub(to, before)) != before:
            path.unlink()
            path.write_text(after, "utf-8")
            py_compile.compile(str(path), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def without_bytecode(subject: Subject) -> Subject:
    """As most tools zip it: Lambda's disk is read-only, so everything is compiled at every cold start."""
    copy = copied(subject, "plain")
    for folder in [path for path in copy.directory.rglob("__pycache__") if path.is_dir()]:
        shutil.rmtree(folder)
    return copy


def with_whole_boto3(subject: Subject) -> Subject:
    """Our asset with all that boto3 comes with and loads: S3's transfers, help texts, the data of all services."""
    copy = copied(subject, "whole-boto3")
    for package in ("boto3", "botocore", "s3transfer"):
        shutil.rmtree(copy.directory / package, ignore_errors=True)
        shutil.copytree(CACHE / "by_hand" / package, copy.directory / package, copy_function=os.link)
    return copy


def with_collector(subject: Subject) -> Subject:
    """Python looks for garbage during init too, as it does everywhere: nothing but the switches is taken out."""
    copy = copied(subject, "collecting")
    rewrite(copy, re.compile(r"gc\.(disable|freeze|enable)\(\)"), lambda _: "gc.isenabled()")
    return copy


def with_whole_trust(subject: Subject) -> Subject:
    """Every certificate authority parsed for each context, which is what happens when nothing is done about it."""
    environment = {"AWS_CA_BUNDLE": str(CACHE / "trust.pem"), "PROVIDER_CA_FILE": str(CACHE / "trust.pem")}
    return replace(subject, name=f"{subject.name}-whole-trust", environment=environment)


LEVERS: dict[str, Callable[[Subject], Subject]] = {
    "whole trust parsed each time": with_whole_trust,
    "no byte code": without_bytecode,
    "all of boto3": with_whole_boto3,
    "garbage collected at init": with_collector,
}
"""Our asset with one thing taken away at a time."""


def size(directory: Path) -> tuple[int, int]:
    """Bytes unzipped and zipped."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(directory))
    return sum(path.stat().st_size for path in files), len(zipped.getvalue())
