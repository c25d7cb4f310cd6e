"""The contract of ledger backends holds for hivecost's own, and for another one; a wrong one does not pass it."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from pathlib import Path

import pytest

import hivecost as hc
from hivecost.backends import open_backend
from hivecost.backends.memory import ledger as memory
from hivecost.testing import LedgerContract
from hivecost.testing.contracts import checking


def load(name):
    """A file beside this one, which test modules cannot import by name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wrong = load("wrong_ledgers")

pytestmark = pytest.mark.anyio


class TestLedger(LedgerContract):
    """The one in SQLite."""

    def open(self, place, budgets, clock):
        return hc.Ledger.open(place, budgets=budgets, clock=clock)


class TestMemoryLedger(LedgerContract):
    """Another one: nothing in the contract knows of files, leases or journals."""

    def open(self, place, budgets, clock):
        return hc.Ledger.open(f"memory://{place}", budgets=budgets, clock=clock)

    def open_elsewhere(self, place, budgets, clock):
        return open_backend(f"memory://{place}").ledger(budgets, clock=clock)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_runtime_holds_its_money_where_it_is_told(anyio_backend, tmp_path):
    """A hard budget is true on another backend, and its status, limits and doubts are that one's."""
    places = defaultdict(memory.Place)

    def open_ledger(base_path, *, budgets, clock):
        return memory.MemoryLedger(places[base_path], budgets, clock)

    budget = hc.Budget("cap", "3 calls", mode="hard")
    runtime = hc.AgentRuntime(tmp_path, budgets=[budget], open_ledger=open_ledger)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        while True:
            async with ctx.turn("gpt-4o") as turn:
                turn.settle(hc.Usage(1, 1))

    async with runtime:
        refused = await runtime.trigger_and_wait("agent")
        assert isinstance(refused.error, hc.BudgetExhaustedError)
        assert refused.metrics["llm_calls"] == 3
        assert await runtime.budgets.raise_limit("cap", 2, by="ada") == 5
        assert (await runtime.trigger_and_wait("agent")).metrics["llm_calls"] == 2
        assert [row.settled for row in await runtime.budgets.status()] == [5]
        assert await runtime.budgets.in_doubt() == []
    assert [account.settled for account in places[tmp_path].state.status()] == [5]
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", wrong.MISTAKES)
async def test_a_wrong_ledger_does_not_pass(name, anyio_backend, monkeypatch, tmp_path):
    """Each of the tests that should see a mistake does, by its own assertion or an error of hivecost."""
    mistake, tests = wrong.MISTAKES[name]
    monkeypatch.setattr(checking, "PATIENCE_S", 0.2)
    for test in tests:
        contract = TestMemoryLedger()
        with monkeypatch.context() as patch:
            mistake(patch, memory)
            with pytest.raises(BaseException) as failed:
                await getattr(contract, test)(tmp_path / test)
        assert isinstance(leaf(failed.value), AssertionError | hc.HiveCostError), test


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("test", wrong.MISTAKES["shows_others_late"][1])
async def test_a_ledger_may_say_how_late_it_knows_others(test, anyio_backend, monkeypatch, tmp_path):
    """The same that is wrong otherwise passes: what others did shows within the time that it names."""
    wrong.MISTAKES["shows_others_late"][0](monkeypatch, memory)
    contract = TestMemoryLedger()
    contract.knows_others_within_s = 10.0
    await getattr(contract, test)(tmp_path)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_another_machine_opens_the_place_as_it_does(anyio_backend, tmp_path):
    """What is shared is shared with those, too; without a way of their own they open it as all do."""
    elsewhere = []

    class Contract(TestMemoryLedger):
        def open_elsewhere(self, place, budgets, clock):
            elsewhere.append(place)
            return self.open(place, budgets, clock)

    contract = Contract()
    await contract.test_what_another_ledger_holds_is_busy(tmp_path)
    assert elsewhere == [tmp_path]


def test_every_test_of_the_contract_can_fail():
    """There is a mistake for each."""
    tests = {name for name in dir(LedgerContract) if name.startswith("test_")}
    assert {test for _, tests in wrong.MISTAKES.values() for test in tests} == tests


def leaf(error):
    """The first error in groups of them."""
    return leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
