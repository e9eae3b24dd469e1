"""The only file that touches DynamoDB: conditional writes that recognise themselves, and bounded reads.

Promises that a write which rests on a version fails if somebody wrote since, and that a write whose answer was lost is
recognised by its `write_id`. Never scans, never deletes, never writes unconditionally over a record.
"""

import base64
import binascii
import json
import time
from collections.abc import Iterable, Mapping
from copy import replace
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from payments import exact_json
from payments.messages import PROVIDER_FIELDS, Fields, Operation
from payments.operations import Change, Evidence, Reason, State, UsedKey, Void

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

VOID = "VOID"
TIMELINE = "timeline"
DUE = "DUE"
REVIEW = "REVIEW"
TOP = "~"
"""The record is behind every timestamp of its order: one query returns it and the newest events."""
MOST_EVENTS = 100
QUARANTINE_SECONDS = 90 * 86_400
LONGEST_CURSOR = 2_048
CONFLICT_PAUSES = (0.02, 0.05, 0.1)
"""Seconds. A webhook's transaction is on the same record just now; the SDK does not repeat such a single write."""

Item = dict[str, Any]
Listing = Literal["unsettled", "review"]


class StoreError(Exception):
    """The table cannot be used now; whether a write was applied is not known. The text is the kind of error."""


class BadCursor(Exception):
    """The cursor is none of ours."""


@dataclass(frozen=True, slots=True)
class Written:
    """The record as it stands in the table, written by us."""

    void: Void


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else wrote first; `void` is the newer truth."""

    void: Void


@dataclass(frozen=True, slots=True)
class Unreleased:
    """Nothing was written: a merge must decide. `void` is the record as it stood, None if that is not known."""

    void: Void | None


@dataclass(frozen=True, slots=True)
class Event:
    """One genuine webhook of an order, reduced to the allow-listed fields."""

    digest: str
    received_at: str
    verified_with: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Page:
    """Some records and where to go on."""

    voids: tuple[Void, ...]
    cursor: str | None
    unreadable: int = 0
    """Items that this release cannot read, as after a rollback: left out, so that they do not stop the others."""


class Store:
    """One table. The client is made once by the handler; `write_id`s are made by the caller, fresh for each write."""

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client, self._table = client, table_name

    def load(self, pos_id: str, order_id: str) -> Void | None:
        """Read the record, as of now. Raises StoreError."""
        answer = self._call("get_item", Key=_key(pos_id, order_id), ConsistentRead=True)
        item = answer.get("Item")
        return read_void(item) if item else None

    def create(self, void: Void, write_id: str) -> Written | Conflict:
        """Write the first record of an order; needs no read. Raises StoreError."""
        return self._put(void, write_id, "attribute_not_exists(pk)", {})

    def replace(self, void: Void, write_id: str) -> Written | Conflict:
        """Write a record that rests on the version it carries. Raises StoreError."""
        return self._put(void, write_id, "version = :seen", {":seen": {"N": str(void.version)}})

    def _put(self, void: Void, write_id: str, condition: str, values: Item) -> Written | Conflict:
        written = replace(void, version=void.version + 1, write_id=write_id)
        try:
            self._call(
                "put_item",
                Item=write_void(written),
                ConditionExpression=condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **({"ExpressionAttributeValues": values} if values else {}),
            )
        except _ConditionFailed as failed:
            current = self._after_refusal(failed, void)
            # The SDK repeats a request whose answer was lost: then the condition fails against our own write.
            if current.write_id == write_id:
                return Written(current)
            return Conflict(current)
        return Written(written)

    def _after_refusal(self, failed: "_ConditionFailed", void: Void) -> Void:
        if failed.item:
            return read_void(failed.item)
        current = self.load(void.pos_id, void.order_id)
        if current is None:
            raise StoreError("condition failed without a record")
        return current

    def put_event(self, pos_id: str, event: Event) -> bool:
        """Store one webhook; False if it was there. Raises StoreError."""
        try:
            self._call("put_item", Item=_event_item(pos_id, event), ConditionExpression="attribute_not_exists(pk)")
        except _ConditionFailed:
            return False
        return True

    def put_event_and_release(self, pos_id: str, event: Event, void: Void, write_id: str) -> Unreleased | None:
        """Store a success webhook and release the record in one transaction, without having read anything.

        `void` is the record to create where there is none. Unreleased: its conditions did not hold (the event is a
        repetition, or the record needs a merge). Raises StoreError.
        """
        put, released = _event_item(pos_id, event), void.history[-1]
        values: Item = {
            ":voided": {"S": State.VOIDED.value}, ":submitting": {"S": State.SUBMITTING.value},
            ":unknown": {"S": State.UNKNOWN.value}, ":false": {"BOOL": False},
            ":provider": put["provider"], ":seen": _texts(void.seen_ids),
            ":settled": {"S": timestamp(released.at)}, ":change": {"L": [_write_change(released)]},
            ":none": {"L": []}, ":one": {"N": "1"}, ":zero": {"N": "0"}, ":write": {"S": write_id},
            ":currency": _optional(void.order_currency), ":room": {"N": "90"}, ":order": {"S": void.order_id},
            ":pos": {"S": pos_id}, ":top": {"S": TOP},
        }  # fmt: skip
        update = (
            "SET #state = :voided, provider = :provider, seen_ids = :seen, settled_at = :settled, "
            "history = list_append(if_not_exists(history, :none), :change), "
            "version = if_not_exists(version, :zero) + :one, write_id = :write, "
            "attempt = if_not_exists(attempt, :zero), order_currency = if_not_exists(order_currency, :currency), "
            "review = if_not_exists(review, :false), corrected = if_not_exists(corrected, :false), "
            "resend_allowed = :false, order_id = :order, pos_id = :pos, #at = :top "
            "REMOVE reason, due_pk, due_at"
        )
        # Only what a blind update can do right: nothing to correct, to contradict or to fill, no other ids.
        condition = (
            "attribute_not_exists(pk) OR (#state IN (:submitting, :unknown) AND order_currency = :currency "
            "AND attribute_not_exists(provider) AND attribute_not_exists(seen_ids) AND size(history) < :room)"
        )
        try:
            self._call(
                "transact_write_items",
                TransactItems=[
                    {
                        "Put": {
                            "TableName": self._table,
                            "Item": put,
                            "ConditionExpression": "attribute_not_exists(pk)",
                        }
                    },
                    {
                        "Update": {
                            "TableName": self._table,
                            "Key": _key(pos_id, void.order_id),
                            "UpdateExpression": update,
                            "ConditionExpression": condition,
                            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                            "ExpressionAttributeNames": {"#state": "state", "#at": "at"},
                            "ExpressionAttributeValues": values,
                        }
                    },
                ],
                ClientRequestToken=write_id,
            )
        except _ConditionFailed as failed:
            return Unreleased(read_void(failed.item) if failed.item else None)
        return None

    def put_quarantine(self, digest: str, text: str, why: str, received_at: int) -> None:
        """Keep a genuine message that we cannot use, for 90 days. Raises StoreError."""
        day = datetime.fromtimestamp(received_at / 1000, UTC).date().isoformat()
        item = {
            "pk": {"S": f"QUARANTINE#{day}"},
            "sk": {"S": digest},
            "why": {"S": why},
            "received_at": {"S": timestamp(received_at)},
            "text": {"S": text},
            "expires_at": {"N": str(received_at // 1000 + QUARANTINE_SECONDS)},
        }
        try:
            self._call("put_item", Item=item, ConditionExpression="attribute_not_exists(pk)")
        except _ConditionFailed:
            return

    def timeline(self, pos_id: str, order_id: str) -> tuple[Void | None, list[Event], bool]:
        """The record, its newest events (newest last), if there are more: one consistent read. Raises StoreError."""
        answer = self._call(
            "query",
            IndexName=TIMELINE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition(pos_id, order_id)}},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=MOST_EVENTS + 2,
        )
        items = answer.get("Items", [])
        void = next((read_void(item) for item in items if item["sk"]["S"] == VOID), None)
        events = [_read_event(item) for item in items if item["sk"]["S"] != VOID]
        return void, events[:MOST_EVENTS][::-1], len(events) > MOST_EVENTS

    def list(self, which: Listing, limit: int, cursor: str | None = None) -> Page:
        """One page of the unsettled voids, or of those in review, next due first. Raises StoreError, BadCursor."""
        return self._page(which, limit, cursor, "", {})

    def due(self, now: int, limit: int, cursor: str | None = None) -> Page:
        """One page of the voids that are due, the longest due first. Raises StoreError."""
        return self._page("unsettled", limit, cursor, " AND due_at <= :now", {":now": {"N": str(now)}})

    def _page(self, which: Listing, limit: int, cursor: str | None, more: str, values: Item) -> Page:
        index, name, partition_name = (
            ("due", "due_pk", DUE) if which == "unsettled" else ("review", "review_pk", REVIEW)
        )
        start = {"ExclusiveStartKey": _read_cursor(cursor, index)} if cursor else {}
        answer = self._call(
            "query",
            IndexName=index,
            KeyConditionExpression=f"{name} = :pk{more}",
            ExpressionAttributeValues={":pk": {"S": partition_name}, **values},
            Limit=limit,
            **start,
        )
        items, last = answer.get("Items", []), answer.get("LastEvaluatedKey")
        voids = [void for item in items if (void := _read_if_possible(item)) is not None]
        return Page(tuple(voids), _write_cursor(last) if last else None, len(items) - len(voids))

    def _call(self, operation: str, **arguments: Any) -> Item:
        if operation != "transact_write_items":
            arguments["TableName"] = self._table
        for pause in (*CONFLICT_PAUSES, None):
            try:
                return dict(getattr(self._client, operation)(**arguments))
            except ClientError as error:
                if pause is None or _code(error) != "TransactionConflictException":
                    raise _translated(error) from None
                time.sleep(pause)
            except BotoCoreError as error:
                raise StoreError(type(error).__name__) from None
        raise AssertionError("the last round returns or raises")


class _ConditionFailed(Exception):
    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _translated(error: ClientError) -> Exception:
    response: Mapping[str, Any] = error.response
    code = _code(error)
    if code == "ConditionalCheckFailedException":
        return _ConditionFailed(dict(response.get("Item", {})))
    reasons = {str(reason.get("Code")) for reason in response.get("CancellationReasons", [])}
    if code == "TransactionCanceledException" and reasons <= {"None", "ConditionalCheckFailed", "TransactionConflict"}:
        # A conflict with another writer, too: the single writes decide then. Only the record comes back, not the event.
        items = [reason["Item"] for reason in response["CancellationReasons"] if reason.get("Item")]
        return _ConditionFailed(dict(items[0]) if items else {})
    return StoreError(code or "ClientError")


# ---- items -----------------------------------------------------------------------------------------------------------


def partition(pos_id: str, order_id: str) -> str:
    """The key of everything that belongs to one order."""
    return f"{pos_id}#{order_id}"


def _key(pos_id: str, order_id: str) -> Item:
    return {"pk": {"S": partition(pos_id, order_id)}, "sk": {"S": VOID}}


def timestamp(at: int) -> str:
    """Milliseconds since 1970 as `2026-11-24T10:10:10.100Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def write_void(void: Void) -> Item:
    """The item of a record; in the sparse indexes only while it is open, or needs a person.

    What is not known, or of which there is none, is not written: the SDK's work grows with each attribute.
    """
    texts = {
        "reason": void.reason.value if void.reason else None,
        "order_currency": void.order_currency,
        "comment": void.comment,
        "attempt_id": void.attempt_id,
        "requested_at": timestamp(void.requested_at) if void.requested_at is not None else None,
        "requested_by": void.requested_by,
        "settled_at": timestamp(void.settled_at) if void.settled_at is not None else None,
        "provider_code": void.provider_code,
        "provider_message": void.provider_message,
    }
    numbers = {
        "lease_until": void.lease_until,
        "settle_until": void.settle_until,
        "checks": void.checks,
        "asked_at": void.asked_at,
    }
    ids = {"own_ids": void.own_ids, "known_ids": void.known_ids, "seen_ids": void.seen_ids}
    item: Item = {
        **_key(void.pos_id, void.order_id),
        "at": {"S": TOP},
        "pos_id": {"S": void.pos_id},
        "order_id": {"S": void.order_id},
        "state": {"S": void.state.value},
        # The next five are what an event or a condition reads: always there.
        "review": {"BOOL": void.review},
        "corrected": {"BOOL": void.corrected},
        "resend_allowed": {"BOOL": void.resend_allowed},
        "attempt": _number(void.attempt),
        "version": _number(void.version),
        "sent": {"BOOL": void.sent},
        "history": {"L": [_write_change(change) for change in void.history]},
        "write_id": {"S": void.write_id},
        **{name: {"S": text} for name, text in texts.items() if text is not None},
        **{name: _number(number) for name, number in numbers.items() if number},
        **{name: _texts(values) for name, values in ids.items() if values},
    }
    if void.provider is not None:
        item["provider"] = _write_fields(void.provider)
    if void.keys:
        item["idempotency"] = {"L": [_write_key(key) for key in void.keys]}
    if void.due_at is not None:
        item |= {"due_pk": {"S": DUE}, "due_at": _number(void.due_at)}
    if void.review:
        item |= {"review_pk": {"S": REVIEW}, "review_at": _number(void.due_at or void.settled_at or 0)}
    return item


def read_void(item: Item) -> Void:
    """The record of an item. Attributes that a webhook's own record does not have read as unknown."""
    reason, requested, settled = _text(item, "reason"), _text(item, "requested_at"), _text(item, "settled_at")
    return Void(
        pos_id=item["pos_id"]["S"],
        order_id=item["order_id"]["S"],
        state=State(item["state"]["S"]),
        order_currency=_text(item, "order_currency"),
        reason=Reason(reason) if reason else None,
        review=_flag(item, "review"),
        corrected=_flag(item, "corrected"),
        resend_allowed=_flag(item, "resend_allowed"),
        comment=_text(item, "comment"),
        attempt=_integer(item, "attempt"),
        attempt_id=_text(item, "attempt_id"),
        sent=_flag(item, "sent"),
        own_ids=_ids(item, "own_ids"),
        known_ids=_ids(item, "known_ids"),
        seen_ids=_ids(item, "seen_ids"),
        requested_at=_milliseconds(requested) if requested else None,
        requested_by=_text(item, "requested_by"),
        lease_until=_integer(item, "lease_until"),
        settle_until=_integer(item, "settle_until"),
        settled_at=_milliseconds(settled) if settled else None,
        provider=_read_fields(item["provider"]) if "provider" in item else None,
        provider_code=_text(item, "provider_code"),
        provider_message=_text(item, "provider_message"),
        history=tuple(_read_change(change["M"]) for change in item.get("history", {}).get("L", [])),
        keys=tuple(_read_key(key["M"]) for key in item.get("idempotency", {}).get("L", [])),
        checks=_integer(item, "checks"),
        asked_at=_integer(item, "asked_at"),
        due_at=_integer(item, "due_at") if "due_at" in item else None,
        version=_integer(item, "version"),
        write_id=_text(item, "write_id") or "",
    )


def _read_if_possible(item: Item) -> Void | None:
    try:
        return read_void(item)
    except (KeyError, ValueError, exact_json.Unreadable):
        return None


def _event_item(pos_id: str, event: Event) -> Item:
    return {
        "pk": {"S": partition(pos_id, event.operation.order_id)},
        "sk": {"S": f"EVENT#{event.digest}"},
        "at": {"S": event.received_at},
        "method": {"S": event.operation.method},
        "status": {"S": event.operation.status},
        "verified_with": {"S": event.verified_with},
        "provider": _write_fields(event.operation.fields),
    }


def _read_event(item: Item) -> Event:
    fields = _read_fields(item["provider"])
    operation = Operation(item["method"]["S"], item["status"]["S"], str(fields.get("order_id")), fields)
    return Event(item["sk"]["S"].removeprefix("EVENT#"), item["at"]["S"], item["verified_with"]["S"], operation)


def _write_fields(fields: Fields) -> Item:
    """One JSON text: a map of its own numbers would turn 100.00 into 100, and costs the SDK five times the work."""
    return {"S": exact_json.write({name: fields[name] for name in PROVIDER_FIELDS if fields.get(name) is not None})}


def _read_fields(value: Item) -> Fields:
    # Another form is not read as "nothing known": the next write would lose what the provider said.
    stored = exact_json.parse(value["S"])
    if not isinstance(stored, dict):
        raise ValueError("provider")
    fields = {name: stored.get(name) for name in PROVIDER_FIELDS}
    return {**fields, "amount": _exact(fields["amount"]), "fee": _exact(fields["fee"])}


def _exact(value: object) -> object:
    return Decimal(value) if isinstance(value, int) else value


def _write_change(change: Change) -> Item:
    return {
        "M": {
            "at": {"S": timestamp(change.at)},
            "state": {"S": change.state.value},
            "evidence": {"S": change.evidence.value},
        }
    }


def _read_change(item: Item) -> Change:
    return Change(_milliseconds(item["at"]["S"]), State(item["state"]["S"]), Evidence(item["evidence"]["S"]))


def _write_key(key: UsedKey) -> Item:
    return {"M": {"key": {"S": key.key}, "body_hash": {"S": key.body_hash}, "attempt": _number(key.attempt)}}


def _read_key(item: Item) -> UsedKey:
    return UsedKey(item["key"]["S"], item["body_hash"]["S"], int(item["attempt"]["N"]))


def _optional(value: str | None) -> Item:
    return {"NULL": True} if value is None else {"S": value}


def _number(value: int) -> Item:
    return {"N": str(value)}


def _texts(values: Iterable[str]) -> Item:
    return {"L": [{"S": value} for value in sorted(values)]}


def _text(item: Item, name: str) -> str | None:
    value = item.get(name, {}).get("S")
    return value if isinstance(value, str) else None


def _flag(item: Item, name: str) -> bool:
    return item.get(name, {}).get("BOOL") is True


def _integer(item: Item, name: str) -> int:
    return int(item.get(name, {}).get("N", "0"))


def _ids(item: Item, name: str) -> frozenset[str]:
    return frozenset(value["S"] for value in item.get(name, {}).get("L", []))


# ---- cursors ---------------------------------------------------------------------------------------------------------


def _write_cursor(key: Item) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, index: str) -> Item:
    try:
        if len(cursor) > LONGEST_CURSOR or not cursor.isascii():
            raise ValueError
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise BadCursor from None
    kinds = {"pk": "S", "sk": "S", f"{index}_pk": "S", f"{index}_at": "N"}
    if not isinstance(key, dict) or key.keys() != kinds.keys():
        raise BadCursor
    for name, kind in kinds.items():
        value = key[name]
        if not isinstance(value, dict) or list(value) != [kind] or not isinstance(value[kind], str):
            raise BadCursor
    if not key[f"{index}_at"]["N"].isdecimal():
        raise BadCursor
    return dict(key)
