"""The sweep: one function inside the server, one round trip, which writes nothing when there is nothing to do."""

from __future__ import annotations

from headrace.adapters.postgres._task_ending import CANCELLED, EXPIRED
from headrace.adapters.postgres._task_readying import PLANNING, WAIT_FOR_DISK
from headrace.model.task import MAX_LEASE_SECONDS

AT_ONCE = 1000
GRACE = 1_000_000
"""µs after which a lease that ran out is ended: so far the clocks of machines may be apart."""
_STOP = 30_000_000  # µs that a task which was asked to stop has for that
_MENDED = 100  # keys at a time
_LONGEST = int(MAX_LEASE_SECONDS * 1_000_000) + GRACE

_FREE = f"""
    CREATE FUNCTION headrace_tasks_free(p_holder text, p_now bigint) RETURNS integer LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE ids uuid[]; leases bigint[];
    BEGIN
        {WAIT_FOR_DISK};
        SELECT array_agg(id ORDER BY id), array_agg(lease ORDER BY id) INTO ids, leases
        FROM task_leases WHERE holder = p_holder;
        IF ids IS NULL THEN RETURN 0; END IF;
        PERFORM headrace_tasks_expire(p_now, ids, leases, {EXPIRED});
        RETURN cardinality(ids);
    END $$
"""
_EXPIRE = f"""
    CREATE FUNCTION headrace_tasks_expire(p_now bigint, p_ids uuid[], p_leases bigint[], p_ending integer)
    RETURNS SETOF task_live LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE
        said text := CASE p_ending WHEN {EXPIRED} THEN 'its lease ran out' ELSE 'it did not stop when asked to' END;
        n integer := cardinality(p_ids);
    BEGIN
        IF p_ids IS NULL THEN RETURN; END IF;
        RETURN QUERY SELECT * FROM headrace_tasks_finish(
            p_now, p_ids, p_leases, array_fill(p_ending::smallint, ARRAY[n]), array_fill(NULL::bytea, ARRAY[n]),
            array_fill(said, ARRAY[n]), array_fill(NULL::bigint, ARRAY[n]),
            array_fill(chr(31) || said || chr(31), ARRAY[n])
        );
    END $$
"""
# Those that are due, each into its lane, or behind another one of its key.
_DUE = f"""
    CREATE FUNCTION headrace_tasks_due(p_now bigint, due uuid[]) RETURNS integer LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE types text[]; queues text[]; owners text[]; attempts integer[];
    BEGIN
        SELECT array_agg(id), array_agg(type), array_agg(queue), array_agg(owner), array_agg(attempt)
        INTO due, types, queues, owners, attempts FROM (
            SELECT * FROM tasks WHERE id = ANY (due) AND state = 0 AND run_at <= p_now ORDER BY id
            FOR UPDATE SKIP LOCKED
        ) AS t;
        IF due IS NULL THEN RETURN 0; END IF;
        PERFORM headrace_tasks_ready(due);
        PERFORM headrace_tasks_note(
            p_now, due, types, queues, owners, array_fill(0::smallint, ARRAY[cardinality(due)]),
            array_fill(1::smallint, ARRAY[cardinality(due)]), attempts, NULL
        );
        RETURN cardinality(due);
    END $$
"""
_FOLD = f"""
    CREATE FUNCTION headrace_tasks_fold() RETURNS void LANGUAGE plpgsql {PLANNING} AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM task_count_changes) OR NOT pg_try_advisory_xact_lock({0x7461736B5F666F6C}) THEN
            RETURN;
        END IF;
        WITH taken AS (DELETE FROM task_count_changes RETURNING *)
        INSERT INTO task_counts AS old (number, status, owner, queue, type)
        SELECT sum(number), status, owner, queue, type FROM taken GROUP BY 2, 3, 4, 5
        ON CONFLICT (owner, queue, type, status) DO UPDATE SET number = old.number + excluded.number;
    END $$
"""
# What is done now and then: lanes that are empty go (but for those that somebody counts on at this moment), floors of
# another server, sums of nothing, and keys whose next task nobody let go.
_TIDY = f"""
    CREATE FUNCTION headrace_tasks_tidy() RETURNS integer LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE
        empty bigint[]; owners text[]; keys text[]; let_go integer := 0;
        horizon bigint := pg_snapshot_xmin(pg_current_snapshot())::text;
    BEGIN
        SELECT array_agg(owner), array_agg(concurrency_key) INTO owners, keys FROM (
            SELECT DISTINCT owner, concurrency_key FROM tasks b WHERE state = 2 AND NOT EXISTS (
                SELECT FROM tasks o WHERE o.owner = b.owner AND o.concurrency_key = b.concurrency_key AND o.state = 1
                    AND o.queue = b.queue AND o.type = b.type
            ) AND NOT EXISTS (
                SELECT FROM task_leases l
                WHERE l.key_lock = hashtextextended(b.owner || chr(31) || b.concurrency_key, 6)
            ) LIMIT {_MENDED}
        ) AS stuck;
        IF owners IS NOT NULL THEN
            PERFORM pg_advisory_xact_lock(key) FROM (
                SELECT DISTINCT hashtextextended(owner || chr(31) || key, 6) AS key
                FROM unnest(owners, keys) AS k (owner, key) ORDER BY 1
            ) AS locks;
            let_go := headrace_tasks_promote(owners, keys);
        END IF;
        UPDATE task_lanes SET floor_rank = 0 WHERE floor_rank > horizon;
        SELECT array_agg(lane) INTO empty FROM (
            SELECT lane FROM task_lanes l WHERE (
                SELECT true FROM task_ready r
                WHERE r.lane = l.lane AND (r.rank, r.id) >= (l.floor_rank, l.floor_id) LIMIT 1
            ) IS NULL FOR UPDATE SKIP LOCKED
        ) AS l;
        DELETE FROM task_lanes l WHERE lane = ANY (empty) AND (
            SELECT true FROM task_ready r
            WHERE r.lane = l.lane AND (r.rank, r.id) >= (l.floor_rank, l.floor_id) LIMIT 1
        ) IS NULL;
        DELETE FROM task_counts WHERE number = 0;
        RETURN let_go;
    END $$
"""
# All keys are locked before any row, and no row is waited for.
_SWEEP = f"""
    CREATE FUNCTION headrace_tasks_sweep(
        p_now bigint, p_patience bigint, OUT due integer, OUT expired integer, OUT ended uuid[], OUT next_at bigint,
        OUT more boolean
    ) LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE
        coming uuid[]; late uuid[]; stopping uuid[]; leases bigint[]; stopped uuid[];
        past bigint := p_now - {GRACE} - p_patience;
    BEGIN
        {WAIT_FOR_DISK};
        UPDATE task_leases l SET leased_until = p_now + {_LONGEST} FROM (
            SELECT id FROM task_leases WHERE id = ANY (ARRAY(
                SELECT l.id FROM task_queues q JOIN task_leases l ON l.queue = q.name
                WHERE l.leased_until > p_now + {_LONGEST} LIMIT {AT_ONCE}
            )) ORDER BY id FOR UPDATE SKIP LOCKED
        ) AS t WHERE l.id = t.id;
        SELECT array_agg(id) INTO coming
        FROM (SELECT id FROM tasks WHERE state = 0 AND run_at <= p_now ORDER BY run_at, id LIMIT {AT_ONCE}) AS t;
        SELECT array_agg(id) INTO late FROM (
            SELECT l.id FROM task_queues q CROSS JOIN LATERAL (
                SELECT id FROM task_leases
                WHERE queue = q.name AND leased_until <= past ORDER BY leased_until LIMIT {AT_ONCE}
            ) AS l LIMIT {AT_ONCE}
        ) AS l;
        SELECT array_agg(id) INTO stopping
        FROM (SELECT id FROM task_leases WHERE cancelled_at <= p_now - {_STOP} LIMIT {AT_ONCE}) AS l;
        due := 0; expired := 0; ended := '{{}}';
        more := {AT_ONCE} IN (cardinality(coming), cardinality(late), cardinality(stopping)) IS TRUE;
        PERFORM headrace_tasks_lock_keys(coming || late || stopping) WHERE (coming || late || stopping) <> '{{}}';
        IF late IS NOT NULL THEN
            SELECT array_agg(id), array_agg(lease) INTO late, leases FROM (
                SELECT id, lease FROM task_leases WHERE id = ANY (late) AND leased_until <= past
                ORDER BY id FOR UPDATE SKIP LOCKED
            ) AS l;
            expired := coalesce(cardinality(late), 0);
            ended := ended || ARRAY(
                SELECT id FROM headrace_tasks_expire(p_now, late, leases, {EXPIRED}) WHERE status > 2
            );
        END IF;
        IF stopping IS NOT NULL THEN
            SELECT array_agg(id), array_agg(lease) INTO stopping, leases FROM (
                SELECT id, lease FROM task_leases WHERE id = ANY (stopping) ORDER BY id FOR UPDATE SKIP LOCKED
            ) AS l;
            ended := ended || ARRAY(SELECT id FROM headrace_tasks_expire(p_now, stopping, leases, {CANCELLED}));
        END IF;
        IF coming IS NOT NULL THEN due := headrace_tasks_due(p_now, coming); END IF;
        PERFORM headrace_tasks_fold();
        SELECT least(
            (SELECT run_at FROM tasks WHERE state = 0 ORDER BY run_at, id LIMIT 1),
            (SELECT min(until) + {GRACE} + p_patience FROM task_queues q CROSS JOIN LATERAL (
                SELECT leased_until AS until FROM task_leases WHERE queue = q.name ORDER BY leased_until LIMIT 1
            ) AS l),
            (SELECT min(cancelled_at) + {_STOP} FROM task_leases WHERE cancelled_at IS NOT NULL)
        ) INTO next_at;
    END $$
"""
SWEEPING = (_EXPIRE, _FREE, _DUE, _FOLD, _TIDY, _SWEEP)

SWEEP = "SELECT due, expired, ended, next_at, more FROM headrace_tasks_sweep(%b, %b)"
FREE = "SELECT headrace_tasks_free(%b, %b)"
TIDY = "SELECT headrace_tasks_tidy()"
