"""All that the doors may call: one frozen record of features, put together in `wiring/`."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.auth.authenticate import Authenticator
from headrace.auth.browser import BrowserSessions
from headrace.auth.key_desk import KeyDesk
from headrace.auth.oidc import Oidc
from headrace.auth.registration import Registration
from headrace.auth.sign_in import SignIn
from headrace.auth.tokens import AccessTokens
from headrace.auth.users import UserDesk
from headrace.auth.viewer import ViewerTokens
from headrace.buckets.catalog import BucketCatalog
from headrace.buckets.grants import GrantDesk
from headrace.ingest.intake import Intake
from headrace.metering.gate import Gate
from headrace.metering.usage import UsageDesk
from headrace.model.permission import require, require_admin, view
from headrace.operations.backup import Backup
from headrace.operations.dead_letters import DeadLetterDesk
from headrace.operations.health import Health
from headrace.operations.history import History
from headrace.operations.restore import Restore
from headrace.ports.clock import Clock
from headrace.ports.metrics import Metrics
from headrace.query.export import Export
from headrace.query.exports import Exports
from headrace.query.reader import Reader
from headrace.query.saved import SavedSearchDesk
from headrace.query.tail import Tail
from headrace.tasks.desk import TaskDesk
from headrace.tasks.leasing import LeaseDesk
from headrace.tasks.queues import QueueDesk
from headrace.tasks.schedules import ScheduleDesk
from headrace.tasks.submission import Submission


@dataclass(frozen=True, slots=True)
class Services:
    """What `web` sees of Headrace. Nothing in it knows of HTTP."""

    authenticator: Authenticator
    sign_in: SignIn
    browser: BrowserSessions
    registration: Registration
    users: UserDesk
    keys: KeyDesk
    tokens: AccessTokens
    viewer_tokens: ViewerTokens
    oidc: Oidc | None
    """None when no OpenID provider is set up."""
    grants: GrantDesk
    gate: Gate
    usage: UsageDesk
    buckets: BucketCatalog
    intake: Intake
    reader: Reader
    saved: SavedSearchDesk
    tail: Tail
    export: Export
    exports: Exports
    submission: Submission
    tasks: TaskDesk
    leasing: LeaseDesk
    task_queues: QueueDesk
    schedules: ScheduleDesk
    dead_letters: DeadLetterDesk
    health: Health
    history: History
    backup: Backup
    restore: Restore
    metrics: Metrics
    clock: Clock

    require = staticmethod(require)
    require_admin = staticmethod(require_admin)
    view = staticmethod(view)
