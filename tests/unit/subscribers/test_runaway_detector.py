"""A runaway gives itself away by its own turns, and an honest agent does not."""

from __future__ import annotations

import pytest

from hivecost.errors import ConfigError
from hivecost.events import LLMTurnComplete, Usage
from hivecost.subscribers.runaway_detector import RunawayDetector, RunawayRules

S = 10**9


def turn(at_s: float, tokens: int = 100, *, execution_id: str = "e", model: str = "m") -> LLMTurnComplete:
    return LLMTurnComplete(
        execution_id=execution_id, model=model, usage=Usage(tokens, 0), timestamp_ns=int((1_000 + at_s) * S)
    )


def signs(detector: RunawayDetector, turns: list[LLMTurnComplete]) -> list[str]:
    return [verdict.sign for each in turns for verdict in detector.observe(each)]


def test_identical_turns_in_a_row_are_reported_once():
    """At the limit, not before, and not again with every further turn."""
    detector = RunawayDetector(RunawayRules(repeats=5))
    assert signs(detector, [turn(i) for i in range(4)]) == []
    assert signs(detector, [turn(4)]) == ["repetition"]
    assert signs(detector, [turn(i) for i in range(5, 50)]) == []


def test_a_different_turn_starts_the_count_again():
    """A loop that gets somewhere is none; neither are two executions that do the same."""
    detector = RunawayDetector(RunawayRules(repeats=3))
    assert signs(detector, [turn(i, 100 + i // 2) for i in range(100)]) == []
    assert signs(detector, [turn(i, execution_id=f"e{i}") for i in range(100)]) == []


def test_a_burst_is_measured_against_the_own_past():
    """Ten times the pace before, and much: reported. The same amount at a steady pace: not."""
    rules = RunawayRules(repeats=10**6, velocity_factor=10, velocity_window_s=60, velocity_tokens_min=50_000)
    steady = [turn(i, 1_000 + i) for i in range(600)]
    assert signs(RunawayDetector(rules), steady) == []
    calm = [turn(10 * i, 100 + i) for i in range(60)]
    burst = [turn(601 + i, 10_000 + i) for i in range(20)]
    assert signs(RunawayDetector(rules), calm + burst) == ["velocity"]


def test_tokens_per_task_against_its_expectation():
    """Over three times what a task needs."""
    detector = RunawayDetector(RunawayRules(task_tokens=1_000))
    assert signs(detector, [turn(i, 1_000 + i) for i in range(2)]) == []
    assert signs(detector, [turn(2, 1_500)]) == ["task_tokens"]


def test_a_finished_execution_is_forgotten():
    """Its id may come again with a new life."""
    detector = RunawayDetector(RunawayRules(repeats=3))
    signs(detector, [turn(0), turn(1)])
    detector.forget("e")
    assert signs(detector, [turn(2), turn(3)]) == []


@pytest.mark.parametrize(
    "rules",
    [{"repeats": 1}, {"repeats": 2.5}, {"velocity_factor": 0}, {"velocity_window_s": True}, {"task_tokens": -1}],
)
def test_thresholds_that_cannot_be_are_named(rules):
    """The error names the setting."""
    with pytest.raises(ConfigError, match=f"runaway.{next(iter(rules))}"):
        RunawayRules(**rules)
