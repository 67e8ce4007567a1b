"""Where a request comes from, as the audit trail and the limits need to know it beside the credential."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

from headrace.web.client_address import client_address

if TYPE_CHECKING:
    from headrace.web.app import WebOptions


def address_of(request: Request) -> str:
    """The client's address, behind proxies that we trust."""
    options: WebOptions = request.app.state.options
    return client_address(request.scope, options.trusted_proxies)
