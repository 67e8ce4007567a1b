"""Accounts that strangers make for themselves, and the links in mail that prove whose address it is.

Nobody learns here who has an account: answers are the same, each takes one password hash where there is a password and
one commit, and mail is sent later. Links are used up by POST only; opening one changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from headrace.auth import audited, letters
from headrace.auth.guard import Guard
from headrace.auth.keys import digest
from headrace.auth.links import is_secret, new_link
from headrace.auth.passwords import Passwords, check_new_password
from headrace.auth.post import Post
from headrace.auth.rules import check_email, check_name, check_username, gather
from headrace.auth.sign_in import LOGIN
from headrace.errors import Conflict, Forbidden, Gone
from headrace.kit.ids import format_id, uuid7
from headrace.model.account import LinkPurpose, User, UserChanges
from headrace.model.audit import AuditRecord
from headrace.model.principal import USER, Forget, Role, nothing_to_forget
from headrace.ports.accounts import Accounts
from headrace.ports.audit import AuditOutbox
from headrace.ports.clock import Clock
from headrace.ports.notifier import Mail
from headrace.ports.sessions import Sessions

REGISTER, VERIFY, ASK_RESET, RESET = "register", "verify", "ask-reset", "reset"
"""The doors, as the guard counts them."""


@dataclass(frozen=True, slots=True)
class RegistrationOptions:
    """How long links are good, and where they lead: never to a host that a request named."""

    open: bool
    verify_seconds: int
    reset_seconds: int
    base_url: str


class Registration:
    """All raise Unavailable when the control data cannot be reached, and OverQuota after too many attempts."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        post: Post,
        guard: Guard,
        audit: AuditOutbox,
        clock: Clock,
        options: RegistrationOptions,
        forget: Forget = nothing_to_forget,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._post = post
        self._guard = guard
        self._audit = audit
        self._clock = clock
        self._options = options
        self._forget = forget
        self._base_url = options.base_url.rstrip("/")
        self._has_somebody = False

    async def nobody_yet(self) -> bool:
        """Whether there is no user at all: a first start. Asked once more until there is one, and never after."""
        if not self._has_somebody:
            self._has_somebody = bool(await self._accounts.list_users(None, 1))
        return not self._has_somebody

    async def register(
        self,
        username: str,
        email: str,
        password: str,
        first_name: str | None,
        last_name: str | None,
        address: str,
    ) -> None:
        """A new account, not verified yet, and a mail with the link to verify it. Whose name or address is taken
        learns it by mail. Raises Invalid with an item for each field, and Forbidden `registration-closed`."""
        if not self._options.open:
            raise Forbidden("Registration is closed here: ask an administrator.", code="registration-closed")
        form = _form(username, email, password, first_name, last_name)
        async with self._guard.passing(REGISTER, form.email, address):
            mail = await self._add(form, await self._passwords.hash(password), address)
        self._post.put(mail)

    async def verify(self, token: str, address: str) -> None:
        """The e-mail address is the user's. Raises Gone for a link that is used, expired or unknown."""
        now = self._clock.now()
        record = audited.by_user(now, "user.verified", audited.NOBODY, "E-mail verified", {"address": address})
        async with self._guard.passing(VERIFY, None, address):
            await self._use(token, LinkPurpose.VERIFY, now, UserChanges(verified=True), record)
        await self._guard.succeeded(VERIFY, None, address)

    async def ask_reset(self, email: str, address: str) -> None:
        """A mail with a link to choose a new password, if somebody has this address. Raises Invalid when it is none."""
        email = check_email(email)
        async with self._guard.passing(ASK_RESET, email, address):
            found = await self._accounts.find_login(email)
            user = found if found is not None and found.email == email else None
            await self._audit.add(self._asked(user, address))
        if user is not None and not user.disabled:
            self._post.put(partial(self._answer_to_reset, user, email))

    async def reset(self, token: str, password: str, address: str) -> None:
        """A new password, and the address counts as verified. Ends all sessions of the user.

        Raises Gone for a link that is used, expired or unknown, and Invalid for a password that will not do: the link
        stays good then.
        """
        async with self._guard.passing(RESET, None, address):
            user = await self._user_of(token, LinkPurpose.RESET)
        await self._guard.succeeded(RESET, None, address)
        check_new_password(password, user.username, user.email)
        stored = await self._passwords.hash(password)
        now = self._clock.now()
        record = audited.by_user(
            now, "user.password_changed", user.id, "Password changed by a link", {"address": address, "how": "link"}
        )
        await self._use(token, LinkPurpose.RESET, now, UserChanges(password_hash=stored, verified=True), record)
        self._forget(USER, user.id)
        for name in {user.username, user.email} - {None}:
            await self._guard.forgive(LOGIN, str(name))  # whoever guessed until now has nothing of it
        if user.email is not None:
            self._post.put(letters.password_changed(user.email, self._base_url))

    async def _add(self, form: _Form, stored: str, address: str) -> Mail:
        """Add the user in one commit, or record in one commit that it cannot be; what to write to the address."""
        now = self._clock.now()
        user = User(
            id=format_id(uuid7(now)),
            username=form.username,
            email=form.email,
            role=Role.USER,
            created_at=now,
            first_name=form.first_name,
            last_name=form.last_name,
            password_hash=stored,
        )
        token, link = new_link(user.id, LinkPurpose.VERIFY, now, self._options.verify_seconds)
        record = audited.by_user(
            now, "user.registered", user.id, f"Registered as {user.username}", {"address": address}
        )
        try:
            await self._accounts.add_user(user, record, link=link)
        except Conflict as exc:
            return await self._taken(form.email, exc.code, address)
        url = self._url("verify", token)
        return letters.verify(form.email, url, self._options.verify_seconds)

    async def _taken(self, email: str, reason: str, address: str) -> Mail:
        record = audited.by_stranger(
            self._clock.now(), "user.registered", None, "Registration refused", {"address": address, "reason": reason}
        )
        await self._audit.add(record)
        if reason == "email-taken":
            return letters.already_registered(email, self._base_url)
        return letters.name_taken(email, self._base_url)

    def _asked(self, user: User | None, address: str) -> AuditRecord:
        return audited.by_stranger(
            self._clock.now(),
            "user.password_reset_requested",
            user.id if user else None,
            "A new password was asked for",
            {"address": address},
            outcome="success" if user and user.password_hash and not user.disabled else "failure",
        )

    async def _answer_to_reset(self, user: User, email: str) -> Mail:
        """The mail, with a link made now: a commit that a request for an unknown address would not have made."""
        if user.password_hash is None:
            return letters.no_password(email, self._base_url)
        token, link = new_link(user.id, LinkPurpose.RESET, self._clock.now(), self._options.reset_seconds)
        await self._sessions.add_link(link, None)
        url = self._url("reset-password", token)
        return letters.reset(email, url, self._options.reset_seconds, user.username if user.verified else None)

    async def _user_of(self, token: str, purpose: LinkPurpose) -> User:
        user = None
        if is_secret(token):
            user = await self._sessions.find_link(digest(token), purpose, self._clock.now())
        if user is None:
            raise _gone()
        return user

    async def _use(
        self, token: str, purpose: LinkPurpose, now: int, changes: UserChanges, record: AuditRecord
    ) -> None:
        if not is_secret(token) or await self._sessions.use_link(digest(token), purpose, now, changes, record) is None:
            raise _gone()

    def _url(self, page: str, token: str) -> str:
        return f"{self._base_url}/{page}?token={token}"


@dataclass(frozen=True, slots=True)
class _Form:
    """What was filled in, checked."""

    username: str
    email: str
    first_name: str | None
    last_name: str | None


def _form(username: str, email: str, password: str, first_name: str | None, last_name: str | None) -> _Form:
    """Every field is looked at, so that one answer shows all that is wrong. Raises Invalid."""
    gather(
        lambda: check_username(username),
        lambda: check_email(email),
        lambda: check_new_password(password, username, email),
        lambda: check_name("first_name", first_name),
        lambda: check_name("last_name", last_name),
    )
    return _Form(
        check_username(username),
        check_email(email),
        check_name("first_name", first_name),
        check_name("last_name", last_name),
    )


def _gone() -> Gone:
    return Gone("This link was used, has expired, or never was good: ask for a new one.")
