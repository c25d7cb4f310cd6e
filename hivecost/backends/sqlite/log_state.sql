-- What SQLiteLogState reads and writes.

-- name: get
-- One value that is there.
SELECT value FROM log_state
WHERE state_table = :state_table AND key = :key AND (until_ns IS NULL OR until_ns > :now_ns)

-- name: items
-- The next values of a table, by key.
SELECT key, value FROM log_state
WHERE state_table = :state_table AND key > :after AND (until_ns IS NULL OR until_ns > :now_ns)
ORDER BY key LIMIT :limit

-- name: set
-- A value in the place of whatever is there.
INSERT INTO log_state (state_table, key, value, until_ns) VALUES (:state_table, :key, :value, :until_ns)
ON CONFLICT DO UPDATE SET value = excluded.value, until_ns = excluded.until_ns

-- name: remove
-- No value.
DELETE FROM log_state WHERE state_table = :state_table AND key = :key

-- name: sweep
-- Some of those whose time is over.
DELETE FROM log_state WHERE (state_table, key) IN (
    SELECT state_table, key FROM log_state WHERE until_ns <= :now_ns ORDER BY until_ns LIMIT 100)
