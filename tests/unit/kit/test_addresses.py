from __future__ import annotations

import pytest

from headrace.kit.addresses import limited_as, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"), ("192.0.2.1.", "None"), ("", "None"), ("localhost", "None"), ("010.0.0.1", "None"),
    ],
)  # fmt: skip
def test_an_address_has_one_spelling(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


def test_a_subscriber_of_ipv6_is_limited_as_one() -> None:
    assert limited_as("2001:db8:1:2:3::4") == limited_as("2001:db8:1:2::ffff") == "2001:db8:1:2::/64"
    assert limited_as("2001:db8:1:3::1") != limited_as("2001:db8:1:2::1")


def test_an_address_of_ipv4_is_limited_alone() -> None:
    assert limited_as("::ffff:192.0.2.1") == "192.0.2.1"
    assert limited_as("unknown") == "unknown"
