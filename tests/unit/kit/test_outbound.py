"""What may be asked, and what must not."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from headrace.kit.outbound import Guard, Refused, Unresolved, place_of, public


def named(*addresses: str) -> Guard:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return Guard(resolve=resolve)


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.1.2.3", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::1",
    "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1",
    "fec0::1", "ff02::1",
])  # fmt: skip
def test_an_address_that_is_not_of_the_internet_is_not_public(address: str) -> None:
    assert not public(ip_address(address))


@pytest.mark.parametrize("address", [
    "8.8.8.8", "1.1.1.1", "93.184.216.34", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111", "2a00:1450::1",
])  # fmt: skip
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert public(ip_address(address))


@pytest.mark.parametrize("url", [
    "", "ftp://example.com/", "file:///etc/passwd", "//example.com/", "http:///x", "http://", "http://user@example.com/",
    "http://user:secret@example.com/", "http://@example.com/", "http://example.com:0/", "http://example.com:99999/",
    "http://example.com:x/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/",
    "http://0x7f.0.0.1/", "http://017700000001/", "http://127.0.0.1.0x1/", "http://256.1.1.1/", "http://1.2.3/",
    "http://[::1/", "http://[fe80::1%25eth0]/", "http://[1.2.3.4]/", "http://exa mple.com/",
    "http://example.com/\r\nX: y",
    "http://example.com\\@127.0.0.1/", "http://ex%61mple.com/", "http://example..com/", "http://-a.com/",
    "http://" + "a" * 64 + ".com/", "http://example.com/" + "a" * 9_000, "http://１２７.1/", "gopher://example.com/",
    "javascript:alert(1)", "http://a,b/", "http://a_b@c/",
])  # fmt: skip
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        place_of(url)


@pytest.mark.parametrize(("url", "authority", "path"), [
    ("http://example.com", "example.com", "/"), ("HTTP://Example.COM:80/a?b=c#d", "example.com", "/a?b=c"),
    ("https://example.com:8443/", "example.com:8443", "/"),
    ("http://[2606:4700::1111]:81/", "[2606:4700::1111]:81", "/"),
    ("https://bücher.example/ä", "xn--bcher-kva.example", "/ä"),
])  # fmt: skip
def test_a_plain_url_is_taken_apart(url: str, authority: str, path: str) -> None:
    place = place_of(url)
    assert (place.authority, place.path) == (authority, path)


@pytest.mark.parametrize("url", [
    "http://127.0.0.1/", "http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://[::ffff:7f00:1]/",
    "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://0.0.0.0/",
])  # fmt: skip
async def test_a_literal_address_that_is_private_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        await named("8.8.8.8").addresses(place_of(url))


async def test_a_name_with_one_private_address_is_refused_whole() -> None:
    with pytest.raises(Refused, match="not on the public internet"):
        await named("8.8.8.8", "10.0.0.1").addresses(place_of("http://example.com/"))


async def test_a_refusal_does_not_tell_what_the_name_stands_for() -> None:
    with pytest.raises(Refused) as raised:
        await named("10.9.8.7").addresses(place_of("http://db.internal/"))
    assert "10.9" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://localhost/", "http://127.0.0.1./"])
async def test_what_the_system_resolves_to_itself_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        await Guard().addresses(place_of(url))


async def test_a_name_without_addresses_is_unresolved() -> None:
    with pytest.raises(Unresolved):
        await named().addresses(place_of("http://example.com/"))


async def test_a_network_that_is_allowed_is_reached_and_no_other() -> None:
    guard = Guard(["10.1.0.0/16", " fd00::/8 "])
    assert list(map(str, await guard.addresses(place_of("http://10.1.2.3/")))) == ["10.1.2.3"]
    assert await guard.addresses(place_of("http://[::ffff:10.1.2.3]/"))
    assert await guard.addresses(place_of("http://[fd00::1]/"))
    with pytest.raises(Refused):
        await guard.addresses(place_of("http://10.2.0.1/"))


def test_what_is_no_network_is_said() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        Guard(["10.0.0.1/8"])
