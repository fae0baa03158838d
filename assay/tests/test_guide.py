"""The framework's documents are read with `pipeline guide`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.commands import guide_command
from assay.commands.guide_command import guide, page, pages
from assay.errors import PipelineError
from assay.project import Project
from tests.shop.project import shop_project

EXAMPLE = """\
# A page

<!-- run: 2 -->
See [the other](../docs/other.md#part), [docs/gone.md](gone.md) and `pipeline_project/cli.py`.

<!-- example -->
Of the example alone.
<!-- end -->

The end.
"""


def shown(project: Project, *arguments: str) -> str:
    done = CliRunner().invoke(guide, [*arguments], obj=project, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return shop_project(tmp_path)


def test_every_page_is_listed_with_its_title(shop: Project) -> None:
    lines = shown(shop).splitlines()
    assert [line.split()[0] for line in lines] == list(pages())
    assert {"golden", "operations", "sources", "health"} <= set(pages())
    assert "decisions" not in pages()
    assert all(len(line.split()) > 1 and "#" not in line for line in lines)


def test_no_page_speaks_of_the_template(shop: Project) -> None:
    for name in pages():
        text = shown(shop, name)
        assert text.startswith("# ")
        assert "pipeline_project" not in text
        assert "<!--" not in text
        assert ".md)" not in text


def test_a_page_names_the_project_and_how_to_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.md").write_text("# Other\n")
    (tmp_path / "a.md").write_text(EXAMPLE)
    monkeypatch.setattr(guide_command, "pages", lambda: {"a": tmp_path / "a.md", "other": tmp_path / "other.md"})
    assert page(tmp_path / "a.md", "acme") == (
        "# A page\n\nSee the other (`pipeline guide other`), docs/gone.md and `acme/cli.py`.\n\nThe end.\n"
    )


def test_an_unknown_page_is_one_clear_line(shop: Project) -> None:
    with pytest.raises(PipelineError, match=r"there is no guide 'goldn'. Did you mean golden\?"):
        shown(shop, "goldn")


def test_in_a_terminal_a_page_is_laid_out(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay import terminal

    monkeypatch.setattr(terminal, "columns", lambda stream: 80)
    monkeypatch.setenv("NO_COLOR", "1")
    for name in pages():
        lines = shown(shop, name).splitlines()
        assert not lines[0].startswith("#")
        assert [line for line in lines if len(line) > 80] == []
