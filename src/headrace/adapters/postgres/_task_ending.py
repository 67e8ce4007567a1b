"""Beats, and how attempts end: functions inside the server, one round trip each."""

from __future__ import annotations

from headrace.adapters.postgres._task_claiming import COLUMNS
from headrace.adapters.postgres._task_readying import PLANNING, TYPE_AND_ARGS, WAIT_FOR_DISK

SUCCEEDED, FAILED, RETRY, CANCELLED, RELEASED, EXPIRED = range(6)
"""How an attempt ended; the last one is the sweep's word for a lease that ran out."""

_BEAT = f"""
    CREATE FUNCTION headrace_tasks_beat(p_ids uuid[], p_leases bigint[], p_progress bytea[], p_until bigint)
    RETURNS TABLE (id uuid, lease bigint, cancelling boolean) LANGUAGE plpgsql {PLANNING} AS $$
    #variable_conflict use_column
    BEGIN
        {WAIT_FOR_DISK};
        RETURN QUERY
        WITH held AS MATERIALIZED (
            SELECT l.id, b.progress FROM unnest(p_ids, p_leases, p_progress) AS b (id, lease, progress)
            JOIN task_leases l ON l.id = b.id AND l.lease = b.lease ORDER BY l.id FOR UPDATE OF l
        )
        UPDATE task_leases l SET leased_until = p_until, progress = coalesce(h.progress, l.progress)
        FROM held h WHERE l.id = h.id
        RETURNING l.id, l.lease, l.cancelled_at IS NOT NULL;
    END $$
"""
# What comes back into the queue, or waits for its retry: seldom, and so apart from what ends.
_PLAIN_SEARCH = f"CASE WHEN t.error IS NULL THEN t.search ELSE {TYPE_AND_ARGS} END"
_PUT_BACK = f"""
    CREATE FUNCTION headrace_tasks_put_back(
        p_now bigint, p_ids uuid[], p_leases bigint[], p_endings smallint[], p_errors text[], p_retry_at bigint[],
        p_said text[]
    ) RETURNS uuid[] LANGUAGE plpgsql {PLANNING} AS $$
    DECLARE
        ids uuid[]; types text[]; queues text[]; owners text[]; statuses smallint[]; attempts integer[]; details text[];
        keys text[]; back uuid[];
    BEGIN
        WITH given AS (
            SELECT * FROM unnest(p_ids, p_leases, p_endings, p_errors, p_retry_at, p_said)
                AS g (id, lease, ending, error, retry_at, said)
        ), held AS MATERIALIZED (
            SELECT l.id, l.lease, l.attempt, l.started_at, l.progress, g.ending, g.error, g.said,
                CASE WHEN g.ending = {RETRY} AND g.retry_at > p_now THEN 0 ELSE 1 END AS state, g.retry_at
            FROM given g JOIN task_leases l ON l.id = g.id AND l.lease = g.lease JOIN tasks t ON t.id = l.id
            WHERE l.cancelled_at IS NULL
                AND (g.ending = {RELEASED} OR g.ending IN ({RETRY}, {EXPIRED}) AND l.attempt < t.max_attempts)
        ), gone AS (
            DELETE FROM task_leases l USING held h WHERE l.id = h.id
        ), changed AS (
            UPDATE tasks t SET state = h.state, lease = h.lease, started_at = h.started_at,
                progress = coalesce(h.progress, t.progress),
                attempt = CASE WHEN h.ending = {RELEASED} THEN h.attempt - 1 ELSE h.attempt END,
                run_at = CASE WHEN h.ending = {RETRY} THEN h.retry_at ELSE t.run_at END,
                error = CASE WHEN h.ending = {RELEASED} THEN t.error ELSE h.error END,
                search = CASE WHEN h.ending = {RELEASED} THEN t.search ELSE {_PLAIN_SEARCH} || coalesce(h.said, '') END
            FROM held h WHERE t.id = h.id
            RETURNING t.id, t.type, t.queue, t.owner, t.state, h.attempt, t.concurrency_key, h.error
        )
        SELECT array_agg(id), array_agg(type), array_agg(queue), array_agg(owner), array_agg(state), array_agg(attempt),
            array_agg(error), array_agg(CASE WHEN state = 0 THEN concurrency_key END),
            array_agg(id) FILTER (WHERE state = 1)
        INTO ids, types, queues, owners, statuses, attempts, details, keys, back FROM changed;
        IF ids IS NULL THEN RETURN NULL; END IF;
        IF back IS NOT NULL THEN PERFORM headrace_tasks_ready(back); END IF;
        PERFORM headrace_tasks_promote(owners, keys);
        PERFORM headrace_tasks_note(
            p_now, ids, types, queues, owners, array_fill(2::smallint, ARRAY[cardinality(ids)]), statuses, attempts,
            details
        );
        RETURN ids;
    END $$
"""
# Ids in their order. The tasks as they are then, of those whose lease held.
_FINISH = f"""
    CREATE FUNCTION headrace_tasks_finish(
        p_now bigint, p_ids uuid[], p_leases bigint[], p_endings smallint[], p_results bytea[], p_errors text[],
        p_retry_at bigint[], p_said text[]
    ) RETURNS SETOF task_live LANGUAGE plpgsql {PLANNING} AS $$
    #variable_conflict use_column
    DECLARE back uuid[]; keyed boolean; owners text[]; keys text[];
    BEGIN
        {WAIT_FOR_DISK};
        PERFORM pg_advisory_xact_lock(key_lock) FROM (
            SELECT DISTINCT key_lock FROM task_leases WHERE id = ANY (p_ids) AND key_lock IS NOT NULL ORDER BY 1
        ) AS locks;
        keyed := FOUND;
        PERFORM FROM task_leases WHERE id = ANY (p_ids) ORDER BY id FOR UPDATE;
        IF p_endings && ARRAY[{RETRY}, {RELEASED}, {EXPIRED}]::smallint[] THEN
            back := headrace_tasks_put_back(p_now, p_ids, p_leases, p_endings, p_errors, p_retry_at, p_said);
        END IF;
        RETURN QUERY WITH held AS (
            DELETE FROM task_leases l
            USING unnest(p_ids, p_leases, p_endings, p_results, p_errors, p_said)
                AS g (id, lease, ending, result, error, said)
            WHERE l.id = g.id AND l.lease = g.lease
            RETURNING l.id, l.lease, l.attempt, l.started_at, l.progress, g.result, g.error, g.said, CASE
                WHEN g.ending = {SUCCEEDED} THEN 3 WHEN g.ending = {FAILED} THEN 4
                WHEN g.ending = {CANCELLED} OR l.cancelled_at IS NOT NULL THEN 6 ELSE 5
            END::smallint AS status
        ), gone AS (
            DELETE FROM tasks t USING held h WHERE t.id = h.id
            RETURNING t.id, t.created_at, t.run_at, h.started_at, t.timeout, h.lease, h.attempt, t.max_attempts,
                t.priority, h.status, t.type, t.owner, t.queue, t.args,
                {_PLAIN_SEARCH} || coalesce(h.said, '') AS search,
                t.retry, t.concurrency_key, t.idempotency_key, t.callback_url, h.result, h.error,
                coalesce(h.progress, t.progress) AS progress
        ), past AS (
            INSERT INTO task_history (
                id, created_at, run_at, started_at, finished_at, timeout, lease, attempt, max_attempts, priority,
                status, callback_due, type, owner, queue, args, search, retry, concurrency_key, idempotency_key,
                callback_url, result, error, progress
            )
            SELECT id, created_at, run_at, started_at, p_now, timeout, lease, attempt, max_attempts, priority, status,
                callback_url IS NOT NULL, type, owner, queue, args, search, retry, concurrency_key, idempotency_key,
                callback_url, result, error, progress
            FROM gone
        ), noted AS MATERIALIZED (
            SELECT headrace_tasks_note(
                p_now, array_agg(id), array_agg(type), array_agg(queue), array_agg(owner),
                array_fill(2::smallint, ARRAY[count(*)::integer]), array_agg(status), array_agg(attempt),
                array_agg(error)
            ) FROM gone
        )
        SELECT id, type, owner, created_at, status, args, queue, priority, attempt, max_attempts, run_at, timeout,
            retry, concurrency_key, callback_url, started_at, p_now, result, error, progress, false, lease,
            NULL::bigint, NULL::text
        FROM gone, noted;
        IF keyed THEN
            SELECT array_agg(owner), array_agg(concurrency_key) INTO owners, keys
            FROM task_history WHERE id = ANY (p_ids) AND concurrency_key IS NOT NULL;
            PERFORM headrace_tasks_promote(owners, keys);
        END IF;
        IF back IS NOT NULL THEN RETURN QUERY SELECT * FROM task_live WHERE id = ANY (back); END IF;
    END $$
"""
# What the same lease had brought about before: its word came twice, since the first answer was lost.
_REPEATED = f"""
    CREATE FUNCTION headrace_tasks_finished(p_ids uuid[], p_leases bigint[], p_endings smallint[])
    RETURNS SETOF task_live LANGUAGE plpgsql STABLE {PLANNING} AS $$
    BEGIN
        RETURN QUERY SELECT p.* FROM unnest(p_ids, p_leases, p_endings) AS g (id, lease, ending)
        JOIN task_past p ON p.id = g.id AND p.lease = g.lease
        WHERE p.status = CASE g.ending
            WHEN {SUCCEEDED} THEN 3 WHEN {FAILED} THEN 4 WHEN {CANCELLED} THEN 6 WHEN {RETRY} THEN 5 END;
        RETURN QUERY SELECT l.* FROM unnest(p_ids, p_leases, p_endings) AS g (id, lease, ending)
        JOIN task_live l ON l.id = g.id AND l.lease = g.lease WHERE l.status = 0 AND g.ending = {RETRY};
    END $$
"""
ENDING = (_BEAT, _PUT_BACK, _FINISH, _REPEATED)

BEAT = "SELECT id, lease, cancelling FROM headrace_tasks_beat(%b, %b, %b, %b)"
FINISH = f"SELECT {COLUMNS} FROM headrace_tasks_finish({', '.join(['%b'] * 8)})"
FINISHED = f"SELECT {COLUMNS} FROM headrace_tasks_finished(%b, %b, %b)"
