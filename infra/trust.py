"""The certificate authorities that the asset carries, laid out so that OpenSSL reads only the one that it needs.

Promises that the provider is verified against every authority that botocore ships, and AWS against AWS's own. As one
file, 126 certificates would be parsed at each cold start: 20 ms of a processor.
"""

import hashlib
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The authorities that AWS names for its endpoints: https://www.amazontrust.com/repository/
AWS_AUTHORITIES = (
    *(f"Amazon Root CA {number}" for number in (1, 2, 3, 4)),
    "Starfield Services Root Certificate Authority - G2",
    "Starfield Class 2 CA",
)
# The kinds of names in a subject as they are encoded: X.520's end in their number, the address is of PKCS #9.
KINDS = {
    "commonName": "0603550403", "serialNumber": "0603550405", "countryName": "0603550406", "localityName": "0603550407",
    "stateOrProvinceName": "0603550408", "organizationName": "060355040a", "organizationalUnitName": "060355040b",
    "emailAddress": "06092a864886f70d010901",
}  # fmt: skip


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
        name = subject_hash(pem)
        number = len(list(roots.glob(f"{name}.*")))
        (roots / f"{name}.{number}").write_text(pem)


def certificates(text: str) -> Iterator[tuple[str, str]]:
    """Label and PEM of each certificate of a bundle in Mozilla's layout."""
    for match in re.finditer(r'^# Label: "?(.*?)"?\n(?:#.*\n)*(-----BEGIN[^#]+?-----END.*\n)', text, re.MULTILINE):
        yield match[1], match[2]


def subject_hash(pem: str) -> str:
    """OpenSSL's name of an authority's file: a hash over the subject, written canonically (X509_NAME_hash)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem)
    subject: Any = context.get_ca_certs()[0]["subject"]
    written = b""
    for ((kind, text),) in subject:  # one name in each group
        # Lower case for ASCII only, runs of white space as one space: as OpenSSL's asn1_string_canon.
        plain = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in " ".join(text.split()).encode())
        written += short(0x31, short(0x30, bytes.fromhex(KINDS[kind]) + short(0x0C, plain)))
    # SHA-1 is what the format asks for; nothing rests on it.
    return hashlib.sha1(written, usedforsecurity=False).digest()[3::-1].hex()


def short(tag: int, value: bytes) -> bytes:
    """One DER element of less than 128 bytes, as every part of these subjects is."""
    if len(value) >= 0x80:
        raise ValueError("botocore's bundle has a longer name now")
    return bytes([tag, len(value)]) + value
