"""An answer that is read no further than it is paid for."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Generic, Self, TypeVar

from hivecost.errors import HiveCostError
from hivecost.plain_text import shown
from hivecost.runtime.admission import Admission
from hivecost.runtime.hosts import TurnHost
from hivecost.runtime.turn_bound import TurnTokens
from hivecost.usage import UsageStream

_log = logging.getLogger("hivecost.budgets")
Chunk = TypeVar("Chunk")


class Coverage:
    """What a turn's hold covers of a stream, and what it has to before more is read.

    With `stream_tokens` at least half of them are held ahead of what was seen, up to `max_tokens`, where the provider
    stops by itself. A provider that counts more than was held is believed: of reasoning that it hides it tells at the
    end, and its bill is then held for before it is settled.
    """

    def __init__(self, host: TurnHost, admission: Admission, seen: UsageStream) -> None:
        self._host = host
        self._admission = admission
        self._seen = seen
        self._step = admission.request.stream_tokens
        self._tokens = host.gate.tokens_held(admission)

    @property
    def is_enough(self) -> bool:
        """Whether more may be read; otherwise `extend` first."""
        return self._tokens is None or self._wanted(self._tokens) == self._tokens[:2]

    async def extend(self) -> None:
        """Hold as much more as is wanted. Raise BudgetExceededError and LedgerUnavailableError."""
        if self._tokens is None:
            return
        wanted = self._wanted(self._tokens)
        await self._host.extend(self._admission, *wanted)
        self._tokens = TurnTokens(*wanted, self._tokens.output_max)

    def extend_from_thread(self) -> None:
        """Extend the hold as `extend` does, from a sync agent's thread."""
        self._host.call_from_thread(self.extend)

    def _wanted(self, held: TurnTokens) -> tuple[int, int]:
        """Return the input and output tokens to hold."""
        seen, counted = self._seen, self._seen.counted
        output = max(held.output, counted.output_tokens)
        may_grow = not seen.is_finished and held.output < held.output_max
        if may_grow and seen.output_bound + (self._step + 1) // 2 > held.output:
            output = max(output, min(seen.output_bound + self._step, held.output_max))
        return max(held.input, counted.input_tokens), output


class TurnStream(Generic[Chunk]):
    """`async for chunk in turn.stream(response):`, or `for` in a sync agent: the provider's chunks as they are.

    When no budget can pay for what may come next, the provider's stream is closed, and BudgetExceededError raised;
    LedgerUnavailableError when the ledger cannot be asked.
    """

    def __init__(self, source: AsyncIterable[Chunk] | Iterable[Chunk], seen: UsageStream, coverage: Coverage) -> None:
        self._source = source
        self._seen = seen
        self._coverage = coverage
        self._chunks: Iterator[Chunk]
        self._async_chunks: AsyncIterator[Chunk]

    def __aiter__(self) -> Self:
        source = self._source
        self._async_chunks = aiter(source if isinstance(source, AsyncIterable) else _Each(source))
        return self

    async def __anext__(self) -> Chunk:
        if not self._coverage.is_enough:
            try:
                await self._coverage.extend()
            except HiveCostError:
                await _aclose(self._source)
                raise
        return self._observed(await anext(self._async_chunks))

    def __iter__(self) -> Self:
        if not isinstance(self._source, Iterable):
            raise TypeError(f"{type(self._source).__name__} is asynchronous: write `async for … in turn.stream(…)`")
        self._chunks = iter(self._source)
        return self

    def __next__(self) -> Chunk:
        if not self._coverage.is_enough:
            try:
                self._coverage.extend_from_thread()
            except HiveCostError:
                _close(self._source)
                raise
        return self._observed(next(self._chunks))

    def _observed(self, chunk: Chunk) -> Chunk:
        self._seen.observe(chunk)
        return chunk


class _Each(Generic[Chunk]):
    """The chunks of a sync stream. No generator: one that is left in the middle has to be closed on its own loop."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = iter(chunks)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


async def _aclose(source: object) -> None:
    closing = _close(source)
    if inspect.isawaitable(closing):
        try:
            await closing
        except Exception as error:  # the edge: a provider's fault must not hide why its stream was stopped
            _log.warning("%s could not be closed: %s", shown(source), shown(error))


def _close(source: object) -> Any:
    """Hang up on the provider, so that it stops: what there is to await, if there is."""
    try:
        close = getattr(source, "aclose", None) or getattr(source, "close", None)
        return None if close is None else close()
    except Exception as error:  # the edge: as above
        _log.warning("%s could not be closed: %s", shown(source), shown(error))
