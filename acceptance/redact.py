"""What may be written down: evidence without a secret, a signature, a key, a token or personal data.

Promises that a known secret never passes, whatever the evidence is, and that an account keeps only four digits.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

HIDDEN = "[hidden]"
LONGEST = 300

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_MASKED = (
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), HIDDEN),
    (re.compile(r"(?i)\b(Credential|Signature|X-Amz-Security-Token)=[^,&\s\"]+"), rf"\1={HIDDEN}"),
    (re.compile(r"\b(CPAY(?:-[A-Z0-9]+)*) [^\s\"]+:[^\s\"]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), HIDDEN),
    (re.compile(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{64}\b"), HIDDEN),
    (re.compile(r"[^\s\"@<>]{1,64}@[^\s\"@<>]{1,255}\.[A-Za-z]{2,}"), HIDDEN),
)
# A card has 12 to 19 digits, perhaps in groups; the digits of a UUID, a time or an account's twelve are none.
_DIGITS = re.compile(rf"{_UUID}|(?<![\w-])\d(?:[ -]?\d){{11,18}}(?![\w-])")
_NO_CARD = re.compile(rf"(?:{_UUID})\Z|\d{{4}}-\d{{2}}-\d{{2}}")


class Redactor:
    """Knows the secrets of this run; `learn` adds one as soon as it is read."""

    def __init__(self, secrets: Iterable[str] = (), account: str | None = None) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self.account = account

    def learn(self, *secrets: str) -> None:
        """Hide these from now on."""
        self._secrets += [secret for secret in secrets if secret]

    def __call__(self, value: object) -> object:
        """A copy that may be written down; text is shortened."""
        match value:
            case Mapping():
                return {self.text(str(name)): self(item) for name, item in value.items()}
            case bool() | None:
                return value
            case int() | float() | Decimal():
                return HIDDEN if any(secret in str(value) for secret in self._secrets) else value
            case Iterable() if not isinstance(value, str):
                return [self(item) for item in value]
        return self.text(str(value))

    def text(self, text: str) -> str:
        """One text that may be written down."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        if self.account:
            text = text.replace(self.account, masked_account(self.account))
        for pattern, instead in _MASKED:
            text = pattern.sub(instead, text)
        text = _DIGITS.sub(lambda found: found[0] if _NO_CARD.match(found[0]) else HIDDEN, text)
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def masked_account(account: str) -> str:
    """The last four digits, as AWS itself masks it."""
    return f"{'*' * (len(account) - 4)}{account[-4:]}"
