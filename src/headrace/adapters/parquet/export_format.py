"""Exports as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.adapters.parquet._writer import ParquetWriter


class ParquetFormat:
    """The columns of the CSV, with times as timestamps and attributes as JSON text; zstd."""

    content_type = "application/vnd.apache.parquet"
    extension = "parquet"

    def begin(self, bucket: str) -> ParquetWriter:
        from headrace.adapters.parquet._writer import ParquetWriter  # 9 MB of memory that most servers never need

        return ParquetWriter(bucket)
