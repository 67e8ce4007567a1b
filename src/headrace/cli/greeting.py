"""How a server is found: by people, from what it prints first; by the command line, from `server.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace import __version__


@contextmanager
def announced(data_dir: Path, url: str) -> Iterator[None]:
    """`server.json`, by which the command line finds the server, for as long as it runs."""
    path = data_dir / "server.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"url": url, "pid": os.getpid(), "version": __version__}) + "\n")
    part.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def greet(url: str, key_file: Path) -> None:
    """What a newcomer needs next, once, on standard output."""
    print(
        f"\n  Headrace {__version__} answers on {url}: open it in a browser   (API: {url}/docs)\n"
        f"  The administrator's key is in {key_file}\n\n"
        "  Send an event:\n"
        f'    curl -H "Authorization: Bearer $(cat {key_file})" -H "Content-Type: application/json" \\\n'
        f"         -d '{{\"message\": \"hello\"}}' {url}/v1/buckets/default/events\n"
        "  and read it back:\n"
        f'    curl -H "Authorization: Bearer $(cat {key_file})" {url}/v1/buckets/default/events\n',
        flush=True,
    )
