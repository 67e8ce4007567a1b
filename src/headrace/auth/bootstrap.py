"""The first key: without it nobody could make a second one.

The file comes first and the row second, so that a crash in between leaves a key that the next start makes good. A
data directory that has none (a new one, or a second machine on the same database) gets its own, and `_audit` says so.
"""

from __future__ import annotations

import logging

from headrace.auth.keys import KeyParts, digest, matches, new_key, parse_key
from headrace.errors import Unusable
from headrace.kit.ids import uuid7
from headrace.model.account import ApiKey
from headrace.model.audit import AuditRecord
from headrace.model.principal import Role
from headrace.ports.clock import Clock
from headrace.ports.key_file import KeyFile
from headrace.ports.keys import Keys

_log = logging.getLogger(__name__)


async def ensure_admin_key(keys: Keys, key_file: KeyFile, clock: Clock) -> str:
    """The admin key of this data directory, made if there is none, and known to the control data from now on.

    A key that was revoked stays revoked, also when its file came back from a backup: its row keeps the id taken. The
    server starts all the same, without a good key in the file, and the log says how to get one: somebody who revoked
    it on purpose (a leaked file, say) is not handed another behind their back, and nobody is locked out of a server
    whose users sign in.

    Raises Unusable when the file holds something else, and Unavailable when the control data cannot be reached.
    """
    found = key_file.read()
    text = key_file.create(new_key()) if found is None else found
    parts = parse_key(text)
    if parts is None:
        raise Unusable(f"{key_file.place} does not hold an API key: restore it, or remove it to get a new one.")
    now = clock.now()
    key = ApiKey(parts.id, "bootstrap", digest(parts.secret), Role.ADMIN, now)
    await keys.add_key(key, _record(parts, now, made=found is None))
    known = await keys.find_key(parts.id)
    if known is None or not matches(parts.secret, known.key.secret_sha256):
        raise Unusable(f"The key in {key_file.place} is not the one that the control data knows: remove the file.")
    if known.key.revoked_at is not None:
        _log.warning(
            "the admin key in %s was revoked and stays so: to get a new one, remove the file and start again",
            key_file.place,
        )
    return text


def _record(parts: KeyParts, now: int, *, made: bool) -> AuditRecord:
    how = "made, since the data directory had none" if made else "taken over from the data directory"
    return AuditRecord(
        id=uuid7(now),
        time=now,
        action="key.created",
        actor_id="headrace",
        actor_type="system",
        target_id=parts.id,
        target_type="api_key",
        message=f"Bootstrap admin key {parts.id} {how}",
        attributes={"name": "bootstrap", "role": Role.ADMIN.value},
    )
