-- Money that is not tokens: a turn of the kind `charge` is no call of a model, and its `model` is what was bought.

ALTER TABLE turns ADD COLUMN kind TEXT NOT NULL DEFAULT '';   -- '': a call of a model

ALTER TABLE sessions ADD COLUMN charges INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN charged_nanousd INTEGER NOT NULL DEFAULT 0;   -- part of cost_nanousd
ALTER TABLE executions ADD COLUMN charges INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN charged_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN charges INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN charged_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarter_hours ADD COLUMN charges INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarter_hours ADD COLUMN charged_nanousd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pruned_turns ADD COLUMN charges INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pruned_turns ADD COLUMN charged_nanousd INTEGER NOT NULL DEFAULT 0;
