"""Headrace: events recorded and work done, acknowledged only when durable."""
