-- Pruning: old turns leave the log, and their sums stay at the finest grain that anybody counts them by.

-- Up to when the log was pruned: what happened before is not logged any more, since nobody can tell whether it was.
CREATE TABLE pruned_before (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    timestamp_ns INTEGER NOT NULL
) STRICT;

-- The turns that are gone, added up: with the turns that are there they make every sum, and every budget's spending.
CREATE TABLE pruned_turns (
    session_id TEXT NOT NULL,
    quarter_hour INTEGER NOT NULL,         -- since 1970-01-01 UTC
    node_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    tags TEXT NOT NULL,                    -- a JSON object
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    llm_calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    unpriced_calls INTEGER NOT NULL,
    invalid_calls INTEGER NOT NULL,
    estimated_calls INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    PRIMARY KEY (session_id, quarter_hour, node_id, agent_id, user_id, org_id, task_id, tags, provider, model)
) STRICT, WITHOUT ROWID;

CREATE INDEX pruned_turns_by_time ON pruned_turns (quarter_hour);

CREATE INDEX events_by_time ON events (timestamp_ns);
