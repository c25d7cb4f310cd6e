-- Every budget that was ever used here, of every mode, as it was written down last: for those who look at the folder.

CREATE TABLE budget_definitions (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL,              -- the Budget as a JSON object
    first_seen_ns INTEGER NOT NULL,
    last_seen_ns INTEGER NOT NULL          -- when a runtime or a Ledger last started with it, or it was changed
) STRICT, WITHOUT ROWID;
