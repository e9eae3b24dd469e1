"""The report: ratios, targets, tables, and a document of which nothing else is touched and which shows the kept run."""

import json
from pathlib import Path

import pytest

from proof.benchmarks import cost, report
from proof.benchmarks.subjects import PEERS

FIGURE = "submit: warm instructions, millions"


@pytest.mark.parametrize(("ours", "peer", "found"), [
    ([1.0, 2.0, 90.0], [2.0, 2.0, 100.0], [0.9, 0.5, 1.0]),  # the median of the rounds and not of the sums
    ([1.0, 3.0], [0.0, 2.0], [1.5, 1.5, 1.5]),  # a round without a divisor is left out
    ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5, [3.0, 2.0, 4.0]),
    ([1.0], [0.0], None),
    ([1.0], [], None),
])  # fmt: skip
def test_a_ratio_is_the_median_of_the_rounds_with_its_quartiles(
    ours: list[float], peer: list[float], found: list[float] | None
) -> None:
    assert report.compare({"ours": ours, "by_hand": peer}, "ours", "by_hand") == found


def test_a_target_is_bold_where_it_is_reached_as_it_is_shown() -> None:
    shown = [report.aimed(ratio, 1.15) for ratio in (1.15, 1.1549, 1.156)]
    assert shown == ["**1.15 / 1.15**", "**1.15 / 1.15**", "1.16 / 1.15"]


def test_three_digits_that_count() -> None:
    shown = [report.number(value) for value in (1234.5, 99.95, 0.01234, 16.6, None)]
    assert shown == ["1,234", "100", "0.0123", "16.6", ""]


def test_a_whole_run_is_written_and_nothing_outside_the_markers_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "DOCUMENT", tmp_path / "performance.md")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(cost, "document", lambda _: [[["USD"], ["1"]]])
    (begin, end), (bill, paid) = map(report.marks, report.PLACES)
    report.DOCUMENT.write_text(f"before\n{begin}\nold\n{end}\nafter {end}\n{bill}\nold\n{paid}\nlast\n")
    found = {
        FIGURE: {"ours": [11.0] * 3, **{name: [10.0] * 3 for name in PEERS}},
        "settle: CPU of a query, µs": {"ours": [4_000.0]},
    }
    kept = report.results({"commit": "0123456789"}, found, {FIGURE: {"ours": [10.0], "ours: no byte code": [40.0]}})
    report.keep(kept)
    assert json.loads(report.RESULTS.read_text()) == kept
    text = report.DOCUMENT.read_text()
    assert text.startswith(f"before\n{begin}\n\nTaken with commit 0123456789.")
    assert text.endswith(f"{end}\nafter {end}\n{bill}\n\n| USD |\n|---|\n| 1 |\n\n{paid}\nlast\n")
    assert "old" not in text
    for line in (
        f"| {FIGURE} | 1.10 / 1.00 |  |",
        f"| {FIGURE} | **1.10** | **1.10** | **1.10** | 11 | 10 | 10 | 10 |",
        "| figure | no byte code |",
        f"| {FIGURE} | **4.00** |",
    ):
        assert line in text


@pytest.mark.parametrize("text", ["nothing", "".join(reversed(report.marks("cost")))])
def test_a_document_without_its_markers_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="markers"):
        report.replaced(text, "cost", "new")


def test_the_document_shows_the_kept_run() -> None:
    kept = json.loads(report.RESULTS.read_text("utf-8")) if report.RESULTS.is_file() else None
    shown = dict.fromkeys(report.PLACES, "No whole run of this version yet.") if kept is None else report.texts(kept)
    document = report.DOCUMENT.read_text("utf-8")
    for place, text in shown.items():
        assert document == report.replaced(document, place, text), "written by: make bench; after a new price: --again"
