from __future__ import annotations

import pytest

from headrace.errors import ItemError
from headrace.kit.times import SECOND
from headrace.model.task import NewTask, Retry
from headrace.model.task_kind import TaskKind
from headrace.tasks.wire import Flawed, read

NOW = 1_800_000_000_000_000
_NO = ItemError("no", "no", field="args.a")
KINDS = {"strict": TaskKind("strict", lambda raw: [] if raw == b'{"a":1}' else [_NO], max_attempts=9)}


def one(text: str, key: str | None = None) -> NewTask:
    return read(text.encode(), "ada", NOW, KINDS, key)


def codes(raw: bytes) -> list[tuple[str, str | None]]:
    with pytest.raises(Flawed) as caught:
        read(raw, "ada", NOW, KINDS)
    return [(error.code, error.field) for error in caught.value.errors]


def test_what_is_left_out_has_its_default() -> None:
    task = one('{"type": "x"}')
    assert (task.queue, task.priority, task.max_attempts, task.args, task.run_at) == ("default", 5, 5, b"{}", None)


def test_args_keep_their_digits_and_their_order() -> None:
    args = '{"b":1e999,"a":12345678901234567890.10}'
    assert one(f'{{"type":"x","args":{args}}}').args == args.encode()


def test_a_handler_says_the_attempts_of_tasks_that_bring_none() -> None:
    assert one('{"type":"strict","args":{"a":1}}').max_attempts == 9
    assert one('{"type":"strict","args":{"a":1},"max_attempts":2}').max_attempts == 2


def test_a_delay_and_a_time_say_when() -> None:
    assert one('{"type":"x","delay":"1m"}').run_at == NOW + 60 * SECOND
    assert one('{"type":"x","delay":0.5}').run_at == NOW + SECOND // 2
    assert one('{"type":"x","run_at":1800000001}').run_at == NOW + SECOND
    assert one('{"type":"x","run_at":"2027-01-15T08:00:01Z"}').run_at == NOW + SECOND


def test_durations_and_a_policy_are_read() -> None:
    task = one('{"type":"x","timeout":"2m","retry":{"first":5}}')
    assert (task.timeout, task.retry) == (120.0, Retry(first=5))


@pytest.mark.parametrize(("raw", "code", "field"), [
    (b'{"type":""}', "invalid-type", "type"),
    (b'{"type":"a b"}', "invalid-type", "type"),
    (b'{"type":"x","queue":"Q"}', "invalid-queue", "queue"),
    (b'{"type":"x","priority":10}', "invalid-priority", "priority"),
    (b'{"type":"x","max_attempts":0}', "invalid-attempts", "max_attempts"),
    (b'{"type":"x","delay":-1}', "invalid-duration", "delay"),
    (b'{"type":"x","delay":"soon"}', "invalid-duration", "delay"),
    (b'{"type":"x","delay":1,"run_at":1}', "invalid-time", "run_at"),
    (b'{"type":"x","run_at":"yesterday"}', "invalid-time", "run_at"),
    (b'{"type":"x","timeout":0}', "invalid-duration", "timeout"),
    (b'{"type":"x","timeout":1e999}', "invalid-field", None),
    (b'{"type":"x","retry":{"factor":0}}', "invalid-retry", "retry"),
    (b'{"type":"x","idempotency_key":""}', "invalid-key", "idempotency_key"),
    (b'{"type":"x","concurrency_key":"' + b"k" * 257 + b'"}', "invalid-key", "concurrency_key"),
    (b'{"type":"x","callback_url":"ftp://example.com"}', "invalid-url", "callback_url"),
    (b'{"type":"x","args":[]}', "invalid-args", "args"),
    (b'{"type":"x","args":{"a":"' + b"x" * 262_144 + b'"}}', "args-too-large", "args"),
    (b'{"type":"x","args":{"a":"\xff"}}', "invalid-utf8", None),
    (b'{"type":"x","args":{"a":"\\u0000"}}', "invalid-text", None),
    (b'{"type":"strict"}', "no", "args.a"),
    (b'{"type":"x","nope":1}', "unknown-field", "nope"),
    (b'{"type":7}', "invalid-field", None),
    (b"{", "invalid-json", None),
    (b'{"type":"x","args":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "invalid-json", None),
])  # fmt: skip
def test_a_flaw_is_named_with_its_field(raw: bytes, code: str, field: str | None) -> None:
    assert (code, field) in codes(raw)


def test_several_flaws_are_told_together() -> None:
    assert {code for code, _ in codes(b'{"type":"","queue":"Q","priority":11}')} == {
        "invalid-type", "invalid-queue", "invalid-priority",
    }  # fmt: skip


def test_a_fingerprint_is_of_what_is_said_and_not_of_how_it_is_spaced() -> None:
    first = one('{"type":"x","args":{"a": 1},"idempotency_key":"k"}').fingerprint
    assert one('{"args":{"a":1},  "type":"x"}', "k").fingerprint == first
    assert one('{"type":"x","args":{"a":2},"idempotency_key":"k"}').fingerprint != first
    assert one('{"type":"x","args":{"a":1},"delay":3,"idempotency_key":"k"}').fingerprint != first
    assert one('{"type":"x"}').fingerprint == b""
