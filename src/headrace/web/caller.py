"""Who asks, as the audit trail and the limits need to know it beside the credential."""

from __future__ import annotations

from fastapi import Request


def address_of(request: Request) -> str:
    """The client's address."""
    client = request.scope.get("client")
    return str(client[0]) if client else ""
