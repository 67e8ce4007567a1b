"""The only reader of the environment: `HEADRACE_*` variables and `.env`, as frozen settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.errors import Unusable

_MIB = 1024 * 1024


class Settings(BaseSettings):
    """Every setting has a default that suits one machine. Sizes are bytes, durations seconds."""

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_", env_file=".env", env_file_encoding="utf-8", frozen=True, extra="ignore"
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    data_dir: Path = Field(Path("data"), description="Where the files live; one server at a time.")

    database_url: SecretStr = Field(
        SecretStr(""),
        description="Where everything is kept: postgresql://user:password@host/database; empty: files in data_dir.",
    )
    control_url: SecretStr = Field(SecretStr(""), description="Users, keys and buckets; empty: database_url.")
    events_url: SecretStr = Field(SecretStr(""), description="Events; empty: database_url.")
    queue_url: SecretStr = Field(
        SecretStr(""), description="What is acknowledged and not stored yet, and dead letters; empty: database_url."
    )
    tasks_url: SecretStr = Field(SecretStr(""), description="Tasks and schedules; empty: database_url.")
    database_direct_url: SecretStr = Field(
        SecretStr(""),
        description="The same database past a pooler, to be woken by it; with PgBouncer and without this: polling.",
    )
    database_replica_urls: SecretStr = Field(
        SecretStr(""), description="Streaming replicas that reads of events prefer, separated by commas."
    )
    event_shard_urls: SecretStr = Field(
        SecretStr(""), description="More databases for events, separated by commas: new buckets spread over all."
    )
    replica_max_lag: float = Field(5.0, gt=0, description="A replica that is further behind is not read.")
    control_connections: int = Field(5, ge=1, le=100, description="Connections of a process for users, keys, buckets.")
    breaker_failures: int = Field(5, ge=1, description="Failures in a row after which a dependency is left alone.")
    breaker_seconds: float = Field(2.0, gt=0, description="For how long, until it is tried again.")
    spool: bool = Field(
        False, description="With a database: whether events are taken into a local file while it is away."
    )

    doors: str = Field(
        "", description="What this process answers, of events, auth, users, console, operations; empty: everything."
    )
    processes: int = Field(1, ge=1, le=256, description="Server processes here; more than 1 need a database.")
    concurrency: int = Field(1, ge=1, le=64, description="Drains that one `headrace work` runs at once.")

    health_port: int = Field(
        0, ge=0, le=65535, description="Port on which `headrace work` answers about its health; 0: none."
    )
    linger: float = Field(
        2.0, ge=0, le=4, description="At SIGTERM, for last answers on open connections; a proxy's keep-alive: less."
    )

    drain: Literal["on", "off"] = Field("on", description="`off` leaves draining to another process.")
    tasks: Literal["on", "off"] = Field("on", description="`off` leaves running tasks to another process.")
    migrate: Literal["on", "off"] = Field("on", description="`off` leaves migrations to `headrace migrate`.")

    task_modules: str = Field(
        "", description="Modules with handlers of tasks, separated by commas; also found in the current directory."
    )
    task_processes: int = Field(1, ge=1, le=64, description="Processes that run handlers.")
    task_concurrency: int = Field(10, ge=1, le=1_000, description="Tasks that each of them runs at once.")
    outbound_networks: str = Field(
        "", description="Private networks that `http.request` may reach: 10.0.0.0/8, …; empty: the internet only."
    )

    queue_max_bytes: int = Field(1024 * _MIB, ge=_MIB, description="Bytes that may wait in the queue; beyond: 503.")
    intake_max_bytes: int = Field(64 * _MIB, ge=_MIB, description="Bytes that wait for a commit; beyond: 503.")
    bodies_max_bytes: int = Field(256 * _MIB, ge=_MIB, description="Bytes of request bodies held at once; beyond: 503.")
    dedup_window: int = Field(86_400, ge=60, description="How long an id that a client chose is remembered.")

    store_memory_bytes: int = Field(256 * _MIB, ge=64 * _MIB, description="Memory that DuckDB may use.")
    store_threads: int = Field(2, ge=1, le=64, description="Threads that DuckDB may use.")
    query_timeout: float = Field(30.0, gt=0, description="A read that takes longer is stopped: 503.")
    query_concurrency: int = Field(
        4, ge=1, le=64, description="Reads of the store at once; a few more wait, beyond: 503."
    )
    tails: int = Field(100, ge=0, description="Live tails at once; beyond: 503.")
    recent_events: int = Field(1_000, ge=0, le=100_000, description="Newest events of a bucket kept at hand.")

    task_days: float = Field(30.0, gt=0, description="Days for which finished tasks are kept.")
    retention_interval: float = Field(60.0, gt=0, description="How often retention is looked after.")
    min_free_bytes: int = Field(256 * _MIB, ge=0, description="With less free disk the server says it is not ready.")

    metrics_open: bool = Field(True, description="Whether /metrics answers without credentials.")
    base_url: str = Field("", description="Where people reach this server, for links in mail; empty: http://HOST:PORT.")
    secret_key: SecretStr = Field(
        SecretStr(""), description="Encrypts stored secrets; empty: made at first start in secret.key of data_dir."
    )
    registration: Literal["open", "closed"] = Field("open", description="Whether strangers may register.")
    require_verified: bool = Field(True, description="Whether an unverified user is kept from signing in.")
    password_threads: int = Field(2, ge=1, le=32, description="Passwords hashed at once, each in 19 MiB.")
    access_token_seconds: int = Field(900, ge=1, le=86_400, description="How long an access token is good.")
    session_seconds: int = Field(30 * 86_400, ge=1, description="How long a session lasts after its last refresh.")
    verify_link_seconds: int = Field(86_400, ge=1, description="How long a verification link is good.")
    reset_link_seconds: int = Field(3_600, ge=1, description="How long a link to reset a password is good.")
    setup_link_seconds: int = Field(7 * 86_400, ge=1, description="How long a set-up link made by an admin is good.")
    guess_window: int = Field(900, ge=1, description="For how long failures at the doors of signing in count.")
    guesses_per_account: int = Field(10, ge=1, description="Failures for one account name in that time; beyond: 429.")
    guesses_per_address: int = Field(100, ge=1, description="Failures from one address in that time; beyond: 429.")

    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="Mail server: smtp://user:password@host:587 or smtps://…; empty: .eml files in data_dir/outbox.",
    )
    mail_from: str = Field("Headrace <headrace@localhost>", description="Sender of mail.")

    oidc_issuer: str = Field("", description="URL of an OpenID provider (Keycloak: …/realms/NAME); empty: none.")
    oidc_client_id: str = Field("headrace", description="Our client id at the OpenID provider.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="Our client secret; empty for a public client.")
    oidc_audience: str = Field("", description="What `aud` of its access tokens must hold; empty: the client id.")
    oidc_scopes: str = Field("openid profile email", description="Scopes that a sign-in asks for.")
    oidc_roles_claim: str = Field("realm_access.roles", description="Where the roles are in a token.")
    oidc_role_map: str = Field(
        "headrace-admin=admin,headrace-manager=manager", description="Their roles = ours, separated by commas."
    )

    key_rate_limit: int = Field(0, ge=0, description="Events or requests a second for a key without its own; 0: any.")
    user_rate_limit: int = Field(0, ge=0, description="The same for a user without a quota; 0: any.")
    address_rate_limit: int = Field(0, ge=0, description="Requests a second from one address; 0: any.")
    usage_interval: float = Field(5.0, gt=0, description="How often counted usage is written down.")

    cors_origins: str = Field(
        "", description="Origins whose pages may read events with a token: https://app.example.com, …; empty: none."
    )
    embed_origins: str = Field(
        "", description="Origins whose pages may show /embed in a frame: https://app.example.com, …; empty: none."
    )
    trusted_proxies: str = Field("", description="Addresses whose X-Forwarded-* headers count, separated by commas.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`auto`: text on a terminal, else ECS JSON."
    )
    access_log: bool = Field(False, description="Whether each request is logged (the write doors never are).")


def load(**overrides: object) -> Settings:
    """Settings from the environment, with what the command line says above it. Raises Unusable with a clear text."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as exc:
        faults = "; ".join(
            f"HEADRACE_{'_'.join(str(part) for part in error['loc']).upper()}: {error['msg']}" for error in exc.errors()
        )
        raise Unusable(f"a setting is wrong: {faults}") from exc
