"""Users: who am I, and the administration of all."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import SecretStr
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from headrace.errors import Forbidden
from headrace.model.principal import USER
from headrace.web.caller import address_of
from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.param import ask
from headrace.web.params import LIMIT
from headrace.web.params_identity import AFTER, ID_PATH, QUERY, page_of
from headrace.web.schemas import Body
from headrace.web.schemas_accounts import NewUser, OwnChange, SetupLink, UserAnswer, UserChange, UserPage

routes = router("Users")


class _NotMe(Convertor[str]):
    """`me` is no id: what cannot be done to oneself is 405, not a user who is not there."""

    regex = "(?!me$)[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("not_me", _NotMe())
ONE_USER = "/v1/users/{id:not_me}"


@routes.get("/v1/users/me", response_model_exclude_none=True, summary="Who am I?", operation_id="me")
async def me(caller: Caller, services: Has) -> UserAnswer:
    """The user; for an API key its name and its role."""
    return UserAnswer.of(await services.users.me(caller)) if caller.kind == USER else UserAnswer.of_key(caller)


@routes.patch("/v1/users/me", response_model_exclude_none=True, summary="Change yourself", operation_id="change_me")
async def change_me(request: Request, asked: OwnChange, caller: Caller, services: Has) -> UserAnswer:
    """Only what is given changes. A new password ends all sessions, this one too."""
    if caller.kind != USER:
        raise Forbidden("An API key is no user: there is nothing of it to change here.", code="not-a-user")
    return UserAnswer.of(await services.users.change_me(caller, _given(asked), address_of(request)))


@routes.get(
    "/v1/users",
    response_model_exclude_none=True,
    summary="List users",
    operation_id="list_users",
    openapi_extra=documented(QUERY, LIMIT, AFTER),
)
async def every(request: Request, caller: Caller, services: Has) -> UserPage:
    """In the order in which they came. For managers and administrators."""
    limit = ask(request, LIMIT)
    found = await services.users.list(caller, ask(request, AFTER), limit + 1, ask(request, QUERY))
    page, cursor = page_of(found, limit, lambda user: user.id)
    return UserPage(users=[UserAnswer.of(user) for user in page], next_cursor=cursor)


@routes.post(
    "/v1/users", status_code=201, response_model_exclude_none=True, summary="Make a user", operation_id="make_user"
)
async def make(request: Request, asked: NewUser, caller: Caller, services: Has) -> UserAnswer:
    """For administrators. Without a password the answer has a `setup_url` to hand over: no mail is needed."""
    user, setup_url = await services.users.create(
        caller,
        username=asked.username,
        email=asked.email,
        role=asked.role,
        password=None if asked.password is None else asked.password.get_secret_value(),
        verified=asked.verified,
        first_name=asked.first_name,
        last_name=asked.last_name,
        address=address_of(request),
    )
    return UserAnswer.of(user, setup_url)


@routes.get(
    ONE_USER,
    response_model_exclude_none=True,
    summary="Get a user",
    operation_id="get_user",
    openapi_extra=documented(path=[ID_PATH]),
)
async def one(request: Request, caller: Caller, services: Has) -> UserAnswer:
    """For managers and administrators; everyone may get themselves."""
    return UserAnswer.of(await services.users.get(caller, request.path_params["id"]))


@routes.patch(
    ONE_USER,
    response_model_exclude_none=True,
    summary="Change a user",
    operation_id="change_user",
    openapi_extra=documented(path=[ID_PATH]),
)
async def change(request: Request, asked: UserChange, caller: Caller, services: Has) -> UserAnswer:
    """For administrators. Only what is given changes; who is disabled is signed out everywhere."""
    user_id = request.path_params["id"]
    return UserAnswer.of(await services.users.change(caller, user_id, _given(asked), address_of(request)))


@routes.post(
    f"{ONE_USER}/setup-link",
    status_code=201,
    response_model_exclude_none=True,
    summary="Make a new set-up link",
    operation_id="make_setup_link",
    openapi_extra=documented(path=[ID_PATH]),
)
async def set_up(request: Request, caller: Caller, services: Has) -> SetupLink:
    """For administrators: where the first one was lost or has expired. The user chooses a password with it, once."""
    made = await services.users.set_up(caller, request.path_params["id"], address_of(request))
    return SetupLink(setup_url=made)


@routes.delete(
    ONE_USER,
    status_code=204,
    summary="Delete a user",
    operation_id="delete_user",
    openapi_extra=documented(path=[ID_PATH]),
)
async def delete(request: Request, caller: Caller, services: Has) -> Response:
    """For administrators. With the user's sessions and grants; the user's keys are revoked."""
    await services.users.delete(caller, request.path_params["id"], address_of(request))
    return Response(status_code=204)


def _given(asked: Body) -> dict[str, Any]:
    """The fields that the body names, with secrets in the clear for the feature."""
    given = asked.model_dump(exclude_unset=True)
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in given.items()
    }
