"""What mkdocs is told beside its file: documents that stand elsewhere, links between them, and the reference.

No page is named here: those of the folder are found, and the reference is what the framework exports.
"""

from __future__ import annotations

import inspect
import pkgutil
import posixpath
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {
    "index.md": "README.md",
    "table.md": "assay/README.md",
    "template/contributing.md": "CONTRIBUTING.md",
    "template/security.md": "SECURITY.md",
    "template/benchmarks.md": "benchmarks/README.md",
    "template/changelog.md": "CHANGELOG.md",
    "changelog.md": "assay/CHANGELOG.md",
}
"""Where a document is in the site -> where it stands in the repository."""
FACES = ("assay", "assay.definitions", "assay.sources", "assay.testing")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents that stand elsewhere, and a page of the reference for each public module."""
    texts = {place: (ROOT / path).read_text(encoding="utf-8") for place, path in ELSEWHERE.items()}
    texts |= {f"reference/{name}.md": reference(name) for name in FACES}
    texts |= {
        file: (ROOT / "docs/site" / file).read_text(encoding="utf-8") for file in ("site.css", "iframe-worker.js")
    }
    for place, text in texts.items():
        files.append(File.generated(config, place, content=text))
    return files


def reference(name: str) -> str:
    """The page of a public module: what it exports, in its order."""
    module = import_module(name)
    names = getattr(module, "__all__", None) or [info.name for info in pkgutil.iter_modules(module.__path__)]
    return "\n\n".join([f"# {name}", inspect.getdoc(module) or "", *(f"::: {name}.{each}" for each in names)])


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links that lead from one file of the repository to another lead from page to page; marks of forks go."""
    here = page.file.src_uri
    home = ELSEWHERE.get(here, f"docs/{here}")
    sites = {path: place for place, path in ELSEWHERE.items()}

    def moved(found: re.Match[str]) -> str:
        path, mark, anchor = found[1].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
        place = sites.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if place is None:  # a file that is no page, such as the licence
            return "]"
        return f"]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{mark}{anchor})"

    markdown = re.sub(r"\]\(([^)\s]+)\)", moved, markdown)
    return re.sub(r"^<!-- .* -->\n", "", markdown, flags=re.M)
