"""The SQLite runtime log: one file, one writer in a process, sums in step with the log."""

from typing import TYPE_CHECKING, Final

from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.store.database import database_path, open_reader
    from hivecost.store.definitions import record_definitions
    from hivecost.store.deletion import delete_session
    from hivecost.store.faults import named_faults
    from hivecost.store.ledger import (
        DoubtAmount,
        DoubtfulHold,
        Holder,
        Ledger,
        LedgerHold,
        read_accounts,
        read_accounts_of,
        read_doubts,
        read_holders,
    )
    from hivecost.store.liveness import living
    from hivecost.store.rates import current_rates_path, open_price_book, previous_rates_path, read_rates, save_rates
    from hivecost.store.repricings import Repricing, write_repricings
    from hivecost.store.retention import Pruned, prune
    from hivecost.store.rollups import COUNTED, PRUNED_KEYS, QUARTER_HOUR, SUMS
    from hivecost.store.rows import OTHER_COUNTS
    from hivecost.store.statistics import StoreStatistics
    from hivecost.store.threads import run_in_thread
    from hivecost.store.writer import Store

__all__ = [
    "COUNTED",
    "OTHER_COUNTS",
    "PRUNED_KEYS",
    "QUARTER_HOUR",
    "SUMS",
    "DoubtAmount",
    "DoubtfulHold",
    "Holder",
    "Ledger",
    "LedgerHold",
    "Pruned",
    "Repricing",
    "Store",
    "StoreStatistics",
    "current_rates_path",
    "database_path",
    "delete_session",
    "living",
    "named_faults",
    "open_price_book",
    "open_reader",
    "previous_rates_path",
    "prune",
    "read_accounts",
    "read_accounts_of",
    "read_doubts",
    "read_holders",
    "read_rates",
    "record_definitions",
    "run_in_thread",
    "save_rates",
    "write_repricings",
]

#: Where each name lives.
_MODULES: Final = {
    "database": ("database_path", "open_reader"),
    "definitions": ("record_definitions",),
    "deletion": ("delete_session",),
    "faults": ("named_faults",),
    "ledger": (
        "DoubtAmount",
        "DoubtfulHold",
        "Holder",
        "Ledger",
        "LedgerHold",
        "read_accounts",
        "read_accounts_of",
        "read_doubts",
        "read_holders",
    ),
    "liveness": ("living",),
    "rates": ("current_rates_path", "open_price_book", "previous_rates_path", "read_rates", "save_rates"),
    "repricings": ("Repricing", "write_repricings"),
    "retention": ("Pruned", "prune"),
    "rollups": ("COUNTED", "PRUNED_KEYS", "QUARTER_HOUR", "SUMS"),
    "rows": ("OTHER_COUNTS",),
    "statistics": ("StoreStatistics",),
    "threads": ("run_in_thread",),
    "writer": ("Store",),
}
__getattr__ = lazy_names(__name__, _MODULES)
