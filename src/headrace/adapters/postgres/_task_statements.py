"""The plain statements on the tables of tasks: queues, counts, callbacks, the journal, and what is purged."""

from __future__ import annotations

from headrace.adapters.postgres._queue_tables import WAITS_FOR_DISK
from headrace.adapters.postgres._task_claiming import COLUMNS

# What moves nothing but a mark that may come again: what a crash undoes is done once more.
_NO_WAIT = "(SELECT set_config('synchronous_commit', 'off', true)) = 'off'"

_CHANGES_AND_SUMS = """(
    SELECT number, status, owner, queue, type FROM task_counts
    UNION ALL SELECT number, status, owner, queue, type FROM task_count_changes
) AS counted"""
COUNTS = f"""
    SELECT type, status, sum(number)::bigint FROM {_CHANGES_AND_SUMS}
    WHERE %(owner)s::text IS NULL OR owner = %(owner)s
    GROUP BY type, status HAVING sum(number) > 0 ORDER BY type, status
"""
# The oldest that waits is the first of its lane, or behind another one of its key.
QUEUES = f"""
    SELECT q.name, q.paused, q.concurrency, q.rate_limit, coalesce(c.queued, 0), coalesce(c.scheduled, 0),
        coalesce(c.running, 0), (
            SELECT min(created_at) FROM (
                SELECT t.created_at FROM task_lanes l CROSS JOIN LATERAL (
                    SELECT r.id FROM task_ready r
                    WHERE r.lane = l.lane AND (r.rank, r.id) >= (l.floor_rank, l.floor_id)
                    ORDER BY r.rank, r.id LIMIT 1
                ) AS first JOIN tasks t ON t.id = first.id
                WHERE l.queue = q.name AND (%(owner)s::text IS NULL OR l.owner = %(owner)s)
                UNION ALL
                (SELECT created_at FROM tasks
                WHERE queue = q.name AND state = 2 AND (%(owner)s::text IS NULL OR owner = %(owner)s)
                ORDER BY id LIMIT 1)
            ) AS waiting
        )
    FROM task_queues q LEFT JOIN (
        SELECT queue, sum(number) FILTER (WHERE status = 1)::bigint AS queued,
            sum(number) FILTER (WHERE status = 0)::bigint AS scheduled,
            sum(number) FILTER (WHERE status = 2)::bigint AS running
        FROM {_CHANGES_AND_SUMS} WHERE status < 3 AND (%(owner)s::text IS NULL OR owner = %(owner)s) GROUP BY queue
    ) AS c ON c.queue = q.name
    WHERE %(name)s::text IS NULL OR q.name = %(name)s
    ORDER BY q.name
"""
CHANGE_QUEUE = f"""
    INSERT INTO task_queues AS old (name, paused, concurrency, rate_limit)
    SELECT %(name)s::text, coalesce(%(paused)s::boolean, false), %(concurrency)s::integer, %(rate_limit)s::float8
    WHERE {WAITS_FOR_DISK}
    ON CONFLICT (name) DO UPDATE SET paused = coalesce(%(paused)s::boolean, old.paused),
        concurrency = CASE WHEN %(sets_concurrency)s THEN excluded.concurrency ELSE old.concurrency END,
        rate_limit = CASE WHEN %(sets_rate)s THEN excluded.rate_limit ELSE old.rate_limit END,
        tokens = CASE WHEN %(sets_rate)s AND old.rate_limit IS NULL THEN NULL ELSE old.tokens END
"""
CALLBACKS = f"""
    SELECT {COLUMNS} FROM task_past
    WHERE id IN (SELECT id FROM task_history WHERE callback_due ORDER BY id LIMIT %(limit)s) ORDER BY id
"""
CALLED_BACK = f"""
    UPDATE task_history h SET callback_due = false
    FROM (SELECT id FROM task_history WHERE id = ANY (%(ids)b) AND callback_due ORDER BY id FOR UPDATE) AS due
    WHERE h.id = due.id AND {WAITS_FOR_DISK}
"""
LOG = f"""
    INSERT INTO task_journal (time, number, first_id, lines)
    SELECT %(time)b, %(number)b, headrace_task_event_id(%(time)b), %(lines)b WHERE {WAITS_FOR_DISK}
"""
JOURNAL = """
    SELECT seq, time, number, first_id, ids, types, queues, owners, statuses, attempts, details, lines
    FROM task_journal ORDER BY seq LIMIT %(limit)s
"""
FORWARDED = f"DELETE FROM task_journal WHERE seq = ANY (%(seqs)s) AND {_NO_WAIT}"

# Some of what ended before a time, with its keys and its part of the counts.
PURGE = f"""
    WITH old AS MATERIALIZED (
        SELECT tableoid, ctid FROM {{table}}
        WHERE finished_at < %(before)b AND {WAITS_FOR_DISK} LIMIT %(limit)b FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {{table}} h USING old WHERE h.ctid = old.ctid AND h.tableoid = old.tableoid
        RETURNING h.id, h.status, h.owner, h.queue, h.type, h.idempotency_key
    ), keys AS (
        DELETE FROM task_keys k USING gone g WHERE g.idempotency_key IS NOT NULL AND k.id = g.id
    ), noted AS (
        INSERT INTO task_count_changes (number, status, owner, queue, type)
        SELECT -count(*), status, owner, queue, type FROM gone GROUP BY 2, 3, 4, 5
    )
    SELECT count(*) FROM gone
"""
ROWS_ABOUT = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)"
