"""Whose address counts: the peer's, or what proxies that we trust say."""

from __future__ import annotations

import pytest

from headrace.errors import Unusable
from headrace.web.client_address import UNKNOWN, client_address, parse_trusted

TRUSTED = parse_trusted("10.0.0.0/8, 192.0.2.7,2001:db8::/32")


def asked(peer: str | None, *forwarded: str, setting: str | None = None) -> str:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    trusted = TRUSTED if setting is None else parse_trusted(setting)
    return client_address({"client": peer and (peer, 4711), "headers": headers}, trusted)


def test_a_stranger_may_say_what_it_likes() -> None:
    assert asked("203.0.113.9", "198.51.100.1") == "203.0.113.9"


def test_without_trusted_proxies_the_peer_counts() -> None:
    assert asked("10.0.0.1", "198.51.100.1", setting="") == "10.0.0.1"


def test_a_trusted_proxy_is_believed() -> None:
    assert asked("10.0.0.1", "198.51.100.1") == "198.51.100.1"


def test_what_the_client_put_before_is_not_believed() -> None:
    assert asked("10.0.0.1", "127.0.0.1, 10.9.9.9, 198.51.100.1") == "198.51.100.1"
    assert asked("10.0.0.1", "127.0.0.1", "198.51.100.1") == "198.51.100.1"
    assert asked("10.0.0.1", "rubbish, 198.51.100.1") == "198.51.100.1"


def test_trusted_proxies_in_a_row_are_walked_past() -> None:
    assert asked("10.0.0.1", "1.1.1.1, 198.51.100.1, 192.0.2.7 , 10.1.1.1") == "198.51.100.1"
    assert asked("10.0.0.1", "198.51.100.1", "192.0.2.7") == "198.51.100.1"


def test_when_all_are_trusted_the_farthest_counts() -> None:
    assert asked("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize("value", ["rubbish", "", " , ", "198.51.100.1, unknown", "198.51.100.1,", "1.2.3", "\xe4"])
def test_from_rubbish_the_peer_counts(value: str) -> None:
    assert asked("10.0.0.1", value) == "10.0.0.1"


def test_without_the_header_the_proxy_itself_asked() -> None:
    assert asked("10.0.0.1") == "10.0.0.1"


def test_addresses_are_spelled_one_way() -> None:
    assert asked("::ffff:10.0.0.1", "::ffff:198.51.100.1") == "198.51.100.1"
    assert asked("2001:DB8:0::1", "2001:0DB9::0001") == "2001:db9::1"


def test_a_port_may_be_written_too() -> None:
    assert asked("10.0.0.1", "198.51.100.1:4711") == "198.51.100.1"
    assert asked("10.0.0.1", "[2001:db9::1]:4711") == "2001:db9::1"


def test_a_socket_without_an_address_is_unknown() -> None:
    assert asked(None, "198.51.100.1") == UNKNOWN


def test_a_flood_of_hops_is_not_walked() -> None:
    assert asked("10.0.0.1", ",".join(["198.51.100.1"] + ["10.0.0.2"] * 5_000)) == "10.0.0.2"


def test_a_mapped_network_is_meant_as_ipv4() -> None:
    assert asked("10.0.0.1", "198.51.100.1", setting="::ffff:10.0.0.0/104") == "198.51.100.1"


@pytest.mark.parametrize("setting", ["localhost", "10.0.0.0/33", "10.0.0.1 10.0.0.2", "*"])
def test_a_setting_that_is_no_network_is_told_at_start(setting: str) -> None:
    with pytest.raises(Unusable, match="HEADRACE_TRUSTED_PROXIES"):
        parse_trusted(setting)
