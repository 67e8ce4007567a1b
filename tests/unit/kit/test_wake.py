from __future__ import annotations

from headrace.kit.wake import Wake


async def test_a_ring_before_the_wait_is_heard_once() -> None:
    wake = Wake()
    wake.ring()
    assert await wake.wait(60)
    assert not await wake.wait(0.01)
