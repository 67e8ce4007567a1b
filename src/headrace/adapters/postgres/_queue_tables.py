"""The queue's table and the statements on it. Each is one transaction by itself."""

from __future__ import annotations

from headrace.adapters.postgres.layout import Layout
from headrace.model.block import Block

# In a queue every row lives a second: it is inserted, leased and deleted.
# - fillfactor: the lease is a new version of the row, which finds room on the same page and so touches no index.
# - vacuum: by count, since a share of a table that is mostly empty says nothing, and without pauses.
# - payload: compressed already. Long ones lie beside the table, so that looking for free rows reads little.
# - leased_until without statistics: those of an empty moment would have a backlog sorted instead of read by its key.
_TABLE = """
    CREATE TABLE queue_blocks (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- about the order of put
        block_id uuid NOT NULL,
        events integer NOT NULL,
        size integer NOT NULL,                                -- bytes of the payload
        put_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        leased_until timestamptz,
        leased_by uuid,                                       -- the PostgresQueue that has it out
        payload bytea NOT NULL
    ) WITH (
        fillfactor = 50,
        autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_threshold = -1,
        autovacuum_vacuum_cost_delay = 0,
        toast.autovacuum_vacuum_scale_factor = 0,
        toast.autovacuum_vacuum_threshold = 4000,
        toast.autovacuum_vacuum_insert_threshold = -1,
        toast.autovacuum_vacuum_cost_delay = 0
    )
"""
_LETTERS = """
    CREATE TABLE dead_letters (
        id uuid PRIMARY KEY,           -- sorts like the number
        bucket_id bigint,
        reason text NOT NULL,
        received_at bigint NOT NULL,   -- µs since 1970
        payload bytea NOT NULL
    )
"""
LAYOUT = Layout(
    "queue",
    [
        [
            _TABLE,
            "ALTER TABLE queue_blocks ALTER COLUMN payload SET STORAGE EXTERNAL",  # PostgreSQL 16 takes it above
            "ALTER TABLE queue_blocks ALTER COLUMN leased_until SET STATISTICS 0",
            _LETTERS,
            "CREATE INDEX dead_letters_by_receipt ON dead_letters (received_at, id)",
        ]
    ],
)

# A server whose default is `off` would acknowledge what a crash of it loses.
WAITS_FOR_DISK = """(SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
    WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)) <> 'off'"""
PUT = f"""
    INSERT INTO queue_blocks (block_id, events, size, payload)
    SELECT $1::uuid, $2::integer, $3::integer, $4::bytea WHERE {WAITS_FOR_DISK}
""".encode()


def put_values(block: Block) -> list[bytes]:
    """What `PUT` takes, in the binary format."""
    numbers = (number.to_bytes(4, "big") for number in (block.events, len(block.payload)))
    return [block.id.to_bytes(16, "big"), *numbers, block.payload]


# A lease that a crash of the server undoes was a lease of nobody, and the store skips a block that comes again: only
# `PUT` waits for the disk.
_NO_WAIT = "(SELECT set_config('synchronous_commit', 'off', true)) = 'off'"

# The rows are sent before the commit: to a machine that has vanished, until the server's TCP gives up, which takes a
# quarter of an hour, and nobody else gets those blocks. This is the server's half of the `tcp_user_timeout` that our
# connections have; as a setting of the connection (`options`) a pooler would refuse it.
_VANISHED = "(SELECT set_config('tcp_user_timeout', '15000', true)) IS NOT NULL"

# The oldest that are free, up to a count of rows (which are locked for the moment of this statement); of these the
# first, and those that fit.
CLAIM = f"""
    UPDATE queue_blocks
    SET leased_until = clock_timestamp() + make_interval(secs => %(seconds)s), leased_by = %(me)s
    WHERE seq = ANY (ARRAY(
        SELECT seq FROM (
            SELECT seq, row_number() OVER upto AS place, sum(events) OVER upto AS events,
                sum(size) OVER upto - size AS before
            FROM (
                SELECT seq, events, size FROM queue_blocks
                WHERE leased_until IS NULL OR leased_until < clock_timestamp()
                ORDER BY seq LIMIT %(rows)s FOR UPDATE SKIP LOCKED
            ) AS free
            WINDOW upto AS (ORDER BY seq ROWS UNBOUNDED PRECEDING)
        ) AS running
        WHERE place = 1 OR (events <= %(events)s AND before < %(bytes)s)
    )) AND {_NO_WAIT} AND {_VANISHED}
    RETURNING seq, block_id, events, payload
"""  # noqa: S608 - our own text
RENEW = f"""
    UPDATE queue_blocks SET leased_until = clock_timestamp() + make_interval(secs => %(seconds)s)
    WHERE seq = ANY (%(seqs)s) AND leased_by = %(me)s AND {_NO_WAIT}
    RETURNING seq
"""  # noqa: S608 - our own text
RELEASE = f"""
    UPDATE queue_blocks SET leased_by = NULL, leased_until =
        CASE WHEN %(delay)s > 0 THEN clock_timestamp() + make_interval(secs => %(delay)s) END
    WHERE seq = ANY (%(seqs)s) AND leased_by = %(me)s AND {_NO_WAIT}
"""  # noqa: S608 - our own text
ACK = f"DELETE FROM queue_blocks WHERE seq = ANY (%(seqs)s) AND {_NO_WAIT} RETURNING events, size"  # noqa: S608 - our own text
MEASURE = """
    SELECT count(*), coalesce(sum(events), 0)::bigint, coalesce(sum(size), 0)::bigint,
        (SELECT block_id FROM queue_blocks ORDER BY seq LIMIT 1)
    FROM queue_blocks
"""
