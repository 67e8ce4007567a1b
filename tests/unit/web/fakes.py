"""Services that answer from memory, and a client that calls the application without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import httpx2

from headrace.errors import Forbidden, NotFound, Unauthenticated
from headrace.model.bucket import Bucket, BucketStats
from headrace.model.event import StoredEvent
from headrace.model.metric import Metric
from headrace.model.permission import require, require_admin, view
from headrace.model.principal import Principal, Role
from headrace.model.view import View
from headrace.operations.health import Readiness
from headrace.services import Services
from headrace.web.app import WebOptions, create_app

NOW = 1_800_000_000_000_000
ADMIN = Principal("admin", "api_key", "bootstrap", Role.ADMIN)
USER = Principal("user", "api_key", "nobody", Role.USER)
SESSIONS = {"hrb_admin": replace(ADMIN, kind="user"), "hrb_user": replace(USER, kind="user")}
KEYS = {"Bearer admin": ADMIN, "Bearer user": USER}
DEFAULT = Bucket(1, "default", "", None, NOW)


def event(number: int, **more: Any) -> StoredEvent:
    blank = dict.fromkeys(("service", "action", "actor", "target", "outcome", "message", "trace_id", "span_id"))
    made = {"seq": number, "id": number, "time": NOW, "received_at": NOW, "level": 2, "attributes": None}
    return StoredEvent(**(blank | made | {"message": f"event {number}"} | more))


class Authenticator:
    def cached(self, authorization: bytes) -> Principal | None:
        return KEYS.get(authorization.decode("latin-1"))

    async def authenticate(self, authorization: str | None) -> Principal:
        raise Unauthenticated("This call needs a credential.")


class Catalog:
    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []

    def cached(self, name: str) -> Bucket | None:
        return DEFAULT if name == "default" else None

    async def resolve(self, name: str) -> Bucket:
        if name != "default":
            raise NotFound(f"There is no bucket {name!r}.", code="unknown-bucket")
        return DEFAULT

    async def create(self, principal: Principal, name: str, description: str, retention_days: int | None) -> Bucket:
        return Bucket(2, name, description, retention_days, NOW)

    async def list(self, principal: Principal) -> Sequence[Bucket]:
        return [DEFAULT]

    async def describe(self, principal: Principal, name: str) -> tuple[Bucket, BucketStats]:
        return await self.resolve(name), BucketStats(0, None, None)

    async def update(self, principal: Principal, name: str, **changes: Any) -> Bucket:
        self.updates.append(changes)
        return DEFAULT

    async def delete(self, principal: Principal, name: str, confirm: str | None) -> None:
        if principal.role is not Role.ADMIN:
            raise Forbidden("Only an administrator may do this.")


class Reader:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.events: list[StoredEvent] = [event(1)]
        self.error: BaseException | None = None

    async def list(self, view: View, wanted: object, **asked: Any) -> Any:
        self.asked.append({"filter": wanted, **asked})
        if self.error:
            raise self.error
        return SimpleNamespace(events=self.events, next_cursor=None)


@dataclass
class TailItem:
    position: int
    event: StoredEvent | None


@dataclass
class Tail:
    items: list[TailItem] = field(default_factory=list)
    after: list[int | None] = field(default_factory=list)
    error: BaseException | None = None

    def follow(self, view: View, wanted: object, after: int | None) -> AsyncIterator[TailItem]:
        if self.error:
            raise self.error
        self.after.append(after)
        return self._stream()

    async def _stream(self) -> AsyncIterator[TailItem]:
        yield TailItem(40, None)
        for item in self.items:
            yield item


class Counted:
    def __init__(self) -> None:
        self.requests: list[tuple[str, ...]] = []
        self.open = 0.0

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        if metric.name == "http_requests":
            self.requests.append(labels)
        if metric.name == "http_requests_in_flight":
            self.open += amount

    def watch(self, gauge: Metric, read: object) -> None: ...

    def observe(self, metric: Metric, value: float, *labels: str) -> None: ...

    def render(self) -> tuple[str, bytes]:
        return "text/plain; version=0.0.4", b"headrace_up 1\n"


class Health:
    def __init__(self) -> None:
        self.readiness = Readiness(ok=True, parts={"queue": "ok"})

    async def ready(self) -> Readiness:
        return self.readiness

    async def measure(self) -> None: ...

    async def status(self) -> dict[str, object]:
        return {"profile": "embedded"}


class OpenGate:
    """Lets everyone in."""

    limits_addresses = False

    def admit(self, principal: Principal, bucket: Bucket | None) -> SimpleNamespace:
        return SimpleNamespace(charge=lambda events, size: None, charge_rates=lambda tasks: None)

    async def enter(self, principal: Principal, bucket: Bucket | None) -> SimpleNamespace:
        return self.admit(principal, bucket)


class Browser:
    """Sessions of the console: `hrb_admin` and `hrb_user` are cookies of those."""

    async def principal_of(self, cookie: str) -> Principal:
        if cookie not in SESSIONS:
            raise Unauthenticated("Your session has ended: sign in again.")
        return SESSIONS[cookie]


class Registration:
    async def nobody_yet(self) -> bool:
        return False


class World:
    """The application with fakes behind it."""

    def __init__(self, **options: Any) -> None:
        self.buckets, self.reader, self.tail = Catalog(), Reader(), Tail()
        self.metrics, self.health = Counted(), Health()
        self.services = cast(
            "Services",
            SimpleNamespace(
                authenticator=Authenticator(), buckets=self.buckets, reader=self.reader, tail=self.tail,
                metrics=self.metrics, health=self.health, gate=OpenGate(), clock=SimpleNamespace(now=lambda: NOW),
                browser=Browser(), registration=Registration(), oidc=None,
                require=require, require_admin=require_admin, view=view,
            ),
        )  # fmt: skip
        self.app = create_app(self.services, WebOptions(version="1.2.3", **options))

    async def ask(self, method: str, path: str, *, key: str | None = "admin", **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx2.ASGITransport(app=self.app)  # type: ignore[arg-type]  # an ASGI callable
        async with httpx2.AsyncClient(transport=transport, base_url="http://headrace") as client:
            return await client.request(method, path, headers=headers | more.pop("headers", {}), **more)


async def raw(app: Any, scope: dict[str, Any], chunks: Sequence[bytes] = (b"",)) -> list[dict[str, Any]]:
    """Call `app` as a server does; what it sent. `chunks` come one after the other, and then the client stays."""
    sent: list[dict[str, Any]] = []
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def scope_of(method: str, path: str, query: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"spec_version": "2.3"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": query, "root_path": "", "scheme": "http",
        "headers": [*headers] if b"authorization" in dict(headers) else [(b"authorization", b"Bearer admin"), *headers],
        "client": ("127.0.0.1", 9), "server": ("127.0.0.1", 80),
    }  # fmt: skip


def body_of(sent: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent)


Problem = Callable[[httpx2.Response, int, str], None]


def assert_problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is the problem `code`; its document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"] == f"/problems/{code}"
    assert document["title"]
    assert document["detail"]
    return document
