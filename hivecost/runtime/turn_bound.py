"""The most that a turn can cost, in every unit that hard budgets count."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import ConfigError, PriceUnknownError
from hivecost.ledger import Unit
from hivecost.plugin import TurnRequest
from hivecost.pricing import PriceBook

#: With what an agent says how much a turn can be.
_INPUT_TOKENS: Final = "input_tokens=… or prompt=messages"
_MAX_TOKENS: Final = "max_tokens=…"


def grown_to(request: TurnRequest, input_tokens: int, output_tokens: int) -> TurnRequest:
    """The request of a turn under way that holds so many tokens."""
    output_max = max(request.max_tokens, output_tokens)
    return replace(request, input_tokens=input_tokens, max_tokens=output_max, stream_tokens=output_tokens)


class TurnBounds:
    """Bounds requests by what they say, at the rates of a price book."""

    def __init__(self, prices: PriceBook, clock: Clock) -> None:
        self._prices = prices
        self._clock = clock

    def of(
        self, request: TurnRequest, counted: Collection[Unit], enforced: Collection[Unit] | None = None
    ) -> dict[Unit, int]:
        """The bound over all attempts, `stream_tokens` of output for the last one.

        Of an earlier attempt nobody saw how much was generated, so it counts with `max_tokens` in full. Raises
        ConfigError where the request says no bound, and PriceUnknownError for a model that nobody can bound; in a unit
        that is counted and not `enforced`, if those are named, the bound is 0 then, because shadow budgets refuse none.
        """
        if request.charge_nanousd is not None:
            return {"calls": 0, "tokens": 0, "usd": request.charge_nanousd}
        bound: dict[Unit, int] = {"calls": request.attempts}
        for unit in ("tokens", "usd"):
            if unit in counted:
                try:
                    bound[unit] = self._tokens(request) if unit == "tokens" else self._usd(request)
                except (ConfigError, PriceUnknownError):
                    if enforced is None or unit in enforced:
                        raise
                    bound[unit] = 0
        return bound

    def _tokens(self, request: TurnRequest) -> int:
        _require_bounds(request)
        earlier = (request.attempts - 1) * (request.input_tokens + request.max_tokens)
        return earlier + request.input_tokens + request.held_tokens

    def _usd(self, request: TurnRequest) -> int:
        _require_bounds(request)
        nanousd = self._nanousd(request, request.held_tokens)
        if request.attempts > 1:
            nanousd += (request.attempts - 1) * self._nanousd(request, request.max_tokens)
        return nanousd

    def _nanousd(self, request: TurnRequest, output_tokens: int) -> int:
        nanousd = self._prices.upper_bound_nanousd(
            request.model,
            input_tokens=request.input_tokens,
            output_tokens=output_tokens,
            provider=request.provider,
            at_ns=self._clock.now_ns(),
        )
        if nanousd is None:
            raise PriceUnknownError(request.model, suggestions=self._prices.suggestions(request.model))
        return nanousd


def _require_bounds(request: TurnRequest) -> None:
    if not (request.input_tokens and request.max_tokens):
        given_as = _MAX_TOKENS if request.input_tokens else _INPUT_TOKENS
        raise ConfigError(f"ctx.turn({given_as})", "the most it can be: a hard budget holds money for it")
