"""Settings: every variable documented, and a wrong one is one line that names it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from click.testing import CliRunner
from pydantic import Field, SecretStr

from assay.commands.run_commands import settings as settings_command
from assay.contract.classification import public
from assay.errors import SettingsError
from assay.settings import BaseSettings

ROOT = Path("/project")


class Settings(BaseSettings):
    default_locations: ClassVar[Mapping[str, str]] = {"shop_files": "demo", "shop_api": "demo"}


def read(**variables: str) -> Settings:
    return Settings.read(variables, root=ROOT)


def refused(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(**variables)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    assert caught.value.where in variables
    return text


def test_without_variables_everything_has_its_default() -> None:
    settings = read(HOME="/somewhere", PATH="")
    assert settings.env == "dev"
    assert settings.warehouse == ROOT / "data" / "warehouse.duckdb"
    assert settings.scratch_folder == ROOT / "data" / "scratch"
    assert settings.locations == {"shop_files": "demo", "shop_api": "demo"}


def test_every_variable_is_documented_and_understood() -> None:
    values = {
        "PIPELINE_ENV": "prod",
        "PIPELINE_WAREHOUSE": "w.duckdb",
        "PIPELINE_OUTPUT": "/out",
        "PIPELINE_SNAPSHOT": "/snapshot.duckdb",
        "PIPELINE_SCRATCH": "/scratch",
        "PIPELINE_SCRATCH_LIMIT": "10 GiB",
        "PIPELINE_KEEP_SCRATCH": "true",
        "PIPELINE_MEMORY_LIMIT": "1.5GB",
        "PIPELINE_THREADS": "3",
        "PIPELINE_TABLES_AT_ONCE": "4",
        "PIPELINE_LOCK_TIMEOUT": "0.5",
        "PIPELINE_KEEP_RUNS": "9",
        "PIPELINE_KEEP_REJECTS": "30",
        "PIPELINE_KEEP_OPEN_REJECTS": "40",
        "PIPELINE_KEEP_PUBLICATIONS": "20",
        "PIPELINE_MASK_KEY": "a key of the project",
        "PIPELINE_ALERTS": "json://example.org",
        "PIPELINE_HEARTBEAT": "https://example.org/beat",
        "PIPELINE_SOURCE_SHOP_FILES": "/files",
        "PIPELINE_SOURCE_SHOP_API": "https://example.org",
    }
    documented = Settings.variables()
    assert set(documented) == set(values), "a new variable needs a line here"
    assert all(description.endswith(".") for _, description in documented.values())
    settings = read(**values)
    assert settings.model_dump() == {
        "env": "prod",
        "warehouse": ROOT / "w.duckdb",
        "output": Path("/out"),
        "snapshot": Path("/snapshot.duckdb"),
        "scratch": Path("/scratch"),
        "scratch_limit": "10 GiB",
        "keep_scratch": True,
        "memory_limit": "1.5GB",
        "threads": 3,
        "lock_timeout": 0.5,
        "keep_runs": 9,
        "keep_rejects": 30,
        "keep_open_rejects": 40,
        "keep_publications": 20,
        "mask_key": SecretStr("a key of the project"),
        "alerts": SecretStr("json://example.org"),
        "heartbeat": SecretStr("https://example.org/beat"),
        "sources": {"shop_files": "/files", "shop_api": "https://example.org"},
    }


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PIPELINE_ENV", "production"),
        ("PIPELINE_SCRATCH_LIMIT", "much"),
        ("PIPELINE_SCRATCH_LIMIT", "-1GB"),
        ("PIPELINE_KEEP_SCRATCH", "perhaps"),
        ("PIPELINE_MEMORY_LIMIT", "4"),
        ("PIPELINE_THREADS", "0"),
        ("PIPELINE_THREADS", "two"),
        ("PIPELINE_LOCK_TIMEOUT", "-1"),
        ("PIPELINE_LOCK_TIMEOUT", "nan"),
    ],
)
def test_a_malformed_value(variable: str, value: str) -> None:
    text = refused(**{variable: value})
    assert text.startswith(f"{variable}: '{value}' is not valid: ")


@pytest.mark.parametrize("variable", ["PIPELINE_WAREHOUSE", "PIPELINE_THREADS", "PIPELINE_SOURCE_SHOP_API"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value(variable: str, value: str) -> None:
    """An empty PIPELINE_WAREHOUSE would otherwise be the project's folder."""
    assert refused(**{variable: value}) == f"{variable}: is set, but empty. Unset it, or give it a value."


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("PIPELINE_WAREHOSE", "Did you mean PIPELINE_WAREHOUSE?"),
        ("PIPELINE_SOURCE_SHOP_FILE", "Did you mean PIPELINE_SOURCE_SHOP_FILES?"),
        ("PIPELINE_XYZZY_PLUGH", "`pipeline settings` lists all variables."),
        ("PIPELINE_SOURCES", "Did you mean PIPELINE_SOURCE_SHOP_"),
    ],
)
def test_an_unknown_variable_gets_a_close_one(variable: str, hint: str) -> None:
    assert hint in refused(**{variable: "x"})


def test_paths_count_from_the_project_and_know_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    settings = read(PIPELINE_WAREHOUSE="~/w.duckdb", PIPELINE_OUTPUT="out", PIPELINE_SOURCE_SHOP_FILES="./files")
    assert settings.warehouse == Path("/somewhere/w.duckdb")
    assert settings.output == ROOT / "out"
    assert settings.locations["shop_files"] == "/project/files"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read().threads = 4  # type: ignore[misc]


def test_the_command_shows_addresses_without_what_opens_them() -> None:
    settings = read(
        PIPELINE_SOURCE_SHOP_API="https://ada:hunter2@example.org/v1?token=s3cret&page=2",
        PIPELINE_SOURCE_SHOP_FILES="/f",
    )
    shown = CliRunner().invoke(settings_command, obj=SimpleNamespace(settings=lambda: settings))
    assert shown.exit_code == 0, shown.output
    assert "PIPELINE_SOURCE_SHOP_API=https://example.org/v1  (from the environment; default demo)\n" in shown.output
    assert "PIPELINE_ENV=dev  (the default)\n" in shown.output
    assert "PIPELINE_SOURCE_SHOP_FILES=/f  (" in shown.output
    assert "hunter2" not in shown.output
    assert "s3cret" not in shown.output


def test_a_secret_is_never_told() -> None:
    settings = read(PIPELINE_MASK_KEY="a key of the project")
    assert "a key" not in f"{settings!r} {settings} {settings.model_dump()}"
    assert refused(PIPELINE_MASK_KEY="too short").startswith("PIPELINE_MASK_KEY: its value is not valid: ")


class Custom(Settings):
    shop_user: str | None = Field(None, description="Who asks the shop.")
    shop_pages: int = Field(5, description="How many pages are asked for.", json_schema_extra=public)


class Strict(Settings):
    shop_user: int = Field(0, description="Who asks the shop, by number.")


def test_a_variable_of_one_environment_counts_there_before_the_one_for_all() -> None:
    variables = {
        "PIPELINE_WAREHOUSE": "all.duckdb",
        "PIPELINE_WAREHOUSE__PROD": "/srv/prod.duckdb",
        "PIPELINE_SOURCE_SHOP_FILES__PROD": "/srv/shop",
        "PIPELINE_THREADS__DEV": "1",
    }
    dev, prod = read(**variables), read(**variables, PIPELINE_ENV="prod")
    assert (dev.warehouse, dev.locations["shop_files"], dev.threads) == (ROOT / "all.duckdb", "demo", 1)
    assert (prod.warehouse, prod.locations["shop_files"], prod.threads) == (Path("/srv/prod.duckdb"), "/srv/shop", None)
    assert "PIPELINE_WAREHOUSE" in prod.given


def test_a_wrong_variable_of_another_environment_is_told_as_well() -> None:
    assert "unknown setting" in refused(PIPELINE_WAREHOSE__PROD="x")
    assert "unknown setting" in refused(PIPELINE_WAREHOUSE__STAGING="x")
    assert "unknown setting" in refused(PIPELINE_ENV__PROD="dev")
    assert "is set, but empty" in refused(PIPELINE_WAREHOUSE__PROD=" ")


def test_a_project_s_own_setting_is_shown_where_it_says_that_it_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_SHOP_USER", "ann@example.org")
    monkeypatch.setenv("PIPELINE_OUTPUT__PROD", "/srv/out")
    monkeypatch.setenv("PIPELINE_ENV", "dev")
    project = SimpleNamespace(settings=lambda: Custom.read(dict(os.environ), root=ROOT))
    printed = CliRunner().invoke(settings_command, ["--env", "prod"], obj=project).output
    assert "ann@example.org" not in printed
    assert "PIPELINE_SHOP_USER=***" in printed
    assert "PIPELINE_SHOP_PAGES=5" in printed
    assert "PIPELINE_ENV=prod" in printed
    assert "PIPELINE_OUTPUT=/srv/out" in printed
    with pytest.raises(SettingsError, match="its value is not valid"):
        Strict.read({"PIPELINE_SHOP_USER": "ann"}, root=ROOT)
