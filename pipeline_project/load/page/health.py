"""The page's section about the run that made it, and the builds before."""

from __future__ import annotations

import datetime as dtm
from collections.abc import Sequence
from html import escape

from assay import Run
from assay.tables.results import Publication
from pipeline_project.load.page.past import over_time
from pipeline_project.load.page.text import breakable, count, date, moment


def checked(run: Run) -> str:
    """What the checks said of the tables, as the end of a sentence."""
    found = [check for item in run.publications for check in item.checks if not check.learning]
    if not found:
        return "from tables that earlier runs published."
    if any(check.blocks for check in found):
        return "in a run in which a check stopped a table; what was published of it before still stands here."
    warned, known = sum(check.warns for check in found), sum(check.verdict == "known" for check in found)
    told = [check for check in found if not check.learning]
    if not warned:
        but = f' but <a href="#health">{count(known)}, which say what is known</a>' if known else ""
        return f"from tables that passed all {count(len(told))} checks of this run{but}."
    which = "one that only warns" if warned == 1 else f"{count(warned)} that only warn"
    return f'from tables that passed all checks but <a href="#health">{which}</a>.'


def health_section(run: Run, until: dtm.date | None) -> str:
    """How the run that made this page went, and those before."""
    found = list(run.publications)
    ends = f" The data ends on {date(until)}." if until else ""
    if not found:
        content = '<p class="note">This run built the dashboard alone, from tables published earlier.</p>'
    else:
        content = _publications(found)
    return (
        '<section aria-labelledby="health"><h2 id="health">Health of this run</h2>'
        f'<p class="note">Run <code>{escape(run.id)}</code>, {moment(run.now)}.{ends}</p>'
        f'<div class="grid"><div class="card full">{content}</div>{over_time(run.past)}</div></section>'
    )


def _publications(found: Sequence[Publication]) -> str:
    longest = max((item.seconds for item in found), default=0.0) or 1.0
    lines: list[str] = []
    told: dict[str, list[str]] = {"Worth knowing": [], "Known": []}
    for item in found:
        judged = [check for check in item.checks if not check.learning]
        failed = [check for check in judged if not check.passed]
        state = "fail" if item.failed else "warn" if any(check.warns for check in failed) else "pass"
        told_of = sum(not check.learning for check in item.checks)
        label = f"{told_of - len(failed)} of {told_of}"
        lines.append(
            f'<tr><th scope="row">{breakable(item.table)}</th><td class="optional">{escape(item.stage)}</td>'
            f'<td class="n">{count(item.rows)}</td><td class="n optional">{count(item.rejected)}</td>'
            f'<td><span class="badge {state}">{label}</span></td><td class="n">{item.seconds:.2f} s</td>'
            f'<td class="optional" style="width:18%"><span class="bar" style="width:{item.seconds / longest:.1%}"></span></td></tr>'
        )
        for check in failed:
            told["Known" if check.known else "Worth knowing"].append(
                f"<li><strong>{escape(item.table)}</strong>, <code>{escape(check.name)}</code>: {escape(check.summary)}</li>"
            )
    head = (
        '<th scope="col">Table</th><th scope="col" class="optional">Stage</th><th scope="col" class="n">Rows</th>'
        '<th scope="col" class="n optional">Rejected</th><th scope="col">Checks</th><th scope="col" class="n">Time</th>'
        '<td class="optional"></td>'
    )
    lists = [f'<h3>{head}</h3><ul class="found">{"".join(items)}</ul>' for head, items in told.items() if items]
    return (
        f'{"".join(lists)}<div class="scroll" tabindex="0" role="region" aria-label="Tables of this run"><table>'
        f"<caption>What was published, in order</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
