"""Trees of executions against sums in a dict: no account of an ancestor is ever above its limit."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from hivecost.attribution import Attribution
from hivecost.ledger import Budget, LedgerState, Lineage, Refusal

LIMIT = 10
MODELS = ("m", "n")


class Trees(RuleBasedStateMachine):
    """Any tree, turns of any execution in it, and ends in any order."""

    executions = Bundle("executions")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.state = LedgerState(
            [
                Budget("run", f"{LIMIT} calls", window="execution", mode="hard"),
                Budget("run by model", f"{LIMIT} calls", window="execution", per="model", mode="hard"),
                Budget("of m", f"{LIMIT} calls", window="execution", match={"model": "m"}, mode="hard"),
                Budget("planner's", f"{LIMIT} calls", window="execution", match={"agent": "planner"}, mode="hard"),
                Budget("all", f"{4 * LIMIT} calls", mode="hard"),
            ]
        )
        self.lineage = Lineage()
        self.parents: dict[str, str] = {}
        self.agents: dict[str, str] = {}
        self.over: set[str] = set()
        #: (budget, execution, model) → what is charged there.
        self.charged: Counter[tuple[str, ...]] = Counter()

    @rule(target=executions, parent=st.one_of(st.none(), executions), agent=st.sampled_from(["planner", "worker"]))
    def start(self, parent, agent):
        parent = "" if parent is None or parent in self.over else parent
        execution_id = f"e{len(self.parents)}"
        self.parents[execution_id], self.agents[execution_id] = parent, agent
        self.lineage.started(Attribution(execution_id=execution_id, agent_id=agent), parent)
        return execution_id

    @rule(target=holds, execution_id=executions, model=st.sampled_from(MODELS), calls=st.integers(0, 4))
    def hold(self, execution_id, model, calls):
        who = {"execution": execution_id, "agent": self.agents[execution_id], "model": model}
        ancestors = tuple({**one, "model": model} for one in self.lineage.ancestors(execution_id))
        accounts = self.accounts_of(execution_id, model)
        answer = self.state.reserve(who, 0, {"calls": calls}, ancestors=ancestors)
        fits = all(self.charged[name] + calls <= self.limit_of(name) for name in accounts)
        assert isinstance(answer, Refusal) is not fits
        if not fits:
            return None
        self.charged.update(dict.fromkeys(accounts, calls))
        return answer, accounts

    @rule(held=consumes(holds), calls=st.integers(0, 4))
    def settle(self, held, calls):
        if held is not None:
            hold, accounts = held
            billed = min(calls, hold.amounts["calls"])
            self.charged.update(dict.fromkeys(accounts, billed - hold.amounts["calls"]))
            self.state.settle(hold, {"calls": billed})

    @rule(held=consumes(holds))
    def release(self, held):
        if held is not None:
            hold, accounts = held
            self.charged.update(dict.fromkeys(accounts, -hold.amounts["calls"]))
            self.state.release(hold)

    @rule(held=consumes(holds))
    def doubt(self, held):
        if held is not None:
            self.state.doubt(held[0])

    @rule(execution_id=consumes(executions))
    def end(self, execution_id):
        self.over.add(execution_id)
        for over in self.lineage.ended(execution_id):
            self.state.forget_execution(over)

    def accounts_of(self, execution_id, model):
        """What a turn counts on, found without the ledger's own rules."""
        found = [("all",)]
        while execution_id:
            found += [("run", execution_id), ("run by model", execution_id, model)]
            if model == "m":
                found.append(("of m", execution_id))
            if self.agents[execution_id] == "planner":
                found.append(("planner's", execution_id))
            execution_id = self.parents[execution_id]
        return found

    @staticmethod
    def limit_of(account):
        return 4 * LIMIT if account == ("all",) else LIMIT

    @invariant()
    def every_account_has_what_was_charged_and_no_more_than_its_limit(self):
        for row in self.state.status():
            values = (pair.partition("=")[2] for pair in row.scope.split(",") if pair)
            charged = row.settled + row.held + row.in_doubt
            assert charged == self.charged[row.budget, *values]
            assert charged <= row.limit


TestTrees = Trees.TestCase
