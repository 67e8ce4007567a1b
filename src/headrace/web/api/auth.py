"""The doors of signing in: registering, the links in mail, sessions. Open to all; what can be guessed is limited.

Answers never tell whether a name or an address is known: not by their words, and not by their time.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import Response

from headrace.errors import Forbidden, Unauthenticated
from headrace.web.caller import address_of
from headrace.web.deps import Has, authenticate
from headrace.web.door import documented, router
from headrace.web.schemas_accounts import (
    EmailAddress,
    LinkToken,
    Login,
    NewPasswordByLink,
    Noted,
    PasswordForm,
    RefreshToken,
    Registration,
    TokenAnswer,
)

routes = router("Signing in")
TOKEN_PATH = "/v1/auth/token"  # noqa: S105 - a path
_OPEN = documented(is_open=True)
_REGISTERED = "If the name and the address are free, a mail is on its way to it: open the link in it within a day."
_RESET = "If there is an account with this address, a mail is on its way to it."


@routes.post("/v1/auth/register", status_code=202, summary="Register", operation_id="register", openapi_extra=_OPEN)
async def register(request: Request, asked: Registration, services: Has) -> Noted:
    """Mails a verification link. The answer is the same for names and addresses that are taken."""
    await services.registration.register(
        asked.username,
        asked.email,
        asked.password.get_secret_value(),
        asked.first_name,
        asked.last_name,
        address_of(request),
    )
    return Noted(detail=_REGISTERED)


@routes.post(
    "/v1/auth/verify", status_code=204, summary="Use a verification link", operation_id="verify", openapi_extra=_OPEN
)
async def verify(request: Request, asked: LinkToken, services: Has) -> Response:
    """With the token of the link, which is good once."""
    await services.registration.verify(asked.token.get_secret_value(), address_of(request))
    return Response(status_code=204)


@routes.post("/v1/auth/login", summary="Sign in", operation_id="login", openapi_extra=documented(is_open=True))
async def login(request: Request, asked: Login, services: Has) -> TokenAnswer:
    """With the username or the e-mail address. 401 is the same for unknown users and wrong passwords."""
    pair = await services.sign_in.login(asked.username, asked.password.get_secret_value(), address_of(request))
    return TokenAnswer.of(pair)


@routes.post(TOKEN_PATH, summary="Sign in with the OAuth2 form", operation_id="token", openapi_extra=_OPEN)
async def token(request: Request, asked: Annotated[PasswordForm, Form()], services: Has) -> TokenAnswer:
    """The password grant of RFC 6749: for *Authorize* in /docs and for OAuth2 clients. Errors are problems, as ever."""
    pair = await services.sign_in.login(asked.username, asked.password.get_secret_value(), address_of(request))
    return TokenAnswer.of(pair)


@routes.post("/v1/auth/refresh", summary="Get a new pair of tokens", operation_id="refresh", openapi_extra=_OPEN)
async def refresh(request: Request, asked: RefreshToken, services: Has) -> TokenAnswer:
    """The refresh token is dead afterwards; using it again ends the session."""
    pair = await services.sign_in.refresh(asked.refresh_token.get_secret_value(), address_of(request))
    return TokenAnswer.of(pair)


@routes.post(
    "/v1/auth/logout",
    status_code=204,
    summary="Sign out",
    operation_id="logout",
    openapi_extra=documented(security=[{"key": []}, {"password": []}, {}]),
)
async def logout(request: Request, services: Has, asked: RefreshToken | None = None) -> Response:
    """Ends the session of the access token; without one, that of the `refresh_token` in the body."""
    address = address_of(request)
    if "authorization" in request.headers:
        caller = await authenticate(request)
        if caller.session_id is None:
            raise Forbidden("Only a user who signed in here can sign out: this credential is of no session.",
                            code="no-session")  # fmt: skip
        await services.sign_in.logout(caller.session_id, caller, address)
    elif asked is not None:
        await services.sign_in.logout_by_refresh(asked.refresh_token.get_secret_value(), address)
    else:
        raise Unauthenticated("Who is signing out? Send the access token, or the refresh token in the body.")
    return Response(status_code=204)


@routes.post(
    "/v1/auth/password-reset",
    status_code=202,
    summary="Ask for a link to choose a new password",
    operation_id="ask_password_reset",
    openapi_extra=_OPEN,
)
async def ask_reset(request: Request, asked: EmailAddress, services: Has) -> Noted:
    """Mails a link. The answer is the same for addresses that nobody has."""
    await services.registration.ask_reset(asked.email, address_of(request))
    return Noted(detail=_RESET)


@routes.post(
    "/v1/auth/password-reset/confirm",
    status_code=204,
    summary="Choose a new password",
    operation_id="reset_password",
    openapi_extra=_OPEN,
)
async def reset(request: Request, asked: NewPasswordByLink, services: Has) -> Response:
    """With the token of the link, which is good once. Ends all sessions of the user."""
    await services.registration.reset(
        asked.token.get_secret_value(), asked.password.get_secret_value(), address_of(request)
    )
    return Response(status_code=204)
