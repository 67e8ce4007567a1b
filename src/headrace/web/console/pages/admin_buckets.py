"""Buckets: those that a visitor may see, what is in them, how long it is kept, and who may do what there."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from starlette.responses import Response

from headrace.errors import Forbidden, Unavailable
from headrace.kit.times import DAY
from headrace.model.bucket import DEFAULT_BUCKET, Bucket, BucketStats
from headrace.model.permission import (
    allowed,
    may_make_buckets,
    may_read_users,
    may_see,
    require_bucket_maker,
    unknown_bucket,
)
from headrace.model.principal import Permission, Principal, Role
from headrace.model.query import EventFilter
from headrace.services import Services
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.admin_answers import base_url, done, show
from headrace.web.console.pages.admin_forms import Form, typed
from headrace.web.deps import Has

routes = pages("Administration")
_PAGE = 50
_RETENTION_DAYS = 36_500
_MOST = 2**53 - 1
_FOR_EVER = "to keep for ever"


@dataclass(frozen=True, slots=True)
class Row:
    """`stats` is None where the visitor may not read, or the store gives no answer."""

    bucket: Bucket
    may: tuple[str, ...]
    stats: BucketStats | None


@routes.get("/admin/buckets")
async def every(request: Request, me: Visitor, services: Has) -> Response:
    q = request.query_params.get("q", "").strip()[:100]
    after = request.query_params.get("after", "")
    seen = await services.buckets.list(me)
    found = [bucket for bucket in seen if q.lower() in f"{bucket.name} {bucket.description.lower()}"]
    page = [bucket for bucket in found if bucket.name > after][: _PAGE + 1]
    rows = [await row(services, me, bucket) for bucket in page[:_PAGE]]  # one by one: the store reads four at once
    return show(
        request, "admin/buckets.html", rows=rows, q=q, total=len(found), may_make=may_make_buckets(me),
        after=page[_PAGE - 1].name if len(page) > _PAGE else None,
    )  # fmt: skip


@routes.get("/admin/buckets/~new")
async def new(request: Request, me: Visitor) -> Response:
    require_bucket_maker(me)
    return show(request, "admin/new_bucket.html", form=Form())


@routes.post("/admin/buckets/~new")
async def make(request: Request, me: Visitor, services: Has) -> Response:
    form = await typed(request)
    days = form.number("retention_days", _RETENTION_DAYS, _FOR_EVER)
    if form.ok:
        with form:
            made = await services.buckets.create(me, form.text("name"), form.text("description"), days)
            return done(request, f"/admin/buckets/{made.name}", "bucket-made")
    return show(request, "admin/new_bucket.html", 422, form=form)


@routes.get("/admin/buckets/{bucket}")
async def one(request: Request, me: Visitor, services: Has) -> Response:
    return await bucket_page(request, me, services, Form())


@routes.post("/admin/buckets/{bucket}/settings")
async def change(request: Request, me: Visitor, services: Has) -> Response:
    """A retention that deletes events which are there asks first."""
    form = await typed(request)
    bucket = await services.buckets.permitted(me, request.path_params["bucket"], Permission.MANAGE)
    days = form.number("retention_days", _RETENTION_DAYS, _FOR_EVER)
    quota = {
        "events_per_second": form.number("events_per_second", _MOST, "for no limit"),
        "bytes_per_day": form.size("bytes_per_day"),
    }
    if form.ok:
        lost = await _too_old(services, me, bucket, days)
        if lost and form.get("confirmed") != str(days):
            return await bucket_page(request, me, services, form, lost=lost, days=days)
        with form:
            await services.buckets.update(
                me, bucket.name, description=form.text("description"), retention_days=days, quota=quota
            )
            return done(request, f"/admin/buckets/{bucket.name}", "bucket-changed")
    return await bucket_page(request, me, services, form)


@routes.get("/admin/buckets/{bucket}/delete")
async def ask_delete(request: Request, me: Visitor, services: Has) -> Response:
    return await _delete_page(request, me, services, Form())


@routes.post("/admin/buckets/{bucket}/delete")
async def delete(request: Request, me: Visitor, services: Has) -> Response:
    form, name = await typed(request), request.path_params["bucket"]
    if form.text("confirm") != name:
        form.wrong("confirm", f"Type {name} to delete it.")
        return await _delete_page(request, me, services, form)
    await services.buckets.delete(me, name, name)
    return done(request, "/admin/buckets", "bucket-deleted")


async def row(services: Services, me: Principal, bucket: Bucket) -> Row:
    may = tuple(permission.value for permission in Permission if allowed(me, bucket, permission))
    try:
        _, stats = await services.buckets.describe(me, bucket.name)
    except (Forbidden, Unavailable):
        return Row(bucket, may, None)
    return Row(bucket, may, stats)


async def bucket_page(
    request: Request, me: Principal, services: Services, form: Form, grant_form: Form | None = None, **values: object
) -> Response:
    """The whole page of one bucket: each of its forms shows it again with what was typed."""
    bucket = await services.buckets.resolve(request.path_params["bucket"])
    if not may_see(me, bucket):
        raise unknown_bucket(bucket.name)
    here = await row(services, me, bucket)
    grants = None
    if "manage" in here.may and (not bucket.is_system or me.role is Role.ADMIN):
        grants = await services.grants.list(me, bucket.name)
    asked = {"lost": None, "days": None, "undo": None} | values
    sent = form if form.sent else grant_form or form
    return show(
        request, "admin/bucket.html", 200 if sent.ok else 422,
        row=here, bucket=bucket, grants=grants, form=form, grant_form=grant_form or Form(), base_url=base_url(request),
        may_delete=_may_delete(me, bucket), may_read_users=may_read_users(me), **asked,
    )  # fmt: skip


async def _delete_page(request: Request, me: Principal, services: Services, form: Form) -> Response:
    bucket = await services.buckets.permitted(me, request.path_params["bucket"], Permission.MANAGE)
    here = await row(services, me, bucket)
    return show(request, "admin/delete_bucket.html", 200 if form.ok else 422, row=here, form=form)


async def _too_old(services: Services, me: Principal, bucket: Bucket, days: int | None) -> int:
    """How many events would be deleted that stay as things are."""
    if days is None or (bucket.retention_days is not None and days >= bucket.retention_days):
        return 0
    until = services.clock.now() - days * DAY
    _, stats = await services.buckets.describe(me, bucket.name)
    if stats.oldest is None or stats.oldest >= until:
        return 0
    found = await services.reader.histogram(services.view(me, bucket), EventFilter(until=until))
    return sum(bar.count for bar in found.bars)


def _may_delete(me: Principal, bucket: Bucket) -> bool:
    return allowed(me, bucket, Permission.MANAGE) and not bucket.is_system and bucket.name != DEFAULT_BUCKET

