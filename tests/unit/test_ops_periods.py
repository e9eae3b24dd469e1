"""What the operators' command line makes of a period: its days, an export, events, the report; files; and erasing."""

import itertools
import json
import os
import re
import stat
import threading
from copy import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from infra.settled_event import TEMPLATE
from ops import days, erase, events, files, items, report, systems
from ops.items import Table
from ops.places import OpsError
from payments.facts import Decision, State, Word
from payments.messages import Operation
from payments.orders import Order, StoredWebhook
from tests.fakes import pipe
from tests.fakes.scene import ORDER, POS_ID, START, Scene, operation, order_of, submitting
from tests.fakes.table import unzipped, with_facts
from tests.unit.test_ops import HOLD, Ops, record

KEY = (f"{POS_ID}#{ORDER}", "ORDER")


def pages(*items: list[Any]) -> Mock:
    """A client whose scan or query gives these pages."""
    found = [{"Items": one, "ScannedCount": len(one) + 2} for one in items]
    return Mock(**{"get_paginator.return_value.paginate.return_value": found})


def webhook(said: Operation, digest: str = "d" * 64) -> StoredWebhook:
    return StoredWebhook(digest, START, "AWSCURRENT", said)


# Days


def test_a_period_is_whole_days_both_included() -> None:
    period = days.period("2026-11-01", "2026-11-30")
    assert (period.begin, period.end) == ("2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z")
    assert days.month("2026-11") == period
    assert days.moment("2026-11-24", end=True) == days.moment("2026-11-25T02:00:00+02:00")


@pytest.mark.parametrize("text", ["", "20261124", "2026-W48-2", "2026-02-30", "24.11.2026", "0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("read", [days.day, days.month, days.moment])
def test_other_dates_are_refused(read: Any, text: str) -> None:
    with pytest.raises(OpsError, match="written as 2026-11"):
        read(text)


DAYS = [
    ("2026-11-24T00:00:00.000Z", "2026-11-23T23:59:59.999Z", "2026-11-22T00:00:00.000Z", "2026-11-24"),
    ("2026-11-24T23:59:59.999Z", None, "2026-11-22T00:00:00.000Z", "2026-11-24"),
    (None, "2026-11-24T10:00:00.000Z", "2026-10-01T00:00:00.000Z", "2026-11-24"),
    (None, None, "2026-10-01T00:00:00.000Z", "2026-10-01"),
]


@pytest.mark.parametrize(("settled", "requested", "first", "day"), DAYS)
def test_a_void_belongs_to_the_day_of_its_end_or_of_its_request_or_when_it_was_first_heard_of(
    settled: str | None, requested: str | None, first: str, day: str
) -> None:
    void = {"settled_at": settled, "requested_at": requested, "history": [{"at": first}]}
    assert days.period(day, day).holds(void)
    assert sum(days.month(f"2026-{number:02}").holds(void) for number in range(1, 13)) == 1


def test_an_export_reads_page_by_page_and_leaves_out_no_record() -> None:
    announced = order_of(Order(POS_ID, ORDER).facts).with_webhook(webhook(operation(status="pending")))
    images = list(map(pipe.image, (pipe.order_in(State.VOIDED), pipe.order_in(State.FAILED), submitting(), announced)))
    passed, client = list[int](), pages(images[:2], images[2:])
    found = list(Table(client, "t").records(days.month("2026-11"), passed.append))
    assert [void["state"] for void in found] == ["voided", "failed", "unknown", "pending"]
    assert (found[-1]["settled_at"], found[-1]["requested_at"], passed) == (None, None, [4, 4])
    client.get_paginator.assert_called_once_with("scan")
    assert list(Table(client, "t").records(days.month("2026-10"), passed.append)) == []
    asked = client.get_paginator().paginate.call_args.kwargs
    assert (asked["ConsistentRead"], asked["FilterExpression"][:27]) == (True, "attribute_exists(#state) AN")


# Files


def test_half_a_file_does_not_get_its_name(tmp_path: Path) -> None:
    path = tmp_path / "voids.csv"
    path.write_text("yesterday's")
    path.chmod(0o640)
    with pytest.raises(OSError, match="gone"), files.output(str(path)) as out:
        out.write("half")
        raise OSError("gone")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("yesterday's", [path])
    with files.output(str(path), excel=True) as out:
        out.write("today's")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"\xef\xbb\xbftoday's", 0o640)


def test_what_is_no_regular_file_is_written_through(tmp_path: Path) -> None:
    fifo, link, target = tmp_path / "fifo", tmp_path / "link", tmp_path / "target"
    os.mkfifo(fifo)
    link.symlink_to(target)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    for path in (fifo, link):
        with files.output(str(path)) as out:
            out.write("a line")
    reader.join(10)
    assert (read, fifo.is_fifo(), link.is_symlink(), target.read_text()) == (["a line"], True, True, "a line")


@pytest.mark.parametrize("path", ["", "/nope/x.csv", "folder", "a\0b"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OpsError, match="cannot be written"), files.output(path):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


# Events


def test_what_the_bus_lost_is_brought_back_as_the_same_events(scene: Scene) -> None:
    orders = [pipe.order_in((State.VOIDED, State.FAILED)[number % 2], f"order {number}") for number in range(120)]
    later = replace(pipe.order_in(State.VOIDED, "later"), version=99_999_999_999)
    images = [pipe.image(order) for order in (*orders, later)]
    for image in images:
        scene.table.place(image)
    lost = [pipe.filled(TEMPLATE, pipe.change(None, image)) for image in images[:-1]]
    day, end = days.moment("2026-11-18"), days.moment("2026-11-18", end=True)
    found, bus = list(events.details(events.settled(scene.store, day, end))), Mock()
    bus.put_events.side_effect = lambda Entries: {"Entries": [{}] * len(Entries)}
    assert events.resend(bus, "the-bus", iter(found)) == 121
    calls = [call.kwargs["Entries"] for call in bus.put_events.mock_calls]
    assert max(map(len, calls)) <= 10
    sent = {one["id"]: one for one in (json.loads(entry["Detail"]) for entries in calls for entry in entries)}
    assert [sent[one["id"]] for one in lost] == lost
    assert calls[0][0] | {"Detail": ""} == {
        "EventBusName": "the-bus", "Source": "void-service", "DetailType": "void.settled", "Detail": ""}  # fmt: skip
    (newest,) = [one for one in found if one["order_id"] == "later"]
    assert newest["version"] == newest["id"].rpartition("-")[2] != "99999999999"
    bus.put_events.side_effect = [{"Entries": [{}] * 10}, {"Entries": [{}, {"ErrorCode": "Throttled"}]}]
    with pytest.raises(OpsError, match="refused 1 of 2 events .Throttled., after it took 11"):
        events.resend(bus, "b", iter(found[:12]))


def test_only_what_was_settled_in_this_time_and_can_be_read_is_an_event(scene: Scene) -> None:
    image = pipe.image(pipe.order_in(State.VOIDED))
    scene.table.place(image)
    at = datetime.fromisoformat(image["settled_at"]["S"])
    moments = [at - timedelta(milliseconds=1), at, at + timedelta(milliseconds=1)]
    found = [len(list(events.settled(scene.store, begin, end))) for begin, end in itertools.combinations(moments, 2)]
    assert found == [0, 1, 1]
    nothing = [submitting(), replace(pipe.order_in(State.VOIDED), event_id="")]
    assert list(events.details(nothing)) == [], "a record without an event makes none"
    scene.table.place(with_facts(image, "{"))
    with pytest.raises(OpsError, match="1 orders of .* newer version"):
        list(events.settled(scene.store, moments[0], moments[2]))


# The report


def test_a_report_is_one_page_that_loads_nothing_and_says_every_figure() -> None:
    hostile, found = record(State.FAILED, reason="<script>alert(1)</script>"), report.Figures()
    now, month = datetime(2026, 11, 30, tzinfo=UTC), days.month("2026-11")
    assert "None." in report.page("prod", "2026-11", month, found, now)
    for void in [*[record(State.VOIDED)] * 3, hostile, record(None), record(State.VOIDED, review=True, reviews=[HOLD])]:
        found.add(void)
    page = report.page("prod", "2026-11", month, found, now)
    says = ["6 voids: 4 voided, 1 failed, 1 open", "400 UAH", "another-hold", "default-src 'none'"]
    assert re.findall(r"<script|https?://|src=|url\(", page) == []
    assert [each for each in says if each not in page] == []
    assert page.count("<i class=") == page.count("</i>") > 10
    assert '<td>4</td><td>1</td><td>1</td><td class=bar><i class=voided style="width:66.67%">' in page


# Erasing


def test_what_was_written_is_erased_and_what_happened_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scene: Scene
) -> None:
    order = submitting().with_webhook(webhook(operation(status="pending", comment="private")))
    order = order.with_webhook(webhook(operation(comment="private too"), "e" * 64))
    ops = Ops(monkeypatch, capsys)
    scene.put(order.decided(Decision(START, "op", Word.REVIEWED, "private note", "r", State.PENDING, None, 1)))
    before, state = scene.order(), scene.record().state
    monkeypatch.setattr(systems, "store", lambda _: scene.store)
    ops.answers = lambda: items.record(scene.table.items[KEY]) | {"webhooks": [], "webhooks_truncated": False}
    says = "a note is 1 to 200 printable characters"
    notes = [(note, "yes", 1, says) for note in ("", " ", "x" * 201, "a\nb")]
    notes += [("request 7", "no", 1, "nothing was erased"), ("request 7", "yes", 0, "erase its comment and free texts")]
    for note, typed, code, says in notes:
        found = ops("--local", "erase", ORDER, f"--note={note}", typed=typed)
        assert (found[0], says in found[2]) == (code, True), note
    text = json.dumps(scene.table.items[KEY], default=unzipped)
    assert [word for word in ("private", "10101", "Reverse successful") if word in text] == []
    assert "[erased: request 7]" in text
    after = scene.order()
    assert (after.history, after.reviews, after.event_id) == (before.history, before.reviews, before.event_id)
    assert [one.key for one in after.facts.attempts] == [one.key for one in before.facts.attempts]
    assert (after.version, scene.record().state) == (before.version + 1, state)
    assert erase.without_texts(after, "[erased: request 7]") == after
    # The same message once more brings nothing back.
    assert after.with_webhook(webhook(operation(comment="private too"), "e" * 64)) == after
