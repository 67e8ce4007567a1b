"""Secrets that have to be kept and used again: sealed before they are stored, with a key made of the setting's secret.

AES-256-GCM (NIST SP 800-38D) under a key derived by HKDF-SHA256 (RFC 5869). The 96-bit nonces are random, which is good
for 2^32 seals under one secret: we seal a few a year.
"""

from __future__ import annotations

import os
import secrets
from functools import cached_property
from typing import TYPE_CHECKING

from headrace.errors import Unusable
from headrace.ports.key_file import KeyFile
from headrace.ports.shared_secret import SharedSecret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"hr1:"  # names the cipher, the derivation and its `info`; authenticated with the rest
_INFO = b"headrace sealing 1"
_NONCE_BYTES = 12
_SECRET_BYTES = 32
_LEAST_CHARACTERS = 32  # 128 bits in hexadecimal: HKDF does not slow down who guesses


def secret_of(setting: str, key_file: KeyFile) -> str:
    """The secret of the settings; without one that of the file, made at the first start.

    Raises Unusable for one that could be guessed, and when the file cannot be read or written.
    """
    if setting:
        return _checked(setting, "The setting secret_key")
    text = key_file.read()
    if text is None:
        text = key_file.create(secrets.token_urlsafe(_SECRET_BYTES))
    return _checked(text, f"The secret in {key_file.place}")


async def shared_secret_of(setting: str, shared: SharedSecret) -> str:
    """The same where machines share only the control data: made once, by whoever is first.

    Raises Unusable for one that could be guessed, and Unavailable.
    """
    if setting:
        return _checked(setting, "The setting secret_key")
    text = await shared.find()
    if text is None:
        text = await shared.keep(secrets.token_urlsafe(_SECRET_BYTES))
    return _checked(text, f"The secret in {shared.place}")


def _checked(secret: str, what: str) -> str:
    if len(secret) < _LEAST_CHARACTERS:
        raise Unusable(f"{what} needs at least {_LEAST_CHARACTERS} characters, such as `openssl rand -hex 32` gives.")
    return secret


class Sealer:
    """What one seals with a secret, any other with the same secret can unseal."""

    def __init__(self, secret: str) -> None:
        """Raises ValueError for an empty secret, with which anybody could unseal."""
        if not secret:
            raise ValueError("a Sealer needs a secret")
        self._secret = secret.encode("utf-8", "surrogatepass")

    def seal(self, plain: bytes) -> bytes:
        """32 bytes longer than `plain`; never twice the same."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, _VERSION)

    def unseal(self, sealed: bytes) -> bytes | None:
        """What was sealed; None when it was changed, was sealed with another secret, or by a newer version."""
        from cryptography.exceptions import InvalidTag

        body = sealed[len(_VERSION) :]
        if not sealed.startswith(_VERSION) or len(body) < _NONCE_BYTES:
            return None
        try:
            return self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _VERSION)
        except InvalidTag:
            return None

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return AESGCM(HKDF(SHA256(), 32, salt=None, info=_INFO).derive(self._secret))
