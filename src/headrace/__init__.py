"""Headrace: events recorded and work done, acknowledged only when durable."""

__version__ = "0.1.0"
