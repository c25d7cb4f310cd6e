"""The SQLite runtime log: one file, one writer in a process, sums in step with the log."""

from typing import TYPE_CHECKING, Final

from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.leasing import LedgerHold
    from hivecost.ledger import DoubtAmount, DoubtfulHold
    from hivecost.store.database import database_path, open_reader
    from hivecost.store.definitions import record_definitions
    from hivecost.store.deletion import delete_session
    from hivecost.store.faults import named_faults
    from hivecost.store.ledger import (
        Holder,
        Ledger,
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
    "hivecost.leasing": ("LedgerHold",),
    "hivecost.ledger": ("DoubtAmount", "DoubtfulHold"),
    "hivecost.store.database": ("database_path", "open_reader"),
    "hivecost.store.definitions": ("record_definitions",),
    "hivecost.store.deletion": ("delete_session",),
    "hivecost.store.faults": ("named_faults",),
    "hivecost.store.ledger": (
        "Holder",
        "Ledger",
        "read_accounts",
        "read_accounts_of",
        "read_doubts",
        "read_holders",
    ),
    "hivecost.store.liveness": ("living",),
    "hivecost.store.rates": (
        "current_rates_path",
        "open_price_book",
        "previous_rates_path",
        "read_rates",
        "save_rates",
    ),
    "hivecost.store.repricings": ("Repricing", "write_repricings"),
    "hivecost.store.retention": ("Pruned", "prune"),
    "hivecost.store.rollups": ("COUNTED", "PRUNED_KEYS", "QUARTER_HOUR", "SUMS"),
    "hivecost.store.rows": ("OTHER_COUNTS",),
    "hivecost.store.statistics": ("StoreStatistics",),
    "hivecost.store.threads": ("run_in_thread",),
    "hivecost.store.writer": ("Store",),
}
__getattr__ = lazy_names(__name__, _MODULES)
