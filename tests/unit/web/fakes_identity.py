"""The features of identity, as the doors see them: each call is written down and answered with what the test set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx2

from headrace.auth.oidc import Arrived
from headrace.auth.sign_in import TokenPair
from headrace.model.account import User
from headrace.model.principal import Principal, Role
from tests.unit.web import fakes
from tests.unit.web.fakes import NOW, World

USER_ID = "01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"
ADA = User(USER_ID, "ada", "ada@example.com", Role.USER, NOW, first_name="Ada", verified=True)
SIGNED_IN = Principal(USER_ID, "user", "ada", Role.USER, owner_id=USER_ID, session_id="s1")
PAIR = TokenPair("access-1", 900, "hrr_1_refresh")


class Feature:
    """Any method: `answers[name]` is returned, or raised when it is an error."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def called(*args: Any, **more: Any) -> Any:
            self.calls.append((name, args, more))
            answer = self.answers.get(name)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return called


class IdentityWorld(World):
    """Credentials: `admin`, `user` (API keys), `ada` (an access token)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sign_in = Feature(login=PAIR, refresh=PAIR, begin_session=PAIR)
        self.browser = Feature(begin="hrb_new", sign_in="hrb_new", principal_of=SIGNED_IN)
        self.registration = Feature(nobody_yet=False)
        self.users = Feature(
            me=ADA, change_me=ADA, list=[ADA], get=ADA, create=(ADA, "https://h/set-up?token=t"), change=ADA
        )
        self.keys, self.grants, self.usage = Feature(list=[]), Feature(list=[]), Feature(report=[])
        self.viewer_tokens, self.tokens = Feature(mint=("v.t.k", NOW)), Feature(jwks={"keys": []}, rotate="k2")
        begun = ("https://idp.example/auth?state=s", "sealed")
        self.oidc: Feature | None = Feature(begin=begun, finish=Arrived(ADA, None))
        for name in [name for name, feature in vars(self).items() if isinstance(feature, Feature)]:
            setattr(self.services, name, getattr(self, name))  # a namespace: see World

    def without_provider(self) -> IdentityWorld:
        self.services.oidc = None  # type: ignore[misc]  # the same
        return self

    async def ask(self, method: str, path: str, *, key: str | None = "admin", **more: Any) -> httpx2.Response:
        fakes.KEYS["Bearer ada"] = replace(SIGNED_IN)
        return await super().ask(method, path, key=key, **more)
