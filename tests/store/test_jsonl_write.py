"""The JSONL sink: whole lines, whatever happens to the file and to the disk."""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from peekr.store.jsonl.write import JsonlSink
from tests.store.writing import jsonl_numbers, make_record, run, wait_until


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "peekr.store"]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[JsonlSink]:
    sink = JsonlSink(tmp_path / "traces.jsonl")
    yield sink
    sink.close()


def test_line_is_the_record_in_utf_8(sink: JsonlSink) -> None:
    record = make_record(7, 3)
    sink.write(record)
    line = Path(sink.path).read_bytes()
    assert json.loads(line) == record.to_dict()
    assert "é7xxx".encode() in line
    assert line.count(b"\n") == 1


def test_line_breaks_in_content_do_not_break_the_line(sink: JsonlSink) -> None:
    record = make_record(1)
    record.attributes["input"] = "a\nb\r\nc\u2028d\x00\x1b[31m\ud800"
    sink.write(record)
    sink.write(make_record(2))
    assert jsonl_numbers(Path(sink.path)) == [1, 2]


def test_missing_directories_are_made(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "a" / "b" / "traces.jsonl")
    sink.write(make_record(1))
    assert jsonl_numbers(tmp_path / "a" / "b" / "traces.jsonl") == [1]
    sink.close()


def test_relative_path_stays_where_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    sink = JsonlSink("traces.jsonl")
    monkeypatch.chdir(tmp_path / "elsewhere")
    sink.write(make_record(1))
    os.remove(tmp_path / "traces.jsonl")
    sink.write(make_record(2))
    assert jsonl_numbers(tmp_path / "traces.jsonl") == [2]
    sink.close()


def test_deleted_file_is_made_again(sink: JsonlSink, caplog: pytest.LogCaptureFixture) -> None:
    sink.write(make_record(1))
    os.remove(sink.path)
    for number in (2, 3):
        sink.write(make_record(number))
    assert jsonl_numbers(Path(sink.path)) == [2, 3]
    assert (sink.lost, messages(caplog)) == (0, [])


def test_removed_directory_is_made_again(sink: JsonlSink) -> None:
    sink.write(make_record(1))
    shutil.rmtree(Path(sink.path).parent)
    for number in (2, 3):
        sink.write(make_record(number))
    assert jsonl_numbers(Path(sink.path)) == [2, 3]
    assert sink.lost == 0


def test_rotated_file_is_left_and_a_new_one_begun(sink: JsonlSink) -> None:
    path, numbers = Path(sink.path), itertools.count()
    for end in (".1", ".2"):
        sink.write(make_record(next(numbers)))
        os.rename(path, f"{path}{end}")
        if end == ".2":
            path.touch()

        def is_in_the_new_file() -> bool:
            sink.write(make_record(next(numbers)))
            return path.exists() and path.stat().st_size > 0

        wait_until(is_in_the_new_file)
    parts = [jsonl_numbers(Path(f"{path}{end}")) for end in (".1", ".2", "")]
    assert all(parts)
    assert [number for part in parts for number in part] == list(range(next(numbers)))
    assert sink.lost == 0


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_descriptor_that_the_application_closed_is_not_used_any_more(
    sink: JsonlSink, tmp_path: Path
) -> None:
    sink.write(make_record(1))
    (number,) = [
        int(fd)
        for fd in os.listdir("/proc/self/fd")
        if os.path.realpath(f"/proc/self/fd/{fd}") == sink.path
    ]
    os.close(number)
    with open(tmp_path / "mine", "wb") as mine:
        assert mine.fileno() == number
        time.sleep(0.002)  # a sink looks every millisecond
        sink.write(make_record(2))
        sink.close()
        mine.write(b"mine")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert jsonl_numbers(Path(sink.path)) == [1, 2]


def test_truncated_file_goes_on_at_its_new_end(sink: JsonlSink) -> None:
    sink.write(make_record(1))
    os.truncate(sink.path, 0)
    sink.write(make_record(2))
    assert jsonl_numbers(Path(sink.path)) == [2]


def test_line_that_an_earlier_run_left_unfinished_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text('{"trace_id": "ab')
    os.utime(path, (1, 1))
    sink = JsonlSink(path)
    sink.write(make_record(1))
    sink.write(make_record(2))
    first, *rest = path.read_bytes().splitlines()
    assert first == b'{"trace_id": "ab'
    assert [int(json.loads(line)["span_id"], 16) for line in rest] == [1, 2]
    sink.close()


def test_line_that_another_process_just_left_unfinished_spoils_no_other(sink: JsonlSink) -> None:
    path = Path(sink.path)
    sink.write(make_record(1))
    with open(path, "ab") as other:
        other.write(b'{"trace_id": "ab')
    sink.write(make_record(2))
    sink.write(make_record(3))
    whole: list[int] = []
    for line in path.read_bytes().splitlines():
        try:
            whole.append(int(json.loads(line)["span_id"], 16))
        except ValueError:
            assert line.startswith(b'{"trace_id": "ab')
    assert whole == [1, 2, 3]


def test_two_sinks_on_one_file_by_two_names_keep_their_lines_apart(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    first = JsonlSink(path)
    (tmp_path / "link").symlink_to(path)
    second = JsonlSink(tmp_path / "link")
    for number in range(0, 100, 2):
        first.write(make_record(number))
        second.write(make_record(number + 1))
    assert jsonl_numbers(path) == list(range(100))
    first.close()
    second.close()


def test_threads_write_whole_lines(sink: JsonlSink) -> None:
    def work(own: int) -> None:
        for number in range(200):
            sink.write(make_record(own * 200 + number, 5000))

    threads = [threading.Thread(target=work, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(jsonl_numbers(Path(sink.path))) == list(range(1600))


def test_close_while_threads_write_never_touches_a_strangers_file(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    stop = threading.Event()
    sinks = [JsonlSink(path)]
    written = [0] * 4

    def work(own: int) -> None:
        while not stop.is_set():
            sinks[-1].write(make_record(own * 1_000_000 + written[own]))
            written[own] += 1

    threads = [threading.Thread(target=work, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    others = [tmp_path / f"other{number}" for number in range(100)]
    for other in others:
        sinks.append(JsonlSink(path))
        sinks[-2].close()
        with open(other, "wb") as file:  # takes the number that has just become free
            file.write(b"mine")
    stop.set()
    for thread in threads:
        thread.join()
    sinks[-1].close()
    assert {other.read_bytes() for other in others} == {b"mine"}
    expected = [own * 1_000_000 + number for own in range(4) for number in range(written[own])]
    assert sorted(jsonl_numbers(path)) == expected


def test_close_gives_the_descriptor_back_and_late_records_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"

    def is_open() -> bool:
        return any(
            os.path.realpath(f"/proc/self/fd/{fd}") == os.path.realpath(path)
            for fd in os.listdir("/proc/self/fd")
        )

    sink = JsonlSink(path)
    sink.write(make_record(1))
    if os.path.isdir("/proc/self/fd"):
        assert is_open()
    assert sink.flush()
    assert sink.close()
    assert sink.close()
    sink.write(make_record(2))
    if os.path.isdir("/proc/self/fd"):
        assert not is_open()
    assert jsonl_numbers(path) == [1, 2]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("file/traces.jsonl", "Not a directory"),
        ("directory", "Is a directory"),
        ("nul\0byte", "embedded null"),
        ("x" * 300, "File name too long"),
    ],
)
def test_unusable_path_is_said_at_once_in_one_line(
    path: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    sink = JsonlSink(f"{tmp_path}/{path}")
    (message,) = messages(caplog)
    assert message.startswith("cannot write traces to ")
    assert reason in message
    assert "\n" not in message
    for number in range(3):
        sink.write(make_record(number))
    assert sink.lost == 3
    assert len(messages(caplog)) == 1
    assert sink.flush()
    assert sink.close()
    assert messages(caplog)[1:] == [f"traces in {tmp_path}/{path}: 3 records were lost"]


def test_path_that_becomes_usable_is_used_and_the_loss_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dir").touch()
    path = tmp_path / "dir" / "traces.jsonl"
    sink = JsonlSink(path)
    sink.write(make_record(1))
    sink.write(make_record(2))
    (tmp_path / "dir").unlink()
    sink.write(make_record(3))
    sink.write(make_record(4))
    sink.close()
    assert jsonl_numbers(path) == [3, 4]
    assert sink.lost == 2
    assert messages(caplog) == [
        f"cannot write traces to {path}: Not a directory; the application goes on",
        f"writing traces to {path} again; 2 records were lost",
    ]
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_device_is_said_once_and_every_record_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = JsonlSink("/dev/full")
    for number in range(50):
        sink.write(make_record(number))
    assert sink.lost == 50
    assert messages(caplog) == [
        "cannot write traces to /dev/full: No space left on device; the application goes on"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_disk_that_fills_up_within_a_line_spoils_no_other(tmp_path: Path) -> None:
    code = """
    import resource
    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    limit(3000)
    for n in range(6):          # two fit, a part of the third
        sink.write(make_record(n))
    assert sink.lost == 4, sink.lost
    limit(10_000)
    for n in range(6, 8):
        sink.write(make_record(n))
    assert sink.lost == 4, sink.lost
    sink.close()
    """
    path = tmp_path / "traces.jsonl"
    done = run(code, "jsonl", path)
    assert done.returncode == 0, done.stderr
    lines = path.read_bytes().splitlines()
    assert len(lines) == 5
    torn = lines.pop(2)
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(torn)
    assert [int(json.loads(line)["span_id"], 16) for line in lines] == [0, 1, 6, 7]
    assert done.stderr.splitlines() == [
        f"cannot write traces to {path}: File too large; the application goes on",
        f"writing traces to {path} again; 4 records were lost",
    ]
