"""Events as sentences: ours, everyone else's, and whatever a stranger may send."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.model.event import OUTCOMES, Party, StoredEvent
from headrace.query.phrases import KNOWN
from headrace.query.plain import MOST, plain
from headrace.query.sentences import Sentence, sentence_of
from headrace.query.verbs import deed_of

ROOT = Path(__file__).parents[3]
ADA = Party("user-1842", "user", "Ada")
INVOICE = Party("inv-99311", "invoice")
BOB = "0197c1a2-7e4b-7c3a-9d2e-5f6a7b8c9d0e"
STRANGER = Party("anonymous", "anonymous")


def stored(**fields: Any) -> StoredEvent:
    blank = dict.fromkeys(
        ("service", "action", "actor", "target", "outcome", "message", "attributes", "trace_id", "span_id")
    )
    return StoredEvent(**({"seq": 1, "id": 1, "time": 0, "received_at": 0, "level": 2} | blank | fields))


def said(*, ours: bool = False, **fields: Any) -> str:
    return str(sentence_of(stored(**fields), ours=ours))


# --- Everyone else's ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ("invoice.paid", "Ada (user-1842) paid invoice inv-99311"),
        ("invoice.pay", "Ada (user-1842) paid invoice inv-99311"),
        ("PayInvoice", "Ada (user-1842) paid invoice inv-99311"),
        ("pay_invoice", "Ada (user-1842) paid invoice inv-99311"),
        ("billing:invoice/cancelled", "Ada (user-1842) cancelled invoice inv-99311"),
        ("invoice.frobnicated", "Ada (user-1842) frobnicated invoice inv-99311"),
        ("line.removed", "Ada (user-1842) removed a line on invoice inv-99311"),
        ("card.declined_by_bank", "Ada (user-1842) did card.declined_by_bank on invoice inv-99311"),
        ("payment.failure", "Ada (user-1842) did payment.failure on invoice inv-99311"),
        ("...", "Ada (user-1842) did ... on invoice inv-99311"),
    ],
)
def test_an_unknown_action_is_read_from_its_name(action: str, sentence: str) -> None:
    assert said(action=action, actor=ADA, target=INVOICE) == sentence


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"actor": ADA}, "Ada (user-1842) paid an invoice"),
        ({"actor": ADA, "target": Party("inv-1")}, "Ada (user-1842) paid invoice inv-1"),
        ({"service": "billing-api", "target": INVOICE}, "billing-api paid invoice inv-99311"),
        ({"target": INVOICE}, "Somebody paid invoice inv-99311"),
        ({"actor": Party("u-1"), "target": Party("inv-1", name="March")}, "u-1 paid invoice March (inv-1)"),
    ],
)
def test_who_or_what_is_missing_is_not_made_up(fields: dict[str, Any], sentence: str) -> None:
    assert said(action="invoice.paid", **fields) == sentence


@pytest.mark.parametrize(
    ("action", "outcome", "sentence"),
    [
        ("invoice.paid", "failure", "Ada (user-1842) tried to pay invoice inv-99311, and failed"),
        ("invoice.paid", "unknown", "Ada (user-1842) tried to pay invoice inv-99311; whether it worked is not known"),
        ("glorb.glorbed", "failure", "Ada (user-1842) tried glorb.glorbed on invoice inv-99311, and failed"),
    ],
)
def test_what_failed_is_never_said_to_be_done(action: str, outcome: str, sentence: str) -> None:
    assert said(action=action, actor=ADA, target=INVOICE, outcome=outcome) == sentence


@pytest.mark.parametrize("action", ["login", "user.login", "session.signed_in", "user.sign-in", "auth.logged_in"])
def test_signing_in_needs_no_object(action: str) -> None:
    assert said(action=action, actor=ADA) == "Ada (user-1842) signed in"


def test_a_message_alone_is_the_sentence() -> None:
    assert said(message="disk full") == "disk full"
    assert said(message="disk full", service="db") == "db: disk full"
    assert said(message="hello", actor=ADA) == "Ada (user-1842): hello"


@pytest.mark.parametrize(
    ("attributes", "address"),
    [
        ('{"ip": "203.0.113.7"}', "203.0.113.7"),
        ('{"address": "2001:DB8::1"}', "2001:db8::1"),
        ('{"client_ip": "10.0.0.1", "ip": "not one"}', "10.0.0.1"),
        ('{"address": "12 High Street"}', ""),
        ('{"ip": 12}', ""),
        ('{"ip": {"v4": "10.0.0.1"}}', ""),
        (f'{{"n": {"9" * 6_000}, "ip": "10.0.0.1"}}', "10.0.0.1"),
        ("not json", ""),
        (None, ""),
    ],
)
def test_from_where_is_an_address_or_nothing(attributes: str | None, address: str) -> None:
    assert sentence_of(stored(action="a.b", attributes=attributes)).address == address


def test_the_parts_say_who_and_what_to_filter_by() -> None:
    found = sentence_of(stored(action="invoice.paid", actor=ADA, target=INVOICE, message="by card"))
    assert {part.role: part.id for part in found.parts if part.id} == {"actor": "user-1842", "target": "inv-99311"}
    assert found.note == "by card"


# --- Ours ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "fields", "sentence"),
    [
        ("user.login", {"target": ADA, "attributes": '{"how": "password", "address": "::1"}'},
         "Ada (user-1842) signed in (password) · from ::1"),
        ("user.login_failed", {"actor": STRANGER, "target": Party(BOB, "user"), "outcome": "failure",
                               "attributes": '{"reason": "wrong-password"}'},
         "Somebody could not sign in as bob: wrong password"),
        ("user.login_failed", {"actor": STRANGER, "target": Party("unknown", "user"), "outcome": "failure"},
         "Somebody could not sign in as somebody unknown"),
        ("key.created", {"target": Party("k7", "api_key"), "attributes": '{"name": "billing"}'},
         "Ada (user-1842) made API key billing (k7)"),
        ("grant.changed", {"target": Party("billing", "bucket"),
                           "attributes": f'{{"user": "{BOB}", "permissions": ["read", "write"]}}'},
         "Ada (user-1842) set what user bob may do on bucket billing: read and write"),
        ("grant.changed", {"target": Party("billing", "bucket")}, "Ada (user-1842) changed a grant on bucket billing"),
        ("bucket.deleted", {"target": Party("old", "bucket"), "outcome": "failure"},
         "Ada (user-1842) tried to delete bucket old, and failed"),
    ],
)  # fmt: skip
def test_our_own_actions_have_phrases(action: str, fields: dict[str, Any], sentence: str) -> None:
    event = stored(**({"action": action, "actor": ADA} | fields))
    assert str(sentence_of(event, {BOB: "bob"}, ours=True)) == sentence


def test_every_action_that_the_program_records_has_a_phrase() -> None:
    rooms = ("auth", "buckets", "operations")
    source = "\n".join(path.read_text() for room in rooms for path in (ROOT / "src/headrace" / room).glob("*.py"))
    nouns = "user|key|bucket|grant|viewer_token|session|signing_key|dead_letters|backup"
    recorded = set(re.findall(rf'"((?:{nouns})\.[a-z_]+)"', source))
    assert len(recorded) > 15
    assert recorded <= KNOWN.keys()


def test_somebody_elses_action_of_the_same_name_is_not_ours() -> None:
    assert said(action="key.created", actor=ADA, target=INVOICE) == "Ada (user-1842) created a key on invoice inv-99311"
    assert sentence_of(stored(action="key.created", message="by hand")).note == "by hand"


@pytest.mark.parametrize("action", KNOWN)
def test_a_phrase_fits_an_event_with_everything_and_one_with_nothing(action: str) -> None:
    full = '{"name": "n", "username": "u", "user": "u", "permissions": ["read"], "reason": "r", "how": "h"}'
    assert "{" not in said(ours=True, action=action, actor=ADA, target=INVOICE, attributes=full)
    assert said(ours=True, action=action).startswith("Somebody ")


# --- Whatever a stranger may send ---------------------------------------------------------------------------------

anything = st.text(st.characters(codec="utf-8"), max_size=400)
maybe = st.none() | anything
party = st.none() | st.builds(Party, anything, maybe, maybe)
action = st.none() | anything | st.sampled_from(sorted(KNOWN)) | st.from_regex(r"[a-z]{1,9}[._:][a-z_]{1,20}")
jsons = st.recursive(st.none() | st.booleans() | st.integers() | anything, lambda inner: st.lists(inner, max_size=3))
names = st.sampled_from(["ip", "address", "user", "permissions", "reason", "name", "username", "how"])
attributes = st.none() | anything | st.dictionaries(names, jsons).map(lambda found: msgspec.json.encode(found).decode())
TURNING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028\u2029]")


@given(st.builds(stored, action=action, actor=party, target=party, service=maybe, message=maybe,
                 outcome=st.none() | st.sampled_from(OUTCOMES), attributes=attributes), st.booleans())  # fmt: skip
@example(stored(action="\x1b[2Jx", actor=Party("\u202egnp.exe", None, "\u202e"), target=Party("")), True)
@example(stored(message="x" * 1_000_000), True)
@example(stored(action="a" * 1_000_000 + ".paid", actor=Party("b" * 1_000_000)), True)
@example(stored(action="user.login", actor=Party("a"), attributes="[" * 100_000), True)
def test_any_event_gives_a_sentence_that_hides_nothing(event: StoredEvent, ours: bool) -> None:
    found = sentence_of(event, ours=ours)
    assert isinstance(found, Sentence)
    assert str(found).strip()
    for text in (str(found), found.note):
        assert not TURNING.search(text)
        assert len(text) < 8 * MOST


@given(anything | st.text(max_size=50))
def test_plain_text_is_short_and_of_one_line(text: str) -> None:
    assert len(plain(text)) <= MOST + 1
    assert not TURNING.search(plain(text))
    plain(text).encode()


def test_plain_text_keeps_what_languages_need() -> None:
    assert plain("می\u200cخواهم 👩\u200d👩\u200d👧") == "می\u200cخواهم 👩\u200d👩\u200d👧"
    assert plain(" a\n\t b ") == "a b"


@given(anything)
def test_any_action_can_be_looked_at(text: str) -> None:
    deed = deed_of(text)
    assert bool(deed.past) or not deed.noun
