"""The report: ratios, targets, tables, and a document of which nothing else is touched."""

import json
import statistics
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.measure import Samples
from benchmarks.subjects import PEERS

FIGURE = "submit: warm instructions, millions"


def samples(**values: list[float]) -> Samples:
    return {FIGURE: dict(values)}


def everyone(ours: float, others: float) -> dict[str, list[float]]:
    return {"ours": [ours] * 3, **{name: [others] * 3 for name in PEERS}}


# ratios


def test_a_ratio_is_the_median_of_the_rounds_and_not_of_the_sums() -> None:
    row = report.compare(FIGURE, {"ours": [1.0, 2.0, 90.0], "by_hand": [2.0, 2.0, 100.0]}, "ours", "by_hand")
    assert row is not None
    assert row["ratio"] == statistics.median([0.5, 1.0, 0.9])
    assert (row["low"], row["high"]) == (0.5, 1.0)


def test_a_round_without_a_divisor_is_left_out() -> None:
    row = report.compare(FIGURE, {"ours": [1.0, 3.0], "by_hand": [0.0, 2.0]}, "ours", "by_hand")
    assert row is not None
    assert row["ratio"] == 1.5
    assert report.compare(FIGURE, {"ours": [1.0], "by_hand": [0.0]}, "ours", "by_hand") is None
    assert report.compare(FIGURE, {"ours": [1.0]}, "ours", "by_hand") is None


def test_ours_is_compared_with_all_and_peers_with_the_floor_only() -> None:
    pairs = {(row["subject"], row["peer"]) for row in report.compare_all({FIGURE: everyone(1, 2)})}
    assert pairs == {
        *(("ours", peer) for peer in PEERS),
        *((peer, "floor") for peer in ("by_hand", "powertools")),
    }


def test_a_lever_is_what_it_costs_to_do_without() -> None:
    rows = report.compare_levers(samples(ours=[10.0], **{"ours-plain": [40.0]}), {"ours-plain": "no byte code"})
    assert [(row["subject"], row["ratio"]) for row in rows] == [("ours, no byte code", 4.0)]
    assert report.lever_table(rows, ["no byte code"])[-1] == f"| {FIGURE} | **4.00** |"


# tables


@pytest.mark.parametrize(("ratio", "shown"), [
    (1.15, "**1.15 / 1.15**"),
    (1.1549, "**1.15 / 1.15**"),  # judged as it is shown
    (1.156, "1.16 / 1.15"),
])  # fmt: skip
def test_a_target_is_bold_where_it_is_reached(ratio: float, shown: str) -> None:
    assert report.aim(ratio, 1.15) == shown


def test_the_targets_stand_in_the_columns_of_their_peers() -> None:
    lines = report.target_table(report.compare_all({FIGURE: everyone(11.0, 10.0)}))
    assert lines == [
        "| reached / target | to by hand | to Powertools | to floor |\n|---|---|---|---|",
        f"| {FIGURE} | **1.10 / 1.15** |  |  |",
    ]


def test_a_target_of_which_nothing_was_measured_has_no_line() -> None:
    assert len(report.target_table([])) == 1


def test_a_line_has_ratios_and_medians() -> None:
    found = {FIGURE: everyone(11.0, 10.0)}
    (_, line) = report.table(found, report.compare_all(found))
    assert line == f"| {FIGURE} | **1.10** | **1.10** | **1.10** | 11 | 10 | 10 | 10 |"


@pytest.mark.parametrize(("value", "shown"), [(1234.5, "1,234"), (99.95, "100"), (0.01234, "0.0123"), (16.6, "16.6")])
def test_three_digits_that_count(value: float, shown: str) -> None:
    assert report.number(value) == shown


# files


def test_nothing_outside_the_markers_is_touched(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("before\n<!-- a -->\n\nold\n\n<!-- b -->\nafter <!-- b -->\n")
    report.into_document(document, "<!-- a -->", "<!-- b -->", "new")
    assert document.read_text() == "before\n<!-- a -->\n\nnew\n\n<!-- b -->\nafter <!-- b -->\n"


@pytest.mark.parametrize("text", ["nothing", "<!-- a -->", "<!-- b --> <!-- a -->"])
def test_a_document_without_its_markers_is_left_alone(text: str, tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(text)
    with pytest.raises(ValueError, match="markers"):
        report.into_document(document, "<!-- a -->", "<!-- b -->", "new")
    assert document.read_text() == text


def test_a_run_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"{report.BEGIN}\n{report.END}\n")
    monkeypatch.setattr(report, "HERE", tmp_path)
    monkeypatch.setattr(report, "DOCUMENT", document)
    found = {FIGURE: everyone(11.0, 10.0), "submit: cold CPU, ms": everyone(1.0, 2.0)}
    report.write(found, samples(ours=[1.0], x=[2.0]), {"x": "no byte code"}, quick=True)
    rows = json.loads((tmp_path / "results.json").read_text())
    assert {
        "figure": FIGURE,
        "subject": "ours, no byte code",
        "peer": "ours",
        "ratio": 2.0,
        "low": 2.0,
        "high": 2.0,
    } in rows
    assert "with --quick" in document.read_text()
