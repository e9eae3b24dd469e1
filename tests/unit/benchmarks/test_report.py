"""The report: ratios, targets, tables, and a document of which nothing else is touched and which shows the kept run."""

import json
import re
from pathlib import Path

import pytest

from proof.benchmarks import report
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


@pytest.mark.parametrize(("ratio", "shown"), [
    (1.15, "**1.15 / 1.15**"),
    (1.1549, "**1.15 / 1.15**"),  # judged as it is shown
    (1.156, "1.16 / 1.15"),
])  # fmt: skip
def test_a_target_is_bold_where_it_is_reached(ratio: float, shown: str) -> None:
    assert report.aimed(ratio, 1.15) == shown


@pytest.mark.parametrize(("value", "shown"), [(1234.5, "1,234"), (99.95, "100"), (0.01234, "0.0123"), (16.6, "16.6")])
def test_three_digits_that_count(value: float, shown: str) -> None:
    assert report.number(value) == shown


@pytest.mark.parametrize("text", ["nothing", "<!-- a -->", "<!-- b --> <!-- a -->"])
def test_a_document_without_its_markers_is_left_alone(text: str, tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(text)
    with pytest.raises(ValueError, match="markers"):
        report.into_document(document, "<!-- a -->", "<!-- b -->", "new")
    assert document.read_text() == text


def test_a_whole_run_is_written_and_nothing_outside_the_markers_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "DOCUMENT", tmp_path / "performance.md")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    report.DOCUMENT.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter {report.END}\n")
    found = {FIGURE: {"ours": [11.0] * 3, **{name: [10.0] * 3 for name in PEERS}}}
    kept = report.results({"commit": "0123456789"}, found, {FIGURE: {"ours": [10.0], "ours: no byte code": [40.0]}})
    report.keep(kept)
    assert json.loads(report.RESULTS.read_text()) == kept
    text = report.DOCUMENT.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n\nTaken with commit 0123456789.")
    assert text.endswith(f"{report.END}\nafter {report.END}\n")
    assert "old" not in text
    for line in (
        f"| {FIGURE} | 1.10 / 1.00 |  |",
        f"| {FIGURE} | **1.10** | **1.10** | **1.10** | 11 | 10 | 10 | 10 |",
        "| figure | no byte code |",
        f"| {FIGURE} | **4.00** |",
    ):
        assert line in text


def test_the_document_shows_the_kept_run() -> None:
    text = report.DOCUMENT.read_text("utf-8")
    found = re.search(f"{re.escape(report.BEGIN)}\n\n(.*?)\n\n{re.escape(report.END)}", text, re.DOTALL)
    assert found
    if report.RESULTS.is_file():
        assert found[1] == report.text(json.loads(report.RESULTS.read_text("utf-8"))), "both are written by: make bench"
    else:
        assert found[1] == "No whole run of this version yet."
