"""What repricings say of a session, beside what its turns were priced with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from hivecost.backends.sqlite.reading.connection import reading


class RepricedTotals(msgspec.Struct, frozen=True, kw_only=True):
    """A session's turns that were priced again, each by its last repricing. Sums are of the known costs."""

    calls: int
    old_nanousd: int
    new_nanousd: int
    old_unpriced_calls: int
    new_unpriced_calls: int
    #: Of the newest of these repricings.
    snapshot: str


#: A column beside max() comes from the row that has the maximum.
LOAD_REPRICED: Final = """
    SELECT count(*), coalesce(sum(old_nanousd), 0), coalesce(sum(new_nanousd), 0),
           sum(old_nanousd IS NULL), sum(new_nanousd IS NULL), snapshot, max(repriced_ns)
    FROM (SELECT old_nanousd, new_nanousd, snapshot, max(repriced_ns) AS repriced_ns
          FROM repricings WHERE session_id = :session_id GROUP BY event_id)"""


async def load_repriced(base_path: str | Path, session_id: str) -> RepricedTotals | None:
    """The session at later rates; None when it was never priced again. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        ((calls, *values, _),) = await log.rows(LOAD_REPRICED, {"session_id": session_id})
    if not calls:
        return None
    names = RepricedTotals.__struct_fields__
    return RepricedTotals(**dict(zip(names, (calls, *values), strict=True)))
