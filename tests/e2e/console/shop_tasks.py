"""The tasks of the shop in the pictures: some in each state, and what it does at night. The caller is their worker."""

from __future__ import annotations

from typing import Any

import httpx2

Fields = dict[str, Any]

_SCHEDULES: tuple[tuple[str, str, str, Fields], ...] = (
    ("Digest of the shop", "0 7 * * 1-5", "Europe/Berlin", {"type": "report.digest", "args": {"bucket": "shop"}}),
    ("Nightly export", "30 2 * * *", "UTC", {"type": "events.export", "args": {"bucket": "shop"}}),
    ("Sync of the CRM", "*/15 9-17 * * *", "America/New_York", {"type": "crm.sync", "args": {"account": "acme"}}),
)
_HELD = 3600  # seconds: what runs in the picture goes on running


def work(client: httpx2.Client) -> None:
    """Invoices are sent, cards are declined, pictures are being made, and something waits."""
    for number in range(24):
        invoice: Fields = {"invoice": f"INV-{99_300 + number}", "to": f"user-{1_800 + number}@example.com"}
        _end(client, _begun(client, "invoice.send", invoice), "complete", result={"sent": True})
    for order in range(4_711, 4_714):
        task = _begun(client, "card.charge", {"order": order, "cents": 1_999})
        _tell(client, task, logs=_declined(order))
        _end(client, task, "fail", error=f"the card of order {order} was declined: no funds", permanent=True)
    album = _begun(client, "thumbnails.make", {"album": "summer", "count": 400})
    _tell(client, album, progress={"value": 0.62, "note": "248 of 400 pictures"})
    _post(client, "/v1/tasks", type="report.digest", args={"bucket": "shop"}, delay="2h")
    _post(client, "/v1/tasks", type="crm.sync", args={"account": "acme"}, queue="crm")
    _post(client, "/v1/tasks", type="add", args={"a": 5, "b": 10})
    for name, cron, zone, what in _SCHEDULES:
        _post(client, "/v1/schedules", name=name, cron=cron, timezone=zone, task=what)


def _declined(order: int) -> list[Fields]:
    return [
        {"message": "asking the bank", "attributes": {"order": order, "cents": 1_999}},
        {"level": "warning", "message": "declined", "attributes": {"code": "insufficient_funds"}},
    ]


def _begun(client: httpx2.Client, kind: str, args: Fields) -> Fields:
    """A new task that is running."""
    queue = kind.partition(".")[0]
    _post(client, "/v1/tasks", type=kind, args=args, queue=queue)
    task: Fields = _post(client, f"/v1/queues/{queue}/lease", lease_seconds=_HELD)["tasks"][0]
    return task


def _tell(client: httpx2.Client, task: Fields, **said: Any) -> None:
    _post(client, f"/v1/tasks/{task['id']}/heartbeat", lease=task["lease"], lease_seconds=_HELD, **said)


def _end(client: httpx2.Client, task: Fields, how: str, **said: Any) -> None:
    _post(client, f"/v1/tasks/{task['id']}/{how}", lease=task["lease"], **said)


def _post(client: httpx2.Client, path: str, **body: Any) -> Fields:
    answer = client.post(path, json=body)
    assert answer.is_success, answer.text
    made: Fields = answer.json()
    return made
