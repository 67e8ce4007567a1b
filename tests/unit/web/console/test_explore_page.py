"""Explore when the store is busy, when the link is not good, and when there is nothing: a page that says what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from headrace.errors import ItemError, Malformed, QueryTimeout
from headrace.model.principal import Principal
from tests.unit.web.fakes import ADMIN, World

BUSY = QueryTimeout("The search took longer than 10 s.", retry_after=2)


async def _principal_of(cookie: str) -> Principal:
    return ADMIN


async def _position(view: object) -> int:
    return 40


async def _no_searches(*_: Any) -> list[object]:
    return []


@pytest.fixture
def world() -> World:
    made = World()
    vars(made.services)["browser"] = SimpleNamespace(principal_of=_principal_of)
    vars(made.tail)["position"] = _position
    vars(made.services)["saved_searches"] = SimpleNamespace(list=_no_searches)
    return made


async def visit(world: World, path: str, **headers: str) -> httpx2.Response:
    sent = {"cookie": "headrace_session=x", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await world.ask("GET", path, key=None, headers=sent)


async def test_without_a_session_the_sign_in_comes_first_and_leads_back(world: World) -> None:
    answer = await world.ask("GET", "/explore/default?q=a", key="admin")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/explore/default%3Fq%3Da"


async def test_a_busy_store_is_a_page_that_says_when_to_try_again(world: World) -> None:
    world.reader.error = BUSY
    answer = await visit(world, "/explore/default?q=a")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert 'href="/explore/default?q=a">Try again' in answer.text


async def test_while_scrolling_a_busy_store_is_a_line_with_a_button(world: World) -> None:
    world.reader.error = BUSY
    answer = await visit(world, "/explore/default?q=a&cursor=x", hx_request="true")
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith("<li")
    assert 'hx-get="/explore/default?q=a&amp;cursor=x"' in answer.text


async def test_a_bad_filter_is_never_asked_of_the_store(world: World) -> None:
    answer = await visit(world, "/explore/default?level=loud&servcie=billing")
    assert answer.status_code == 400
    assert "is not a level" in answer.text
    assert "there is no such filter" in answer.text
    assert not world.reader.asked


async def test_a_cursor_that_is_not_good_leads_to_the_first_page(world: World) -> None:
    reason = ItemError("bad-cursor", "not good", field="cursor")
    world.reader.error = Malformed("The cursor is not good.", items=[reason])
    answer = await visit(world, "/explore/default?q=a&cursor=x")
    assert answer.status_code == 400
    assert 'href="/explore/default?q=a">To the first page' in answer.text


@pytest.mark.parametrize(
    ("form", "link"),
    [
        ("state=q%3Da&field=service&value=billing", "/explore/default?q=a&service=billing"),
        ("state=q%3Da&bucket=other", "/explore/other?q=a"),
        ("state=&bucket=%2F%2Fevil.example", "/explore/%2F%2Fevil.example"),
    ],
)
async def test_forms_lead_to_the_link_of_their_state(world: World, form: str, link: str) -> None:
    answer = await visit(world, f"/explore/default/part/set?{form}")
    assert (answer.status_code, answer.headers["location"]) == (303, link)


async def test_what_goes_wrong_with_the_chart_is_json_for_its_script(world: World) -> None:
    async def histogram(*_: Any, **__: Any) -> None:
        raise BUSY

    vars(world.reader)["histogram"] = histogram
    answer = await visit(world, "/explore/default/part/chart")
    assert answer.status_code == 503
    assert answer.json()["detail"] == BUSY.detail
