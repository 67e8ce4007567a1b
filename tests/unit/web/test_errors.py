"""Every error has one status and one shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace import errors
from headrace.errors import HeadraceError, Invalid, ItemError, Malformed, Overloaded
from headrace.web.errors import MOST_ITEMS, STATUS, from_validation, items, problem, status_of


def every(kind: type[HeadraceError]) -> list[type[HeadraceError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in every(child))]


OURS = [kind for kind in every(HeadraceError) if kind.__module__ == "headrace.errors"]
EXPECTED = {
    "Malformed": 400, "Unauthenticated": 401, "Forbidden": 403, "NotFound": 404, "Conflict": 409, "Gone": 410,
    "TooLarge": 413, "Unsupported": 415, "Invalid": 422, "OverQuota": 429, "Unavailable": 503, "Overloaded": 503,
    "QueryTimeout": 503, "PartlyStored": 503, "OutcomeUnknown": 503, "Unusable": 503, "NewerFormat": 503,
    "DirectoryLocked": 503,
}  # fmt: skip


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_error_has_the_status_of_the_contract(kind: type[HeadraceError]) -> None:
    assert status_of(kind("why")) == EXPECTED.get(kind.__name__, 500)


def test_the_table_names_only_errors_that_exist() -> None:
    assert {kind.__name__ for kind in STATUS} <= {kind.__name__ for kind in every(HeadraceError)}


def test_a_problem_has_the_members_of_rfc_9457_and_says_where() -> None:
    made = problem(Invalid("two fields are wrong", code="invalid-event", items=[
        ItemError("unknown-field", "there is no such field", index=3),
        ItemError("invalid-value", "must be text", field="level"),
    ]))  # fmt: skip
    assert json.loads(made.body) == {
        "type": "/problems/invalid-event",
        "title": "Invalid event",
        "status": 422,
        "detail": "two fields are wrong",
        "errors": [
            {"index": 3, "code": "unknown-field", "detail": "there is no such field"},
            {"field": "level", "code": "invalid-value", "detail": "must be text"},
        ],
    }
    assert dict(made.headers) == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(made.body)).encode(),
    }


@pytest.mark.parametrize(("seconds", "header"), [(0.2, b"1"), (1.0, b"1"), (1.1, b"2"), (30, b"30")])
def test_what_can_be_tried_again_says_when_in_whole_seconds(seconds: float, header: bytes) -> None:
    assert dict(problem(Overloaded("full", retry_after=seconds)).headers)[b"retry-after"] == header


def test_a_missing_credential_says_how_to_send_one() -> None:
    assert dict(problem(errors.Unauthenticated("who?")).headers)[b"www-authenticate"].startswith(b"Bearer")


def test_an_unexpected_error_tells_nothing_but_the_request() -> None:
    made = problem(ValueError("the password is hunter2"), "req-1")
    assert made.status == 500
    assert b"hunter2" not in made.body
    assert b"req-1" in made.body


def test_half_a_character_from_outside_does_not_break_the_answer() -> None:
    made = problem(Invalid("\ud800", items=[ItemError("unknown-field", "\udfff", field="\ud801")]))
    assert json.loads(made.body)["detail"] == "\\ud800"


def test_at_most_a_hundred_items_are_spelled_out() -> None:
    assert len(items(ItemError("x", "y", index=index) for index in range(1000))) == MOST_ITEMS


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ({"loc": ("query", "limit"), "type": "int_parsing", "msg": "not a number"}, Malformed),
        ({"loc": ("body", 7), "type": "json_invalid", "msg": "JSON decode error"}, Malformed),
        ({"loc": ("body",), "type": "missing", "msg": "Field required"}, Malformed),
        ({"loc": ("body", "name"), "type": "missing", "msg": "Field required"}, Invalid),
        ({"loc": ("body", "color"), "type": "extra_forbidden", "msg": "no such field"}, Invalid),
    ],
)
def test_what_cannot_be_parsed_is_malformed_and_what_was_parsed_is_invalid(
    reason: dict[str, Any], kind: type[HeadraceError]
) -> None:
    assert type(from_validation([reason])) is kind


def test_a_wrong_field_is_named_without_its_value() -> None:
    reason = {"loc": ("body", "quota", "bytes_per_day"), "type": "int_type", "msg": "must be int", "input": "secret"}
    error = from_validation([reason])
    assert error.items == (ItemError("int-type", "must be int", field="quota.bytes_per_day"),)
