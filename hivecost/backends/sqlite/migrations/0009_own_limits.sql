-- Limits that single values of a budget's attributes have of their own, in place of the budget's.

CREATE TABLE ledger_own_limits (
    budget TEXT NOT NULL,
    account_values TEXT NOT NULL,          -- as of its accounts; null in the place of a session or execution: of any
    limit_amount INTEGER NOT NULL,         -- in force
    configured_amount INTEGER,             -- as last configured; NULL: an operator set it, and nobody configured one
    PRIMARY KEY (budget, account_values)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_own_limits_configured ON ledger_own_limits (budget) WHERE configured_amount IS NOT NULL;

-- Where an operator overruled the configuration.
CREATE INDEX ledger_own_limits_overruled ON ledger_own_limits (budget, account_values)
    WHERE limit_amount IS NOT configured_amount;
