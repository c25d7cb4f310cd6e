"""Signs of an agent that runs in circles, read off its own turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, Literal

import msgspec

from hivecost.errors import ConfigError
from hivecost.events import LLMTurnComplete

Sign = Literal["repetition", "velocity", "task_tokens"]

#: Executions watched at once; the one that was quiet longest is forgotten.
EXECUTIONS_MAX: Final = 10_000
_NS_PER_S: Final = 10**9


class RunawayRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a run looks like a runaway. Raises ConfigError for thresholds that cannot be."""

    #: So many turns in a row with the same model, node and token counts.
    repeats: int = 25
    #: The last `velocity_window_s` used so many times the tokens per second of the execution before that …
    velocity_factor: float = 10.0
    velocity_window_s: float = 60.0
    #: … and at least so many tokens.
    velocity_tokens_min: int = 200_000
    #: The tokens a task is expected to need; 0: unknown. Over `task_factor` times that, it runs away.
    task_tokens: int = 0
    task_factor: float = 3.0

    def __post_init__(self) -> None:
        for key, least in (("repeats", 2), ("velocity_tokens_min", 1), ("task_tokens", 0)):
            value = getattr(self, key)
            if type(value) is not int or not least <= value < 2**63:
                raise ConfigError(f"runaway.{key}", f"a whole number, {least} or more", got=value)
        for key in ("velocity_factor", "velocity_window_s", "task_factor"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
                raise ConfigError(f"runaway.{key}", "a number above 0", got=value)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What looks like a runaway, in words that a person can check."""

    sign: Sign
    message: str


class _Execution:
    """What one execution did so far."""

    def __init__(self, first_ns: int) -> None:
        self.first_ns = first_ns
        self.tokens = 0
        self.last_turn: tuple[object, ...] = ()
        self.repeats = 0
        self.recent: deque[tuple[int, int]] = deque()
        self.recent_tokens = 0
        self.reported: set[Sign] = set()


class RunawayDetector:
    """Looks at turns as they come and says what looks wrong, each sign once per execution.

    Pure: an execution is compared with its own history only. Memory is bounded by `EXECUTIONS_MAX`.
    """

    def __init__(self, rules: RunawayRules | None = None) -> None:
        self.rules = rules or RunawayRules()
        self._executions: OrderedDict[str, _Execution] = OrderedDict()

    def observe(self, turn: LLMTurnComplete) -> list[Verdict]:
        """Return what this turn shows of a runaway; [] nearly always."""
        if not turn.execution_id:
            return []
        execution = self._executions.get(turn.execution_id)
        if execution is None:
            execution = self._executions[turn.execution_id] = _Execution(turn.timestamp_ns)
            if len(self._executions) > EXECUTIONS_MAX:
                self._executions.popitem(last=False)
        else:
            self._executions.move_to_end(turn.execution_id)
        execution.tokens += turn.usage.total_tokens
        found = (self._repetition(execution, turn), self._velocity(execution, turn), self._task_tokens(execution))
        verdicts = [verdict for verdict in found if verdict is not None and verdict.sign not in execution.reported]
        execution.reported.update(verdict.sign for verdict in verdicts)
        return verdicts

    def forget(self, execution_id: str) -> None:
        """Forget an execution that is over."""
        self._executions.pop(execution_id, None)

    def _repetition(self, execution: _Execution, turn: LLMTurnComplete) -> Verdict | None:
        same = (turn.model, turn.node_id, turn.usage)
        execution.repeats = execution.repeats + 1 if same == execution.last_turn else 1
        execution.last_turn = same
        if execution.repeats < self.rules.repeats:
            return None
        where = f" in node {turn.node_id!r}" if turn.node_id else ""
        counts = f"{turn.usage.input_tokens:,} tokens in and {turn.usage.output_tokens:,} out"
        return Verdict(
            sign="repetition", message=f"{execution.repeats} turns of {turn.model}{where} in a row, each with {counts}"
        )

    def _velocity(self, execution: _Execution, turn: LLMTurnComplete) -> Verdict | None:
        rules, now_ns = self.rules, turn.timestamp_ns
        window_ns = int(rules.velocity_window_s * _NS_PER_S)
        execution.recent.append((now_ns, turn.usage.total_tokens))
        execution.recent_tokens += turn.usage.total_tokens
        while execution.recent[0][0] <= now_ns - window_ns:
            execution.recent_tokens -= execution.recent.popleft()[1]
        earlier_tokens = execution.tokens - execution.recent_tokens
        earlier_ns = now_ns - window_ns - execution.first_ns
        if earlier_ns <= 0 or not earlier_tokens or execution.recent_tokens < rules.velocity_tokens_min:
            return None
        factor = (execution.recent_tokens / window_ns) / (earlier_tokens / earlier_ns)
        if factor < rules.velocity_factor:
            return None
        return Verdict(
            sign="velocity",
            message=f"{execution.recent_tokens:,} tokens in the last {rules.velocity_window_s:g} s, "
            f"{factor:.0f} times the pace of this execution before",
        )

    def _task_tokens(self, execution: _Execution) -> Verdict | None:
        rules = self.rules
        if not rules.task_tokens or execution.tokens <= rules.task_factor * rules.task_tokens:
            return None
        return Verdict(
            sign="task_tokens",
            message=f"{execution.tokens:,} tokens, more than {rules.task_factor:g} times the {rules.task_tokens:,} "
            "that a task needs",
        )
