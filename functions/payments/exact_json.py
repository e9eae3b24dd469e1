"""JSON with exact numbers: what the provider wrote as 100.00 or 1E+2 keeps its digits, also in our answers.

Never goes through binary floating point. Refuses an object that names a member twice: two readers would see two values.
Pure.
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TypeGuard

LONGEST_NUMBER = 64
LARGEST_EXPONENT = 30
_EXPONENT = re.compile(r"[eE]([+-]?\d+)$")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Unreadable(ValueError):
    """The text is no JSON that we accept: malformed, not UTF-8, not finite, or nested too deeply."""


class DuplicateMember(Unreadable):
    """An object names a member twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A number of JSON with its own digits. Two numbers are equal if their values are, as 100 and 1E+2."""

    digits: str

    @property
    def value(self) -> Decimal | None:
        """The exact value; None where the digits or the exponent are absurd, as in 1e1000000000000000000."""
        exponent = _EXPONENT.search(self.digits)
        if len(self.digits) > LONGEST_NUMBER or (exponent and abs(int(exponent[1])) > LARGEST_EXPONENT):
            return None
        return Decimal(self.digits)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Number):
            return NotImplemented
        return self.digits == other.digits or (self.value is not None and self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value)


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DuplicateMember
    return members


_quoted = json.encoder.encode_basestring
# Made once: `json.loads` with an option makes a new decoder for each call.
_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_refuse_constant
).decode


def parse(text: bytes | str) -> object:
    """Read one JSON text (UTF-8); numbers become `Number`. Raises Unreadable, never anything else."""
    try:
        return _decode(text if isinstance(text, str) else text.decode("utf-8"))
    except DuplicateMember:
        raise DuplicateMember from None
    except (ValueError, RecursionError) as error:
        # The text itself may be personal data: only the kind of error leaves.
        raise Unreadable(type(error).__name__) from None


def is_text(value: object, longest: int) -> TypeGuard[str]:
    """Half of a surrogate pair is no text: it cannot be sent, nor stored."""
    return isinstance(value, str) and len(value) <= longest and value == without_surrogates(value)


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which no UTF-8 can carry."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def write(value: object) -> str:
    """Write a value as compact JSON; a number is written with its own digits."""
    # Strings and nothing are nearly all there is: so they come first, and within an object take no call of their own.
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, dict):
        members = [
            _name(key) + (_quoted(item) if isinstance(item, str) else "null" if item is None else write(item))
            for key, item in value.items()
        ]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([write(item) for item in value]) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number):
        return value.digits
    if isinstance(value, int):
        return str(value)
    raise TypeError(type(value).__name__)


@lru_cache(256)  # The same few names in each record and each answer.
def _name(key: str) -> str:
    return _quoted(key) + ":"
