"""The meter over a running execution: each attempt is a turn of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Final

from msgspec.structs import replace

from hivecost.attach.attributed_executions import AttributedExecutions
from hivecost.attach.meter import Attempt, Refused
from hivecost.attach.prompt_tags import PromptTags
from hivecost.attach.tally import Tally
from hivecost.dialects import (
    Answer,
    Free,
    ModelRequest,
    Refusal,
    RefusalAnswer,
    RefusalKind,
    Route,
    Unknown,
    Unmetered,
    Unreadable,
    read_request,
    recognise,
)
from hivecost.dialects.refusals import openai_answer
from hivecost.errors import (
    BudgetBusyError,
    BudgetExceededError,
    HiveCostError,
    PriceUnknownError,
)
from hivecost.pricing import can_count_tokens, input_token_bound
from hivecost.prompts import reaches_outside
from hivecost.runtime.execution import Execution
from hivecost.runtime.streaming import Coverage
from hivecost.runtime.turn import Turn, coverage_of
from hivecost.usage import UsageStatus

#: Of an answer that is paid for in steps so many tokens are held at first, and then ahead of what was read.
STEP_TOKENS: Final = 512
#: What a path means that nobody knows, at a host that bills.
_UNMETERED: Final = "{host} bills, and nobody here knows what {path} costs: a hard budget cannot hold for it"
_UNREADABLE: Final = "a hard budget holds what a call can cost, and the request cannot be read: {reason}"


class AttemptLostError(HiveCostError):
    """Nobody knows how an attempt went on after it was sent."""


class ExecutionMeter:
    """Asks the gate for each attempt of an agent, as turns of its execution."""

    def __init__(
        self,
        executions: AttributedExecutions,
        tally: Tally,
        *,
        is_hard: bool,
        whole_answers: bool = False,
        prompt_tags: PromptTags | None = None,
    ) -> None:
        """With `is_hard`, what nobody can price is refused; else it is counted.

        A stream that no budget can pay whole is paid for in steps, and with `whole_answers` it is refused. Turns have
        the tag of their system prompt with `prompt_tags`.
        """
        self._executions = executions
        self._tally = tally
        self._is_hard = is_hard
        self._whole_answers = whole_answers
        self._prompt_tags = prompt_tags

    async def ask(self, attempt: Attempt) -> TurnPass | Refused | None:
        """As `Meter` says."""
        self._tally.failed_probes += attempt.failed_probes
        route = recognise(attempt.method, attempt.host, attempt.path)
        if isinstance(route, Free | Unknown):
            return None
        if isinstance(route, Unmetered):
            return self._unmetered(attempt, None, _UNMETERED.format(host=attempt.host, path=route.path))
        request = read_request(route, attempt.headers, attempt.body)
        if isinstance(request, Unknown):
            return None
        if isinstance(request, Unreadable):
            return self._unmetered(attempt, route, _UNREADABLE.format(reason=request.reason))
        return await self._ask_gate(attempt, request)

    def _unmetered(self, attempt: Attempt, route: Route | None, why: str) -> Refused | None:
        self._tally.unmetered += 1
        return self._refused(attempt, route, "misconfigured", why) if self._is_hard else None

    async def _ask_gate(self, attempt: Attempt, request: ModelRequest) -> TurnPass | Refused:
        try:
            turn = await self._entered(attempt, request)
        except BudgetExceededError as error:
            return self._exceeded(attempt, request.route, error)
        except PriceUnknownError as error:
            return self._refused(attempt, request.route, "unpriced", str(error))
        except HiveCostError as error:  # the ledger cannot be reached, nothing bounds the call, the run is over
            return self._refused(attempt, request.route, "misconfigured", str(error))
        return TurnPass(turn, request, self._tally, where=attempt.where)

    async def _entered(self, attempt: Attempt, request: ModelRequest) -> Turn:
        """Return a turn that passed the gate: held whole, else in steps."""
        execution = await self._executions.of(attempt.session, attempt.user)
        tags = self._tags(attempt, request)
        try:
            return await _turn(execution, attempt, request, tags).__aenter__()
        except BudgetExceededError:
            if self._whole_answers or not (attempt.can_step and request.asked.stream):
                raise
            with suppress(BudgetExceededError):
                turn = await _turn(execution, attempt, request, tags, stream_tokens=STEP_TOKENS).__aenter__()
                self._tally.stepped += 1
                return turn
            raise

    def _tags(self, attempt: Attempt, request: ModelRequest) -> Mapping[str, str]:
        if self._prompt_tags is None:
            return attempt.tags
        return {**self._prompt_tags.of(request), **attempt.tags}

    def _exceeded(self, attempt: Attempt, route: Route, error: BudgetExceededError) -> Refused:
        is_busy = isinstance(error, BudgetBusyError)
        refused = self._refused(
            attempt, route, "busy" if is_busy else "exhausted", str(error), getattr(error, "retry_after_s", None)
        )
        return replace(refused, budget=error.budget, needed=error.needed, remaining=error.remaining)

    def _refused(
        self,
        attempt: Attempt,
        route: Route | None,
        kind: RefusalKind,
        message: str,
        retry_after_s: float | None = None,
    ) -> Refused:
        self._tally.refuse(kind, message)
        refusal = Refusal(kind=kind, message=message, retry_after_s=retry_after_s)
        return Refused(
            kind=kind, message=message, retry_after_s=retry_after_s, answer=_answer(refusal, route, attempt.headers)
        )


def _turn(
    execution: Execution, attempt: Attempt, request: ModelRequest, tags: Mapping[str, str], stream_tokens: int = 0
) -> Turn:
    """Return the turn of an attempt, at its node; an agent that is at none is one."""
    asked, node = request.asked, attempt.node or attempt.agent
    with execution.node(node, agent_id=attempt.agent or None) if node else nullcontext():
        return execution.turn(
            asked.model,
            provider=request.provider,
            input_tokens=asked.input_tokens or _byte_bound(request),
            max_tokens=asked.max_tokens,
            stream_tokens=stream_tokens,
            prompt=dict(request.prompt),
            cache_write=request.cache_write,
            service_tier=asked.service_tier,
            tags=tags,
        )


def _byte_bound(request: ModelRequest) -> int:
    """Return a token for each byte at a host that nobody knows: the model's name tells no tokenizer there.

    0 where the gate counts the prompt, or bounds it the same way.
    """
    asked = request.asked
    if request.route.is_known_host or not can_count_tokens(asked.model, request.provider):
        return 0
    return 0 if reaches_outside(request.prompt) else input_token_bound(request.prompt)


def _answer(refusal: Refusal, route: Route | None, headers: Mapping[str, str]) -> RefusalAnswer:
    """In the words of the dialect; where nobody knows one, in OpenAI's, which most clients read."""
    return openai_answer(refusal, headers) if route is None else route.dialect.refused(refusal, route, headers)


class TurnPass:
    """An attempt that passed the gate."""

    def __init__(self, turn: Turn, request: ModelRequest, tally: Tally, *, where: str) -> None:
        self._turn = turn
        self._request = request
        self._tally = tally
        self._where = where
        self._coverage: Coverage | None = None
        self._answer: Answer | None = None
        self._is_over = False
        self.body = self._changed_body()

    def _changed_body(self) -> bytes | None:
        """Return a body with the lower limit where the gate lowered the caller's, which asks for usage; else None."""
        lowered, asked = self._turn.max_tokens, self._request.asked
        limit = lowered if lowered and lowered < asked.max_tokens and lowered >= asked.limit_min else None
        if limit is None and not asked.usage_key:
            return None
        sent: bytes = self._request.to_send(limit)
        return sent

    @property
    def asks_stream(self) -> bool:
        """Whether a stream was asked for."""
        return self._request.asked.stream

    @property
    def asks_usage(self) -> bool:
        """As `Pass` says."""
        return bool(self._request.asked.usage_key)

    def answer(self, status: int, headers: Mapping[str, str]) -> Mapping[str, str]:
        """As `Pass` says."""
        self._answer = Answer(self._request, status=status, headers=headers, may_end=self.is_stepped)
        self._coverage = coverage_of(self._turn, self._answer.seen) if self.is_stepped else None
        return self._answer.headers

    def data(self, data: bytes) -> bytes:
        """As `Pass` says."""
        return data if self._answer is None or self._is_over else self._answer.feed(data)

    @property
    def is_stepped(self) -> bool:
        """As `Pass` says."""
        return self._turn.request.stream_tokens > 0

    async def step(self, data: bytes) -> tuple[bytes, bool]:
        """As `Pass` says."""
        passed = self.data(data)
        if self._coverage is None or self._is_over or self._coverage.is_enough:
            return passed, self._is_over
        try:
            await self._coverage.extend()
        except HiveCostError as error:
            assert self._answer is not None  # noqa: S101  # there is a coverage of it
            passed += self._answer.end_at_limit()
            self._tally.ended += 1
            self.doubt(str(error))
        return passed, self._is_over

    def end(self) -> bytes:
        """Settle by what the answer said."""
        if self._answer is None:
            self.doubt("its answer ended before it began")
        if self._is_over or self._answer is None:
            return b""
        rest = self._answer.close()
        self._settle("the answer says nothing of its usage")
        return rest

    def unsent(self) -> None:
        """As `Pass` says."""
        if not self._is_over:
            self._is_over = True
            self._turn.release()

    def doubt(self, why: str) -> None:
        """By what was seen of the answer; the rest of the hold stays."""
        if self._is_over:
            return
        if self._answer is not None:
            with suppress(Exception):  # what is cut in the middle of an event says nothing more
                self._answer.close()
        self._settle(why)

    def _settle(self, why: str) -> None:
        self._is_over = True
        readings = [] if self._answer is None else self._answer.readings()
        for reading in readings:
            self._turn.settle(reading)
        error = None if readings else AttemptLostError(why)
        self._turn.__exit__(type(error) if error else None, error, None)
        in_doubt = not readings or any(reading.status is not UsageStatus.OK for reading in readings)
        self._tally.end(self._turn, in_doubt, where=self._where)
