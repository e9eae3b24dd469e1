"""Where a list of orders goes on: for each shard the order after which it does, as text that fits a URL. Pure."""

import base64
import json
import re

from payments import exact_json
from payments.items import ORDER, Item, shard_of, shards

LONGEST_CURSOR = 16_384
"""Eight keys of 400 bytes, each character of which may take twelve as JSON."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_DIGITS = re.compile(r"\d{1,15}", re.ASCII)


class BadCursor(Exception):
    """The cursor is none of ours."""


def write_cursor(places: dict[str, Item | None], index: str) -> str:
    """The cursor of these items or start keys, as text that fits a URL."""
    shown = {
        shard: [key["pk"]["S"], next(iter(key[f"{index}_at"].values()))] if key else None
        for shard, key in places.items()
    }
    return base64.urlsafe_b64encode(json.dumps(shown, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str, index: str, kind: str) -> dict[str, Item | None]:
    """The start keys of a cursor. Raises BadCursor."""
    try:
        if len(cursor) > LONGEST_CURSOR:
            raise ValueError
        places = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise BadCursor from None
    if not isinstance(places, dict) or not places or not places.keys() <= set(shards(kind)):
        raise BadCursor
    return {shard: _read_place(place, index, shard) for shard, place in places.items()}


def _read_place(place: object, index: str, shard: str) -> Item | None:
    """The start key of a shard. What the table would refuse is refused here, as the caller's mistake and not ours."""
    match place:
        case None:
            return None
        case [str(pk), str(at)] if (_MOMENT if index == "settled" else _DIGITS).fullmatch(at) and 0 < len(pk) <= 400:
            moment = {"S" if index == "settled" else "N": at}
            if shard_of(pk) == shard.rpartition("#")[2] and pk == exact_json.without_surrogates(pk):
                return {"pk": {"S": pk}, "sk": {"S": ORDER}, f"{index}_pk": {"S": shard}, f"{index}_at": moment}
    raise BadCursor
