"""Functions inside the server that the others call: how a task comes to wait in a lane, and what is noted of changes.

Every lock is taken in one order, so that nobody waits in a ring: keys (advisory), queues, leases, tasks, lanes; within
each by its own order.
"""

from __future__ import annotations

# The functions find few rows by their keys, whatever the tables held when they were planned: plans that suit an empty
# table (and statistics of one) would read a full one from end to end.
PLANNING = """SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET jit = off"""

# A commit that is not flushed is no commit of ours, whatever the server's default; stronger ones stay.
WAIT_FOR_DISK = """PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') = 'off'"""

TYPE_AND_ARGS = "split_part(search, chr(31), 1) || chr(31) || split_part(search, chr(31), 2) || chr(31)"
"""Of `search`: its first parts. What follows is of the result and the error, if there are any."""

KEY_LOCK = "hashtextextended(owner || chr(31) || concurrency_key, 6)"

# Finds a lane, or makes it. One that somebody counts on stays: whoever takes empty ones away passes over locked ones.
_LANE = """
    CREATE FUNCTION headrace_task_lane(p_owner text, p_queue text, p_type text, p_priority smallint, p_front boolean)
    RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE found_lane bigint;
    BEGIN
        LOOP
            SELECT lane INTO found_lane FROM task_lanes
            WHERE owner = p_owner AND queue = p_queue AND type = p_type AND priority = p_priority AND front = p_front
            FOR KEY SHARE;
            IF FOUND THEN RETURN found_lane; END IF;
            INSERT INTO task_lanes (owner, queue, type, priority, front)
            VALUES (p_owner, p_queue, p_type, p_priority, p_front)
            ON CONFLICT DO NOTHING RETURNING lane INTO found_lane;
            IF FOUND THEN RETURN found_lane; END IF;
        END LOOP;
    END $$
"""
# Tasks that are locked, in no lane and without a lease: each into its lane, or behind another of its key. The caller
# has the locks of their keys. Those that waited before go before new ones. How many are ready.
_READY = f"""
    CREATE FUNCTION headrace_tasks_ready(p_ids uuid[]) RETURNS integer LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE ready integer;
    BEGIN
        UPDATE tasks SET state = 2  -- so that none is in its own way
        WHERE id = ANY (p_ids) AND state = 1 AND concurrency_key IS NOT NULL;
        WITH given AS MATERIALIZED (
            SELECT id, owner, queue, type, priority, concurrency_key, concurrency_key IS NULL OR (
                row_number() OVER (PARTITION BY owner, concurrency_key, queue, type ORDER BY priority DESC, id) = 1
                AND NOT EXISTS (
                    SELECT FROM tasks o
                    WHERE o.owner = t.owner AND o.concurrency_key = t.concurrency_key AND o.state = 1
                        AND o.queue = t.queue AND o.type = t.type
                )
            ) AS first
            FROM tasks t WHERE id = ANY (p_ids)
        ), lanes AS MATERIALIZED (
            SELECT owner, queue, type, priority, headrace_task_lane(owner, queue, type, priority, true) AS lane
            FROM (SELECT DISTINCT owner, queue, type, priority FROM given WHERE first ORDER BY 1, 2, 3, 4) AS g
        ), moved AS (
            UPDATE tasks t SET state = CASE WHEN g.first THEN 1 ELSE 2 END, lane = l.lane,
                rank = CASE WHEN g.first THEN pg_current_xact_id()::text::bigint END
            FROM given g LEFT JOIN lanes l USING (owner, queue, type, priority)
            WHERE t.id = g.id
            RETURNING t.id, t.state, t.lane, t.rank
        ), put AS (
            INSERT INTO task_ready (lane, rank, id) SELECT lane, rank, id FROM moved WHERE state = 1 RETURNING id
        )
        SELECT count(*) INTO ready FROM put;
        RETURN ready;
    END $$
"""
# Of each of these keys, whose lock the caller has, the next of each queue and type may run. How many are ready.
_PROMOTE = f"""
    CREATE FUNCTION headrace_tasks_promote(p_owners text[], p_keys text[]) RETURNS integer
    LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE next uuid[];
    BEGIN
        SELECT array_agg(b.id) INTO next
        FROM (SELECT DISTINCT owner, key FROM unnest(p_owners, p_keys) AS k (owner, key) WHERE key IS NOT NULL) AS k
        CROSS JOIN LATERAL (
            WITH RECURSIVE firsts AS (
                (SELECT id, queue, type FROM tasks
                WHERE owner = k.owner AND concurrency_key = k.key AND state = 2
                ORDER BY queue, type, priority DESC, id LIMIT 1)
                UNION ALL
                SELECT n.* FROM firsts f CROSS JOIN LATERAL (
                    SELECT id, queue, type FROM tasks
                    WHERE owner = k.owner AND concurrency_key = k.key AND state = 2
                        AND (queue, type) > (f.queue, f.type)
                    ORDER BY queue, type, priority DESC, id LIMIT 1
                ) AS n
            )
            SELECT id FROM firsts
        ) AS b;
        IF next IS NULL THEN RETURN 0; END IF;
        PERFORM FROM tasks WHERE id = ANY (next) ORDER BY id FOR UPDATE;
        RETURN headrace_tasks_ready(next);
    END $$
"""
# The locks of the keys of these tasks, to be held to the commit.
_LOCK_KEYS = f"""
    CREATE FUNCTION headrace_tasks_lock_keys(p_ids uuid[]) RETURNS void LANGUAGE plpgsql {PLANNING} AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(key) FROM (
            SELECT DISTINCT {KEY_LOCK} AS key FROM (
                SELECT owner, concurrency_key FROM tasks WHERE id = ANY (p_ids) AND concurrency_key IS NOT NULL
                UNION ALL
                SELECT owner, concurrency_key FROM task_history WHERE id = ANY (p_ids) AND concurrency_key IS NOT NULL
            ) AS both_tables ORDER BY 1
        ) AS keys;
    END $$
"""
# One entry of the journal, and the change of the counts. `before`: NULL for new tasks; `after`: NULL for those that go.
# The ids of the events begin with a UUIDv7 that has room to count up (kit/ids).
_NOTE = f"""
    CREATE FUNCTION headrace_tasks_note(
        p_now bigint, p_ids uuid[], p_types text[], p_queues text[], p_owners text[], p_before smallint[],
        p_after smallint[], p_attempts integer[], p_details text[]
    ) RETURNS void LANGUAGE plpgsql {PLANNING} AS $$
    BEGIN
        IF p_ids IS NULL THEN RETURN; END IF;
        INSERT INTO task_count_changes (number, status, owner, queue, type)
        SELECT sum(number), status, owner, queue, type FROM (
            SELECT -1 AS number, before AS status, owner, queue, type
            FROM unnest(p_before, p_owners, p_queues, p_types) AS b (before, owner, queue, type)
            UNION ALL
            SELECT 1, after, owner, queue, type
            FROM unnest(p_after, p_owners, p_queues, p_types) AS a (after, owner, queue, type)
        ) AS changes
        WHERE status IS NOT NULL GROUP BY status, owner, queue, type HAVING sum(number) <> 0;
        IF p_after IS NULL THEN RETURN; END IF;
        INSERT INTO task_journal (time, number, first_id, ids, types, queues, owners, statuses, attempts, details)
        SELECT p_now, cardinality(p_ids), headrace_task_event_id(p_now), p_ids, p_types, p_queues, p_owners, p_after,
            p_attempts, p_details;
    END $$
"""
_EVENT_ID = """
    CREATE FUNCTION headrace_task_event_id(p_now bigint) RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT (lpad(to_hex(p_now / 1000), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 3) || '0'
            || substr(h, 21, 11))::uuid
        FROM (SELECT replace(gen_random_uuid()::text, '-', '') AS h) AS random
    $$
"""

READYING = (_LANE, _READY, _PROMOTE, _LOCK_KEYS, _EVENT_ID, _NOTE)
