"""What a sentence needs of an event's attributes. Never `json.loads`: numbers of 5,000 digits raise there."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import msgspec

from headrace.query.plain import plain

_ADDRESSES = ("ip", "address", "client_ip", "remote_ip", "source_ip", "remote_addr")
_MOST_LISTED = 10
_ABSENT = msgspec.Raw()


class _Wanted(msgspec.Struct):
    """Those that are read, as they stand: a value of another kind than expected is passed over."""

    ip: msgspec.Raw = _ABSENT
    address: msgspec.Raw = _ABSENT
    client_ip: msgspec.Raw = _ABSENT
    remote_ip: msgspec.Raw = _ABSENT
    source_ip: msgspec.Raw = _ABSENT
    remote_addr: msgspec.Raw = _ABSENT
    name: msgspec.Raw = _ABSENT
    username: msgspec.Raw = _ABSENT
    user: msgspec.Raw = _ABSENT
    how: msgspec.Raw = _ABSENT
    reason: msgspec.Raw = _ABSENT
    permissions: msgspec.Raw = _ABSENT
    replayed: msgspec.Raw = _ABSENT


_attributes = msgspec.json.Decoder(_Wanted).decode
_value = msgspec.json.Decoder(str | int | list[str]).decode


def texts_of(attributes: str | None) -> dict[str, str]:
    """The attributes that sentences speak of, as text; empty ones are left out."""
    if not attributes:
        return {}
    try:
        wanted = _attributes(attributes)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    found = {name: _text(raw) for name in wanted.__struct_fields__ if len(raw := getattr(wanted, name))}
    return {name: text for name, text in found.items() if text}


def _text(raw: msgspec.Raw) -> str:
    try:
        value = _value(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    if not isinstance(value, list):
        return plain(str(value))
    *most, last = [plain(each) for each in value[:_MOST_LISTED]] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def address_in(texts: Mapping[str, str]) -> str:
    """The address that it came from, or nothing: `address` may as well be a street."""
    for name in _ADDRESSES:
        try:
            return str(ip_address(texts[name]))
        except (KeyError, ValueError):
            continue
    return ""
