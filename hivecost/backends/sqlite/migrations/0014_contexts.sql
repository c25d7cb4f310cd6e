-- What context budgets did: compactions and what they spared later turns, and results of tools that were sent again.

ALTER TABLE turns ADD COLUMN prompt TEXT;   -- a JSON object; NULL: nothing is known of it

CREATE TABLE compactions (
    session_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    compactions INTEGER NOT NULL DEFAULT 0,
    tokens_saved INTEGER NOT NULL DEFAULT 0,
    cost_nanousd INTEGER NOT NULL DEFAULT 0,            -- of summaries
    cache_rewrite_nanousd INTEGER NOT NULL DEFAULT 0,
    unpriced_compactions INTEGER NOT NULL DEFAULT 0,    -- those with an amount that nobody knows
    later_turns INTEGER NOT NULL DEFAULT 0,             -- turns whose prompts were shorter for it
    spared_tokens INTEGER NOT NULL DEFAULT 0,           -- what those did not send
    saved_nanousd INTEGER NOT NULL DEFAULT 0,           -- and what that would have cost
    unpriced_turns INTEGER NOT NULL DEFAULT 0,          -- those of which nobody knows
    PRIMARY KEY (session_id, node_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE carried_results (
    session_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    turns INTEGER NOT NULL DEFAULT 0,                   -- that sent results of it again
    results INTEGER NOT NULL DEFAULT 0,                 -- each as often as it was sent again
    tokens INTEGER NOT NULL DEFAULT 0,
    nanousd INTEGER NOT NULL DEFAULT 0,
    old_nanousd INTEGER NOT NULL DEFAULT 0,             -- of that, results that were not among the three newest
    unpriced_turns INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, node_id, tool)
) STRICT, WITHOUT ROWID;

INSERT INTO compactions (session_id, node_id, compactions, tokens_saved, cost_nanousd, cache_rewrite_nanousd,
    unpriced_compactions)
SELECT session_id, node_id, count(*),
    sum(CAST(min(max(coalesce(json_extract(payload, '$.tokens_before'), 0), 0), 1000000000000) AS INTEGER)
        - CAST(min(max(coalesce(json_extract(payload, '$.tokens_after'), 0), 0), 1000000000000) AS INTEGER)),
    sum(CAST(min(max(coalesce(json_extract(payload, '$.cost_nanousd'), 0), 0), 1000000000000000) AS INTEGER)),
    sum(CAST(min(max(coalesce(json_extract(payload, '$.cache_rewrite_nanousd'), 0), 0), 1000000000000000) AS INTEGER)),
    sum(json_type(payload, '$.cost_nanousd') IS 'null' OR json_type(payload, '$.cache_rewrite_nanousd') IS 'null')
FROM events
WHERE type = 'context_compacted' AND session_id <> '' AND coalesce(json_extract(payload, '$.status'), 'done') = 'done'
GROUP BY session_id, node_id;
