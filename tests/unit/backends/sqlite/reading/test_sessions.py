"""SessionStore: what a session came to."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from hivecost.backends import RuntimeLogStore, SessionStore, open_log
from hivecost.clock import to_ns
from hivecost.errors import ConfigError, SessionNotFoundError, StoreUnusablePathError
from hivecost.events import Cost, CostStatus, ExecutionCompleted, ExecutionStarted, LLMTurnComplete, Usage

pytestmark = pytest.mark.anyio


def at(text):
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


def turn(session_id="s", **fields):
    return LLMTurnComplete(session_id=session_id, usage=Usage(1000, 200, 300, 50, 0, 70), **fields)


def priced(nanousd):
    return Cost(status=CostStatus.PRICED, nanousd=nanousd)


async def test_a_session_adds_up(tmp_path, write):
    """Tokens, calls and the exact cost; turns without a cost are counted and not taken as free."""
    await write(
        ExecutionStarted(session_id="s", execution_id="e", agent_id="planner", user_id="ada", org_id="acme"),
        turn(execution_id="e", cost=priced(100)),
        turn(execution_id="e", cost=Cost(status=CostStatus.ESTIMATED, nanousd=1)),
        turn(execution_id="e", cost=Cost(status=CostStatus.UNPRICED, reason="no rate")),
        turn(execution_id="e", cost=Cost(status=CostStatus.INVALID)),
        turn(execution_id="e"),
        turn("other", cost=priced(5)),
    )
    state = await SessionStore(tmp_path).read_state("s")
    assert (state.session_id, state.status) == ("s", "running")
    assert (state.agent_id, state.user_id, state.org_id) == ("planner", "ada", "acme")
    metrics = state.metrics
    assert (metrics.total_input_tokens, metrics.total_output_tokens, metrics.total_tokens) == (5000, 1000, 6000)
    assert (metrics.total_cached_tokens, metrics.llm_calls, metrics.executions) == (1500, 5, 1)
    assert (metrics.total_cost_nanousd, metrics.total_cost_usd) == (101, Decimal("0.000000101"))
    assert (metrics.unpriced_calls, metrics.invalid_calls, metrics.estimated_calls) == (2, 1, 1)
    assert await RuntimeLogStore(tmp_path).load_summary("s") == state


async def test_times_are_local(tmp_path, write, local_zone):
    """The date in a timestamp is the local day, in summer and in winter."""
    local_zone("Europe/Berlin")
    await write(
        ExecutionStarted(session_id="s", execution_id="e", timestamp_ns=at("2026-07-01 22:30:00")),
        ExecutionCompleted(session_id="s", execution_id="e", timestamp_ns=at("2026-11-22 23:30:00.5")),
    )
    times = (await SessionStore(tmp_path).read_state("s")).timestamps
    assert times.started_at == "2026-07-02T00:30:00+02:00"
    assert times.ended_at == times.updated_at == "2026-11-23T00:30:00.500000+01:00"
    assert datetime.fromisoformat(times.started_at).date() == date(2026, 7, 2)


async def test_a_running_session_has_not_ended(tmp_path, write):
    """ended_at is None until it has."""
    await write(ExecutionStarted(session_id="s", execution_id="e"))
    assert (await SessionStore(tmp_path).read_state("s")).timestamps.ended_at is None


async def test_sessions_are_listed_newest_first(tmp_path, write):
    """Filtered by status, agent, user and time, and cut at the limit."""
    for hour, (status, agent) in enumerate([("completed", "a"), ("failed", "b"), ("completed", "b")]):
        begin = at(f"2026-11-22 0{hour}:00:00")
        names = {"session_id": f"s{hour}", "execution_id": "e", "agent_id": agent, "user_id": f"u{hour}"}
        await write(
            ExecutionCompleted(**names, status=status, timestamp_ns=begin), turn(f"s{hour}", timestamp_ns=begin)
        )
    store = SessionStore(tmp_path)

    async def listed(**wanted):
        return [session.session_id for session in await store.list_sessions(**wanted)]

    assert await listed() == ["s2", "s1", "s0"]
    assert await listed(limit=2) == ["s2", "s1"]
    assert await listed(limit=0) == await listed(limit=-1) == []
    assert await listed(status="completed") == ["s2", "s0"]
    assert await listed(agent_id="b", status="completed") == ["s2"]
    assert await listed(user_id="u1") == ["s1"]
    assert await listed(since="2026-11-22T01:00+00:00") == ["s2", "s1"]
    assert await listed(until=datetime(2026, 11, 22, 1, tzinfo=UTC)) == ["s0"]


async def test_a_date_means_its_whole_local_day(tmp_path, write, local_zone):
    """Both ends of since and until are included."""
    local_zone("Asia/Kolkata")
    for moment in ("2026-11-21 18:29:59", "2026-11-21 18:30:00", "2026-11-22 18:29:59", "2026-11-22 18:30:00"):
        await write(turn(moment, timestamp_ns=at(moment)))
    store = SessionStore(tmp_path)
    for day in ("2026-11-22", date(2026, 11, 22)):
        listed = await store.list_sessions(since=day, until=day)
        assert [session.session_id for session in listed] == ["2026-11-22 18:29:59", "2026-11-21 18:30:00"]


@pytest.mark.parametrize("key", ["since", "until"])
async def test_a_date_that_is_none_is_named(tmp_path, key):
    """With the key it was given for."""
    with pytest.raises(ConfigError, match=rf"{key}: expected an ISO date .* got 'yesterday'"):
        await SessionStore(tmp_path).list_sessions(**{key: "yesterday"})


async def test_a_deleted_session_is_gone(tmp_path, write):
    """True the first time, False when there is nothing to delete."""
    await write(turn("s"), turn("other"))
    store = SessionStore(tmp_path)
    assert [await store.delete_session("s"), await store.delete_session("s")] == [True, False]
    assert [await store.delete_session(""), await store.delete_session("never")] == [False, False]
    with pytest.raises(SessionNotFoundError):
        await store.read_state("s")
    assert (await store.read_state("other")).metrics.llm_calls == 1


async def test_a_missing_database_reads_as_empty(tmp_path):
    """And reading makes none."""
    store = SessionStore(tmp_path / "none")
    assert await store.list_sessions() == []
    assert await store.delete_session("s") is False
    with pytest.raises(SessionNotFoundError, match=r"no session 's' .*hivecost\.db; `hivecost sessions` lists"):
        await store.read_state("s")
    assert not (tmp_path / "none").exists()


async def test_a_base_path_that_is_a_file_is_named(tmp_path):
    """It is not taken for an empty log."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusablePathError, match="use a folder"):
        await SessionStore(tmp_path / "file").list_sessions()


@pytest.mark.parametrize("limit", [2**63, 10**30, 10**5_000], ids=["64 bits", "100 bits", "more"])
async def test_a_limit_beyond_64_bits_is_all(tmp_path, write, limit):
    """In each of the lists; SQLite would not take it."""
    await write(LLMTurnComplete(session_id="s"))
    assert len(await SessionStore(tmp_path).list_sessions(limit=limit)) == 1
    assert len(await RuntimeLogStore(tmp_path).load_steps("s", limit=limit)) == 1
    assert open_log(tmp_path).audit(limit=limit) == []


async def test_a_name_that_no_log_can_hold_is_named(tmp_path, write):
    """An argument of a command line that is no UTF-8 comes as half a letter."""
    await write(LLMTurnComplete(session_id="s"))
    for asked in (SessionStore(tmp_path).list_sessions(user_id="\udcff"), SessionStore(tmp_path).read_state("\udcff")):
        with pytest.raises(ConfigError, match="no UTF-8"):
            await asked
