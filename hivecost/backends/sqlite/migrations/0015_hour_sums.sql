-- Sums that a report reads in place of the log: of hours that are over by each value of a dimension, and of days.
-- Hours and quarter-hours count from 1970-01-01 UTC. A day has 24 hours, from any quarter-hour on: from midnight UTC, and
-- from that of the zones in use. An hour is replaced as a whole; one that changed is read from the log until
-- it is done again (backends/sqlite/log/summing/). What was logged before is summed by the next who writes.

CREATE TABLE hour_values (
    dimension TEXT NOT NULL,               -- all, model, provider, agent, user, org, node, task, entry_point, kind, tag:NAME
    hour INTEGER NOT NULL,
    value TEXT NOT NULL,                   -- of a tag never '': what the values lack of `all` has no such tag
    llm_calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    unpriced_calls INTEGER NOT NULL,
    invalid_calls INTEGER NOT NULL,
    estimated_calls INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    charges INTEGER NOT NULL,
    charged_nanousd INTEGER NOT NULL,
    notional_nanousd INTEGER NOT NULL,
    PRIMARY KEY (dimension, hour, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE day_values (
    dimension TEXT NOT NULL,               -- as of hours; and pairs: user,model agent,model org,model
    phase INTEGER NOT NULL,                -- first % 96: the days of one zone lie together, but for summer time
    first INTEGER NOT NULL,                -- quarter-hour
    value TEXT NOT NULL,
    other TEXT NOT NULL,                   -- the second value of a pair
    llm_calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    unpriced_calls INTEGER NOT NULL,
    invalid_calls INTEGER NOT NULL,
    estimated_calls INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    charges INTEGER NOT NULL,
    charged_nanousd INTEGER NOT NULL,
    notional_nanousd INTEGER NOT NULL,
    PRIMARY KEY (dimension, phase, first, value, other)
) STRICT, WITHOUT ROWID;

-- How many calls in the log took about as long, and cost about as much, in UTC days.
CREATE TABLE day_histograms (
    measure TEXT NOT NULL,                 -- latency, cost
    first INTEGER NOT NULL,                -- quarter-hour
    model TEXT NOT NULL,
    bucket INTEGER NOT NULL,               -- floor(8 · log2(x + 1)) of milliseconds, of nano-USD
    calls INTEGER NOT NULL,
    PRIMARY KEY (measure, first, model, bucket)
) STRICT, WITHOUT ROWID;

-- Hours before `before_hour` have their sums, but for those in `unsummed_hours`; null: none has.
CREATE TABLE summing (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    before_hour INTEGER,
    marks INTEGER NOT NULL                 -- the last mark that was given
) STRICT;

-- What is to be summed, and the mark that says whether it changed meanwhile: each change brings a mark of its own.
CREATE TABLE unsummed_hours (
    hour INTEGER PRIMARY KEY,
    mark INTEGER NOT NULL
) STRICT;

-- Days that have their sums where the mark is null, and those that are to be summed.
CREATE TABLE summed_days (
    first INTEGER PRIMARY KEY,             -- quarter-hour
    mark INTEGER
) STRICT;

CREATE INDEX unsummed_days ON summed_days (first) WHERE mark IS NOT NULL;

-- The tags that sums are kept by.
CREATE TABLE summed_tags (
    name TEXT PRIMARY KEY,
    is_named INTEGER NOT NULL DEFAULT 0    -- 1: somebody asked for it; 0: it was among the first that turns had
) STRICT, WITHOUT ROWID;

-- Hours in which a tag had too many values.
CREATE TABLE unsummed_tags (
    name TEXT NOT NULL,
    hour INTEGER NOT NULL,
    PRIMARY KEY (name, hour)
) STRICT, WITHOUT ROWID;

INSERT INTO summing (id, before_hour, marks) VALUES (1, NULL, 0);
