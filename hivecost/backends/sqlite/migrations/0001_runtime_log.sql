-- The runtime log: what happened (turns, events) and the integer sums that are kept in step with it.
-- Money is nano-USD, times are nanoseconds since 1970-01-01 UTC.

CREATE TABLE turns (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    timestamp_ns INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    tags TEXT NOT NULL,                    -- a JSON object
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    input_audio_tokens INTEGER NOT NULL,
    output_audio_tokens INTEGER NOT NULL,
    cache_audio_read_tokens INTEGER NOT NULL,
    input_image_tokens INTEGER NOT NULL,
    output_image_tokens INTEGER NOT NULL,
    tool_use_prompt_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    cost_status TEXT,                      -- NULL: nobody tried to price it
    cost_nanousd INTEGER,                  -- NULL: unknown, which is not zero
    source TEXT NOT NULL,
    rate TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    reason TEXT NOT NULL,
    input_nanousd INTEGER,
    output_nanousd INTEGER,
    table_nanousd INTEGER,
    latency_ms INTEGER NOT NULL,
    stop_reason TEXT NOT NULL,
    service_tier TEXT NOT NULL,
    raw_usage TEXT                         -- a JSON object
) STRICT;

CREATE INDEX turns_by_session ON turns (session_id);
CREATE INDEX turns_by_time ON turns (timestamp_ns);
CREATE INDEX turns_without_cost ON turns (session_id) WHERE cost_nanousd IS NULL;

-- Everything that is not a turn, as it came.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    timestamp_ns INTEGER NOT NULL,
    type TEXT NOT NULL,
    session_id TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    payload TEXT NOT NULL                  -- the whole event as JSON
) STRICT;

CREATE INDEX events_by_session ON events (session_id);

CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'unknown',  -- unknown: turns were logged, but no start and no end
    entry_point TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    agent_id TEXT NOT NULL DEFAULT '',
    user_id TEXT NOT NULL DEFAULT '',
    org_id TEXT NOT NULL DEFAULT '',
    started_ns INTEGER NOT NULL,
    ended_ns INTEGER,
    duration_ms INTEGER NOT NULL DEFAULT 0,
    llm_calls INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    cost_nanousd INTEGER NOT NULL DEFAULT 0,
    unpriced_calls INTEGER NOT NULL DEFAULT 0,
    invalid_calls INTEGER NOT NULL DEFAULT 0,
    estimated_calls INTEGER NOT NULL DEFAULT 0,
    latency_ms INTEGER NOT NULL DEFAULT 0,
    UNIQUE (session_id, execution_id)
) STRICT;

CREATE INDEX executions_by_start ON executions (started_ns);
CREATE INDEX executions_by_end ON executions (session_id, ended_ns, status);

CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    status TEXT NOT NULL DEFAULT 'unknown',
    agent_id TEXT NOT NULL DEFAULT '',
    user_id TEXT NOT NULL DEFAULT '',
    org_id TEXT NOT NULL DEFAULT '',
    started_ns INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL,
    ended_ns INTEGER,
    executions INTEGER NOT NULL DEFAULT 0,
    llm_calls INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    cost_nanousd INTEGER NOT NULL DEFAULT 0,
    unpriced_calls INTEGER NOT NULL DEFAULT 0,
    invalid_calls INTEGER NOT NULL DEFAULT 0,
    estimated_calls INTEGER NOT NULL DEFAULT 0,
    latency_ms INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_start ON sessions (started_ns);

CREATE TABLE nodes (
    session_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    llm_calls INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    cost_nanousd INTEGER NOT NULL DEFAULT 0,
    unpriced_calls INTEGER NOT NULL DEFAULT 0,
    invalid_calls INTEGER NOT NULL DEFAULT 0,
    estimated_calls INTEGER NOT NULL DEFAULT 0,
    latency_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, node_id, provider, model)
) STRICT, WITHOUT ROWID;

-- One row per UTC quarter-hour and attribution: every time zone's day is a whole number of them.
CREATE TABLE quarter_hours (
    quarter_hour INTEGER NOT NULL,         -- since 1970-01-01 UTC
    org_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    llm_calls INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    cost_nanousd INTEGER NOT NULL DEFAULT 0,
    unpriced_calls INTEGER NOT NULL DEFAULT 0,
    invalid_calls INTEGER NOT NULL DEFAULT 0,
    estimated_calls INTEGER NOT NULL DEFAULT 0,
    latency_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (quarter_hour, org_id, user_id, agent_id, provider, model)
) STRICT, WITHOUT ROWID;
