"""Several processes on one PostgreSQL at once: what they may not do together, they do not, and none waits for ever.

Each `ControlDatabase` is one process here, with connections of its own; the server runs them in parallel.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.keys import SqlKeys
from headrace.adapters.sql.saved_searches import SqlSavedSearches
from headrace.adapters.sql.sessions import SqlSessions
from headrace.adapters.sql.shared_secret import SqlSharedSecret
from headrace.adapters.sql.signing_keys import SqlSigningKeys
from headrace.adapters.sql.usage import SqlUsage
from headrace.auth.sealing import shared_secret_of
from headrace.model.account import ApiKey, Link, LinkPurpose, Session, SigningKey, Usage, UserChanges
from headrace.model.principal import API_KEY, Permission, Role
from headrace.model.saved_search import SavedSearch
from tests.contract.records import record, user, user_id

PROCESSES, ROUNDS = 4, 10
READ = frozenset({Permission.READ})


@pytest.fixture
async def processes(postgres_url: str) -> AsyncIterator[list[ControlDatabase]]:
    async with AsyncExitStack() as stack:
        several = []
        for _ in range(PROCESSES):
            several.append(await ControlDatabase.open(postgres_url))
            stack.push_async_callback(several[-1].close)
        yield several


async def at_once(*tries: Awaitable[object]) -> list[str]:
    """The codes of those that failed; no other error may come out."""
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert all(hasattr(result, "code") for result in results if isinstance(result, Exception)), results
    return sorted(getattr(result, "code", "") for result in results if isinstance(result, Exception))


async def test_of_all_admins_who_go_at_once_one_stays(processes: Sequence[ControlDatabase]) -> None:
    first = SqlAccounts(processes[0])
    for number in range(PROCESSES):
        await first.add_user(user(number, Role.ADMIN), record(number + 1))
    changes = (UserChanges(role=Role.USER), UserChanges(disabled=True))
    codes = await at_once(
        *(
            SqlAccounts(one).update_user(user_id(number), changes[number % 2], record(100 + number))
            for number, one in enumerate(processes)
        )
    )
    assert codes == ["last-admin"]
    left = [each for each in await first.list_users(None, 10) if each.role is Role.ADMIN and not each.disabled]
    assert len(left) == 1


async def test_of_all_who_use_a_link_at_once_one_does(processes: Sequence[ControlDatabase]) -> None:
    await SqlAccounts(processes[0]).add_user(user(1), record(1))
    for turn in range(ROUNDS):
        token = b"token %d" % turn
        await SqlSessions(processes[0]).add_link(Link(token, user_id(1), LinkPurpose.RESET, 1, 99), None)
        used = await asyncio.gather(
            *(
                SqlSessions(one).use_link(
                    token, LinkPurpose.RESET, 5, UserChanges(password_hash=f"{number}"), record(100 * turn + number + 2)
                )
                for number, one in enumerate(processes)
            )
        )
        assert sorted(used, key=str) == [user_id(1), *[None] * (PROCESSES - 1)]
    assert len(await SqlAuditOutbox(processes[0]).pending(100)) == 1 + ROUNDS


async def test_of_a_refresh_token_used_at_once_one_is_good(processes: Sequence[ControlDatabase]) -> None:
    await SqlAccounts(processes[0]).add_user(user(1), record(1))
    await SqlSessions(processes[0]).add_session(
        Session("s", user_id(1), b"0", 1, 99), user(1).password_hash, record(2)
    )
    for turn in range(ROUNDS):
        rotated = await asyncio.gather(
            *(SqlSessions(one).rotate("s", b"%d" % turn, b"%d" % (turn + 1), 99) for one in processes)
        )
        assert sorted(rotated) == [False] * (PROCESSES - 1) + [True]


async def test_processes_that_start_at_once_have_one_key_that_signs(processes: Sequence[ControlDatabase]) -> None:
    keys = [SqlSigningKeys(one) for one in processes]
    await asyncio.gather(
        *(
            each.add_signing_key(SigningKey(f"k{n}", b"k", n), record(n + 1), retire=False)
            for n, each in enumerate(keys)
        )
    )
    assert len(await keys[0].list_signing_keys()) == 1
    await asyncio.gather(
        *(
            each.add_signing_key(SigningKey(f"r{n}", b"r", 9 + n), record(n + 9), retire=True)
            for n, each in enumerate(keys)
        )
    )
    assert sum(key.retired_at is None for key in await keys[0].list_signing_keys()) == 1


async def test_processes_that_start_at_once_seal_with_one_secret(processes: Sequence[ControlDatabase]) -> None:
    found = await asyncio.gather(*(shared_secret_of("", SqlSharedSecret(one)) for one in processes))
    assert len(set(found)) == 1
    assert len(found[0]) >= 43  # 256 bits
    assert await SqlSharedSecret(processes[1]).find() == found[0]


async def test_usage_of_all_adds_up(processes: Sequence[ControlDatabase]) -> None:
    """Each begins lines that others begin, too, and in another order."""
    for turn in range(ROUNDS):
        lines = [Usage(turn, bucket, API_KEY, f"key-{key}", 1, 10) for bucket in (1, 2) for key in range(20)]
        parts = [lines[number * 5 :] + lines[:3] for number in range(PROCESSES)]
        assert await at_once(*(SqlUsage(one).add(part) for one, part in zip(processes, parts, strict=True))) == []
        assert sum(line.events for line in await SqlUsage(processes[0]).day(turn)) == sum(map(len, parts))


async def test_the_outbox_forwarded_by_all_at_once_is_empty_and_nobody_fails(
    processes: Sequence[ControlDatabase],
) -> None:
    outboxes = [SqlAuditOutbox(one) for one in processes]
    for turn in range(ROUNDS):
        ids = range(100 * turn + 1, 100 * turn + 41)
        await asyncio.gather(*(outboxes[number % PROCESSES].add(record(number)) for number in ids))
        pending = [written.id for written in await outboxes[0].pending(100)]
        assert sorted(pending) == list(ids)
        turned = [pending[number * 7 :] + pending[: number * 7] for number in range(PROCESSES)]
        assert await at_once(*(each.forwarded(part) for each, part in zip(outboxes, turned, strict=True))) == []
        assert await outboxes[0].pending(100) == []


async def test_a_key_made_while_its_owner_is_deleted_is_revoked_or_not_there(
    processes: Sequence[ControlDatabase],
) -> None:
    accounts, keys = SqlAccounts(processes[0]), SqlKeys(processes[1])
    bucket = await SqlBuckets(processes[0]).create("billing", "", None, 5, None)
    for turn in range(ROUNDS):
        owner, key_id = user_id(turn), f"key-{turn}"
        await accounts.add_user(user(turn), record(100 * turn + 1))
        key = ApiKey(key_id, "k", bytes(32), Role.USER, 1, owner_id=owner, grants={bucket.id: READ})
        codes = await at_once(
            keys.add_key(key, record(100 * turn + 2)),
            accounts.delete_user(owner, record(100 * turn + 3)),
            SqlAccounts(processes[2]).put_grant(bucket.id, owner, READ, record(100 * turn + 4)),
            SqlSessions(processes[3]).add_session(
                Session(f"s-{turn}", owner, b"s", 1, 99), user(turn).password_hash, record(100 * turn + 5)
            ),
        )
        assert set(codes) <= {"unknown-user", "account-changed"}
        known = await keys.find_key(key_id)
        assert known is None or known.key.revoked_at is not None
        assert await accounts.grants_of_bucket(bucket.id) == []
        assert await SqlSessions(processes[0]).find_session(f"s-{turn}") is None


async def test_a_grant_on_a_bucket_that_goes_is_gone_or_refused(processes: Sequence[ControlDatabase]) -> None:
    accounts, keys = SqlAccounts(processes[0]), SqlKeys(processes[1])
    await accounts.add_user(user(1), record(1))
    for turn in range(ROUNDS):
        bucket = await SqlBuckets(processes[0]).create("billing", "", None, 5, None)
        search = SavedSearch(f"s-{turn}", user_id(1), bucket.id, "n", "q", shared=True, created_at=1)
        key = ApiKey(f"k-{turn}", "k", bytes(32), Role.USER, 1, owner_id=user_id(1), grants={bucket.id: READ})
        codes = await at_once(
            accounts.put_grant(bucket.id, user_id(1), READ, record(100 * turn + 2)),
            keys.add_key(key, record(100 * turn + 3)),
            SqlSavedSearches(processes[2]).add(search, 9),
            SqlBuckets(processes[3]).delete("billing", record(100 * turn + 4)),
        )
        assert set(codes) <= {"unknown-bucket"}
        assert await accounts.grants_of_bucket(bucket.id) == []
        assert await SqlSavedSearches(processes[0]).find(bucket.id, search.id) is None


async def test_of_searches_saved_at_once_no_more_than_the_most_are_kept(processes: Sequence[ControlDatabase]) -> None:
    await SqlAccounts(processes[0]).add_user(user(1), record(1))
    bucket = await SqlBuckets(processes[0]).create("billing", "", None, 5, None)
    search = SavedSearch("", user_id(1), bucket.id, "", "q", shared=False, created_at=1)
    codes = await at_once(
        *(
            SqlSavedSearches(one).add(replace(search, id=f"{number}-{more}", name=f"{number}-{more}"), 3)
            for number, one in enumerate(processes)
            for more in range(3)
        )
    )
    assert codes == ["too-many-searches"] * (PROCESSES * 3 - 3)


async def test_keys_are_touched_while_their_owners_go_and_nobody_fails(processes: Sequence[ControlDatabase]) -> None:
    accounts, keys = SqlAccounts(processes[0]), SqlKeys(processes[0])
    for turn in range(ROUNDS):
        owner = user_id(turn)
        await accounts.add_user(user(turn), record(1_000 * turn + 1))
        ids = [f"key-{turn}-{number}" for number in (3, 1, 4, 0, 2)]
        for number, key_id in enumerate(ids, 2):
            await keys.add_key(
                ApiKey(key_id, "k", bytes(32), Role.USER, 1, owner_id=owner), record(1_000 * turn + number)
            )
        codes = await at_once(
            SqlAccounts(processes[1]).delete_user(owner, record(1_000 * turn + 9)),
            *(SqlKeys(one).touch(dict.fromkeys(ids, 5 + number)) for number, one in enumerate(processes)),
        )
        assert codes == []
        found = [await keys.find_key(key_id) for key_id in ids]
        assert [(known.key.revoked_at is None, known.key.last_used_at) for known in found if known] == [(False, 8)] * 5


async def test_sweeps_at_once_with_people_who_go_and_nobody_fails(processes: Sequence[ControlDatabase]) -> None:
    accounts = SqlAccounts(processes[0])
    for turn in range(ROUNDS):
        await accounts.add_user(user(turn), record(100 * turn + 1))
        for number in range(10):
            await SqlSessions(processes[0]).add_session(
                Session(f"s-{turn}-{number}", user_id(turn), b"s", 1, 10 - number),
                user(turn).password_hash,
                record(100 * turn + 10 + number),
            )
        codes = await at_once(
            accounts.delete_user(user_id(turn), record(100 * turn + 2)),
            *(SqlSessions(one).sweep(50) for one in processes),
        )
        assert codes == []
