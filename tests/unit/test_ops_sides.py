"""Our records against the provider's own list, of one order and of a period; messages in quarantine, applied again."""

import os
import random
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from ops import compare, quarantine, reconcile
from ops.items import Table
from ops.places import OpsError
from payments import exact_json
from payments.facts import State
from payments.messages import OrderView
from payments.orders import MOST_WEBHOOKS
from receive_webhook import WebhookOutcome
from tests.fakes.scene import ABSENT, HOLD, POS_ID, Scene, fields, operation, view
from tests.fakes.secret import PUBLISHED
from tests.unit.test_ops import HOLD as UNREAD
from tests.unit.test_ops import SAID, record
from tests.unit.test_ops_cells import exact

ANOTHER = PUBLISHED | {"pos_id": "11111111-51ef-4ef1-80f7-3b44b07b5667", "api_secret": "another"}
VOIDED, FAILED, UNKNOWN = record(State.VOIDED), record(State.FAILED), record(None)
VOID, PENDING = operation(), operation(status="pending")
OTHER_HOLD = operation(method="auth", operation_id="h2", payment_id="another")
SILENT = OrderView((), partial=True)


def decided(given: dict[str, Any], decision: str, **changes: str) -> dict[str, Any]:
    return given | {"decisions": [SAID | {"decision": decision} | changes]}


DIFFERENCES: dict[str, tuple[dict[str, Any] | None, OrderView, str, str]] = {
    "voided": (VOIDED, view(VOID), "", ""),
    "failed": (FAILED, view(), "", ""),
    "failed and not known": (FAILED, ABSENT, "", ""),
    "no void there": (VOIDED, view(), "voided-here-not-there", "lists no successful void"),
    "a pending void there": (VOIDED, view(PENDING), "voided-here-not-there", "lists no successful void"),
    "no order there": (VOIDED, ABSENT, "voided-here-not-there", "may also be a delay"),
    "a void there, open here": (UNKNOWN, view(VOID), "voided-there-not-here", "`refresh` takes it over"),
    "a void there, failed here": (FAILED, view(operation(method="VOID")), "voided-there-not-here", "`refresh` takes it over"),
    "open": (UNKNOWN, view(), "open", "our record is"),
    "under way": (FAILED, view(PENDING), "open", "a void under way"),
    "two voids": (VOIDED, view(VOID, operation(operation_id="other")), "second-void", "executed 2 voids"),
    "an amount": (VOIDED, view(operation(amount=99)), "amount", "amount: ours 100, theirs 99"),
    "a currency": (VOIDED, view(operation(currency="USD")), "currency", "theirs USD"),
    "an id": (VOIDED, view(operation(payment_id="p2")), "ids", "payment_id: ours"),
    "another hold": (VOIDED, view(VOID, OTHER_HOLD), "another-hold", "may stand: another"),
    "no record": (None, view(VOID), "unknown-here", "lists 1 void(s), and we have no record"),
    "no record of a void that failed": (None, view(operation(status="failure")), "", ""),
    "decided as voided": (decided(VOIDED, "voided"), view(), "decided", "by phone"),
    "decided as not voided": (decided(FAILED, "not-voided"), view(PENDING), "decided", "by phone"),
    "only read": (decided(VOIDED, "reviewed"), view(), "voided-here-not-there", ""),
    "a decision contradicted": (decided(FAILED, "not-voided"), view(VOID), "voided-there-not-here", ""),
    "a decision of an earlier attempt": (
        decided(VOIDED, "voided", at="2020-01-01T00:00:00.000Z"), view(), "voided-here-not-there", ""),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "kind", "says"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_differs_is_named(ours: dict[str, Any] | None, theirs: OrderView, kind: str, says: str) -> None:
    found = compare.differences(ours, theirs)
    assert [one.kind for one in found] == ([kind] if kind else [])
    assert says in "".join(one.says for one in found)
    assert all(("by phone" in one.says) is (one.kind == compare.DECIDED) for one in found)


def test_the_provider_is_asked_with_the_credentials_of_the_records_project() -> None:
    provider, secret = Mock(), Scene(previous=ANOTHER).secret
    provider.get_order.return_value = ABSENT
    for pos_id in (None, POS_ID, POS_ID.upper(), ANOTHER["pos_id"]):
        compare.ask(secret, provider, "123", pos_id)
    assert [call.args[0].pos_id for call in provider.get_order.mock_calls] == [POS_ID] * 3 + [ANOTHER["pos_id"]]
    with pytest.raises(OpsError, match="no credentials of project nobody's"):
        compare.ask(secret, provider, "123", "nobody's")
    for provider.get_order.return_value in ("time-out", OrderView((VOID,), partial=True)):
        with pytest.raises(OpsError, match="nothing can be said"):
            compare.ask(secret, provider, "123", None)


# Reconciling


class Book:
    """Our records and the provider's lists of the same orders, equal: every fifth has failed."""

    def __init__(self, orders: int) -> None:
        names = [f"order-{number}" for number in range(orders)]
        self.records = {name: (VOIDED if at % 5 else FAILED) | {"order_id": name} for at, name in enumerate(names)}
        self.views = {name: view(VOID) if at % 5 else view() for at, name in enumerate(names)}
        self.asked, self.dies_after = list[str](), 10**9

    def look(self, order: str, _: str | None) -> OrderView:
        self.asked.append(order)
        if len(self.asked) > self.dies_after:
            raise KeyboardInterrupt
        if self.views[order] is SILENT:
            raise OpsError("nothing can be said")
        return self.views[order]

    def run(self, folder: Path, named: Iterable[Any] = (), read: Iterable[Any] = ()) -> list[reconcile.Row]:
        ours, journal = lambda order, _: self.records.get(order), reconcile.Journal(folder, "q")
        run = reconcile.Run(ours, self.look, journal, lambda: None)
        return [row for rows in run.over(list(read) or list(self.records.values()), named) for row in rows]


FILE = [("order-2", "100.00", "UAH"), ("nobody", "1", "UAH"), ("portal", "100", "UAH"), ("hold", "100", None),
        ("order-3", "98", "USD")]  # fmt: skip
OF_FILE = [("nobody", "unknown-here"), ("portal", "unknown-here"), ("order-3", "amount"), ("order-3", "currency")]


def test_each_planted_difference_is_found_and_none_is_invented(tmp_path: Path) -> None:
    book, chance, planted = Book(4000), random.Random(7), dict[str, str]()
    more = [(VOIDED | {"review": True, "reviews": [UNREAD]}, view(VOID), "in-review", ""), (VOIDED, SILENT, "not-answered", "")]  # fmt: skip
    for number, (ours, seen, kind, _) in enumerate([*DIFFERENCES.values(), *more]):
        if ours is not None:
            name = f"order-{1 + 5 * (number * 31 + chance.randrange(30))}"
            book.records[name], book.views[name] = ours | {"order_id": name}, seen
            planted |= {name: kind} if kind else {}
    assert len(planted) == 19
    book.views |= {"nobody": ABSENT, "portal": view(VOID), "hold": OrderView((HOLD,))}
    named = [{"order_id": name, "amount": exact(amount), "currency": currency} for name, amount, currency in FILE]
    rows = book.run(tmp_path, named)
    assert Counter((row["order_id"], row["kind"]) for row in rows) == Counter([*planted.items(), *OF_FILE])
    assert reconcile.differ(rows)
    assert not reconcile.differ([row for row in rows if row["kind"] == "decided"])


def test_what_was_settled_while_it_was_looked_at_is_no_difference(tmp_path: Path) -> None:
    book = Book(2)
    older = book.records["order-1"] | {"state": "unknown", "settled_at": None, "provider": None}
    assert book.run(tmp_path, read=[older]) == []
    assert book.asked == ["order-1"] * 2


def test_a_killed_run_goes_on_and_asks_again_about_what_was_not_answered(tmp_path: Path) -> None:
    book = Book(40)
    book.views |= {"order-1": SILENT, "order-2": view()}
    book.dies_after = 20
    with pytest.raises(KeyboardInterrupt):
        book.run(tmp_path)
    journal = reconcile.Journal(tmp_path, "q")
    with journal.path.open("a") as out:
        out.write('["half a li')
    book.asked, book.dies_after, book.views["order-1"] = [], 40, view(VOID)
    assert [(row["order_id"], row["kind"]) for row in book.run(tmp_path)] == [("order-2", "voided-here-not-there")]
    assert "order-1" in book.asked
    assert not {f"{POS_ID}#{order}" for order in book.asked} & set(journal.done)
    assert reconcile.Journal(tmp_path, "another question").done == {}
    os.utime(journal.path, (0, 0))
    assert reconcile.Journal(tmp_path, "q").done == {}  # what was equal long ago is queried again


FILES: list[tuple[str, list[Any] | None]] = [
    ("order_id\n00123\n", [("00123", None, None)]),
    ("\ufefforder_id;amount;currency\r\n7;1 000,50;UAH\r\n;;\r\n", [("7", exact("1000.50"), "UAH")]),
    ('when\torder_id\tamount\n1\t"=""00123"""\t5\n2\t\'=a\t\n', [("00123", exact("5"), None), ("=a", None, None)]),
    ("order;amount\n1;2\n", None), ("order_id,amount\n1,many\n", None), ("order_id\n\udcff\n", None), ("", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "found"), FILES, ids=ascii)
def test_the_file_of_finance_is_read_as_spreadsheets_write_it_and_another_is_refused(
    tmp_path: Path, text: str, found: list[Any] | None
) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OpsError) if found is None else nullcontext():
        assert [tuple(line.values()) for line in reconcile.orders(str(path))] == found


def test_no_more_is_asked_a_second_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = [0.0]
    monkeypatch.setattr(reconcile, "time", SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append))
    wait = reconcile.pace(5)
    for _ in range(11):
        wait()
    assert sum(slept) == pytest.approx(2.0)


# Quarantine


def message(**changes: Any) -> dict[str, str]:
    text = exact_json.write(fields(**changes))
    return {"digest": "d" * 64, "received_at": "2026-11-24T10:00:00.000Z", "why": "unreadable", "text": text}


@pytest.mark.parametrize("named", [None, ANOTHER["pos_id"].upper()], ids=["this project", "the previous one"])
def test_a_readable_message_is_applied_once_to_the_order_of_its_project(named: str | None) -> None:
    scene = Scene(previous=ANOTHER)
    kept = message(comment="[masked]", **({"pos_id": named} if named else {}))  # a masked comment does not matter
    outcomes = [quarantine.apply(scene.storage, kept).outcome for _ in range(2)]
    assert outcomes == [WebhookOutcome.APPLIED, WebhookOutcome.DUPLICATE]
    assert scene.record(pos_id=ANOTHER["pos_id"] if named else POS_ID).state is State.VOIDED


UNUSABLE = [
    (message() | {"text": "{"}, "still unreadable"),
    (message(pos_id="another"), "no credentials of project another"),
    (message(order_id="[masked]"), "order_id was masked"),
    (message(transaction_id="a[masked]"), "transaction_id was masked"),
    (message(order_id=".."), "its order id must be text of 1 to 32 characters"),
    (message(order_id=" 1"), "its order id must not begin or end with a blank"),
]


@pytest.mark.parametrize(("kept", "says"), UNUSABLE)
def test_what_cannot_be_trusted_is_not_applied(kept: dict[str, str], says: str) -> None:
    scene = Scene()
    with pytest.raises(OpsError, match=says):
        quarantine.apply(scene.storage, kept)
    assert scene.table.items == {}


def test_what_an_order_has_no_room_for_is_said() -> None:
    scene = Scene()
    for code in [*map(str, range(MOST_WEBHOOKS)), "one more"]:
        last = quarantine.apply(scene.storage, message(status_code=code))
    assert last.outcome is WebhookOutcome.QUARANTINED  # asks for a review
    with pytest.raises(OpsError, match=r"still cannot be stored, as when it came \(unreadable\): the record stays"):
        quarantine.apply(scene.storage, message(status_code="one more"))


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "a" * 65, "../../../.."])
def test_a_digest_is_hex(digest: str) -> None:
    with pytest.raises(OpsError, match="digest"):
        quarantine.find(Table(None, "t"), digest, date(2026, 11, 24))
