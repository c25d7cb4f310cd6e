-- What is read of the ledger. {has_own_limits} and {where} are expressions of ours, on bound values.

-- name: budgets
-- The hard budgets as they are in force, by name.
SELECT name, limit_amount, configured_amount, unit, time_window, timezone, attributes, shadow, coalesce(frozen, '')
FROM ledger_budgets ORDER BY name

-- name: budget_rows
-- What a process that holds money must know of each budget.
SELECT name, limit_amount, frozen, {has_own_limits} FROM ledger_budgets

-- name: own_limit
-- The limit that values have of their own.
SELECT limit_amount FROM ledger_own_limits WHERE budget = :budget AND account_values = :account_values

-- name: configured_limits
-- The limits of values that the configuration of a budget says.
SELECT account_values, configured_amount FROM ledger_own_limits INDEXED BY ledger_own_limits_configured
WHERE budget = :budget AND configured_amount IS NOT NULL

-- name: overruled_limits
-- The limits of values that operators set.
SELECT own.budget, own.account_values, b.attributes, b.unit, own.limit_amount, own.configured_amount
FROM ledger_own_limits AS own JOIN ledger_budgets AS b ON b.name = own.budget
WHERE own.limit_amount IS NOT own.configured_amount ORDER BY own.budget, own.account_values LIMIT :limit

-- name: definitions
-- The budgets of every mode as they were written down last, with when they were retired.
SELECT definition, first_seen_ns, last_seen_ns,
    (SELECT max(at_ns) FROM ledger_changes WHERE what = 'retire' AND subject = name)
FROM budget_definitions ORDER BY name

-- name: changes
-- The audit trail, the newest first.
SELECT at_ns, who, what, subject, detail FROM ledger_changes ORDER BY id DESC LIMIT :limit

-- name: room
-- What there is of a budget, and of one of its accounts where that was ever asked for.
SELECT b.limit_amount, b.frozen, coalesce(a.id, 0), coalesce(a.settled, 0), coalesce(a.in_doubt, 0)
FROM ledger_budgets AS b LEFT JOIN ledger_accounts AS a
    ON a.budget = b.name AND a.start_ns = :start_ns AND a.account_values = :account_values
WHERE b.name = :budget

-- name: accounts
-- Accounts with what their budgets say.
SELECT a.id, a.budget, a.scope, a.period, a.start_ns, a.end_ns, a.settled, a.in_doubt,
    b.unit, b.limit_amount, b.frozen, b.time_window, a.account_values,
    EXISTS (SELECT 1 FROM ledger_own_limits WHERE budget = a.budget)
FROM ledger_accounts AS a JOIN ledger_budgets AS b ON b.name = a.budget
WHERE {where}
