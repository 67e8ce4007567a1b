"""`python -m benchmarks.reference raw|fastapi|trivial PORT`: serve one of them on 127.0.0.1."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys

import uvicorn


def main() -> None:
    name, sock = sys.argv[1], socket.create_server(("127.0.0.1", int(sys.argv[2])), backlog=2_048)
    if name == "trivial":
        from benchmarks.reference import trivial

        trivial.serve(sock)
    elif name == "raw":
        from benchmarks.reference import raw

        _serve(raw.app, sock)
    else:
        from benchmarks.reference import fastapi_route

        _serve(fastapi_route.app, sock)


def _serve(app: object, sock: socket.socket) -> None:
    """With exactly the server's own settings, so that nothing but the app differs."""
    from headrace.cli import serving

    config = serving._uvicorn_config(app)  # noqa: SLF001 - the same by construction, not by copying
    sys.setswitchinterval(serving._SWITCH_SECONDS)  # noqa: SLF001
    with asyncio.Runner(loop_factory=serving._new_loop) as runner:  # noqa: SLF001
        gc.set_threshold(*serving._GC_THRESHOLD)  # noqa: SLF001
        gc.freeze()
        runner.run(uvicorn.Server(config).serve(sockets=[sock]))


if __name__ == "__main__":
    main()
