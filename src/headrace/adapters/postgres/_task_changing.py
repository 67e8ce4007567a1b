"""What people do with tasks: change, cancel, retry, delete. Functions inside the server, one round trip each.

They lock the queues of the tasks first, as claims do, so that none is claimed meanwhile.
"""

from __future__ import annotations

from headrace.adapters.postgres._task_claiming import COLUMNS
from headrace.adapters.postgres._task_readying import PLANNING, TYPE_AND_ARGS, WAIT_FOR_DISK

# All that may change about tasks: their keys, queues, leases and rows are ours then.
_HOLD = f"""
    CREATE FUNCTION headrace_tasks_hold(p_ids uuid[]) RETURNS void LANGUAGE plpgsql {PLANNING} AS $$
    BEGIN
        {WAIT_FOR_DISK};
        PERFORM headrace_tasks_lock_keys(p_ids);
        PERFORM FROM task_queues WHERE name IN (SELECT queue FROM tasks WHERE id = ANY (p_ids))
        ORDER BY name FOR UPDATE;
        PERFORM FROM task_leases WHERE id = ANY (p_ids) ORDER BY id FOR UPDATE;
        PERFORM FROM tasks WHERE id = ANY (p_ids) ORDER BY id FOR UPDATE;
    END $$
"""
_UNREADY = f"""
    CREATE FUNCTION headrace_tasks_unready(p_ids uuid[]) RETURNS void LANGUAGE plpgsql {PLANNING} AS $$
    BEGIN
        DELETE FROM task_ready r USING tasks t
        WHERE t.id = ANY (p_ids) AND r.lane = t.lane AND r.rank = t.rank AND r.id = t.id;
    END $$
"""
_CHANGE = f"""
    CREATE FUNCTION headrace_tasks_change(
        p_now bigint, p_id uuid, p_args bytea, p_search text, p_priority smallint, p_sets_run_at boolean,
        p_run_at bigint
    ) RETURNS text LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE old tasks; after smallint; ids uuid[] := ARRAY[p_id];
    BEGIN
        PERFORM headrace_tasks_hold(ids);
        SELECT * INTO old FROM tasks WHERE id = p_id;
        IF old.id IS NULL OR EXISTS (SELECT FROM task_leases WHERE id = p_id) THEN
            RETURN (
                SELECT CASE status WHEN 2 THEN 'is running' ELSE 'has ended' END FROM (
                    SELECT status FROM task_live WHERE id = p_id
                    UNION ALL SELECT status FROM task_past WHERE id = p_id
                ) AS t
            );
        END IF;
        after := CASE WHEN p_sets_run_at THEN CASE WHEN p_run_at > p_now THEN 0 ELSE 1 END ELSE least(old.state, 1) END;
        IF after = 0 OR old.state = 0 OR p_priority <> old.priority THEN PERFORM headrace_tasks_unready(ids); END IF;
        IF p_args IS NOT NULL THEN
            UPDATE tasks SET args = p_args,
                search = p_search
                    || CASE WHEN error IS NULL THEN '' ELSE substr(search, length({TYPE_AND_ARGS}) + 1) END
            WHERE id = p_id;
        END IF;
        UPDATE tasks SET priority = coalesce(p_priority, priority),
            run_at = CASE WHEN p_sets_run_at THEN p_run_at ELSE run_at END,
            state = CASE WHEN after = 0 THEN 0 ELSE state END
        WHERE id = p_id;
        IF after = 1 AND (old.state = 0 OR old.state = 1 AND p_priority <> old.priority) THEN
            PERFORM headrace_tasks_ready(ids);
        END IF;
        IF after = 0 AND old.state = 1 THEN
            PERFORM headrace_tasks_promote(ARRAY[old.owner], ARRAY[old.concurrency_key]);
        END IF;
        IF after <> least(old.state, 1) THEN
            PERFORM headrace_tasks_note(p_now, ids, ARRAY[old.type], ARRAY[old.queue], ARRAY[old.owner],
                ARRAY[least(old.state, 1)::smallint], ARRAY[after], ARRAY[old.attempt], NULL);
        END IF;
        RETURN 'changed';
    END $$
"""
_CANCEL = f"""
    CREATE FUNCTION headrace_tasks_cancel(p_now bigint, p_ids uuid[]) RETURNS void LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE
        ids uuid[]; types text[]; queues text[]; owners text[]; before smallint[]; attempts integer[]; keys text[];
    BEGIN
        PERFORM headrace_tasks_hold(p_ids);
        UPDATE task_leases SET cancelled_at = p_now WHERE id = ANY (p_ids) AND cancelled_at IS NULL;
        SELECT array_agg(id ORDER BY id) INTO ids FROM tasks t
        WHERE id = ANY (p_ids) AND NOT EXISTS (SELECT FROM task_leases l WHERE l.id = t.id);
        IF ids IS NULL THEN RETURN; END IF;
        PERFORM headrace_tasks_unready(ids);
        WITH gone AS (
            DELETE FROM tasks WHERE id = ANY (ids) RETURNING *
        ), past AS (
            INSERT INTO task_history (
                id, created_at, run_at, started_at, finished_at, timeout, lease, attempt, max_attempts, priority,
                status, callback_due, type, owner, queue, args, search, retry, concurrency_key, idempotency_key,
                callback_url, error, progress
            )
            SELECT id, created_at, run_at, started_at, p_now, timeout, lease, attempt, max_attempts, priority, 6,
                callback_url IS NOT NULL, type, owner, queue, args,
                search, retry, concurrency_key, idempotency_key,
                callback_url, error, progress
            FROM gone
        )
        SELECT array_agg(id), array_agg(type), array_agg(queue), array_agg(owner), array_agg(least(state, 1)::smallint),
            array_agg(attempt), array_agg(concurrency_key)
        INTO ids, types, queues, owners, before, attempts, keys FROM gone;
        PERFORM headrace_tasks_promote(owners, keys);
        PERFORM headrace_tasks_note(
            p_now, ids, types, queues, owners, before, array_fill(6::smallint, ARRAY[cardinality(ids)]), attempts, NULL
        );
    END $$
"""
# Ended ones come back as scheduled ones, and all of these become ready. Of `search`, type and args are the first parts.
_RETRY = f"""
    CREATE FUNCTION headrace_tasks_retry(p_now bigint, p_ids uuid[]) RETURNS void LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE
        old uuid[]; ids uuid[]; types text[]; queues text[]; owners text[]; before smallint[];
    BEGIN
        PERFORM headrace_tasks_hold(p_ids);
        SELECT array_agg(id), array_agg(type), array_agg(queue), array_agg(owner), array_agg(status)
        INTO ids, types, queues, owners, before FROM (
            SELECT id, type, queue, owner, status FROM task_live WHERE id = ANY (p_ids) AND status = 0
            UNION ALL
            SELECT id, type, queue, owner, status FROM (
                SELECT * FROM task_history WHERE id = ANY (p_ids) AND status IN (4, 5, 6) ORDER BY id FOR UPDATE
            ) AS h
            ORDER BY 1
        ) AS t;
        IF ids IS NULL THEN RETURN; END IF;
        UPDATE tasks SET attempt = 0, run_at = NULL, started_at = NULL, error = NULL, progress = NULL,
            search = {TYPE_AND_ARGS}
        WHERE id = ANY (ids);
        WITH back AS (
            DELETE FROM task_history WHERE id = ANY (ids) RETURNING *
        )
        INSERT INTO tasks (
            id, created_at, timeout, lease, attempt, max_attempts, priority, state, type, owner, queue, args, search,
            retry, concurrency_key, idempotency_key, callback_url
        )
        SELECT id, created_at, timeout, lease, 0, max_attempts, priority, 0, type, owner, queue, args,
            {TYPE_AND_ARGS},
            retry, concurrency_key, idempotency_key, callback_url
        FROM back;
        PERFORM headrace_tasks_ready(ids);
        PERFORM headrace_tasks_note(
            p_now, ids, types, queues, owners, before, array_fill(1::smallint, ARRAY[cardinality(ids)]),
            array_fill(0, ARRAY[cardinality(ids)]), NULL
        );
    END $$
"""
_DELETE = f"""
    CREATE FUNCTION headrace_tasks_delete(p_id uuid) RETURNS boolean LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE old task_history;
    BEGIN
        {WAIT_FOR_DISK};
        DELETE FROM task_history WHERE id = p_id RETURNING * INTO old;
        IF old.id IS NULL THEN
            RETURN CASE WHEN EXISTS (SELECT FROM tasks WHERE id = p_id) THEN NULL ELSE false END;
        END IF;
        DELETE FROM task_keys WHERE id = p_id;
        PERFORM headrace_tasks_note(0, ARRAY[p_id], ARRAY[old.type], ARRAY[old.queue], ARRAY[old.owner],
            ARRAY[old.status], NULL, NULL, NULL);
        RETURN true;
    END $$
"""
CHANGING = (_HOLD, _UNREADY, _CHANGE, _CANCEL, _RETRY, _DELETE)

CHANGE = f"SELECT headrace_tasks_change({', '.join(['%b'] * 7)})"
CANCEL = "SELECT headrace_tasks_cancel(%b, %b)"
RETRY_AGAIN = "SELECT headrace_tasks_retry(%b, %b)"
DELETE = "SELECT headrace_tasks_delete(%b)"
GET = f"""
    SELECT {COLUMNS} FROM task_live WHERE id = ANY (%(ids)b)
    UNION ALL SELECT {COLUMNS} FROM task_past WHERE id = ANY (%(ids)b)
"""
