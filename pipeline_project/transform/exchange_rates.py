"""One row per day on which a dollar rate was published; weekends and holidays have none."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import RejectBudget, public, table
from pipeline_project.extract.raw_exchange_rates import RawExchangeRates


class ExchangeRates(pa.DataFrameModel):
    published_on: dt.Date = pa.Field(metadata=public, description="The day the rate is from")
    usd_per_eur: dt.Decimal(12, 6) = pa.Field(gt=0, metadata=public, description="US dollars for one euro")

    class Config:
        strict = True
        unique = ["published_on"]


@table(preserves="raw_exchange_rates", max_rejects=RejectBudget(rows=10, ratio=0.01), owner="team:finance")
def exchange_rates(raw_exchange_rates: Table[RawExchangeRates]) -> Table[ExchangeRates]:
    """Dollar rates; a day published as N/A is set aside, so that the day before it counts."""
    raw = raw_exchange_rates
    return raw.select("published_on", usd_per_eur=raw.usd.try_cast("decimal(12, 6)"))
