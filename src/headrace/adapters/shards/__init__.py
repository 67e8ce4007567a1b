"""Several event stores as one: a bucket's events are in one of them, which is recorded on the bucket (ADR 0011)."""
