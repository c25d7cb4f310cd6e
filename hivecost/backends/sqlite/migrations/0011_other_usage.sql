-- Counts that few turns have, and the parts of a cost.

ALTER TABLE turns ADD COLUMN other_usage TEXT NOT NULL DEFAULT '';   -- a JSON object of counts, '' for none
ALTER TABLE turns ADD COLUMN cached_nanousd INTEGER;                 -- part of input_nanousd; NULL: nobody can tell
ALTER TABLE turns ADD COLUMN written_nanousd INTEGER;                -- part of input_nanousd
ALTER TABLE turns ADD COLUMN reasoning_nanousd INTEGER;              -- part of output_nanousd
ALTER TABLE turns ADD COLUMN fee_nanousd INTEGER;
ALTER TABLE turns ADD COLUMN notional_nanousd INTEGER;               -- what one that a subscription pays for would have cost

-- The sums of that, apart from what was paid.
ALTER TABLE sessions ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarter_hours ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pruned_turns ADD COLUMN notional_nanousd INTEGER NOT NULL DEFAULT 0;
