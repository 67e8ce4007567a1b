"""What a username, an e-mail address and a name may be."""

from __future__ import annotations

import pytest

from headrace.auth.rules import check_email, check_key_name, check_name, check_username, gather
from headrace.errors import Invalid


@pytest.mark.parametrize(("text", "kept"), [("ada", "ada"), ("Ada.L-1_x", "ada.l-1_x"), ("0x", "0x"), ("a" * 63,) * 2])
def test_good_usernames_are_kept_in_lower_case(text: str, kept: str) -> None:
    assert check_username(text) == kept


@pytest.mark.parametrize(
    "text",
    ["", "a", "a" * 64, ".ada", "-ada", "_ada", "a b", "ada\n", "a@b", "a/b", "ädä", "\u212aelvin", "a\0", "\ud800x"],
)
def test_bad_usernames_are_invalid_at_the_username(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_username(text)
    assert [item.field for item in refusal.value.items] == ["username"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada+billing@example.com", "ada+billing@example.com"),
        ("x@b\u00fccher.example", "x@xn--bcher-kva.example"),
        ("ada@mail.test", "ada@mail.test"),
    ],
)
def test_good_addresses_are_kept_in_lower_case_as_dns_has_them(text: str, kept: str) -> None:
    assert check_email(text) == kept


@pytest.mark.parametrize(
    "text",
    ["", "ada", "a@b", "@example.com", "a@", "a b@example.com", "Ada <a@example.com>", "a@example.com ",
     " a@example.com", "a@example.com\n", "a@example.com\r\nBcc: x@example.com", "a@[192.0.2.1]", "a@localhost",
     "a" * 65 + "@example.com", "a@" + "b" * 250 + ".com", "a@b..com",
     "\ud800@example.com", "a\0@example.com",
     "j\u00f6rg@example.com",
     "a@example.com,b@example.com", "a" * 100_000],
)  # fmt: skip
def test_bad_addresses_are_invalid_at_the_email(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_email(text)
    assert [item.field for item in refusal.value.items] == ["email"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [("Ada", "Ada"), ("  Ada  ", "Ada"), ("", None), ("   ", None), (None, None), ("\U0001f980 O'X",) * 2],
)
def test_names_are_kept_without_spaces_around_them_and_an_empty_one_is_none(text: str | None, kept: str | None) -> None:
    assert check_name("first_name", text) == kept


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\0", "\ud83e", "a\u2028b", "\x1b[31m", "x" * 101])
def test_a_name_that_cannot_be_shown_on_a_line_is_invalid_at_its_field(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_name("last_name", text)
    assert [item.field for item in refusal.value.items] == ["last_name"]


@pytest.mark.parametrize("text", ["", "  ", "x" * 201, "a\nb"])
def test_a_key_has_a_name_of_1_to_200_characters_on_one_line(text: str) -> None:
    assert check_key_name("x" * 200) == "x" * 200
    with pytest.raises(Invalid):
        check_key_name(text)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        gather(lambda: check_username("!"), lambda: check_email("!"), lambda: check_name("first_name", "Ada"))
    assert [item.field for item in refusal.value.items] == ["username", "email"]
