"""Where a request comes from, as the audit trail and the limits need to know it beside the credential."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import Request

from headrace.errors import Unauthenticated
from headrace.web.client_address import client_address

if TYPE_CHECKING:
    from headrace.web.app import WebOptions


def address_of(request: Request) -> str:
    """The client's address, behind proxies that we trust."""
    options: WebOptions = request.app.state.options
    return client_address(request.scope, options.trusted_proxies)


def credential_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The only `Authorization`. Raises Unauthenticated for two: a proxy may have looked at the other one."""
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) > 1:
        raise Unauthenticated("This request has several credentials: send the header `Authorization` once.")
    return bytes(found[0]) if found else None
