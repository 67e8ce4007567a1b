"""`headrace users`: who has an account, and what kind of one."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from headrace.cli.client import DataDir, Key, Url, call, connect, place_of
from headrace.cli.people import User, every, path_of, table
from headrace.cli.terminal import printable

app = typer.Typer(no_args_is_help=True, help="List, make and change users.")


class Role(StrEnum):
    """admin does everything; manager reads users and makes buckets; user has only grants."""

    ADMIN = "admin"
    MANAGER = "manager"
    USER = "user"


@app.command("list")
def list_users(
    q: Annotated[str | None, typer.Option("--q", "-q", help="With this in the username, address or name.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """All users, in the order in which they came."""
    with connect(place_of(url, key, data_dir).find()) as client:
        found = every(client, "/v1/users", "users", **({"q": q} if q else {}))
        table(
            ("username", "role", "state", "email", "id"),
            [(user["username"], user["role"], _state(user), user.get("email", "-"), user["id"]) for user in found],
        )


@app.command("create")
def create_user(
    username: Annotated[str, typer.Argument(help="a-z, 0-9, '.', '_' and '-'.")],
    email: Annotated[str | None, typer.Option(help="Without one, a forgotten password cannot be reset.")] = None,
    role: Annotated[Role, typer.Option(help="What the user is.")] = Role.USER,
    first_name: Annotated[str | None, typer.Option(help="Shown to those who hand out grants.")] = None,
    last_name: Annotated[str | None, typer.Option(help="The same.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Make a user, and print the link by which to choose a password, once. No mail is sent."""
    named = {"email": email, "first_name": first_name, "last_name": last_name}
    body = {"username": username, "role": role.value} | {name: value for name, value in named.items() if value}
    with connect(place_of(url, key, data_dir).find()) as client:
        made = call(client, "POST", "/v1/users", json=body).json()
    typer.echo(f"user {printable(made['username'])} is there; hand over this link, which is good once:", err=True)
    typer.echo(printable(made["setup_url"]))


@app.command("show")
def show_user(user: User, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """All that is known of a user."""
    with connect(place_of(url, key, data_dir).find()) as client:
        found = call(client, "GET", path_of(client, user)).json()
    quota = found.pop("quota", {})
    for name, value in {**found, "state": _state(found), **quota}.items():
        if name not in ("verified", "disabled"):
            typer.echo(f"{name:<18} {printable(str(value))}")


@app.command("set-role")
def set_role(user: User, role: Role, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """Make a user an admin, a manager or a user."""
    changed = _change(url, key, data_dir, user, {"role": role.value})
    typer.echo(printable(f"{changed['username']} is {changed['role']} now"))


@app.command("disable")
def disable(user: User, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """Sign a user out everywhere and let neither them nor their keys in again."""
    typer.echo(f"{printable(_change(url, key, data_dir, user, {'disabled': True})['username'])} is disabled")


@app.command("enable")
def enable(user: User, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """Let a disabled user and their keys in again."""
    typer.echo(f"{printable(_change(url, key, data_dir, user, {'disabled': False})['username'])} is enabled")


@app.command("setup-link")
def setup_link(user: User, url: Url = None, key: Key = None, data_dir: DataDir = None) -> None:
    """A new link with which a user chooses a password, once; older ones are dead."""
    with connect(place_of(url, key, data_dir).find()) as client:
        typer.echo(printable(call(client, "POST", f"{path_of(client, user)}/setup-link").json()["setup_url"]))


@app.command("delete")
def delete_user(
    user: User,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Delete a user with sessions and grants, and revoke their keys. What they did stays in `_audit`."""
    if not yes:
        typer.confirm(f"Delete user {user} and revoke their keys, for good?", abort=True)
    with connect(place_of(url, key, data_dir).find()) as client:
        call(client, "DELETE", path_of(client, user))
    typer.echo(f"user {user} is gone")


def _change(
    url: Url, key: Key, data_dir: DataDir, user: str, changes: dict[str, object]
) -> dict[str, Any]:
    with connect(place_of(url, key, data_dir).find()) as client:
        changed: dict[str, Any] = call(client, "PATCH", path_of(client, user), json=changes).json()
    return changed


def _state(user: dict[str, Any]) -> str:
    if user.get("disabled"):
        return "disabled"
    return "active" if user["verified"] else "unverified"
