"""Dead letters: look, and replay. For administrators."""

from __future__ import annotations

from fastapi import Request

from headrace.errors import Invalid, ItemError
from headrace.kit.ids import format_id
from headrace.kit.times import format_time, parse_time
from headrace.web.deps import Admin, Has
from headrace.web.door import documented, router
from headrace.web.param import ask
from headrace.web.params import CURSOR, LETTER_BUCKET, LETTER_SINCE, LIMIT
from headrace.web.schemas import DeadLetterAnswer, DeadLetterPage, ReplayBody, Replayed

routes = router("Operations")


@routes.get(
    "/v1/dead-letters",
    response_model_exclude_none=True,
    summary="List what could not be stored",
    operation_id="list_dead_letters",
    openapi_extra=documented(LETTER_BUCKET, LETTER_SINCE, LIMIT, CURSOR),
)
async def page(request: Request, admin: Admin, services: Has) -> DeadLetterPage:
    """Acknowledged events that the store refused, each with its reason. Newest first."""
    names = {bucket.id: bucket.name for bucket in await services.buckets.list(admin)}
    name = ask(request, LETTER_BUCKET)
    found = await services.dead_letters.list(
        bucket_id=(await services.buckets.resolve(name)).id if name is not None else None,
        since=ask(request, LETTER_SINCE),
        limit=ask(request, LIMIT),
        cursor=ask(request, CURSOR),
    )
    letters = [
        DeadLetterAnswer(
            id=format_id(letter.id),
            bucket=names.get(letter.bucket_id) if letter.bucket_id is not None else None,
            reason=letter.reason,
            received_at=format_time(letter.received_at),
            payload=services.dead_letters.shown(letter),
        )
        for letter in found.letters
    ]
    return DeadLetterPage(dead_letters=letters, next_cursor=found.next_cursor)


@routes.post("/v1/dead-letters/replay", summary="Try dead letters again", operation_id="replay_dead_letters")
async def replay(asked: ReplayBody, admin: Admin, services: Has) -> Replayed:
    """Puts them back into the queue, durably. What still cannot be stored comes back as a new dead letter."""
    given = asked.model_fields_set
    ids = asked.ids if "ids" in given else None
    since = _since(str(asked.since)) if "since" in given else None
    return Replayed(replayed=await services.dead_letters.replay(admin, ids, since))


def _since(text: str) -> int:
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as exc:
        item = ItemError("invalid-time", "must be an RFC 3339 time with its offset, or an epoch number", field="since")
        raise Invalid("`since` is not a time.", items=[item]) from exc
