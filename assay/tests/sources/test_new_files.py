"""Only the new files of a folder: read, added, remembered with their rows, refused when they change. Real files and DuckDB."""

from __future__ import annotations

import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.errors import SourceError, WiringError
from assay.sources import Csv, Ndjson, Parquet

COLUMNS = {"n": "BIGINT"}


def write(kind, file, *numbers):
    file.parent.mkdir(parents=True, exist_ok=True)
    if kind is Parquet:
        pq.write_table(pa.table({"n": numbers}), file)
    elif kind is Csv:
        file.write_text("".join(f"{each}\n" for each in ("n", *numbers)))
    else:
        file.write_text("".join(f'{{"n": {each}}}\n' for each in numbers))


@pytest.fixture(params=[Csv, Ndjson, Parquet])
def kind(request):
    return request.param


def test_each_file_brings_its_rows_once(land, kind, tmp_path):
    base, source = tmp_path / "in", kind("shop", "**/*.x", new_only=True)
    write(kind, base / "a.x", 1, 2)
    write(kind, base / "deep" / "b.x", 3)
    first = land(source, base, COLUMNS)
    assert sorted(first.rows) == [(1,), (2,), (3,)]
    again = land(source, base, COLUMNS, offsets=first.landed.offsets)
    assert again.rows == []
    assert again.landed.fingerprint == first.landed.fingerprint
    write(kind, base / "a[1].x", 4)
    assert source.lag(str(base), first.landed.offsets) == 1
    second = land(source, base, COLUMNS, offsets=first.landed.offsets)
    assert second.rows == [(4,)]
    assert second.landed.fingerprint != first.landed.fingerprint
    assert land(source, base, COLUMNS, offsets=second.landed.offsets).rows == []


def test_a_file_that_changed_stops_and_one_that_is_gone_does_not(land, kind, tmp_path):
    base, source = tmp_path / "in", kind("shop", "*.x", new_only=True)
    for name in "abc":
        write(kind, base / f"{name}.x", 1)
    offsets = land(source, base, COLUMNS).landed.offsets
    write(kind, base / "a.x", 7)
    write(kind, base / "b.x", 8, 9, 10)
    told = r"^sold: .*/in/a\.x: was read, and has changed since, and 1 more\. Read all files again: pipeline run sold --full\."
    with pytest.raises(SourceError, match=told):
        land(source, base, COLUMNS, offsets=offsets)
    for name in "abc":
        (base / f"{name}.x").unlink()
    gone = land(source, base, COLUMNS, offsets=offsets)
    assert (gone.rows, gone.landed.offsets[0].place) == ([], offsets[0].place)
    base.rmdir()
    with pytest.raises(SourceError, match="no such folder"):
        land(source, base, COLUMNS, offsets=offsets)


def test_a_file_that_was_only_copied_back_has_not_changed(land, kind, tmp_path):
    base, source = tmp_path / "in", kind("shop", "*.x", new_only=True)
    write(kind, base / "a.x", 1)
    first = land(source, base, COLUMNS).landed
    os.utime(base / "a.x", (1, 1))
    again = land(source, base, COLUMNS, offsets=first.offsets)
    assert (again.rows, again.landed.fingerprint) == ([], first.fingerprint)
    assert again.landed.offsets[0].place != first.offsets[0].place


def test_a_large_file_is_known_by_size_and_time(land, kind, tmp_path, monkeypatch):
    monkeypatch.setattr("assay.sources.files.SMALL", 1)
    base, source = tmp_path / "in", kind("shop", "*.x", new_only=True)
    write(kind, base / "a.x", 1)
    first = land(source, base, COLUMNS).landed
    assert land(source, base, COLUMNS, offsets=first.offsets).rows == []
    os.utime(base / "a.x", (1, 1))
    with pytest.raises(SourceError, match="has changed since"):
        land(source, base, COLUMNS, offsets=first.offsets)


def test_a_new_file_is_looked_at_as_any_other(land, kind, tmp_path):
    source = kind("shop", "*.x", new_only=True)
    with pytest.raises(SourceError, match=r"\*\.x: no file matches"):
        land(source, tmp_path, COLUMNS)
    write(kind, tmp_path / "a.x", 1)
    offsets = land(source, tmp_path, COLUMNS).landed.offsets
    (tmp_path / "b.x").touch()
    with pytest.raises(SourceError, match=r"b\.x: the file is empty"):
        land(source, tmp_path, COLUMNS, offsets=offsets)
    (tmp_path / "b.x").unlink()
    os.mkfifo(tmp_path / "b.x")
    with pytest.raises(SourceError, match="is a pipe"):
        land(source, tmp_path, COLUMNS, offsets=offsets)


def test_what_another_source_noted_is_no_memory_of_files(land, tmp_path):
    write(Csv, tmp_path / "a.x", 1)
    with pytest.raises(SourceError, match="was read as another kind of source"):
        land(Csv("shop", "*.x", new_only=True), tmp_path, COLUMNS, offsets={0: 7})


@pytest.mark.parametrize(("path", "manifest", "told"), [("a.x", None, "is one file"), ("*.x", "m.csv", "a manifest")])
def test_what_has_no_new_files_is_refused_when_it_is_declared(kind, path, manifest, told):
    with pytest.raises(WiringError, match=told):
        kind("shop", path, manifest=manifest, new_only=True)


def test_a_broken_line_of_a_new_file_is_set_aside(land, tmp_path):
    source = Csv("shop", "*.x", new_only=True)
    write(Csv, tmp_path / "a.x", "one", 2)
    first = land(source, tmp_path, COLUMNS)
    assert (first.rows, first.reasons) == ([(2,)], [("csv.cast", 2)])
    shutil.copy(tmp_path / "a.x", tmp_path / "b.x")
    second = land(source, tmp_path, COLUMNS, offsets=first.landed.offsets)
    assert (second.places, second.reasons) == ([("b.x", 3)], [("csv.cast", 2)])
