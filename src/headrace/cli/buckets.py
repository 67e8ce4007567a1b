"""`headrace buckets`: list, create and delete them, and say what users may do there."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import quote

import typer

from headrace.cli.client import DataDir, Key, Url, call, connect, place_of
from headrace.cli.people import User, id_of, permissions_of, segment, table
from headrace.cli.terminal import printable

app = typer.Typer(no_args_is_help=True, help="List, create and delete buckets, and grant users access.")
Name: TypeAlias = Annotated[str, typer.Argument(help="The bucket's name.")]


@app.command("list")
def list_buckets(url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """The buckets that you may see, with how much is in each."""
    with connect(place_of(url, key, data_dir).find()) as client:
        names = [bucket["name"] for bucket in call(client, "GET", "/v1/buckets").json()["buckets"]]
        typer.secho(f"{'name':<24} {'events':>14}  {'retention':<10} {'newest':<28} description", bold=True)
        for name in names:
            bucket = call(client, "GET", f"/v1/buckets/{quote(name, safe='')}").json()
            days = bucket.get("retention_days")
            retention = f"{days} days" if days else "for ever"
            line = f"{name:<24} {bucket.get('events', 0):>14,}  {retention:<10} {bucket.get('newest', '-'):<28} "
            typer.echo(printable(line + bucket.get("description", "")).rstrip())  # whoever manages it wrote that


@app.command("create")
def create_bucket(
    name: Name,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    retention_days: Annotated[int | None, typer.Option(min=1, help="Delete events after so many days.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Make a bucket. Without --retention-days it keeps its events for ever."""
    body: dict[str, object] = {"name": name, "description": description}
    if retention_days is not None:
        body["retention_days"] = retention_days
    with connect(place_of(url, key, data_dir).find()) as client:
        call(client, "POST", "/v1/buckets", json=body)
    typer.echo(f"bucket {name} is there")


@app.command("delete")
def delete_bucket(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Delete a bucket and all its events, for good."""
    if not yes:
        typer.confirm(f"Delete bucket {name} and all its events, for good?", abort=True)
    with connect(place_of(url, key, data_dir).find()) as client:
        call(client, "DELETE", f"/v1/buckets/{quote(name, safe='')}", params={"confirm": name})
    typer.echo(f"bucket {name} is gone")


@app.command("grant")
def grant(
    name: Name,
    user: User,
    permissions: Annotated[str, typer.Argument(help="Some of read,write,manage; manage includes the others.")],
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Let a user do exactly this on a bucket."""
    body = {"permissions": permissions_of(permissions)}
    with connect(place_of(url, key, data_dir).find()) as client:
        path = f"/v1/buckets/{segment(name)}/grants/{id_of(client, user)}"
        granted = call(client, "PUT", path, json=body).json()
    typer.echo(printable(f"{granted['username']} may {','.join(granted['permissions'])} on bucket {name}"))


@app.command("grants")
def list_grants(name: Name, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """What users may do on a bucket."""
    with connect(place_of(url, key, data_dir).find()) as client:
        found = call(client, "GET", f"/v1/buckets/{segment(name)}/grants").json()["grants"]
    rows = [(grant["username"], ",".join(grant["permissions"]), grant["user"]) for grant in found]
    table(("username", "permissions", "id"), rows)


@app.command("revoke")
def revoke(name: Name, user: User, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """Take all away that a user may do on a bucket."""
    with connect(place_of(url, key, data_dir).find()) as client:
        call(client, "DELETE", f"/v1/buckets/{segment(name)}/grants/{id_of(client, user)}")
    typer.echo(f"{user} may do nothing on bucket {name} any more")
