"""JSON with exact numbers: what the provider wrote as 100.00 stays 100.00, in the record and in our answers.

Never goes through binary floating point. Pure.
"""

import json
from decimal import Decimal
from functools import lru_cache


class Unreadable(Exception):
    """The text is no JSON that we accept: malformed, not UTF-8, not finite, or nested too deeply."""


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


_NUMBERS, _SEQUENCES = (Decimal, int), (list, tuple)
# Made once: `json.dumps` and `json.loads` with an option make a new coder for each call.
_encode = json.JSONEncoder(ensure_ascii=False).encode
_decode = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant).decode


def parse(text: bytes | str) -> object:
    """Read one JSON text (UTF-8). Raises Unreadable, never anything else."""
    try:
        return _decode(text if isinstance(text, str) else text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        # The text itself may be personal data: only the kind of error leaves.
        raise Unreadable(type(error).__name__) from None


def write(value: object) -> str:
    """Write a value as compact JSON; a Decimal is written with its own digits."""
    # Strings and nothing are nearly all there is: first, and without the encoder's own preparations for a whole tree.
    if isinstance(value, str):
        return _encode(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _NUMBERS):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join([_name(str(key)) + write(item) for key, item in value.items()]) + "}"
    if isinstance(value, _SEQUENCES):
        return "[" + ",".join([write(item) for item in value]) + "]"
    return _encode(value)


@lru_cache(256)  # The same few names in each record and each answer.
def _name(key: str) -> str:
    return _encode(key) + ":"
