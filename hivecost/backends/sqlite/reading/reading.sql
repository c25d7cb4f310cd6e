-- What SQLiteLogReader reads. {places} are column lists of ours, and conditions on bound values.

-- name: as_of
-- The instant of the newest turn or event.
SELECT max(newest_ns) FROM (
    SELECT max(timestamp_ns) AS newest_ns FROM turns UNION ALL SELECT max(timestamp_ns) FROM events)

-- name: abandoned
-- Of a session: executions are logged as running, and the process of each of them is gone.
sessions.status = 'running' AND NOT EXISTS (
    SELECT 1 FROM executions AS e
    WHERE e.session_id = sessions.session_id AND e.ended_ns IS NULL AND e.status = 'running' AND NOT is_gone(e.runtime_id))

-- name: sessions_as_they_stand
-- What is logged of sessions, but for those that are abandoned: these are what their last execution is.
(SELECT session_id, agent_id, user_id, org_id, started_ns, updated_ns, executions, {sums},
    CASE WHEN {abandoned} THEN (
        SELECT iif(e.ended_ns IS NULL, 'interrupted', e.status) FROM executions AS e
        WHERE e.session_id = sessions.session_id AND e.status <> 'unknown'
        ORDER BY coalesce(e.ended_ns, e.started_ns) DESC LIMIT 1) ELSE sessions.status END AS status,
    CASE WHEN {abandoned} THEN (
        SELECT e.ended_ns FROM executions AS e
        WHERE e.session_id = sessions.session_id AND e.status <> 'unknown'
        ORDER BY coalesce(e.ended_ns, e.started_ns) DESC LIMIT 1) ELSE sessions.ended_ns END AS ended_ns
FROM sessions)

-- name: executions_as_they_stand
-- What is logged of executions, but for those whose processes are gone.
(SELECT id, {columns}, iif(status = 'running' AND is_gone(runtime_id), 'interrupted', status) AS status FROM executions)

-- name: session
-- One session, as it stands.
SELECT {columns} FROM {sessions} WHERE session_id = :session_id

-- name: sessions
-- Sessions by the time of their start, the newest first, from a place in that order on.
SELECT {columns} FROM {sessions}
WHERE started_ns >= :first_ns AND started_ns < :end_ns AND (started_ns, session_id) < (:after_ns, :after_id) {where}
ORDER BY started_ns DESC, session_id DESC LIMIT :limit

-- name: executions
-- Executions by the time of their start, the newest first, from a place in that order on.
SELECT id, {columns} FROM {runs}
WHERE started_ns >= :first_ns AND started_ns < :end_ns AND (started_ns, id) < (:after_ns, :after_id) {where}
ORDER BY started_ns DESC, id DESC LIMIT :limit

-- name: nodes
-- The sums of a session by node.
SELECT node_id, {sums} FROM nodes WHERE session_id = :session_id GROUP BY node_id ORDER BY node_id

-- name: compactions
-- What the compactions of a session came to, by node.
SELECT node_id, {sums} FROM compactions WHERE session_id = :session_id ORDER BY node_id

-- name: carried_results
-- What the results of tools that were sent again came to in a session.
SELECT node_id, tool, {sums} FROM carried_results WHERE session_id = :session_id ORDER BY node_id, tool

-- name: models_of_nodes
-- Which models each node of a session used.
SELECT node_id, model FROM nodes WHERE session_id = :session_id

-- name: steps
-- A session's turns in the order they were logged.
SELECT {columns} FROM turns WHERE session_id = :session_id {where} ORDER BY id LIMIT :limit

-- name: turns
-- The next turns in the order they were logged.
SELECT id, {columns} FROM turns
WHERE id > :row_id AND +timestamp_ns >= :first_ns AND +timestamp_ns < :end_ns {where} ORDER BY id LIMIT :limit

-- name: turn_sums
-- The next turns in the order they were logged, each as what it adds to the sums.
SELECT id, event_id, {quarter_hour}, {keys} {sums} FROM turns WHERE id > :row_id GROUP BY id ORDER BY id LIMIT :limit

-- name: last_turn
-- The newest turn.
SELECT id, event_id FROM turns ORDER BY id DESC LIMIT 1

-- name: turn_at
-- Which turn a cursor points at, and the last row there is.
SELECT (SELECT event_id FROM turns WHERE id = :row_id), (SELECT coalesce(max(id), 0) FROM turns)

-- name: events
-- The next events that are no turns, in the order they were logged.
SELECT id, event_id, payload FROM events WHERE id > :row_id {where} ORDER BY id LIMIT :limit

-- name: event_at
-- Which event a cursor points at, and the last row there is.
SELECT (SELECT event_id FROM events WHERE id = :row_id), (SELECT coalesce(max(id), 0) FROM events)

-- name: alerts
-- What was said to people, the newest first.
SELECT payload FROM events WHERE type IN ({types}) {where} ORDER BY id DESC LIMIT :limit

-- name: pruned_before
-- Up to when the log was pruned.
SELECT timestamp_ns FROM pruned_before WHERE id = 1

-- name: repriced
-- A session's turns that were priced again, each by its last repricing: max() brings the columns of its row.
SELECT count(*), coalesce(sum(old_nanousd), 0), coalesce(sum(new_nanousd), 0),
    sum(old_nanousd IS NULL), sum(new_nanousd IS NULL), snapshot, max(repriced_ns)
FROM (SELECT old_nanousd, new_nanousd, snapshot, max(repriced_ns) AS repriced_ns
    FROM repricings WHERE session_id = :session_id GROUP BY event_id)

-- name: sums_of_quarter_hours
-- Whole quarter-hours from their sums.
SELECT {quarter_hour}, {keys} {sums} FROM quarter_hours
WHERE quarter_hour >= :first AND quarter_hour < :end {where} {group}

-- name: summed_hours
-- The first and last quarter-hour with turns, and up to which hour there are sums of hours.
SELECT (SELECT min(quarter_hour) FROM quarter_hours), (SELECT max(quarter_hour) FROM quarter_hours), before_hour FROM summing

-- name: summed_tag
-- Whether sums are kept by a tag.
SELECT 1 FROM summed_tags WHERE name = :name

-- name: summed_tags
-- The tags that sums are kept by.
SELECT name FROM summed_tags ORDER BY name

-- name: unsummed_hours
-- Hours that are to be summed, or had too many values of a tag.
SELECT hour FROM unsummed_hours WHERE hour >= :first AND hour < :end
UNION SELECT hour FROM unsummed_tags WHERE name = :name AND hour >= :first AND hour < :end ORDER BY 1

-- name: summed_days
-- Days of 24 hours that have their sums, by their first quarter-hours.
SELECT first FROM summed_days WHERE mark IS NULL AND first >= :first << 2 AND first <= (:end << 2) - 96 ORDER BY first

-- name: sums_of_hours
-- Whole hours from their sums; spans are [quarter-hour, first hour, end hour], ...
WITH spans (quarter_hour, first, stop) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:spans))
SELECT {quarter_hour}, {keys} {sums} FROM spans CROSS JOIN hour_values
WHERE dimension = :dimension AND hour >= first AND hour < stop {where} {group}

-- name: sums_of_days
-- Whole days likewise, by their quarter-hours; those of a span begin at the same time of the day as it does.
WITH spans (quarter_hour, start, stop) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:spans))
SELECT {quarter_hour}, {keys} {sums} FROM spans CROSS JOIN day_values
WHERE dimension = :dimension AND phase = (start % 96 + 96) % 96 AND first >= start AND first < stop {where} {group}

-- name: sums_of_turns
-- Turns one by one: of what has no sums, and of quarter-hours that the window cuts.
SELECT {quarter_hour}, {keys} {sums} FROM turns
WHERE {time} >= :first_ns AND {time} < :end_ns {until} {where} {group}

-- name: sums_of_pruned_turns
-- Turns that are no longer in the log, each at the start of its quarter-hour.
SELECT {quarter_hour}, {keys} {sums} FROM pruned_turns
WHERE {time} >= :first AND {time} < :end {where} {group}

-- name: sums_of_nodes
-- All turns of a session, from the sums of its nodes.
SELECT {quarter_hour}, {keys} {sums} FROM nodes WHERE true {where} {group}

-- name: calls_of_days
-- How many calls were in which bucket in whole UTC days; spans are as those of `sums_of_days`.
WITH spans (start, stop) AS MATERIALIZED (
    SELECT json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:spans))
SELECT model, bucket, sum(calls) FROM spans CROSS JOIN day_histograms
WHERE measure = :measure AND first >= start AND first < stop {where} GROUP BY model, bucket

-- name: calls_of_turns
-- How long calls took, or what they cost: no charges, which are no calls.
SELECT {model}, {measure}, count(*) FROM turns
WHERE timestamp_ns >= :first_ns AND timestamp_ns < :end_ns AND kind = '' AND {measure} IS NOT NULL {where} GROUP BY 1, 2

-- name: accounts
-- Accounts of the ledger whose period holds an instant, those that are used most first; those of shadow budgets last.
-- A limit of their own they have by their values; those of a session also by the others, with null in its place.
SELECT a.budget, a.scope, a.period, b.unit,
    coalesce(
        (SELECT limit_amount FROM ledger_own_limits WHERE budget = a.budget AND account_values = a.account_values),
        CASE b.time_window WHEN 'session' THEN (
            SELECT limit_amount FROM ledger_own_limits
            WHERE budget = a.budget AND json(account_values) = json_set(a.account_values, '$[0]', NULL)) END,
        b.limit_amount) AS in_force,
    a.settled, a.in_doubt, (SELECT coalesce(sum(amount), 0) FROM ledger_leases WHERE account_id = a.id),
    coalesce(b.frozen, ''), b.shadow, a.end_ns
FROM ledger_accounts AS a JOIN ledger_budgets AS b ON b.name = a.budget
WHERE (a.end_ns IS NULL OR a.end_ns > :at_ns) AND a.start_ns <= :at_ns
ORDER BY b.shadow, iif(in_force > 0, (a.settled + a.in_doubt) * 1.0 / in_force, 1.0) DESC, a.budget, a.scope, a.start_ns
LIMIT :limit
