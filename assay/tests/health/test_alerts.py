"""Who is told, when, and how often: an outage is one message, and none is lost. The channel is a server on loopback."""

from __future__ import annotations

import dataclasses
import datetime as dtm
from pathlib import Path
from typing import Any

import pytest

from assay.errors import PipelineError, SettingsError
from assay.health.alerts import ALL, Memory, Silence, Told, duration, messages, remembered, silenced, without_expired
from assay.health.channels import Channels, channels
from assay.health.finding import Finding
from tests.health.channel import Channel

NOW = dtm.datetime(2026, 11, 25, 8, tzinfo=dtm.UTC)
HOUR = dtm.timedelta(hours=1)


def finding(key: str = "check:orders.rows_valid", **more: Any) -> Finding:
    more = {"fatal": True, "subject": "transform.orders.rows_valid", "what": "is red", **more}
    return Finding(key, since=NOW, expected="rows keep the contract", actual="3 of 10 rejected", todo="look", **more)


def swept(memory: Memory, found: list[Finding], made: Channels, now: dtm.datetime = NOW) -> Memory:
    """What a sweep does with its messages."""
    for message in messages("shop", silenced(found, memory, now), memory, made.routes, now):
        if made.send(message):
            memory = remembered(memory, message)
    return without_expired(memory, now)


def test_an_outage_of_24_tables_is_one_message_and_sixty_sweeps_are_no_more(channel: Channel) -> None:
    made = Channels({ALL: [channel.address]})
    found = [finding(f"failed:t{n}", subject=f"extract.t{n}", what="was not built") for n in range(24)]
    memory = Memory()
    for minute in range(61):
        memory = swept(Memory.parse(memory.text()), found, made, NOW + minute * HOUR / 60)  # as after a restart
    assert len(channel.got) == 1
    assert channel.got[0]["title"] == "shop: FAIL extract.t0 was not built, and 23 more"
    memory = swept(memory, found, made, NOW + 24 * HOUR + HOUR / 60)
    assert channel.got[1]["title"].startswith("shop: still FAIL extract.t0")
    memory = swept(memory, [], made, NOW + 25 * HOUR)
    assert channel.got[2]["title"] == "shop: RESOLVED extract.t0 was not built, and 23 more"
    assert memory.told == {}
    swept(memory, [], made, NOW + 26 * HOUR)
    assert len(channel.got) == 3


def test_a_channel_that_answers_500_three_times_gets_it_once_on_the_fourth(channel: Channel) -> None:
    channel.codes = [500, 500, 500]
    made, memory = Channels({ALL: [channel.address]}), Memory()
    for expected in (0, 0, 0, 1, 1):
        memory = swept(memory, [finding()], made)
        assert len(channel.got) == expected
    channel.codes = [500]
    memory = swept(memory, [], made)
    assert memory.told, "that it is over is not lost either"
    swept(memory, [], made)
    assert channel.got[-1]["title"].startswith("shop: RESOLVED")


def test_a_channel_that_hangs_is_left_after_a_time_and_keeps_nobody_else_waiting(channel: Channel) -> None:
    hanging = Channel()
    hanging.codes = [0, 0]
    made = Channels({ALL: [f"{hanging.address}?rto=0.2"], "team:shop": [channel.address]})
    (plain,) = Channels({ALL: [channel.address]}).routes[ALL]
    assert all(0 < each.socket_read_timeout <= 10 for each in plain), "nobody has to ask for it"
    found = [finding("failed:a", subject="a"), finding("failed:b", subject="b", owner="team:shop")]
    memory = swept(Memory(), found, made)
    assert [each["title"] for each in channel.got] == ["shop: FAIL b is red"]
    memory = swept(memory, found, made)
    assert hanging.got == []
    swept(memory, found, made)
    assert [each["title"] for each in hanging.got] == ["shop: FAIL a is red"]
    assert len(channel.got) == 1
    hanging.over.set()
    hanging.server.shutdown()
    hanging.server.server_close()


def test_of_two_channels_of_which_one_is_down_the_other_hears_it_once(channel: Channel) -> None:
    down = Channel()
    down.codes = [500] * 3
    made, memory = Channels({ALL: [channel.address, down.address]}), Memory()
    for _ in range(5):
        memory = swept(Memory.parse(memory.text()), [finding()], made)
    assert (len(channel.got), len(down.got)) == (1, 1)
    down.codes = [500] * 2
    for _ in range(4):
        memory = swept(Memory.parse(memory.text()), [], made)
    assert [each["title"] for each in channel.got[1:]] == ["shop: RESOLVED transform.orders.rows_valid is red"]
    assert channel.got[1:] == down.got[1:]
    memory = swept(swept(memory, [finding()], made), [], Channels({ALL: [channel.address]}))
    assert memory.told == {}, "also what a channel was told that is gone"
    assert len(channel.got) == 4
    down.server.shutdown()
    down.server.server_close()


def test_what_follows_from_something_else_by_now_is_not_told_as_over(channel: Channel) -> None:
    made = Channels({ALL: [channel.address]})
    late = finding("late:orders", subject="transform.orders", what="is late")
    memory = swept(Memory(), [late], made)
    memory = swept(memory, [finding(also=("transform.orders is late",), covers=("late:orders",))], made)
    assert [each["title"] for each in channel.got[1:]] == ["shop: FAIL transform.orders.rows_valid is red"]
    memory = swept(memory, [late], made)
    memory = swept(memory, [], made)
    resolved = [f"shop: RESOLVED transform.orders{rest}" for rest in (".rows_valid is red", " is late")]
    assert [each["title"] for each in channel.got[2:]] == resolved


def test_an_owner_gets_its_own_and_all_gets_what_has_no_channel(channel: Channel) -> None:
    other = Channel()
    made = Channels({ALL: [channel.address], "team:shop": [other.address]})
    found = [
        finding("failed:a", owner="team:shop", subject="a"),
        finding("failed:b", owner="team:nobody", subject="b"),
        finding("failed:c", subject="c"),
    ]
    swept(Memory(), found, made)
    assert [each["title"] for each in other.got] == ["shop: FAIL a is red"]
    assert [each["title"] for each in channel.got] == ["shop: FAIL b is red, and 1 more"]
    other.server.shutdown()
    other.server.server_close()


def test_a_silence_tells_nobody_marks_the_verdict_and_ends(channel: Channel) -> None:
    made = Channels({ALL: [channel.address]})
    memory = Memory(silences=(Silence("transform.orders*", NOW + 2 * HOUR, "ann", "the source is down"),))
    marked = silenced([finding()], memory, NOW)
    assert marked[0].silenced == "until 2026-11-25 10:00 UTC by ann: the source is down"
    assert swept(memory, [finding()], made) == memory
    assert channel.got == []
    memory = swept(memory, [finding()], made, NOW + 2 * HOUR)
    assert len(channel.got) == 1
    assert memory.silences == ()


def test_a_check_that_warns_is_told_and_what_is_only_worth_a_look_is_not(channel: Channel) -> None:
    made = Channels({ALL: [channel.address]})
    quiet = finding("schedule:daily", fatal=False)
    loud = finding("check:orders.only_fuel", fatal=False, subject="transform.orders.only_fuel", what="warns")
    swept(Memory(), [quiet, loud], made)
    assert [each["title"] for each in channel.got] == ["shop: WARN transform.orders.only_fuel warns"]


def test_a_clock_that_jumps_back_neither_tells_again_nor_forgets(channel: Channel) -> None:
    made = Channels({ALL: [channel.address]})
    memory = swept(Memory(), [finding()], made, NOW)
    memory = swept(memory, [finding()], made, NOW - 48 * HOUR)
    assert len(channel.got) == 1
    assert memory.told


def test_two_sweeps_at_once_lose_nothing(channel: Channel) -> None:
    """Both saw the same memory; the second merges into what the first wrote."""
    made, before = Channels({ALL: [channel.address]}), Memory()
    first = messages("shop", [finding("failed:a")], before, made.routes, NOW)
    second = messages("shop", [finding("failed:a"), finding("failed:b")], before, made.routes, NOW)
    memory = before
    for message in (*first, *second):
        assert made.send(message)
        memory = remembered(memory, message)
    assert set(memory.told) == {"failed:a", "failed:b"}
    assert len(channel.got) == 2


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("nonsense://x json://h", "begins nonsense:// is no channel"),
        ("hello", "the file of alerts cannot be read"),
        ("json://h secret", "entry 2 is no address"),
        ("json://h team:gone=json://h", "entry 2 is for 'team:gone', who owns nothing here"),
        ("team:shop=json://h", "nobody is told of what has no owner"),
    ],
)
def test_an_address_that_is_no_channel_is_one_line_without_the_address(tmp_path: Path, setting: str, said: str) -> None:
    with pytest.raises(SettingsError) as told:
        Channels(channels(setting, {"team:shop"}, root=tmp_path))
    assert said in str(told.value)
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_addresses_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "alerts.txt").write_text("# who is told\njson://a\n\nteam:shop=json://b\n")
    assert channels("alerts.txt", {"team:shop"}, root=tmp_path) == {ALL: ["json://a"], "team:shop": ["json://b"]}
    (tmp_path / "alerts.txt").write_bytes(b"\xef\xbb\xbfjson://a")  # as Windows marks UTF-8
    assert channels("alerts.txt", {"team:shop"}, root=tmp_path) == {ALL: ["json://a"]}
    (tmp_path / "alerts.txt").write_bytes(b"json://secret\xff")
    with pytest.raises(SettingsError, match=r"the file of alerts cannot be read: it is not UTF-8") as told:
        channels("alerts.txt", {"team:shop"}, root=tmp_path)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "0m", "31d", "2 h", "999999999h"])
def test_a_silence_without_an_end_is_refused(text: str) -> None:
    with pytest.raises(PipelineError, match="is no time for a silence"):
        duration(text)
    assert duration("90m") == HOUR * 1.5


@pytest.mark.parametrize("text", ['{"version": 2}', "nonsense", "[]", '{"version": 1, "told": {"a": []}}'])
def test_a_memory_of_another_version_is_one_clear_line(text: str) -> None:
    with pytest.raises(PipelineError, match="another version of this framework wrote it") as told:
        Memory.parse(text)
    assert "pipeline health forget" in str(told.value)


def test_a_memory_is_what_it_was() -> None:
    memory = Memory(
        {"a": Told("FAIL a is red", ALL, NOW)}, (Silence("a*", NOW + HOUR, "ann", "why"),), {"events": NOW - HOUR}
    )
    assert Memory.parse(memory.text()) == memory
    assert dataclasses.replace(memory) == Memory.parse(memory.text())
