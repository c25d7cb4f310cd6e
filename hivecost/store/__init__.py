"""The SQLite runtime log: one file, one writer in a process, sums in step with the log."""

from hivecost.store.database import database_path, open_reader
from hivecost.store.deletion import delete_session
from hivecost.store.faults import named_faults
from hivecost.store.rollups import QUARTER_HOUR_NS, SUMS
from hivecost.store.statistics import StoreStatistics
from hivecost.store.writer import Store

__all__ = [
    "QUARTER_HOUR_NS",
    "SUMS",
    "Store",
    "StoreStatistics",
    "database_path",
    "delete_session",
    "named_faults",
    "open_reader",
]
