"""Audit: what happened in a bucket, in sentences. `asked.py` reads the address, `names.py` finds names for ids."""

from __future__ import annotations

from headrace.web.console.pages.audit.trail import routes as routes

__all__ = ["routes"]
