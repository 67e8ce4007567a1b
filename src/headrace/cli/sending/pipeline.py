"""Sources through to the server: read and encode in this thread, a few batches in flight in others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol

from headrace.cli.answers import Accepted
from headrace.cli.sending.batch import Batch, Refused
from headrace.cli.sending.report import Report

IN_FLIGHT = 4  # one is committed while one is decoded, one travels and one is packed; more only wait in the server


class Sends(Protocol):
    """What hands a batch over and comes back once it is durable."""

    def send(self, batch: Batch) -> Accepted: ...
    def stop(self) -> None: ...


def deliver(batches: Iterable[Batch | Refused], delivery: Sends, report: Report) -> None:
    """Returns once everything is acknowledged or reported. Raises the first Failure of any batch.

    Memory is bounded: a batch is read only when one of those in flight is done.
    """
    pending: set[Future[None]] = set()
    with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="send") as threads:
        try:
            for batch in _noting_refusals(batches, report):
                pending.add(threads.submit(_send, delivery, batch, report))
                if len(pending) >= IN_FLIGHT:
                    pending = _reap(pending)
            while pending:
                pending = _reap(pending)
        except BaseException:  # Ctrl-C too: what waits for the server must not keep the program alive
            delivery.stop()
            raise


def _noting_refusals(batches: Iterable[Batch | Refused], report: Report) -> Iterator[Batch]:
    for item in batches:
        if isinstance(item, Refused):
            report.refused(item)
        else:
            yield item


def _send(delivery: Sends, batch: Batch, report: Report) -> None:
    report.took(batch, delivery.send(batch))


def _reap(pending: set[Future[None]]) -> set[Future[None]]:
    done, left = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    return left
