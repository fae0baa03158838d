"""The result for machines: JUnit XML for test reports, annotations for GitHub's diff view."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

import click

from assay.golden.result import CaseResult, GoldenResult, TableResult
from assay.golden.text import table_lines
from assay.words import rows_told

_ILLEGAL = {code: f"\\u{code:04x}" for code in [*range(32), 0xFFFE, 0xFFFF] if code not in (9, 10, 13)}


def junit(result: GoldenResult) -> str:
    """JUnit XML: a suite a case, a test a table."""
    counts = result.counts()
    root = ElementTree.Element(
        "testsuites", name="golden", time=f"{result.seconds:.3f}", tests=str(sum(counts.values()))
    )
    for case in result.cases:
        wrong = [table for table in case.tables if table.status != "equal"]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=case.name,
            tests=str(max(len(case.tables), 1)),
            failures=str(sum(table.status != "error" for table in wrong)),
            errors=str(sum(table.status == "error" for table in wrong) + bool(case.error)),
            time=f"{case.seconds:.3f}",
        )
        if case.error:
            test = ElementTree.SubElement(suite, "testcase", classname=case.name, name="case", time="0")
            _outcome(test, "error", case.error, case.traceback or case.error)
        for table in case.tables:
            test = ElementTree.SubElement(
                suite, "testcase", classname=case.name, name=table.table, time=f"{table.seconds:.3f}"
            )
            if table.status != "equal":
                tag = "error" if table.status == "error" else "failure"
                _outcome(test, tag, headline(table), plain(table, case))
    if result.orphans or result.notes:
        suite = ElementTree.SubElement(root, "testsuite", name="golden tree", tests="1", failures="1", errors="0")
        test = ElementTree.SubElement(suite, "testcase", classname="golden", name="tree")
        _outcome(test, "failure", "orphaned files or errors", "\n".join([*result.orphans, *result.notes]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def github_annotations(result: GoldenResult) -> Iterator[str]:
    """GitHub workflow commands, one a table that is not equal, at the line of the table's function."""
    for case in result.cases:
        if case.error:
            yield _command("error", {"file": f"golden/{case.name}/case.yml"}, f"golden {case.name}", case.error)
        for table in case.tables:
            if table.status != "equal" and table.cause is None:
                place = {"file": table.file, "line": str(table.line)}
                yield _command("error", place, f"golden {table.address}", plain(table, case))
    for path in result.orphans:
        yield _command("warning", {"file": path}, "golden", "no case has this under test")


def headline(table: TableResult) -> str:
    """The first fact about a table that is not equal."""
    if table.problems:
        return table.problems[0]
    for comparison in table.comparisons:
        found = comparison.difference
        if comparison.status == "missing":
            return f"{comparison.name}: no golden yet, {rows_told(comparison.rows)}"
        if found is not None and not found.equal:
            if found.added is None:
                return f"{comparison.name}: the key is broken"
            schema = f", {len(found.schema)} schema changes" if found.schema else ""
            return f"{comparison.name}: +{found.added} -{found.removed} ~{found.changed} rows{schema}"
    return table.status


def plain(table: TableResult, case: CaseResult) -> str:
    """The table's whole text, without colors."""
    return click.unstyle("\n".join(table_lines(table, case)))


def _outcome(test: ElementTree.Element, tag: str, message: str, text: str) -> None:
    ElementTree.SubElement(test, tag, message=message.translate(_ILLEGAL)).text = text.translate(_ILLEGAL)


def _command(level: str, place: dict[str, str], title: str, message: str) -> str:
    properties = ",".join(f"{key}={_escape(value, ':,')}" for key, value in {**place, "title": title}.items())
    return f"::{level} {properties}::{_escape(message)}"


def _escape(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
