from __future__ import annotations

import gzip
import os

import pytest

from assay.errors import SourceError
from assay.sources import files
from assay.sources.delimited import Csv
from assay.sources.ndjson import Ndjson
from assay.sources.parquet import Parquet
from assay.sources.text import opened

COLUMNS = {"a": "INTEGER"}


@pytest.fixture(params=[Parquet, Csv, Ndjson])
def source(request):
    return lambda path: request.param("shop", path)


def test_a_missing_file(land, source, tmp_path):
    with pytest.raises(SourceError, match=r"sold: .*nowhere\.x: the file does not exist"):
        land(source("nowhere.x"), tmp_path, COLUMNS)


def test_a_missing_folder(land, source, tmp_path):
    with pytest.raises(SourceError, match="the file does not exist"):
        land(source("f.x"), tmp_path / "gone", COLUMNS)


def test_a_pattern_that_matches_nothing(land, source, tmp_path):
    with pytest.raises(SourceError, match=r"sold: .*\*\.x: no file matches"):
        land(source("*.x"), tmp_path, COLUMNS)


def test_an_empty_file(land, source, tmp_path):
    (tmp_path / "f.x").touch()
    with pytest.raises(SourceError, match=r"f\.x: the file is empty"):
        land(source("f.x"), tmp_path, COLUMNS)


def test_a_folder_instead_of_a_file(land, source, tmp_path):
    (tmp_path / "f.x").mkdir()
    with pytest.raises(SourceError, match="is a folder, not a file"):
        land(source("f.x"), tmp_path, COLUMNS)


def test_a_file_where_a_folder_should_be(land, source, tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(SourceError, match="cannot be read: Not a directory"):
        land(source("f/g.x"), tmp_path, COLUMNS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(land, source, tmp_path):
    (tmp_path / "f.x").write_text("x")
    (tmp_path / "f.x").chmod(0)
    with pytest.raises(SourceError, match="permission denied"):
        land(source("f.x"), tmp_path, COLUMNS)


def test_permission_denied_is_told_from_other_failures(monkeypatch, tmp_path):
    """As the test above, for whoever may read everything."""
    (tmp_path / "f.x").write_text("x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(SourceError, match="permission denied"):
        files.find(str(tmp_path), "f.x", table="sold")


def test_the_fingerprint_follows_the_content(source, tmp_path):
    file = tmp_path / "f.x"
    file.write_text("one")
    first = source("f.x").fingerprint(str(tmp_path))
    os.utime(file, (0, 0))
    assert source("f.x").fingerprint(str(tmp_path)) == first
    file.write_text("two")
    assert source("f.x").fingerprint(str(tmp_path)) != first


@pytest.mark.parametrize("path", ["nowhere.x", "*.x"])
def test_a_fingerprint_of_nothing_names_the_place_once(source, tmp_path, path):
    with pytest.raises(SourceError) as caught:
        source(path).fingerprint(str(tmp_path))
    assert caught.value.where == str(tmp_path / path)


def test_the_fingerprint_does_not_depend_on_where_the_folder_is(source, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "f.x").write_text("same")
    assert source("f.x").fingerprint(str(tmp_path / "one")) == source("f.x").fingerprint(str(tmp_path / "two"))


def test_the_fingerprint_sees_added_and_renamed_files(source, tmp_path):
    (tmp_path / "1.x").write_text("one")
    first = source("*.x").fingerprint(str(tmp_path))
    (tmp_path / "2.x").write_text("two")
    second = source("*.x").fingerprint(str(tmp_path))
    (tmp_path / "2.x").rename(tmp_path / "3.x")
    third = source("*.x").fingerprint(str(tmp_path))
    assert len({first, second, third}) == 3


def test_large_files_are_told_apart_by_size_and_time(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "SMALL", 2)
    file = tmp_path / "f.x"
    file.write_text("one")
    first = files.fingerprint(str(tmp_path), [file])
    os.utime(file, (0, 0))
    assert files.fingerprint(str(tmp_path), [file]) != first


def test_damage_in_the_middle_of_a_compressed_file(tmp_path):
    whole = bytearray(gzip.compress(os.urandom(5000)))
    whole[2500] ^= 0xFF
    (tmp_path / "f.gz").write_bytes(whole)
    with (
        pytest.raises(SourceError, match="truncated or damaged"),
        opened(tmp_path / "f.gz") as text,
    ):
        text.stream.read()
