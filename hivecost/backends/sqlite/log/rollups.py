"""The SQL that keeps the sums in step with the turns, from rows that are really there.

The same statement adds new rows (bounded by rowid) and takes a session's rows away (sign -1), so that both agree.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from hivecost.backends.sqlite.log.identity import FIRST_IDENTITY, identity_from, keep_identity
from hivecost.log.periods import QUARTER_HOUR_NS

#: Each sum of a rollup, and what it adds up. A cost that is unknown is counted, never taken as zero.
SUMS: Final = {
    "llm_calls": "sum(kind = '')",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cache_read_tokens": "sum(cache_read_tokens)",
    "cache_write_tokens": "sum(cache_write_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "cost_nanousd": "coalesce(sum(cost_nanousd), 0)",
    "unpriced_calls": "sum(cost_nanousd IS NULL AND cost_status IS NOT 'invalid')",
    "invalid_calls": "sum(cost_status IS 'invalid')",
    "estimated_calls": "sum(cost_status IS 'estimated' AND cost_nanousd IS NOT NULL)",
    "latency_ms": "sum(latency_ms)",
    "charges": "sum(kind <> '')",
    "charged_nanousd": "coalesce(sum(iif(kind = '', 0, cost_nanousd)), 0)",
    "notional_nanousd": "coalesce(sum(notional_nanousd), 0)",
}

#: The same of rows that are sums already.
ADDED_SUMS: Final = ", ".join(f"sum({name})" for name in SUMS)
_NAMES: Final = ", ".join(SUMS)
_NAMED_SUMS: Final = ", ".join(f"{expression} AS {name}" for name, expression in SUMS.items())
#: Without NOT INDEXED the planner walks the index of the GROUP BY through the whole table.
_NEW: Final = "FROM turns NOT INDEXED WHERE id > :last_turn"
_OF_SESSION: Final = "FROM turns WHERE session_id = :session_id"
#: Of a turn; rounded down before 1970 too.
QUARTER_HOUR: Final = (
    f"(timestamp_ns - (timestamp_ns % {QUARTER_HOUR_NS} + {QUARTER_HOUR_NS}) % {QUARTER_HOUR_NS}) / {QUARTER_HOUR_NS}"
)


#: What turns are counted by: the model and the provider as the price book understood them, where it did. Of turns from
#: before that was logged, as they were named.
COUNTED: Final = {
    "model": "iif(resolved_model = '', model, resolved_model)",
    "provider": "iif(resolved_provider = '', provider, resolved_provider)",
}
_COUNTED: Final = ", ".join(COUNTED[name] for name in ("provider", "model"))


#: What else a turn that was pruned is still known by, beside its quarter-hour: all that budgets can tell apart.
PRUNED_KEYS: Final = (
    *("session_id", "node_id", "agent_id", "user_id", "org_id", "task_id", "tags", "provider", "model"),
    *("asked_model", "resolved_model", "resolved_provider"),
)


def add_to(table: str) -> str:
    """Return the assignments of an upsert that add the new sums to those there are."""
    return ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in SUMS)


def _fold_quarter_hours(rows: str, sign: int) -> str:
    keys = "org_id, user_id, agent_id"
    sums = ", ".join(f"{sign} * {expression}" for expression in SUMS.values())
    return f"""
        INSERT INTO quarter_hours (quarter_hour, {keys}, provider, model, {_NAMES})
        SELECT {QUARTER_HOUR} AS quarter_hour, {keys}, {_COUNTED}, {sums} {rows}
        GROUP BY quarter_hour, {keys}, {_COUNTED}
        ON CONFLICT DO UPDATE SET {add_to("quarter_hours")}"""


#: Each row of them is a sum already.
_SUBTRACT_PRUNED_TIME: Final = f"""
    INSERT INTO quarter_hours (quarter_hour, org_id, user_id, agent_id, provider, model, {_NAMES})
    SELECT quarter_hour, org_id, user_id, agent_id, {_COUNTED}, {", ".join(f"-{name}" for name in SUMS)}
    FROM pruned_turns WHERE session_id = :session_id
    ON CONFLICT DO UPDATE SET {add_to("quarter_hours")}"""


_FOLD_NODES: Final = f"""
    INSERT INTO nodes (session_id, node_id, provider, model, {_NAMES})
    SELECT session_id, node_id, {_COUNTED}, {", ".join(SUMS.values())} {_NEW} AND session_id <> ''
    GROUP BY session_id, node_id, {_COUNTED}
    ON CONFLICT DO UPDATE SET {add_to("nodes")}"""

_FOLD_EXECUTIONS: Final = f"""
    INSERT INTO executions (session_id, execution_id, started_ns, agent_id, user_id, org_id, {_NAMES})
    SELECT session_id, execution_id, started_ns, {identity_from("turns")}, {_NAMES}
    FROM (SELECT session_id, execution_id, min(timestamp_ns) AS started_ns, {FIRST_IDENTITY}, {_NAMED_SUMS}
          {_NEW} AND execution_id <> '' GROUP BY session_id, execution_id)
    WHERE true
    ON CONFLICT (session_id, execution_id) DO UPDATE SET
        started_ns = min(executions.started_ns, excluded.started_ns),
        {keep_identity("executions")}, {add_to("executions")}"""

_FOLD_SESSIONS: Final = f"""
    INSERT INTO sessions (session_id, started_ns, updated_ns, agent_id, user_id, org_id, {_NAMES})
    SELECT session_id, started_ns, updated_ns, {identity_from("turns")}, {_NAMES}
    FROM (SELECT session_id, min(timestamp_ns) AS started_ns, max(timestamp_ns) AS updated_ns,
                 {FIRST_IDENTITY}, {_NAMED_SUMS}
          {_NEW} AND session_id <> '' GROUP BY session_id)
    WHERE true
    ON CONFLICT DO UPDATE SET
        started_ns = min(sessions.started_ns, excluded.started_ns),
        updated_ns = max(sessions.updated_ns, excluded.updated_ns),
        {keep_identity("sessions")}, {add_to("sessions")}"""

_FOLD_TIME: Final = _fold_quarter_hours(_NEW, 1)
_SUBTRACT_TIME: Final = _fold_quarter_hours(_OF_SESSION, -1)
_DROP_EMPTY_TIME: Final = f"""
    DELETE FROM quarter_hours WHERE llm_calls = 0 AND charges = 0 AND quarter_hour IN (
        SELECT {QUARTER_HOUR} {_OF_SESSION}
        UNION SELECT quarter_hour FROM pruned_turns WHERE session_id = :session_id)"""


def fold_turns(connection: sqlite3.Connection, last_turn: int) -> None:
    """Add the turns after this id to every sum; inside the transaction that inserted them."""
    for statement in (_FOLD_TIME, _FOLD_NODES, _FOLD_EXECUTIONS, _FOLD_SESSIONS):
        connection.execute(statement, {"last_turn": last_turn})


def subtract_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Take the session's turns, the pruned ones too, out of the time rollups; in the transaction that deletes them."""
    for statement in (_SUBTRACT_TIME, _SUBTRACT_PRUNED_TIME, _DROP_EMPTY_TIME):
        connection.execute(statement, {"session_id": session_id})
