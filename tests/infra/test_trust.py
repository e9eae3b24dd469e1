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
    found = ssl.create_default_context(cafile=str(roots / "ce5e74ef.0")).get_ca_certs()
    assert "Amazon Root CA 1" in str(found[0]["subject"])


def test_aws_is_trusted_by_its_own_authorities_only(asset: Path) -> None:
    context = ssl.create_default_context(cafile=str(asset / "trust" / "aws.pem"))
    assert len(context.get_ca_certs()) == len(trust.AWS_AUTHORITIES)
