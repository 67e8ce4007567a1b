"""`headrace send` against a real server."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from headrace.cli.traffic import generate
from tests.e2e.cli.command import Cli, arguments
from tests.support.server import Server


def test_each_format_is_taken_as_it_is(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"message":"one"}\n\n{"action":"two"}')
    (tmp_path / "b.json").write_text('[\n {"message": "three"},\n {"message":\n "four"}\n]')
    (tmp_path / "c.log").write_text("2026-11-20 12:00:00 ERROR five\nsix\n")
    said = cli.send(*(tmp_path / name for name in ("a.ndjson", "b.json", "c.log")), "--service", "test")
    assert said.startswith("6 accepted")
    events = cli.events(count=6)
    assert {event.get("message", event.get("action")) for event in events} == {
        "one", "two", "three", "four", "five", "six",
    }  # fmt: skip
    assert {event["service"] for event in events} == {"test"}
    by_message = {event.get("message"): event for event in events}
    assert (by_message["five"]["time"], by_message["five"]["level"]) == ("2026-11-20T12:00:00.000000Z", "error")


def test_rejected_lines_are_told_with_their_place_and_kept(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mixed.ndjson"
    good_and_bad = b'{"message":"a"}\n\n{"massage":"b"}\n{broken\n\xff\n{"message":"c"}\n'
    file.write_bytes(good_and_bad + b"x" * 1_100_000 + b"\n{}")
    said = cli.send(file, "--rejects", tmp_path / "rejects", expect=1)
    assert "2 accepted" in said
    assert "5 rejected" in said
    assert [line for line in range(1, 9) if f"mixed.ndjson:{line}: " in said] == [3, 4, 5, 7, 8]
    kept = (tmp_path / "rejects").read_bytes().splitlines()
    assert sorted(kept, key=len)[:4] == [b"\xff", b"{}", b"{broken", b'{"massage":"b"}']
    assert {event["message"] for event in cli.events(count=2)} == {"a", "c"}


def test_a_batch_of_nothing_but_rejects_is_counted_whole(cli: Cli) -> None:
    said = cli.send("--format", "ndjson", stdin=b"{broken\n" * 1_000 + b'{"nothing":1}\n', expect=1)
    assert "0 accepted" in said
    assert "1,001 rejected" in said


def test_the_same_file_sent_twice_is_stored_once_and_again_on_request(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(generate(6_000, seed=3)))
    cli.send(file)
    cli.send(file)
    cli.events(count=6_000)
    cli.send(file, "--again")
    cli.events(count=12_000)


def test_a_stream_is_new_each_time_unless_it_has_a_name(cli: Cli) -> None:
    for options in ([], [], ["--send-id", "mine"], ["--send-id", "mine"]):
        cli.send(*options, stdin=b"same\n")
    cli.events(count=3)


def test_two_equal_files_of_one_named_delivery_are_both_stored(cli: Cli, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("same\n")
    cli.send(tmp_path / "a", tmp_path / "b", "--send-id", "mine")
    cli.events(count=2)


def test_equal_lines_are_genuine_and_all_kept(cli: Cli) -> None:
    cli.send(stdin=b"same\n" * 12_345)
    cli.events(count=12_345)


def test_a_stream_that_falls_silent_is_sent_on(cli: Cli) -> None:
    process = subprocess.Popen(arguments("send", "--quiet"), stdin=subprocess.PIPE, env=cli.env())
    assert process.stdin is not None
    process.stdin.write(b"first\n")
    process.stdin.flush()
    deadline = time.monotonic() + 15
    with cli.server.client() as client:
        while not client.get(f"/v1/buckets/{cli.bucket}/events").json()["events"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    process.stdin.close()
    assert process.wait(10) == 0


def test_memory_does_not_grow_with_the_input(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "large.log"
    with file.open("wb") as out:
        for _ in range(100):
            out.write((b"2026-11-20 12:00:00 " + b"a long line " * 100 + b"\n") * 1_000)  # 122 MB in all
    process = psutil.Popen(arguments("send", "--quiet", file), env=cli.env())
    most = 0
    while process.poll() is None:
        with suppress(psutil.Error):
            most = max(most, process.memory_info().rss)
        time.sleep(0.02)
    assert process.returncode == 0
    assert most < 110 * 1024 * 1024, f"{most / 1e6:.0f} MB"


def test_send_that_was_killed_is_completed_by_running_it_again(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(generate(120_000, seed=4, numbered=True)))
    process = subprocess.Popen(arguments("send", file), env=cli.env(), stderr=subprocess.DEVNULL)
    with cli.server.client() as client:
        while client.get("/v1/status").json()["queue"]["depth"] < 100:  # more than the audit's records
            assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"
    deadline = time.monotonic() + 30
    while not cli.events():  # a part of it is on its way into the store
        assert time.monotonic() < deadline
    assert len(cli.events()) < 120_000
    cli.send(file)
    numbers = Counter(event["attributes"]["n"] for event in cli.events(count=120_000))
    assert numbers == Counter(range(120_000))


def test_a_server_that_is_away_is_waited_for(server: Server) -> None:
    server.stop()
    (server.data_dir / "server.json").write_text(json.dumps({"url": server.url}))  # as after a SIGKILL
    process = subprocess.Popen(
        arguments("send", "-"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=Cli(server).env()
    )
    assert process.stdin is not None
    process.stdin.write(b"patience\n")
    process.stdin.close()
    time.sleep(2)
    server.start()
    assert process.wait(20) == 0
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert "does not answer" in said
    assert "going on" in said
    assert Cli(server).events(count=1)[0]["message"] == "patience"


def test_with_a_timeout_it_gives_up(server: Server) -> None:
    server.stop()
    done = Cli(server)("send", "--timeout", 1, "--url", server.url, stdin=b"x\n", expect=3)
    assert b"has not taken anything for 1 s" in done.stderr


REFUSED = [
    (["send", "-b", "nope"], {}, 4, "no bucket"),
    (["send", "-b", "_audit"], {}, 4, "system"),
    (["send", "--key", "wrong"], {}, 4, "does not know this key"),
    (["send", "--format", "xml"], {}, 2, "none of auto, ndjson, json, text"),
    (["send", "/nowhere/at-all"], {}, 2, "cannot be opened"),
    (["send", "/"], {}, 2, "is a directory"),
    (["send", "--set", "x"], {}, 2, "key=value"),
    (["send"], {"HEADRACE_DATA_DIR": "/nowhere"}, 3, "./dev run"),
    (["send", "--url", "http://192.0.2.1:8000"], {}, 4, "--key"),
    (["query", "--url", "http://127.0.0.1:1"], {}, 3, "./dev run"),
]


@pytest.mark.parametrize(("words", "env", "status", "said"), REFUSED, ids=[" ".join(one[0]) for one in REFUSED])
def test_what_cannot_be_done_is_said_in_a_sentence(
    cli: Cli, words: list[str], env: dict[str, str], status: int, said: str
) -> None:
    done = subprocess.run(
        arguments(*words), input=b"x\n", capture_output=True, timeout=60, env={**cli.env(), **env}, check=False
    )
    assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr
    assert b"Traceback" not in done.stderr
