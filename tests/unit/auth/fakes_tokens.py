"""What the tests of tokens need: signing keys in a list, and a way to make tokens that we never would."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from headrace.auth.sealing import Sealer
from headrace.auth.tokens import AccessTokens, ViewerClaims
from headrace.errors import Unavailable
from headrace.model.account import SigningKey
from headrace.model.audit import AuditRecord
from tests.unit.control import HandClock


class HeldSigningKeys:
    """`reads` counts the lists that were asked for, which come while `open`; unreachable while `down`."""

    def __init__(self) -> None:
        self.rows: list[SigningKey] = []
        self.audited: list[AuditRecord] = []
        self.reads = 0
        self.most_at_once = 0
        self.down = False
        self.open = asyncio.Event()
        self.open.set()
        self._at_once = 0

    async def list_signing_keys(self) -> Sequence[SigningKey]:
        self.reads += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        rows = self.rows[::-1]  # as they are when the question is put, however late the answer comes
        await asyncio.sleep(0)
        await self.open.wait()
        self._at_once -= 1
        self._check()
        return sorted(rows, key=lambda row: row.created_at, reverse=True)

    async def add_signing_key(self, key: SigningKey, audit: AuditRecord, *, retire: bool) -> None:
        self._check()
        signing = [row for row in self.rows if row.retired_at is None]
        if signing and not retire:
            return
        self.rows = [replace(row, retired_at=key.created_at) if row in signing else row for row in self.rows]
        self.rows.append(key)
        self.audited.append(audit)

    async def forget_signing_keys(self, retired_before: int) -> None:
        self._check()
        self.rows = [row for row in self.rows if row.retired_at is None or row.retired_at >= retired_before]

    def _check(self) -> None:
        if self.down:
            raise Unavailable("down")


ISSUER = "https://headrace.example"
USER_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
SESSION_ID = "01890a5d-ac96-774b-bcce-b302099a8058"
LIFETIME = 900


class Mint:
    """A server's tokens, and what an attacker would need to make others: its private key and its public one."""

    def __init__(self, keys: HeldSigningKeys, clock: HandClock, secret: str = "a secret") -> None:
        self.keys = keys
        self.clock = clock
        self.sealer = Sealer(secret)
        self.tokens = AccessTokens(keys, self.sealer, clock, ISSUER, LIFETIME)

    async def access(self) -> str:
        return (await self.tokens.issue(USER_ID, SESSION_ID)).text

    async def viewer(self, lifetime: int = 60) -> str:
        expires_at = self.clock.now() + lifetime * 1_000_000
        return await self.tokens.issue_viewer(replace(VIEWER_CLAIMS, expires_at=expires_at), lifetime)

    def private_key(self) -> Ed25519PrivateKey:
        jwk = json.loads(self.sealer.unseal(self.keys.rows[-1].sealed) or b"")
        return Ed25519PrivateKey.from_private_bytes(unb64(jwk["d"]))

    def header(self, **changes: object) -> dict[str, object]:
        return {"alg": "EdDSA", "typ": "at+jwt", "kid": self.keys.rows[-1].id} | changes

    def claims(self, **changes: object) -> dict[str, object]:
        now = self.clock.now() // 1_000_000
        times = {"iat": now, "nbf": now, "exp": now + LIFETIME}
        return {"iss": ISSUER, "aud": "headrace", "sub": USER_ID, "sid": SESSION_ID, "jti": USER_ID} | times | changes

    def viewer_claims(self, **changes: object) -> dict[str, object]:
        claims = {name: value for name, value in self.claims().items() if name not in {"sub", "sid"}}
        view = {"bucket": 3, "pairs": [["attr.tenant", "acme"]], "maker_kind": "user", "maker_id": USER_ID}
        return claims | view | changes

    def signed(
        self, header: dict[str, object] | bytes, claims: dict[str, object] | bytes, key: Ed25519PrivateKey | None = None
    ) -> str:
        """Any header and claims, as objects or as raw JSON, with a good signature by `key` or by ours."""
        parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims))
        text = ".".join(map(b64, parts))
        return f"{text}.{b64((key or self.private_key()).sign(text.encode()))}"


async def a_mint(keys: HeldSigningKeys | None = None, clock: HandClock | None = None, secret: str = "a secret") -> Mint:
    mint = Mint(keys or HeldSigningKeys(), clock or HandClock(), secret)
    await mint.tokens.ensure_key()
    return mint


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


VIEWER_CLAIMS = ViewerClaims(
    id="01890a5d-ac96-774b-bcce-b302099a8059",
    bucket_id=3,
    pairs=(("attr.tenant", "acmé"), ("level", "info")),
    maker_kind="user",
    maker_id=USER_ID,
    expires_at=0,
)
