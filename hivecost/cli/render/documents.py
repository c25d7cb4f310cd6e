"""What other programs read: JSON and CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from hivecost.plain_text import is_control

#: What spreadsheets take for the beginning of a formula; the last three make them look at what comes next.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n")
#: Letters without a width, and blanks: what stands behind them looks like the beginning.
_UNSEEN: Final = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\xad \t\r\n\xa0\u3000"


def to_json(report: Any) -> str:
    """Return a Struct, or a list of them, as indented JSON; amounts stay integers in the unit their name ends with."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def to_csv(records: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> str:
    """Return records as CSV with a line of names: those of the first one, or `columns`; None is an empty cell.

    Names that strangers chose are no formulas: one that a spreadsheet would take for one begins with an apostrophe.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(map(_cell, columns or (records[0] if records else ())))
    for record in records:
        values = record.values()
        lines.writerow("" if value is None else _cell(value) if isinstance(value, str) else value for value in values)
    return text.getvalue()


def _cell(name: str) -> str:
    """Return a name as a cell that is no formula, also where a spreadsheet trims it, and that moves no cursor."""
    start = name.lstrip().lstrip(_UNSEEN)[:1]
    is_formula = unicodedata.normalize("NFKC", start)[:1] in _FORMULA_STARTS or name[:1] in _FORMULA_STARTS
    shown = "".join("�" if is_control(letter) else letter for letter in name)
    return f"'{shown}" if name and is_formula else shown
