"""Which parts of the template's files a fork keeps. Standard library only.

In files whose comments begin with #, `# example;` on a line is about that line, and a line `# example: ...` about all
until the next empty line, or inside of brackets until these close. In Markdown, `<!-- example -->` is about all until `<!-- end -->`.
Beside `example` there are `framework`, kept with `assay/` as source, and `template`, which no fork keeps.
"""

from __future__ import annotations

import re

MARK = r"(?:example|framework|template)(?:, (?:example|framework|template))*"
LINE = re.compile(rf" *# ({MARK});(?: |$)")
PARAGRAPH = re.compile(rf"^(\s*)# ({MARK}): .*$")
SECTION = re.compile(rf"^<!-- ({MARK}) -->\n(.*?)^<!-- end -->\n\n?", re.M | re.S)


def kept_of(text: str, kept: set[str]) -> str:
    """The text with the parts of `kept`, without the others, and without any mark of a line."""

    def stays(marks: str) -> bool:
        return bool(kept & set(marks.split(", ")))

    text = SECTION.sub(lambda found: found[2] if stays(found[1]) else "", text)
    lines: list[str] = []
    ends: str | None = None
    for line in text.splitlines():
        if ends is not None and line != ends:
            continue
        ended, ends = ends, None
        begins, marked = PARAGRAPH.match(line), LINE.search(line)
        if begins and not stays(begins[2]):
            ends = "]" if begins[1] else ""
        elif ended == "":
            continue
        elif marked is None:
            lines.append(line)
        elif stays(marked[1]):
            reason = line[marked.end() :]
            lines.append(line[: marked.start()] + (f" # {reason}" if reason else ""))
    return "\n".join(lines).rstrip() + "\n"
