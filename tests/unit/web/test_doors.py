"""Some doors in one process, others in another."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from headrace.errors import Unusable
from headrace.web import api
from headrace.web.console import pages
from headrace.web.doors import ALL, ALWAYS, DOORS, parse_doors
from tests.unit.web.fakes import World

NOUNS = {name for _, name, _ in pkgutil.iter_modules(api.__path__)}
PAGES = {name for _, name, _ in pkgutil.iter_modules(pages.__path__)}


def test_every_noun_with_routes_belongs_to_one_door_or_is_always_there() -> None:
    placed = [noun for nouns in (*DOORS.values(), ALWAYS) for noun in nouns]
    assert len(placed) == len(set(placed))
    names = {f"headrace.web.api.{name}" for name in NOUNS} | {f"headrace.web.console.pages.{name}" for name in PAGES}
    modules = [importlib.import_module(name) for name in names]
    with_routes = {module for module in modules if hasattr(module, "routes")}
    missing = with_routes - set(placed)
    assert not missing, f"not in web/doors.py: {sorted(module.__name__ for module in missing)}"


@pytest.mark.parametrize(
    ("text", "doors"),
    [("", ALL), ("events", {"events"}), (" auth , users,", {"auth", "users"}), (",", ALL), ("auth,auth", {"auth"})],
)
def test_doors_are_named_with_commas_and_none_means_all(text: str, doors: set[str]) -> None:
    assert parse_doors(text) == doors


def test_an_unknown_door_is_named_beside_those_that_there_are() -> None:
    with pytest.raises(Unusable, match=r"HEADRACE_DOORS.*'mail'.*events, tasks, auth, users, console, operations"):
        parse_doors("events,mail")


BEHIND = {
    "events": ("GET", "/v1/buckets/default/events"),
    "tasks": ("GET", "/v1/tasks"),
    "auth": ("GET", "/.well-known/jwks.json"),
    "users": ("GET", "/v1/users/me"),
    "console": ("GET", "/sign-in"),
    "operations": ("GET", "/v1/status"),
}


@pytest.mark.parametrize("open_door", DOORS)
@pytest.mark.parametrize("door", DOORS)
async def test_a_path_is_there_only_behind_its_door(open_door: str, door: str) -> None:
    answer = await World(doors=frozenset((open_door,))).ask(*BEHIND[door], key=None)
    assert (answer.status_code == 404) == (door != open_door)


async def test_what_is_elsewhere_is_answered_with_what_is_here() -> None:
    answer = await World(doors=frozenset(("users", "auth"))).ask("GET", "/v1/status", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "There is nothing at this path here: this process has the doors auth, users."


async def test_a_path_that_is_nowhere_is_answered_with_the_very_same() -> None:
    world = World(doors=frozenset(("users",)))
    answers = [await world.ask("GET", path) for path in ("/v1/status", "/v1/nothing", "/explore")]
    assert len({answer.content for answer in answers}) == 1


async def test_events_are_not_taken_without_their_door() -> None:
    world = World(doors=frozenset(("users",)))
    assert (await world.ask("POST", "/v1/buckets/default/events", json={"message": "x"})).status_code == 404


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/docs"])
async def test_a_process_without_any_door_tells_how_it_is(path: str) -> None:
    world = World(doors=frozenset())
    assert (await world.ask("GET", path, key=None)).status_code == 200
    assert "no doors" in (await world.ask("GET", "/")).json()["detail"]


async def test_the_document_tells_of_all_doors_since_clients_see_one_service() -> None:
    some = (await World(doors=frozenset(("users",))).ask("GET", "/openapi.json")).json()
    assert some == (await World().ask("GET", "/openapi.json")).json()
