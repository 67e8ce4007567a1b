"""`http.request`: asks a URL, and tells what it answered. What may be reached is up to `kit/outbound`."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Final, Literal

import pydantic

from headrace.handlers.context import Context
from headrace.handlers.declare import Declared
from headrace.handlers.outcome import Failed, RetryLater
from headrace.kit.json_value import as_json
from headrace.kit.outbound import Guard, Refused, place_of
from headrace.kit.outbound_http import Answer, Request, Unanswered, exchange

_SHOWN: Final = ("content-type", "content-length", "date", "etag", "last-modified", "location", "retry-after")
_AGAIN: Final = frozenset((408, 425, 429))  # and 5xx: what asks for another try
_LONGEST_WAIT: Final = 86_400.0  # a Retry-After of a year would be a task that never ends
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_TIMEOUT: Final = 330.0  # of the task: longer than the longest of the request


def _url(text: str) -> str:
    place_of(text)
    return text


Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Url = Annotated[str, pydantic.AfterValidator(_url)]
Seconds = Annotated[float, pydantic.Field(gt=0, le=300)]
Status = Annotated[int, pydantic.Field(ge=100, le=599)]


def http_request(guard: Guard) -> Declared:
    """The handler for a server that may reach what `guard` allows."""

    async def request(
        ctx: Context,
        url: Url,
        method: Method = "GET",
        headers: dict[str, str] | None = None,
        json: Any = None,
        body: str | None = None,
        timeout: Seconds = 30.0,
        expect: list[Status] | None = None,
    ) -> dict[str, object]:
        """Asks a URL. `json` or `body` is sent; `expect` lists the statuses that are a success, by default 200 to 299.

        429, 408, 425, 5xx and no answer are tried again, when Retry-After says so; other statuses fail for good.
        """
        if json is not None and body is not None:
            raise Failed("give json or body, not both")
        asked = _request(ctx, method, url, headers or {}, json, body, timeout)
        try:
            answer = await exchange(guard, asked)
        except Refused as exc:
            raise Failed(str(exc)) from exc
        except Unanswered as exc:
            raise RetryLater(str(exc)) from exc
        _judge(answer, expect)
        return _result(answer)

    return Declared("http.request", request, timeout=_TIMEOUT)


def _request(
    ctx: Context, method: str, url: str, headers: dict[str, str], json: Any, body: str | None, timeout: float
) -> Request:
    """With the task's id as Idempotency-Key: another attempt of it can be recognised where it arrives."""
    given = {name.lower() for name in headers}
    ours: dict[str, str] = {}
    if json is not None and "content-type" not in given:
        ours["Content-Type"] = "application/json"
    if method not in _SAFE and "idempotency-key" not in given:
        ours["Idempotency-Key"] = ctx.task_id
    content = as_json(json) if json is not None else (body or "").encode()
    return Request(method, url, {**ours, **headers}, content, timeout)


def _judge(answer: Answer, expect: list[int] | None) -> None:
    status = answer.status
    if status in expect if expect is not None else 200 <= status <= 299:
        return
    text = f"it answered {status}"
    if status in _AGAIN or status >= 500:
        raise RetryLater(text, after=_retry_after(answer.headers.get("retry-after", "")))
    if 300 <= status <= 399:
        raise Failed(f"{text}: redirects are not followed")
    raise Failed(text)


def _retry_after(value: str) -> float | None:
    """Seconds, or a date (RFC 9110, 10.2.3)."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _LONGEST_WAIT)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _result(answer: Answer) -> dict[str, object]:
    shown = {name: answer.headers[name][:1024] for name in _SHOWN if name in answer.headers}
    body = answer.body.decode("utf-8", "replace")
    whole = {} if answer.is_whole else {"truncated": True}
    return {"status": answer.status, "headers": shown, "body": body, **whole}
