-- Hard budgets: what is spent, lent to processes and in doubt. Amounts are in the unit of the account's budget.
-- At every commit, for every account: settled + in_doubt + its leases <= the limit in force + overrun;
-- but for a limit that was lowered below that, and for shadow budgets, which only count.

CREATE TABLE ledger_budgets (
    name TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    time_window TEXT NOT NULL,
    timezone TEXT NOT NULL,
    attributes TEXT NOT NULL,              -- a JSON list: an account has one value for each
    limit_amount INTEGER NOT NULL,         -- in force
    configured_amount INTEGER NOT NULL,    -- as last configured: only another one overrules an operator's limit
    shadow INTEGER NOT NULL,               -- 1: it only says what it would do, and nothing freezes it
    frozen TEXT                            -- why nothing is granted; NULL: it is
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_accounts (
    id INTEGER PRIMARY KEY,
    budget TEXT NOT NULL,
    scope TEXT NOT NULL,
    account_values TEXT NOT NULL,          -- a JSON list
    period TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER,                        -- NULL: it never ends
    settled INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    in_doubt INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt >= 0),
    overrun INTEGER NOT NULL DEFAULT 0 CHECK (overrun >= 0),  -- what bills charged above their holds
    UNIQUE (budget, start_ns, account_values)
) STRICT;

-- One row per Ledger that is open, or that died and was not recovered yet: the lock beside its journal tells which.
CREATE TABLE ledger_processes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    journal TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    opened_ns INTEGER NOT NULL,
    settled_number INTEGER NOT NULL DEFAULT 0  -- settlements in its journal up to this one are in the accounts
) STRICT;

-- Lent and not yet settled: a process holds money against it without asking.
CREATE TABLE ledger_leases (
    process_id INTEGER NOT NULL REFERENCES ledger_processes (id),
    account_id INTEGER NOT NULL REFERENCES ledger_accounts (id),
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (process_id, account_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_leases_by_account ON ledger_leases (account_id, amount);

-- Who waits for what others have leased.
CREATE TABLE ledger_requests (
    process_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    PRIMARY KEY (process_id, account_id)
) STRICT, WITHOUT ROWID;

-- Holds that may have been sent and whose bill nobody knows. Rows stay, so that none is ever taken in twice.
CREATE TABLE ledger_doubts (
    hold_id TEXT PRIMARY KEY,
    hold_key TEXT NOT NULL,
    reason TEXT NOT NULL,
    since_ns INTEGER NOT NULL,
    resolved_ns INTEGER,                   -- NULL: still in doubt
    resolved_by TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_doubts_open ON ledger_doubts (since_ns) WHERE resolved_ns IS NULL;

CREATE TABLE ledger_doubt_amounts (
    hold_id TEXT NOT NULL REFERENCES ledger_doubts (hold_id),
    account_id INTEGER NOT NULL REFERENCES ledger_accounts (id),
    amount INTEGER NOT NULL,
    PRIMARY KEY (hold_id, account_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_doubt_amounts_by_account ON ledger_doubt_amounts (account_id);

-- Who changed what and when.
CREATE TABLE ledger_changes (
    id INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,                    -- configure, set_limit, freeze, unfreeze, resolve, recover
    subject TEXT NOT NULL,                 -- the budget's name, or the hold's id
    detail TEXT NOT NULL
) STRICT;
