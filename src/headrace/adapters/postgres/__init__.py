"""PostgreSQL: queue, events, bus, limiter and dead letters in one database, or each in its own.

Everything works through PgBouncer in transaction mode: no session state, no named prepared statements, and LISTEN only
on a direct connection.
"""
