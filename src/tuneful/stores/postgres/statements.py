"""What a PostgreSQL store asks its server.

A call is one statement where it can be: one round trip, and one transaction. Revisions are handed out by `head`, whose
row is locked from then to the commit, so that who reads up to a revision misses none before it. The order of locks is
everywhere: workers, trials by their keys, heads by theirs; a new trial, which nobody can have locked, comes after its
head. In one statement, WITH puts them in this order: what is asked for by another part is done before it.

Under READ COMMITTED, a statement that has waited for a row goes on with the row as it is then, if it still meets the
conditions (postgresql.org/docs/current/transaction-iso.html); so each change of a trial names its key and conditions
that are checked on the row that is locked.
"""

# ruff: noqa: S608 - every word of these texts is our own; what is not comes as a parameter

from __future__ import annotations

from tuneful.stores import checking
from tuneful.stores.rows import COLUMNS

NAMES = COLUMNS.split(", ")
NOW = "extract(epoch FROM clock_timestamp())::float8"  # time is the server's
# The commit does not wait for the disk, and lets go of its locks at once.
QUICK = "set_config('synchronous_commit', 'off', true)"

_LOCKED = "FOR NO KEY UPDATE"
_BUMPED = (
    "h AS (UPDATE tuneful.head SET rev = rev + 1 WHERE study = %(study)s AND EXISTS (SELECT FROM t) RETURNING rev)"
)
_T_COLUMNS = ", ".join(f"x.{name}" for name in NAMES)

STUDY = "SELECT id FROM tuneful.study WHERE name = %(name)s"
FORM = "SELECT form FROM tuneful.study WHERE name = %(name)s"
STUDIES = "SELECT name FROM tuneful.study ORDER BY created, id"
NEW_ID = "SELECT nextval(pg_get_serial_sequence('tuneful.study', 'id'))"
NEW_STUDY = (
    f"INSERT INTO tuneful.study (id, name, form, created) VALUES (%(study)s, %(name)s, %(form)s, {NOW}) "
    "ON CONFLICT (name) DO NOTHING RETURNING id"
)
NEW_HEAD = "INSERT INTO tuneful.head (study, next, rev) VALUES (%(study)s, %(next)s, %(rev)s)"
NEW_SPACE = "INSERT INTO tuneful.space (study, version, rev, body) VALUES (%(study)s, %(version)s, %(rev)s, %(body)s)"
ALL_SPACES = "SELECT version, body FROM tuneful.space WHERE study = %(study)s ORDER BY version"

# A leader counts as long as it is registered.
HEAD = (
    "SELECT h.rev, h.wish, w.id, h.next FROM tuneful.head h LEFT JOIN tuneful.worker w ON w.id = h.leader "
    "WHERE h.study = %(study)s"
)
LOCK_HEAD = f"SELECT rev FROM tuneful.head WHERE study = %(study)s {_LOCKED}"
BUMP = "UPDATE tuneful.head SET rev = rev + %(by)s WHERE study = %(study)s RETURNING rev"

# All that is new, in one statement and so at one moment, if it is trials only; else it says that there is more.
NEWS = (
    "SELECT h.rev, h.wish, w.id, "
    "h.rev > %(rev)s AND (EXISTS (SELECT FROM tuneful.space s WHERE s.study = h.study AND s.rev > %(rev)s) OR "
    "EXISTS (SELECT FROM tuneful.report r WHERE r.study = h.study AND r.rev > %(rev)s)), "
    f"{_T_COLUMNS} FROM tuneful.head h LEFT JOIN tuneful.worker w ON w.id = h.leader "
    f"LEFT JOIN LATERAL (SELECT {COLUMNS} FROM tuneful.trial WHERE study = h.study AND rev > %(rev)s "
    "ORDER BY rev LIMIT %(page)s) x ON true WHERE h.study = %(study)s"
)
ONE_MOMENT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
SPACES = (
    "SELECT version, rev, body FROM tuneful.space WHERE study = %(study)s AND rev > %(rev)s ORDER BY version LIMIT 2"
)
CHANGED = (
    f"SELECT {COLUMNS} FROM tuneful.trial WHERE study = %(study)s AND rev > %(rev)s AND rev <= coalesce(("
    "SELECT min(rev) FROM tuneful.space WHERE study = %(study)s AND rev > %(rev)s AND version > 0), 1::bigint << 62) "
    "ORDER BY rev LIMIT %(page)s"
)
# All of a trial that was started again: its earlier attempt reported what no longer counts. Each part by an index.
_NEW = "r.rev > %(rev)s AND r.rev <= %(upto)s"
REPORTS = (
    "SELECT r.rev, t.number, r.step, r.metrics FROM tuneful.report r JOIN tuneful.trial t ON t.id = r.trial "
    f"WHERE r.study = %(study)s AND {_NEW} AND t.state < 3 UNION ALL "
    "SELECT r.rev, t.number, r.step, r.metrics FROM tuneful.trial t JOIN tuneful.report r ON r.trial = t.id "
    "WHERE t.study = %(study)s AND t.rev > %(rev)s AND t.rev <= %(upto)s AND t.state < 3 AND t.attempt > 1 "
    f"AND NOT ({_NEW}) ORDER BY 2, 3"
)

LAST_SPACE = "SELECT version, rev, body FROM tuneful.space WHERE study = %(study)s ORDER BY version DESC LIMIT 1"

_FROM_HEAD = {
    "rev": "h.rev",
    "born": "h.rev",
    "begun": "CASE WHEN %(begun)s THEN h.rev ELSE 0 END",
    "ended": "CASE WHEN %(ended)s THEN h.rev ELSE 0 END",
}
_HANGING = "id, study, worker, token, made_by"
# One row, unless the study is gone: without a revision if the number is not the next.
CREATE = (
    "WITH h AS (UPDATE tuneful.head SET next = next + 1, rev = rev + 1 "
    "WHERE study = %(study)s AND next = %(number)s RETURNING rev), "
    f"made AS (INSERT INTO tuneful.trial ({COLUMNS}, {_HANGING}) "
    f"SELECT {', '.join(_FROM_HEAD.get(name, f'%({name})s') for name in NAMES)}, "
    "%(id)s, %(study)s, %(worker)s, %(token)s, %(made_by)s::uuid FROM h) "
    f"SELECT h.rev, o.next, {QUICK} FROM tuneful.head o LEFT JOIN h ON true WHERE o.study = %(study)s"
)
NEXT = (
    "UPDATE tuneful.head SET next = next + %(by)s, rev = rev + %(by)s "
    f"WHERE study = %(study)s AND next = %(number)s RETURNING rev, {QUICK}"
)
COPY = f"COPY tuneful.trial ({COLUMNS}, {_HANGING}) FROM STDIN"
# The revision of the last trial that a call has recorded, if it has.
CREATED = "SELECT born FROM tuneful.trial WHERE id = %(id)s AND made_by = %(made_by)s::uuid"

# A moment comes as JSON without its revision: ",1,null,3,2,0.5,17]"
_MOMENT = "'[' || h.rev || %(moment)s::text"
_STORED = (
    "'[' || {rev} || ',{state},' || coalesce(x.until::text, 'null') || ',' || x.step || ',' || (x.attempt + {more}) || "
    "',' || CASE WHEN x.cost::text ~ '^-?[0-9]+$' THEN x.cost || '.0' ELSE x.cost::text END || ',' || x.seen || ']'"
)


def _past(moment: str) -> str:
    """The moments of a trial and one more, unless that is NULL; first of all its start, if it ran as it was made."""
    return (
        f"coalesce(CASE x.begun WHEN 0 THEN {moment} ELSE coalesce(x.past, '[' || x.begun || ',1,' || "
        f"coalesce(x.until::text, 'null') || ',0,1,0.0,' || x.seen || ']') || ',' || {moment} END, x.past)"
    )


# The space and config that it was recorded with, if these are others.
_PROPOSED = (
    "CASE WHEN %(config)s::text IS NULL AND x.space = %(space)s THEN x.proposed "
    "ELSE coalesce(x.proposed, '[' || x.space || ',' || x.config || ']') END"
)
_BEGUN = "CASE x.begun WHEN 0 THEN h.rev ELSE x.begun END"
_RUNS = f"worker = %(worker)s, token = %(token)s, started = coalesce(x.started, {NOW})"
_AS_KNOWN = (
    "WITH t AS MATERIALIZED (SELECT FROM tuneful.trial WHERE id = %(id)s AND rev = %(known)s AND state IN (0, 2) "
    f"AND wish IS NULL {_LOCKED}), {_BUMPED} "
)
CLAIM = (
    f"{_AS_KNOWN}UPDATE tuneful.trial x SET state = 1, rev = h.rev, begun = {_BEGUN}, attempt = x.attempt + 1, "
    f"past = {_past(_MOMENT)}, until = %(until)s, {_RUNS} FROM h WHERE x.id = %(id)s "
    f"RETURNING x.rev, x.attempt, {QUICK}"
)
# Where it is first said that a trial shall run, its `begun` says so.
OFFER = (
    f"{_AS_KNOWN}UPDATE tuneful.trial x SET state = 0, rev = h.rev, begun = {_BEGUN}, until = %(until)s, "
    f"past = CASE x.begun WHEN 0 THEN x.past ELSE {_past(_MOMENT)} END FROM h WHERE x.id = %(id)s "
    f"RETURNING x.rev, {QUICK}"
)
OFFERED = (
    "SELECT rev FROM tuneful.trial WHERE id = %(id)s AND rev > %(known)s AND state = 0 AND begun > 0 "
    "AND until IS NOT DISTINCT FROM %(until)s::bigint"
)
# The conditions are those of the index. What others are about to claim is passed over.
_OWN_REV = "h.rev - t.n + t.k"
_STARTED_AGAIN = (
    "CASE WHEN x.attempt > 0 OR x.past IS NOT NULL THEN "
    f"{_past(_STORED.format(rev=f'({_OWN_REV})', state=1, more=1))} END"
)
# The first starts; behind it come such as nobody has run before.
CLAIM_READY = (
    "WITH l AS MATERIALIZED (SELECT id, number, attempt = 0 AND past IS NULL AS fresh FROM tuneful.trial "
    "WHERE study = %(study)s AND state = 0 AND begun > 0 AND wish IS NULL "
    f"ORDER BY number LIMIT %(n)s {_LOCKED} SKIP LOCKED), "
    "o AS (SELECT id, number, fresh, number = min(number) OVER () AS first FROM l), "
    "t AS (SELECT id, first, row_number() OVER (ORDER BY number) AS k, count(*) OVER () AS n FROM o "
    "WHERE first OR fresh), "
    "h AS (UPDATE tuneful.head SET rev = rev + (SELECT count(*) FROM t) WHERE study = %(study)s AND wish IS NULL "
    "AND EXISTS (SELECT FROM t) RETURNING rev) "
    f"UPDATE tuneful.trial x SET state = 1, rev = {_OWN_REV}, attempt = x.attempt + 1, past = {_STARTED_AGAIN}, "
    f"worker = %(worker)s, token = %(token)s, started = CASE WHEN t.first THEN coalesce(x.started, {NOW}) END "
    f"FROM h, t WHERE x.id = t.id RETURNING {_T_COLUMNS}, {QUICK}"
)
# As it was before it was claimed.
RELEASE = (
    "WITH t AS MATERIALIZED (SELECT FROM tuneful.trial WHERE id = %(id)s AND token = %(token)s AND state = 1 "
    f"AND started IS NULL {_LOCKED}), {_BUMPED} UPDATE tuneful.trial x SET state = 0, rev = h.rev, attempt = 0, "
    f"worker = NULL, token = NULL FROM h WHERE x.id = %(id)s RETURNING x.rev, {QUICK}"
)
# The same trial again, after the server has forgotten that it was claimed.
CLAIM_AGAIN = (
    "WITH t AS MATERIALIZED (SELECT id, 1 AS k, 1 AS n FROM tuneful.trial WHERE id = %(id)s AND state = 0 "
    f"AND begun > 0 AND attempt = %(attempt)s - 1 {_LOCKED}), {_BUMPED} "
    "UPDATE tuneful.trial x SET state = 1, rev = h.rev, "
    f"attempt = x.attempt + 1, past = {_STARTED_AGAIN}, {_RUNS} FROM h, t WHERE x.id = t.id RETURNING {QUICK}"
)
CLAIMED = (
    f"SELECT {COLUMNS} FROM tuneful.trial "
    "WHERE state = 1 AND token = %(token)s AND worker IS NOT DISTINCT FROM %(worker)s::text"
)
CLAIM_OF = "SELECT attempt, token FROM tuneful.trial WHERE id = %(id)s AND state = 1 AND token IS NOT NULL"

_UNDER_CLAIM = (
    "WITH t AS MATERIALIZED (SELECT FROM tuneful.trial WHERE id = %(id)s AND token = %(token)s AND state = 1 "
    f"{_LOCKED}), {_BUMPED}"
)
_PROGRESS = (
    "UPDATE tuneful.trial x SET rev = h.rev, step = %(step)s, began = %(began)s, cost = %(cost)s, "
    f"saved_step = %(saved_step)s, saved_attempt = %(saved_attempt)s, "
    f"started = coalesce(x.started, %(started)s), length = coalesce(%(length)s, x.length), proposed = {_PROPOSED}, "
    "config = coalesce(%(config)s::text, x.config), space = %(space)s FROM h WHERE x.id = %(id)s "
    f"RETURNING x.rev, {QUICK}"
)
REPORT = (
    f"{_UNDER_CLAIM}, "
    "gone AS (DELETE FROM tuneful.report WHERE trial = %(id)s AND attempt < %(attempt)s AND step > %(began)s "
    "AND step <> ALL(%(steps)s::bigint[]) AND EXISTS (SELECT FROM h)), "
    "told AS (INSERT INTO tuneful.report (trial, step, study, rev, attempt, metrics) "
    "SELECT %(id)s, u.step, %(study)s, h.rev, %(attempt)s, u.metrics "
    "FROM h, unnest(%(steps)s::bigint[], %(metrics)s::text[]) AS u (step, metrics) "
    "ON CONFLICT (trial, step) DO UPDATE SET rev = excluded.rev, attempt = excluded.attempt, metrics = excluded.metrics"
    f") {_PROGRESS}"
)
TOLD_ALREADY = (
    "SELECT rev FROM tuneful.trial t WHERE id = %(id)s AND token = %(token)s AND state = 1 AND step = %(step)s "
    "AND began = %(began)s AND cost = %(cost)s AND saved_step IS NOT DISTINCT FROM %(saved_step)s::bigint "
    "AND saved_attempt IS NOT DISTINCT FROM %(saved_attempt)s::bigint AND space = %(space)s "
    "AND config = coalesce(%(config)s::text, config) AND cardinality(%(steps)s::bigint[]) = (SELECT count(*) "
    "FROM tuneful.report r JOIN unnest(%(steps)s::bigint[], %(metrics)s::text[]) AS u (step, metrics) "
    "ON r.trial = t.id AND r.step = u.step AND r.metrics = u.metrics WHERE r.attempt = %(attempt)s)"
)

_END = (
    "UPDATE tuneful.trial x SET state = %(state)s, rev = h.rev, "
    "ended = CASE WHEN %(state)s >= 3 THEN h.rev ELSE 0 END, metrics = %(metrics)s, error = %(error)s, "
    "curve = %(curve)s, revs = %(revs)s, step = %(step)s, cost = %(cost)s, "
    "started = coalesce(x.started, %(started)s), finished = %(finished)s, length = coalesce(%(length)s, x.length), "
    f"settings = %(settings)s, past = {_past(_MOMENT)}, proposed = {_PROPOSED}, "
    "config = coalesce(%(config)s::text, x.config), space = %(space)s, "
    "wish = CASE WHEN %(state)s < 3 THEN x.wish END, worker = NULL, token = NULL, told_by = %(token)s "
    "FROM h WHERE x.id = %(id)s RETURNING x.rev"
)
_ASIDE = (
    "INSERT INTO tuneful.attempt (trial, attempt, token, worker, why, ended, metrics, error) "
    f"SELECT %(id)s, %(attempt)s, %(token)s, %(worker)s::text, %(why)s, {NOW}, %(metrics)s, %(error)s"
)
_ONCE = "ON CONFLICT DO NOTHING"
# What was reported of a trial that is over is in its curve.
_ENDS = (
    f"{_UNDER_CLAIM}, "
    "gone AS (DELETE FROM tuneful.report WHERE trial = %(id)s AND %(state)s >= 3 AND EXISTS (SELECT FROM h))"
)
FINISH = f"{_ENDS} {_END}, {QUICK}"
# The same, with an end to remember.
FINISH_ASIDE = f"{_ENDS}, kept AS ({_ASIDE} FROM h {_ONCE}) {_END}, {QUICK}"
# What has become of a trial that is told under a claim that does not count.
TOLD = f"SELECT rev, told_by, state, finished, attempt FROM tuneful.trial WHERE id = %(id)s {_LOCKED}"
END_LOCKED = f"WITH h AS (UPDATE tuneful.head SET rev = rev + 1 WHERE study = %(study)s RETURNING rev) {_END}"
SET_ASIDE = f"{_ASIDE} {_ONCE}"
FORGET_REPORTS = "DELETE FROM tuneful.report WHERE trial = ANY(%(ids)s::bigint[])"

WISH = (
    "WITH t AS MATERIALIZED (SELECT FROM tuneful.trial WHERE id = %(id)s AND state < 3 "
    f"{_LOCKED}), {_BUMPED} UPDATE tuneful.trial x SET wish = %(wish)s, rev = h.rev FROM h WHERE x.id = %(id)s "
    f"RETURNING x.rev, {QUICK}"
)
WISHED = "SELECT rev FROM tuneful.trial WHERE id = %(id)s AND state < 3 AND wish IS NOT DISTINCT FROM %(wish)s::text"
WISH_ALL = "UPDATE tuneful.head SET wish = %(wish)s WHERE study = %(study)s RETURNING rev"
OPEN_TRIALS = (
    "SELECT id FROM tuneful.trial WHERE study = %(study)s AND id >= %(first)s AND id <= %(last)s AND state < 3 "
    f"ORDER BY id {_LOCKED}"
)
PAUSED = f"SELECT id FROM tuneful.trial WHERE study = %(study)s AND state = 2 ORDER BY id {_LOCKED}"
REPORTED = (
    "SELECT trial, step, rev, metrics FROM tuneful.report WHERE trial = ANY(%(ids)s::bigint[]) ORDER BY trial, step"
)
# Ends that no worker told: with what was reported until then.
FOLD = (
    "UPDATE tuneful.trial x SET state = %(state)s, rev = f.rev, ended = f.rev, "
    f"error = coalesce(%(error)s::text, x.error), finished = {NOW}, metrics = f.metrics, curve = f.curve, "
    "revs = f.revs, wish = NULL, worker = NULL, token = NULL "
    "FROM unnest(%(ids)s::bigint[], %(at)s::bigint[], %(metrics)s::text[], %(curves)s::text[], %(known)s::text[]) "
    "AS f (id, rev, metrics, curve, revs) WHERE x.id = f.id"
)
CANCELLED = "SELECT count(*) FROM tuneful.trial WHERE id = ANY(%(ids)s::bigint[]) AND state = 6"

LEAD = (
    "UPDATE tuneful.head h SET leader = %(worker)s WHERE study = %(study)s AND (leader IS NULL OR "
    f"NOT EXISTS (SELECT FROM tuneful.worker w WHERE w.id = h.leader)) RETURNING {QUICK}"
)
RESIGN = f"UPDATE tuneful.head SET leader = NULL WHERE study = %(study)s AND leader = %(worker)s RETURNING {QUICK}"
# One row without a trial, if the worker runs none.
ORDERS = (
    "SELECT h.wish, w.id, t.number, t.wish FROM tuneful.head h LEFT JOIN tuneful.worker w ON w.id = h.leader "
    "LEFT JOIN tuneful.trial t ON t.worker = %(worker)s AND t.state = 1 AND t.study = h.study "
    "WHERE h.study = %(study)s ORDER BY t.number"
)
MEMBERS = (
    f"SELECT w.id, w.host, w.pid, w.version, w.lease_until - {NOW}, f.name, w.wants, s.name, t.number "
    "FROM tuneful.worker w LEFT JOIN tuneful.study f ON f.id = w.study "
    "LEFT JOIN tuneful.trial t ON t.worker = w.id AND t.state = 1 LEFT JOIN tuneful.study s ON s.id = t.study "
    "ORDER BY w.slot, t.id"
)
ELSEWHERE = (
    "SELECT EXISTS (SELECT FROM tuneful.trial WHERE study = %(study)s AND state = 1 AND worker IS NOT NULL "
    "AND worker IS DISTINCT FROM %(worker)s::text)"
)
BEAT = f"UPDATE tuneful.worker SET lease_until = {NOW} + %(seconds)s WHERE id = %(worker)s RETURNING slot, {QUICK}"
WANT = f"UPDATE tuneful.worker SET study = %(study)s, wants = %(n)s WHERE id = %(worker)s RETURNING slot, {QUICK}"
REGISTER = (
    "INSERT INTO tuneful.worker (id, host, pid, version, lease_until) "
    f"VALUES (%(worker)s, %(host)s, %(pid)s, %(version)s, {NOW} + %(seconds)s) "
    f"ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until RETURNING slot, {QUICK}"
)
WORKERS = f"SELECT id, slot, host, pid, lease_until < {NOW} FROM tuneful.worker"
# Still, and not by another process at the same time: it may have beaten just now.
STILL_SILENT = (
    f"SELECT 1 FROM tuneful.worker WHERE slot = %(slot)s AND (%(gone)s OR lease_until < {NOW}) FOR UPDATE SKIP LOCKED"
)
LOCK_WORKER = "SELECT 1 FROM tuneful.worker WHERE slot = %(slot)s FOR UPDATE"
# Where a trial stands; NULL without a checkpoint. One that advances may lose any number of workers.
_STANDS = "('{\"saved_step\":' || t.saved_step || '}')"
RUN_BY = (
    "SELECT t.id, t.study, t.attempt, t.token, (SELECT count(*) FROM tuneful.attempt a WHERE a.trial = t.id "
    f"AND a.why = 'lost' AND a.metrics IS NOT DISTINCT FROM {_STANDS} AND a.attempt <> t.attempt), {_STANDS}, "
    "t.started "
    f"FROM tuneful.trial t WHERE t.worker = %(worker)s AND t.state = 1 ORDER BY t.id {_LOCKED} OF t"
)
UNDER_TOKENS = (
    "SELECT t.id, t.study, t.attempt, t.token, 0, NULL, t.started FROM tuneful.trial t "
    f"WHERE t.state = 1 AND t.token = ANY(%(tokens)s::text[]) ORDER BY t.id {_LOCKED} OF t"
)
# One that has arrived where another decision is due is paused.
_STOOD = "CASE WHEN x.until <= x.saved_step AND x.saved_step < coalesce(x.length, x.saved_step + 1) THEN 2 ELSE 0 END"
_STOOD_TEXT = f"' || {_STOOD} || '"
BACK = (
    f"WITH h AS (UPDATE tuneful.head SET rev = rev + 1 WHERE study = %(study)s RETURNING rev) "
    f"UPDATE tuneful.trial x SET state = {_STOOD}, rev = h.rev, "
    f"past = {_past(_STORED.format(rev='h.rev', state=_STOOD_TEXT, more=0))}, worker = NULL, "
    "token = NULL FROM h WHERE x.id = %(id)s"
)
UNCLAIMED = checking.UNCLAIMED.replace("trial t", "tuneful.trial t").replace("study s", "tuneful.study s")
_OF_STUDIES = {"head": "study", "space": "study", "trial": "study", "report": "study", "attempt": "trial >> 40"}
ORPHANS = " UNION ALL ".join(
    f"SELECT '{table}', count(*) FROM tuneful.{table} x WHERE NOT EXISTS ("
    f"SELECT FROM tuneful.study s WHERE s.id = x.{study})"
    for table, study in _OF_STUDIES.items()
)
UNREGISTER = "DELETE FROM tuneful.worker WHERE slot = %(slot)s"

# Trials are locked before the head, and those that come in between are deleted as well.
DELETE = (
    "SELECT set_config('statement_timeout', '0', true)",
    f"SELECT FROM tuneful.trial WHERE study = %(study)s ORDER BY id {_LOCKED}",
    "DELETE FROM tuneful.head WHERE study = %(study)s",
    "DELETE FROM tuneful.report WHERE study = %(study)s",
    "DELETE FROM tuneful.attempt WHERE trial >= %(first)s AND trial < %(end)s",
    "DELETE FROM tuneful.trial WHERE study = %(study)s",
    "DELETE FROM tuneful.space WHERE study = %(study)s",
    "DELETE FROM tuneful.study WHERE id = %(study)s",
)
