-- What turns would cost at later rates, asked for with `hivecost reprice`. The turns keep what they were priced with.

CREATE TABLE repricings (
    run_id TEXT NOT NULL,
    event_id TEXT NOT NULL,                -- of the turn
    session_id TEXT NOT NULL,
    old_nanousd INTEGER,                   -- NULL: unknown
    new_nanousd INTEGER,                   -- NULL: unknown
    cost_status TEXT NOT NULL,             -- the new one
    rate TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    repriced_ns INTEGER NOT NULL,
    PRIMARY KEY (run_id, event_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX repricings_by_turn ON repricings (session_id, event_id, repriced_ns);
