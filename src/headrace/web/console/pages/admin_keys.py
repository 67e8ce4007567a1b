"""API keys: a visitor's own, for administrators all. A key is shown in the answer to its making, and never again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from fastapi import Request
from starlette.responses import Response

from headrace.errors import NotFound
from headrace.kit.times import DAY, from_datetime
from headrace.model.account import ApiKey
from headrace.model.bucket import Bucket
from headrace.model.permission import allowed
from headrace.model.principal import Permission, Principal, Role
from headrace.services import Services
from headrace.web.caller import address_of
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.admin_answers import base_url, done, show
from headrace.web.console.pages.admin_forms import Form, typed
from headrace.web.deps import Has

routes = pages("Administration")
_PAGE = 50
_PICKED = 100  # buckets with boxes; more are written as lines
_RATE_LIMIT = 10**9
EXPIRIES = {
    "1": "in a day", "7": "in 7 days", "30": "in 30 days", "90": "in 90 days", "365": "in a year",
    "day": "on the day …", "never": "never",
}  # fmt: skip
_USUAL = "90"


@routes.get("/admin/keys")
async def every(request: Request, me: Visitor, services: Has) -> Response:
    is_admin = me.role is Role.ADMIN
    whose = "all" if is_admin and request.query_params.get("whose") == "all" else "mine"
    after = request.query_params.get("after", "")[:64] or None
    found = await services.keys.list(me, after, _PAGE + 1, None if whose == "all" else me.owner_id)
    page = found[:_PAGE]
    owners = await _owners(services, me, (key for key, _ in page)) if whose == "all" else {}
    return show(
        request, "admin/keys.html", keys=page, whose=whose, is_admin=is_admin, owners=owners,
        is_first=after is None, after=page[-1][0].id if len(found) > _PAGE else None,
    )  # fmt: skip


@routes.get("/admin/keys/new")
async def new(request: Request, me: Visitor, services: Has) -> Response:
    """`bucket` in the query: for which one to begin with."""
    return await _new_page(request, me, services, Form())


@routes.post("/admin/keys/new")
async def make(request: Request, me: Visitor, services: Has) -> Response:
    form = await typed(request)
    grants = _grants(form)
    expires_at = _expiry(form, services.clock.now())
    rate_limit = form.number("rate_limit", _RATE_LIMIT, "for no limit of its own")
    if form.ok:
        with form:
            key, text = await services.keys.create(
                me, form.text("name"), grants, expires_at, rate_limit, address_of(request)
            )
            return show(
                request, "admin/made_key.html", 201, key=key, text=text, grants=grants, base_url=base_url(request)
            )
    return await _new_page(request, me, services, form)


@routes.get("/admin/keys/{id}/revoke")
async def ask_revoke(request: Request, me: Visitor, services: Has) -> Response:
    key = await services.keys.get(me, request.path_params["id"])
    owners = await _owners(services, me, [key])
    return show(request, "admin/revoke_key.html", key=key, owners=owners)


@routes.post("/admin/keys/{id}/revoke")
async def revoke(request: Request, me: Visitor, services: Has) -> Response:
    key = await services.keys.get(me, request.path_params["id"])
    await services.keys.revoke(me, key.id, address_of(request))
    whose = "" if key.owner_id == me.id else "?whose=all"
    return done(request, f"/admin/keys{whose}", "key-revoked")


async def _new_page(request: Request, me: Principal, services: Services, form: Form) -> Response:
    buckets = await services.buckets.list(me)
    wanted = request.query_params.get("bucket", "")
    buckets = sorted(buckets, key=lambda bucket: bucket.name != wanted)  # the wanted one first
    offered = [(bucket, _offered(me, bucket)) for bucket in buckets[:_PICKED]]
    return show(
        request, "admin/new_key.html", 200 if form.ok else 422, form=form, offered=offered, wanted=wanted,
        more=len(buckets) - len(offered), expiries=EXPIRIES, usual=_USUAL,
    )  # fmt: skip


def _offered(me: Principal, bucket: Bucket) -> list[str]:
    """What a key of this visitor may do there: of the system's buckets it only ever reads."""
    most = (Permission.READ,) if bucket.is_system else tuple(Permission)
    return [permission.value for permission in most if allowed(me, bucket, permission)]


def _grants(form: Form) -> list[tuple[str, frozenset[Permission]]]:
    """From the boxes (`grant` is `bucket:permission`) and from the lines (`bucket read write`)."""
    named: dict[str, frozenset[Permission]] = {}
    lines = [line.split() for line in form.get("more").splitlines() if line.strip()]
    picked = [[bucket, permission] for bucket, _, permission in (one.partition(":") for one in form.all("grant"))]
    for bucket, *words in [*picked, *lines]:
        if not words or any(word not in list(Permission) for word in words):
            form.wrong("more", f"After {bucket[:63]} there must be read, write or manage.")
            continue
        named[bucket] = named.get(bucket, frozenset()) | {Permission(word) for word in words}
    if not named and not form.errors:
        form.wrong("grants", "Choose at least one: a key without any can do nothing.")
    return list(named.items())


def _expiry(form: Form, now: int) -> int | None:
    """µs; the end of a day is midnight UTC."""
    chosen = form.get("expires")
    if chosen == "never":
        return None
    if chosen != "day":
        return now + int(chosen if chosen in EXPIRIES else _USUAL) * DAY
    try:
        day = datetime.strptime(form.text("day"), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        form.wrong("day", "Choose a day, as in 2030-12-31.")
        return None
    if (at := from_datetime(day) + DAY) <= now:
        form.wrong("day", "Must be today or later.")
    return at


async def _owners(services: Services, me: Principal, keys: Iterable[ApiKey]) -> Mapping[str, str]:
    """Ids of those who answer for the keys → what they are called, as far as the visitor may know."""
    names: dict[str, str] = {}
    for owner in {key.owner_id for key in keys if key.owner_id is not None}:
        try:
            names[owner] = (await services.users.get(me, owner)).username
        except NotFound:
            continue
    return names
