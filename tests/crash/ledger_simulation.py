"""Simulates processes that share a ledger; run as `ledger_simulation.py BASE_PATH FIRST_SEED SEEDS STEPS MUTANT...`.

One thread drives the real local ledger, journal and database of each process step by step: a seed is a history. Faults
have names, the clock stands still between steps, and a provider of ours remembers what it bills. After some of the
steps the tables, `read_accounts` and the local ledgers are held against that. Prints by mutant, as JSON, the first
problem, the seed that it came with, its last steps, and how often each step was taken. "none" is the ledger as it is.
"""

from __future__ import annotations

import json
import logging
import random
import shutil
import sqlite3
import sys
import time
import traceback
from collections import Counter
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from failing_connection import failing_connections, fault_at
from ledger_mutants import MUTANTS

from hivecost.backends.sqlite.database import open_reader
from hivecost.backends.sqlite.lease_bank import paths as ledger_paths
from hivecost.backends.sqlite.lease_bank.budget_rows import budget_rows
from hivecost.backends.sqlite.lease_bank.database import LedgerDatabase
from hivecost.backends.sqlite.lease_bank.in_doubt import list_in_doubt
from hivecost.backends.sqlite.lease_bank.status import read_accounts
from hivecost.errors import HiveCostError
from hivecost.leasing import LeasePolicy
from hivecost.leasing.ledger_hold import LedgerHold
from hivecost.leasing.local_ledger import LocalLedger
from hivecost.leasing.operations import (
    Configure,
    Freeze,
    RaiseLimit,
    Resolve,
    SetLimit,
    Unfreeze,
    UnsetLimit,
)
from hivecost.ledger import UNITS, Budget, Refusal
from hivecost.ledger.amounts import overrun_reason

HOUR_NS = 3600 * 10**9
PROCESSES = 3
HOLDS_MAX = 64
OPEN_MAX = 16
#: So many times its hold is billed, and more, where a turn is held in part and not paid.
PARTIAL = 4
#: After how many of the steps everything is looked at.
LOOK = 0.3
BUDGETS = (
    Budget("all", limit="$0.001", mode="hard"),
    Budget("user day", limit="40 calls", window="day", per="user", mode="hard"),
    Budget("run", limit="$0.0005", window="execution", mode="hard"),
    Budget("watched", limit="$0.0001", per="user", mode="hard", shadow=True),
    Budget("guest", limit="60 calls", window="day", per="user", limits={"a": "20 calls"}, mode="hard"),
)
LIMITS = {budget.name: budget.limit_amount for budget in BUDGETS}
DURABLE = {budget.name for budget in BUDGETS if budget.window != "execution"}
ENFORCED = DURABLE - {"watched"}
#: Comes and goes.
GUEST = BUDGETS[-1]
#: Those of single values, by budget and scope.
OWN_LIMITS = {("guest", "user=a"): 20}


#: How often each step is taken, more or less.
WORK = {
    "reserve": 30,
    "send": 26,
    "settle": 18,
    "release": 3,
    "doubt": 4,
    "extend": 4,
    "settle what is known": 4,
    "settle late": 6,
    "settle again": 1,
    "settle what was resolved": 6,
    "settle what was released": 0.6,
    "drop": 3,
    "charge what was not held": 2,
    "settle another": 3,
    "doubt another": 1,
    "collect": 8,
    "commit": 8,
    "apply": 8,
    "sync": 6,
    "finalizer": 6,
}
#: The same of what not every history has, and some have more often.
FAULTS = {
    "forget execution": 1,
    "kill": 0.7,
    "leave": 0.3,
    "leave poisoned": 0.3,
    "failing commit": 2,
    "unacknowledged commit": 0.7,
    "failing opening": 0.3,
    "power loss": 0.1,
    "journal removed": 0.2,
    "move clock": 1,
    "raise limit": 1,
    "set limit": 0.5,
    "set own limit": 1.5,
    "unset own limit": 0.7,
    "add guest": 1.5,
    "retire guest": 0.7,
    "configure": 0.3,
    "freeze": 0.5,
    "unfreeze": 3,
    "resolve": 4,
}


def ancestors_of(who):
    """Of the two executions that a process runs at a time the second was started by the first."""
    execution = who.get("execution", "")
    parent = {**who, "execution": f"{execution[:-1]}0"}
    return (parent,) if execution.endswith("1") else ()


class Clock:
    """May be set back, as those of machines may."""

    def __init__(self):
        self._now_ns = 1_792_886_400 * 10**9

    def now_ns(self):
        return self._now_ns

    def move(self, hours):
        self._now_ns += hours * HOUR_NS


class WrongError(Exception):
    """The ledger broke a promise."""


def require(promise, name, *facts):
    if not promise:
        raise WrongError(f"{name}: {facts}")


@dataclass(eq=False)
class Turn:
    """A hold, as its provider and its agent know it."""

    #: None: its agent does not keep it any more.
    hold: LedgerHold | None
    hold_id: str
    #: (budget, scope, period) → (unit, what is held).
    held: dict
    is_partial: bool = False
    #: By unit, once it was sent.
    bill: dict | None = None
    state: str = "held"
    #: The units of the bill that were charged while the others stayed in doubt.
    known: tuple = ()
    #: Its process has taken the bill in.
    is_charged: bool = False
    #: By unit, what an operator resolved it at, of whom its process does not hear.
    resolved: dict | None = None
    #: Its bill came while it was on its way to the database as one in doubt: until it is there, the journal has both.
    is_there_twice: bool = False
    #: Of an answer that nobody reserved for: how much of its bill may be an overrun, or may be in doubt besides.
    loose: Counter | None = None

    def drop(self):
        self.hold = None

    def bills(self, account):
        """What is charged, one after the other: of a later bill only what is above."""
        unit, is_durable = self.held[account][0], account[0] in DURABLE
        if unit in self.known:
            return [self.bill[unit]]
        resolved = [self.resolved[unit]] if is_durable and self.resolved is not None else []
        return resolved + ([self.bill[unit]] if self.is_charged else [])

    def overrun(self, account):
        bills = self.bills(account)
        if self.loose is not None:
            return max(bills, default=0)
        return max(0, bills[0] - self.held[account][1]) + max(bills) - bills[0] if bills else 0

    def settled(self, account):
        return max(self.bills(account), default=0)

    def outstanding(self, account):
        return self.held[account][1] if self.state != "released" and not self.bills(account) else 0

    def twice(self, account):
        unit, held = self.held[account]
        loose = 0 if self.loose is None else self.loose[unit]
        return loose + (held if self.is_there_twice and unit not in self.known else 0)


def day_of(now_ns):
    return time.strftime("%Y-%m-%d", time.gmtime(now_ns // 10**9))


class Process:
    """What a Ledger does in its event loop, one step at a time."""

    def __init__(self, world):
        self.world = world
        self.database = LedgerDatabase(world.folder, world.clock)
        try:
            self.journal = self.database.open(BUDGETS, holds_max=HOLDS_MAX, share=LeasePolicy().share)
        except BaseException:
            self.database.close()
            raise
        self.local = LocalLedger(BUDGETS, self.journal, self.database.process_id, world.clock, sender=self, extend=None)
        self.turns, self.wishes, self.asked = [], [], []
        self.batch = self.committed = None
        self.last_change = -1
        self.frozen, self.overruns, self.overruns_then = set(), set(), set()
        self.generation = 0
        self.budgets = {budget.name for budget in BUDGETS}
        self.sync()

    def who(self):
        chance = self.world.chance
        execution = f"{self.local.process_id}.{self.generation}.{chance.randrange(2)}"
        return {"user": chance.choice("ab"), "execution": execution}

    def collect(self):
        contested, change = self.database.poll()
        if self.world.chance.random() < 0.2:
            contested |= self.local.idle_rows()
        if change != self.last_change:
            contested |= self.local.leased_rows()
        self.overruns_then = set(self.overruns)
        self.wishes, self.asked = [], self.wishes
        requests = [self.local.request_for(who, ancestors_of(who), None, amounts) for who, amounts, *_ in self.asked]
        self.batch = self.local.collect(requests, contested)

    def commit(self, operations=()):
        """Raises what the database does; the batch is to be said again."""
        try:
            self.committed = self.database.sync(self.batch, operations)
        except BaseException:
            self.local.put_back(self.batch)
            self.batch = None
            raise
        self.forget_what_was_there_twice()
        return self.committed.results

    def apply(self, then=None):
        self.local.apply(self.batch, self.committed)
        if then is not None:
            then(self.committed.budgets)
        now_frozen = {name for name, row in self.committed.budgets.items() if row.frozen is not None}
        self.overruns -= self.overruns_then
        self.frozen = now_frozen | self.overruns
        for name, row in self.committed.budgets.items():
            is_known = name not in self.budgets or self.local.budgets[name].limit_amount == row.limit
            require(is_known, "a limit does not reach a process", name)
        self.last_change = self.committed.last_change
        self.batch = self.committed = None
        for wish in self.asked:
            self.world.try_reserve(self, *wish)

    def sync(self, operations=(), then=None):
        if self.committed is not None:
            self.apply()
        if self.batch is None:
            self.collect()
        results = self.commit(operations)
        self.apply(then)
        for result in results:
            if isinstance(result, HiveCostError):
                raise result
        return results

    def leave(self):
        """In order."""
        if self.committed is not None:
            self.apply()
        elif self.batch is not None:
            self.local.put_back(self.batch)
        self.leave_as_it_is()

    def leave_as_it_is(self):
        self.database.leave(self.local.leave("it is over"))
        self._end()

    def die(self):
        """Wherever it is: the system closes its files."""
        self.local.poison("it is dead")
        self._end()

    def forget_what_was_there_twice(self):
        for turn in self.turns:
            turn.is_there_twice = False

    def _end(self):
        self.forget_what_was_there_twice()
        self.database.close()
        self.database.let_go()
        self.journal.close()
        for turn in self.turns:
            if turn.state == "held":
                turn.state = "in_doubt"

    def all_turns(self, *states):
        kept = [turn for turn in self.turns if turn.hold is not None and turn is not self.world.busy]
        return [turn for turn in kept if turn.state in states]


class Finalizer:
    """Calls `finalize` before the line of this number, of those that the ledger runs through."""

    def __init__(self, number, finalize):
        self._left, self._finalize = number, finalize
        self.is_called = False

    def __enter__(self):
        self._outer = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(self._outer)

    def _trace(self, frame, event, _):
        if "hivecost" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                self.is_called = True
                self._finalize()
        return self._trace


class World:
    """The folder, the machine, the provider and all processes."""

    def __init__(self, folder, seed, connections, often=()):
        self.folder, self.chance, self.connections = folder, random.Random(seed), connections
        self.clock = Clock()
        self.taken, self.trail = Counter(dict.fromkeys(WORK | FAULTS, 0)), []
        self.turns, self.busy = [], None
        #: What was charged for leases that were in doubt as a whole.
        self.resolved_leases = Counter()
        #: Of the budgets, and of single values.
        self.limits, self.own = dict(LIMITS), dict(OWN_LIMITS)
        #: How both were since the last look, and ever; what each account may have been charged at that look.
        self.limits_since, self.limits_ever, self.allowed = [], [], {}
        self.limits_changed()
        #: What no budget is frozen for, as `Budget.frozen` would say it.
        self.no_reasons = set()
        #: From here on a process may have lost what only its journal knew.
        self.is_lossy = False
        chances = WORK | {name: self.chance.choice([0, 1, 1, 3]) * often for name, often in FAULTS.items()}
        chances |= {name: 5 * (WORK | FAULTS)[name] for name in often}
        self.steps, self.chances = list(chances), list(chances.values())
        self.boots = 0
        self.boot()
        self.processes = [Process(self) for _ in range(PROCESSES)]

    def boot(self):
        self.boots += 1
        ledger_paths._BOOT_ID = self.folder.with_name(f"{self.folder.name}.boot")
        ledger_paths._BOOT_ID.write_text(str(self.boots))

    def step(self):
        """Take one step of one process, and look at everything."""
        (name,) = self.chance.choices(self.steps, self.chances)
        process = self.chance.choice(self.processes)
        if getattr(self, name.replace(" ", "_"))(process) is not False:
            self.taken[name] += 1
            self.trail = [*self.trail[-11:], f"{process.local.process_id} {name}"]
            if self.chance.random() < LOOK:
                self.look()

    # What agents do. A step gives False when there was nothing to take it with.

    def reserve(self, process):
        if len(process.all_turns("held", "in_doubt")) >= OPEN_MAX:
            return False
        key = self.chance.choice([None, None, f"k{self.chance.randrange(20)}"])
        amounts = {"usd": self.chance.choice([100, 1_000, 20_000, 90_000]), "calls": 1}
        wish = process.who(), amounts, key, self.chance.random() < 0.15
        hold = self.try_reserve(process, *wish)
        if hold is None or (isinstance(hold, Refusal) and not process.local.decides_alone(hold.budget)):
            process.wishes.append(wish)
        return True

    def try_reserve(self, process, who, amounts, key, is_partial):
        hold = process.local.reserve(who, ancestors_of(who), amounts, key, is_partial)
        if isinstance(hold, LedgerHold):
            self.granted(process, hold, who, amounts)
        return hold

    def granted(self, process, hold, who, amounts):
        if any(turn.hold_id == hold.hold_id for turn in process.turns):
            return  # its key was open
        names = set(hold.budgets)
        if "run" in process.budgets:
            runs = [account.scope for account in hold.status(["run"])]
            family = [f"execution={one.get('execution', '')}" for one in (who, *ancestors_of(who))]
            require(sorted(runs) == sorted(family), "holds on other executions than it is inside of", runs, family)
        frozen = process.frozen & names - {"watched"}
        require(not frozen, "granted on a frozen budget", frozen)
        day = day_of(self.clock.now_ns())
        user = f"user={who['user']}"
        scopes = {"all": ("", "total"), "user day": (user, day), "guest": (user, day)}
        require(names == process.budgets, "holds on other budgets than there are", names, process.budgets)
        held = {}
        for account in hold.status():
            place = account.scope, account.period
            require(scopes.get(account.budget, place) == place, "another account than was asked for", place, day)
            held[account.budget, *place] = account.unit, amounts[account.unit]
        turn = Turn(hold, hold.hold_id, held, is_partial=hold._entry.is_partial)
        process.turns.append(turn)
        self.turns.append(turn)

    def pick(self, turns):
        return self.chance.choice(turns) if turns else None

    def send(self, process):
        """The provider bills at most what is held, but for a mistake in the price, and for what is held in part."""
        turn = self.pick([turn for turn in process.all_turns("held") if turn.bill is None])
        if turn is None:
            return False
        most = max(amount for unit, amount in turn.held.values() if unit == "usd")
        factor = 2 if self.chance.random() < 0.03 else 1
        turn.bill = {"usd": factor * self.chance.randrange(most + 1), "calls": 1}
        if turn.is_partial and self.chance.random() < 0.2:
            turn.bill["usd"] += PARTIAL * most  # as no whole hold is ever billed
        return True

    def charge(self, process, turn):
        settlement = process.local.settle(turn.hold._entry, turn.bill)
        require(settlement is not None, "a bill was taken for known", turn.hold_id)
        self.charged(process, turn)

    def charged(self, process, turn):
        turn.state, turn.is_charged = "settled", True
        turn.is_there_twice = turn.hold._entry.transferred and process.committed is None
        self.note_overruns(process, turn, set(turn.bill) - set(turn.known))

    def note_overruns(self, process, turn, units):
        for account, (unit, held) in turn.held.items():
            if unit not in units or turn.bill[unit] <= held:
                continue
            if turn.is_partial:
                self.partial_overrun(turn.bill, held)
                self.partial_overrun(turn.bill, (turn.resolved or {}).get("usd", held))
            else:
                process.overruns.add(account[0])
                process.frozen.add(account[0])

    def partial_overrun(self, bill, held):
        if bill["usd"] > PARTIAL * held:
            self.no_reasons.add(overrun_reason(bill["usd"], held, "usd"))

    def settle(self, process):
        return self.charge_one(process, process.all_turns("held"))

    def settle_what_is_known(self, process):
        """Of its bill; the rest is in doubt."""
        turn = self.pick([turn for turn in process.all_turns("held") if turn.bill is not None])
        if turn is None:
            return False
        known = self.chance.choice([("usd",), ("calls",), ("usd", "calls"), ()])
        settlement = process.local.settle_known(turn.hold._entry, {unit: turn.bill[unit] for unit in known})
        require(settlement is not None, "a bill was taken for known", turn.hold_id)
        units = {unit for unit, _ in turn.held.values()}
        turn.known, turn.is_charged = known, units <= set(known)
        turn.state = "settled" if turn.is_charged else "in_doubt"
        self.note_overruns(process, turn, known)
        return True

    def settle_late(self, process):
        return self.charge_one(process, process.all_turns("in_doubt"))

    def charge_one(self, process, turns):
        turn = self.pick([turn for turn in turns if turn.bill is not None])
        if turn is not None:
            self.charge(process, turn)
        return turn is not None

    def settle_again(self, process):
        """It was charged in this process already."""
        turn = self.pick([turn for turn in process.all_turns("settled") if turn.hold.state == "settled"])
        if turn is None:
            return False
        require(process.local.settle(turn.hold._entry, turn.bill) is None, "charged twice", turn.hold_id)
        return True

    def settle_what_was_resolved(self, process):
        """An operator was quicker: what the bill is above what they said is charged."""
        turn = self.pick(self.resolved_turns(process))
        if turn is not None:
            self.charge(process, turn)
        return turn is not None

    def resolved_turns(self, process):
        return [turn for turn in process.all_turns("settled") if not turn.is_charged]

    def settle_what_was_released(self, process):
        """It was sent after all: nothing is held for it."""
        turn = self.pick([turn for turn in process.all_turns("released") if turn.held])
        if turn is None:
            return False
        turn.bill = {"usd": 10, "calls": 1}
        turn.held = {account: (unit, 0) for account, (unit, _) in turn.held.items()}
        self.charge(process, turn)
        return True

    def settle_another(self, process):
        """It was answered once more."""
        turn = self.pick(self.answered(process))
        if turn is None:
            return False
        bill = self.another_bill(turn)
        self.answered_again(process, turn, process.local.settle_another(turn.hold._entry, bill), bill)
        return True

    def charge_what_was_not_held(self, process):
        """The model that answered was one that the budgets of a turn did not know of."""
        names = tuple(self.chance.sample(sorted(process.budgets), 2)) if self.chance.random() < 0.5 else None
        bill = {"usd": self.chance.choice([10, 10, 2_000]), "calls": 1}
        if process.journal.free <= OPEN_MAX:
            return False
        who = process.who()
        charged = process.local.charge(who, ancestors_of(who), names, bill)
        if charged is None:
            return False  # the database does not know its accounts yet
        hold, settlement = charged
        require(names is None or hold.budgets <= set(names), "charged elsewhere")
        accounts = {(one.budget, one.scope, one.period): (one.unit, 0) for one in hold.status()}
        self.answered_again(process, Turn(hold, hold.hold_id, accounts), settlement, bill)
        return True

    def answered(self, process):
        """Those that a further answer may come for; its bill needs room in the journal."""
        turns = process.all_turns("settled", "in_doubt", "released") if process.journal.free > OPEN_MAX else []
        return [turn for turn in turns if turn.held and turn.loose is None]

    def another_bill(self, turn):
        """Of what the hold has left, but for a mistake in the price."""
        left = turn.hold._entry.left()["usd"]
        if self.chance.random() < 0.05:
            return {"usd": left + self.chance.randrange(1_000), "calls": 1}
        return {"usd": self.chance.choice([left, self.chance.randrange(left + 1)]), "calls": 0}

    def answered_again(self, process, turn, settlement, bill):
        for incident in () if settlement is None else settlement.incidents:
            if incident.freezes:
                process.overruns.add(incident.budget)
                process.frozen.add(incident.budget)
        another = Turn(None, "", {account: (unit, 0) for account, (unit, _) in turn.held.items()}, loose=Counter())
        another.bill, another.state, another.is_charged = bill, "settled", True
        process.turns.append(another)
        self.turns.append(another)

    def doubt_another(self, process):
        """It was answered once more, and nobody knows at what cost."""
        turn = self.pick(self.answered(process))
        if turn is None:
            return False
        units = self.chance.choice([UNITS, UNITS, ("usd", "tokens")])
        process.local.doubt_another(turn.hold._entry, units)
        another = max(process.local._in_doubt.values(), key=lambda hold: hold.hold_id, default=turn.hold._entry)
        require(another.further_of is turn.hold._entry, "a further answer is not in doubt", turn.hold_id)
        held = {account: (unit, another.amounts[unit]) for account, (unit, _) in turn.held.items() if unit in units}
        loose = Counter({unit: wanted - another.amounts[unit] for unit, wanted in another.wanted.items()})
        hold_id = f"{process.local.process_id}-{another.hold_id}"
        found = Turn(None, hold_id, held, state="in_doubt", loose=loose)
        process.turns.append(found)
        self.turns.append(found)
        return True

    def release(self, process):
        turn = self.pick([turn for turn in process.all_turns("held") if turn.bill is None])
        if turn is None:
            return False
        require(process.local.release(turn.hold._entry), "not released", turn.hold_id)
        turn.state, turn.is_partial = "released", False
        return True

    def doubt(self, process):
        turn = self.pick(process.all_turns("held"))
        if turn is None:
            return False
        require(process.local.doubt(turn.hold._entry), "not doubted", turn.hold_id)
        turn.state = "in_doubt"
        return True

    def drop(self, process):
        """Its agent is gone: nobody settles it any more, but an operator."""
        turn = self.pick(process.all_turns("held"))
        if turn is None:
            return False
        entry = turn.hold._entry
        turn.drop()
        require(entry.state == "in_doubt", "held by nobody", turn.hold_id)
        turn.state = "in_doubt"
        return True

    def extend(self, process):
        turn, more = self.pick(process.all_turns("held")), self.chance.choice([10, 5_000])
        if turn is None or process.local.extend(turn.hold._entry, {"usd": more}) is not None:
            return False
        turn.held = {key: (unit, held + (more if unit == "usd" else 0)) for key, (unit, held) in turn.held.items()}
        return True

    def forget_execution(self, process):
        for number in range(2):
            process.local.forget_execution(f"{process.local.process_id}.{process.generation}.{number}")
        process.generation += 1

    def finalizer(self, process):
        """A turn that nobody refers to any more is settled, or dropped, in the middle of something else."""
        turn = self.pick([turn for turn in process.all_turns("held", "in_doubt") if turn.bill is not None])
        if turn is None:
            return False
        names = ["reserve", "settle", "settle what is known", "release", "doubt", "settle late"]
        names.append("collect" if process.batch is None else "apply")
        step = getattr(self, self.chance.choice(names).replace(" ", "_"))
        self.busy, entry = turn, turn.hold._entry
        how, bill = self.chance.choice(["settle", "settle", "drop", "settle another"]), self.another_bill(turn)
        finalize = {
            "settle": partial(process.local.settle, entry, turn.bill),
            "settle another": partial(process.local.settle_another, entry, bill),
            "drop": turn.drop,
        }.pop(how)
        with Finalizer(self.chance.randrange(1, 120), finalize) as finalizer:
            step(process)
        self.busy = None
        if finalizer.is_called:
            self.finalized(process, turn, entry, how, bill)
        return finalizer.is_called

    def finalized(self, process, turn, entry, how, bill):
        end = {"settle": "settled", "drop": "in_doubt", "settle another": turn.state}[how]
        require(entry.state == end, "a finalizer's bill is lost", turn.hold_id)
        if how == "settle":
            self.charged(process, turn)
        elif how == "drop":
            turn.state = end
        else:
            taken = (entry.further or {}).get("usd", -1)
            require(taken >= bill["usd"], "a finalizer's bill is lost", turn.hold_id)
            self.answered_again(process, turn, None, bill)
            # What it brought about is told to nobody here.
            process.frozen |= set(process.local._state.frozen)

    # What processes do.

    def collect(self, process):
        if process.batch is not None:
            return False
        process.collect()
        return True

    def commit(self, process):
        if process.batch is None or process.committed is not None:
            return False
        process.commit()
        return True

    def apply(self, process):
        if process.committed is None:
            return False
        process.apply()
        return True

    def sync(self, process):
        process.sync()

    def replace(self, process):
        self.processes[self.processes.index(process)] = Process(self)

    def kill(self, process):
        process.die()
        self.replace(process)

    def leave(self, process):
        process.leave()
        self.replace(process)

    def leave_poisoned(self, process):
        """Interrupted by something, it takes in bills and nothing else, and leaves as its journal says."""
        process.local.poison("something came in between")
        for turn in process.all_turns("held", "in_doubt") + self.resolved_turns(process):
            if turn.bill is not None and self.chance.random() < 0.5:
                self.charge(process, turn)
        if self.chance.random() < 0.5:
            self.settle_another(process)
        process.leave_as_it_is()
        self.replace(process)

    # What the system does.

    def fault(self, **how):
        fault = self.chance.choice(["disk full", "disk fails", "locked"])
        return fault_at(self.connections, fault=fault, **how)

    def failing_commit(self, process):
        if process.committed is not None:
            return False
        with self.fault(number=self.chance.randrange(1, 40)), suppress(sqlite3.OperationalError):
            process.sync()
        return True

    def unacknowledged_commit(self, process):
        """It is durable, and nobody is told; the connection is closed."""
        if process.committed is not None:
            return False
        with self.fault(once_done=True), suppress(sqlite3.OperationalError):
            process.sync()
        return True

    def failing_opening(self, process):
        """Whoever recovers a process that was killed fails, and comes again."""
        process.die()
        with self.fault(number=self.chance.randrange(1, 40)), suppress(sqlite3.OperationalError):
            self.replace(process)
        if process in self.processes:
            self.replace(process)

    def power_loss(self, process):
        """Of a journal that was mapped into memory, the disk has nothing, or what was written once."""
        self.is_lossy = True
        for one in self.processes:
            one.die()
        for path in self.folder.glob("ledger/*.journal"):
            self.lose_pages(path)
        self.boot()
        self.processes = [Process(self) for _ in range(PROCESSES)]

    def lose_pages(self, path):
        content = path.read_bytes()
        header, slot = content[:64], b"\x08".ljust((len(content) - 64) // HOLDS_MAX, b"\0")
        left = self.chance.choice(
            [b"", bytes(len(content)), header.ljust(len(content), b"\0"), header + slot * HOLDS_MAX, content]
        )
        path.write_bytes(left)

    def journal_removed(self, process):
        """By somebody who cleans up; then its process dies."""
        self.is_lossy = True
        for path in self.folder.glob(f"ledger/{process.database._name}.journal"):
            path.unlink()
        self.kill(process)

    def move_clock(self, process):
        self.clock.move(self.chance.randrange(-2, 16))

    # What operators do.

    def do(self, process, operation):
        if process.batch is not None:
            return False
        (result,) = process.sync([operation])
        return result

    def limit_is(self, name, limit):
        self.limits[name] = limit
        self.limits_changed()

    def limits_changed(self):
        limits = dict(self.limits), dict(self.own)
        self.limits_since.append(limits)
        self.limits_ever.append(limits)

    def limit_of(self, account):
        return self.own.get(account[:2], self.limits[account[0]])

    def peak(self, account, among=None):
        """The highest limit that the account had among these; since the last look, unless others are given."""
        return max(own.get(account[:2], limits[account[0]]) for limits, own in among or self.limits_since)

    def raise_limit(self, process):
        name = self.chance.choice(["all", "user day", "run"])
        by = 10 if name == "user day" else 300_000
        text = f"{by} calls" if name == "user day" else f"${by / 1e9:.9f}"
        after = self.do(process, RaiseLimit(budget=name, by_amount=text, by="an operator"))
        if after is False:
            return False
        require(after == self.limits[name] + by, "a raise is lost", name, after, self.limits[name])
        self.limit_is(name, after)
        return True

    def new_limit(self):
        name = self.chance.choice(["all", "user day", "run"])
        limit = LIMITS[name] * self.chance.choice([2, 4, 4, 5, 8]) // 4
        return name, limit, f"{limit} calls" if name == "user day" else f"${limit / 1e9:.9f}"

    def set_limit(self, process):
        name, limit, text = self.new_limit()
        if self.do(process, SetLimit(budget=name, limit=text, by="an operator")) is False:
            return False
        self.limit_is(name, limit)
        return True

    def set_own_limit(self, process):
        """Of a user, or of an execution that runs."""
        name = self.chance.choice(["user day", "guest", "run"])
        user, execution = process.who().values()
        scope = {"execution": execution} if name == "run" else {"user": user}
        limit = LIMITS[name] * self.chance.choice([1, 2, 4, 6, 8]) // 4
        text = f"${limit / 1e9:.9f}" if name == "run" else f"{limit} calls"
        if self.do(process, SetLimit(budget=name, limit=text, scope=scope, by="an operator")) is False:
            return False
        self.own[name, "".join(f"{one}={value}" for one, value in scope.items())] = limit
        self.limits_changed()
        return True

    def unset_own_limit(self, process):
        name, scope = self.chance.choice(list(self.own))
        after = self.do(process, UnsetLimit(budget=name, scope=dict([scope.split("=")]), by="an operator"))
        if after is False:
            return False
        del self.own[name, scope]
        self.own |= {place: limit for place, limit in OWN_LIMITS.items() if place == (name, scope)}
        self.limits_changed()
        require(after == self.limit_of((name, scope)), "what was set is not taken back", name, scope, after)
        return True

    def add_guest(self, process):
        return "guest" not in process.budgets and self.reconfigure(process, added=[GUEST])

    def retire_guest(self, process):
        return "guest" in process.budgets and self.reconfigure(process, retired=["guest"])

    def reconfigure(self, process, added=(), retired=()):
        """In one process, while others have the budget, or do not."""
        if process.batch is not None:
            return False

        def take(rows):
            process.local.reconfigure(added, retired, rows)
            process.budgets = (process.budgets | {budget.name for budget in added}) - set(retired)

        process.sync([Configure(budgets=tuple(added), retire=tuple(retired))], take)
        return True

    def configure(self, process):
        """With the limits that are configured: what an operator has set stays."""
        return self.do(process, Configure(budgets=BUDGETS))

    def freeze(self, process):
        name = self.chance.choice(list(LIMITS))
        return self.do(process, Freeze(budget=name, reason="to look at it", by="an operator"))

    def unfreeze(self, process):
        names = sorted(process.frozen)
        if not names or process.batch is not None:
            return False
        self.do(process, Unfreeze(budget=self.chance.choice(names), by="an operator"))
        return True

    def resolve(self, process):
        """An operator finds the bill, or another; a hold that was not sent is never sent after that."""
        if process.batch is not None:
            return False
        with closing(open_reader(self.folder)) as connection:
            doubt = self.pick(list_in_doubt(connection))
        turn = next((turn for turn in self.turns if doubt and turn.hold_id == doubt.hold_id), None)
        if doubt is None or (turn is not None and turn.state == "settled"):
            return False
        bill = turn and (turn.bill or {"usd": 0, "calls": 0})
        said = bill and {"usd": bill["usd"] * self.chance.choice([0, 1, 2, 2, 3]) // 2, "calls": bill["calls"]}
        self.do(process, Resolve(hold_id=doubt.hold_id, billed=said or {}, by="an operator"))
        if turn is None:
            for amount in doubt.amounts:
                self.resolved_leases[amount.budget, amount.scope, amount.period] += amount.amount
        else:
            turn.bill, turn.resolved, turn.state = bill, said, "settled"
            if turn.is_partial:
                self.partial_overrun(said, max(held for _, held in turn.held.values()))
        return True

    # What must be so.

    def look(self):
        rows = {(row.budget, row.scope, row.period): row for row in read_accounts(self.folder, 0)}
        self.look_at_accounts(rows)
        self.look_at_tables()
        for process in self.processes:
            self.look_at_executions(process)
        self.limits_since = self.limits_since[-1:]

    def sums(self, turns=None):
        """By account: what is settled, what of it is above its hold, what is held or in doubt, what is there twice."""
        settled, overrun, outstanding, twice = Counter(), Counter(), Counter(), Counter()
        for turn in self.turns if turns is None else turns:
            for account in turn.held:
                settled[account] += turn.settled(account)
                overrun[account] += turn.overrun(account)
                outstanding[account] += turn.outstanding(account)
                twice[account] += turn.twice(account)
        return settled, overrun, outstanding, twice

    def look_at_accounts(self, rows):
        settled, overrun, outstanding, twice = self.sums()
        for account in [account for account in settled if account[0] in DURABLE]:
            row = rows.get(account)
            true = settled[account], outstanding[account]
            require(row is not None, "an account is lost", account, true)
            known = row.settled, row.held + row.in_doubt
            facts = account, "known", known, "true", true
            if not self.is_lossy:
                most = true[1] + twice[account]
                is_so = known[0] == true[0] and true[1] <= known[1] <= most
                require(is_so, "settled and held are other than is true", *facts)
            elif account[0] in ENFORCED:
                require(sum(known) >= sum(true) - overrun[account], "less is charged than was billed", *facts)
                most = settled[account] + self.resolved_leases[account]
                require(row.settled <= most, "more is settled than was billed", *facts)
            if account[0] in ENFORCED:
                most = self.allowed.get(account, 0), self.peak(account)
                require(sum(known) <= max(most) + overrun[account], "charged above the limit", *facts, most)

    def look_at_tables(self):
        with closing(open_reader(self.folder)) as connection:
            tables = connection.execute(
                "SELECT budget, scope, period, settled + in_doubt - overrun,"
                " (SELECT coalesce(sum(amount), 0) FROM ledger_leases WHERE account_id = id) FROM ledger_accounts"
            ).fetchall()
            budgets = budget_rows(connection)
            limits = {name: row.limit for name, row in budgets.items()}
            frozen = {row.frozen for row in budgets.values()} & self.no_reasons
            own = connection.execute("SELECT budget, account_values, limit_amount FROM ledger_own_limits").fetchall()
        require(limits == self.limits, "a limit is lost", limits, self.limits)
        require(not frozen, "frozen for a hold in part", frozen)
        own = {(name, json.loads(values)[0]): limit for name, values, limit in own}
        true = {(name, scope.split("=")[1]): limit for (name, scope), limit in self.own.items()}
        require(own == true, "a limit is lost", own, true)
        for *account, charged, leased in tables:
            if account[0] in ENFORCED:
                total, peak = charged + leased, self.peak(tuple(account))
                allowed = max(peak, self.allowed.get(tuple(account), 0))
                require(total <= allowed, "leased above the limit", account, charged, leased, allowed)
                self.allowed[tuple(account)] = max(self.limit_of(tuple(account)), min(allowed, total))

    def look_at_executions(self, process):
        settled, overrun, outstanding, _ = self.sums(process.turns)
        for row in process.local.status_of_executions():
            account = row.budget, row.scope, row.period
            known = row.settled + row.held + row.in_doubt
            if f".{process.generation}." in row.scope:
                true = settled[account] + outstanding[account]
                require(known == true, "an execution's account is other than is true", row, true)
            most = self.peak(account, self.limits_ever) + overrun[account]
            require(known <= most, "an execution is charged above its limit", row, most)

    def end(self):
        """All leave in order: nothing is held, and what remains can be had, to the last unit."""
        for process in self.processes:
            process.leave()
            self.look()
        self.processes = []
        rows = read_accounts(self.folder, 0)
        require(not any(row.held for row in rows), "held by nobody", rows)
        self.clock.move(240)
        process = Process(self)
        self.processes = [process]
        for name in LIMITS:
            self.do(process, Unfreeze(budget=name, by="an operator"))
        self.do(process, SetLimit(budget="run", limit="$1", by="an operator"))
        left = next((row.remaining for row in rows if row.budget == "all"), 0)
        for amount in (left + 1, left) if left else ():
            wish = {"user": "z"}, {"usd": amount, "calls": 0}, None, False
            process.wishes = [wish]
            process.sync()
            hold = process.turns[-1].hold if process.turns else None
            require((hold is not None) == (amount == left), "what remains is not what can be had", hold, left)
        process.die()


def simulate(folder, seed, steps, connections, often):
    """(what is wrong, the last steps, how often each was taken)"""
    world = World(folder, seed, connections, often)
    try:
        for _ in range(steps):
            world.step()
        world.end()
    except WrongError as error:
        return str(error), world.trail, world.taken
    except Exception:
        return traceback.format_exc(limit=-6), world.trail, world.taken
    finally:
        for process in world.processes:
            process.database.let_go()
            process.database.close()
    return "", world.trail, world.taken


def simulations(base_path, first, seeds, steps, mutant):
    taken = Counter()
    with ExitStack() as stack:
        connections = stack.enter_context(failing_connections())
        mutate, often = MUTANTS[mutant]
        mutate(stack)
        for seed in range(first, first + seeds):
            folder = base_path / f"{mutant} {seed}"
            problem, trail, counts = simulate(folder, seed, steps, connections, often)
            taken.update(counts)
            shutil.rmtree(folder, ignore_errors=True)
            if problem:
                break
    return {"problem": problem, "seed": seed, "trail": trail, "taken": taken}


def main():
    base_path, first, seeds, steps, *mutants = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    numbers = int(first), int(seeds), int(steps)
    print(json.dumps({mutant: simulations(Path(base_path), *numbers, mutant) for mutant in mutants}))


if __name__ == "__main__":
    main()
