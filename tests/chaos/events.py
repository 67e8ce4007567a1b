"""Events as applications send them, already in the form in which they are read back. Each carries its own token."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta

from tests.chaos.ledger import Event

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical")
_TEXTS = (
    "Invoice paid", "größer als je", "line\nbreak\tand tab", 'a "quoted" word', "emoji 🏞️ and \\ backslash", "x" * 700,
)  # fmt: skip


class Events:
    """Tokens are numbered, so that a seed gives the same events again."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._made = 0

    def make(self, *, named: bool = False) -> Event:
        """An event; `named` ones have an id or a dedup_key of their own."""
        chance = self._chance
        self._made += 1
        amount = chance.randrange(10 ** chance.randint(1, 30))  # beyond 64 bits too: digits are kept
        attributes = {"token": f"t{self._made}", "amount": amount, "deep": {"b": [1, None, "x"], "a": True}}
        event: Event = {"level": chance.choice(_LEVELS), "message": chance.choice(_TEXTS), "attributes": attributes}
        if chance.random() < 0.5:
            event["service"] = chance.choice(("billing-api", "auth", "shop"))
            event["actor"] = {"id": f"user-{chance.randrange(5000)}", "type": "user"}
        if chance.random() < 0.3:
            event["action"], event["outcome"] = "invoice.paid", chance.choice(("success", "failure"))
            event["target"] = {"id": f"inv-{self._made}"}
        if chance.random() < 0.5:
            event["time"] = self._time()
        if named:
            event |= self._name()
        return event

    def _time(self) -> str:
        late = timedelta(microseconds=self._chance.randrange(3 * 86_400 * 10**6))
        return (datetime.now(UTC) - late).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _name(self) -> Event:
        if self._chance.random() < 0.5:
            return {"id": str(uuid.UUID(int=self._chance.getrandbits(128), version=4))}
        return {"dedup_key": f"key-{self._made}"}
