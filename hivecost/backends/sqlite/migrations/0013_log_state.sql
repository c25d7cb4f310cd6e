-- What must be known after a restart and in other processes, and is no part of the log: alerts, outbox and such.

CREATE TABLE log_state (
    state_table TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    until_ns INTEGER,                      -- from then on it is not there; null: for ever
    PRIMARY KEY (state_table, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX log_state_by_end ON log_state (until_ns) WHERE until_ns IS NOT NULL;
