"""What ids are called: in `_audit` the actors and targets are our users and keys, whose names are not in the events.

Only names that the visitor may look up anyway.
"""

from __future__ import annotations

from collections.abc import Iterable

from headrace.errors import HeadraceError
from headrace.model.bucket import AUDIT_BUCKET
from headrace.model.event import StoredEvent
from headrace.model.principal import API_KEY, USER, Principal
from headrace.query.sentences import mentioned
from headrace.services import Services

_MOST = 60  # each is a look into the control data; a page rarely has ten


async def names_in(
    bucket: str, events: Iterable[StoredEvent], visitor: Principal, services: Services
) -> dict[str, str]:
    """Id → name, of those in these events."""
    if bucket != AUDIT_BUCKET:
        return {}
    found = dict.fromkeys(pair for event in events for pair in mentioned(event))
    return await names_of(list(found)[:_MOST], visitor, services)


async def names_of(wanted: Iterable[tuple[str, str]], visitor: Principal, services: Services) -> dict[str, str]:
    """(kind, id) → name. Those that are gone, or not for the visitor to see, are left out."""
    names: dict[str, str] = {}
    for kind, known in wanted:
        try:
            if kind == USER:
                names[known] = (await services.users.get(visitor, known)).username
            elif kind == API_KEY:
                names[known] = (await services.keys.get(visitor, known)).name
        except HeadraceError:
            continue
    return names
