from __future__ import annotations

import pytest

from assay.sources.strict_json import JsonError, Number, dumps, encode, loads


def test_numbers_keep_their_digits():
    text = '{"a": 1.10, "b": [12345678901234567890.123, -0, 1e5], "c": "1.10", "e": null, "f": true}'
    found = loads(text)
    assert found["a"] == "1.10"
    assert isinstance(found["a"], Number)
    assert not isinstance(found["c"], Number)
    assert dumps(found) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [1, 2', "ends in the middle, at character 11"),
        ('{"a": "x', "ends in the middle"),
        ("", "ends in the middle, at character 0"),
        ('{"a": 1} {"b": 2}', "has trailing garbage after the document, at character 9"),
        ('{"a": 1, "a": 1}', "has the key 'a' twice in one object"),
        ('[{"x": {"b": 1, "b": 2}}]', "has the key 'b' twice in one object"),
        ("{'a': 1}", "is no JSON"),
        ("NaN", r"is no JSON \(NaN\)"),
        ('{"a": [-Infinity]}', r"is no JSON \(-Infinity\)"),
        (b'{"a": "\xe9"}', "is not UTF-8 at byte 7"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ("[" * 100_000, "is nested deeper than 100 levels"),
        ("[" * 101 + "]" * 101, "is nested deeper than 100 levels"),
        ('{"a": [' * 400 + "]}" * 400, "is nested deeper than 100 levels"),
        ('{"a": "line\nbreak"}', "is no JSON"),
    ],
)
def test_what_is_wrong_is_said_without_values(text, message):
    with pytest.raises(JsonError, match=message):
        loads(text)


def test_a_whole_surrogate_pair_is_text():
    assert loads('"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_writing_is_compact_and_on_one_line():
    assert encode({"a": 1, "b": "x\ny"}) == '{"a":1,"b":"x\\ny"}'


def test_a_hundred_levels_are_read_and_written():
    text = "[" * 100 + "]" * 100
    assert dumps(loads(text)) == text
