"""The form of a key."""

from __future__ import annotations

import hashlib

from headrace.auth.keys import digest, matches, new_key, parse_key


def test_a_new_key_has_an_id_and_a_secret_of_160_bits() -> None:
    keys = [new_key() for _ in range(200)]
    parts = [parse_key(key) for key in keys]
    assert len({part.id for part in parts if part}) == len({part.secret for part in parts if part}) == 200
    assert all(part is not None and len(part.secret) * 5 >= 160 and len(part.id) >= 12 for part in parts)
    assert keys == [f"hr_{part.id}_{part.secret}" for part in parts if part]


def test_what_is_stored_is_the_sha_256_of_the_secret() -> None:
    assert digest("abc") == hashlib.sha256(b"abc").digest()


def test_a_digest_matches_its_secret_only() -> None:
    assert matches("abc", digest("abc"))
    assert not matches("abd", digest("abc"))
    assert not matches("abc", b"")
