"""How fresh a table must be, as Dagster's own policy: for who looks at the UI. `pipeline health` judges by itself."""

from __future__ import annotations

import datetime as dtm

import dagster as dg

from assay.tables.fresh import Fresh


def freshness(fresh: Fresh | None) -> dg.FreshnessPolicy | None:
    """The policy: a deadline each day where builds begin at a time, else a window."""
    if fresh is None:
        return None
    if fresh.at is None:
        return dg.FreshnessPolicy.time_window(fail_window=fresh.grace)
    hour, minute = map(int, fresh.at.split(":"))
    begun = dtm.datetime(2000, 1, 3, hour, minute, tzinfo=dtm.UTC)  # a Monday
    done = begun + fresh.grace
    shift = done.date() - begun.date()
    # Dagster counts weekdays from Sunday.
    days = ",".join(str((day + shift.days + 1) % 7) for day in fresh.weekdays) if len(fresh.weekdays) < 7 else "*"
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{done.minute} {done.hour} * * {days}", lower_bound_delta=fresh.grace, timezone=fresh.timezone
    )
