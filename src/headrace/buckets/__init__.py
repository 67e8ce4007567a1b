"""Buckets: their names, settings and lives. Their events are the business of `ingest`, `query` and `retention`."""
