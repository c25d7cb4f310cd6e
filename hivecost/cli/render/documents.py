"""What other programs read: JSON and CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hivecost.plain_text import is_control

if TYPE_CHECKING:  # JSON of anything else needs no report
    from hivecost.reports import SpendReport

_SUMS: Final = (
    *("llm_calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("cost_nanousd", "unpriced_calls", "invalid_calls", "estimated_calls", "charges", "charged_nanousd"),
    "notional_nanousd",
)
#: What spreadsheets take for the beginning of a formula; the last three make them look at what comes next.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n")
#: Letters without a width, and blanks: what stands behind them looks like the beginning.
_UNSEEN: Final = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\xad \t\r\n\xa0\u3000"


def to_json(report: Any) -> str:
    """Return a Struct, or a list of them, as indented JSON; amounts stay integers in the unit their name ends with."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def spend_csv(report: SpendReport) -> str:
    """Return the groups as CSV with a line of names; amounts are exact, in USD and nano-USD, and empty where unknown.

    Names that strangers chose are no formulas: one that a spreadsheet would take for one begins with an apostrophe.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow((*report.by, "cost_usd", *_SUMS))
    for row in report.rows:
        known = row.llm_calls + row.charges > row.unpriced_calls + row.invalid_calls
        sums = {name: getattr(row, name) for name in _SUMS} | ({} if known else {"cost_nanousd": ""})
        lines.writerow(
            (*(_cell(row.group[name]) for name in report.by), f"{row.cost_usd:f}" if known else "", *sums.values())
        )
    return text.getvalue()


def _cell(name: str) -> str:
    """Return a name as a cell that is no formula, also where a spreadsheet trims it, and that moves no cursor."""
    start = name.lstrip().lstrip(_UNSEEN)[:1]
    is_formula = unicodedata.normalize("NFKC", start)[:1] in _FORMULA_STARTS or name[:1] in _FORMULA_STARTS
    shown = "".join("�" if is_control(letter) else letter for letter in name)
    return f"'{shown}" if name and is_formula else shown
