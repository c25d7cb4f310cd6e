"""The whole contract: what the author of a backend subclasses."""

from __future__ import annotations

from hivecost.testing.contracts.ledger.bills import BillPromises
from hivecost.testing.contracts.ledger.coming_and_going import ComingAndGoingPromises
from hivecost.testing.contracts.ledger.controls import ControlPromises
from hivecost.testing.contracts.ledger.holds import HoldPromises
from hivecost.testing.contracts.ledger.in_doubt import InDoubtPromises
from hivecost.testing.contracts.ledger.own_limits import OwnLimitPromises
from hivecost.testing.contracts.ledger.periods import PeriodPromises
from hivecost.testing.contracts.ledger.sharing import SharingPromises


class LedgerContract(
    HoldPromises,
    BillPromises,
    InDoubtPromises,
    PeriodPromises,
    SharingPromises,
    ControlPromises,
    OwnLimitPromises,
    ComingAndGoingPromises,
):
    """What every `hivecost.ledger.LedgerStore` keeps, as tests for pytest with the plugin of anyio.

    pytestmark = pytest.mark.anyio

    class TestMyLedger(LedgerContract):
        def open(self, place, budgets, clock):
            return MyLedger(place, budgets, clock)

    They run on asyncio and on trio, unless the file has a fixture `anyio_backend` that says which. Each has a place of
    its own, where nothing is yet, and opens it several times, one after the other or at once. None of them kills: what
    becomes of holds whose process dies, or whose machine does, is for the backend's own tests.

    A ledger of many machines says besides how another machine opens the place (`open_elsewhere`), and within how many
    seconds a ledger knows what others did there (`knows_others_within_s`).
    """
