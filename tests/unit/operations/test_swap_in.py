"""What a restore puts aside before it takes the place of the data."""

from __future__ import annotations

from pathlib import Path

from headrace.operations.restore import READY, REPLACED, swap_in


def test_later_files_of_the_queue_do_not_mix_with_the_restored_one(tmp_path: Path) -> None:
    for name in ("queue.db", "queue.db-wal", "queue-2.db", "queue-13.db", "queue-13.db-wal", "queue-notes.txt"):
        (tmp_path / name).write_text("old")
    (tmp_path / READY).mkdir()
    (tmp_path / READY / "queue.db").write_text("restored")
    assert swap_in(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"queue.db", "queue-notes.txt", REPLACED}
    assert (tmp_path / "queue.db").read_text() == "restored"
