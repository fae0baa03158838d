"""Who is told what, and when: open findings minus those already told. Nothing is forgotten before a channel said yes.

An alert is about a level, not an event: a finding that is open and not yet told fires, one that was told and is gone is
resolved, one that is still open a day later is told again. So a channel that is down, a restart, or a sweep that was
missed loses nothing; two sweeps at once may tell a thing twice.
"""

from __future__ import annotations

import dataclasses
import datetime as dtm
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from assay.errors import PipelineError
from assay.health.finding import Finding
from assay.health.verdict import told

REMIND = dtm.timedelta(hours=24)
ALL = "all"
"""The channels of whom it is of nobody else."""
VERSION = 1


@dataclass(frozen=True)
class Silence:
    """Nobody is told of findings whose key or subject matches `pattern` until then."""

    pattern: str
    until: dtm.datetime
    by: str
    why: str

    def covers(self, finding: Finding, now: dtm.datetime) -> bool:
        names = (finding.key, finding.key.partition(":")[2], finding.subject)
        return now < self.until and any(fnmatchcase(name, self.pattern) for name in names)

    def __str__(self) -> str:
        return f"until {self.until.astimezone(dtm.UTC):%Y-%m-%d %H:%M} UTC by {self.by}: {self.why}"


@dataclass(frozen=True)
class Told:
    """What was told of a finding: its headline, whom, and when last."""

    headline: str
    route: str
    at: dtm.datetime


@dataclass(frozen=True)
class Memory:
    """What stays between two sweeps.

    Attributes:
        told: by the finding's key, of a route's second channel with ` #1` behind it, and so on.
        unread: event log's table -> since when it has unread events.
    """

    told: Mapping[str, Told] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    unread: Mapping[str, dtm.datetime] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Memory:
        """Read what `text` wrote; raises PipelineError if another version did."""
        if not text:
            return cls()
        try:
            known = json.loads(text)
            if known["version"] != VERSION:
                raise ValueError("another version")
            return cls(
                {
                    key: Told(each[0], each[1], dtm.datetime.fromisoformat(each[2]))
                    for key, each in known["told"].items()
                },
                tuple(
                    Silence(pattern, dtm.datetime.fromisoformat(until), by, why)
                    for pattern, until, by, why in known["silences"]
                ),
                {table: dtm.datetime.fromisoformat(since) for table, since in known["unread"].items()},
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise PipelineError(
                "what was told before cannot be read: another version of this framework wrote it",
                where="Dagster's storage, key assay/health",
                fix="`pipeline health forget` starts anew: what is open is told again, silences are gone.",
            ) from None

    def text(self) -> str:
        """As JSON, for one value of a key-value storage."""
        return json.dumps(
            {
                "version": VERSION,
                "told": {key: [each.headline, each.route, each.at.isoformat()] for key, each in self.told.items()},
                "silences": [[each.pattern, each.until.isoformat(), each.by, each.why] for each in self.silences],
                "unread": {table: since.isoformat() for table, since in self.unread.items()},
            }
        )


@dataclass(frozen=True)
class Message:
    """One message of a sweep to one channel of a route, and what is known to be told once it has arrived."""

    route: str
    title: str
    body: str
    told: Mapping[str, Told]
    resolved: tuple[str, ...] = ()
    channel: int = 0


Send = Callable[[Message], bool]


def silenced(findings: Iterable[Finding], memory: Memory, now: dtm.datetime) -> list[Finding]:
    """The findings, marked where nobody is told of them; they stay in the verdict."""
    found = []
    for each in findings:
        silence = next((silence for silence in memory.silences if silence.covers(each, now)), None)
        found.append(dataclasses.replace(each, silenced=str(silence)) if silence else each)
    return found


def is_told(finding: Finding) -> bool:
    """Whether anybody is told at all: of what fails, and of checks that warn; what is known of these is no finding."""
    return finding.fatal or finding.key.startswith("check:")


def messages(
    project: str, findings: Sequence[Finding], memory: Memory, routes: Mapping[str, Sequence[object]], now: dtm.datetime
) -> list[Message]:
    """What is to be told now: one message a channel; an owner without one is `all`'s.

    Each channel of a route is told for itself: of two of which one is down, the other does not hear it again and again.

    Args:
        project: whose pipeline it is, for the title.
        routes: route -> its channels.
    """
    wanted: dict[tuple[str, int], tuple[list[str], list[str], dict[str, Told], list[str]]] = {}
    for each in findings:
        route = each.owner if each.owner in routes and each.owner else ALL
        for channel in range(len(routes.get(route, "1"))):
            key = f"{each.key} #{channel}" if channel else each.key
            before = memory.told.get(key)
            if each.silenced or not is_told(each) or (before is not None and now - before.at < REMIND):
                continue
            titles, lines, fired, _ = wanted.setdefault((route, channel), ([], [], {}, []))
            headline = f"{'FAIL' if each.fatal else 'WARN'} {each.subject} {each.what}"
            titles.append(headline if before is None else f"still {headline}")
            lines += [*told(each), ""]
            fired[key] = Told(headline, route, now)
    still = {key for each in findings for key in (each.key, *each.covers)}
    for key, before in memory.told.items():
        of, _, number = key.partition(" #")
        if of not in still:
            route = before.route if before.route in routes else ALL
            channel = int(number or 0) if int(number or 0) < len(routes.get(route, "1")) else 0
            titles, lines, _, resolved = wanted.setdefault((route, channel), ([], [], {}, []))
            over = before.headline.partition(" ")[2]
            if (title := f"RESOLVED {over}") not in titles:  # as of a channel that is gone
                titles.append(title)
                lines += [f"RESOLVED  {over}", ""]
            resolved.append(key)
    found = []
    for (route, channel), (titles, lines, fired, resolved) in wanted.items():
        first, *others = titles
        title = f"{project}: {first}" + (f", and {len(others)} more" if others else "")
        found.append(Message(route, title, "\n".join(lines).rstrip(), fired, tuple(resolved), channel))
    return found


def remembered(memory: Memory, arrived: Message) -> Memory:
    """The memory after a channel has taken a message."""
    kept = {key: each for key, each in memory.told.items() if key not in arrived.resolved}
    return dataclasses.replace(memory, told={**kept, **arrived.told})


def without_expired(memory: Memory, now: dtm.datetime) -> Memory:
    """The memory without silences that are over."""
    return dataclasses.replace(memory, silences=tuple(each for each in memory.silences if each.until > now))


def duration(text: str) -> dtm.timedelta:
    """`30m`, `2h` or `3d`, at most 30 days; raises PipelineError."""
    units = {"m": dtm.timedelta(minutes=1), "h": dtm.timedelta(hours=1), "d": dtm.timedelta(days=1)}
    number, unit = text[:-1], text[-1:]
    lasting = int(number) * units[unit] if unit in units and number.isdecimal() and len(number) < 6 else dtm.timedelta()
    if not dtm.timedelta() < lasting <= dtm.timedelta(days=30):
        raise PipelineError(
            f"'{text}' is no time for a silence", where="--for", fix="Write 30m, 2h or 3d, and at most 30d."
        )
    return lasting
