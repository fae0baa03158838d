"""Readers of golden files keep values as they are, line breaks included."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from assay.golden.rows import read_csv, read_ndjson
from assay.lab.determinism.variants import split_records

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
    file = written(tmp_path, suffix)
    header, records = split_records(file.read_bytes(), has_header=suffix == ".csv")
    assert len(records) >= len(TEXTS)
    random.Random(1).shuffle(records)
    file.write_bytes(header + b"".join(records))
    found = (read_csv if suffix == ".csv" else read_ndjson)(file)
    assert sorted(found.rows) == [(str(number), text) for number, text in enumerate(TEXTS)]
