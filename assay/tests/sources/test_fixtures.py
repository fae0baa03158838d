from __future__ import annotations

import httpx
import pytest

from assay.errors import SourceError
from assay.sources.fixtures import FixtureTransport
from assay.sources.pages import PagedJson


@pytest.fixture
def get(tmp_path):
    (tmp_path / "api" / "coupons").mkdir(parents=True)
    for name in ("coupons/page=1.json", "coupons/page=2&size=5.json", "coupons/page=2.json", "plain", "page.html"):
        (tmp_path / "api" / name).write_text(name)
    (tmp_path.parent / "secret.json").write_text("outside")

    def run(path: str) -> httpx.Response:
        with httpx.Client(transport=FixtureTransport(tmp_path)) as client:
            return client.get(f"{FixtureTransport.address('api')}/{path}")

    return run


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("coupons?page=1", "coupons/page=1.json"),
        ("coupons?size=7&page=1", "coupons/page=1.json"),
        ("coupons?page=2&size=5", "coupons/page=2&size=5.json"),
        ("coupons?page=2&size=6", "coupons/page=2.json"),
        ("plain?page=1", "plain"),
        ("page", "page.html"),
        ("page.html", "page.html"),
    ],
)
def test_a_file_answers(get, path, name):
    answer = get(path)
    assert (answer.status_code, answer.text) == (200, name)


@pytest.mark.parametrize(
    "path", ["coupons?page=3", "coupons", "nothing", "%2e%2e/%2e%2e/secret.json", "../../secret.json"]
)
def test_anything_else_is_not_found(get, path):
    assert get(path).status_code == 404


def test_a_source_reads_it(land, tmp_path):
    (tmp_path / "api" / "coupons").mkdir(parents=True)
    (tmp_path / "api" / "coupons" / "page=1.json").write_text('{"data": [{"a": 1}], "next": 2}')
    base, transport = FixtureTransport.address("api"), FixtureTransport(tmp_path)
    with pytest.raises(SourceError, match=r"coupons, page 2: HTTP 404"):
        land(PagedJson("api", "coupons"), base, {"a": "INTEGER"}, transport=transport)
    (tmp_path / "api" / "coupons" / "page=2.json").write_text('{"data": [{"a": 2}], "next": null}')
    assert land(PagedJson("api", "coupons"), base, {"a": "INTEGER"}, transport=transport).rows == [(1,), (2,)]
