"""The SQL that keeps the sums of context budgets in step with turns and events, from rows that are really there."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from hivecost.events import LLMTurnComplete
from hivecost.log.contexts import CARRIED_NAMES, COMPACTION_NAMES
from hivecost.log.turn_rows import prompt_json

_OF_COMPACTIONS: Final = (
    "compactions",
    "tokens_saved",
    "cost_nanousd",
    "cache_rewrite_nanousd",
    "unpriced_compactions",
)
_OF_TURNS: Final = ("later_turns", "spared_tokens", "saved_nanousd", "unpriced_turns")
#: What a stranger's event may say; sums of more would not stay within 64 bits.
_TOKENS_MAX: Final = 10**12
_AMOUNT_MAX: Final = 10**15


def _bounded(name: str, most: int) -> str:
    return f"CAST(min(max(coalesce(json_extract(payload, '$.{name}'), 0), 0), {most}) AS INTEGER)"


def _upsert(table: str, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in names)


_FOLD_COMPACTIONS: Final = f"""
    INSERT INTO compactions (session_id, node_id, {", ".join(_OF_COMPACTIONS)})
    SELECT session_id, node_id, count(*),
        sum({_bounded("tokens_before", _TOKENS_MAX)} - {_bounded("tokens_after", _TOKENS_MAX)}),
        sum({_bounded("cost_nanousd", _AMOUNT_MAX)}), sum({_bounded("cache_rewrite_nanousd", _AMOUNT_MAX)}),
        sum(json_type(payload, '$.cost_nanousd') IS 'null' OR json_type(payload, '$.cache_rewrite_nanousd') IS 'null')
    FROM events NOT INDEXED
    WHERE id > :last_event AND type = 'context_compacted' AND session_id <> ''
        AND coalesce(json_extract(payload, '$.status'), 'done') = 'done'
    GROUP BY session_id, node_id
    ON CONFLICT DO UPDATE SET {_upsert("compactions", _OF_COMPACTIONS)}"""

_NEW: Final = "FROM turns NOT INDEXED{} WHERE turns.id > :last_turn AND prompt IS NOT NULL AND session_id <> ''"
_COMPACTED: Final = "json_extract(prompt, '$.compacted_tokens')"
_SAVED: Final = "coalesce(json_extract(prompt, '$.saved_nanousd'), 0)"

_FOLD_LATER_TURNS: Final = f"""
    INSERT INTO compactions (session_id, node_id, {", ".join(_OF_TURNS)})
    SELECT session_id, node_id, count(*), sum({_COMPACTED}), sum({_SAVED}),
        sum(json_type(prompt, '$.saved_nanousd') IS 'null')
    {_NEW.format("")} AND {_COMPACTED} > 0 GROUP BY session_id, node_id
    ON CONFLICT DO UPDATE SET {_upsert("compactions", _OF_TURNS)}"""

_FOLD_CARRIED: Final = f"""
    INSERT INTO carried_results (session_id, node_id, tool, {", ".join(CARRIED_NAMES)})
    SELECT session_id, node_id, json_extract(value, '$.tool') AS tool, count(*),
        sum(json_extract(value, '$.results')), sum(json_extract(value, '$.tokens')),
        sum(coalesce(json_extract(value, '$.nanousd'), 0)), sum(coalesce(json_extract(value, '$.old_nanousd'), 0)),
        sum(json_extract(value, '$.nanousd') IS NULL)
    {_NEW.format(", json_each(prompt, '$.carried')")} GROUP BY session_id, node_id, json_extract(value, '$.tool')
    ON CONFLICT DO UPDATE SET {_upsert("carried_results", CARRIED_NAMES)}"""

assert {*_OF_COMPACTIONS, *_OF_TURNS} == {*COMPACTION_NAMES}  # noqa: S101  # each sum has its statement


def fold_compactions(connection: sqlite3.Connection, last_event: int) -> None:
    """Add the compactions after this id to the sums; inside the transaction that inserted them."""
    connection.execute(_FOLD_COMPACTIONS, {"last_event": last_event})


def add_prompts(connection: sqlite3.Connection, turns: Sequence[LLMTurnComplete], last_turn: int) -> None:
    """Add what is known of the prompts of the turns after this id to their rows: few have any, which most need not pay.

    Of several turns with one id the first was inserted.
    """
    first = {turn.event_id: turn.prompt for turn in reversed(turns)}
    known = [(prompt_json(prompt), event_id, last_turn) for event_id, prompt in first.items() if prompt is not None]
    connection.executemany("UPDATE turns SET prompt = ? WHERE event_id = ? AND id > ?", known)


def fold_prompts(connection: sqlite3.Connection, last_turn: int) -> None:
    """Add what is known of the prompts of the turns after this id; inside the transaction that inserted them."""
    for statement in (_FOLD_LATER_TURNS, _FOLD_CARRIED):
        connection.execute(statement, {"last_turn": last_turn})
