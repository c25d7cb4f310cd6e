"""How many tokens a turn's prompt is, where a budget holds money for it and somebody can count."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio.to_thread
from msgspec.structs import replace

from hivecost.gate_contract import TurnRequest
from hivecost.plain_text import shown
from hivecost.pricing import (
    can_count_tokens,
    count_tokens,
    import_tokenizer,
    input_token_bound,
    is_vocabulary_loaded,
)
from hivecost.pricing.bounds import TEMPLATE_TOKENS
from hivecost.prompts import asked_answers, asked_cache_write, asked_tier, asked_tool_calls, reaches_outside

_log = logging.getLogger("hivecost.budgets")

#: Gives the provider's own count: a number, or its answer; awaited if it can be.
Count = Callable[[], Any]

#: What providers call it in their answers.
_COUNTS: Final = ("input_tokens", "inputTokens", "total_tokens", "totalTokens")
#: A provider's count is close and not exact, and is held with a twentieth more:
#: https://platform.claude.com/docs/en/build-with-claude/token-counting
_MARGIN: Final = 20

#: A prompt so short takes less time to be counted than a thread to begin with it.
_SHORT_BYTES: Final = 2_048

#: Of OpenRouter's names: what is found on the web is read with the prompt.
_SEARCHING: Final = ":online"

_has_warned: set[type[Exception]] = set()


class PromptCount:
    """The prompt of one turn, to be counted before it is asked for at the gate."""

    def __init__(self, prompt: Any, tools: Any, count: Count | None) -> None:
        self._prompt = prompt if tools is None else {"messages": prompt, "tools": tools}
        self._count = count
        self._is_outside = reaches_outside(self._prompt)
        #: A token for each byte; 0 where bytes are no bound.
        self.byte_bound = 0 if self._is_outside else input_token_bound(self._prompt)

    def described(self, request: TurnRequest) -> TurnRequest:
        """Return the request with what the prompt says of itself, bounded by its bytes where nobody named a number."""
        cache_write = asked_cache_write(self._prompt) if request.cache_write is None else request.cache_write
        if request.model.endswith(_SEARCHING):
            self._is_outside, self.byte_bound = True, 0
        return replace(
            request,
            input_tokens=request.input_tokens or self.byte_bound,
            is_text=not self._is_outside,
            cache_write=cache_write,
            service_tier=request.service_tier or asked_tier(self._prompt),
            answers=asked_answers(self._prompt),
            tool_calls=max(asked_tool_calls(self._prompt), int(request.model.endswith(_SEARCHING))),
        )

    def can_count(self, request: TurnRequest) -> bool:
        """Tell whether anybody can count the prompt better than by its bytes."""
        return self._count is not None or self._is_tokenized(request)

    async def counted(self, request: TurnRequest) -> TurnRequest:
        """Return the request with the prompt counted by its model's tokenizer, else by `count`; else as it was."""
        tokens = None
        if self._is_tokenized(request):
            model = request.model
            at_once = self.byte_bound <= _SHORT_BYTES and is_vocabulary_loaded(model)
            tokens = self._tokenized(model) if at_once else await anyio.to_thread.run_sync(self._tokenized, model)
        if tokens is None and self._count is not None:
            tokens = await self._asked(self._count)
        if tokens is None:
            return request
        return replace(request, input_tokens=min(tokens, self.byte_bound or tokens), uncounted_tokens=self.byte_bound)

    def _is_tokenized(self, request: TurnRequest) -> bool:
        return not self._is_outside and can_count_tokens(request.model, request.provider)

    def _tokenized(self, model: str) -> int | None:
        """Return the tokens. The first call loads a vocabulary, and a long prompt takes time: both are for a thread."""
        return count_tokens(self._prompt, model) if import_tokenizer() else None

    async def _asked(self, count: Count) -> int | None:
        """Return the caller's `count`, and a little more; None where it fails, logged once for each kind of error."""
        try:
            answer = await anyio.to_thread.run_sync(count)  # it may be a plain function that waits
            tokens = _read(await answer if inspect.isawaitable(answer) else answer)
        except Exception as error:  # the edge: a provider's fault is no reason not to ask it
            if type(error) not in _has_warned:
                _has_warned.add(type(error))
                _log.warning("a prompt could not be counted, and is bounded without: %s", shown(error))
            return None
        return tokens + -(-tokens // _MARGIN) + TEMPLATE_TOKENS


def _read(answer: Any) -> int:
    """Return the number in a provider's answer. Raise ValueError where there is none."""
    named = (answer.get(name) if isinstance(answer, Mapping) else getattr(answer, name, None) for name in _COUNTS)
    tokens = next((number for number in named if number is not None), answer)
    if type(tokens) is not int or tokens < 0:
        raise ValueError(f"count=… gave {shown(answer)}, and no number of tokens")
    return tokens
