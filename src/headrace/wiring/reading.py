"""Reading, put together: what pages, exports and the warming of caches share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.adapters.parquet.export_format import ParquetFormat
from headrace.config import Settings
from headrace.operations.watched_queue import WatchedQueue
from headrace.ports.export_format import ExportFormat
from headrace.query.busy import Busy
from headrace.query.export import TEXT_FORMATS, Export
from headrace.query.export_folder import ExportFolder
from headrace.query.reader import Reader
from headrace.query.warming import Warming
from headrace.wiring.adapters import Adapters
from headrace.wiring.house import export_folder
from headrace.wiring.room import free_bytes_of


@dataclass(frozen=True, slots=True)
class Reading:
    reader: Reader
    export: Export
    formats: Mapping[str, ExportFormat]
    folder: ExportFolder
    warming: Warming


def build_reading(settings: Settings, ports: Adapters, queue: WatchedQueue) -> Reading:
    formats: Mapping[str, ExportFormat] = {**TEXT_FORMATS, "parquet": ParquetFormat()}
    busy = Busy(ports.busy_queries, ports.clock)
    reader = Reader(ports.events, ports.recent, ports.metrics, ports.clock, busy)
    return Reading(
        reader=reader,
        export=Export(ports.events, formats),
        formats=formats,
        folder=export_folder(settings.data_dir, free_bytes_of(settings.data_dir), settings.min_free_bytes),
        warming=Warming(reader, busy, ports.events, ports.buckets, queue, ports.clock),
    )
