"""What a SQLite store asks its file."""

from __future__ import annotations

from tuneful.stores.rows import COLUMNS

# A leader counts as long as it is registered.
HEAD = "SELECT rev, wish, (SELECT id FROM worker WHERE id = leader) FROM head WHERE study = ?"
NEXT = "UPDATE head SET next = next + ?, rev = rev + ? WHERE study = ? AND next = ? RETURNING rev"
BUMP = "UPDATE head SET rev = rev + ? WHERE study = ? RETURNING rev"
INSERT = (
    f"INSERT INTO trial ({COLUMNS}, id, study, worker, token) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join('?' * (COLUMNS.count(',') + 5))})"
)
CHANGED = f"SELECT {COLUMNS} FROM trial WHERE study = ? AND rev > ? AND rev <= ? ORDER BY rev LIMIT ?"  # noqa: S608 - our own
SPACES = "SELECT version, rev, body FROM space WHERE study = ? AND rev > ? ORDER BY version LIMIT 2"
# All of a trial that was started again: its earlier attempt reported what no longer counts.
REPORTS = (
    "SELECT r.rev, t.number, r.step, r.metrics FROM report r JOIN trial t ON t.id = r.trial WHERE r.study = ? AND "
    "t.state < 3 AND (r.rev > ? AND r.rev <= ? OR t.attempt > 1 AND t.rev > ? AND t.rev <= ?) ORDER BY r.trial, r.step"
)
# The moments of a trial and one more, unless that is NULL; first of all its start, if it was started as it was made.
PAST = (
    "coalesce(CASE begun WHEN 0 THEN :moment ELSE coalesce(past, '[' || begun || ',1,' || coalesce(until, 'null') || "
    "',0,1,0.0,' || seen || ']') || ',' || :moment END, past)"
)
# The space and config that it was recorded with, if these are others.
PROPOSED = (
    "CASE WHEN :config IS NULL AND space = :space THEN proposed "
    "ELSE coalesce(proposed, '[' || space || ',' || config || ']') END"
)
WHILE_CLAIMED = "WHERE id = :key AND token = :token AND state = 1"
BEGUN = "CASE begun WHEN 0 THEN :rev ELSE begun END"
AS_KNOWN = "WHERE id = :key AND rev = :known AND state IN (0, 2) AND wish IS NULL"
CLAIM = (
    f"UPDATE trial SET state = 1, rev = :rev, begun = {BEGUN}, attempt = attempt + 1, past = {PAST}, "  # noqa: S608 - our own
    "worker = :worker, token = :token, until = :until, started = coalesce(started, :now) "
    f"{AS_KNOWN} RETURNING attempt"
)
# A row that is empty but for the wish, if nothing is ready. The terms are those of the index.
READY = (
    "SELECT h.wish, t.id, t.until, t.step, t.attempt, t.cost, t.seen, t.past FROM head h LEFT JOIN trial t "
    "ON t.study = h.study AND t.state = 0 AND t.begun > 0 AND t.wish IS NULL WHERE h.study = ? "
    "ORDER BY t.number LIMIT ?"
)
CLAIM_READY = (
    f"UPDATE trial SET state = 1, rev = :rev, attempt = attempt + 1, past = {PAST}, worker = :worker, "  # noqa: S608 - our own
    f"token = :token, started = coalesce(started, :now) WHERE id = :key RETURNING {COLUMNS}"
)
# One that is claimed but has not begun, as it was before.
RELEASE = (
    "UPDATE trial SET state = 0, rev = ?, attempt = 0, worker = NULL, token = NULL "
    "WHERE id = ? AND token = ? AND state = 1 AND started IS NULL"
)
# Where it is first said that a trial shall run, its `begun` says so.
OFFER = (
    f"UPDATE trial SET state = 0, rev = :rev, past = CASE begun WHEN 0 THEN past ELSE {PAST} END, "  # noqa: S608 - our own
    f"begun = {BEGUN}, until = :until {AS_KNOWN}"
)
END = (
    "UPDATE trial SET state = :state, rev = :rev, ended = :ended, metrics = :metrics, error = :error, "  # noqa: S608 - our own
    "curve = :curve, revs = :revs, step = :step, cost = :cost, started = coalesce(started, :started), "
    "finished = :finished, length = coalesce(:length, length), settings = :settings, "
    f"past = {PAST}, proposed = {PROPOSED}, config = coalesce(:config, config), space = :space, "
    "wish = CASE :ended WHEN 0 THEN wish END, worker = NULL, token = NULL, told_by = :token "
)
# One that has arrived where another decision is due is paused.
STOOD = (
    "SELECT CASE WHEN until <= saved_step AND saved_step < coalesce(length, saved_step + 1) THEN 2 ELSE 0 END, "
    "until, step, attempt, cost, seen FROM trial WHERE id = ?"
)
BACK = f"UPDATE trial SET state = :state, rev = :rev, past = {PAST}, worker = NULL, token = NULL WHERE id = :key"  # noqa: S608 - our own
# An end that no worker told: with what was reported until then.
FOLD = (
    "UPDATE trial SET state = ?, rev = ?, ended = ?, error = ?, finished = ?, metrics = ?, curve = ?, revs = ?, "
    "wish = NULL, worker = NULL, token = NULL WHERE id = ?"
)
# Where a trial stands; NULL without a checkpoint. One that advances may lose any number of workers.
STANDS = "'{\"saved_step\":' || saved_step || '}'"
RUN_BY = f"SELECT id, study, attempt, token, started, {STANDS} FROM trial WHERE worker = ? AND state = 1"  # noqa: S608 - our own
LOSSES = "SELECT count(*) FROM attempt WHERE trial = ? AND why = 'lost' AND metrics IS ?"
REPORTED = "SELECT step, rev, metrics FROM report WHERE trial = ? ORDER BY step"
SET_ASIDE = "INSERT OR IGNORE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PROGRESS = (
    "UPDATE trial SET rev = :rev, step = :step, began = :began, cost = :cost, saved_step = :saved_step, "  # noqa: S608 - our own
    "saved_attempt = :saved_attempt, started = coalesce(started, :started), length = coalesce(:length, length), "
    f"proposed = {PROPOSED}, config = coalesce(:config, config), space = :space "
    f"{WHILE_CLAIMED}"
)
REPORTS_LEFT = "RETURNING EXISTS (SELECT 1 FROM report WHERE trial = :key)"
END_CLAIMED = f"{END} {WHILE_CLAIMED} {REPORTS_LEFT}"
END_QUEUED = f"{END} WHERE id = :key AND attempt = :attempt AND state = 0 {REPORTS_LEFT}"
# One row without a trial, if the worker runs none.
ORDERS = (
    "SELECT h.wish, (SELECT id FROM worker WHERE id = h.leader), t.number, t.wish FROM head h LEFT JOIN trial t "
    "ON t.worker = ? AND t.state = 1 AND t.study = h.study WHERE h.study = ? ORDER BY t.number"
)
LEAD = (
    "UPDATE head SET leader = :worker WHERE study = :study AND (leader IS NULL OR leader = :worker "
    "OR leader NOT IN (SELECT id FROM worker))"
)
# CROSS: from the workers, who are few.
RUNNING = (
    "SELECT w.id, s.name, t.number FROM worker w CROSS JOIN trial t ON t.worker = w.id AND t.state = 1 "
    "CROSS JOIN study s ON s.id = t.study ORDER BY t.id"
)
