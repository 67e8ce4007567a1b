"""Functions that the event store's queries call inside the server."""

from __future__ import annotations

FUNCTIONS: tuple[str, ...] = (
    # As what a value can be asked for: its text, and its JSON text as it is written. NULL where the attributes cannot
    # be read: deep nesting is too much for the server. A block with EXCEPTION is a subtransaction: no parallel query.
    """
    CREATE OR REPLACE FUNCTION headrace_attribute(attributes text, keys text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE COST 1000 AS $$
    BEGIN
        RETURN ARRAY[attributes::json #>> keys, (attributes::json #> keys)::text];
    EXCEPTION WHEN OTHERS THEN
        RETURN NULL;
    END $$
    """,
)
