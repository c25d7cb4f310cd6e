from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from hivecost.attribution import Attribution
from hivecost.ledger import Lineage


def started(*pairs: tuple[str, str]) -> Lineage:
    lineage = Lineage()
    for execution_id, parent in pairs:
        lineage.started(Attribution(execution_id=execution_id), parent)
    return lineage


def test_the_nearest_ancestor_comes_first():
    lineage = started(("a", ""), ("b", "a"), ("c", "b"))
    assert [one.execution_id for one in lineage.ancestors("c")] == ["b", "a"]
    assert lineage.ancestors("a") == lineage.ancestors("nobody") == ()


def test_an_execution_is_needed_until_its_last_descendant_has_ended():
    """A parent that ends first leaves its account to the children that still spend."""
    lineage = started(("a", ""), ("b", "a"), ("c", "b"))
    assert lineage.ended("a") == []
    assert [one.execution_id for one in lineage.ancestors("c")] == ["b", "a"]
    assert lineage.ended("b") == []
    assert lineage.ended("c") == ["c", "b", "a"]


def test_one_whose_start_was_not_told_is_over_when_it_ends():
    assert Lineage().ended("a") == ["a"]


class Trees(RuleBasedStateMachine):
    """Any trees, ended in any order: nothing is forgotten early, and nothing is kept for ever."""

    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.lineage = Lineage()
        self.parents: dict[str, str] = {}
        self.alive: set[str] = set()
        self.over: set[str] = set()

    @rule(target=running, parent=st.one_of(st.none(), running))
    def start(self, parent):
        execution_id = f"e{len(self.parents)}"
        self.parents[execution_id] = parent if parent in self.alive else ""
        self.alive.add(execution_id)
        self.lineage.started(Attribution(execution_id=execution_id), self.parents[execution_id])
        return execution_id

    @rule(execution_id=consumes(running))
    def end(self, execution_id):
        self.alive.discard(execution_id)
        over = self.lineage.ended(execution_id)
        assert self.over.isdisjoint(over)
        self.over |= set(over)

    @invariant()
    def an_execution_is_over_once_nothing_below_it_runs(self):
        needed = set()
        for alive in self.alive:
            execution_id = alive
            while execution_id:
                needed.add(execution_id)
                execution_id = self.parents[execution_id]
        assert self.parents.keys() - needed == self.over


TestTrees = Trees.TestCase
