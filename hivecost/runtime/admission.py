"""What the gate lets pass, and what a turn has been given on the way there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from hivecost.gate_contract import GateCheck, TurnEnd, TurnOutcome, TurnRequest
from hivecost.ledger import LedgerStoreHold
from hivecost.ledger.caps import CapHold

NOT_SENT: Final = TurnOutcome(total_tokens=0)


class Admission(msgspec.Struct, frozen=True):
    """What the gate lets pass: the request as it may be sent, and what is held for it."""

    request: TurnRequest
    hold: LedgerStoreHold | None = None
    #: What is held for it on the caps of its blocks.
    cap_hold: CapHold | None = None
    #: What gate checks want to be told at its end.
    ends: tuple[TurnEnd, ...] = ()


class Passes:
    """What the checks gave one turn, such as its place among those that are sent at once.

    It must not keep them from others while it waits for money.
    """

    def __init__(
        self,
        checks: Iterable[GateCheck],
        end: Callable[[tuple[TurnEnd, ...], TurnOutcome], None],
        resolved: Callable[[TurnRequest], TurnRequest],
    ) -> None:
        #: What the checks want to be told at its end.
        self.ends: list[TurnEnd] = []
        self._checks = list(checks)
        self._end = end
        self._resolved = resolved

    async def take(self, request: TurnRequest) -> TurnRequest:
        """Pass all checks, which may wait or raise; return the request as they want it sent."""
        for check in self._checks:
            answer = await check(request)
            if isinstance(answer, TurnRequest):
                request = self._resolved(answer)
            elif answer is not None:
                self.ends.append(answer)
        return request

    def give_back(self) -> None:
        """Give all passes back, because nothing is sent for now: others may take its place."""
        ends, self.ends = tuple(self.ends), []
        self._end(ends, NOT_SENT)
