"""Claiming tasks: one function inside the server, one round trip.

Claims take turns by the rows of their queues. They go round the owners by name, from the one whom claims of this kind
served last, and read of each owner's lanes no more than they may take: so it makes no difference how many wait.
"""

from __future__ import annotations

from headrace.adapters.postgres._task_readying import KEY_LOCK, PLANNING, WAIT_FOR_DISK

_OWNERS = 32  # looked at in one pass: about 10 µs each
_PASSES = 4  # of 32 owners each, or to fill up where some owner had less than his share
_SET_BACK = 60_000_000  # µs; a clock that is less than a minute behind another one is not one that was set back

# Where a lane may have something. A floor above what this server has reached is of another server, from which the
# tables were copied, and says nothing here.
_FROM = "(CASE WHEN l.floor_rank <= horizon THEN l.floor_rank ELSE 0 END, l.floor_id)"
# No EXISTS, which the planner would make a join, and read every task that waits.
_WANTED = """(p_types IS NULL OR l.type = ANY (p_types))
    AND (SELECT true FROM task_ready r WHERE r.lane = l.lane AND (r.rank, r.id) >= {floor} LIMIT 1)"""
# Each is the first one of an index in its order: to sort would be to look at every owner's lanes for each of them.
_IN_ORDER = "SET enable_sort = off SET enable_bitmapscan = off"
_NEXT_OWNER = """(
                SELECT l.owner FROM task_lanes l
                WHERE l.owner > {after} AND {until} AND l.queue = ANY (names)
                    AND (p_owner IS NULL OR l.owner = p_owner) AND {wanted}
                ORDER BY l.owner LIMIT 1
            )"""
_NEXT_OWNERS = """ARRAY(
            WITH RECURSIVE found AS (
                SELECT {first} AS owner
                UNION ALL SELECT {next} FROM found f WHERE f.owner IS NOT NULL
            )
            SELECT owner FROM found WHERE owner IS NOT NULL LIMIT {limit}
        )"""


def _next_owners(after: str, until: str, limit: str) -> str:
    wanted = _WANTED.format(floor=_FROM)
    first = _NEXT_OWNER.format(after=after, until=until, wanted=wanted)
    return _NEXT_OWNERS.format(
        first=first, next=_NEXT_OWNER.format(after="f.owner", until=until, wanted=wanted), limit=limit
    )


# Rooms are how many a queue may still begin. A rate is a bucket that holds what may begin in a second, at least one.
_ROOMS = f"""
        UPDATE task_queues q SET counted_at = p_now
        WHERE name = ANY (names) AND counted_at > p_now + {_SET_BACK};
        SELECT array_agg(name), array_agg(room) INTO names, rooms FROM (
            SELECT name, least(
                p_limit,
                CASE WHEN concurrency IS NOT NULL THEN
                    concurrency - (SELECT count(*) FROM task_leases l WHERE l.queue = q.name)
                END,
                floor(headrace_task_tokens(q, p_now) + 1e-9)
            )::integer AS room
            FROM task_queues q WHERE name = ANY (names) AND NOT paused
        ) AS open WHERE room > 0;
"""
_TOKENS = """
    CREATE FUNCTION headrace_task_tokens(q task_queues, p_now bigint) RETURNS double precision LANGUAGE sql STABLE AS $$
        SELECT least(
            greatest(q.rate_limit, 1),
            coalesce(q.tokens + greatest(p_now - q.counted_at, 0) * q.rate_limit / 1e6, q.rate_limit + 1)
        ) WHERE q.rate_limit IS NOT NULL
    $$
"""
# One of each owner, then a second, and so on; of an owner the highest priority first. `share`: most for one owner.
_PICK = f"""
            SELECT array_agg(lane ORDER BY place, turn), array_agg(rank ORDER BY place, turn),
                array_agg(id ORDER BY place, turn), array_agg(queue ORDER BY place, turn),
                (array_agg(owner ORDER BY place DESC, turn DESC))[1]
            INTO lanes, ranks, ids, queues, served
            FROM (
                SELECT * FROM (
                    SELECT *, row_number() OVER (PARTITION BY queue ORDER BY place, turn) AS in_queue FROM (
                        SELECT o.turn, o.owner, c.*, row_number() OVER (
                            PARTITION BY o.turn ORDER BY c.priority DESC, c.front DESC, c.rank, c.id
                        ) AS place
                        FROM unnest(owners) WITH ORDINALITY AS o (owner, turn) CROSS JOIN LATERAL (
                            SELECT l.lane, l.queue, l.priority, l.front, q.room, r.rank, r.id
                            FROM task_lanes l JOIN unnest(names, rooms) AS q (name, room) ON q.name = l.queue
                            CROSS JOIN LATERAL (
                                SELECT rank, id FROM task_ready r
                                WHERE r.lane = l.lane AND (r.rank, r.id) >= {_FROM}
                                ORDER BY rank, id LIMIT least(share, q.room)
                            ) AS r
                            WHERE l.owner = o.owner AND (p_types IS NULL OR l.type = ANY (p_types))
                            ORDER BY l.priority DESC, l.front DESC, r.rank, r.id LIMIT share
                        ) AS c
                    ) AS placed
                ) AS counted WHERE in_queue <= room ORDER BY place, turn LIMIT wanted
            ) AS picked;
"""
# Of a key one task runs. Who deals with a key at this moment has its lock, and is not waited for: the task stays where
# it is (and the floor of its lane too) for the next claim. One whose key has another one running goes behind that.
_KEYED = f"""
            IF EXISTS (SELECT FROM tasks WHERE id = ANY (ids) AND concurrency_key IS NOT NULL) THEN
                SELECT array_agg(id) FILTER (WHERE NOT ours), array_agg(id) FILTER (
                    WHERE ours AND (place > 1 OR EXISTS (SELECT FROM task_leases l WHERE l.key_lock = key))
                ) INTO passed_over, behind FROM (
                    SELECT id, key, pg_try_advisory_xact_lock(key) AS ours,
                        row_number() OVER (PARTITION BY key ORDER BY n) AS place
                    FROM (
                        SELECT t.id, {KEY_LOCK} AS key, p.n FROM unnest(taken || ids) WITH ORDINALITY AS p (id, n)
                        JOIN tasks t ON t.id = p.id WHERE concurrency_key IS NOT NULL
                    ) AS keyed
                ) AS locked WHERE id <> ALL (taken);
                passed_over := coalesce(passed_over, '{{}}');
                behind := coalesce(behind, '{{}}');
                UPDATE tasks SET state = 2 WHERE id = ANY (behind);
                DELETE FROM task_ready r USING unnest(lanes, ranks, ids) AS p (lane, rank, id)
                WHERE p.id = ANY (behind) AND r.lane = p.lane AND r.rank = p.rank AND r.id = p.id;
                SELECT coalesce(array_agg(lane), '{{}}') INTO held_up
                FROM unnest(lanes, ids) AS p (lane, id) WHERE id = ANY (passed_over);
                SELECT coalesce(array_agg(lane ORDER BY n), '{{}}'), coalesce(array_agg(rank ORDER BY n), '{{}}'),
                    coalesce(array_agg(id ORDER BY n), '{{}}'), coalesce(array_agg(queue ORDER BY n), '{{}}')
                INTO lanes, ranks, ids, queues
                FROM unnest(lanes, ranks, ids, queues) WITH ORDINALITY AS p (lane, rank, id, queue, n)
                WHERE id <> ALL (behind || passed_over);
            END IF;
"""
# The floor of a lane moves to the last row taken, but not past what a transaction that still runs may put there.
_TAKE = f"""
            held_up := '{{}}';
            {_KEYED}
            DELETE FROM task_ready r USING unnest(lanes, ranks, ids) AS p (lane, rank, id)
            WHERE r.lane = p.lane AND r.rank = p.rank AND r.id = p.id;
            UPDATE task_lanes l SET floor_rank = least(p.rank, horizon),
                floor_id = CASE WHEN p.rank < horizon THEN p.id ELSE '00000000-0000-0000-0000-000000000000' END
            FROM (
                SELECT DISTINCT ON (lane) lane, rank, id FROM unnest(lanes, ranks, ids) AS p (lane, rank, id)
                ORDER BY lane, rank DESC, id DESC
            ) AS p
            WHERE l.lane = p.lane AND NOT l.lane = ANY (held_up);
            UPDATE task_queues q SET tokens = headrace_task_tokens(q, p_now) - p.taken,
                counted_at = greatest(q.counted_at, p_now)
            FROM (SELECT name, count(*) AS taken FROM unnest(queues) AS p (name) GROUP BY name) AS p
            WHERE q.name = p.name AND q.rate_limit IS NOT NULL;
            SELECT array_agg(r.room - (SELECT count(*) FROM unnest(queues) AS p (name) WHERE p.name = r.name)::integer)
            INTO rooms FROM unnest(names, rooms) AS r (name, room);
"""
_LEASE = f"""
        WITH picked AS MATERIALIZED (
            SELECT t.*, nextval('task_lease_numbers') AS new_lease, n
            FROM unnest(taken) WITH ORDINALITY AS p (id, n) JOIN tasks t ON t.id = p.id ORDER BY n
        ), leased AS (
            INSERT INTO task_leases (id, lease, leased_until, started_at, key_lock, attempt, queue, holder)
            SELECT id, new_lease, p_until, p_now, CASE WHEN concurrency_key IS NOT NULL THEN {KEY_LOCK} END,
                attempt + 1, queue, p_holder
            FROM picked
        ), noted AS MATERIALIZED (
            SELECT headrace_tasks_note(
                p_now, array_agg(id), array_agg(type), array_agg(queue), array_agg(owner),
                array_fill(1::smallint, ARRAY[count(*)::integer]), array_fill(2::smallint, ARRAY[count(*)::integer]),
                array_agg(attempt + 1), NULL
            ) FROM picked
        )
        SELECT id, type, owner, created_at, 2::smallint, args, queue, priority, attempt + 1, max_attempts, run_at,
            timeout, retry, concurrency_key, callback_url, p_now, NULL::bigint, NULL::bytea, error, progress, false,
            new_lease, p_until, NULL::text
        FROM picked, noted ORDER BY n
"""
_CLAIM = f"""
    CREATE FUNCTION headrace_tasks_claim(
        p_queue text, p_types text[], p_owner text, p_kind text, p_limit integer, p_holder text, p_until bigint,
        p_now bigint
    ) RETURNS SETOF task_live LANGUAGE plpgsql {PLANNING} {_IN_ORDER} AS $$
    #variable_conflict use_column
    DECLARE
        horizon bigint; wanted integer := p_limit; share integer; last text; served text;
        names text[]; rooms integer[]; owners text[];
        lanes bigint[]; ranks bigint[]; ids uuid[]; queues text[]; taken uuid[] := '{{}}';
        held_up bigint[]; behind uuid[]; passed_over uuid[];
    BEGIN
        horizon := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
        -- Which queues have something: a look that locks nothing, and the end of it where nothing waits.
        SELECT array_agg(name ORDER BY name) INTO names FROM task_queues q
        WHERE (p_queue IS NULL OR name = p_queue) AND NOT paused AND EXISTS (
            SELECT FROM task_lanes l WHERE l.queue = q.name AND (p_owner IS NULL OR l.owner = p_owner)
                AND {_WANTED.format(floor=_FROM)}
        );
        IF names IS NULL THEN RETURN; END IF;
        {WAIT_FOR_DISK};
        PERFORM FROM task_queues WHERE name = ANY (names) ORDER BY name FOR UPDATE;
        {_ROOMS}
        SELECT owner INTO last FROM task_turns WHERE kind = p_kind;
        FOR pass IN 1..{_PASSES} LOOP
            owners := {_next_owners("coalesce(last, '')", "true", str(_OWNERS))};
            IF cardinality(owners) < {_OWNERS} THEN
                owners := owners || {_next_owners("''", "l.owner <= last", f"{_OWNERS} - cardinality(owners)")};
            END IF;
            EXIT WHEN owners = '{{}}';
            share := CASE WHEN pass = 1 THEN ceil(wanted::numeric / cardinality(owners)) ELSE wanted END;
            {_PICK}
            EXIT WHEN ids IS NULL;
            {_TAKE}
            taken := taken || ids;
            last := served;
            wanted := wanted - cardinality(ids);
            EXIT WHEN wanted = 0;
        END LOOP;
        IF taken = '{{}}' THEN RETURN; END IF;
        INSERT INTO task_turns VALUES (p_kind, last) ON CONFLICT (kind) DO UPDATE SET owner = excluded.owner;
        RETURN QUERY {_LEASE};
    END $$
"""
CLAIMING = (_TOKENS, _CLAIM)

COLUMNS = """id, type, owner, created_at, status, args, queue, priority, attempt, max_attempts, run_at, timeout, retry,
    concurrency_key, callback_url, started_at, finished_at, result, error, progress, cancelling, lease, leased_until"""
"""Of task_live and task_past, in the order of the record `Task`."""
CLAIM = f"SELECT {COLUMNS} FROM headrace_tasks_claim({', '.join(['%b'] * 8)})"
