-- The model as it was asked for, and what the price book understood; and which execution started which.

ALTER TABLE turns ADD COLUMN asked_model TEXT NOT NULL DEFAULT '';         -- '': nobody said
ALTER TABLE turns ADD COLUMN resolved_model TEXT NOT NULL DEFAULT '';      -- '': the price book did not know it
ALTER TABLE turns ADD COLUMN resolved_provider TEXT NOT NULL DEFAULT '';

ALTER TABLE executions ADD COLUMN parent_execution_id TEXT NOT NULL DEFAULT '';

-- The turns that are gone by the same names. SQLite changes no primary key: the table is made anew, and the rows of the
-- old one are moved later, some at a time (backends/sqlite/backfill.py).
ALTER TABLE pruned_turns RENAME TO pruned_turns_before;
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
    asked_model TEXT NOT NULL,
    resolved_model TEXT NOT NULL,
    resolved_provider TEXT NOT NULL,
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
    PRIMARY KEY (session_id, quarter_hour, node_id, agent_id, user_id, org_id, task_id, tags, provider, model,
        asked_model, resolved_model, resolved_provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX pruned_turns_by_quarter_hour ON pruned_turns (quarter_hour);
