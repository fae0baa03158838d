"""Readers of golden files keep values as they are, line breaks included."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from assay.golden.records import read_records
from assay.golden.rows import read_csv, read_ndjson

TEXTS = ["a\r\nb", "a\nb", "a\rb", "a\n\n b", "a\n \n\nb", "\u2028a\x85b", " a ", 'say "x"\r\n', "a\x1db\x0bc\x0cd"]


def written(folder: Path, suffix: str) -> Path:
    file = folder / f"f{suffix}"
    if suffix == ".csv":
        lines = ["id,text", *('{},"{}"'.format(number, text.replace('"', '""')) for number, text in enumerate(TEXTS))]
    else:
        lines = [json.dumps({"id": number, "text": text}, ensure_ascii=False) for number, text in enumerate(TEXTS)]
    file.write_bytes(("\r\n\n".join(lines) + "\r\n").encode())
    return file


@pytest.mark.parametrize("suffix", [".csv", ".ndjson"])
def test_rows_are_read_as_they_are(tmp_path, suffix):
    found = (read_csv if suffix == ".csv" else read_ndjson)(written(tmp_path, suffix))
    assert found.rows == tuple((str(number), text) for number, text in enumerate(TEXTS))


@pytest.mark.parametrize("suffix", [".csv", ".ndjson"])
def test_records_are_put_elsewhere_as_they_are(tmp_path, suffix):
    file = read_records(written(tmp_path, suffix))
    assert file is not None
    records = list(file.records)
    random.Random(1).shuffle(records)
    file.write(records)
    found = (read_csv if suffix == ".csv" else read_ndjson)(file.path)
    assert sorted(found.rows) == [(str(number), text) for number, text in enumerate(TEXTS)]
