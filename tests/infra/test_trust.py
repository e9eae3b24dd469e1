"""Whom the asset trusts, and that OpenSSL finds each authority by its name."""

import ssl
from pathlib import Path

import botocore

from infra import trust

BOTOCORE = Path(botocore.__file__).parent


def test_every_authority_is_found_by_the_name_that_openssl_gives_it(asset: Path) -> None:
    roots = asset / "trust" / "roots"
    assert len(list(roots.iterdir())) == len(list(trust.certificates((BOTOCORE / "cacert.pem").read_text())))
    # As `openssl x509 -subject_hash` says.
    assert "Amazon Root CA 1" in subject_of(roots / "ce5e74ef.0")


def test_aws_is_trusted_by_its_own_authorities_only(asset: Path) -> None:
    context = ssl.create_default_context(cafile=str(asset / "trust" / "aws.pem"))
    assert len(context.get_ca_certs()) == len(trust.AWS_AUTHORITIES)


def subject_of(path: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=str(path))
    return str(context.get_ca_certs()[0]["subject"])
