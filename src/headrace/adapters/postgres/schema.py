"""The tables of one shard of events. Partitions by day are made as they are needed (see `partitions`)."""

from __future__ import annotations

from headrace.adapters.postgres.attributes import JSONB
from headrace.adapters.postgres.functions import FUNCTIONS
from headrace.adapters.postgres.layout import Layout

LONGEST_INDEXED = 500
"""Bytes: a longer actor, action or trace id is in no index, since an entry of a B-tree has 2,704 bytes at most."""

ID_PARTITIONS = 8

_TEXTS = (
    "service", "action", "actor_id", "actor_type", "actor_name", "target_id", "target_type", "target_name", "outcome",
    "message", "attributes", "trace_id", "span_id",
)  # fmt: skip

COLUMNS = (
    ("seq", "bigint NOT NULL"),
    ("bucket_id", "integer NOT NULL"),
    ("id", "uuid NOT NULL"),
    ("time", "timestamptz NOT NULL"),
    ("received_at", "timestamptz NOT NULL"),
    ("level", "smallint NOT NULL"),
    *((name, 'text COLLATE "C"') for name in _TEXTS),
    # What `q` looks through: in lower case, the message and every scalar value of the attributes, each ended by U+001F.
    ("search", 'text COLLATE "C"'),
    # Whether the attributes can be cast to jsonb without an error.
    ("indexable", "boolean NOT NULL"),
)


def fits(column: str) -> str:
    """That a value is in its index. The planner takes IS NOT NULL for nearly always true, and `<=` for seldom."""
    return f"(CASE WHEN octet_length({column}) <= {LONGEST_INDEXED} THEN 1 END) IS NOT NULL"


EVENTS = (
    f"CREATE TABLE events ({', '.join(f'{name} {kind}' for name, kind in COLUMNS)}) PARTITION BY RANGE (time)",
    "CREATE INDEX ON events (bucket_id, time DESC, id DESC)",
    f"CREATE INDEX ON events (bucket_id, actor_id, time DESC, id DESC) WHERE {fits('actor_id')}",
    f"CREATE INDEX ON events (bucket_id, action, time DESC, id DESC) WHERE {fits('action')}",
    f"CREATE INDEX ON events (bucket_id) WHERE octet_length(action) > {LONGEST_INDEXED}",
    "CREATE INDEX ON events (id)",
    f"CREATE INDEX ON events (trace_id) WHERE {fits('trace_id')}",
    "CREATE INDEX ON events USING brin (seq) WITH (pages_per_range = 32)",
    # Not partial: of a partial index, the planner does not read what values are frequent.
    f"CREATE INDEX ON events USING gin (({JSONB}) jsonb_path_ops)",
    "CREATE INDEX ON events (bucket_id) WHERE NOT indexable",
    # Without the right to create the extension, `q` reads every event of its time range. `headrace doctor` says so.
    """
    DO $$ BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        CREATE INDEX events_search_idx ON events USING gin (search gin_trgm_ops);
    EXCEPTION WHEN insufficient_privilege OR undefined_file OR undefined_object OR feature_not_supported THEN
        RAISE NOTICE 'no trigram index: %', SQLERRM;
    END $$
    """,
    "CREATE TABLE events_rest PARTITION OF events DEFAULT",
    """CREATE TABLE event_days (
        bucket_id integer NOT NULL, day date NOT NULL, events bigint NOT NULL,
        oldest timestamptz NOT NULL, newest timestamptz NOT NULL, PRIMARY KEY (bucket_id, day)
    ) WITH (fillfactor = 50)""",
    """CREATE TABLE event_batches (
        last_seq bigint PRIMARY KEY, first_seq bigint NOT NULL, stored_at timestamptz NOT NULL,
        oldest timestamptz NOT NULL, newest timestamptz NOT NULL, bucket_ids integer[] NOT NULL,
        block_ids uuid[] NOT NULL
    )""",
    """CREATE TABLE stored_blocks (
        block_id uuid NOT NULL, bucket_id integer NOT NULL, stored_at timestamptz NOT NULL,
        PRIMARY KEY (block_id, bucket_id)
    )""",
    "CREATE INDEX ON stored_blocks USING brin (stored_at)",
    # By hash: a unique key on `events` would have to hold its time, which a retry may change.
    """CREATE TABLE event_ids (
        bucket_id integer NOT NULL, id uuid NOT NULL, seen_at timestamptz NOT NULL, PRIMARY KEY (bucket_id, id)
    ) PARTITION BY HASH (id)""",
    *(
        f"CREATE TABLE event_ids_{part} PARTITION OF event_ids"
        f" FOR VALUES WITH (MODULUS {ID_PARTITIONS}, REMAINDER {part})"
        for part in range(ID_PARTITIONS)
    ),
    "CREATE INDEX ON event_ids USING brin (seen_at)",
    # Which of several stores this is: set once, by the first process that used it.
    "CREATE TABLE event_shard (number integer NOT NULL)",
    "CREATE UNIQUE INDEX ON event_shard ((true))",  # one row, whoever comes at the same moment
    "CREATE TABLE event_position (last_seq bigint NOT NULL) WITH (fillfactor = 10)",
    "INSERT INTO event_position VALUES (0)",
)

LAYOUT = Layout("events", ((*FUNCTIONS, *EVENTS),))
