"""People at a running Headrace: they read their mail from the outbox, follow links, and sign in."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.support.server import Server

PASSWORD = "six drums under the ferry"  # of everyone here, unless a test says otherwise
_LINK = re.compile(r"https?://\S+\?token=\S+")
_MAIL_SECONDS = 30
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Person:
    """A user who has signed in."""

    id: str
    username: str
    access_token: str
    refresh_token: str


def unused_name() -> str:
    """A username that nobody has yet."""
    return f"p{time.time_ns():x}-{next(_numbers)}"


def mails_to(server: Server, address: str) -> list[EmailMessage]:
    """What is in the outbox for this address, oldest first."""
    found = []
    for path in sorted((server.data_dir / "outbox").glob("*.eml")):
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        if str(mail["To"]) == address:
            found.append(mail)
    return found


def newest_mail(server: Server, address: str, *, count: int = 1) -> EmailMessage:
    """The newest mail to this address, once there are `count` of them: they are sent after the answer."""
    deadline = time.monotonic() + _MAIL_SECONDS
    while time.monotonic() < deadline:
        if len(found := mails_to(server, address)) >= count:
            return found[-1]
        time.sleep(0.02)
    raise AssertionError(f"no mail number {count} to {address} after {_MAIL_SECONDS} s")


def link_in(mail: EmailMessage) -> str:
    """The link with a token in it."""
    found = _LINK.search(mail.get_content())
    assert found, mail.get_content()
    return found[0]


def token_of(link: str) -> str:
    (token,) = parse_qs(urlsplit(link).query)["token"]
    return token


def sign_in(server: Server, username: str, password: str = PASSWORD) -> httpx2.Response:
    with server.client(key="") as anyone:
        return anyone.post("/v1/auth/login", json={"username": username, "password": password})


def person(server: Server, *, role: str = "user", password: str = PASSWORD) -> Person:
    """A new user whom the administrator made, signed in."""
    name = unused_name()
    body = {"username": name, "email": f"{name}@example.com", "role": role, "password": password}
    with server.client() as admin:
        made = admin.post("/v1/users", json=body)
    assert made.status_code == 201, made.text
    return signed_in(server, made.json()["id"], name, password)


def signed_in(server: Server, user_id: str, username: str, password: str = PASSWORD) -> Person:
    """A new session of this user."""
    answer = sign_in(server, username, password)
    assert answer.status_code == 200, answer.text
    return Person(user_id, username, answer.json()["access_token"], answer.json()["refresh_token"])
