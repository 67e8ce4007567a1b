"""Who is asking: the features of `auth/`, from the settings and the ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.shared_secret import SqlSharedSecret
from headrace.adapters.system.key_file import SystemKeyFile
from headrace.auth.authenticate import Authenticator
from headrace.auth.browser import BrowserSessions
from headrace.auth.guard import Guard
from headrace.auth.key_desk import KeyDesk
from headrace.auth.last_used import LastUsed
from headrace.auth.oidc import Oidc, OidcOptions
from headrace.auth.oidc_arrivals import parse_role_map
from headrace.auth.passwords import Passwords
from headrace.auth.post import Post
from headrace.auth.registration import Registration, RegistrationOptions
from headrace.auth.sealing import Sealer, secret_of, shared_secret_of
from headrace.auth.sign_in import SignIn, SignInOptions
from headrace.auth.tokens import AccessTokens
from headrace.auth.users import UserDesk, UserDeskOptions
from headrace.auth.viewer import ViewerTokens
from headrace.config import Settings
from headrace.ports.limiter import Limit
from headrace.query.filters import parse_filter
from headrace.wiring.adapters import Adapters
from headrace.wiring.roles import SERVE
from headrace.wiring.steps import Step
from headrace.wiring.urls import Urls
from headrace.workers.loop import Pace

_CALLBACK = "/v1/auth/oidc/callback"


@dataclass(frozen=True, slots=True)
class Identity:
    """What `auth/` does, put together."""

    authenticator: Authenticator
    browser: BrowserSessions
    keys: KeyDesk
    last_used: LastUsed
    oidc: Oidc | None
    passwords: Passwords
    post: Post
    registration: Registration
    sign_in: SignIn
    tokens: AccessTokens
    users: UserDesk
    viewer_tokens: ViewerTokens
    steps: Sequence[Step]

    async def close(self) -> None:
        """What is still in memory goes out."""
        await self.post.close()
        await self.last_used.close()
        self.passwords.close()


def local_url(host: str, port: int) -> str:
    """Where a program on this machine reaches the server."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - only shown
    return f"http://{shown}:{port}"


def base_url(settings: Settings) -> str:
    """Where people reach this server: never from a request, which anyone can forge."""
    return settings.base_url.rstrip("/") or local_url(settings.host, settings.port)


def build_identity(settings: Settings, ports: Adapters, sealer: Sealer) -> Identity:
    """Raises Unusable for a setting that makes no sense."""
    clock, url = ports.clock, base_url(settings)
    passwords, guard = Passwords(settings.password_threads), _guard(settings, ports)
    post = Post(ports.notifier, ports.metrics, clock)
    tokens = AccessTokens(ports.signing_keys, sealer, clock, url, settings.access_token_seconds)
    viewers = ViewerTokens(tokens, parse_filter, ports.audit, clock)
    oidc = _oidc(settings, ports, sealer, url, guard)
    last_used = LastUsed(ports.keys)
    authenticator = Authenticator(ports.keys, ports.sessions, ports.accounts, tokens, viewers, oidc, last_used, clock)
    forget, accounts, sessions, audit = authenticator.forget, ports.accounts, ports.sessions, ports.audit
    at_sign_in = SignInOptions(settings.require_verified, settings.session_seconds)
    sign_in = SignIn(accounts, sessions, passwords, tokens, guard, audit, clock, at_sign_in, forget)
    return Identity(
        authenticator=authenticator,
        browser=BrowserSessions(sessions, sign_in, authenticator, clock),
        keys=KeyDesk(ports.keys, ports.buckets, clock, forget),
        last_used=last_used,
        oidc=oidc,
        passwords=passwords,
        post=post,
        registration=Registration(
            accounts, sessions, passwords, post, guard, audit, clock, _registration(settings, url), forget
        ),
        sign_in=sign_in,
        tokens=tokens,
        users=UserDesk(accounts, sessions, passwords, post, guard, audit, clock, _desk(settings, url), forget),
        viewer_tokens=viewers,
        steps=(
            Step("post", post.step, Pace(idle=0.2)),
            Step("signing-keys", tokens.step, Pace(idle=3_600.0), SERVE),
            Step("sessions", lambda: sessions.sweep(clock.now()), Pace(idle=600.0)),
            Step("last-used", last_used.step, Pace(idle=60.0)),
        ),
    )


async def sealer_of(settings: Settings, control: ControlDatabase) -> Sealer:
    """With the secret of the settings, else one of the data directory, or of the control data where machines share
    those alone. Raises Unusable and Unavailable."""
    given = settings.secret_key.get_secret_value()
    if Urls.of(settings).control:
        return Sealer(await shared_secret_of(given, SqlSharedSecret(control)))
    return Sealer(secret_of(given, SystemKeyFile(settings.data_dir / "secret.key")))


def _guard(settings: Settings, ports: Adapters) -> Guard:
    return Guard(
        ports.limiter,
        Limit("account", settings.guesses_per_account, settings.guess_window),
        Limit("address", settings.guesses_per_address, settings.guess_window),
        MemoryLimiter(ports.clock),
    )


def _registration(settings: Settings, url: str) -> RegistrationOptions:
    return RegistrationOptions(
        open=settings.registration == "open",
        verify_seconds=settings.verify_link_seconds,
        reset_seconds=settings.reset_link_seconds,
        base_url=url,
    )


def _desk(settings: Settings, url: str) -> UserDeskOptions:
    return UserDeskOptions(
        base_url=url, setup_seconds=settings.setup_link_seconds, verify_seconds=settings.verify_link_seconds
    )


def _oidc(settings: Settings, ports: Adapters, sealer: Sealer, url: str, guard: Guard) -> Oidc | None:
    if ports.identity_provider is None:
        return None
    options = OidcOptions(
        client_id=settings.oidc_client_id,
        audience=settings.oidc_audience,
        roles_claim=settings.oidc_roles_claim,
        role_map=parse_role_map(settings.oidc_role_map),
        redirect_uri=f"{url}{_CALLBACK}",
    )
    return Oidc(ports.identity_provider, ports.accounts, ports.clock, sealer, options, guard)
