"""An order as an item of the table, and back; where a list of them goes on. Pure.

The facts are one zipped text, because the SDK's work grows with each attribute, and what is written costs by the
kilobyte. Anybody reads it with `base64 -d | gunzip`. Flat attributes are what follows from the facts, for indexes,
conditions and the stream: written with every write, and never read back. What is not known is not written.
"""

import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from payments.facts import Facts, State
from payments.facts_text import digest_of, own_fields, read_change, read_facts, read_webhook, write_facts, write_webhook
from payments.orders import Order, Void
from payments.reviews import Reason, Review

Item = dict[str, Any]

ORDER, HEARTBEAT = "ORDER", "HEARTBEAT"
SETTLES = "void.settled"
"""In the one write that settles an order: the pipe passes it on by this name."""
DUE, RECHECK, REVIEW, SETTLED = "DUE", "RECHECK", "REVIEW", "SETTLED"
"""The partitions of the sparse indexes: open voids, settled ones that are re-checked, with a review, and by day."""
SHARDS = 8
"""Each partition is spread over this many keys, by the order's hash: one key takes 1,000 writes a second at most."""
DAY_SECONDS = 86_400


def partition(pos_id: str, order_id: str) -> str:
    return f"{pos_id}#{order_id}"


def key(pos_id: str, order_id: str) -> Item:
    return {"pk": {"S": partition(pos_id, order_id)}, "sk": {"S": ORDER}}


def shards(kind: str) -> tuple[str, ...]:
    return tuple(f"{kind}#{number}" for number in range(SHARDS))


def day_of(settled_at: str) -> str:
    """The kind of the voids that were settled on one UTC day, `2026-11-30`."""
    return f"{SETTLED}#{settled_at[:10]}"


def shard_of(pk: str) -> str:
    return str(zlib.crc32(pk.encode("utf-8", "replace")) % SHARDS)


def _shard(kind: str, pk: str) -> Item:
    return {"S": f"{kind}#{shard_of(pk)}"}


@lru_cache(64)  # one request tells the same few moments several times
def timestamp(at: int) -> str:
    """Milliseconds since 1970 as `2026-11-24T10:10:10.100Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_order(order: Order, keep_days: int | None = None) -> Item:
    """The item of an order. `keep_days`: how long what is settled is kept; None: for ever."""
    void, mine = order.void, own_fields(order.pos_id, order.order_id)
    text = write_facts(order, void.provider if void is not None else None, mine)
    _, _, said = text.partition("\n")
    item: Item = {
        **key(order.pos_id, order.order_id),
        "version": number(order.version),
        "write_id": {"S": order.write_id},
        "webhooks": {"M": {digest: {"S": write_webhook(each, said, mine)} for digest, each in order.webhooks.items()}},
    }
    if order.more_webhooks:
        item["more_webhooks"] = {"BOOL": True}
    if order.facts != Facts():
        item["facts"] = {"B": _zipped(text)}
    if said:
        item["said"] = {"S": digest_of(said)}
    return item if void is None else item | _projected(order, void, item["pk"]["S"], keep_days)


def _projected(order: Order, void: Void, pk: str, keep_days: int | None) -> Item:
    settled_at = timestamp(void.settled_at) if void.settled_at is not None else None
    texts = {
        "reason": void.reason.value if void.reason else None,
        "order_currency": void.order_currency,
        "settled_at": settled_at,
        "settled_by": ("operator" if void.by_operator else "provider") if settled_at else None,
        "event_id": order.event_id or None,
        "settles": SETTLES if order.settles else None,
    }
    item: Item = {
        # For what leaves by the stream: safe in JSON without any escaping.
        "order_id_quoted": {"S": quote(order.order_id, safe="")},
        "state": {"S": void.state.value},
        "review": {"BOOL": void.review},
        "corrected": {"BOOL": void.corrected},
        "attempt": number(void.facts.number),
        **{name: {"S": text} for name, text in texts.items() if text is not None},
    }
    if void.due_at is not None:
        item |= {"due_pk": _shard(RECHECK if settled_at else DUE, pk), "due_at": number(void.due_at)}
    if void.review:
        item |= {"review_pk": _shard(REVIEW, pk), "review_at": number(void.due_at or void.settled_at or 0)}
    if settled_at is not None:
        item["settled_pk"] = _shard(day_of(settled_at), pk)
    # Nothing open, unconfirmed or unread ever expires.
    confirmed = not (void.by_operator and void.state is State.VOIDED)
    if keep_days is not None and void.settled_at is not None and confirmed and void.due_at is None and not void.review:
        item["expires_at"] = number(void.settled_at // 1000 + keep_days * DAY_SECONDS)
    return item


def read_order(item: Mapping[str, Any]) -> Order:
    """The order of an item. For none of ours it raises what `store` calls an unreadable record."""
    pos_id, _, order_id = item["pk"]["S"].partition("#")
    mine, webhooks = own_fields(pos_id, order_id), item["webhooks"]["M"].items()
    values, facts, shown = read_facts(_unzipped(item["facts"]["B"]) if "facts" in item else "{}", mine)
    if facts == Facts() and "state" in item:
        raise ValueError("facts")  # not "nothing known": a void would be sent beside what it says
    return Order(
        pos_id=pos_id,
        order_id=order_id,
        facts=facts,
        history=tuple(read_change(*line) for line in values.get("history", ())),
        reviews=tuple(Review(Reason(reason), *more) for reason, *more in values.get("reviews", ())),
        webhooks={digest: read_webhook(digest, value["S"], shown, mine) for digest, value in webhooks},
        more_webhooks="more_webhooks" in item,
        version=int(item["version"]["N"]),
        write_id=item["write_id"]["S"],
        event_id=item.get("event_id", {"S": ""})["S"],
    )


def write_quarantine(digest: str, text: str, why: str, received_at: int) -> Item:
    """A genuine message that we cannot use, kept for 90 days."""
    day = datetime.fromtimestamp(received_at / 1000, UTC).date().isoformat()
    return {
        "pk": {"S": f"QUARANTINE#{day}"},
        "sk": {"S": digest},
        "why": {"S": why},
        "received_at": {"S": timestamp(received_at)},
        "text": {"S": text},
        "expires_at": number(received_at // 1000 + 90 * DAY_SECONDS),
    }


def write_heartbeat(at: int) -> Item:
    """What takes the way of settled voids, in their form: the pipe has one template for all that passes it."""
    return {
        "pk": {"S": HEARTBEAT},
        "sk": {"S": HEARTBEAT},
        "settles": {"S": "void-service.heartbeat"},
        "settled_at": {"S": timestamp(at)},
        "review": {"BOOL": False},
        "corrected": {"BOOL": False},
    }


def number(value: int) -> Item:
    return {"N": str(value)}


class Zipped(str):
    """Binary as it travels: base64. An SDK that knows the types of attributes asks for the bytes, and answers bytes."""

    def encode(self, encoding: str = "", errors: str = "") -> bytes:  # noqa: ARG002 it is no text
        return a2b_base64(self)


def _zipped(text: str) -> Zipped:
    # As gzip, without a time. Its usual window and tables are for long files: to set them up takes five times as long.
    zipping = zlib.compressobj(6, zlib.DEFLATED, 16 + 12, 5)
    return Zipped(b2a_base64(zipping.compress(text.encode()) + zipping.flush(), newline=False).decode())


def _unzipped(data: bytes | str) -> str:
    unzipping = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = unzipping.decompress(a2b_base64(data) if isinstance(data, str) else data, 2**22)  # more than any facts take
    if not unzipping.eof:
        raise ValueError("facts")  # cut, or no facts of ours
    return text.decode()
