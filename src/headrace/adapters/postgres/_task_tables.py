"""The tables of tasks and schedules.

What a task is lies in `tasks` and is left alone while the task waits and runs: claiming takes a row out of `task_ready`
and puts one into `task_leases`, both narrow, so that no index of `tasks` (nor its words) is touched. A task that ends
moves to `task_history`, which has a partition for each day of ids and loses whole days at a time.
"""

from __future__ import annotations

from headrace.adapters.postgres._task_adding import ADDING
from headrace.adapters.postgres._task_changing import CHANGING
from headrace.adapters.postgres._task_claiming import CLAIMING
from headrace.adapters.postgres._task_ending import ENDING
from headrace.adapters.postgres._task_readying import READYING
from headrace.adapters.postgres._task_sweeping import SWEEPING
from headrace.adapters.postgres.layout import Layout

# Rows that live for moments: vacuumed by count, since a share of a table that is mostly empty says nothing.
_CHURN = """autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0"""
_ONE_ROW_OFTEN = "fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0"

_TASKS = f"""
    CREATE TABLE tasks (
        id uuid PRIMARY KEY,
        created_at bigint NOT NULL,
        run_at bigint,
        started_at bigint,              -- of the attempt before, as are `attempt`, `lease`, `error` and `progress`
        timeout double precision,
        lease bigint NOT NULL DEFAULT 0,
        lane bigint,                    -- where in `task_ready` it waits, or waited
        rank bigint,
        attempt integer NOT NULL DEFAULT 0,
        max_attempts integer NOT NULL,
        priority smallint NOT NULL,
        state smallint NOT NULL,        -- 0: scheduled, 1: ready or running, 2: behind one of its key
        type text COLLATE "C" NOT NULL,
        owner text COLLATE "C" NOT NULL,
        queue text COLLATE "C" NOT NULL,
        args bytea NOT NULL,
        search text COLLATE "C" NOT NULL,  -- type and args in lower case, each ended by U+001F
        retry bytea,
        concurrency_key text COLLATE "C",
        idempotency_key text COLLATE "C",
        callback_url text,
        error text,
        progress bytea
    ) WITH ({_CHURN})
"""
_HISTORY = """
    CREATE TABLE task_history (
        id uuid NOT NULL,
        created_at bigint NOT NULL,
        run_at bigint,
        started_at bigint,
        finished_at bigint NOT NULL,
        timeout double precision,
        lease bigint NOT NULL,
        attempt integer NOT NULL,
        max_attempts integer NOT NULL,
        priority smallint NOT NULL,
        status smallint NOT NULL,
        callback_due boolean NOT NULL,
        type text COLLATE "C" NOT NULL,
        owner text COLLATE "C" NOT NULL,
        queue text COLLATE "C" NOT NULL,
        args bytea NOT NULL,
        search text COLLATE "C" NOT NULL,  -- that of `tasks`, then result and error
        retry bytea,
        concurrency_key text COLLATE "C",
        idempotency_key text COLLATE "C",
        callback_url text,
        result bytea,
        error text,
        progress bytea
    ) PARTITION BY RANGE (id)
"""
# A lane is what waits alike: its rows are claimed in the order (rank, id). `rank` is the transaction that put a row
# there: with that, everything before a claimed row is known to be empty for good, and `floor` says so. Without it each
# claim would step over what earlier claims left behind, for as long as vacuum may not take it away.
_WAITING = (
    """
    CREATE TABLE task_lanes (
        lane bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        floor_rank bigint NOT NULL DEFAULT 0,
        floor_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
        priority smallint NOT NULL,
        front boolean NOT NULL,         -- what has waited before goes before what is new
        owner text COLLATE "C" NOT NULL,
        queue text COLLATE "C" NOT NULL,
        type text COLLATE "C" NOT NULL,
        UNIQUE (owner, queue, type, priority, front)
    ) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0)
    """,
    "CREATE INDEX task_lanes_by_queue ON task_lanes (queue, owner)",
    f"""
    CREATE TABLE task_ready (lane bigint, rank bigint, id uuid, PRIMARY KEY (lane, rank, id)) WITH ({_CHURN})
    """,
    f"""
    CREATE TABLE task_leases (
        id uuid PRIMARY KEY,
        lease bigint NOT NULL,
        leased_until bigint NOT NULL,
        started_at bigint NOT NULL,
        cancelled_at bigint,            -- asked to stop
        key_lock bigint,                -- of its concurrency key
        attempt integer NOT NULL,
        queue text COLLATE "C" NOT NULL,
        holder text NOT NULL,
        progress bytea
    ) WITH (fillfactor = 70, {_CHURN})
    """,
    # That of a key at most one is running is kept here, whatever else goes wrong.
    "CREATE UNIQUE INDEX task_leases_of_key ON task_leases (key_lock) WHERE key_lock IS NOT NULL",
    "CREATE INDEX task_leases_end ON task_leases (queue, leased_until)",
    "CREATE INDEX task_leases_stop ON task_leases (cancelled_at) WHERE cancelled_at IS NOT NULL",
    "CREATE SEQUENCE task_lease_numbers",
    f"""
    CREATE TABLE task_queues (
        name text COLLATE "C" PRIMARY KEY,
        paused boolean NOT NULL DEFAULT false,
        concurrency integer,
        rate_limit double precision,
        tokens double precision,        -- of the rate limit, at `counted_at`; NULL: all
        counted_at bigint
    ) WITH ({_ONE_ROW_OFTEN})
    """,
    # Whom claims of one kind (queue and types) served last.
    f'CREATE TABLE task_turns (kind text PRIMARY KEY, owner text COLLATE "C" NOT NULL) WITH ({_ONE_ROW_OFTEN})',
)
_BESIDE = (
    """
    CREATE TABLE task_keys (
        owner text COLLATE "C", key text COLLATE "C", id uuid NOT NULL, fingerprint bytea NOT NULL,
        PRIMARY KEY (owner, key)
    )
    """,
    "CREATE INDEX task_keys_by_id ON task_keys (id)",
    # What changed is added at the end, and folded into the sums by the sweep: no two transactions wait for each other.
    f"""
    CREATE TABLE task_count_changes (
        number bigint NOT NULL, status smallint NOT NULL, owner text COLLATE "C" NOT NULL,
        queue text COLLATE "C" NOT NULL, type text COLLATE "C" NOT NULL
    ) WITH ({_CHURN})
    """,
    """
    CREATE TABLE task_counts (
        number bigint NOT NULL, status smallint, owner text COLLATE "C", queue text COLLATE "C", type text COLLATE "C",
        PRIMARY KEY (owner, queue, type, status)
    ) WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0)
    """,
    # One row a transaction: what became of which tasks, as arrays of one length; or lines as they are.
    f"""
    CREATE TABLE task_journal (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        time bigint NOT NULL,
        number integer NOT NULL,
        first_id uuid NOT NULL,
        ids uuid[], types text[], queues text[], owners text[], statuses smallint[], attempts integer[], details text[],
        lines bytea
    ) WITH ({_CHURN})
    """,
    """
    CREATE TABLE task_schedules (
        id uuid PRIMARY KEY,
        name text COLLATE "C" NOT NULL,
        owner text COLLATE "C" NOT NULL,
        cron text NOT NULL,
        timezone text NOT NULL,
        task bytea NOT NULL,
        created_at bigint NOT NULL,
        jitter double precision NOT NULL,
        catch_up text NOT NULL,
        enabled boolean NOT NULL,
        next_at bigint,
        last_at bigint,
        last_task uuid,
        UNIQUE (owner, name)
    )
    """,
    "CREATE INDEX task_schedules_next ON task_schedules (next_at) WHERE enabled",
)
_INDEXES = (
    "CREATE INDEX tasks_by_owner ON tasks (owner, id)",
    "CREATE INDEX tasks_by_type ON tasks (type, id)",
    "CREATE INDEX tasks_by_queue ON tasks (queue, id) WHERE queue <> 'default'",
    "CREATE INDEX tasks_scheduled ON tasks (id) WHERE state = 0",
    "CREATE INDEX tasks_due ON tasks (run_at, id) WHERE state = 0",
    # Of a key one is ready for each queue and type, so that one which cannot run holds up none that can.
    """
    CREATE UNIQUE INDEX tasks_of_key ON tasks (owner, concurrency_key, queue, type)
    WHERE concurrency_key IS NOT NULL AND state = 1
    """,
    "CREATE INDEX tasks_behind ON tasks (owner, concurrency_key, queue, type, priority DESC, id) WHERE state = 2",
    "CREATE INDEX tasks_behind_by_queue ON tasks (queue, id) WHERE state = 2",
    "CREATE INDEX task_history_id ON task_history (id)",
    "CREATE INDEX task_history_by_owner ON task_history (owner, id)",
    "CREATE INDEX task_history_by_type ON task_history (type, id)",
    "CREATE INDEX task_history_by_status ON task_history (status, id)",
    "CREATE INDEX task_history_odd ON task_history (owner, status, id) WHERE status <> 3",
    "CREATE INDEX task_history_by_queue ON task_history (queue, id) WHERE queue <> 'default'",
    "CREATE INDEX task_history_callbacks ON task_history (id) WHERE callback_due",
    "CREATE INDEX task_history_finished ON task_history USING brin (finished_at) WITH (pages_per_range = 16)",
    # Without the right to create the extension, `q` reads every task that the other filters leave.
    """
    DO $$ BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        CREATE INDEX tasks_search ON tasks USING gin (search gin_trgm_ops);
        CREATE INDEX task_history_search ON task_history USING gin (search gin_trgm_ops);
    EXCEPTION WHEN insufficient_privilege OR undefined_file OR undefined_object OR feature_not_supported THEN
        RAISE NOTICE 'no trigram index: %', SQLERRM;
    END $$
    """,
    "CREATE TABLE task_history_rest PARTITION OF task_history DEFAULT",
)
# In the order of the record `Task`.
_LIVE = """
    CREATE VIEW task_live AS
    SELECT t.id, t.type, t.owner, t.created_at,
        CASE WHEN l.id IS NOT NULL THEN 2 WHEN t.state = 0 THEN 0 ELSE 1 END::smallint AS status,
        t.args, t.queue, t.priority, coalesce(l.attempt, t.attempt) AS attempt, t.max_attempts, t.run_at, t.timeout,
        t.retry, t.concurrency_key, t.callback_url, coalesce(l.started_at, t.started_at) AS started_at,
        NULL::bigint AS finished_at, NULL::bytea AS result, t.error, coalesce(l.progress, t.progress) AS progress,
        l.cancelled_at IS NOT NULL AS cancelling, coalesce(l.lease, t.lease) AS lease, l.leased_until, t.search
    FROM tasks t LEFT JOIN task_leases l ON l.id = t.id
"""
_PAST = """
    CREATE VIEW task_past AS
    SELECT id, type, owner, created_at, status, args, queue, priority, attempt, max_attempts, run_at, timeout, retry,
        concurrency_key, callback_url, started_at, finished_at, result, error, progress, false AS cancelling, lease,
        NULL::bigint AS leased_until, search
    FROM task_history
"""

LAYOUT = Layout(
    "tasks",
    [
        [
            _TASKS, _HISTORY, *_WAITING, *_BESIDE, *_INDEXES, _LIVE, _PAST,
            *READYING, *ADDING, *CLAIMING, *ENDING, *SWEEPING, *CHANGING,
        ]
    ],
)  # fmt: skip
