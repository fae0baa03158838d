from __future__ import annotations

import subprocess
import sys

import pytest

import assay.sources as package
from assay.sources.base import Source


@pytest.mark.parametrize("name", package.__all__)
def test_every_name_is_there(name):
    assert getattr(package, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Telegraph"):
        _ = package.Telegraph


def test_every_connector_is_a_source():
    sources: list[Source] = [
        package.Parquet("a", "b"),
        package.Csv("a", "b"),
        package.Ndjson("a", "b"),
        package.HtmlTable("a", "b"),
        package.PagedJson("a", "b"),
        package.EventLog("a", "b"),
    ]
    assert [source.incremental for source in sources] == [False] * 5 + [True]
    assert {source.location for source in sources} == {"a"}
    assert len(set(sources)) == 6


def test_declaring_sources_imports_nothing_heavy():
    code = (
        "import sys; from assay.sources import *; PagedJson('a', 'b'); HtmlTable('a', 'b');"
        "Parquet('a', 'b'); Csv('a', 'b'); EventLog('a', 'b');"
        "print([name for name in ('stamina', 'selectolax', 'confluent_kafka') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
