-- What turns that a subscription pays for would have cost.

ALTER TABLE turns ADD COLUMN notional_nanousd INTEGER;               -- NULL: none of those, or nobody can tell
