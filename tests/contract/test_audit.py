"""What every adapter of `ports/audit` promises."""

from __future__ import annotations

import pytest

from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.database import ControlDatabase
from headrace.kit.ids import uuid7
from headrace.model.audit import AuditRecord
from headrace.ports.audit import AuditOutbox
from tests.contract.records import record


@pytest.fixture
def outbox(control: ControlDatabase) -> AuditOutbox:
    return SqlAuditOutbox(control)


async def test_a_record_comes_back_as_it_was_written(outbox: AuditOutbox) -> None:
    full = AuditRecord(
        id=2**128 - 1,
        time=2**62,
        action="bucket.updated",
        actor_id="ada",
        actor_type="user",
        target_id="billing",
        target_type="bucket",
        outcome="failure",
        message="naïve 🦀\r\n",
        attributes={"z": [1, None, {"a": "ü"}], "a": 2**53, "retention_days": None},
    )
    await outbox.add(full)
    assert await outbox.pending(10) == [full]
    (written,) = await outbox.pending(10)
    assert list(written.attributes) == ["z", "a", "retention_days"]


async def test_the_oldest_come_first_in_the_order_of_writing_whatever_their_ids(outbox: AuditOutbox) -> None:
    ids = [uuid7(time) for time in (3_000_000, 1_000_000, 2_000_000)]  # the clock went back
    for written_id in ids:
        await outbox.add(record(written_id))
    assert [written.id for written in await outbox.pending(2)] == ids[:2]


async def test_what_is_forwarded_is_forgotten_and_the_rest_stays(outbox: AuditOutbox) -> None:
    for written_id in (1, 2, 3):
        await outbox.add(record(written_id))
    await outbox.forwarded([1, 3])
    await outbox.forwarded([1])
    await outbox.forwarded([])
    assert [written.id for written in await outbox.pending(10)] == [2]


async def test_it_is_there_after_a_restart(outbox: AuditOutbox, control: ControlDatabase, control_url: str) -> None:
    await outbox.add(record(1))
    await control.close()
    again = await ControlDatabase.open(control_url)
    assert [written.id for written in await SqlAuditOutbox(again).pending(10)] == [1]
    await again.close()
