-- How the accounts stand is asked of those whose period is not over, and of those with something in doubt: of years of
-- accounts that is nearly nothing.

CREATE INDEX ledger_accounts_by_end ON ledger_accounts (end_ns);

CREATE INDEX ledger_accounts_in_doubt ON ledger_accounts (in_doubt) WHERE in_doubt > 0;
