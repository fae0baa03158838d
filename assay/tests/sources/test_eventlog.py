from __future__ import annotations

import gzip
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
from assay.sources import eventlog, text
from assay.sources.eventlog import TopicReader
from tests.sources.log import append


def read(base: Path, offsets: dict[int, int] | None = None, limit: int = 1000) -> list[tuple[int, int, object]]:
    found = TopicReader(base, "sold").read(offsets or {}, limit)
    return [(event.partition, event.offset, json.loads(event.payload or b"0")) for event in found]


def reached(base: Path, offsets: dict[int, int] | None = None, limit: int = 1000) -> dict[int, int]:
    reader = TopicReader(base, "sold")
    for _ in reader.read(offsets or {}, limit):
        pass
    return reader.reached


def test_what_is_written_is_read_from_any_offset(tmp_path):
    append(tmp_path, "sold", *range(10))
    for limit in range(11):
        offsets = reached(tmp_path, limit=limit)
        assert offsets == {0: limit}
        assert read(tmp_path, offsets) == [(0, number, number) for number in range(limit, 10)]
        assert read(tmp_path, {0: limit}) == read(tmp_path, offsets), "a number alone is counted from the start"


def test_a_batch_is_bounded(tmp_path):
    append(tmp_path, "sold", *"abcdef", partition=0)
    append(tmp_path, "sold", *"xyz", partition=1)
    reader = TopicReader(tmp_path, "sold")
    assert [event.offset for event in reader.read({0: 1}, 2)] == [1, 2]
    assert reader.reached == {0: 3, 1: 0}
    assert [(event.partition, event.offset) for event in reader.read({0: 4, 1: 1}, 3)] == [(0, 4), (0, 5), (1, 1)]
    assert reader.reached == {0: 6, 1: 2}


def test_lag_and_ends(tmp_path):
    append(tmp_path, "sold", *"abc", partition=0)
    append(tmp_path, "sold", "x", partition=10)
    reader = TopicReader(tmp_path, "sold")
    assert reader.ends() == {0: 12, 10: 4}
    assert len(list(reader.read({}, 1))) == 1
    assert reader.positions == {0: 4, 10: 0}
    assert len(list(reader.read({}, 9))) == 4
    assert reader.positions == reader.ends()
    assert [reader.lag(offsets) for offsets in ({}, {0: 2, 10: 1}, reader.reached)] == [4, 1, 0]


def test_the_start_of_a_long_log_is_not_read_again(tmp_path, monkeypatch):
    """Bytes long before the offset may be anything, for nobody looks at them; those just before it may not."""
    monkeypatch.setattr(eventlog, "COMPARED", 100)
    file = append(tmp_path, "sold", *range(100, 300))
    offsets = reached(tmp_path)
    append(tmp_path, "sold", "new")
    with file.open("r+b") as stream:
        stream.write(b"@@@@")
    assert read(tmp_path, offsets) == [(0, 200, "new")]
    assert TopicReader(tmp_path, "sold").lag(offsets) == 1


def test_blank_lines_windows_line_ends_and_a_byte_order_mark(tmp_path):
    (tmp_path / "sold.ndjson").write_bytes(b"\xef\xbb\xbf1\r\n\r\n2\n")
    assert read(tmp_path) == [(0, 0, 1), (0, 2, 2)]
    offsets = reached(tmp_path)
    append(tmp_path, "sold", 3)
    assert read(tmp_path, offsets) == [(0, 3, 3)]
    reader = TopicReader(tmp_path, "sold")
    assert len(list(reader.read({}, 9))) == 3
    assert reader.positions == reader.ends()


def test_a_line_that_is_too_long_is_told_and_passed_by(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "LONGEST", 20)
    file = append(tmp_path, "sold", 1, "x" * 70, 2, "y" * 18, "z" * 19)
    assert [(event.offset, event.payload) for event in TopicReader(tmp_path, "sold").read({}, 9)] == [
        (0, b"1"), (1, None), (2, b"2"), (3, None), (4, None)
    ]  # fmt: skip
    with file.open("ab") as stream:
        stream.write(b"w" * 50)
    assert reached(tmp_path) == {0: 5}, "one that is still being written is not read yet, however long"


class TestReplaced:
    """A file that is not the one that was read up to the offset is an error, whatever it holds now."""

    @pytest.fixture
    def refuses(self, tmp_path):
        file = append(tmp_path, "sold", *"abcdef")
        offsets = reached(tmp_path)

        def run(content: bytes, message: str) -> None:
            whole = file.read_bytes()
            file.write_bytes(content)
            for question in (lambda: read(tmp_path, offsets), lambda: TopicReader(tmp_path, "sold").lag(offsets)):
                with pytest.raises(SourceError, match=rf"sold\.ndjson: {message}.*Restore the log"):
                    question()
            file.write_bytes(whole)
            assert read(tmp_path, offsets) == []

        return run

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "has 0 bytes, but 24 were read"),
            (b'"a"\n"b"\n', "has 8 bytes, but 24 were read"),
            (b'"a"\n"b"\n"c"\n"d"\n"e"\n"x"\n"g"\n', "changed before line 7"),
            (b'"x"\n"b"\n"c"\n"d"\n"e"\n"f"\n', "changed before line 7"),
            (b'"b"\n"a"\n"c"\n"d"\n"e"\n"f"\n', "changed before line 7"),
            (b'"a"\n\n"b"\n"c"\n"d"\n"e"\n"f"\n', "changed before line 7"),
        ],
        ids=["emptied", "shorter", "last", "first", "order", "inserted"],
    )
    def test_a_change(self, refuses, content, message):
        refuses(content, message)

    def test_a_log_of_which_only_the_number_is_known(self, tmp_path):
        append(tmp_path, "sold", *"abc")
        with pytest.raises(SourceError, match="has 3 lines, but 4 were read"):
            read(tmp_path, {0: 4})

    def test_a_partition_that_is_gone(self, tmp_path):
        append(tmp_path, "sold", *"abc")
        with pytest.raises(SourceError, match="partition 1 is gone"):
            read(tmp_path, {1: 1})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"no such event log: neither sold\.ndjson nor sold/0\.ndjson is there"),
        (["sold/a.ndjson", "sold/01.ndjson", "sold/0.log"], "no such event log"),
        (["sold.ndjson", "sold/0.ndjson"], r"sold\.ndjson is there as well"),
    ],
)
def test_which_files_are_a_topic(tmp_path, names, message):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\n".encode("utf-16"), "is no plain UTF-8 file"),
        (gzip.compress(b"1\n", mtime=0), "is no plain UTF-8 file"),
        (b"PAR1\x15\x04", "is a Parquet file, no text"),
    ],
)
def test_what_cannot_be_appended_to_is_no_log(tmp_path, content, message):
    (tmp_path / "sold.ndjson").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read(tmp_path)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(events=st.lists(st.text(max_size=8), min_size=1, max_size=8), cut=st.integers(0, 200), rest=st.booleans())
def test_a_last_line_waits_until_it_is_whole(events, cut, rest):
    """Cut anywhere, a log gives its whole lines; once the writer goes on, the others, each once."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        file = append(base, "sold", *events)
        content = file.read_bytes()
        file.write_bytes(content[:cut])
        offsets = reached(base)
        assert offsets[0] == content[:cut].count(b"\n")
        assert [event for *_, event in read(base)] == events[: offsets[0]]
        file.write_bytes(content if rest else content[: cut + 1])
        whole = len(events) if rest else content[: cut + 1].count(b"\n")
        assert [event for *_, event in read(base, offsets)] == events[offsets[0] : whole]


WRITER = """
import json, sys
with open(sys.argv[1], "ab", buffering=0) as file:
    for number in range(int(sys.argv[2]), 10**9):
        line = json.dumps({"n": number, "text": "x" * (number % 50)}).encode() + b"\\n"
        for at in range(0, len(line), 7):
            file.write(line[at:at + 7])
"""


def test_a_reader_beside_a_writer_that_is_killed(tmp_path):
    """Each read takes whole lines only, from where the last one came; a line the kill tore spoils one line at most."""
    offsets: dict[int, int] = {}
    numbers: list[int] = []
    spoilt = first = 0
    (tmp_path / "sold.ndjson").touch()
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "sold.ndjson", str(first)]) as process:
            seen = len(numbers)
            while len(numbers) < seen + 300:
                reader = TopicReader(tmp_path, "sold")
                for event in reader.read(offsets, 100):
                    try:
                        numbers.append(json.loads(event.payload)["n"])
                    except ValueError:
                        spoilt += 1
                offsets = reader.reached
            os.kill(process.pid, signal.SIGKILL)
        first += 100_000
    lines = (tmp_path / "sold.ndjson").read_bytes().split(b"\n")[:-1]
    rest = list(TopicReader(tmp_path, "sold").read(offsets, 10**9))
    assert offsets[0] + len(rest) == len(lines)
    assert len(numbers) == len(set(numbers))
    assert spoilt <= 3
    assert numbers == sorted(numbers)
