"""What gate checks gave a turn, and what it must not keep from others while it waits for money."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from hivecost.gate_contract import GateCheck, TurnEnd, TurnOutcome, TurnRequest

NOT_SENT: Final = TurnOutcome(total_tokens=0)


class Passes:
    """What the checks gave one turn, such as its place among those that are sent at once."""

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
        """Nothing is sent for now: others may take its place."""
        ends, self.ends = tuple(self.ends), []
        self._end(ends, NOT_SENT)
