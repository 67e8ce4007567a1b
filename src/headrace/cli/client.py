"""Finding the server and its key, and speaking to it. Shared by all commands; the only place that opens connections."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import urlsplit

import typer

from headrace.cli.failure import ExitCode, Failure
from headrace.cli.terminal import printable

if TYPE_CHECKING:
    import httpx2

Url: TypeAlias = Annotated[
    str | None, typer.Option("--url", envvar="HEADRACE_URL", help="The server. Default: the one of the data directory.")
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option("--key", envvar="HEADRACE_KEY", help="An API key. Default: admin.key of the data directory."),
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", envvar="HEADRACE_DATA_DIR", help="Where the local server has its files (default: data)."
    ),
]
Bucket: TypeAlias = Annotated[str, typer.Option("--bucket", "-b", envvar="HEADRACE_BUCKET", help="The bucket.")]

ANSWER_SECONDS = 60.0  # ack=stored waits 10 s and a query at most 30 s: longer than any answer takes


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and the key to it."""

    url: str
    key: str

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine: its address is the loopback."""
        return is_loopback(self.url)


@dataclass(frozen=True, slots=True)
class Place:
    """What the person said of the server. `find()` reads the files anew: a restart may have changed the port."""

    url: str | None
    key: str | None
    data_dir: Path

    def find(self) -> Server:
        """The server. Raises Failure, with what to do, when the address or the key cannot be found."""
        url = self.url or self._address()
        _check(url)
        return Server(url.rstrip("/"), self.key or self._admin_key(url))

    def _address(self) -> str:
        import msgspec

        file = self.data_dir / "server.json"
        try:
            entry = msgspec.json.decode(file.read_bytes(), type=dict[str, msgspec.Raw])
            return msgspec.json.decode(entry["url"], type=str)
        except FileNotFoundError:
            raise Failure(
                f"no server runs on the data directory {self.data_dir} (there is no {file}). Start it with ./dev run, "
                "or say where it is with --url or --data-dir.",
                ExitCode.UNREACHABLE,
            ) from None
        except (OSError, KeyError, msgspec.MsgspecError) as exc:
            raise Failure(
                f"{file} cannot be read ({exc}). Say where the server is with --url.", ExitCode.UNREACHABLE
            ) from exc

    def _admin_key(self, url: str) -> str:
        if self.url and not is_loopback(url):  # the key of this machine must not reach another one
            raise Failure(f"{url} needs an API key: give --key or set HEADRACE_KEY.", ExitCode.REFUSED)
        file = self.data_dir / "admin.key"
        try:
            return file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise Failure(
                f"there is no key: {file} does not exist. Give --key or set HEADRACE_KEY.", ExitCode.REFUSED
            ) from None
        except (OSError, UnicodeDecodeError) as exc:
            raise Failure(f"{file} cannot be read ({exc}). Give --key or set HEADRACE_KEY.", ExitCode.REFUSED) from exc


def place_of(url: str | None, key: str | None, data_dir: Path | None) -> Place:
    """What the options say, with the data directory that a server started here would use."""
    return Place(url, key, data_dir or default_data_dir())


def default_data_dir() -> Path:
    """`data`, unless a .env says otherwise (the environment was read as an option)."""
    if not Path(".env").exists():  # settings take 0.3 s to import
        return Path("data")
    from headrace.config import load

    return load().data_dir


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure(f"{url!r} is not the address of a server: write http://HOST:PORT.", ExitCode.REFUSED)


def connect(server: Server, *, read_seconds: float | None = ANSWER_SECONDS) -> httpx2.Client:
    """A client of this server, for use in a `with`. `read_seconds` is the longest silence, None for ever."""
    import httpx2

    from headrace import __version__

    return httpx2.Client(
        base_url=server.url,
        headers={"authorization": f"Bearer {server.key}", "user-agent": f"headrace-cli/{__version__}"},
        timeout=httpx2.Timeout(ANSWER_SECONDS, connect=5.0, read=read_seconds),
        trust_env=not server.is_local,  # a proxy set for the outside cannot reach our loopback
    )


def call(client: httpx2.Client, method: str, path: str, **request: object) -> httpx2.Response:
    """One call, answered with success. Raises Failure for a refusal and when no server answers."""
    import httpx2

    try:
        return checked(client.request(method, path, **request))  # type: ignore[arg-type]  # passed on as they are
    except httpx2.TransportError as exc:
        raise unreachable(str(client.base_url), exc) from exc


def checked(response: httpx2.Response) -> httpx2.Response:
    """The same response when it is a success. Raises Failure that says what the server said."""
    if response.is_success:
        return response
    raise refusal(response)


def unreachable(url: str, exc: BaseException) -> Failure:
    """Nobody answered at this address."""
    return Failure(
        f"no server answers at {url.rstrip('/')} ({str(exc) or type(exc).__name__}). Is it running? "
        "Start it with ./dev run, or say where it is with --url.",
        ExitCode.UNREACHABLE,
    )


def refusal(response: httpx2.Response) -> Failure:
    """What an answer that is no success means for the person at the command line."""
    said = problem_text(response)
    if response.status_code == 401:
        return Failure(
            f"the server does not know this key ({said}). Give the right one with --key, or --data-dir with the "
            "directory of that server.",
            ExitCode.REFUSED,
        )
    if response.status_code in (429, 503):
        wait = printable(response.headers.get("retry-after", ""))
        again = f" Try again in {wait} s." if wait else " Try again soon."
        return Failure(f"the server cannot do it now: {said}.{again}", ExitCode.UNREACHABLE)
    return Failure(f"{said} ({response.status_code})", ExitCode.REFUSED)


def problem_text(response: httpx2.Response) -> str:
    """The `detail` of a problem+json body and its items, else the status line; it cannot control the terminal."""
    import msgspec

    from headrace.cli.answers import Problem

    fallback = printable(f"{response.status_code} {response.reason_phrase}")
    try:
        problem = msgspec.json.decode(response.read(), type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return fallback
    items = "; ".join(f"{item.field}: {item.detail}" if item.field else item.detail for item in problem.errors[:5])
    text = (problem.detail or problem.title or fallback).rstrip(".")
    return printable(f"{text}: {items}" if items and items not in text else text)
