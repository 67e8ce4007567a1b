"""Users as they see themselves, and as administrators see all. Each change is one transaction with its record.

An administrator may disable, demote or delete their own account: they may be handing over, and the other admins or the
bootstrap key undo a slip. The last enabled admin user cannot go that way (Conflict `last-admin`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.auth import change_letters, letters
from headrace.auth.guard import Guard
from headrace.auth.links import new_link
from headrace.auth.names import may_exist, typed
from headrace.auth.new_user import new_user
from headrace.auth.passwords import Passwords, check_new_password
from headrace.auth.post import Post
from headrace.auth.rules import invalid
from headrace.auth.user_changes import OwnChanges, admin_changes, own_changes, told
from headrace.errors import Conflict, Forbidden, NotFound, Unauthenticated
from headrace.kit.ids import format_id, parse_id
from headrace.model.account import Link, LinkPurpose, User, UserChanges
from headrace.model.audit import AuditRecord
from headrace.model.bucket import UNSET
from headrace.model.permission import may_read_users, require_admin
from headrace.model.principal import USER, Forget, Principal, Role, nothing_to_forget
from headrace.ports.accounts import Accounts
from headrace.ports.audit import AuditOutbox
from headrace.ports.clock import Clock
from headrace.ports.sessions import Sessions

CURRENT_PASSWORD, NEW_ADDRESS = "current-password", "new-address"
"""The doors, as the guard counts them. A new address is counted though it was right: it tells whether somebody has that
address already, and has us write to it."""


@dataclass(frozen=True, slots=True)
class UserDeskOptions:
    """How long links are good, in seconds, and where they lead: never to a host that a request named."""

    base_url: str
    verify_seconds: int
    setup_seconds: int


class UserDesk:
    """All raise Unavailable when the control data cannot be reached."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        post: Post,
        guard: Guard,
        audit: AuditOutbox,
        clock: Clock,
        options: UserDeskOptions,
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
        self._base_url = options.base_url.rstrip("/")
        self._forget = forget

    async def me(self, principal: Principal) -> User:
        """The caller. Raises Forbidden `not-a-user`."""
        if principal.kind != USER:
            raise Forbidden("This credential is no user: sign in as one.", code="not-a-user")
        user = await self._accounts.find_user(principal.id)
        if user is None:
            raise Unauthenticated("This account was deleted.")
        return user

    async def change_me(self, principal: Principal, changes: Mapping[str, object], address: str) -> User:
        """Of `email`, `first_name`, `last_name`, `password` those that are named; the address and the password need
        `current_password`. A new password ends all sessions; a new address has to be verified by the link mailed to it.

        Raises Invalid, Forbidden `wrong-password`, Conflict `email-taken`, and OverQuota after too many attempts.
        """
        user = await self.me(principal)
        wanted = own_changes(user, changes)
        if wanted.password is not None:
            email = user.email if wanted.changes.email is UNSET else wanted.changes.email
            check_new_password(wanted.password, user.username, email)
        if wanted.needs_password:
            await self._confirm(principal, user, wanted.current_password, address)
        made = await self._with_hash(wanted)
        if not made.named():
            return user
        if made.email is not UNSET:
            await self._guard.enter(NEW_ADDRESS, user.id, address)
        changed = await self._change_own(principal, user, made, address)
        await self._tell(user, changed, wanted)
        return changed

    async def list(self, principal: Principal, after: str | None, limit: int, q: str | None = None) -> Sequence[User]:
        """In order of ids, behind `after`; with `q`, those whose username, e-mail or name contains it.

        For managers and administrators: raises Forbidden.
        """
        if not may_read_users(principal):
            raise Forbidden("Only a user of the role manager or an administrator may list users.")
        return await self._accounts.list_users(after, limit, q)

    async def get(self, principal: Principal, id: str) -> User:
        """Managers and administrators get everyone, others themselves. Raises NotFound."""
        user = await self._find(id) if may_read_users(principal) or _is_self(principal, id) else None
        if user is None:
            raise _unknown(id)
        return user

    async def named(self, principal: Principal, name: str) -> User:
        """The user with this username or e-mail address. For managers and administrators: raises Forbidden, and
        NotFound."""
        if not may_read_users(principal):
            raise Forbidden("Only a user of the role manager or an administrator may look for users.")
        wanted = typed(name)
        user = await self._accounts.find_login(wanted) if may_exist(wanted) else None
        if user is None or wanted not in (user.username, user.email):  # a careless collation finds who looks alike
            raise NotFound(f"There is no user {name[:64]!r}.", code="unknown-user")
        return user

    async def create(
        self,
        principal: Principal,
        username: str,
        email: str | None,
        role: Role,
        password: str | None,
        *,
        verified: bool,
        first_name: str | None,
        last_name: str | None,
        address: str,
    ) -> tuple[User, str | None]:
        """A new user and, without a password, the link by which to set one, once.

        For administrators. Raises Forbidden, Invalid with an item for each field, and Conflict `username-taken` or
        `email-taken`.
        """
        require_admin(principal)
        user = new_user(self._clock.now(), username, email, role, password, verified, first_name, last_name)
        if password is not None:
            user = replace(user, password_hash=await self._passwords.hash(password))
        token, link = self._first_link(user)
        how = {"username": user.username, "role": role.value, "verified": verified, "address": address}
        record = AuditRecord.by(
            principal, user.created_at, "user.created", (USER, user.id), f"User {user.username} made", how
        )
        await self._accounts.add_user(user, record, link=link)
        if user.password_hash is None:
            return user, self._url("set-up", token)
        if link is not None and user.email is not None:
            self._post.put(letters.verify(user.email, self._url("verify", token), self._options.verify_seconds))
        return user, None

    async def change(self, principal: Principal, id: str, changes: Mapping[str, object], address: str) -> User:
        """Of `role`, `disabled`, `verified`, `quota`, `email`, `first_name`, `last_name` those that are named; a quota
        is merged as in RFC 7396. Who is disabled is signed out everywhere.

        For administrators. Raises NotFound, Forbidden, Invalid, Conflict `email-taken` and `last-admin`.
        """
        user = await self._to_change(principal, id)
        wanted = admin_changes(user, changes)
        if not wanted.named():
            return user
        attributes = {**told(wanted), "address": address}
        record = self._record(principal, "user.updated", user, "changed", attributes)
        changed = await self._accounts.update_user(user.id, wanted, record)
        self._forget(USER, user.id)
        return changed

    async def delete(self, principal: Principal, id: str, address: str) -> None:
        """With sessions and grants; the user's keys are dead. For administrators. Raises NotFound, Forbidden, and
        Conflict `last-admin`."""
        user = await self._to_change(principal, id)
        record = self._record(
            principal, "user.deleted", user, "deleted", {"username": user.username, "address": address}
        )
        await self._accounts.delete_user(user.id, record)
        self._forget(USER, user.id)

    async def set_up(self, principal: Principal, id: str, address: str) -> str:
        """A new link with which the user chooses a password, once: where the first one was lost or has expired, or no
        mail can reach the user. It replaces links that the user had for that.

        For administrators. Raises NotFound, Forbidden, and Conflict `disabled`.
        """
        user = await self._to_change(principal, id)
        if user.disabled:
            raise Conflict("This user is disabled: enable them first.", code="disabled")
        token, link = new_link(user.id, LinkPurpose.RESET, self._clock.now(), self._options.setup_seconds)
        record = self._record(principal, "user.set_up_link_made", user, "got a set-up link", {"address": address})
        await self._sessions.add_link(link, record)
        return self._url("set-up", token)

    async def _to_change(self, principal: Principal, id: str) -> User:
        """Raises NotFound to those who may not even see the user, else Forbidden to those who may only see."""
        user = await self.get(principal, id)
        require_admin(principal)
        return user

    async def _confirm(self, principal: Principal, user: User, password: str | None, address: str) -> None:
        """The caller knows the password, and has not only come by an access token."""
        if user.password_hash is None:
            raise Forbidden(
                "Your account has no password here: change this where you sign in, or ask an administrator.",
                code="no-password",
            )
        if password is None:
            raise invalid("current_password", "is needed to change the e-mail address or the password", "missing")
        async with self._guard.passing(CURRENT_PASSWORD, user.id, address):
            verdict = await self._passwords.verify(password, user.password_hash)
        if not verdict.ok:
            attributes = {"address": address, "reason": "wrong-current-password"}
            record = self._record(principal, "user.login_failed", user, "not changed", attributes)
            await self._audit.add(replace(record, outcome="failure"))
            raise Forbidden("The current password is wrong.", code="wrong-password")
        await self._guard.succeeded(CURRENT_PASSWORD, user.id, address)

    async def _with_hash(self, wanted: OwnChanges) -> UserChanges:
        if wanted.password is None:
            return wanted.changes
        return replace(wanted.changes, password_hash=await self._passwords.hash(wanted.password))

    async def _change_own(self, principal: Principal, user: User, made: UserChanges, address: str) -> User:
        now = await self._accounts.find_user(user.id)
        if now is None or now.password_hash != user.password_hash:  # hashing took a while, and a reset was faster
            raise Conflict("Your password was changed meanwhile: sign in again.")
        action = "user.updated" if made.password_hash is UNSET else "user.password_changed"
        record = self._record(principal, action, user, "changed", {**told(made), "address": address})
        changed = await self._accounts.update_user(user.id, made, record)
        self._forget(USER, user.id)
        return changed

    async def _tell(self, before: User, after: User, wanted: OwnChanges) -> None:
        """By mail: the link to verify a new address, and word to the old one that something changed."""
        if wanted.changes.email is not UNSET and after.email is not None:
            token, link = new_link(after.id, LinkPurpose.VERIFY, self._clock.now(), self._options.verify_seconds)
            await self._sessions.add_link(link, None)
            self._post.put(
                change_letters.verify_new_address(after.email, self._url("verify", token), link.expires_at)
            )
            if before.email is not None and before.verified:
                self._post.put(change_letters.address_changed(before.email, self._base_url))
        if wanted.password is not None and before.email is not None and before.verified:
            self._post.put(change_letters.password_changed(before.email, self._base_url))

    def _first_link(self, user: User) -> tuple[str, Link | None]:
        """To set a password, or else to verify the address that the administrator does not vouch for."""
        if user.password_hash is None:
            return new_link(user.id, LinkPurpose.RESET, user.created_at, self._options.setup_seconds)
        if user.verified:
            return "", None
        return new_link(user.id, LinkPurpose.VERIFY, user.created_at, self._options.verify_seconds)

    async def _find(self, id: str) -> User | None:
        try:
            return await self._accounts.find_user(format_id(parse_id(id)))
        except ValueError:
            return None

    def _record(
        self, principal: Principal, action: str, user: User, what: str, attributes: Mapping[str, object]
    ) -> AuditRecord:
        now, message = self._clock.now(), f"User {user.username} {what}"
        return AuditRecord.by(principal, now, action, (USER, user.id), message, attributes)

    def _url(self, page: str, token: str) -> str:
        return f"{self._base_url}/{page}?token={token}"


def _is_self(principal: Principal, id: str) -> bool:
    return principal.kind == USER and id.lower() == principal.id


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no user with the id {id[:64]!r} that this credential may see.", code="unknown-user")
