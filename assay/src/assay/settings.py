"""Typed settings: what the framework needs to know of its surroundings, and how variables become values.

Nothing here looks at the environment by itself; a project's `settings.py` hands it over, once, with the folder of its `.env` files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

import pydantic

from assay.env_files import ENVIRONMENT, layers
from assay.errors import SettingsError, did_you_mean

SUFFIXES = ("__DEV", "__PROD", "__DRY_RUN")
"""What may stand behind a variable that counts in one environment alone."""


class BaseSettings(pydantic.BaseModel):
    """The framework's settings. Each field is the variable `PIPELINE_<FIELD>`; its description documents it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    prefix: ClassVar[str] = "PIPELINE_"
    default_locations: ClassVar[Mapping[str, str]] = {}
    of_environment: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "prod": {"warehouse": "data/prod/warehouse.duckdb", "output": "data/prod"},
    }
    """Defaults of one environment, so that the others do not write what it has."""
    _origins: Mapping[str, str] = pydantic.PrivateAttr(default_factory=dict)

    env: Literal["dev", "prod", "dry_run"] = pydantic.Field(
        "dev", description="Which environment runs: dev, prod, or dry_run (nothing real is written)."
    )
    warehouse: Path = pydantic.Field(
        Path("data/warehouse.duckdb"), description="The warehouse's DuckDB file; in prod data/prod/warehouse.duckdb."
    )
    output: Path = pydantic.Field(
        Path("data"), description="The folder of exported files, such as the dashboard; in prod data/prod."
    )
    snapshot: Path | None = pydantic.Field(
        None, description="A copy of the warehouse for readers, renewed after every run; default: none is made."
    )
    scratch: Path | None = pydantic.Field(
        None, description="The folder for temporary files and dry runs; default: beside the warehouse."
    )
    scratch_limit: str = pydantic.Field(
        "50GB",
        pattern=r"^\d+(\.\d+)?\s?[KMGT]i?B$",
        description="How much disk a run may spill and a dry run may fill.",
    )
    keep_scratch: bool = pydantic.Field(False, description="Keep a dry run's scratch database for inspection.")
    memory_limit: str | None = pydantic.Field(
        None,
        pattern=r"^\d+(\.\d+)?\s?[KMGT]i?B$",
        description="DuckDB's memory limit, such as 4GB; default: DuckDB's own.",
    )
    threads: int | None = pydantic.Field(None, ge=1, description="DuckDB's threads; default: all cores.")
    engine: Literal["duckdb", "spark"] = pydantic.Field(
        "duckdb", description="What computes and keeps tables: duckdb, in the warehouse's file, or spark, in a lake."
    )
    spark: str = pydantic.Field(
        "local[2]",
        description="Where Spark is, for PIPELINE_ENGINE=spark and `pipeline golden --engine spark`: local[N] on this machine, "
        "or spark://host:7077.",
    )
    lake: str | None = pydantic.Field(
        None, description="The folder or address of the tables that Spark keeps; default: beside the warehouse."
    )
    lake_catalog: pydantic.SecretStr | None = pydantic.Field(
        None, description="The lake's Iceberg catalog: jdbc:... or https://...; default: the lake's folder itself."
    )
    tables_at_once: int = pydantic.Field(
        2,
        ge=1,
        description="How many tables a run builds side by side, as soon as what they read is there; 1: one after the other.",
    )
    lock_timeout: float = pydantic.Field(
        3600.0,
        ge=0,
        description="Seconds to wait for another process that holds the warehouse: longer than a person looks at it, "
        "shorter than the longest run that dagster.yaml allows.",
    )
    keep_runs: int = pydantic.Field(
        1000,
        ge=1,
        description="How many finished runs keep their page in Dagster's history; what built a table last stays.",
    )
    keep_rejects: int = pydantic.Field(
        90,
        ge=1,
        description="How many days the quarantine keeps rejects that are resolved, replayed or discarded, after they were "
        "last seen.",
    )
    keep_open_rejects: int = pydantic.Field(
        365,
        ge=1,
        description="How many days the quarantine keeps rejects that nobody decided on, after they were last seen.",
    )
    keep_publications: int = pydantic.Field(
        400,
        ge=1,
        description="How many publications of each table stay in the warehouse's books; the last good one always.",
    )
    mask_key: pydantic.SecretStr | None = pydantic.Field(
        None,
        min_length=16,
        description="The key under which golden files hold personal and secret values; default: golden/.mask_key.",
    )
    alerts: pydantic.SecretStr | None = pydantic.Field(
        None,
        description="Who is told what is wrong: addresses of Apprise, owner=address for an owner's, or a file of them.",
    )
    heartbeat: pydantic.SecretStr | None = pydantic.Field(
        None,
        description="An address that is asked after each look at the pipeline's health, and notices when that ends.",
    )
    env_file: Path | None = pydantic.Field(
        None, description="A file of variables in the place of .env and .env.<environment>; /dev/null for none."
    )
    sources: Mapping[str, str] = pydantic.Field(
        default_factory=dict,
        description="Locations by name, each set by PIPELINE_SOURCE_<LOCATION>; ./ and ../ count from the project.",
    )

    @property
    def origins(self) -> Mapping[str, str]:
        """Of each variable that was set where it was: `the environment`, or a file; the others have their defaults."""
        return self._origins

    @property
    def locations(self) -> dict[str, str]:
        """Every location with its address: the defaults, overridden by the environment."""
        return {**self.default_locations, **self.sources}

    @property
    def scratch_folder(self) -> Path:
        """Where temporary files go; the folder may not exist yet."""
        return self.scratch or self.warehouse.parent / "scratch"

    @property
    def lake_address(self) -> str:
        """Where Spark's tables are, absolute or with a scheme; a folder may not exist yet."""
        return self.lake or str(self.warehouse.parent / "lake")

    @classmethod
    def variables(cls) -> dict[str, tuple[str, str]]:
        """Every variable with its default and description, for the README and `pipeline settings`."""
        found = {
            f"{cls.prefix}{name.upper()}": (
                "" if field.default is None else str(field.default),
                field.description or "",
            )
            for name, field in cls.model_fields.items()
            if name != "sources"
        }
        for location, address in cls.default_locations.items():
            found[f"{cls.prefix}SOURCE_{location.upper()}"] = (address, f"Where '{location}' is found.")
        return found

    @classmethod
    def read(cls, environ: Mapping[str, str], *, root: Path) -> Self:
        """Settings from variables; relative paths count from `root`.

        A variable of `environ` counts before one of the file `.env.prod` in `root`, where the environment is prod, and that
        before one of `.env`. In each a variable with an environment's name behind it, such as PIPELINE_WAREHOUSE__PROD,
        counts in that environment, before the one without. What the files say of other names is put into `os.environ`,
        where it does not have them, for libraries that look there.

        Raises:
            SettingsError: a variable with the prefix is unknown or malformed; one line, naming it.
        """
        values: dict[str, object] = {}
        sources: dict[str, str] = {}
        known, found = cls.variables(), layers(environ, root, cls.prefix)
        env = next((said[name] for _, said in reversed(found) if (name := f"{cls.prefix}ENV") in said), "dev")
        own, given, origins = f"__{env.upper()}", dict[str, str](), dict[str, str]()
        # Those with a suffix come last, and stay.
        in_order = [
            (origin, *each)
            for origin, said in found
            for each in sorted(said.items(), key=lambda item: item[0].endswith(own))
        ]
        for origin, written, text in in_order:
            if not written.startswith(cls.prefix):
                if environ is os.environ:
                    os.environ.setdefault(written, text)
                continue
            where = written if origin == ENVIRONMENT else f"{origin}: {written}"
            variable = written.removesuffix(next((end for end in SUFFIXES if written.endswith(end)), ""))
            if variable not in known or (variable != written and variable == f"{cls.prefix}ENV"):
                fix = did_you_mean(variable, known, "`pipeline settings` lists all variables.", most=1)
                raise SettingsError("unknown setting", where=where, fix=fix)
            if not text.strip():
                raise SettingsError("is set, but empty", where=where, fix="Unset it, or give it a value.")
            if variable == written or written.endswith(own):
                given[variable] = text
                origins[variable] = origin if variable == written else f"{written} of {origin}"
        for variable, text in given.items():
            name = variable.removeprefix(cls.prefix).lower()
            if name.startswith("source_"):
                sources[name.removeprefix("source_")] = text
            else:
                values[name] = text
        try:
            settings = cls.model_validate({**cls.of_environment.get(env, {}), **values, "sources": sources})
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            variable = f"{cls.prefix}{name.upper()}"
            told = f"'{values.get(name)}'" if is_shown(cls, name) else "its value"
            raise SettingsError(
                f"{told} is not valid: {first['msg']}",
                where=variable,
                fix=known[variable][1],
            ) from None
        absolute: dict[str, Path | str] = {
            name: root / value.expanduser()
            for name in ("warehouse", "output", "snapshot", "scratch")
            if (value := getattr(settings, name))
        }
        if settings.lake and "://" not in settings.lake:
            absolute["lake"] = str(root / Path(settings.lake).expanduser())
        locations = {
            name: str(root / address) if address.startswith(("./", "../")) else address
            for name, address in settings.locations.items()
        }
        settings._origins = origins
        return settings.model_copy(update={**absolute, "sources": locations})


def is_shown(settings: type[BaseSettings], name: str) -> bool:
    """Whether the field's value may be shown: the framework's own, and a project's that says `json_schema_extra=public`."""
    field = settings.model_fields.get(name)
    if field is None or is_secret(settings, name):
        return False
    extra = field.json_schema_extra
    return name in BaseSettings.model_fields or (isinstance(extra, dict) and extra.get("classification") == "public")


def is_secret(settings: type[BaseSettings], name: str) -> bool:
    """Whether the field holds a secret, so that its value is never shown."""
    field = settings.model_fields.get(name)
    return field is not None and "SecretStr" in str(field.annotation)


def secret(settings: BaseSettings | None, name: str) -> str:
    """The secret that the field `name` holds, such as `crm_token: SecretStr | None`.

    Raises:
        SettingsError: it is not set, or no field of that name holds a secret.
    """
    kind = BaseSettings if settings is None else type(settings)
    value = getattr(settings, name, None)
    if isinstance(value, pydantic.SecretStr):
        return value.get_secret_value()
    where = f"{kind.prefix}{name.upper()}"
    if is_secret(kind, name):
        raise SettingsError("is not set, and a source needs it", where=where, fix="Set it in the environment.")
    fix = f"Declare it in the project's settings: {name}: pydantic.SecretStr | None = pydantic.Field(None, description=...)."
    raise SettingsError("is no secret of the settings, and a source needs it", where=where, fix=fix)
