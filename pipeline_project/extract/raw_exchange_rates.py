"""One row per day on which the European Central Bank published reference rates."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from assay.sources import Csv

_CURRENCIES = """
    USD JPY BGN CYP CZK DKK EEK GBP HUF LTL LVL MTL PLN ROL RON SEK SIT SKK CHF ISK NOK
    HRK RUB TRL TRY AUD BRL CAD CNY HKD IDR ILS INR KRW MXN MYR NZD PHP SGD THB ZAR
"""


class RawExchangeRates(pa.DataFrameModel):
    published_on: dt.Date = pa.Field(metadata=public, description="The day of the rates; never a weekend")
    usd: dt.String = pa.Field(nullable=True, metadata=public, description="US dollars for one euro, or N/A")

    class Config:
        strict = True
        unique = ["published_on"]


@table(
    source=Csv(
        "ecb_files",
        "eurofxref-hist.zip",
        member="eurofxref-hist.csv",
        columns={"Date": "DATE"} | dict.fromkeys(_CURRENCIES.split(), "VARCHAR"),
        trailing_delimiter=True,
    ),
    owner="team:finance",
)
def raw_exchange_rates(source: ibis.Table) -> Table[RawExchangeRates]:
    """The currency this project needs out of the 41 that are published, as text."""
    return source.select(published_on="Date", usd="USD")
