"""What the operators' command line makes of a period: cells and files, reconciliation, events, the report; and erasing."""

import json
import os
import random
import re
import shutil
import stat
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from copy import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from infra.settled_event import TEMPLATE
from ops import __main__ as command
from ops import api, erase, events, export, files, items, reconcile, report, systems
from ops.places import OpsError
from ops.screen import clean
from payments.facts import Decision, State, Word
from payments.messages import Operation, OrderView
from payments.orders import Order, StoredWebhook
from tests.fakes import pipe
from tests.fakes.scene import ABSENT, HOLD, ORDER, POS_ID, START, Scene, operation, order_of, submitting, view
from tests.unit.test_ops import Pages, exact, record

SIGNS = [
    "=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫", "−", "⁼", "⁺", "⁻", "₌", "₊", "₋", "‐", "‑", "➕", "➖",
    "˗", "﬩", "꞊",
]  # fmt: skip
AHEAD = [
    "", " ", "   ", "\xa0", "\u3000", "\u2007", "\t", "\r", "\n", "\r\n", " \t ", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u200b",
    "\u202e", "\ufeff", "\u2060", "\u00ad", "\u034f", "\u0301", "\ufe0f", "\u3164", "\u115f", "\u2800", "\U000e0020",
]  # fmt: skip


@pytest.mark.parametrize("sign", SIGNS, ids=ascii)
def test_no_cell_begins_a_formula(sign: str) -> None:
    for ahead in AHEAD:
        cell = export.cell(f"{ahead}{sign}1+1")
        assert cell.startswith("'"), ascii(ahead)
        assert cell.replace("'", "") == f"{clean(ahead, keep='\t\r\n')}{sign}1+1"


@pytest.mark.parametrize("sign", SIGNS, ids=ascii)
def test_no_formula_hides_behind_what_parts_cells_elsewhere(sign: str) -> None:
    for part, blank in ((";", ""), (";", " "), (";", "\xa0"), ("\t", ""), ("\n", ""), ("\r\n", "")):
        assert export.cell(f"a{part}{blank}{sign}1+1") == f"a{part}'{blank}{sign}1+1"


@pytest.mark.parametrize(
    "text",
    ["", " ", "a", "a=b", "a-b", "1+1", "'=1", "слово", "10101", "– з тире", "—", "№ 5", "🙂", "a; b", "a;b\nc", "(−1)", "a\t1",
     "https://x.example/?a=b;c=d", "\u0301a", "´"],
    ids=ascii,
)  # fmt: skip
def test_other_text_stays_as_it_is(text: str) -> None:
    assert export.cell(text) == text


def test_what_a_tab_or_a_line_break_begins_is_text_as_well() -> None:
    for begin in "\t\r\n":
        assert export.cell(f"{begin}1") == f"'{begin}1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (3, "3"), (exact("100.00"), "100.00"), (exact("1E-7"), "0.0000001"), (exact("1E+2"), "100"),
     (exact("12345678901234567890.01"), "12345678901234567890.01"), (exact("-1.50"), "-1.50"),
     (exact("-1e1000000000000000000"), "'-1e1000000000000000000"), ({"a": exact("1.0")}, '{"a":1.0}'),
     ("0012", "0012"), ("a=b", "a=b")],
)  # fmt: skip
def test_cells_are_exact(value: object, text: str) -> None:
    assert export.cell(value) == text


def test_a_terminal_gets_no_line_breaks_inside_a_cell() -> None:
    assert export.cell("a\r\nb") == "a\r\nb"
    assert export.cell("a\r\nb", to_terminal=True) == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


def test_a_row_has_every_column_and_the_providers_digits() -> None:
    said = record(State.VOIDED)["provider"] | {
        "amount": exact("100.00"),
        "fee": {"amount": exact("1.0"), "currency": "UAH"},
    }
    row = export.row(record(State.VOIDED, provider=said, provider_code="4150", provider_message="Refused"))
    assert tuple(row) == export.COLUMNS
    assert len(export.COLUMNS) == 29
    shown = [
        export.cell(row[name])
        for name in (
            "provider_amount",
            "provider_fee_amount",
            "provider_fee_currency",
            "provider_code",
            "provider_message",
            "pos_id",
        )
    ]
    assert shown == ["100.00", "1.0", "UAH", "4150", "Refused", POS_ID]


TEXTS = [
    "00123",
    "12345678901234567890",
    "1E5",
    "2026-03-01",
    "3-4",
    "1/2",
    "TRUE",
    "1:30",
    "5%",
    'say "7"',
    "order-7",
    "слово",
    "+380",
    "=1+1",
]


def test_a_spreadsheet_shows_text_as_it_is(tmp_path: Path) -> None:
    """In a real one, which guesses as Excel does."""
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("no LibreOffice on PATH (Debian: apt-get install libreoffice-calc)")
    path = tmp_path / "voids.csv"
    with files.whole_file(str(path), "utf-8-sig") as out:
        export.write_csv(out, (export.row(record(State.VOIDED, order_id=text)) for text in TEXTS), excel=True)
    # UTF-8, as the mark says to whoever opens it by hand; and every guess that there is.
    options = [
        "--headless",
        f"-env:UserInstallation=file://{tmp_path}/profile",
        "--infilter=CSV:44,34,76,1,,0,false,true",
    ]
    convert = [office, *options, "--convert-to", "fods", "--outdir", str(tmp_path), str(path)]
    subprocess.run(convert, check=True, capture_output=True, timeout=120)
    rows = (tmp_path / "voids.fods").read_text("utf-8").split("<table:table-row")[2 : 2 + len(TEXTS)]
    cells = [re.search(r"<table:table-cell(.*?)(?:/>|</table:table-cell>)", row, re.DOTALL) for row in rows]
    assert all(cell and 'value-type="string"' in cell[1] for cell in cells)
    shown = [
        re.findall(r"<text:p>(.*?)</text:p>", row)[0].replace("&quot;", '"').replace("&apos;", "'") for row in rows
    ]
    assert shown == [f"'{text}" if text[0] in "+=" else text for text in TEXTS]


@pytest.mark.parametrize(
    ("value", "cell"),
    [("voided", "voided"), ("00123", '="00123"'), ("9" * 200, "'" + "9" * 200), ("true", '="true"'), ("=1", "'=1"),
     (exact("100.00"), "100.00"), (3, "3"), (None, ""), ("1\n2", "1\n2")],
)  # fmt: skip
def test_only_text_that_would_be_guessed_is_protected(value: object, cell: str) -> None:
    assert export.spreadsheet(value) == cell


# Periods


def test_a_period_is_whole_days_both_included() -> None:
    period = export.period("2026-11-01", "2026-11-30")
    assert (period.begin, period.end) == ("2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z")
    assert export.month("2026-11") == period


@pytest.mark.parametrize("text", ["", "20261124", "2026-W48-2", "2026-02-30", "24.11.2026", "0001-01-01", "9999-12-31"])
def test_other_dates_are_refused(text: str) -> None:
    for read in (export.day, events.moment if "W" not in text and text != "20261124" else export.day, export.month):
        with pytest.raises(OpsError):
            read(text)


@pytest.mark.parametrize(
    ("settled", "requested", "first", "day"),
    [
        ("2026-11-24T00:00:00.000Z", "2026-11-23T23:59:59.999Z", "2026-11-22T00:00:00.000Z", "2026-11-24"),
        ("2026-11-24T23:59:59.999Z", None, "2026-11-22T00:00:00.000Z", "2026-11-24"),
        (None, "2026-11-24T10:00:00.000Z", "2026-10-01T00:00:00.000Z", "2026-11-24"),
        (None, None, "2026-10-01T00:00:00.000Z", "2026-10-01"),
    ],
)
def test_a_void_belongs_to_the_day_of_its_end_or_of_its_request_or_when_it_was_first_heard_of(
    settled: str | None, requested: str | None, first: str, day: str
) -> None:
    void = {"settled_at": settled, "requested_at": requested, "history": [{"at": first}]}
    assert export.period(day, day).holds(void)
    months = [f"2026-{number:02}" for number in range(1, 13)]
    assert sum(export.month(month).holds(void) for month in months) == 1


def test_an_export_reads_page_by_page_and_leaves_out_no_record() -> None:
    announced = order_of(Order(POS_ID, ORDER).facts).with_webhook(_webhook(operation(status="pending")), 100)
    orders = [pipe.order_in(State.VOIDED), pipe.order_in(State.FAILED), submitting(), announced]
    passed: list[int] = []
    table = Pages([pipe.image(order) for order in orders[:2]], [pipe.image(order) for order in orders[2:]])
    found = list(export.records(table, "t", export.month("2026-11"), passed.append))
    assert [void["state"] for void in found] == ["voided", "failed", "unknown", "pending"]
    assert (found[-1]["settled_at"], found[-1]["requested_at"]) == (None, None)
    assert passed == [4, 4]
    assert (table.asked[0], table.asked[1]["ConsistentRead"]) == ("scan", True)
    assert table.asked[1]["FilterExpression"].startswith("attribute_exists(#state) AND ")


def _webhook(said: Operation, digest: str = "d" * 64) -> StoredWebhook:
    return StoredWebhook(digest, START, "AWSCURRENT", said)


# Files


def test_half_a_file_does_not_get_its_name(tmp_path: Path) -> None:
    path = tmp_path / "voids.csv"
    path.write_text("yesterday's")
    path.chmod(0o640)
    with pytest.raises(OSError, match="gone"), files.whole_file(str(path)) as out:
        out.write("half")
        raise OSError("gone")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("yesterday's", [path])
    with files.whole_file(str(path)) as out:
        out.write("today's")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("today's", 0o640)


def test_what_is_no_regular_file_is_written_through(tmp_path: Path) -> None:
    fifo, link, target = tmp_path / "fifo", tmp_path / "link", tmp_path / "target"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    link.symlink_to(target)
    for path in (fifo, link, Path("/dev/null")):
        with files.whole_file(str(path)) as out:
            out.write("a line")
    reader.join(10)
    assert read == ["a line"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert (link.is_symlink(), target.read_text()) == (True, "a line")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("path", ["", "/nope/x.csv", "folder", "a\0b"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OpsError, match="cannot be written"), files.whole_file(path):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


# Reconciling


class Book:
    """Our records and the provider's lists of the same orders, most of them equal."""

    def __init__(self, orders: int) -> None:
        voided, failed, void = record(State.VOIDED), record(State.FAILED), operation()
        self.records: dict[str, Any] = {}
        self.views: dict[str, OrderView] = {}
        self.asked: list[str] = []
        for number in range(orders):
            name = f"order-{number}"
            self.records[name] = {**(failed if number % 5 == 0 else voided), "order_id": name}
            self.views[name] = view() if number % 5 == 0 else view(void)

    def sides(self, die_after: int = 10**9) -> reconcile.Sides:
        def look(order: str, _: str | None) -> OrderView:
            self.asked.append(order)
            if len(self.asked) > die_after:
                raise KeyboardInterrupt
            found = self.views[order]
            if found is SILENT:
                raise OpsError("nothing can be said")
            return found

        return reconcile.Sides(lambda order, _: self.records.get(order), look)


SILENT = OrderView((), partial=True)
UNREAD = [{"reason": "second-void", "subject": "order", "since": "2026-11-24T00:00:00.000Z", "read_at": None}]
SAID = {
    "at": "2026-12-01T00:00:00.000Z",
    "by": None,
    "decision": "voided",
    "note": "n",
    "state": "pending",
    "reason": None,
}
PLANTED: dict[str, tuple[dict[str, Any], OrderView]] = {
    "voided-there-not-here": ({"state": "failed", "provider": None}, view(operation())),
    "voided-here-not-there": ({}, view()),
    "open": ({"state": "unknown", "settled_at": None, "provider": None}, view()),
    "amount": ({}, view(operation(amount=99))),
    "currency": ({}, view(operation(currency="USD"))),
    "another-hold": ({}, view(operation(), operation(method="auth", operation_id="h2", payment_id="another"))),
    "in-review": ({"review": True, "reviews": UNREAD}, view(operation())),
    "decided": ({"decisions": [SAID]}, view()),
    "not-answered": ({}, SILENT),
}


def run(book: Book, folder: Path, named: list[Any] | None = None, die_after: int = 10**9) -> list[reconcile.Row]:
    pace = reconcile.Pace(1000, lambda: 0.0, lambda _: None)
    records = iter([one for one in book.records.values() if one is not None])
    found = reconcile.run(records, iter(named or []), book.sides(die_after), reconcile.Journal(folder, "q"), pace)
    return [row for rows in found for row in rows]


def test_each_planted_difference_is_found_and_none_is_invented(tmp_path: Path) -> None:
    book, chance = Book(5000), random.Random(7)
    planted = {}
    for number, (kind, (changes, seen)) in enumerate(list(PLANTED.items()) * 3):
        name = f"order-{1 + 5 * (number * 31 + chance.randrange(30))}"
        book.records[name] |= changes
        book.views[name] = seen
        planted[name] = kind
    assert len(planted) == 27
    for name, seen in (("nobody", ABSENT), ("portal", view(operation())), ("hold", OrderView((HOLD,)))):
        book.views[name] = seen
    named = [{"order_id": name, "amount": exact(amount), "currency": currency} for name, amount, currency in (
        ("order-2", "100.00", "UAH"), ("nobody", "1", "UAH"), ("portal", "100", "UAH"), ("hold", "100", None), ("order-3", "98", "USD"),
    )]  # fmt: skip
    rows = run(book, tmp_path, named)
    expected = Counter(planted.items()) + Counter(
        {
            ("nobody", "unknown-here"): 1,
            ("portal", "unknown-here"): 1,
            ("order-3", "amount"): 1,
            ("order-3", "currency"): 1,
        }
    )
    assert Counter((str(row["order_id"]), str(row["kind"])) for row in rows) == expected
    assert reconcile.differ(rows)
    assert not reconcile.differ([row for row in rows if row["kind"] == "decided"])


def test_what_was_settled_while_it_was_looked_at_is_no_difference(tmp_path: Path) -> None:
    book = Book(2)
    settled = book.records["order-1"]
    older = {**settled, "state": "unknown", "settled_at": None, "provider": None}
    found = reconcile.run(iter([older]), iter(()), book.sides(), reconcile.Journal(tmp_path, "q"), reconcile.Pace(1000))
    assert list(found) == [[]]


def test_a_killed_run_goes_on_and_asks_again_about_what_was_not_answered(tmp_path: Path) -> None:
    book = Book(40)
    book.views["order-1"], book.views["order-2"] = SILENT, view()
    with pytest.raises(KeyboardInterrupt):
        run(book, tmp_path, die_after=20)
    journal = reconcile.Journal(tmp_path, "q")
    with journal.path.open("a") as out:
        out.write('["half a li')
    before, book.asked = set(journal.done), []
    book.views["order-1"] = view(operation())
    rows = run(book, tmp_path)
    assert [(row["order_id"], row["kind"]) for row in rows] == [("order-2", "voided-here-not-there")]
    assert "order-1" in book.asked
    assert not {f"{POS_ID}#{order}" for order in book.asked} & before
    assert reconcile.Journal(tmp_path, "another question").done == {}
    os.utime(journal.path, (0, 0))
    assert reconcile.Journal(tmp_path, "q").done == {}  # what was equal long ago is asked about again


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("order_id\n00123\n", [("00123", None, None)]),
        ("\ufefforder_id;amount;currency\r\n7;1 000,50;UAH\r\n;;\r\n", [("7", exact("1000.50"), "UAH")]),
        ('when\torder_id\tamount\n1\t"=""00123"""\t5\n2\t\'=a\t\n', [("00123", exact("5"), None), ("=a", None, None)]),
    ],
)
def test_the_file_of_finance_is_read_as_spreadsheets_write_it(tmp_path: Path, text: str, found: Any) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(text, "utf-8")
    assert [tuple(line.values()) for line in reconcile.orders(str(path))] == found


@pytest.mark.parametrize("text", [b"order;amount\n1;2\n", b"order_id,amount\n1,many\n", b"order_id\n\xff\n", b""])
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(text)
    with pytest.raises(OpsError):
        list(reconcile.orders(str(path)))


def test_differences_are_written_as_csv_and_as_json() -> None:
    rows = [
        {
            "order_id": "1",
            "kind": "open",
            "difference": "=x",
            "state": "unknown",
            "reason": None,
            "settled_at": None,
            "pos_id": "p",
            "reviews": None,
        }
    ]
    texts = [StringIO(newline=""), StringIO()]
    for out, as_json in zip(texts, (False, True), strict=True):
        reconcile.write(out, [dict(row) for row in rows], as_json)
    assert texts[0].getvalue().splitlines() == [",".join(reconcile.COLUMNS), "1,open,'=x,unknown,,,,p"]
    assert json.loads(texts[1].getvalue())["kind"] == "open"


def test_no_more_is_asked_a_second_than_is_said() -> None:
    clock = [0.0]
    pace = reconcile.Pace(5, lambda: clock[0], lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    for _ in range(11):
        pace.wait()
    assert clock[0] == pytest.approx(2.0)


# Events


class Bus:
    """A bus that has what was put on it; it refuses what comes after `takes`."""

    def __init__(self, takes: int = 10**9) -> None:
        self.entries: list[Any] = []
        self._takes = takes

    def put_events(self, Entries: list[Any]) -> Any:
        assert len(Entries) <= 10
        self.entries += Entries
        return {"Entries": [{} if len(self.entries) <= self._takes else {"ErrorCode": "Throttled"} for _ in Entries]}


class Settled(Pages):
    """The index `settled` and the table behind it, of one shard."""

    def __init__(self, images: list[Any]) -> None:
        super().__init__()
        self.images = {image["pk"]["S"]: image for image in images}

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        values = arguments["ExpressionAttributeValues"]
        self.asked.append(values[":pk"]["S"])
        yield {
            "Items": [
                {**items.table_key(one), "settled_at": one["settled_at"]}
                for one in self.images.values()
                if one["settled_pk"] == values[":pk"]
            ]
        }

    def batch_get_item(self, RequestItems: Any) -> Any:
        ((table, wanted),) = RequestItems.items()
        first, *rest = wanted["Keys"]
        return {
            "Responses": {table: [self.images[first["pk"]["S"]]]},
            "UnprocessedKeys": {table: {"Keys": rest}} if rest else {},
        }


def test_what_the_bus_lost_is_brought_back_as_the_same_events() -> None:
    images = [
        pipe.image(pipe.order_in(state, f"order {number}"))
        for number, state in enumerate([State.VOIDED, State.FAILED] * 6)
    ]
    images.append(pipe.image(replace(pipe.order_in(State.VOIDED, "later"), version=99_999_999_999)))
    lost = [pipe.filled(TEMPLATE, pipe.change(None, image)) for image in images[:12]]
    begin = events.moment("2026-11-18")
    found = list(events.details(events.settled(Settled(images), "t", begin, events.moment("2026-11-18", end=True))))
    bus = Bus()
    assert events.resend(bus, "the-bus", iter(found)) == 13
    sent = {one["id"]: one for one in (json.loads(entry["Detail"]) for entry in bus.entries)}
    assert [sent[one["id"]] for one in lost] == lost
    assert {(entry["EventBusName"], entry["Source"], entry["DetailType"]) for entry in bus.entries} == {
        ("the-bus", "void-service", "void.settled")
    }
    later = next(one for one in found if one["order_id"] == "later")
    assert later["version"] == later["id"].rpartition("-")[2] != "99999999999"
    assert (
        list(
            events.details(
                events.settled(Settled(images), "t", events.moment("2026-11-19"), events.moment("2026-11-20"))
            )
        )
        == []
    )
    with pytest.raises(OpsError, match="refused 3 of 3 events .Throttled., after it took 10"):
        events.resend(Bus(10), "b", iter(found))


def test_a_record_that_has_no_event_makes_none() -> None:
    assert list(events.details(iter([pipe.image(submitting())]))) == []


# The report


def test_a_report_is_one_page_that_loads_nothing_and_says_every_figure() -> None:
    hostile = record(State.FAILED, reason="<script>alert(1)</script>")
    voids = [record(State.VOIDED)] * 3 + [hostile, record(None), record(State.VOIDED, review=True, reviews=UNREAD)]
    now = datetime(2026, 11, 30, tzinfo=UTC)
    page = report.page("prod", "2026-11", export.month("2026-11"), report.figures(iter(voids)), now)
    assert "6 voids: 4 voided, 1 failed, 1 open" in page
    assert "400 UAH" in page
    assert "second-void" in page
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"https?://|src=|url\(", page)
    assert page.count("<svg") == page.count("</svg>") > 10
    empty = report.page("prod", "2026-11", export.month("2026-11"), report.figures(iter(())), now)
    assert "None." in empty


# Erasing


def wordy() -> Order:
    """An order in which everybody has written something."""
    order = submitting().with_webhook(_webhook(operation(status="pending", comment="private")), 100)
    order = order.with_webhook(_webhook(operation(comment="private too"), "e" * 64), 100)
    return order.decided(Decision(START, "op", Word.REVIEWED, "private note", "r", State.PENDING, None, 1))


def test_what_was_written_is_erased_and_what_happened_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene()
    scene.put(wordy())
    before = scene.order()
    monkeypatch.setattr(systems, "store", lambda _: scene.store)
    monkeypatch.setattr(
        api,
        "read_void",
        lambda *_, **__: (
            items.record(scene.table.items[f"{POS_ID}#{ORDER}", "ORDER"])
            | {"webhooks": [], "webhooks_truncated": False}
        ),
    )
    for typed, code in (("no\n", 1), ("yes\n", 0)):
        monkeypatch.setattr("sys.stdin", StringIO(typed))
        assert command.main(["--local", "erase", ORDER, "--note", "request 7"]) == code
    text = json.dumps(scene.table.items[f"{POS_ID}#{ORDER}", "ORDER"])
    assert [word for word in ("private", "10101", "Reverse successful") if word in text] == []
    after = scene.order()
    assert "[erased: request 7]" in text
    assert before.void is not None
    assert after.void is not None
    assert (after.history, after.reviews, after.event_id, after.void.state) == (
        before.history,
        before.reviews,
        before.event_id,
        before.void.state,
    )
    assert after.version == before.version + 1
    assert [one.key for one in after.facts.attempts] == [one.key for one in before.facts.attempts]
    assert erase.without_texts(after, "[erased: request 7]") == after
    again = after.with_webhook(_webhook(operation(comment="private too"), "e" * 64), 100)
    assert again == after  # the same message once more brings nothing back


@pytest.mark.parametrize("note", ["", " ", "x" * 201, "a\nb"])
def test_a_note_is_short_and_one_line(note: str) -> None:
    assert command.main(["--local", "erase", ORDER, f"--note={note}"]) == 1
