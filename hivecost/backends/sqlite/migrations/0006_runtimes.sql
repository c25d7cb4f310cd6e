-- In which runtime an execution runs: `<base_path>/runtimes/<runtime_id>.lock` is locked while its process lives.

ALTER TABLE executions ADD COLUMN runtime_id TEXT NOT NULL DEFAULT '';   -- '': nobody can tell
