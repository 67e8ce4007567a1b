"""What our tokens say, and the one form in which they say it (RFC 7519, RFC 8725, RFC 9068).

We alone make them, so whatever is not exactly as we make it is refused: another header field, a claim more or less, a
number with a fraction, a name that comes twice. Checking is pure, and every refusal a ValueError.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.kit.times import SECOND
from headrace.model.principal import API_KEY, USER

AUDIENCE = "headrace"
ACCESS, VIEWER = "at+jwt", "viewer+jwt"
"""The `typ` of a token says what it is for (RFC 8725, 3.11); each kind has claims that the other has not."""

MOST_BYTES = 8 * 1024
LONGEST_SECONDS = 86_400
LEEWAY_SECONDS = 30
"""How far the clock of another machine of ours may be ahead. `exp` gets none: `expires_at` means what it says."""

# The last character of 64 bytes in base64url holds two bits: any other than these four would be a second spelling.
_COMPACT = re.compile(r"([A-Za-z0-9_-]{1,256})\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{85}[AQgw]", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MAKER = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_LATEST = 2**53  # beyond it not every JSON parser keeps a number as it is

_COMMON = frozenset({"iss", "aud", "iat", "nbf", "exp", "jti"})
_ACCESS = _COMMON | {"sub", "sid"}
_VIEWER = _COMMON | {"bucket", "pairs", "maker_kind", "maker_id"}


class Header(NamedTuple):
    """What a token says of itself; nothing in it may be believed yet."""

    typ: str
    kid: str


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """A user who signed in. Times are µs since 1970, in whole seconds."""

    id: str
    user_id: str
    session_id: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class ViewerClaims:
    """Who holds this may read, of one bucket, the events that fit all `pairs` (parameter, value), and nothing else.

    `maker_kind` is `user` or `api_key`. Times are µs since 1970.
    """

    id: str
    bucket_id: int
    pairs: tuple[tuple[str, str], ...] = field(repr=False)  # they may name a customer
    maker_kind: str
    maker_id: str
    expires_at: int


def header_of(text: str) -> Header:
    """The header of what has the form of a token of ours. Raises ValueError."""
    match = _COMPACT.fullmatch(text) if len(text) <= MOST_BYTES else None
    if match is None:
        raise ValueError("not a compact JWS")
    fields = _object(urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
    _require(fields.keys() == {"alg", "typ", "kid"} and fields["alg"] == "EdDSA" and fields["typ"] in {ACCESS, VIEWER})
    return Header(_text(fields["typ"]), _uuid(fields["kid"]))


def access_payload(issuer: str, claims: AccessClaims) -> bytes:
    return _payload(issuer, claims.id, claims.issued_at, claims.expires_at, sub=claims.user_id, sid=claims.session_id)


def viewer_payload(issuer: str, issued_at: int, claims: ViewerClaims) -> bytes:
    return _payload(
        issuer,
        claims.id,
        issued_at,
        claims.expires_at,
        bucket=claims.bucket_id,
        pairs=claims.pairs,
        maker_kind=claims.maker_kind,
        maker_id=claims.maker_id,
    )


def claims_of(typ: str, payload: bytes, issuer: str, now: int) -> AccessClaims | ViewerClaims:
    """The claims of a signed token, which may have expired. Raises ValueError. `now` is µs."""
    claims = _object(payload)
    _require(claims.keys() == (_ACCESS if typ == ACCESS else _VIEWER))
    _require(claims["iss"] == issuer and claims["aud"] == AUDIENCE)
    issued_at, expires_at = _times(claims, now)
    if typ == ACCESS:
        return AccessClaims(
            _uuid(claims["jti"]), _uuid(claims["sub"]), _uuid(claims["sid"]), issued_at * SECOND, expires_at * SECOND
        )
    maker_kind = _text(claims["maker_kind"])
    maker_id = _text(claims["maker_id"])
    _require(maker_kind in {USER, API_KEY} and _MAKER.fullmatch(maker_id) is not None)
    bucket_id = _whole(claims["bucket"])
    return ViewerClaims(
        _uuid(claims["jti"]), bucket_id, _pairs(claims["pairs"]), maker_kind, maker_id, expires_at * SECOND
    )


def _times(claims: Mapping[str, object], now: int) -> tuple[int, int]:
    """`iat` and `exp` in seconds.

    A token from the future is refused: so a clock that is put back does not give old tokens more than their lifetime,
    and what was made while it was ahead is not good for longer than that either.
    """
    issued_at, not_before, expires_at = (_whole(claims[name]) for name in ("iat", "nbf", "exp"))
    latest = now // SECOND + LEEWAY_SECONDS
    _require(issued_at <= latest and not_before <= latest)
    _require(issued_at < expires_at <= issued_at + LONGEST_SECONDS + 1)
    return issued_at, expires_at


def _payload(issuer: str, id: str, issued_at: int, expires_at: int, **more: object) -> bytes:
    seconds = {"iat": issued_at // SECOND, "nbf": issued_at // SECOND, "exp": expires_at // SECOND}
    return json.dumps(
        {"iss": issuer, "aud": AUDIENCE, **more, **seconds, "jti": id}, ensure_ascii=False, separators=(",", ":")
    ).encode()


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    _require(isinstance(value, list))
    pairs = []
    for pair in value if isinstance(value, list) else ():
        _require(isinstance(pair, list) and len(pair) == 2)
        pairs.append((_text(pair[0]), _text(pair[1])))
    return tuple(pairs)


def _object(raw: bytes) -> dict[str, object]:
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_once)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - every refusal is a ValueError
    return value


def _once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    listed = list(pairs)
    found = dict(listed)
    _require(len(found) == len(listed))
    return found


def _whole(value: object) -> int:
    if type(value) is not int or not 0 < value < _LATEST:  # a bool is an int too
        raise ValueError("not a whole number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 - every refusal is a ValueError
    value.encode()  # half a surrogate pair is no text
    return value


def _uuid(value: object) -> str:
    text = _text(value)
    _require(_UUID.fullmatch(text) is not None)
    return text


def _require(good: bool) -> None:
    if not good:
        raise ValueError("not as we make it")
