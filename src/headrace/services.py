"""All that the doors may call: one frozen record of features, put together in `wiring.py`."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.auth.authenticate import Authenticator
from headrace.buckets.catalog import BucketCatalog
from headrace.ingest.intake import Intake
from headrace.model.permission import require, require_admin, view
from headrace.operations.backup import Backup
from headrace.operations.dead_letters import DeadLetterDesk
from headrace.operations.health import Health
from headrace.operations.restore import Restore
from headrace.ports.clock import Clock
from headrace.ports.metrics import Metrics
from headrace.query.export import Export
from headrace.query.reader import Reader
from headrace.query.tail import Tail


@dataclass(frozen=True, slots=True)
class Services:
    """What `web` sees of Headrace. Nothing in it knows of HTTP."""

    authenticator: Authenticator
    buckets: BucketCatalog
    intake: Intake
    reader: Reader
    tail: Tail
    export: Export
    dead_letters: DeadLetterDesk
    health: Health
    backup: Backup
    restore: Restore
    metrics: Metrics
    clock: Clock

    require = staticmethod(require)
    require_admin = staticmethod(require_admin)
    view = staticmethod(view)
