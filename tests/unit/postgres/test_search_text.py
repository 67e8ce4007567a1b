"""What `q` looks through: never a key, values as they are meant, numbers as they are written."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.adapters.postgres.search_text import END, folded, joined, searched


def parts(message: str | None, attributes: str | None) -> list[str]:
    text, _ = searched(message, attributes)
    return text.removesuffix(END).split(END) if text else []


def is_indexable(attributes: str) -> bool:
    return searched(None, attributes)[1]


def test_message_and_values_are_there_in_lower_case() -> None:
    assert parts("A Flask", '{"Who":"Ümit","at":"São"}') == ["a flask", "ümit", "são"]


def test_no_message_and_no_attributes_are_no_text() -> None:
    assert searched(None, None) == ("", True)
    assert searched(None, "{}") == ("", True)


def test_an_empty_text_is_an_empty_part() -> None:
    assert searched("", '{"a":"","b":""}')[0] == END * 3


@pytest.mark.parametrize("key", ["key", "ke y", "k:e,y", "{key}", "[1,2]", "null", r"\"key", r"ke\\"])
def test_a_key_is_never_searched(key: str) -> None:
    assert parts(None, f'{{"{key}" : "value","{key}":{{"{key}":[{{"{key}":1}}]}}}}') == ["value", "1"]


@pytest.mark.parametrize("number", ["0", "-0", "1.50", "1e5", "1E+05", "-0.00", "12345678901234567890.10"])
def test_a_number_is_searched_as_it_is_written(number: str) -> None:
    text = f'{{"a":{number},"b":[{number},{number}]}}'
    assert parts(None, text) == [number.lower()] * 3


def test_null_is_no_value_but_its_name_in_quotes_is() -> None:
    assert parts(None, '{"a":null,"b":[null,"null",true,false,null]}') == ["null", "true", "false"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [(r"a\"b", 'a"b'), (r"a\\", "a\\"), (r"a\/b", "a/b"), (r"\u00e9", "é"), (r"\ud83d\ude00", "😀"), (r"a\nb", "a\nb")],
)
def test_an_escape_is_searched_as_what_it_means(written: str, meant: str) -> None:
    assert parts(None, f'{{"a":"{written}","b":1}}') == [meant, "1"]


@pytest.mark.parametrize("text", [r"\ud83d", r"\ude00\ud83d", r"a\u0000b"])
@pytest.mark.parametrize("document", ['{{"a":"{}","b":1}}', '{{"{}":1}}'])
def test_what_the_server_has_no_text_for_is_not_indexable(text: str, document: str) -> None:
    assert not is_indexable(document.format(text))


def test_half_a_surrogate_pair_is_searched_as_it_is_written() -> None:
    assert parts(None, r'{"a":"x\ud83d","b":"y"}') == [r"x\ud83d", "y"]


@pytest.mark.parametrize("mark", ["\\", ""])
def test_a_number_beyond_jsonb_is_not_indexable(mark: str) -> None:
    escaped = ',"b":"\\n"' if mark else ""
    long = "9" * 999
    for number, fine in (("1e999", True), ("1e1000", False), ("1E+99999", False), (long, True), (f"{long}9", False)):
        assert is_indexable(f'{{"a":{number}{escaped}}}') is fine, number
    assert is_indexable('{"a":"1e1000","1e1000":"' + "9" * 1_000 + f'"{escaped}}}')


def test_deep_nesting_is_not_indexable() -> None:
    assert is_indexable('{"a":' + "[" * 999 + "]" * 999 + "}")
    assert not is_indexable('{"a":' + "[" * 1_000 + "]" * 1_000 + "}")
    assert not is_indexable('{"a":"\\n","b":' + "[" * 1_000 + "]" * 1_000 + "}")


def test_the_mark_between_parts_is_not_found_inside_of_one() -> None:
    assert parts(f"a{END}b", r'{"a":"c\u001fd","b":"e"}') == ["aAb", "cAd", "e"]
    assert parts(f"a{END}b", '{"a":"c","b":1}') == ["aAb", "c", "1"]


def test_a_quote_in_the_message_stays() -> None:
    assert parts('say "hi"', '{"a":"x"}') == ['say "hi"', "x"]


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each)]
    if isinstance(value, str):
        return [value]
    return [] if value is None else [json.dumps(value)]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1f"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=12)


@pytest.mark.no_cover  # four times as fast without; the others cover the lines
@settings(deadline=None)  # the machine may be busy
@given(st.none() | TEXTS, st.dictionaries(TEXTS, VALUES), st.booleans(), st.sampled_from([None, 1]))
def test_every_value_of_any_document_and_nothing_else(
    message: str | None, document: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    wanted = leaves(document) if message is None else [message, *leaves(document)]
    assert searched(message, text) == searched(None, json.dumps({"": wanted}, ensure_ascii=False))
    assert searched(message, text)[0].count(END) == len(wanted)


WORDS = ["", "a", "A", "\x1f", "a\x1f", "\x1fA", "A\x1fb", "b", "ab", "É\x1f"]


@pytest.mark.parametrize("parts", list(product(WORDS, repeat=2)))
def test_the_column_holds_a_word_exactly_where_a_part_does(parts: tuple[str, ...]) -> None:
    for word in WORDS:
        assert (folded(word) in joined(parts)) == any(word.lower() in part.lower() for part in parts)


def test_nothing_holds_nothing() -> None:
    assert joined([]) == ""
