-- Holds of which more may be billed than was set aside, as of a stream that is held in steps: that freezes no budget.

ALTER TABLE ledger_doubts ADD COLUMN is_partial INTEGER NOT NULL DEFAULT 0;
