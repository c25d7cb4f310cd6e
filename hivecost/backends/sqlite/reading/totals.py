"""The sums as the rollups keep them: their columns, and what is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hivecost.events import Totals

SUM_NAMES: Final = Totals.__struct_fields__
#: The columns of a rollup, in the order of Totals.
SUM_COLUMNS: Final = ", ".join(SUM_NAMES)
#: The same, added up.
SUMS_OF_ROLLUPS: Final = ", ".join(f"sum({name})" for name in SUM_NAMES)


def sums(values: Sequence[int]) -> dict[str, int]:
    """Values in the order of SUM_COLUMNS, by name."""
    return dict(zip(SUM_NAMES, values, strict=True))
