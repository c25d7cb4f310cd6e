"""A runtime log and a ledger in `hivecost.db` of a folder: one writer in a process, sums in step with the log."""

from typing import TYPE_CHECKING, Final

from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.backends.sqlite.database import database_path, open_reader
    from hivecost.backends.sqlite.faults import named_faults
    from hivecost.backends.sqlite.lease_bank import (
        read_accounts,
        read_accounts_of,
        read_doubts,
        read_holders,
    )
    from hivecost.backends.sqlite.lease_bank.definitions import record_definitions
    from hivecost.backends.sqlite.liveness import living
    from hivecost.backends.sqlite.log.deletion import delete_session
    from hivecost.backends.sqlite.log.repricings import write_repricings
    from hivecost.backends.sqlite.log.retention import prune
    from hivecost.backends.sqlite.log.rollups import COUNTED, PRUNED_KEYS, QUARTER_HOUR, SUMS
    from hivecost.backends.sqlite.log.writer import Store
    from hivecost.backends.sqlite.rates import (
        current_rates_path,
        previous_rates_path,
        read_rates,
        save_rates,
    )
    from hivecost.backends.sqlite.reading.log_reader import SQLiteLogReader
    from hivecost.log.turn_rows import OTHER_COUNTS

__all__ = [
    "COUNTED",
    "OTHER_COUNTS",
    "PRUNED_KEYS",
    "QUARTER_HOUR",
    "SUMS",
    "SQLiteLogReader",
    "Store",
    "current_rates_path",
    "database_path",
    "delete_session",
    "living",
    "named_faults",
    "open_reader",
    "previous_rates_path",
    "prune",
    "read_accounts",
    "read_accounts_of",
    "read_doubts",
    "read_holders",
    "read_rates",
    "record_definitions",
    "save_rates",
    "write_repricings",
]

#: Where each name lives.
_MODULES: Final = {
    "hivecost.backends.sqlite.database": ("database_path", "open_reader"),
    "hivecost.backends.sqlite.lease_bank.definitions": ("record_definitions",),
    "hivecost.backends.sqlite.log.deletion": ("delete_session",),
    "hivecost.backends.sqlite.faults": ("named_faults",),
    "hivecost.backends.sqlite.lease_bank": (
        "read_accounts",
        "read_accounts_of",
        "read_doubts",
        "read_holders",
    ),
    "hivecost.backends.sqlite.liveness": ("living",),
    "hivecost.backends.sqlite.rates": (
        "current_rates_path",
        "previous_rates_path",
        "read_rates",
        "save_rates",
    ),
    "hivecost.backends.sqlite.log.repricings": ("write_repricings",),
    "hivecost.backends.sqlite.log.retention": ("prune",),
    "hivecost.backends.sqlite.log.rollups": ("COUNTED", "PRUNED_KEYS", "QUARTER_HOUR", "SUMS"),
    "hivecost.log.turn_rows": ("OTHER_COUNTS",),
    "hivecost.backends.sqlite.log.writer": ("Store",),
    "hivecost.backends.sqlite.reading.log_reader": ("SQLiteLogReader",),
}
__getattr__ = lazy_names(__name__, _MODULES)
