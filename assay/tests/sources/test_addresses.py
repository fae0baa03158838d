from __future__ import annotations

import pytest

from assay.errors import SourceError
from assay.sources import Http
from assay.sources.addresses import join, same_server, shown, split
from assay.sources.web import Fetcher


@pytest.mark.parametrize(
    "address", ["ftp://host", "host:80", "/folder", "", "http://", "http://h:port/a", "http://[h/a"]
)
def test_a_location_that_is_no_http_address(address):
    with pytest.raises(SourceError, match="is no http address"):
        join(address, "a")


def test_joining():
    assert join("http://h/api/", "/a") == join("http://h/api", "a") == "http://h/api/a"
    assert join("http://h/page", "") == "http://h/page"
    assert join("http://ann:pw@h/api?key=1", "a?b=2") == "http://ann:pw@h/api/a?b=2&key=1"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/data/ann@home/key=1", "/data/ann@home/key=1"),
        ("./files", "./files"),
        ("//ann:s3cret@host/a", "..."),
        ("s3cret@host/a", "..."),
        ("://s3cret@", "..."),
        ("host?s3cret", "host..."),
        ("/data/a?s3cret", "/data/a..."),
        ("http://host:8080/a/b.html", "http://host:8080/a/b.html"),
        ("https://ann:s3cret@host:8080/a?page=12&token=s3cret", "https://host:8080/a"),
        ("http://s3cret@host/a", "http://host/a"),
        ("http://host?s3cret", "http://host"),
        ("http://host/a#s3cret", "http://host/a"),
        ("http://host/a;apikey=s3cret/b", "http://host/a..."),
        ("http://host/a%3Bapikey%3ds3cret", "http://host/a..."),
        ("http://host/a&key=s3cret", "http://host/a..."),
        ("http://host/a\\\\ann:s3cret@other", "http://..."),
        ("http://ann:s3/cret@host/a", "http://..."),
        ("http://ann:12#s3cret@host/a", "http://..."),
        ("http://ann:12?s3cret@host/a", "http://..."),
        ("http://host:s3cret/a", "http://..."),
        ("http://ho st s3cret/a", "http://..."),
        ("http://[s3cret/a", "http://..."),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("http:s3cret", "http://..."),
        ("ann:s3cret@host/a", "ann://..."),
        ("kafka://a:9092,b:9092?sasl.username=ann&sasl.password=s3cret", "kafka://a:9092,b:9092"),
        ("kafka://ann:s3cret@a:9092,b:9092/topic", "kafka://a:9092,b:9092/topic"),
        ("jdbc:postgresql://ann:s3cret@host:5432/books?password=s3cret", "jdbc:postgresql://host:5432/books"),
        ("http://host/a\x1b[31m\u202e", "http://host/a"),
    ],
)
def test_what_is_shown_is_scheme_host_and_path(address, expected):
    assert shown(address) == expected
    assert "s3cret" not in shown(address)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://h/a", "http://H:80/b", True),
        ("https://ann:pw@h/a", "https://h:443/b", True),
        ("http://h/a", "https://h/a", False),
        ("http://h/a", "http://h:81/a", False),
        ("http://h/a", "http://h.evil/a", False),
        ("http://h/a", "http://h@evil/a", False),
    ],
)
def test_the_same_server(one, other, same):
    assert same_server(split(one), split(other)) is same


def test_a_blank_is_told_as_such_and_parameters_are_encoded(server):
    import datetime as dtm

    moment = dtm.datetime(2026, 3, 1, 12, 5, tzinfo=dtm.UTC)
    with Fetcher(Http(attempts=1), "sold", base=server.url) as http:
        with pytest.raises(SourceError, match="has a blank in it"):
            http.get(f"changes?since={moment}")
        server.serve("/changes?page=1&since=2026-03-01T12%3A05%3A00%2B00%3A00&who=a%26b", "[]")
        assert http.get("changes?page=1", {"since": moment, "none": None, "who": "a&b"}).json() == []
        server.serve("/changes", "[1]")
        assert http.get("changes", {"since": None}).json() == [1]
