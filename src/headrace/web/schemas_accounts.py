"""The shapes of signing in and of users."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, StrictBool, StrictStr

from headrace.auth.sign_in import TokenPair
from headrace.kit.times import format_time
from headrace.model.account import User
from headrace.model.principal import Principal, Role
from headrace.web.fields import Email, NewPassword, PersonName, Secret, Username
from headrace.web.schemas import Absent, Body, QuotaAnswer, QuotaBody, Time

# --- Signing in ---------------------------------------------------------------------------------------------------


class Registration(Body):
    username: Username
    email: Email
    password: NewPassword
    first_name: PersonName | None = None
    last_name: PersonName | None = None


class LinkToken(Body):
    token: Secret


class Login(Body):
    username: Annotated[StrictStr, Field(min_length=1, max_length=1_024, examples=["ada"])] = Field(
        description="The username or the e-mail address."
    )
    password: Secret


class PasswordForm(Body):
    """RFC 6749, 4.3.2. The client's own id and secret are nothing to us."""

    username: Annotated[StrictStr, Field(min_length=1, max_length=1_024)]
    password: Secret
    grant_type: Literal["password"] = "password"
    scope: Annotated[str, Field(max_length=1_024)] = ""
    client_id: Annotated[str, Field(max_length=1_024)] = ""
    client_secret: Annotated[SecretStr, Field(max_length=1_024)] = SecretStr("")


class RefreshToken(Body):
    refresh_token: Secret


class EmailAddress(Body):
    email: Email


class NewPasswordByLink(Body):
    token: Secret
    password: NewPassword


class TokenAnswer(BaseModel):
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a kind
    expires_in: int = Field(description="Seconds.", examples=[900])
    refresh_token: str = Field(description="For one use.")

    @classmethod
    def of(cls, pair: TokenPair) -> TokenAnswer:
        return cls(access_token=pair.access_token, expires_in=pair.expires_in, refresh_token=pair.refresh_token)


class Noted(BaseModel):
    """The same whatever is known of the name and the address."""

    detail: str


# --- Users --------------------------------------------------------------------------------------------------------


class UserAnswer(BaseModel):
    id: str
    username: str
    email: str | Absent = None
    role: Role
    first_name: str | Absent = None
    last_name: str | Absent = None
    created_at: Time | Absent = None
    verified: bool
    disabled: bool | Absent = None
    quota: QuotaAnswer | Absent = None
    setup_url: str | Absent = Field(None, description="Where the new user chooses a password, once. Shown this once.")

    @classmethod
    def of(cls, user: User, setup_url: str | None = None) -> UserAnswer:
        quota = QuotaAnswer(events_per_second=user.quota.events_per_second, bytes_per_day=user.quota.bytes_per_day)
        return cls(
            id=user.id,
            username=user.username,
            email=user.email,
            role=user.role,
            first_name=user.first_name,
            last_name=user.last_name,
            created_at=format_time(user.created_at),
            verified=user.verified,
            disabled=user.disabled or None,
            quota=None if quota == QuotaAnswer() else quota,
            setup_url=setup_url,
        )

    @classmethod
    def of_key(cls, key: Principal) -> UserAnswer:
        """What an API key is told when it asks who it is."""
        return cls(id=key.id, username=key.name, role=key.role, verified=True)


class SetupLink(BaseModel):
    setup_url: str = Field(description="Where the user chooses a password, once. Shown this once.")


class UserPage(BaseModel):
    users: list[UserAnswer]
    next_cursor: str | Absent = None


class NewUser(Body):
    username: Username
    email: Email | None = None
    role: Role = Role.USER
    password: NewPassword | None = Field(None, description="Absent: the answer has a `setup_url`.")
    verified: StrictBool = True
    first_name: PersonName | None = None
    last_name: PersonName | None = None


class UserChange(Body):
    """Only what is given changes."""

    email: Email = ""
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    role: Role = Role.USER
    disabled: StrictBool = False
    verified: StrictBool = False
    quota: QuotaBody | None = Field(None, description="What is left out of it stays; `null` takes a limit away.")


class OwnChange(Body):
    """Only what is given changes. A new password or address needs the present password."""

    email: Email = ""
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    password: NewPassword = SecretStr("")
    current_password: Secret = SecretStr("")
