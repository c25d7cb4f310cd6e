-- Counts that few turns have, and the parts of a cost.

ALTER TABLE turns ADD COLUMN other_usage TEXT NOT NULL DEFAULT '';   -- a JSON object of counts, '' for none
ALTER TABLE turns ADD COLUMN cached_nanousd INTEGER;                 -- part of input_nanousd; NULL: nobody can tell
ALTER TABLE turns ADD COLUMN written_nanousd INTEGER;                -- part of input_nanousd
ALTER TABLE turns ADD COLUMN reasoning_nanousd INTEGER;              -- part of output_nanousd
ALTER TABLE turns ADD COLUMN fee_nanousd INTEGER;
