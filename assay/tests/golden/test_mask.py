"""Masked values tell whether they changed, and not what they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb
import pytest

from assay.errors import GoldenError
from assay.golden.mask import FILE, Mask, project_mask
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources

GUESSES = [f"customer{number}@example.org" for number in range(1000)]
KEY = "0123456789abcdef"


def project(root: Path, **environ: str) -> Project:
    (root / "golden").mkdir(exist_ok=True)
    return Project("p", (), root, lambda: BaseSettings.read(environ, root=root), lambda _: Sources({}))


def test_a_guess_is_not_confirmed_without_the_key() -> None:
    masked = {Mask(KEY).text(guess) for guess in GUESSES}
    assert len(masked) == len(GUESSES), "different values differ"
    for digest in (lambda text: hashlib.sha256(text.encode()).hexdigest(), lambda text: Mask("another key").text(text)):
        assert not masked & {str(digest(guess)) for guess in GUESSES}
        assert not masked & {f"masked:{str(digest(guess))[:12]}" for guess in GUESSES}


@pytest.mark.parametrize("value", ["ann@x.org", "", "it's", 'a"b', "Zoë", "\n"])
def test_the_database_masks_as_python_does(value: str) -> None:
    for key in (KEY, "it's a key with 'quotes'"):
        found = duckdb.execute(
            f"SELECT {Mask(key).sql('x')} FROM (SELECT ? AS x UNION ALL SELECT NULL)", [value]
        ).fetchall()
        assert sorted(found, key=str) == sorted([(Mask(key).text(value),), (None,)], key=str)


def test_the_key_is_written_once_and_is_each_projects_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, again, other = (project_mask(project(tmp_path / name)).text("x") for name in "aab")
    assert first == again != other
    assert len((tmp_path / "a" / "golden" / FILE).read_text()) == 65


def test_the_variable_takes_the_files_place(tmp_path: Path) -> None:
    found = project_mask(project(tmp_path, PIPELINE_MASK_KEY=KEY))
    assert found.text("x") == Mask(KEY).text("x")
    assert not (tmp_path / "golden" / FILE).exists()


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    made = project(tmp_path)
    (tmp_path / "golden" / FILE).write_text("short\n")
    with pytest.raises(GoldenError, match="is no key of at least 16 characters"):
        project_mask(made)
