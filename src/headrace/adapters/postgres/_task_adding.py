"""Adding tasks: one function inside the server, one round trip."""

from __future__ import annotations

from headrace.adapters.postgres._task_readying import PLANNING, WAIT_FOR_DISK

# Tasks in the order of their ids; `p_groups` says for each where in the arrays `p_g_…` that lies which it shares with
# others. Those whose id or idempotency key is there already come back, with the first one's id and fingerprint.
_ADD = f"""
    CREATE FUNCTION headrace_tasks_add(
        p_now bigint, p_ids uuid[], p_created bigint[], p_groups integer[], p_args bytea[], p_search text[],
        p_run_at bigint[], p_concurrency_keys text[], p_keys text[], p_fingerprints bytea[], p_order integer[],
        p_g_types text[], p_g_owners text[], p_g_queues text[], p_g_priorities smallint[], p_g_attempts integer[],
        p_g_timeouts double precision[], p_g_retries bytea[], p_g_urls text[]
    ) RETURNS TABLE (given uuid, there uuid, fingerprint bytea) LANGUAGE plpgsql {PLANNING} AS $$
    #variable_conflict use_column
    DECLARE
        lanes bigint[]; left_out uuid[] := '{{}}'; repeated uuid[];
        ids uuid[]; types text[]; queues text[]; owners text[]; statuses smallint[];
    BEGIN
        {WAIT_FOR_DISK};
        IF p_keys IS NOT NULL THEN
            INSERT INTO task_keys (owner, key, id, fingerprint)
            SELECT p_g_owners[t.g], t.key, t.id, t.fingerprint
            FROM unnest(p_ids, p_groups, p_keys, p_fingerprints, p_order) AS t (id, g, key, fingerprint, n)
            WHERE t.key IS NOT NULL ORDER BY p_g_owners[t.g], t.key, t.n
            ON CONFLICT DO NOTHING;
            RETURN QUERY SELECT t.id, k.id, k.fingerprint
            FROM unnest(p_ids, p_groups, p_keys) AS t (id, g, key)
            JOIN task_keys k ON k.owner = p_g_owners[t.g] AND k.key = t.key WHERE k.id <> t.id;
            SELECT coalesce(array_agg(t.id), '{{}}') INTO left_out
            FROM unnest(p_ids, p_groups, p_keys) AS t (id, g, key)
            JOIN task_keys k ON k.owner = p_g_owners[t.g] AND k.key = t.key WHERE k.id <> t.id;
        END IF;
        IF p_concurrency_keys IS NOT NULL THEN
            PERFORM pg_advisory_xact_lock(lock) FROM (
                SELECT DISTINCT hashtextextended(p_g_owners[t.g] || chr(31) || t.key, 6) AS lock
                FROM unnest(p_groups, p_concurrency_keys) AS t (g, key) WHERE t.key IS NOT NULL ORDER BY 1
            ) AS locks;
        END IF;
        INSERT INTO task_queues (name) SELECT DISTINCT unnest(p_g_queues) ORDER BY 1 ON CONFLICT DO NOTHING;
        SELECT array_agg(headrace_task_lane(owner, queue, type, priority, false) ORDER BY n) INTO lanes
        FROM unnest(p_g_owners, p_g_queues, p_g_types, p_g_priorities)
            WITH ORDINALITY AS g (owner, queue, type, priority, n);
        WITH new AS (
            INSERT INTO tasks (
                id, created_at, run_at, timeout, lane, rank, max_attempts, priority, state, type, owner, queue, args,
                search, retry, concurrency_key, idempotency_key, callback_url
            )
            SELECT id, created_at, run_at, p_g_timeouts[g], lanes[g], pg_current_xact_id()::text::bigint,
                p_g_attempts[g], p_g_priorities[g],
                CASE WHEN run_at > p_now THEN 0 WHEN behind THEN 2 ELSE 1 END,
                p_g_types[g], p_g_owners[g], p_g_queues[g], args, search, p_g_retries[g], concurrency_key, key,
                p_g_urls[g]
            FROM (
                SELECT *, concurrency_key IS NOT NULL AND NOT run_at > p_now IS TRUE AND (
                    row_number() OVER (
                        PARTITION BY p_g_owners[g], concurrency_key, p_g_queues[g], p_g_types[g],
                            run_at > p_now IS TRUE
                        ORDER BY p_g_priorities[g] DESC, id
                    ) > 1
                    OR EXISTS (
                        SELECT FROM tasks o
                        WHERE o.owner = p_g_owners[t.g] AND o.concurrency_key = t.concurrency_key AND o.state = 1
                            AND o.queue = p_g_queues[t.g] AND o.type = p_g_types[t.g]
                    )
                ) AS behind
                FROM unnest(p_ids, p_created, p_groups, p_args, p_search, p_run_at, p_concurrency_keys, p_keys)
                    AS t (id, created_at, g, args, search, run_at, concurrency_key, key)
                WHERE id <> ALL (left_out)
            ) AS t
            ORDER BY id
            ON CONFLICT (id) DO NOTHING
            RETURNING id, type, queue, owner, state, lane, rank
        ), put AS (
            INSERT INTO task_ready (lane, rank, id) SELECT lane, rank, id FROM new WHERE state = 1
        )
        SELECT array_agg(id), array_agg(type), array_agg(queue), array_agg(owner),
            array_agg(least(state, 1)::smallint)
        INTO ids, types, queues, owners, statuses FROM new;
        -- Looked for afterwards: while we waited for the id, the one before us may have ended and moved there.
        SELECT array_agg(id) INTO repeated FROM task_history WHERE id = ANY (ids);
        IF repeated IS NOT NULL THEN
            DELETE FROM task_ready r USING tasks t
            WHERE t.id = ANY (repeated) AND r.lane = t.lane AND r.rank = t.rank AND r.id = t.id;
            DELETE FROM tasks WHERE id = ANY (repeated);
            SELECT array_agg(n.id), array_agg(n.type), array_agg(n.queue), array_agg(n.owner), array_agg(n.status)
            INTO ids, types, queues, owners, statuses
            FROM unnest(ids, types, queues, owners, statuses) AS n (id, type, queue, owner, status)
            WHERE n.id <> ALL (repeated);
        END IF;
        IF ids IS NOT NULL THEN
            PERFORM headrace_tasks_note(
                p_now, ids, types, queues, owners, NULL, statuses, array_fill(0, ARRAY[cardinality(ids)]), NULL
            );
        END IF;
        IF coalesce(cardinality(ids), 0) + cardinality(left_out) < cardinality(p_ids) THEN
            RETURN QUERY SELECT t.id, t.id, k.fingerprint
            FROM unnest(p_ids) AS t (id) LEFT JOIN task_keys k ON k.id = t.id
            WHERE t.id <> ALL (left_out) AND t.id <> ALL (coalesce(ids, '{{}}'));
        END IF;
    END $$
"""
ADDING = (_ADD,)

ADD = f"SELECT * FROM headrace_tasks_add({', '.join(['%b'] * 19)})"
