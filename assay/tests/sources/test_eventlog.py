from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import SourceError
from assay.sources.eventlog import Partition, TopicReader, frame
from assay.sources.logwriter import LogWriter


def write(base: Path, events: list[object], partition: int = 0, *, batch: int = 3, segment_bytes: int = 50) -> int:
    """Append the events in small batches, in small segments."""
    with LogWriter(base, "sold", partition, segment_bytes=segment_bytes) as writer:
        for start in range(0, len(events), batch):
            writer.append({"n": event} for event in events[start : start + batch])
        return writer.offset


def read(base: Path, offsets: dict[int, int] | None = None, limit: int = 1000) -> list[tuple[int, int, object]]:
    found = TopicReader(base, "sold").read(offsets or {}, limit)
    return [(event.partition, event.offset, json.loads(event.payload)["n"]) for event in found]


def segments(base: Path, partition: int = 0) -> list[Path]:
    return Partition(base / "sold" / str(partition)).segments()


def test_what_is_written_is_read_from_any_offset(tmp_path):
    assert write(tmp_path, list("abcdefghij")) == 10
    assert len(segments(tmp_path)) > 2
    assert segments(tmp_path)[0].name == "0" * 20 + ".log"
    for offset in range(11):
        assert read(tmp_path, {0: offset}) == [(0, number, "abcdefghij"[number]) for number in range(offset, 10)]


def test_a_batch_is_bounded(tmp_path):
    write(tmp_path, list("abcdef"))
    write(tmp_path, list("xyz"), partition=1)
    reader = TopicReader(tmp_path, "sold")
    assert [event.offset for event in reader.read({0: 1}, 2)] == [1, 2]
    assert reader.reached == {0: 3, 1: 0}
    assert [(event.partition, event.offset) for event in reader.read({0: 4, 1: 1}, 3)] == [(0, 4), (0, 5), (1, 1)]
    assert reader.reached == {0: 6, 1: 2}
    assert list(reader.read({0: 6, 1: 3}, 3)) == []


def test_ends_and_lag(tmp_path):
    write(tmp_path, list("abc"))
    write(tmp_path, list("x"), partition=10)
    reader = TopicReader(tmp_path, "sold")
    assert reader.ends() == {0: 3, 10: 1}
    assert (reader.lag({}), reader.lag({0: 2, 10: 1}), reader.lag({0: 3, 10: 1})) == (4, 1, 0)


def test_a_writer_goes_on_where_the_last_one_ended(tmp_path):
    write(tmp_path, list("abc"))
    assert write(tmp_path, list("de")) == 5
    assert [event for *_, event in read(tmp_path)] == list("abcde")


def test_one_writer_at_a_time(tmp_path):
    with LogWriter(tmp_path, "sold"):
        with pytest.raises(SourceError, match="another process is writing"):
            LogWriter(tmp_path, "sold")
        LogWriter(tmp_path, "sold", 1).close()
    LogWriter(tmp_path, "sold").close()


def test_readers_do_not_wait_for_the_writer(tmp_path):
    with LogWriter(tmp_path, "sold") as writer:
        writer.append([{"n": 1}])
        assert read(tmp_path) == [(0, 0, 1)]


@pytest.mark.parametrize("event", [b'{"n":\n1}', b"x" * 16 * 1024 * 1024])
def test_an_append_is_all_or_none(tmp_path, event):
    with LogWriter(tmp_path, "sold") as writer:
        with pytest.raises(SourceError, match="event 1 has a line break, or more than"):
            writer.append([b'{"n": 0}', event])
        assert writer.append([{"n": 1}]) == 1
    assert read(tmp_path) == [(0, 0, 1)]


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    """The limit of a file's size stands in for the disk's: the write is cut off after the first bytes."""
    code = (
        "import resource, signal, sys; from assay.sources.logwriter import LogWriter\n"
        "from assay.errors import SourceError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with LogWriter(sys.argv[1], 'sold') as writer:\n"
        "    writer.append([{'n': 0}])\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        writer.append({'n': n} for n in range(1, 500))\n"
        "    except SourceError as error:\n"
        "        print(error)\n"
        "    print(writer.append([{'n': 1}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{tmp_path}/sold/0: cannot be written: File too large", "2"]
    assert read(tmp_path) == [(0, 0, 0), (0, 1, 1)]


class TestDamage:
    """What no crash of a writer explains is an error that names partition and offset."""

    @pytest.fixture
    def lines(self, tmp_path):
        write(tmp_path, list("abcdef"), segment_bytes=10_000)
        return (tmp_path / "sold" / "0" / f"{0:020d}.log").read_bytes().splitlines(keepends=True)

    def refuses(self, tmp_path: Path, lines: list[bytes], message: str) -> None:
        segments(tmp_path)[0].write_bytes(b"".join(lines))
        with pytest.raises(SourceError) as error:
            read(tmp_path)
        assert str(error.value).startswith(f"{tmp_path}/sold, partition 0: {message}")
        with pytest.raises(SourceError, match=message):
            LogWriter(tmp_path, "sold")
        assert segments(tmp_path)[0].read_bytes() == b"".join(lines)

    def test_a_gap(self, tmp_path, lines):
        self.refuses(tmp_path, lines[:2] + lines[3:], "offset 2 is missing: 3 follows 1")

    def test_a_repeat(self, tmp_path, lines):
        self.refuses(tmp_path, [*lines[:3], lines[2], *lines[3:]], "offset 2 appears again where 3 was expected")

    def test_events_in_another_order(self, tmp_path, lines):
        self.refuses(tmp_path, [lines[1], lines[0], *lines[2:]], "offset 0 is missing: 1 follows -1")

    def test_a_changed_byte(self, tmp_path, lines):
        self.refuses(tmp_path, [*lines[:3], lines[3].replace(b'"d"', b'"x"'), *lines[4:]], "offset 3 is damaged in")

    def test_a_changed_byte_in_the_last_line(self, tmp_path, lines):
        self.refuses(tmp_path, [*lines[:5], lines[5].replace(b'"f"', b'"x"')], "offset 5 is damaged in")

    def test_a_line_cut_short_in_the_middle(self, tmp_path, lines):
        self.refuses(tmp_path, [*lines[:3], lines[3][:-4] + b"\n", *lines[4:]], "offset 3 is damaged in")

    def test_text_that_is_no_event(self, tmp_path, lines):
        self.refuses(tmp_path, [*lines, b"hello\n"], "offset 6 is damaged in")

    def test_an_event_of_another_place(self, tmp_path, lines):
        forged = frame(2, b'{"n":"c"}').replace(b"2 ", b"3 ", 1)
        self.refuses(tmp_path, [*lines[:3], forged, *lines[4:]], "offset 3 is damaged in")


def test_a_missing_segment(tmp_path):
    write(tmp_path, list("abcdefghij"))
    first, second, third, *_ = segments(tmp_path)
    second.unlink()
    with pytest.raises(
        SourceError, match=rf"offset {int(second.stem)} is missing: the next segment starts at {int(third.stem)}"
    ):
        read(tmp_path)
    first.unlink()
    with pytest.raises(SourceError, match=rf"offset 0 is gone: the log now starts at {int(third.stem)}"):
        read(tmp_path, {0: 0})
    assert read(tmp_path)[0][1] == int(third.stem)


def test_a_segment_that_ends_too_early(tmp_path):
    write(tmp_path, list("abcdefghij"))
    first = segments(tmp_path)[0]
    first.write_bytes(first.read_bytes()[:-3])
    with pytest.raises(SourceError, match="partition 0: offset 2 is damaged"):
        read(tmp_path)


def test_a_log_that_was_replaced(tmp_path):
    write(tmp_path, list("abc"))
    with pytest.raises(SourceError, match="partition 0: offset 4 was expected next, but the log ends at 3"):
        read(tmp_path, {0: 4})
    with pytest.raises(SourceError, match="partition 1 is gone"):
        read(tmp_path, {1: 1})


def test_an_empty_partition_that_had_events(tmp_path):
    LogWriter(tmp_path, "sold").close()
    assert read(tmp_path) == []
    segments(tmp_path)[0].unlink()
    assert read(tmp_path) == []
    with pytest.raises(SourceError, match="offset 1 was expected next, but the log ends at 0"):
        read(tmp_path, {0: 1})


def test_a_topic_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match=r"sold: cannot be read as an event log \(No such file or directory\)"):
        read(tmp_path)


@settings(max_examples=30, deadline=None)
@given(
    events=st.lists(st.text(max_size=8), min_size=1, max_size=8),
    cut=st.integers(0, 400),
    zeros=st.integers(0, 20),
)
def test_a_crash_anywhere_leaves_a_prefix(events, cut, zeros):
    """A crash may cut the last segment anywhere, or leave blanks where bytes were to come."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        write(base, events, segment_bytes=10_000)
        segment = segments(base)[0]
        content = segment.read_bytes()
        kept = content[: min(cut, len(content))]
        segment.write_bytes(kept + b"\0" * zeros)
        whole = kept.count(b"\n")
        assert [event for *_, event in read(base)] == events[:whole]
        assert write(base, ["next"]) == whole + 1
        assert [event for *_, event in read(base)] == [*events[:whole], "next"]


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path):
    code = (
        "import sys; from assay.sources.logwriter import LogWriter\n"
        "with LogWriter(sys.argv[1], 'sold', segment_bytes=2000) as writer:\n"
        "    while True:\n"
        "        print(writer.append({'n': writer.offset + n} for n in range(7)), flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = 0
        while acknowledged < 200:
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().splitlines())])
    found = read(tmp_path, limit=10**9)
    assert len(found) >= acknowledged
    assert found == [(0, number, number) for number in range(len(found))]
    assert write(tmp_path, ["next"]) == len(found) + 1
