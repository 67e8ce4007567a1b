"""Where each part is kept: what the settings say, and what follows from what they leave out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from headrace.adapters.sql.engine import file_url
from headrace.config import Settings
from headrace.errors import Unusable

_SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Urls:
    """An empty one is a file of the data directory. Never shown: they hold passwords."""

    control: str
    events: str
    queue: str
    tasks: str
    direct: str
    replicas: tuple[str, ...]
    shards: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> Urls:
        """Raises Unusable for a URL that no adapter takes."""
        everything = _checked("database_url", settings.database_url)
        return cls(
            control=_checked("control_url", settings.control_url) or everything,
            events=_checked("events_url", settings.events_url) or everything,
            queue=_checked("queue_url", settings.queue_url) or everything,
            tasks=_checked("tasks_url", settings.tasks_url) or everything,
            direct=_checked("database_direct_url", settings.database_direct_url),
            replicas=_listed("database_replica_urls", settings.database_replica_urls),
            shards=_listed("event_shard_urls", settings.event_shard_urls),
        )

    @property
    def is_embedded(self) -> bool:
        """Whether everything is in the data directory."""
        return not (self.control or self.events or self.queue or self.tasks)

    @property
    def needs_directory(self) -> bool:
        """Whether anything is: then one process owns it."""
        return not (self.control and self.events and self.queue and self.tasks)

    @property
    def profile(self) -> str:
        if self.is_embedded:
            return "embedded"
        return "mixed" if self.needs_directory else "postgres"


def control_file_url(data: Path) -> str:
    return file_url(data / "control.db")


def _checked(name: str, value: SecretStr) -> str:
    url = value.get_secret_value().strip()
    if url and not url.startswith(_SCHEMES):
        raise Unusable(f"HEADRACE_{name.upper()} must begin with postgresql:// (empty: files in the data directory)")
    return url


def _listed(name: str, value: SecretStr) -> tuple[str, ...]:
    """URLs separated by commas. A comma inside of one (several hosts) is no separator: what follows has no scheme."""
    urls: list[str] = []
    for part in value.get_secret_value().split(","):
        if urls and part.strip() and "://" not in part:
            urls[-1] += f",{part.strip()}"
        elif part.strip():
            urls.append(_checked(name, SecretStr(part)))
    return tuple(urls)
