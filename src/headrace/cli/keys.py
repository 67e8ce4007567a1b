"""`headrace keys`: API keys, and the keys that sign access tokens."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from headrace.cli.client import DataDir, Key, Url, call, connect, place_of
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.people import every, permissions_of, segment, table
from headrace.cli.terminal import printable
from headrace.kit.times import format_time, parse_duration, parse_time

app = typer.Typer(no_args_is_help=True, help="List, make and revoke API keys.")


@app.command("list")
def list_keys(url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """Your keys that are not revoked; those of everyone for an administrator."""
    with connect(place_of(url, key, data_dir).find()) as client:
        names = ("id", "name", "last used", "expires", "limit", "grants")
        table(names, [_row(found) for found in every(client, "/v1/keys", "keys")])


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What it is for: a service, a host.")],
    grant: Annotated[
        list[str] | None, typer.Option("--grant", "-g", help="BUCKET:read,write,manage. May be repeated.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="An age such as 90d, or a time. Default: never.")] = None,
    rate_limit: Annotated[int | None, typer.Option(min=1, help="Events or requests a second.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, this once: KEY=$(headrace keys create deploy --grant billing:write)"""
    body: dict[str, object] = {"name": name, "grants": [_grant(text) for text in grant or []]}
    if expires is not None:
        body["expires_at"] = _moment(expires)
    if rate_limit is not None:
        body["rate_limit"] = rate_limit
    with connect(place_of(url, key, data_dir).find()) as client:
        made = call(client, "POST", "/v1/keys", json=body).json()
    until = f" until {made['expires_at']}" if "expires_at" in made else ""
    what = f"key {made['id']} may {_granted(made) or 'nothing'}{until}"
    typer.echo(f"{printable(what)}; it is shown this once:", err=True)
    typer.echo(printable(made["key"]))


@app.command("revoke")
def revoke_key(
    id: Annotated[str, typer.Argument(help="The key's id: what stands between its underscores.")],
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key, for good. It is dead within 5 seconds."""
    with connect(place_of(url, key, data_dir).find()) as client:
        call(client, "DELETE", f"/v1/keys/{segment(id)}")
    typer.echo(f"key {id} is revoked")


@app.command("rotate-signing")
def rotate_signing(
    revoke: Annotated[bool, typer.Option("--revoke", help="After a leak: old tokens are dead at once.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Sign access tokens with a new key from now on. Those that are out stay good until they expire."""
    with connect(place_of(url, key, data_dir).find()) as client:
        query = {"revoke": "true"} if revoke else {}
        kid = call(client, "POST", "/v1/signing-keys/rotate", params=query).json()["kid"]
    typer.echo(f"access tokens are signed with the key {printable(kid)} now")


def _grant(text: str) -> dict[str, object]:
    bucket, colon, permissions = text.partition(":")
    if not bucket or not colon:
        raise Failure(f"--grant {text!r} has not the form BUCKET:read,write.", ExitCode.USAGE)
    return {"bucket": bucket, "permissions": permissions_of(permissions)}


def _moment(text: str) -> str:
    """`90d` from now, or the time itself."""
    try:
        return format_time(time.time_ns() // 1_000 + parse_duration(text))
    except (ValueError, OverflowError):
        pass
    try:
        return format_time(parse_time(text))
    except (ValueError, OverflowError):
        raise Failure(
            f"--expires {text!r} is neither an age such as 90d nor a time such as 2027-01-31T00:00:00Z.",
            ExitCode.USAGE,
        ) from None


def _row(key: dict[str, Any]) -> tuple[object, ...]:
    return (
        key["id"],
        key["name"],
        key.get("last_used_at", "-")[:19],
        key.get("expires_at", "never")[:19],
        key.get("rate_limit", "-"),
        "everything" if key["role"] == "admin" else _granted(key) or "-",
    )


def _granted(key: dict[str, Any]) -> str:
    return " ".join(f"{grant['bucket']}:{','.join(grant['permissions'])}" for grant in key["grants"])
