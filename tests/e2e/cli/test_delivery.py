"""How a batch is handed over to a server that has a bad day: a scripted one, since a real one is rarely so bad."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headrace.cli.client import Place
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.sending.batch import Batch, OfLines
from headrace.cli.sending.delivery import Delivery, Options, Stopped

_BODY = b'{"message":"a"}\n{"message":"b"}\n'
_TAKEN = (202, {}, b'{"accepted":2,"rejected":0,"errors":[],"a_field_of_later":1}')
Answer = tuple[int, dict[str, str], bytes] | None
"""Status, headers, body; None hangs up."""


@contextmanager
def delivering(*answers: Answer, timeout: float | None = 20) -> Iterator[tuple[Delivery, list[str], list[str | None]]]:
    """A delivery to a server that answers so, the keys that it sees, and what the person is told."""
    left, keys, told = list(answers), [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.rfile.read(int(self.headers["content-length"])) == _BODY
            keys.append(self.headers["idempotency-key"])
            answer = left.pop(0)
            if answer is None:
                self.connection.close()
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = Place(f"http://127.0.0.1:{server.server_port}", "key", Path("nowhere"))
    delivery = Delivery(place, Options("default", compress=False, timeout=timeout), told.append)
    try:
        yield delivery, keys, told
    finally:
        delivery.close()
        server.shutdown()
        server.server_close()


def batch() -> Batch:
    return Batch("x", "the-key", _BODY, OfLines(1, _BODY))


@pytest.mark.parametrize(
    "trouble",
    [(503, {"retry-after": "0"}, b"{}"), (429, {"retry-after": "1"}, b""), (500, {}, b"oops"), (502, {}, b""), None],
    ids=["503", "429", "500", "502", "hung up"],
)
def test_the_same_batch_is_repeated_under_the_same_key(trouble: Answer) -> None:
    with delivering(trouble, trouble, _TAKEN) as (delivery, keys, told):
        assert delivery.send(batch()).accepted == 2
    assert keys == ["the-key"] * 3
    assert told[0]
    assert told[-1] is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, {}, b'{"detail":"not for you"}'), "not for you"),
        ((404, {}, b'{"detail":"no such bucket"}'), "no such bucket"),
        ((401, {}, b'{"detail":"who?"}'), "does not know this key"),
        ((413, {}, b"<html>"), "413"),
        ((422, {}, b'{"detail":"no event","errors":[]}'), "no event"),
        ((200, {}, b"<html>welcome</html>"), "no Headrace"),
    ],
    ids=["403", "404", "401", "413 of a proxy", "422 without items", "another server"],
)
def test_what_will_never_be_taken_is_not_repeated(answer: Answer, said: str) -> None:
    with delivering(answer) as (delivery, keys, _), pytest.raises(Failure, match=said) as caught:
        delivery.send(batch())
    assert caught.value.exit_code == ExitCode.REFUSED
    assert len(keys) == 1


def test_items_that_are_all_rejected_are_counted_and_named() -> None:
    errors = b'{"detail":"no item","errors":[{"index":1,"code":"c","detail":"d"}]}'
    with delivering((422, {}, errors)) as (delivery, _, _):
        answer = delivery.send(batch())
    assert (answer.accepted, answer.rejected, answer.errors[0].index) == (0, 2, 1)


def test_it_gives_up_after_its_timeout() -> None:
    with delivering(*[(503, {}, b"")] * 99, timeout=0.5) as (delivery, _, _), pytest.raises(Failure) as caught:
        delivery.send(batch())
    assert caught.value.exit_code == ExitCode.UNREACHABLE


def test_it_can_be_stopped_while_it_waits() -> None:
    with delivering((503, {"retry-after": "60"}, b"")) as (delivery, _, _):
        threading.Timer(0.3, delivery.stop).start()
        with pytest.raises(Stopped):
            delivery.send(batch())
