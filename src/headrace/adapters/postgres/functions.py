"""Functions that the event store's queries call inside the server."""

from __future__ import annotations

FUNCTIONS: tuple[str, ...] = (
    # The text of a string, the JSON text of anything else, NULL where there is nothing or the text cannot be read: deep
    # nesting is too much for the server's own functions. A block with EXCEPTION is a subtransaction: no parallel query.
    """
    CREATE OR REPLACE FUNCTION headrace_attribute(attributes text, keys text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE COST 1000 AS $$
    BEGIN
        RETURN coalesce(attributes::json #>> keys, (attributes::json #> keys)::text);
    EXCEPTION WHEN OTHERS THEN
        RETURN NULL;
    END $$
    """,
)
