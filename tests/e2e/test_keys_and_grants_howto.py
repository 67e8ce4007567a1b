"""The commands of the how-to for keys and grants work as they stand, and leave the trail that it promises."""

from __future__ import annotations

import time

from tests.e2e.test_readme import blocks, run
from tests.support.server import Server

PAGE = "docs/howto/keys-and-grants.md"
_FORWARDED_SECONDS = 10


def audited(server: Server) -> list[str]:
    with server.client() as client:
        found = client.get("/v1/buckets/_audit/events", params={"limit": 1000}).json()["events"]
    return [event["action"] for event in found]


def test_the_commands_of_the_how_to_do_what_it_says(server: Server) -> None:
    steps = blocks(PAGE, "## Make a user", "## See who did it")
    assert len(steps) == 7
    output = run("\n".join(steps), server)
    assert f"{server.url}/set-up?token=" in output
    assert "billing:write" in output
    assert "ada may read,write on bucket billing" in output
    assert "user ada is gone" in output
    with server.client() as client:
        keys = [key["name"] for key in client.get("/v1/keys").json()["keys"]]
        assert sorted(keys) == ["billing-api-2", "bootstrap"]
        assert [user["username"] for user in client.get("/v1/users").json()["users"]] == ["mia"]

    deadline = time.monotonic() + _FORWARDED_SECONDS
    while "user.deleted" not in audited(server):  # the outbox is forwarded twice a second
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (queries,) = blocks(PAGE, "## See who did it", "With `-o ndjson`")
    trail = run(queries, server)
    assert "API key billing-api made" in trail
    assert "API key billing-api revoked" in trail
    assert "may read, write on bucket billing" in trail
