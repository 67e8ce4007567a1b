"""An authenticator with everything around it held in memory."""

from __future__ import annotations

from headrace.auth.authenticate import Authenticator
from headrace.auth.keys import digest, new_key, parse_key
from headrace.auth.last_used import LastUsed
from headrace.auth.viewer import ViewerTokens
from headrace.errors import Unauthenticated, Unavailable
from headrace.kit.times import SECOND
from headrace.model.account import Account, ApiKey, KnownSession, Session, User
from headrace.model.principal import Permission, Role
from headrace.query.filters import parse_filter
from tests.unit.auth.fakes_tokens import SESSION_ID, USER_ID, HeldSigningKeys, Mint
from tests.unit.auth.fakes_viewer import HeldOutbox
from tests.unit.control import NOW, HandClock, HeldKeys

FOREIGN_ISSUER = "https://id.example"


class HeldPeople:
    """One user with one session; both ports that know of them. `asked` are the look-ups."""

    def __init__(self) -> None:
        ada = User(USER_ID, "ada", "ada@example.com", Role.USER, NOW, verified=True)
        self.account: Account | None = Account(ada, {1: frozenset({Permission.MANAGE})})
        self.session: Session | None = Session(SESSION_ID, USER_ID, b"", NOW, NOW + 3_600 * SECOND)
        self.asked: list[str] = []
        self.down = False

    async def find_account(self, user_id: str) -> Account | None:
        self._ask(user_id)
        return self.account if self.account is not None and self.account.user.id == user_id else None

    async def find_session(self, session_id: str) -> KnownSession | None:
        self._ask(session_id)
        if self.session is None or self.account is None or self.session.id != session_id:
            return None
        return KnownSession(self.session, self.account)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise Unavailable("down")


class HeldOidc:
    """Knows some tokens."""

    issuer = FOREIGN_ISSUER

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.asked: list[str] = []
        self.down = False

    async def account_of(self, token: str) -> Account:
        self.asked.append(token)
        if self.down:
            raise Unavailable("down")
        if token not in self.accounts:
            raise Unauthenticated("no")
        return self.accounts[token]


class Stage:
    """An authenticator that knows one key, one user and one OpenID provider."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.keys = HeldKeys()
        self.people = HeldPeople()
        self.oidc = HeldOidc()
        self.mint = Mint(HeldSigningKeys(), self.clock)
        self.viewers = ViewerTokens(self.mint.tokens, parse_filter, HeldOutbox(), self.clock)
        self.last_used = LastUsed(self.keys)
        self.header = self.add()
        self.authenticator = Authenticator(
            self.keys,
            self.people,  # type: ignore[arg-type]  # as much of the port as is asked for
            self.people,  # type: ignore[arg-type]
            self.mint.tokens,
            self.viewers,
            self.oidc,  # type: ignore[arg-type]
            self.last_used,
            self.clock,
        )

    def add(self, expires_at: int | None = None) -> str:
        """The header of a new admin key."""
        text = new_key()
        parts = parse_key(text)
        assert parts is not None
        self.keys.keys[parts.id] = ApiKey(parts.id, "deploy", digest(parts.secret), Role.ADMIN, NOW, expires_at)
        return f"Bearer {text}"

    async def token(self) -> str:
        """The header of the user's access token."""
        await self.mint.tokens.ensure_key()
        return f"Bearer {await self.mint.access()}"
