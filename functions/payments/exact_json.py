"""JSON with exact numbers: what the provider wrote as 100.00 stays 100.00, in the record and in our answers.

Never goes through binary floating point. Pure.
"""

import json
from decimal import Decimal

# Made once: `json.dumps` with an option makes a new encoder for each call.
_encode = json.JSONEncoder(ensure_ascii=False).encode


class Unreadable(Exception):
    """The text is no JSON that we accept: malformed, not UTF-8, not finite, or nested too deeply."""


def parse(text: bytes | str) -> object:
    """Read one JSON text (UTF-8). Raises Unreadable, never anything else."""
    try:
        return json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        # The text itself may be personal data: only the kind of error leaves.
        raise Unreadable(type(error).__name__) from None


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def write(value: object) -> str:
    """Write a value as compact JSON; a Decimal is written with its own digits."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_encode(str(key))}:{write(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(write(item) for item in value) + "]"
    return _encode(value)
