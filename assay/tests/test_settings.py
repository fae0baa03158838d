"""Settings: every variable documented, and a wrong one is one line that names it."""

from __future__ import annotations

import os
import subprocess
import sys
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
        "PIPELINE_ENV_FILE": "/dev/null",
        "PIPELINE_SNAPSHOT": "/snapshot.duckdb",
        "PIPELINE_SCRATCH": "/scratch",
        "PIPELINE_SCRATCH_LIMIT": "10 GiB",
        "PIPELINE_KEEP_SCRATCH": "true",
        "PIPELINE_MEMORY_LIMIT": "1.5GB",
        "PIPELINE_THREADS": "3",
        "PIPELINE_ENGINE": "spark",
        "PIPELINE_SPARK": "spark://host:7077",
        "PIPELINE_LAKE": "lake",
        "PIPELINE_LAKE_CATALOG": "jdbc:postgresql://db/lake",
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
        "env_file": Path("/dev/null"),
        "snapshot": Path("/snapshot.duckdb"),
        "scratch": Path("/scratch"),
        "scratch_limit": "10 GiB",
        "keep_scratch": True,
        "memory_limit": "1.5GB",
        "threads": 3,
        "engine": "spark",
        "spark": "spark://host:7077",
        "lake": str(ROOT / "lake"),
        "lake_catalog": SecretStr("jdbc:postgresql://db/lake"),
        "tables_at_once": 4,
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
        ("PIPELINE_XYZZY_PLUGH_PLOVER", "`pipeline settings` lists all variables."),
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
    assert prod.origins["PIPELINE_WAREHOUSE"] == "PIPELINE_WAREHOUSE__PROD of the environment"


def test_prod_has_a_warehouse_and_files_of_its_own_by_default() -> None:
    dev, prod = read(), read(PIPELINE_ENV="prod")
    assert (prod.warehouse, prod.output) == (ROOT / "data" / "prod" / "warehouse.duckdb", ROOT / "data" / "prod")
    assert dev.warehouse != prod.warehouse
    assert read(PIPELINE_ENV="prod", PIPELINE_WAREHOUSE="w.duckdb").warehouse == ROOT / "w.duckdb"


DAGSTER = """
import os, subprocess, sys
import dotenv
os.environ.update(dotenv.dotenv_values(".env"))
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""
TOLD = """
import os, sys
from pathlib import Path
from assay.settings import BaseSettings
class Settings(BaseSettings):
    default_locations = {"shop_files": "", "shop_api": ""}
settings = Settings.read(os.environ, root=Path(sys.argv[1]))
print(settings.output, settings.threads, settings.keep_runs, os.environ["AWS_REGION"])
"""


class TestFiles:
    """Of `.env`, `.env.prod` and the environment, what comes later counts before what comes first."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / ".env").write_text(
            "# of the team\nPIPELINE_OUTPUT=all\nexport PIPELINE_THREADS='2'  # cores\nPIPELINE_KEEP_RUNS=5\n"
            "PIPELINE_SOURCE_SHOP_FILES__PROD=suffix\nPIPELINE_MEMORY_LIMIT=1GB\n"
        )
        (tmp_path / ".env.prod").write_text("PIPELINE_OUTPUT=own\nPIPELINE_KEEP_RUNS=7\nPIPELINE_SOURCE_SHOP_API=api\n")
        return tmp_path

    def test_what_counts(self, root: Path) -> None:
        dev = Settings.read({"PIPELINE_KEEP_RUNS": "9"}, root=root)
        assert (dev.output, dev.threads, dev.keep_runs) == (root / "all", 2, 9)
        prod = Settings.read({"PIPELINE_KEEP_RUNS": "9", "PIPELINE_ENV": "prod"}, root=root)
        assert (prod.output, prod.threads, prod.keep_runs) == (root / "own", 2, 9)
        assert prod.locations == {"shop_files": "suffix", "shop_api": "api"}
        assert dict(prod.origins) == {
            "PIPELINE_OUTPUT": ".env.prod",
            "PIPELINE_THREADS": ".env",
            "PIPELINE_KEEP_RUNS": "the environment",
            "PIPELINE_SOURCE_SHOP_FILES": "PIPELINE_SOURCE_SHOP_FILES__PROD of .env",
            "PIPELINE_MEMORY_LIMIT": ".env",
            "PIPELINE_SOURCE_SHOP_API": ".env.prod",
            "PIPELINE_ENV": "the environment",
        }

    def test_the_command_says_where_each_value_comes_from(self, root: Path) -> None:
        project = SimpleNamespace(settings=lambda: Settings.read({"PIPELINE_ENV": "prod"}, root=root))
        printed = CliRunner().invoke(settings_command, obj=project).output
        assert "/own  (from .env.prod; default data/prod)" in printed
        assert "PIPELINE_THREADS=2  (from .env; default none)" in printed
        assert "data/prod/warehouse.duckdb  (the default of prod)" in printed

    def test_the_file_may_say_which_environment_this_is(self, root: Path) -> None:
        with (root / ".env").open("a") as file:
            file.write("PIPELINE_ENV=prod\n")
        assert Settings.read({}, root=root).output == root / "own"
        assert Settings.read({"PIPELINE_ENV": "dev"}, root=root).output == root / "all"

    def test_what_dagster_put_into_the_environment_does_not_hide_an_environments_own_file(self, root: Path) -> None:
        """`dagster dev` does so with all of `.env`."""
        injected = {"PIPELINE_OUTPUT": "all", "PIPELINE_THREADS": "2", "PIPELINE_ENV": "prod"}
        assert Settings.read(injected, root=root).output == root / "own"

    def test_the_shell_counts_before_what_dagster_put_over_it(self, root: Path) -> None:
        """As `dagster dev` does, which then starts others that load the code."""
        (root / "dagster").write_text(DAGSTER)
        given = {"PIPELINE_OUTPUT": "shell", "PIPELINE_ENV": "prod", "AWS_REGION": "shell", "HOME": str(root)}
        with (root / ".env").open("a") as file:
            file.write("AWS_REGION=file\n")
        told = [sys.executable, "-c", TOLD, str(root)]
        for command in (told, [sys.executable, str(root / "dagster"), "dev", *told]):
            printed = subprocess.run(command, env=given, capture_output=True, text=True, check=True, cwd=root).stdout
            assert printed.split() == [str(root / "shell"), "2", "7", "shell"], command

    def test_another_file_is_read_in_their_place(self, root: Path) -> None:
        (root / "mine").write_text("PIPELINE_OUTPUT=mine\n")
        settings = Settings.read({"PIPELINE_ENV_FILE": "mine", "PIPELINE_ENV": "prod"}, root=root)
        assert (settings.output, settings.threads) == (root / "mine", None)

    def test_other_names_are_put_into_the_process_where_it_has_none(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For libraries that read their own, such as AWS_REGION."""
        monkeypatch.delenv("PIPELINE_ENV_FILE")
        monkeypatch.setenv("HERE_ALREADY", "kept")
        monkeypatch.setenv("FROM_A_FILE", "x")
        monkeypatch.delenv("FROM_A_FILE")
        (root / ".env").write_text("FROM_A_FILE=yes\nHERE_ALREADY=no\n")
        Settings.read(os.environ, root=root)
        assert (os.environ["FROM_A_FILE"], os.environ["HERE_ALREADY"]) == ("yes", "kept")

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("PIPELINE_OUTPUT=a\nnot a variable\n", ".env.prod, line 2: says no variable"),
            ("\n\nPIPELINE_OUTPUT\n", ".env.prod, line 3: says no variable"),
            ("PIPELINE_OUTPUT='a\n", ".env.prod, line 1: says no variable"),
            ("PIPELINE_WAREHOSE=a\n", ".env.prod: PIPELINE_WAREHOSE: unknown setting"),
            ("PIPELINE_OUTPUT=\n", ".env.prod: PIPELINE_OUTPUT: is set, but empty"),
            ("PIPELINE_ENV=dev\n", ".env.prod: PIPELINE_ENV: says the environment dev"),
        ],
    )
    def test_a_line_that_is_wrong_is_named(self, root: Path, text: str, told: str) -> None:
        (root / ".env.prod").write_text(text)
        with pytest.raises(SettingsError) as caught:
            Settings.read({"PIPELINE_ENV": "prod"}, root=root)
        assert str(caught.value).startswith(told)

    def test_bytes_that_are_no_text_are_told(self, root: Path) -> None:
        (root / ".env").write_bytes(b"PIPELINE_OUTPUT=\xff\n")
        with pytest.raises(SettingsError, match="is not UTF-8"):
            Settings.read({}, root=root)

    def test_a_byte_order_mark_is_no_part_of_the_first_name(self, root: Path) -> None:
        (root / ".env").write_bytes(b"\xef\xbb\xbfPIPELINE_OUTPUT=marked\n")
        assert Settings.read({}, root=root).output == root / "marked"


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
