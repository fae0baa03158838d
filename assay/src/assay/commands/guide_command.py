"""`pipeline guide`: the framework's documents, which come with it and not with each project."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.errors import PipelineError, did_you_mean
from assay.terminal import say, say_page

if TYPE_CHECKING:
    from assay.project import Project

TEMPLATE = "pipeline_project"
"""The project's name in the pages."""
_EXAMPLE = re.compile(r"^<!-- (?:example|template) -->\n.*?^<!-- end -->\n\n?", re.M | re.S)
_MARK = re.compile(r"^<!-- .* -->\n", re.M)
_PAGE = re.compile(r"\[([^]]*)\]\((?:\.\./)?(?:docs/)?(\w+)\.md(?:#[^)]*)?\)")


def pages() -> dict[str, Path]:
    """The pages by name: in the wheel `guides/`, beside the source `docs/`."""
    package = Path(__file__).parents[1]
    inside, beside = package / "guides", package.parents[2] / "docs"
    found = sorted((inside if inside.is_dir() else beside).glob("*.md"))
    return {page.stem: page for page in found if page.stem != "decisions"}


def page(path: Path, package: str) -> str:
    """The Markdown of a page for a project's people: without what is about the example, with their project's name."""
    text = _MARK.sub("", _EXAMPLE.sub("", path.read_text(encoding="utf-8"))).replace(TEMPLATE, package)
    known = pages()

    def led(found: re.Match[str]) -> str:
        return f"{found[1]} (`pipeline guide {found[2]}`)" if found[2] in known else found[1]

    return _PAGE.sub(led, text)


@click.command()
@click.argument("name", required=False, metavar="[PAGE]")
@click.pass_obj
def guide(project: Project, name: str | None) -> None:
    """Show a page of the framework's documents; without PAGE, list them.

    In a terminal it is laid out and can be scrolled; piped, it is Markdown.
    """
    known = pages()
    if name is None:
        width = max(map(len, known), default=0)
        for each, path in known.items():
            say(f"{each:<{width}}  {path.read_text(encoding='utf-8').partition('# ')[2].partition(chr(10))[0]}")
        return
    if name not in known:
        raise PipelineError(
            f"there is no guide '{name}'", fix=did_you_mean(name, known, "`pipeline guide` lists them.")
        )
    say_page(page(known[name], project.package))
