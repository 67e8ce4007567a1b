"""What is typed into the forms of the administration, and what comes back of it."""

from __future__ import annotations

import pytest

from headrace.errors import Conflict, Forbidden, Invalid, ItemError, Unavailable
from headrace.model.principal import Permission
from headrace.web.console.pages.admin_forms import ACCESS, Form, access_of, sentence, size_and_unit


def typed(**fields: str) -> Form:
    return Form(fields.items(), sent=True)


@pytest.mark.parametrize(("text", "number"), [("", None), ("  ", None), ("1", 1), (" 30 ", 30), ("36,500", 36_500)])
def test_a_number_may_be_left_blank_and_may_have_commas(text: str, number: int | None) -> None:
    form = typed(days=text)
    assert form.number("days", 36_500, "to keep for ever") == number
    assert form.ok


@pytest.mark.parametrize("text", ["0", "-1", "36501", "1.5", "x", "١", "²", "9" * 5_000])
def test_what_is_no_number_in_range_is_told_at_its_field_and_kept(text: str) -> None:
    form = typed(days=text)
    assert form.number("days", 36_500, "to keep for ever") is None
    assert form.errors == {"days": "Must be a whole number from 1 to 36,500; leave it blank to keep for ever."}
    assert form.get("days", 7) == text


@pytest.mark.parametrize(
    ("text", "unit", "size"),
    [("1", "GiB", 2**30), ("1.5", "MiB", 3 * 2**19), ("7", "bytes", 7), ("7", "parsec", 7), ("", "GiB", None)],
)
def test_a_size_has_a_unit(text: str, unit: str, size: int | None) -> None:
    form = typed(quota=text, quota_unit=unit)
    assert form.size("quota") == size
    assert form.ok


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e999999999", "9999999", "lots", "0.1e-14"])
def test_what_is_no_size_is_told_at_its_field(text: str) -> None:
    form = typed(quota=text, quota_unit="TiB")
    assert form.size("quota") is None
    assert list(form.errors) == ["quota"]


@pytest.mark.parametrize("size", [None, 1, 1_000, 2**20, 3 * 2**19, 2**30 + 1, 5 * 2**40, 2**53 - 1])
def test_a_size_is_shown_as_it_would_be_typed(size: int | None) -> None:
    text, unit = size_and_unit(size)
    assert typed(quota=text, quota_unit=unit).size("quota") == size


def test_every_access_has_a_word_and_back() -> None:
    assert [access_of(permissions) for permissions in ACCESS.values()] == list(ACCESS)
    assert access_of(frozenset({Permission.READ, Permission.MANAGE})) == "manage"
    form = typed(access="everything")
    assert form.access("access") == frozenset()
    assert not form.ok


def test_before_anything_was_typed_a_form_shows_what_is_there_and_then_what_was_typed() -> None:
    assert Form().get("description", "bills") == "bills"
    assert Form().get("days", None) == ""
    assert Form().has("role", "admin", True)
    sent = typed(description="")
    assert sent.get("description", "bills") == ""
    assert not sent.has("role", "admin", True)


def test_what_a_feature_refuses_stands_at_its_fields() -> None:
    form = typed(name="Ä")
    items = [
        ItemError("invalid-value", "name must be a-z", field="name"),
        ItemError("invalid-value", "quota.bytes_per_day must be from 1", field="quota.bytes_per_day"),
    ]
    with form:
        raise Invalid("Two things are wrong.", items=items)
    assert form.errors == {"name": "Must be a-z.", "bytes_per_day": "Must be from 1."}
    assert not form.problem


def test_a_conflict_stands_at_the_field_that_it_is_about() -> None:
    form = typed(username="ada")
    with form:
        raise Conflict("There is a user 'ada' already.", code="username-taken")
    assert form.errors == {"username": "There is a user 'ada' already."}


def test_a_refusal_that_names_no_field_is_told_above_the_form() -> None:
    form = typed(name="billing")
    with form:
        raise Forbidden("Only an administrator may do this.")
    assert (form.problem, form.errors) == ("Only an administrator may do this.", {})


def test_what_nobody_at_the_form_can_mend_goes_on() -> None:
    with pytest.raises(Unavailable), typed():
        raise Unavailable("the control data cannot be reached")


@pytest.mark.parametrize(("text", "said"), [("must be 1", "Must be 1."), ("Done.", "Done."), ("Sure?", "Sure?")])
def test_a_reason_is_a_sentence(text: str, said: str) -> None:
    assert sentence(text) == said
