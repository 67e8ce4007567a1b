"""The API's documentation, offline, and the static files that it and the pages need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from headrace.web.answers import JsonBytes
from headrace.web.door import documented, router

if TYPE_CHECKING:
    from headrace.web.app import WebOptions

STATIC = Path(__file__).parent.parent / "static"
SWAGGER = "/static/swagger-ui-5.35.0"
_VERSIONED = re.compile(r"[^/]+-\d+\.\d+\.\d+/")

routes = router("Pages")
_OPEN = documented(is_open=True)

# Swagger UI sets styles on elements and draws its icons from data: URLs; no script but ours and its own runs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"content-security-policy": _POLICY, "cache-control": "no-cache"}

_DOCS = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Headrace: the API</title>
<link rel="stylesheet" href="/static/docs/page.css">
<link rel="stylesheet" href="{SWAGGER}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{SWAGGER}/swagger-ui-bundle.js"></script>
<script src="/static/docs/init.js"></script>
</body>
</html>
"""


@routes.get("/docs", include_in_schema=False, openapi_extra=_OPEN)
async def docs() -> Response:
    return HTMLResponse(_DOCS, headers=_HEADERS)


@routes.get("/openapi.json", include_in_schema=False, openapi_extra=_OPEN)
async def openapi(request: Request) -> Response:
    body: bytes = request.app.state.openapi_json()
    return JsonBytes(body, headers={"cache-control": "no-cache"})


class Static(StaticFiles):
    """Vendored files have their version in their path, and those of the console (`?v=`) what is in them, so that
    browsers may keep them; the rest changes with the program."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = _kept(path, scope["query_string"])
        return response


def _kept(path: str, query: bytes) -> str:
    if query.startswith(b"v="):
        return "public, max-age=31536000, immutable"
    return "public, max-age=86400" if _VERSIONED.match(path) else "no-cache"


def address_here(request: Request) -> str:
    """As set, or from the socket; never from the Host header: that is the client's word."""
    options: WebOptions = request.app.state.options
    if options.base_url:
        return options.base_url
    server = request.scope.get("server") or ("127.0.0.1", 8000)
    host, port = server[0], server[1]
    return f"{request.scope['scheme']}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
