"""The pages that the links in mail lead to. Looking at one changes nothing: mail programs open links too. Its script
takes the token out of the address bar and sends it in a body when the button is pressed."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

from headrace.web.door import documented, router

routes = router("Pages")
_OPEN = documented(is_open=True, strict=False)  # the token is read in the browser; mail programs add others

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"content-security-policy": _POLICY, "cache-control": "no-store"}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · Headrace</title>
<link rel="stylesheet" href="/static/links/links.css">
<script src="/static/links/links.js" defer></script>
</head>
<body>
<main data-page="{page}">
<p class="brand">Headrace</p>
<h1>{title}</h1>
<div id="ask">
<p id="intro">{intro}</p>
<form id="form" method="post" novalidate hidden>
{fields}
<button type="submit" id="send">{button}</button>
</form>
</div>
<div id="told" role="status" tabindex="-1"></div>
<noscript><p class="problem">This page needs JavaScript: it keeps the secret of your link out of your browser's
history. Allow it for this address, and open the link again.</p></noscript>
</main>
</body>
</html>
"""
_CHOOSE = """<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" required minlength="10"
 maxlength="1024" aria-describedby="rules wrong" autocapitalize="none" spellcheck="false">
<p id="rules" class="hint">At least 10 characters. A few words that do not belong together make a good one.</p>
<p id="wrong" class="problem" role="alert" hidden></p>
<label class="check"><input id="show" type="checkbox"> Show the password</label>"""

_VERIFY = _PAGE.format(
    page="verify", title="Confirm your e-mail address", fields="", button="Confirm",
    intro="Somebody registered with this address. If it was you, confirm; if not, close this page: nothing happens.",
)  # fmt: skip
_RESET = _PAGE.format(
    page="reset-password", title="Choose a new password", fields=_CHOOSE, button="Set the new password",
    intro="You will be signed out everywhere, and can sign in with the new password at once.",
)  # fmt: skip
_SET_UP = _PAGE.format(
    page="set-up", title="Set up your account", fields=_CHOOSE, button="Set the password",
    intro="An administrator made an account for you. Choose its password; nobody else will know it.",
)  # fmt: skip


@routes.get("/verify", include_in_schema=False, openapi_extra=_OPEN)
async def verify() -> Response:
    return HTMLResponse(_VERIFY, headers=_HEADERS)


@routes.get("/reset-password", include_in_schema=False, openapi_extra=_OPEN)
async def reset_password() -> Response:
    return HTMLResponse(_RESET, headers=_HEADERS)


@routes.get("/set-up", include_in_schema=False, openapi_extra=_OPEN)
async def set_up() -> Response:
    return HTMLResponse(_SET_UP, headers=_HEADERS)
