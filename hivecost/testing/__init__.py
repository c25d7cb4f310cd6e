"""How others test against it: a provider that keeps its own bill, a clock that stands still, a ledger's contract."""

from hivecost.testing.behaviour import BEHAVIOUR_HEADER, Behaviour, ToolCall
from hivecost.testing.bill import BilledTokens, BillEntry, TokenRates, read_bill, sum_nanousd, sum_tokens
from hivecost.testing.clock import FakeClock
from hivecost.testing.contracts import LedgerContract
from hivecost.testing.emulator import TURN_HEADER, ProviderEmulator, ReceivedRequest
from hivecost.testing.models import DATED_MODELS
from hivecost.testing.tokens import count_tokens, prompt_tokens

__all__ = [
    "BEHAVIOUR_HEADER",
    "DATED_MODELS",
    "TURN_HEADER",
    "Behaviour",
    "BillEntry",
    "BilledTokens",
    "FakeClock",
    "LedgerContract",
    "ProviderEmulator",
    "ReceivedRequest",
    "TokenRates",
    "ToolCall",
    "count_tokens",
    "prompt_tokens",
    "read_bill",
    "sum_nanousd",
    "sum_tokens",
]
