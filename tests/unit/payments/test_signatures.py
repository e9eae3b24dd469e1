"""The provider's signatures against its published vectors and those derived from them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from payments.signatures import Scheme, authorise, is_genuine, sign_webhook

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/financial-line.json").read_text())
OURS = [vector for vector in VECTORS["request_signatures"] if vector["scheme"] in set(Scheme)]


def test_plain_carries_the_secret_itself() -> None:
    (vector,) = VECTORS["plain_auth"]
    assert authorise(Scheme.PLAIN, vector["api_key"], vector["secret"], b"any") == vector["expected_x_api_auth"]


@pytest.mark.parametrize("vector", OURS, ids=lambda vector: vector["id"])
def test_a_request_is_signed_as_published(vector: dict[str, Any]) -> None:
    body = vector["body"].encode()
    assert len(body) == vector["body_utf8_length"]
    header = authorise(Scheme(vector["scheme"]), vector.get("api_key", "k"), vector["secret"], body)
    assert header.rpartition(":")[2] == vector["expected_signature"]
    assert header == vector.get("expected_x_api_auth", header)


def test_both_signing_schemes_have_vectors() -> None:
    assert {vector["scheme"] for vector in OURS} == {"CPAY-HMAC", "CPAY-SHA1"}


@pytest.mark.parametrize("vector", VECTORS["webhooks"], ids=lambda vector: vector["id"])
def test_a_webhook_is_proved_as_published(vector: dict[str, Any]) -> None:
    genuine = is_genuine(vector["secret"], vector["data"].encode(), vector["signature"].encode())
    assert genuine is vector["valid"]


@pytest.mark.parametrize("vector", VECTORS["other_white_label_webhook_signatures"], ids=lambda vector: vector["id"])
def test_a_sibling_platform_signs_the_same_way(vector: dict[str, Any]) -> None:
    assert sign_webhook(vector["secret"], vector["data"].encode()) == vector["expected_signature"].encode()


@pytest.mark.parametrize("signature", [b"", b"\xff", "ї".encode(), b"Bcj3hb-h00HrEMIoJ5nPW5ZHlVQ", b"\x00" * 28])
def test_a_strange_signature_is_a_no_and_no_crash(signature: bytes) -> None:
    assert is_genuine("changeme", b"eyJuYW1lIjoiSm9lIiwiYWdlIjoyMH0=", signature) is False


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmac.compare_digest", lambda *compared: compared == (sign_webhook("changeme", b"x"), b"y"))
    assert is_genuine("changeme", b"x", b"y")


def test_the_signature_in_hex_is_not_accepted() -> None:
    data = b"eyJuYW1lIjoiSm9lIiwiYWdlIjoyMH0="
    digest = hashlib.sha1(b"changeme" + data + b"changeme").hexdigest()
    assert not is_genuine("changeme", data, digest.encode())
