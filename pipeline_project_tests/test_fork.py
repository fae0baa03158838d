"""A fork carries its own name everywhere, passes its own checks, and takes a newer framework."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline_project_tests import repository
from pipeline_project_tests.repository import ROOT

NAME = "acme_sales"
FAST = f"{NAME}_tests/test_wiring.py {NAME}_tests/test_repository.py {NAME}_tests/test_readme.py -m 'not slow'"
"""The rest of a fork's tests is what this run executes anyway."""
CUSTOMERS = f'''"""One row per customer."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from {NAME}.framework import public, table
from {NAME}.framework.sources import Csv


class RawCustomers(pa.DataFrameModel):
    customer_id: dt.Int64 = pa.Field(metadata=public, description="The customer's number")

    class Config:
        strict = True


@table(source=Csv("crm_files", "customers.csv"))
def raw_customers(source: ibis.Table) -> Table[RawCustomers]:
    """Customers, untouched."""
    return source
'''


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a fork with this environment's packages and the fork's code."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "PYTEST_", "PIPELINE_"))
    }
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment |= {"PATH": programs, "PYTHONPATH": str(folder), "GIT_CONFIG_GLOBAL": os.devnull}
    environment.pop("DAGSTER_HOME", None)
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    cache = ROOT / ".mypy_cache"
    if cache.exists():
        environment["MYPY_CACHE_DIR"] = str(cache)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def fork(source: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(source, sys.executable, "scripts/fork.py", *arguments)


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fork that keeps the example."""
    folder = tmp_path_factory.mktemp("forks") / NAME
    succeed(fork(ROOT, NAME, "--to", str(folder)))
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fork without the example."""
    folder = tmp_path_factory.mktemp("forks") / NAME
    succeed(fork(ROOT, NAME, "--example", "no", "--to", str(folder)))
    return folder


def texts(folder: Path) -> dict[str, str]:
    """Every text file of a fork as made, by path."""
    found = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        made_later = {".git", "__pycache__", "data", ".dagster", "build", ".hypothesis"}.intersection(parts)
        if path.is_file() and not made_later and not any(part.endswith("_cache") for part in parts):
            found[str(path.relative_to(folder))] = repository.text(path) or ""
    return found


@pytest.mark.parametrize("which", ["whole", "small"])
def test_the_old_name_is_nowhere_but_in_the_licence_and_the_upgrade_notes(
    which: str, request: pytest.FixtureRequest
) -> None:
    found = texts(request.getfixturevalue(which))
    old = {name for name, text in found.items() if "pipeline_project" in text or "pipeline-project" in text}
    assert old <= {"LICENSE", "UPGRADING.md"}
    assert not [name for name in found if "pipeline_project" in name]
    assert not [name for name in found if "fork" in name]
    assert "make check || status=$?" in found[".ci/run"]
    assert "fork" not in found[".ci/run"]


@pytest.mark.parametrize("which", ["whole", "small"])
def test_a_fork_does_not_describe_itself_as_the_template(which: str, request: pytest.FixtureRequest) -> None:
    metadata = tomllib.loads((request.getfixturevalue(which) / "pyproject.toml").read_text())["project"]
    assert metadata["description"] == f"{NAME}: tables, contracts and golden cases"


@pytest.mark.slow
def test_a_fork_with_the_example_passes_its_check(whole: Path) -> None:
    printed = succeed(
        run(whole, "make", "lint", "layers", "test", f"PYTHON={sys.executable}", "WORKERS=0", f"TESTS={FAST}")
    )
    assert " passed" in printed


@pytest.mark.slow
def test_the_table_that_is_left_runs(small: Path) -> None:
    printed = succeed(run(small, sys.executable, "-m", NAME, "run"))
    assert "extract.raw_orders" in printed
    assert "4 rows" in printed


@pytest.mark.slow
def test_dagster_s_own_commands_work(small: Path) -> None:
    checked = run(small, "dg", "check", "defs")
    assert "All definitions loaded successfully" in succeed(checked)
    assert "arning" not in checked.stdout + checked.stderr
    listed = run(small, "dg", "list", "defs")
    assert "raw_orders" in succeed(listed)
    assert "arning" not in listed.stdout + listed.stderr
    succeed(run(small, "dagster", "job", "execute", "-m", f"{NAME}.definitions", "-j", "pipeline"))


def test_nothing_of_the_example_is_left(small: Path) -> None:
    found = texts(small)
    gone = ("completejourney", "retail_files", "redemption")
    own = {name: text for name, text in found.items() if "/framework/" not in name}
    assert {name: word for name, text in own.items() for word in gone if word in text} == {}
    assert (small / "golden").is_dir()
    assert not (small / NAME / "example").exists()


def test_make_says_nothing_of_an_example_that_is_not_there(small: Path, whole: Path) -> None:
    told = succeed(run(small, "make", "help"))
    assert "  make run         Install, and run the whole pipeline\n" in told
    text = (small / "Makefile").read_text()
    assert [word for word in ("bench", "example", "EXAMPLE", "fork") if word in text + told] == []
    assert "on the real example data" in succeed(run(whole, "make", "help"))
    targets = text.partition(".PHONY:")[2].splitlines()[0].split()
    assert sorted(targets) == sorted(line.split()[1] for line in told.splitlines())


def copied(fork: Path, folder: Path) -> Path:
    """A copy of a fork as made, to be changed."""
    shutil.copytree(fork, folder, ignore=shutil.ignore_patterns("__pycache__", "data", ".dagster"))
    return folder


def add_customers(folder: Path) -> None:
    """An own first source, decided, with its golden case and its row in the README."""
    (folder / "crm").mkdir()
    (folder / "crm" / "customers.csv").write_text("customer_id\n1\n")
    pipeline = (sys.executable, "-m", NAME)
    place = ("--kind", "csv", "--location", "crm_files", "--path", "customers.csv", "--address", "./crm")
    sample = ("--sample", "crm/customers.csv", "--key", "customer_id")
    succeed(run(folder, *pipeline, "new-source", "raw_customers", *place, *sample))
    (folder / NAME / "extract" / "raw_customers.py").write_text(CUSTOMERS)
    case = folder / "golden" / "raw_customers"
    (case / "inputs" / "crm_files" / "customers.csv").write_text("customer_id\n7\n")
    (case / "case.yml").write_text("description: A customer is kept.\ntables: [raw_customers]\n")
    run(folder, *pipeline, "golden", "raw_customers", "--no-ci")
    succeed(run(folder, *pipeline, "golden", "accept", "raw_customers", "--no-ci"))
    readme = folder / "README.md"
    row = "| `PIPELINE_SOURCE_SHOP_FILES`"
    own = "| `PIPELINE_SOURCE_CRM_FILES` | `./crm` | Where 'crm_files' is found. |\n"
    readme.write_text(readme.read_text().replace(row, own + row))


def drop_sample(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, sys.executable, "scripts/drop_sample.py")


@pytest.mark.slow
def test_the_sample_goes_with_all_that_names_it(small: Path, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)
    add_customers(own)
    succeed(run(own, "make", "drop-sample", f"PYTHON={sys.executable}"))
    assert not [name for name in ("sample", "golden/orders", "scripts/drop_sample.py") if (own / name).exists()]
    edited = ("README.md", "Makefile", f"{NAME}/settings.py")
    words = ("drop-sample", "shop_files", "SHOP_FILES", "The sample")
    assert [(file, word) for file in edited for word in words if word in (own / file).read_text()] == []
    assert "1 equal in 1 case" in succeed(run(own, sys.executable, "-m", NAME, "golden"))
    tests = f"{NAME}_tests/test_wiring.py {NAME}_tests/test_readme.py {NAME}_tests/test_makefile.py"
    succeed(run(own, "make", "check", f"PYTHON={sys.executable}", "WORKERS=0", f"TESTS={tests}"))


def test_the_sample_stays_while_it_is_needed(small: Path, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)
    before = texts(own)
    alone = drop_sample(own)
    assert (alone.returncode, alone.stderr.count("\n")) == (2, 1)
    assert "raw_orders is the only source so far" in alone.stderr

    (own / NAME / "transform" / "orders.py").write_text("def orders(raw_orders):\n    return raw_orders\n")
    read = drop_sample(own)
    assert (read.returncode, read.stderr.count("\n")) == (2, 1)
    assert read.stderr.startswith(f"drop-sample: {NAME}/transform/orders.py still reads raw_orders.")
    (own / NAME / "transform" / "orders.py").unlink()

    (own / NAME / "extract" / "raw_customers.py").write_text(CUSTOMERS)
    case = own / "golden" / "both" / "case.yml"
    case.parent.mkdir()
    case.write_text("tables: [raw_orders, raw_customers]\n")
    shared = drop_sample(own)
    assert (shared.returncode, shared.stderr.count("\n")) == (2, 1)
    assert "golden/both tests other tables beside raw_orders" in shared.stderr
    case.unlink()
    (own / NAME / "extract" / "raw_customers.py").unlink()
    assert texts(own) == before


def test_a_location_that_another_table_reads_stays(small: Path, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)
    (own / NAME / "extract" / "raw_customers.py").write_text(CUSTOMERS.replace("crm_files", "shop_files"))
    (own / "sample" / "customers.csv").write_text("customer_id\n1\n")
    succeed(drop_sample(own))
    assert [path.name for path in (own / "sample").iterdir()] == ["customers.csv"]
    assert '"shop_files": "./sample"' in (own / NAME / "settings.py").read_text()
    assert "PIPELINE_SOURCE_SHOP_FILES" in (own / "README.md").read_text()


def test_a_sample_that_is_gone_is_not_dropped_again(small: Path, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)
    (own / NAME / "extract" / "raw_orders.py").unlink()
    before = texts(own)
    done = drop_sample(own)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the sample is gone already" in done.stderr
    assert texts(own) == before


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("My-Team", "is no package name"),
        ("1team", "is no package name"),
        ("team_", "is no package name"),
        ("lambda", "is no package name"),
        ("", "is no package name"),
        ("json", "is the name of a package"),
        ("duckdb", "is the name of a package"),
        ("dagster_webserver", "is the name of a package"),
        ("golden", "is the name of another folder"),
        ("data", "is the name of another folder"),
        ("sales_tests", "is the name of another folder"),
        ("pipeline_project", "called pipeline_project already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    done = fork(ROOT, name, "--to", str(tmp_path / "new"))
    assert done.returncode == 2
    assert done.stderr.startswith("fork: ")
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    done = fork(ROOT, NAME, "--to", str(tmp_path))
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [tmp_path / "mine.txt"])
    assert "exists and is not empty" in done.stderr


def test_a_folder_inside_of_the_checkout_is_refused() -> None:
    done = fork(ROOT, NAME, "--to", str(ROOT / "build" / "a_fork"))
    assert done.returncode == 2
    assert "is inside this checkout" in done.stderr


def test_in_place_it_waits_for_a_clean_tree(tmp_path: Path) -> None:
    for path in repository.files():
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copied)
    for command in ("init -q", "add -A", "commit -qm Template"):
        succeed(run(tmp_path, "git", *command.split()))
    (tmp_path / "README.md").write_text("mine\n")
    refused = fork(tmp_path, NAME)
    assert refused.returncode == 2
    assert "1 files have changes that are not committed" in refused.stderr
    assert (tmp_path / "pipeline_project").is_dir()
    succeed(run(tmp_path, "git", "checkout", "-q", "."))
    succeed(fork(tmp_path, NAME))
    assert (tmp_path / NAME / "definitions.py").is_file()
    assert not (tmp_path / "pipeline_project").exists()


def upgrade(folder: Path, source: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, "make", "upgrade", f"FROM={source}", f"PYTHON={sys.executable}")


def test_the_framework_of_the_template_drops_into_a_fork(small: Path, tmp_path: Path) -> None:
    old = copied(small, tmp_path / "old")
    package = old / NAME / "framework" / "__init__.py"
    package.write_text(package.read_text().replace('__version__ = "', '__version__ = "0.0.'))
    (old / NAME / "framework" / "tables.py").write_text("raise NotImplementedError\n")
    (old / NAME / "framework" / "dropped_since.py").touch()
    printed = succeed(upgrade(old, ROOT))
    assert "-> " + _version() in printed
    assert texts(old) == texts(small)


def test_an_upgrade_does_not_overwrite_work_that_is_not_committed(small: Path, tmp_path: Path) -> None:
    mine = copied(small, tmp_path / "mine")
    for command in ("init -q", "add -A", "commit -qm Fork"):
        succeed(run(mine, "git", *command.split()))
    changed = mine / NAME / "framework" / "run.py"
    changed.write_text("mine\n")
    done = upgrade(mine, ROOT)
    assert done.returncode != 0
    assert "1 files of the framework here have changes that are not committed" in done.stderr
    assert changed.read_text() == "mine\n"


def test_an_upgrade_from_elsewhere_is_refused(small: Path, tmp_path: Path) -> None:
    done = upgrade(small, tmp_path)
    assert done.returncode != 0
    assert "is no checkout of the template" in done.stderr


@pytest.mark.parametrize("source", ["", "."])
def test_an_upgrade_from_itself_is_refused(small: Path, source: str) -> None:
    done = run(small, "make", "upgrade", f"FROM={source}", f"PYTHON={sys.executable}")
    assert done.returncode != 0
    assert "FROM is this project itself" in done.stderr
    assert (small / NAME / "framework" / "tables.py").is_file()


def _version() -> str:
    from assay import __version__

    return __version__
