"""Fetch the console's JavaScript libraries from npm into `src/headrace/web/console/static/`, as they come.

Run it with `.venv/bin/python tools/vendor_console.py` after a change of a version below; a test checks the folders
against their SHA256SUMS, offline. Nobody who only uses Headrace needs this, or Node.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "src" / "headrace" / "web" / "console" / "static"
REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True, slots=True)
class Package:
    """`integrity` is npm's: the SHA-512 of the archive, in base64. `files` lie in it under `package/`."""

    name: str
    version: str
    integrity: str
    files: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return STATIC / f"{self.name.removesuffix('.org')}-{self.version}"

    @property
    def url(self) -> str:
        return f"{REGISTRY}/{self.name}/-/{self.name}-{self.version}.tgz"


PACKAGES = (
    Package(
        "htmx.org", "2.0.11",
        "Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA==",
        ("dist/htmx.min.js", "LICENSE"),
    ),
    Package(
        "htmx-ext-sse", "2.2.4",
        "LJmxVhykyflBWgh5PvbRidcyuqMHlgfajmmzumvKctv9puvsufeH6OaejSMZTNTnEI8O2wXXn4ZZtBdpEMqmEQ==",
        ("dist/sse.min.js", "LICENSE"),
    ),
    Package(
        "uplot", "1.6.32",
        "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"),
    ),
)  # fmt: skip


def vendor(package: Package) -> None:
    """Write its files and their checksums. Ends the program when the archive is not the one that was pinned."""
    with urlopen(package.url) as answer:  # noqa: S310 - https, above
        archive = answer.read()
    found = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != package.integrity:
        raise SystemExit(f"{package.url} has the SHA-512 {found}, not the one that is pinned here")
    package.folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for name in package.files:
            member = packed.extractfile(f"package/{name}")
            assert member is not None
            (package.folder / Path(name).name).write_bytes(member.read())
    names = sorted(Path(name).name for name in package.files)
    sums = (f"{hashlib.sha256((package.folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (package.folder / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    for each in PACKAGES:
        vendor(each)
        print(f"{each.folder.relative_to(ROOT)} is {each.name} {each.version}")
