"""deploy/nginx/headrace-doors.conf sends each path to the door that src/headrace/web/doors.py says."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi.routing import APIRoute

from headrace.web.doors import DOORS, writes_of
from tests.support.nginx import Nginx

PORTS = {"events": 8010, "auth": 8011, "users": 8012, "console": 8013, "operations": 8014, "tasks": 8015}


class Named(BaseHTTPRequestHandler):
    """Answers with the name of its door."""

    protocol_version = "HTTP/1.1"
    door = ""

    def answer(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.door)))
        self.end_headers()
        self.wfile.write(self.door.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the library's names

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[HTTPConnection]:
    servers = {door: ThreadingHTTPServer(("127.0.0.1", 0), type(door, (Named,), {"door": door})) for door in DOORS}
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with Nginx("headrace-doors.conf", {PORTS[door]: server.server_port for door, server in servers.items()}) as nginx:
        connection = HTTPConnection("127.0.0.1", nginx.port, timeout=10)
        yield connection
        connection.close()
    for server in servers.values():
        server.shutdown()
        server.server_close()


def asked(gateway: HTTPConnection, method: str, path: str) -> str:
    gateway.request(method, re.sub(r"\{[^}]+\}", "some", path))
    return gateway.getresponse().read().decode()


@pytest.mark.parametrize("door", DOORS)
def test_every_path_of_a_door_goes_to_it(gateway: HTTPConnection, door: str) -> None:
    routes = [route for noun in DOORS[door] for route in noun.routes.routes if isinstance(route, APIRoute)]
    asked_for = {(method, route.path) for route in routes for method in route.methods}
    asked_for |= {("POST", write.route) for write in writes_of(frozenset((door,)))}
    assert asked_for
    wrong = {row: found for row in asked_for if (found := asked(gateway, *row)) != door}
    assert not wrong


@pytest.mark.parametrize(
    ("path", "door"),
    [
        ("/static/embed/embed.js", "events"),  # so that embedded viewers need no console
        ("/static/console/console.css", "console"),
        ("/docs", "console"),
        ("/v1/bucketsome", "operations"),
        ("/v1/nothing", "operations"),
        ("/health/ready", "operations"),
    ],
)
def test_what_every_process_has_goes_to_one(gateway: HTTPConnection, path: str, door: str) -> None:
    assert asked(gateway, "GET", path) == door
