"""What a handler's parameters make of args."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from headrace.handlers.builtin.add import add
from headrace.handlers.context import Context
from headrace.handlers.handler import Handler
from headrace.handlers.signature import Signature

ADD = Handler.of(add)


def send(order_id: int, ctx: Context, note: str = "none", lines: list[dict[str, int]] | None = None) -> None: ...


def copies(json: Any, copy: bool, when: datetime) -> None: ...


SEND, COPIES = Signature(send), Signature(copies)


def faults(signature: Signature, args: bytes) -> dict[str | None, str]:
    return {item.field: item.detail for item in signature.check(args)}


def test_what_is_not_given_is_left_to_the_function() -> None:
    assert SEND.read(b'{"order_id":1}') == {"order_id": 1}
    assert SEND.context == "ctx"


@pytest.mark.parametrize(("args", "field"), [
    (b"{}", "args.order_id"), (b'{"order_id":"1"}', "args.order_id"), (b'{"order_id":true}', "args.order_id"),
    (b'{"order_id":1.5}', "args.order_id"), (b'{"order_id":1,"ctx":1}', "args.ctx"),
    (b'{"order_id":1,"x":1}', "args.x"),
    (b'{"order_id":1,"lines":[{"a":1},{"b":"2"}]}', "args.lines[1].b"), (b"[1]", "args"), (b"{", "args"), (b"", "args"),
    (b'{"order_id":1,"note":"\\ud800"}', "args"), (b'{"order_id":' + b"1" * 5_000 + b"}", "args"),
    (b'{"order_id":1,"note":' + b"[" * 200_000, "args"), (b'\xff', "args"),
])  # fmt: skip
def test_each_fault_names_its_field(args: bytes, field: str) -> None:
    assert list(faults(SEND, args)) == [field]


def test_names_that_libraries_use_for_themselves_are_names_like_others() -> None:
    read = COPIES.read(b'{"json":{"a":[1]},"copy":false,"when":"2026-01-02T03:04:05Z"}')
    assert (read["json"], read["copy"], read["when"].year) == ({"a": [1]}, False, 2026)


@pytest.mark.parametrize(("args", "result"), [
    ('{"a":5,"b":10}', 15), ('{"a":5.0,"b":10}', 15.0),
    ('{"a":123456789012345678901234567890,"b":1}', 123456789012345678901234567891),
    ('{"a":0.1,"b":0.2}', 0.1 + 0.2), ('{"a":-3,"b":3}', 0),
])  # fmt: skip
def test_add_adds_exactly(args: str, result: float) -> None:
    found = ADD.function(**ADD.signature.read(args.encode()))
    assert (found, type(found)) == (result, type(result))


@pytest.mark.parametrize("value", ["true", '"5"', "null", "[]", "NaN", "1e999"])
def test_add_refuses_what_is_no_number(value: str) -> None:
    assert list(faults(ADD.signature, f'{{"a":{value},"b":1}}'.encode())) == ["args.a"]


def test_a_value_of_several_types_has_one_fault() -> None:
    assert faults(ADD.signature, b'{"a":"5","b":1}') == {
        "args.a": "Input should be a valid integer; or Input should be a valid number"
    }


def _positional(a: int, /) -> None: ...


def _many(*values: int) -> None: ...


def _untyped(a) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize("function", [_positional, _many, _untyped])
def test_a_function_that_args_cannot_call_is_none(function: Any) -> None:
    with pytest.raises(TypeError):
        Signature(function)
