"""Other people's text on a terminal, in JSON and in cells: harmless, exact, and for a spreadsheet still text."""

import csv
import html
import json
import re
import shutil
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ops import export, files
from ops.screen import Screen, clean, json_text, one_line
from payments import exact_json
from payments.facts import State
from tests.fakes.scene import POS_ID
from tests.unit.test_ops import record

OBEYED = [
    "\x00", "\x07", "\x08", "\t", "\n", "\r", "\x1b", "\x7f", "\x80", "\x9b", "\x9d", "\u061c", "\u200b", "\u200e",
    "\u202a", "\u202e", "\u2028", "\u2029", "\u2066", "\u2069", "\ufeff", "\U000e0041",
]  # fmt: skip


def exact(digits: str) -> Any:
    """A number as the provider wrote it."""
    return exact_json.parse(digits)


def test_text_in_exact_numbers_and_links_is_shown_as_it_is_and_on_one_line() -> None:
    text = json_text({"amount": exact("100.00"), "comment": "a\nb\x9b\U000e0041"})
    assert text == '{"amount":100.00,"comment":"a\\nb\\u009b\\udb40\\udc41"}'
    assert clean("Скасування – 取消 🙂") == "Скасування – 取消 🙂"
    assert one_line("a\n  b\x1b[2J") == "a b\N{REPLACEMENT CHARACTER}[2J"
    assert len(one_line("x" * 5000)) == 500
    out = StringIO()
    Screen(out=out).table(["what"], [["[red]a[/red] [link=https://example.com]b[/link] :smile: [/]"]])
    assert "[red]a[/red] [link=https://example.com]b[/link] :smile: [/]" in out.getvalue()


@pytest.mark.parametrize("character", OBEYED, ids=ascii)
def test_nothing_that_a_terminal_obeys_is_printed(character: str) -> None:
    out, scripts, text = StringIO(), StringIO(), f"<{character}>"
    screen = Screen(out=out)
    screen.line(text)
    screen.fields({text: text})
    screen.table([text], [[text]])
    Screen(True, scripts).document({"comment": text})
    assert character not in (out.getvalue() + scripts.getvalue()).replace("\n", "")
    assert out.getvalue().count("<\N{REPLACEMENT CHARACTER}>") == 5
    assert json.loads(scripts.getvalue()) == {"comment": text}


# Cells

SIGNS = [
    "=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫", "−", "⁼", "⁺", "⁻", "₌", "₊", "₋", "‐", "‑", "➕", "➖",
    "˗", "﬩", "꞊",
]  # fmt: skip
AHEAD = [
    "", " ", "   ", "\xa0", "\u3000", "\u2007", "\t", "\r", "\n", "\r\n", " \t ", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u200b",
    "\u202e", "\ufeff", "\u2060", "\u00ad", "\u034f", "\u0301", "\ufe0f", "\u3164", "\u115f", "\u2800", "\U000e0020",
]  # fmt: skip
PARTS = ((";", ""), (";", " "), (";", "\xa0"), ("\t", ""), ("\n", ""), ("\r\n", ""))


@pytest.mark.parametrize("sign", SIGNS, ids=ascii)
def test_no_cell_begins_a_formula_and_none_hides_behind_what_parts_cells_elsewhere(sign: str) -> None:
    for ahead in AHEAD:
        cell = export.cell(f"{ahead}{sign}1+1")
        assert cell.startswith("'"), ascii(ahead)
        assert cell.replace("'", "") == f"{clean(ahead, keep='\t\r\n')}{sign}1+1"
    for part, blank in PARTS:
        assert export.cell(f"a{part}{blank}{sign}1+1") == f"a{part}'{blank}{sign}1+1"


SAME = [
    "", " ", "a", "a=b", "a-b", "1+1", "'=1", "слово", "10101", "– з тире", "—", "№ 5", "🙂", "a; b", "a;b\nc", "(−1)", "a\t1",
    "https://x.example/?a=b;c=d", "\u0301a", "´", "0012", "a\r\nb",
]  # fmt: skip
CELLS = [
    *((text, text) for text in SAME), *((f"{begin}1", f"'{begin}1") for begin in "\t\r\n"),
    (None, ""), (True, "true"), (3, "3"), (exact("100.00"), "100.00"), (exact("1E-7"), "0.0000001"), (exact("1E+2"), "100"),
    (exact("12345678901234567890.01"), "12345678901234567890.01"), (exact("-1.50"), "-1.50"),
    (exact("-1e1000000000000000000"), "'-1e1000000000000000000"), ({"a": exact("1.0")}, '{"a":1.0}'),
]  # fmt: skip
PROTECTED = [
    ("voided", "voided"), ("00123", '="00123"'), ("9" * 200, "'" + "9" * 200), ("true", '="true"'), ("=1", "'=1"),
    (exact("100.00"), "100.00"), (3, "3"), (None, ""), ("1\n2", "1\n2"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), CELLS, ids=ascii)
def test_cells_are_exact_and_other_text_stays_as_it_is(value: object, text: str) -> None:
    assert export.cell(value) == text


def test_only_text_that_would_be_guessed_is_protected() -> None:
    assert [(value, export.spreadsheet(value)) for value, _ in PROTECTED] == PROTECTED


def test_a_row_has_every_column_and_the_providers_digits_as_csv_and_as_json() -> None:
    fee = {"amount": exact("100.00"), "fee": {"amount": exact("1.0"), "currency": "UAH"}}
    said, lines, document = record(State.VOIDED)["provider"] | fee, StringIO(newline=""), StringIO()
    rows = [export.row(record(State.VOIDED, provider=said, provider_code="4150", provider_message="=x\r\ny"))]
    assert [export.write(out, export.COLUMNS, rows, out is document) for out in (lines, document)] == [1, 1]
    lines.seek(0)
    (cells,) = csv.DictReader(lines)
    assert (tuple(cells), len(cells), cells["pos_id"], cells["reason"]) == (export.COLUMNS, 29, POS_ID, "")
    names = ("amount", "fee_amount", "fee_currency", "code", "message")
    assert [cells[f"provider_{name}"] for name in names] == ["100.00", "1.0", "UAH", "4150", "'=x\r\ny"]
    assert export.row(record(State.VOIDED, provider={"fee": exact("2.0")}))["provider_fee_amount"] == exact("2.0")
    assert document.getvalue() == json_text(rows[0]) + "\n"
    assert export.cell("a\r\nb", to_terminal=True) == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


TEXTS = [
    "00123", "12345678901234567890", "1E5", "2026-03-01", "3-4", "1/2", "TRUE", "1:30", "5%", 'say "7"', "order-7", "слово",
    "+380", "=1+1",
]  # fmt: skip


def test_a_spreadsheet_shows_text_as_it_is(tmp_path: Path) -> None:
    """In a real one, which guesses as Excel does."""
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("no LibreOffice on PATH (Debian: apt-get install libreoffice-calc)")
    path = tmp_path / "voids.csv"
    rows = (export.row(record(State.VOIDED, order_id=text)) for text in TEXTS)
    with files.output(str(path), excel=True) as out:
        export.write(out, export.COLUMNS, rows, as_json=False, excel=True)
    # UTF-8, as the mark says to whoever opens it by hand; and every guess that there is.
    options = f"--headless -env:UserInstallation=file://{tmp_path}/profile --infilter=CSV:44,34,76,1,,0,false,true"
    convert = [office, *options.split(), "--convert-to", "fods", "--outdir", str(tmp_path), str(path)]
    subprocess.run(convert, check=True, capture_output=True, timeout=120)
    shown = (tmp_path / "voids.fods").read_text("utf-8").split("<table:table-row")[2 : 2 + len(TEXTS)]
    found = [re.search(r"<table:table-cell(.*?)(?:/>|</table:table-cell>)", row, re.DOTALL) for row in shown]
    assert all(cell and 'value-type="string"' in cell[1] for cell in found)
    texts = [html.unescape(re.findall(r"<text:p>(.*?)</text:p>", row)[0]) for row in shown]
    assert texts == [f"'{text}" if text[0] in "+=" else text for text in TEXTS]
