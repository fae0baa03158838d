"""How fresh a table must be: by which time of day it is built anew, or how old its last build may be."""

from __future__ import annotations

import datetime as dtm
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assay.errors import WiringError

DAY = dtm.timedelta(days=1)


@dataclass(frozen=True)
class Fresh:
    """Made by `Fresh.daily` and `Fresh.within`.

    Attributes:
        at: when its builds begin, as HH:MM of `timezone`; None where only the age counts.
        grace: how long after that it may take; without `at`, how old the last build may be.
        weekdays: the days on which it is built, Monday is 0.
    """

    at: str | None
    grace: dtm.timedelta
    timezone: str = "UTC"
    weekdays: tuple[int, ...] = tuple(range(7))

    @classmethod
    def daily(
        cls,
        at: str,
        *,
        grace: dtm.timedelta,
        timezone: str = "UTC",
        weekdays: tuple[int, ...] = tuple(range(7)),
    ) -> Fresh:
        """Built anew each day, begun at `at` and done `grace` later; a partitioned table up to the partition over by then.

        Raises:
            WiringError: the time, the zone, the grace or the weekdays are none.
        """
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", at):
            raise WiringError(f"fresh: '{at}' is no time of day", fix="Write HH:MM, such as '06:00'.")
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise WiringError(f"fresh: no time zone '{timezone}'", fix="Give an IANA name, Europe/Berlin.") from None
        if not dtm.timedelta() < grace < DAY:
            raise WiringError(f"fresh: a grace of {grace} is none", fix="Give more than 0 and less than a day.")
        if not weekdays or not set(weekdays) <= set(range(7)):
            raise WiringError(f"fresh: weekdays={weekdays} are none", fix="Give numbers, Monday is 0: (0, 1, 2, 3, 4).")
        return cls(at, grace, timezone, tuple(sorted(set(weekdays))))

    @classmethod
    def within(cls, age: dtm.timedelta) -> Fresh:
        """Its last build may be `age` old; raises WiringError where that is no time."""
        if age <= dtm.timedelta():
            raise WiringError(f"fresh: an age of {age} is none", fix="Give a timedelta above 0.")
        return cls(None, age)

    def due(self, now: dtm.datetime) -> dtm.datetime:
        """The moment after which the table must have been built for it to be fresh at `now`, both aware."""
        if self.at is None:
            return now - self.grace
        zone = ZoneInfo(self.timezone)
        hour, minute = map(int, self.at.split(":"))
        day = now.astimezone(zone).date() + DAY
        while True:
            begun = dtm.datetime.combine(day, dtm.time(hour, minute), zone).astimezone(dtm.UTC)
            if day.weekday() in self.weekdays and begun + self.grace <= now:
                return begun
            day -= DAY

    def __str__(self) -> str:
        if self.at is None:
            return f"built within {span(self.grace)}"
        return f"built from {self.at} ({self.timezone}) on, done {span(self.grace)} later"


def span(time: dtm.timedelta) -> str:
    """A length of time for people, in its two largest units at most."""
    left, said = int(time.total_seconds()), []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {unit}")
    return " ".join(said[:2]) or "0 s"
