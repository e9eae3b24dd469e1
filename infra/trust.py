"""The certificate authorities that the asset carries, laid out so that OpenSSL reads only the one that it needs.

Promises that the provider is verified against every authority that botocore ships, and AWS against AWS's own. As one
file, 126 certificates would be parsed at each cold start.
"""

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

# The authorities that AWS names for its endpoints: https://www.amazontrust.com/repository/
AWS_AUTHORITIES = (
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
    "Starfield Class 2 CA",
)


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
