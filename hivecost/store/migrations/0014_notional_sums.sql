-- What turns that a subscription pays for would have cost, in every sum, apart from what was paid.

ALTER TABLE sessions ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarter_hours ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pruned_turns ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;

-- Turns that were logged since the column is there. For the time of the migration one small index finds them.
CREATE INDEX turns_by_subscription ON turns (session_id) WHERE notional_nanousd IS NOT NULL;
UPDATE sessions SET notional_nanousd = added.notional
FROM (SELECT session_id, sum(notional_nanousd) AS notional FROM turns WHERE notional_nanousd IS NOT NULL
    GROUP BY session_id) AS added
WHERE sessions.session_id = added.session_id;
UPDATE executions SET notional_nanousd = added.notional
FROM (SELECT session_id, execution_id, sum(notional_nanousd) AS notional FROM turns WHERE notional_nanousd IS NOT NULL
    GROUP BY session_id, execution_id) AS added
WHERE executions.session_id = added.session_id AND executions.execution_id = added.execution_id;
UPDATE nodes SET notional_nanousd = added.notional
FROM (SELECT session_id, node_id, iif(resolved_provider = '', provider, resolved_provider) AS provider,
        iif(resolved_model = '', model, resolved_model) AS model, sum(notional_nanousd) AS notional
    FROM turns WHERE notional_nanousd IS NOT NULL GROUP BY 1, 2, 3, 4) AS added
WHERE nodes.session_id = added.session_id AND nodes.node_id = added.node_id
    AND nodes.provider = added.provider AND nodes.model = added.model;
UPDATE quarter_hours SET notional_nanousd = added.notional
FROM (SELECT (timestamp_ns - (timestamp_ns % 900000000000 + 900000000000) % 900000000000) / 900000000000 AS quarter_hour,
        org_id, user_id, agent_id, iif(resolved_provider = '', provider, resolved_provider) AS provider,
        iif(resolved_model = '', model, resolved_model) AS model, sum(notional_nanousd) AS notional
    FROM turns WHERE notional_nanousd IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6) AS added
WHERE quarter_hours.quarter_hour = added.quarter_hour AND quarter_hours.org_id = added.org_id
    AND quarter_hours.user_id = added.user_id AND quarter_hours.agent_id = added.agent_id
    AND quarter_hours.provider = added.provider AND quarter_hours.model = added.model;
DROP INDEX turns_by_subscription;
