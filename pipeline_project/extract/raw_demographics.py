"""One row per household that answered the survey; most households did not."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import internal, personal, table
from assay.sources import Parquet


class RawDemographics(pa.DataFrameModel):
    household_id: dt.Int64 = pa.Field(metadata=internal, description="Who answered")
    age: dt.String = pa.Field(nullable=True, metadata=personal, description="Age bracket, in years")
    income: dt.String = pa.Field(nullable=True, metadata=personal, description="Bracket of yearly income, US dollars")
    home_ownership: dt.String = pa.Field(nullable=True, metadata=personal, description="Owner or renter, where known")
    marital_status: dt.String = pa.Field(nullable=True, metadata=personal, description="Married or not, where known")
    household_size: dt.String = pa.Field(nullable=True, metadata=personal, description="Persons, up to 5+")
    household_comp: dt.String = pa.Field(nullable=True, metadata=personal, description="Adults and kids")
    kids_count: dt.String = pa.Field(nullable=True, metadata=personal, description="Kids, up to 3+")

    class Config:
        strict = True
        unique = ["household_id"]


@table(source=Parquet("retail_files", "demographics.parquet"), owner="team:retail")
def raw_demographics(source: ibis.Table) -> Table[RawDemographics]:
    """What 801 of the households said about themselves."""
    return source
