"""The most that a turn can cost, in every unit that hard budgets count."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import BudgetExceededError, ConfigError, PriceUnknownError
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import Unit
from hivecost.pricing import PriceBook

#: Why a model needs a price.
_NEEDED_FOR: Final = "a hard budget holds what a turn can cost before it is sent (mode='stop_after' lets it pass)"
#: More than any model reads or writes.
_TOKENS_BEYOND_ALL: Final = 10**9


#: Input and output tokens of the last attempt, and of any earlier one.
_Attempts = tuple[tuple[int, int], tuple[int, int]]


class TurnTokens(NamedTuple):
    """The tokens that a turn is bounded by."""

    input: int
    #: What its answer is held with: with `stream_tokens` not all of it.
    output: int
    #: What its answer can be at most.
    output_max: int


class TurnBounds:
    """Bounds requests by what they say, else by the maxima of their models, at the rates of a price book."""

    def __init__(self, prices: PriceBook, clock: Clock) -> None:
        self._prices = prices
        self._clock = clock

    def fitted(self, request: TurnRequest) -> TurnRequest:
        """Return the request, with `max_tokens` that are no more than its model can write."""
        if not request.max_tokens:
            return request
        most = self._prices.limits(request.model, request.provider).output_tokens_max
        return replace(request, max_tokens=most) if most and request.max_tokens > most else request

    def tokens(self, request: TurnRequest) -> TurnTokens:
        """Return what the request says; else its model's context window, and the longest answer that the model writes.

        Raise ConfigError, saying what to give, where neither is known.
        """
        window, most = self._prices.limits(request.model, request.provider)
        input_tokens = request.input_tokens or window
        output_tokens = self._output_max(request, most)
        if input_tokens is None or output_tokens is None:
            raise _unbounded(request.model, input_tokens, output_tokens)
        held = min(request.stream_tokens or output_tokens, output_tokens)
        return TurnTokens(input_tokens, held, output_tokens)

    def explained(self, refusal: BudgetExceededError, unit: Unit, request: TurnRequest) -> BudgetExceededError:
        """Return the refusal, naming what is held at the model's maximum, where the request needs too much."""
        if unit == "calls" or request.is_charge or refusal.needed <= refusal.remaining:
            return refusal
        model, held = request.model, []
        window, most = self._prices.limits(model, request.provider)
        if not request.input_tokens and window:
            held.append(f"without input_tokens= or a text prompt= it holds all {window:,} tokens that {model!r} reads")
        if not request.max_tokens and most:
            held.append(f"without max_tokens= it holds all {most:,} tokens that {model!r} writes")
        if held:
            refusal.args = ("; ".join((str(refusal), *held)),)
        return refusal

    def is_partial(self, request: TurnRequest) -> bool:
        """Tell whether the answer can be longer than `stream_tokens`, with which it is held."""
        if not request.stream_tokens:
            return False
        most = self._prices.limits(request.model, request.provider).output_tokens_max
        output_tokens = self._output_max(request, most)
        return output_tokens is None or request.stream_tokens < output_tokens

    def _output_max(self, request: TurnRequest, most: int | None) -> int | None:
        """Return the tokens of all answers, where the model writes at most `most` in each; None where nobody knows."""
        longest = min(request.max_tokens, most) if request.max_tokens and most else request.max_tokens or most
        return longest * request.answers if longest else longest

    def of(
        self,
        request: TurnRequest,
        counted: Collection[Unit],
        enforced: Collection[Unit] | None = None,
        under_way: tuple[int, int] | None = None,
    ) -> dict[Unit, int]:
        """Return the bound over all attempts, `stream_tokens` of output for the last one.

        `under_way` is what the last attempt is known to hold or to need by now, of input and of output. Of an earlier
        one nobody saw how much was generated, so it counts with the longest answer. Raise ConfigError where nothing
        bounds the request, and PriceUnknownError for a model that nobody can bound; in a unit that is counted and not
        `enforced`, if those are named, the bound is 0 then, because shadow budgets refuse none.
        """
        if request.charge_nanousd is not None:
            return {"calls": 0, "tokens": 0, "usd": request.charge_nanousd}
        bound: dict[Unit, int] = {"calls": request.attempts}
        attempts: _Attempts | ConfigError | None = None
        for unit in ("tokens", "usd"):
            if unit in counted:
                try:
                    attempts = attempts or self._attempts(request, under_way)
                    bound_in = self._tokens if unit == "tokens" else self._usd
                    bound[unit] = bound_in(request, attempts)
                except (ConfigError, PriceUnknownError):
                    if enforced is None or unit in enforced:
                        raise
                    bound[unit] = 0
        return bound

    def _tokens(self, request: TurnRequest, attempts: _Attempts | ConfigError) -> int:
        if isinstance(attempts, ConfigError):
            raise attempts
        last, longest = attempts
        return sum(last) + (request.attempts - 1) * sum(longest)

    def _usd(self, request: TurnRequest, attempts: _Attempts | ConfigError) -> int:
        if not request.resolved_model and not self._prices.knows(
            request.model, provider=request.provider, at_ns=self._clock.now_ns()
        ):
            raise self._unpriced(request)
        if isinstance(attempts, ConfigError):
            if self._nanousd(request, _TOKENS_BEYOND_ALL, _TOKENS_BEYOND_ALL):
                raise attempts
            return 0  # it is free, however long it is
        last, longest = attempts
        nanousd = self._nanousd(request, *last)
        return nanousd + (request.attempts - 1) * self._nanousd(request, *longest) if request.attempts > 1 else nanousd

    def _attempts(self, request: TurnRequest, under_way: tuple[int, int] | None) -> _Attempts | ConfigError:
        """Return input and output tokens of the last attempt, and of any earlier one; or why nothing bounds them."""
        try:
            tokens = self.tokens(request)
        except ConfigError as error:
            return error
        last = under_way or (tokens.input, tokens.output)
        return last, (tokens.input, max(tokens.output_max, last[1]))

    def _nanousd(self, request: TurnRequest, input_tokens: int, output_tokens: int) -> int:
        nanousd = self._prices.upper_bound_nanousd(
            request.model,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            provider=request.provider,
            at_ns=self._clock.now_ns(),
            service_tier=request.service_tier,
            cache_write=request.cache_write,
            is_text=request.is_text,
            # What tools do past one call is like what is generated past a step: an overrun that does not freeze.
            tool_calls=1 if request.tool_calls > 1 and self.is_partial(request) else request.tool_calls,
        )
        if nanousd is None:
            raise self._unpriced(request)
        return nanousd

    def _unpriced(self, request: TurnRequest) -> PriceUnknownError:
        return PriceUnknownError(
            request.model, suggestions=self._prices.suggestions(request.model), needed_for=_NEEDED_FOR
        )


def _unbounded(model: str, input_tokens: int | None, output_tokens: int | None) -> ConfigError:
    """Return an error that names what to give for a model whose context window or longest answer nobody published."""
    given, names, keys = [], [], []
    if input_tokens is None:
        given.append("prompt=messages or input_tokens=…")
        names.append("context window")
        keys.append("context_window")
    if output_tokens is None:
        given.append("max_tokens=…")
        names.append("longest answer")
        keys.append("max_output_tokens")
    return ConfigError(
        f"ctx.turn({', '.join(given)})",
        f"the most that the turn can be, which a hard budget holds before it is sent: nobody published the "
        f"{' and the '.join(names)} of model {model!r}; say it here, or once with the model's price in hivecost.toml: "
        f"{' and '.join(f'{key} = TOKENS' for key in keys)}",
    )
