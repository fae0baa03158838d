"""The marketing department's page of campaigns: what a scraper meets."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Coupon campaigns</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 44rem; padding: 0 1rem; color: #1d2939 }
  table { border-collapse: collapse; width: 100% }
  caption { text-align: left; color: #475467; padding-bottom: .5rem }
  th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #d0d5dd }
</style>
</head>
<body>
<header><h1>Coupon campaigns</h1></header>
<main>
<p>Coupons are valid from the first to the last day of their campaign, both included.</p>
<table id="campaigns">
<caption>All campaigns of the year</caption>
<thead><tr>$head</tr></thead>
<tbody>
$body
</tbody>
</table>
</main>
<footer><p>Questions? Ask the marketing desk.</p></footer>
</body>
</html>
""")


def campaigns_page(descriptions: Path) -> str:
    """The page, made from the Parquet file of campaign descriptions."""
    import pyarrow.parquet as pq

    table = pq.read_table(descriptions)
    titles = [name.replace("_", " ").capitalize() for name in table.column_names]
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    rows = [[_text(value) for value in row.values()] for row in table.to_pylist()]
    body = "\n".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return _PAGE.substitute(head=head, body=body)


def _text(value: object) -> str:
    return value.date().isoformat() if hasattr(value, "date") else str(value)
