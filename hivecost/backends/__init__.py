"""Where a runtime log and a ledger live: one folder for each kind of place."""

from typing import TYPE_CHECKING, Final

from hivecost.backends.opening import open_backend, open_log, register_backend
from hivecost.backends.places import Place, as_place
from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.backends.contract import Backend, Lends, Rates
    from hivecost.backends.ledger import Ledger
    from hivecost.backends.price_book import open_price_book
    from hivecost.backends.reading import read_log, read_place
    from hivecost.backends.stores import RuntimeLogStore, SessionStore, SpendStore

__all__ = [
    "Backend",
    "Ledger",
    "Lends",
    "Place",
    "Rates",
    "RuntimeLogStore",
    "SessionStore",
    "SpendStore",
    "as_place",
    "open_backend",
    "open_log",
    "open_price_book",
    "read_log",
    "read_place",
    "register_backend",
]

#: Where each name lives that not everybody needs.
_MODULES: Final = {
    "hivecost.backends.contract": ("Backend", "Lends", "Rates"),
    "hivecost.backends.ledger": ("Ledger",),
    "hivecost.backends.price_book": ("open_price_book",),
    "hivecost.backends.reading": ("read_log", "read_place"),
    "hivecost.backends.stores": ("RuntimeLogStore", "SessionStore", "SpendStore"),
}
__getattr__ = lazy_names(__name__, _MODULES)
