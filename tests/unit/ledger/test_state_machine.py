"""The ledger against a plain dict, with conservation after every step."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hivecost.clock import to_ns
from hivecost.ledger import UNITS, Budget, Hold, LedgerSnapshot, LedgerState, Refusal

BUDGETS = [
    Budget("run", "$0.00000006", window="execution", mode="hard"),
    Budget("user day", "90 tokens", window="day", per="user", limits={"u": "70 tokens"}, mode="hard"),
    Budget("team", "4 calls", window="hour", match={"team": ["a", "b"]}, mode="hard"),
    Budget("all", "$0.0000003", mode="hard"),
    Budget("trial", "20 tokens", per="team", mode="hard", shadow=True),
]
WHO = st.fixed_dictionaries(
    {}, optional={"execution": st.sampled_from("xyz"), "user": st.sampled_from("uv"), "team": st.sampled_from("abc")}
)
AMOUNTS = st.fixed_dictionaries(
    {"usd": st.integers(0, 70), "tokens": st.integers(0, 60)}, optional={"calls": st.just(1)}
)
#: What a bill is of its hold, by unit; left out, or above the hold now and then.
SHARES = st.dictionaries(st.sampled_from(["usd", "tokens"]), st.sampled_from([0, 0.3, 0.5, 0.9, 1, 1.3]))
PLACES = st.integers(0, 20)
NAMES = st.sampled_from([budget.name for budget in BUDGETS])


def own_account(execution):
    return "run", f"execution={execution}", "execution"


class Ledger(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.ledger = LedgerState(BUDGETS)
        self.now = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
        self.limits = {budget.name: budget.limit_amount for budget in BUDGETS}
        self.own = {("user day", "user=u"): 70}
        self.sums = defaultdict(lambda: {"settled": 0, "held": 0, "in_doubt": 0, "overrun": 0})
        self.open = {}  # hold id → (amounts by account key, state)
        self.over = []  # (settled hold, what is left of it by unit, units by account key)
        self.frozen = set()
        #: Holds of which more may be billed.
        self.partial = set()
        self.forgotten = set()

    def keys(self, who):
        team = who.get("team", "")
        yield ("run", f"execution={who.get('execution', '')}", "execution"), "usd"
        yield ("user day", f"user={who.get('user', '')}", f"{self.now:%Y-%m-%d}"), "tokens"
        if team in ("a", "b"):
            yield ("team", "", f"{self.now:%Y-%m-%dT%H}+00:00"), "calls"
        yield ("all", "", "total"), "usd"
        yield ("trial", f"team={team}", "total"), "tokens"

    def limit_of(self, key):
        return self.own.get(key[:2], self.limits[key[0]])

    def would_refuse(self, wanted):
        """The kinds of refusal that the model expects, shadow budgets left out."""
        for key, amount in wanted.items():
            sums, limit = self.sums[key], self.limit_of(key)
            if key[0] == "trial":
                continue
            if key[0] in self.frozen:
                yield "frozen"
            elif amount > limit - sums["settled"] - sums["in_doubt"]:
                yield "exhausted"
            elif amount > limit - sums["settled"] - sums["in_doubt"] - sums["held"]:
                yield "busy"

    @rule(who=WHO, amounts=AMOUNTS, key=st.none() | st.sampled_from(["k1", "k2"]), is_partial=st.booleans())
    def reserve(self, who, amounts, key, is_partial):
        """All accounts or none; a key gives the hold that has it; a refusal says the most final reason."""
        firsts = [hold for hold in self.ledger.open_holds.values() if hold.further_of is None]
        before = {hold.hold_id: hold for hold in firsts if key and hold.key == key}
        answer = self.ledger.reserve(who, to_ns(self.now), amounts, key, is_partial=is_partial)
        if before:
            assert answer is before[answer.hold_id]
            return
        self.forgotten.discard(who.get("execution", ""))  # it was not over, even if it gets nothing
        wanted = {account: {"calls": 1, **amounts}[unit] for account, unit in self.keys(who)}
        refused = list(self.would_refuse(wanted))
        if refused:
            assert isinstance(answer, Refusal)
            assert answer.kind == max(refused, key=["busy", "exhausted", "frozen"].index)
            assert answer.budget != "trial"
            return
        assert isinstance(answer, Hold)
        trial, asked = next((key, amount) for key, amount in wanted.items() if key[0] == "trial")
        short = asked > self.limit_of(trial) - sum(map(self.sums[trial].get, ("settled", "held", "in_doubt")))
        assert [refusal.budget for refusal in answer.shadowed] == ["trial"] * (short or "trial" in self.frozen)
        for account, amount in wanted.items():
            self.sums[account]["held"] += amount
        self.open[answer.hold_id] = (wanted, "held", dict(self.keys(who)))
        if is_partial:
            self.partial.add(answer.hold_id)

    def pick(self, place):
        hold_id = sorted(self.open)[place % len(self.open)]
        return self.ledger.open_holds[hold_id], *self.open[hold_id]

    @precondition(lambda self: self.open)
    @rule(place=PLACES, amounts=AMOUNTS)
    def extend(self, place, amounts):
        """More on all accounts or on none; the periods stay those of the reservation."""
        hold, wanted, state, units = self.pick(place)
        if state != "held":
            return
        more = {account: amounts.get(units[account], 0) for account in wanted}
        refused = list(self.would_refuse(more))
        refusal = self.ledger.extend(hold, amounts)
        assert (refusal is not None) == bool(refused)
        if refusal is None:
            for account, amount in more.items():
                self.sums[account]["held"] += amount
            extended = {account: wanted[account] + more[account] for account in wanted}
            self.open[hold.hold_id] = (extended, state, units)

    @precondition(lambda self: self.open)
    @rule(place=PLACES, shares=SHARES, by_id=st.booleans())
    def settle(self, place, shares, by_id):
        """The hold goes, the bill stays; above the hold it is an incident, and freezes unless it is a partial one."""
        hold, wanted, state, units = self.pick(place)
        del self.open[hold.hold_id]
        bill = {unit: round(share * hold.amounts[unit]) for unit, share in shares.items()}
        resolve = by_id and state == "in_doubt"
        settlement = self.ledger.resolve(hold.hold_id, bill) if resolve else self.ledger.settle(hold, bill)
        incidents = set()
        for account, held in wanted.items():
            billed = bill.get(units[account], held)
            self.sums[account][state] -= held
            self.sums[account]["settled"] += billed
            if billed > held:
                self.sums[account]["overrun"] += billed - held
                incidents.add(account[:2])
        assert {(incident.budget, incident.scope) for incident in settlement.incidents} == incidents
        self.freeze_for(hold, incidents)
        if not resolve and not any(own_account(name) in units for name in self.forgotten):
            left = {unit: max(0, hold.amounts.get(unit, 0) - hold.billed.get(unit, 0)) for unit in UNITS}
            self.over.append((hold, left, units))
        if resolve:
            self.settle_resolved(hold, wanted, units, {**hold.amounts, **bill})
        assert self.ledger.settle(hold, {"usd": 999, "tokens": 999}) is None

    @precondition(lambda self: self.over)
    @rule(place=PLACES, amounts=AMOUNTS)
    def settle_another(self, place, amounts):
        """What is left of the hold and of its accounts pays for a further answer; what is above freezes."""
        hold, left, units = self.over[place % len(self.over)]
        bill = {"calls": 1, **amounts}
        _, settlement = self.ledger.settle_another(hold, amounts)
        incidents = set()
        for account, unit in units.items():
            paid = min(bill[unit], left[unit])
            if account[0] != "trial":
                paid = min(paid, self.room(account))
            self.sums[account]["settled"] += bill[unit]
            self.sums[account]["overrun"] += bill[unit] - paid
            if bill[unit] > paid:
                incidents.add(account[:2])
        for unit in UNITS:
            left[unit] = max(0, left[unit] - bill[unit])
        assert {(incident.budget, incident.scope) for incident in settlement.incidents} == incidents
        self.freeze_for(hold, incidents)

    def freeze_for(self, hold, accounts):
        if hold.hold_id not in self.partial:
            self.frozen |= {name for name, *_ in accounts} - {"trial"}

    @precondition(lambda self: self.over)
    @rule(place=PLACES)
    def hold_another(self, place):
        """As much as is left of the hold and of its accounts, be they frozen."""
        root, left, units = self.over[place % len(self.over)]
        rooms = [(unit, self.room(account)) for account, unit in units.items() if account[0] != "trial"]
        amounts = {unit: min([left[unit], *(room for one, room in rooms if one == unit)]) for unit in UNITS}
        hold = self.ledger.hold_another(root)
        assert hold.amounts == amounts
        for account, unit in units.items():
            self.sums[account]["held"] += amounts[unit]
        left.update(dict.fromkeys(UNITS, 0))
        self.open[hold.hold_id] = {account: amounts[unit] for account, unit in units.items()}, "held", units
        if root.hold_id in self.partial:
            self.partial.add(hold.hold_id)

    def room(self, account):
        sums = self.sums[account]
        return max(0, self.limit_of(account) - sums["settled"] - sums["held"] - sums["in_doubt"])

    def settle_resolved(self, hold, wanted, units, paid):
        """Its own bill comes after all: only what is above is charged, as an overrun."""
        bill = {"usd": paid["usd"] + 5, "tokens": max(0, paid["tokens"] - 5)}
        settlement = self.ledger.settle(hold, bill)
        above = {account for account in wanted if units[account] == "usd"}
        for account in above:
            self.sums[account]["settled"] += 5
            self.sums[account]["overrun"] += 5
        assert {(incident.budget, incident.scope) for incident in settlement.incidents} == {key[:2] for key in above}
        self.freeze_for(hold, above)

    @precondition(lambda self: self.open)
    @rule(place=PLACES)
    def release(self, place):
        """What was never sent costs nothing; a hold in doubt is not released."""
        hold, wanted, state, _ = self.pick(place)
        assert self.ledger.release(hold) == (state == "held")
        if state == "held":
            del self.open[hold.hold_id]
            for account, held in wanted.items():
                self.sums[account]["held"] -= held

    @precondition(lambda self: self.open)
    @rule(place=PLACES)
    def doubt(self, place):
        """Stays charged at the hold."""
        hold, wanted, state, units = self.pick(place)
        assert self.ledger.doubt(hold) == (state == "held")
        if state == "held":
            self.open[hold.hold_id] = (wanted, "in_doubt", units)
            for account, held in wanted.items():
                self.sums[account]["held"] -= held
                self.sums[account]["in_doubt"] += held

    @rule(name=NAMES)
    def freeze(self, name):
        self.ledger.freeze(name, "a look")
        self.frozen.add(name)

    @precondition(lambda self: self.frozen)
    @rule()
    def unfreeze(self):
        for name in self.ledger.budgets:
            assert self.ledger.unfreeze(name) == (name in self.frozen)
        self.frozen.clear()

    @rule(name=NAMES, more=st.integers(1, 50))
    def raise_limit(self, name, more):
        self.limits[name] += more
        usd = self.ledger.budgets[name].unit == "usd"
        self.ledger.set_limit(name, Decimal(self.limits[name]) / (10**9 if usd else 1))

    @rule(
        place=st.sampled_from([("run", "execution", "x"), ("user day", "user", "v"), ("trial", "team", "a")]),
        more=st.integers(1, 50),
    )
    def raise_own_limit(self, place, more):
        """Of one value alone, from whatever is in force there."""
        name, attribute, value = place
        key, scope = (name, f"{attribute}={value}"), {attribute: value}
        limit = self.own[key] = self.limit_of(key) + more
        usd = self.ledger.budgets[name].unit == "usd"
        self.ledger.set_limit(name, Decimal(limit) / (10**9 if usd else 1), scope=scope)
        assert self.ledger.limit_in_force(name, scope) == limit

    @rule(minutes=st.integers(1, 200))
    def pass_time(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule(execution=st.sampled_from("xyz"))
    def forget_execution(self, execution):
        """Its account goes with its last open hold."""
        self.ledger.forget_execution(execution)
        self.over = [over for over in self.over if own_account(execution) not in over[2]]
        self.forgotten.add(execution)

    @rule()
    def restart(self):
        """A snapshot through bytes is the same ledger."""
        data = msgspec.msgpack.encode(self.ledger.snapshot())
        snapshot = msgspec.msgpack.decode(data, type=LedgerSnapshot)
        self.ledger = LedgerState.restore(self.ledger.budgets.values(), snapshot)
        for (name, scope), limit in self.own.items():
            usd = self.ledger.budgets[name].unit == "usd"
            attribute, value = scope.split("=")
            self.ledger.set_limit(name, Decimal(limit) / (10**9 if usd else 1), scope={attribute: value})
        assert self.ledger.snapshot() == snapshot
        self.over = []  # nobody has them any more

    @invariant()
    def conserves_and_agrees(self):
        for name in list(self.forgotten):
            account = own_account(name)
            if not any(account in wanted for wanted, *_ in self.open.values()):
                self.sums.pop(account, None)
                self.forgotten.discard(name)
        rows = {(row.budget, row.scope, row.period): row for row in self.ledger.status()}
        for key, row in rows.items():
            sums = self.sums[key]
            assert (row.settled, row.held, row.in_doubt) == (sums["settled"], sums["held"], sums["in_doubt"]), key
            assert row.limit == self.limit_of(key)
            assert row.has_own_limit == (key[:2] in self.own)
            assert row.frozen == (key[0] in self.frozen)
            if key[0] != "trial":
                assert row.settled + row.held + row.in_doubt <= row.limit + sums["overrun"]
        for wanted, *_ in self.open.values():
            assert set(wanted) <= set(rows)
        for key, sums in self.sums.items():
            if key[2] == "total" and sum(sums.values()):
                assert key in rows
        assert set(self.ledger.open_holds) == set(self.open)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
