from __future__ import annotations

import datetime as dtm
import json

import pytest

from assay.errors import SourceError, SourceUnavailable
from assay.sources import html
from assay.sources.html import HtmlTable

COLUMNS = {"campaign_id": "INTEGER", "kind": "VARCHAR", "start_date": "DATE"}
HEAD = "<thead><tr><th>Campaign ID</th><th>Type</th><th>Start&nbsp;date</th></tr></thead>"
ROWS = "<tbody><tr><td>1</td><td>Type<br><b>A</b></td><td>2017-03-03</td></tr><tr><td>2<td> <td>2017-04-19</tbody>"


@pytest.fixture
def campaigns(land, server):
    def run(page: str | bytes, *, headers=None, selector="table.campaigns", content_type="text/html; charset=utf-8"):
        body = page.encode() if isinstance(page, str) else page
        server.serve("/campaigns.html", (200, {"Content-Type": content_type}, body))
        source = HtmlTable("site", "campaigns.html", selector, headers={"Type": "kind"} if headers is None else headers)
        return land(source, server.url, COLUMNS)

    return run


def table(inner: str) -> str:
    return f"<h1>Campaigns</h1><table><tr><td>other</table><table class=campaigns>{inner}</table><p>end"


def test_rows_become_typed(campaigns):
    found = campaigns(table(HEAD + ROWS))
    assert found.rows == [(1, "Type A", dtm.date(2017, 3, 3)), (2, None, dtm.date(2017, 4, 19))]
    assert found.places == [("campaigns.html", 1), ("campaigns.html", 2)]


def test_reordered_columns_are_matched_by_header(campaigns):
    found = campaigns(table("<tr><th>Type<th>Start date<th>Campaign id<tr><td>A<td>2017-03-03<td>1"))
    assert found.rows == [(1, "A", dtm.date(2017, 3, 3))]


def test_a_header_alone(campaigns):
    assert campaigns(table(HEAD)).rows == []


def test_cells_that_do_not_fit_are_malformed_rows(campaigns):
    found = campaigns(table(HEAD + ROWS + "<tr><td>x<td>A<td>2017-03-03<tr><td>4<td>A<tr><td>5<td>A<td>3 March 2017"))
    assert len(found.rows) == 2
    assert sorted(found.reasons) == [("html.cast", 3), ("html.cast", 5), ("html.columns", 4)]
    payloads = {line: json.loads(payload) for _, _, line, payload in found.malformed}
    assert payloads[3]["campaign_id"] == "x"
    assert payloads[4] == {"_cells": ["4", "A"], "_error": "expected 3 cells, found 2"}


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<p>maintenance", "expected one table 'table.campaigns', found none"),
        (table(HEAD) + table(HEAD), "expected one table 'table.campaigns', found 2"),
        (table(""), "has no row, not even a header"),
        (table(HEAD.replace("Type", "Kind of it") + ROWS), "expected column 'kind', found 'kind_of_it' (renamed?)"),
        (table("<tr><th>Campaign id<th>Type"), "missing column 'start_date'"),
        (table(HEAD.replace("</tr>", "<th>Budget</tr>")), "unexpected column 'budget'"),
        (table(HEAD.replace("Type", "Campaign id")), "column 'campaign_id' appears more than once"),
        (table(ROWS), "missing column"),
        (table(HEAD + "<tr><td rowspan=2>1<td>A<td>2017-03-03"), "row 1 has a cell with rowspan"),
        (table(HEAD + "<tr><td>1<td colspan='2'>A"), "row 1 has a cell with colspan"),
        (table(HEAD + "<tr><td>1<td>A<td><table><tr><td>x</table>"), "the table contains another table"),
        (table(HEAD + ROWS).split("2017-04")[0], "the page ends inside a table"),
        ("", "expected one table 'table.campaigns', found none"),
        (table(HEAD + ROWS).replace("Type<br><b>A", "Caf\xe9").encode("latin-1"), "the page is not utf-8"),
    ],
)
def test_a_page_that_changed_is_refused(campaigns, server, page, message):
    with pytest.raises(SourceError) as error:
        campaigns(page)
    assert message in str(error.value)
    assert str(error.value).startswith(f"sold: {server.url}/campaigns.html")


def test_a_page_cut_short_is_tried_again(campaigns):
    whole = table(HEAD + ROWS)
    with pytest.raises(SourceUnavailable):
        campaigns(whole.split("2017-04")[0])


def test_the_declared_character_set_is_used(campaigns):
    page = table(HEAD + ROWS).replace("Type<br><b>A", "Caf\xe9")
    assert campaigns(page.encode("latin-1"), content_type="text/html; charset=latin-1").rows[0][1] == "Caf\xe9"
    declared = "<meta charset='latin-1'>" + page
    assert campaigns(declared.encode("latin-1"), content_type="text/html").rows[0][1] == "Caf\xe9"


def test_a_selector_that_is_none(campaigns):
    with pytest.raises(SourceError, match="'table\\[\\[' is no CSS selector"):
        campaigns(table(HEAD), selector="table[[")


def test_the_fingerprint_follows_the_page(campaigns, server):
    found = campaigns(table(HEAD + ROWS))
    source = HtmlTable("site", "campaigns.html")
    assert source.fingerprint(server.url) == found.landed.fingerprint
    campaigns(table(HEAD))
    assert source.fingerprint(server.url) != found.landed.fingerprint


def test_a_fingerprint_of_nothing_names_the_place_once(server):
    with pytest.raises(SourceError) as caught:
        HtmlTable("site", "gone.html").fingerprint(server.url)
    assert caught.value.where == f"{server.url}/gone.html"


def test_what_a_reader_does_not_see_is_no_text(campaigns):
    hidden = (
        "<script>var x = 1</script><style>b {}</style><template>t</template><i hidden>20170303</i>"
        "<i style='color: red; DISPLAY:NONE'>x</i><i style='display: none'>y</i>"
    )
    row = f"<tr><td>{hidden}1<td>A{hidden}<td>2017-03-03<tr hidden><td>2<td>B<td>2017-03-04"
    found = campaigns("<table class=campaigns hidden></table>" + table(HEAD + row))
    assert found.rows == [(1, "A", dtm.date(2017, 3, 3))]
    assert found.malformed == []


def test_only_the_blanks_of_html_are_blanks(campaigns):
    row = "<tr><td> 1\t<td>\n a&nbsp;b \f c\u3000<td>2017-03-03"
    assert campaigns(table(HEAD + row)).rows[0][1] == "a\xa0b c\u3000"


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("iso-8859-1", b"\x80 \x93x\x94", "€ “x”"),
        ("us-ascii", b"\xe9", "é"),
        ("GB2312", "镕".encode("gbk"), "镕"),
        ("shift_jis", "①".encode("cp932"), "①"),
        ("ISO-8859-15", b"\xa4", "€"),
        ("windows-1251", "я".encode("cp1251"), "я"),
        ("latin1", "ä".encode("utf-8-sig"), "ä"),
    ],
)
def test_charsets_are_those_of_the_web(campaigns, charset, content, text):
    page = table(HEAD + "<tr><td>1<td>@<td>2017-03-03").encode().replace(b"@", content.removeprefix(b"\xef\xbb\xbf"))
    mark = content[:3] if content.startswith(b"\xef\xbb\xbf") else b""
    assert campaigns(mark + page, content_type=f"text/html; charset={charset}").rows[0][1] == text


@pytest.mark.parametrize("charset", ["unicode_escape", "idna", "punycode", "rot13", "zlib", "utf-7", "cp037", "x"])
def test_charsets_of_python_are_none(campaigns, charset):
    with pytest.raises(SourceError, match=f"its charset '{charset}' is none of the web's"):
        campaigns(table(HEAD + ROWS), content_type=f"text/html; charset={charset}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 200_000,
        "<div></x>" * 200_000,  # an end without a beginning ends nothing
        "<x><div></x>" * 100_000,
        "<table " + " ".join(f"a{number}=1" for number in range(100_000)) + ">",
        "<p>" + "".join(f"<b id={number}>" for number in range(900)) + "<p>x" * 8000,  # each opens the 900 again
    ],
)
def test_a_page_that_would_be_parsed_for_minutes_or_take_gigabytes_is_refused(campaigns, monkeypatch, page):
    monkeypatch.setattr(html, "SECONDS", 1)
    with pytest.raises(SourceError, match="the page takes too long or too much memory to read"):
        campaigns(page + table(HEAD + ROWS))


def test_much_of_a_page_is_much_to_read_and_no_attack(campaigns):
    """Thousands of drawings' parts that end themselves, and elements left open one after the other."""
    icons = "<svg>" + "<path d='M0 0'/>" * 5000 + "</svg>"
    loose = "<p>x<li>y" * 20_000 + "<div><span></div>" * 5000
    assert len(campaigns(icons + loose + table(HEAD + ROWS)).rows) == 2


def test_many_rows_are_not_deep(campaigns):
    rows = "<tr><td>1<td>a<p>b<br>c<td>2017-03-03" * 2000
    assert len(campaigns(table(HEAD + rows)).rows) == 2000


def ids(found) -> list[int]:
    return [row[0] for row in found.rows]


def test_a_cell_that_spans_stands_in_each_of_its_places(land, server):
    page = (
        "<table><tr><th rowspan=2>Id<th colspan=2>Period<tr><th>From<th>To"
        "<tr><td rowspan=2>1<td>a<td>b<tr><td colspan=2>c<tr><td rowspan=0>2<td>d<td>e<tr><td>f<td>g</table>"
    )
    server.serve("/t", page)
    columns = {"id": "BIGINT", "period_from": "VARCHAR", "period_to": "VARCHAR"}
    found = land(HtmlTable("site", "t", header_rows=2, spans=True), server.url, columns)
    assert found.rows == [(1, "a", "b"), (1, "c", "c"), (2, "d", "e"), (2, "f", "g")]
    assert [line for _, line in found.places] == [1, 2, 3, 4]
    with pytest.raises(SourceError, match=r"row 0 has a cell with rowspan.*spans=True"):
        land(HtmlTable("site", "t", header_rows=2), server.url, columns)


def test_a_table_without_a_header_and_the_second_of_two(land, server):
    server.serve("/t", "<table><tr><td>1</table><table><tr><td>2<tr><td>3<td>x<tr><td>y</table>")
    found = land(HtmlTable("site", "t", nth=2, header_rows=0), server.url, {"id": "BIGINT"})
    assert ids(found) == [2]
    assert found.reasons == [("html.columns", 2), ("html.cast", 3)]
    with pytest.raises(SourceError, match="expected 3 tables 'table', found 2"):
        land(HtmlTable("site", "t", nth=3), server.url, {"id": "BIGINT"})


def test_hidden_cells_are_no_cells(land, server):
    server.serve("/t", "<table><tr><th hidden>Key<th>Id<tr><td style='display:none'>k<td>1</table>")
    assert ids(land(HtmlTable("site", "t"), server.url, {"id": "BIGINT"})) == [1]


@pytest.mark.slow
def test_spans_without_end_are_bounded(land, server):
    server.serve("/t", "<table><tr><th>Id" + "<tr><td colspan=999999999 rowspan=999999999>1" * 300 + "</table>")
    with pytest.raises(SourceError, match="takes too long or too much memory"):
        land(HtmlTable("site", "t", spans=True), server.url, {"id": "BIGINT"})
