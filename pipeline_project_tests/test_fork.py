"""A fork holds what is its own, carries its own name, takes the framework as a wheel, and takes a newer one."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from pipeline_project_tests import repository
from pipeline_project_tests.repository import ROOT
from pipeline_project_tests.shared import shared

sys.path.insert(0, str(ROOT / "scripts"))
sys.path.insert(0, str(ROOT / "assay"))
import lock as lock_script
import marks
import takeover

from tests import warm

NAME = "acme_sales"
FIRST = "23bcef9"
"""The commit of 0.1.0, whose forks hold the framework as a folder."""
CUSTOMERS = '''"""One row per customer."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table
from assay.sources import Csv


class RawCustomers(pa.DataFrameModel):
    customer_id: dt.Int64 = pa.Field(metadata=public, description="The customer's number")

    class Config:
        strict = True


@table(source=Csv("crm_files", "customers.csv"))
def raw_customers(source: ibis.Table) -> Table[RawCustomers]:
    """Customers, untouched."""
    return source
'''


def environment_of(folder: Path, python: str = sys.executable) -> dict[str, str]:
    """A team's: an environment's programs and packages, and the fork's code."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "PYTEST_", "PIPELINE_"))
    }
    programs = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    environment |= {"PATH": programs, "PYTHONPATH": str(folder), "GIT_CONFIG_GLOBAL": os.devnull}
    for name in ("DAGSTER_HOME", "CI"):  # a team's machine; with CI=true no golden is ever written
        environment.pop(name, None)
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    return environment


def run(folder: Path, *command: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run a command of a fork."""
    environment = environment_of(folder, python)
    if command[:2] in ((sys.executable, "-m"), (sys.executable, "-c")) and command[2] not in ("ruff", "venv"):
        return warm.run(command[1:], cwd=folder, env=environment)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def fork(source: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(source, sys.executable, "scripts/fork.py", *arguments)


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refuse(done: subprocess.CompletedProcess[str], program: str) -> str:
    """The one line with which a program refuses."""
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
    assert (done.returncode, len(said)) == (2, 1), done.stdout + done.stderr
    assert said[0].startswith(f"{program}: ")
    return said[0]


def made(factory: pytest.TempPathFactory, which: str, *arguments: str) -> Path:
    """A fork that all tests share, as made: who runs something in it that writes takes a copy."""
    place = shared(factory, which, lambda place: succeed(fork(ROOT, NAME, *arguments, "--to", str(place / NAME))))
    return place / NAME


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fork that keeps the example."""
    return made(tmp_path_factory, "whole")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fork without the example."""
    return made(tmp_path_factory, "small", "--example", "no")


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fork without the example that owns the framework."""
    return made(tmp_path_factory, "owner", "--example", "no", "--framework", "yes")


@pytest.fixture(scope="module")
def installed(small: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the small fork's wheel, and this environment's packages but for the framework as source."""

    def make(folder: Path) -> None:
        succeed(run(ROOT, sys.executable, "-m", "venv", "--without-pip", str(folder)))
        (packages,) = folder.glob("lib/python3.*/site-packages")
        (packages / "these.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (wheel,) = (small / "vendor").glob("*.whl")
        zipfile.ZipFile(wheel).extractall(packages)
        (folder / "bin" / "ruff").symlink_to(Path(sysconfig.get_path("scripts")) / "ruff")

    return str(shared(tmp_path_factory, "environment", make) / "bin" / "python")


def texts(folder: Path) -> dict[str, str]:
    """Every file of a fork as made, by path; a binary one by its hash. Masks are under a key of each fork's own."""
    found = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        made_later = {".git", "__pycache__", "data", ".dagster", "build", ".hypothesis"}.intersection(parts)
        if path.is_file() and not made_later and not any(part.endswith("_cache") for part in parts):
            text = repository.text(path)
            found[str(path.relative_to(folder))] = (
                hashlib.sha256(path.read_bytes()).hexdigest()
                if text is None
                else re.sub(r"masked:[0-9a-f]{12}", "masked:...", text)
            )
    found.pop("golden/.mask_key", None)
    return found


@pytest.mark.parametrize("which", ["whole", "small", "owner"])
def test_the_old_name_is_nowhere_but_in_the_licence(which: str, request: pytest.FixtureRequest) -> None:
    found = texts(request.getfixturevalue(which))
    own = {name: text for name, text in found.items() if not name.startswith("assay/")}
    old = {name for name, text in own.items() if "pipeline_project" in text or "pipeline-project" in text}
    assert old == {"LICENSE"}
    assert not [name for name in found if "pipeline_project" in name or "fork" in name]
    assert found[".github/workflows/check.yml"].endswith("run: make check\n")


@pytest.mark.parametrize("which", ["whole", "small", "owner"])
def test_a_fork_does_not_describe_itself_as_the_template(which: str, request: pytest.FixtureRequest) -> None:
    found = texts(request.getfixturevalue(which))
    assert (
        tomllib.loads(found["pyproject.toml"])["project"]["description"]
        == f"{NAME}: tables, contracts and golden cases"
    )
    marked = [
        name for name in ("pyproject.toml", "Makefile", "README.md") if re.search(marks.MARK + r"(;| -->)", found[name])
    ]
    assert marked == []


def test_a_small_fork_owns_little(small: Path) -> None:
    found = texts(small)
    assert len(found) <= 60
    assert sum(text.count("\n") for name, text in found.items() if name != "requirements.lock") <= 2_000
    tests = {name for name in found if name.startswith(f"{NAME}_tests/")}
    assert tests == {f"{NAME}_tests/{name}.py" for name in ("__init__", "test_golden", "test_vendor", "test_wiring")}


@pytest.mark.slow
def test_every_fork_masks_under_a_key_of_its_own(whole: Path, small: Path, owner: Path) -> None:
    """The template's is known to everybody."""
    keys = [(folder / "golden" / ".mask_key").read_text() for folder in (ROOT, whole, small, owner)]
    assert len(set(keys)) == 4
    ours, theirs = (
        {
            found
            for path in folder.glob("golden/*/expected/*.ndjson")
            for found in re.findall("masked:\\w+", path.read_text())
        }
        for folder in (ROOT, whole)
    )
    assert len(ours) == len(theirs) > 5
    assert not ours & theirs
    masked = [path.parts[-3] for path in whole.glob("golden/*/expected/*.ndjson") if "masked:" in path.read_text()]
    told = succeed(run(whole, sys.executable, "-m", NAME, "golden", *sorted(set(masked))))
    assert f"equal in {len(set(masked))} cases" in told
    goldens = [path.read_text() for path in (small / "golden").rglob("expected/*.ndjson")]
    assert any("masked:" in text for text in goldens)
    assert not any("@" in text for text in goldens)


@pytest.mark.parametrize("which", ["whole", "small"])
def test_the_lock_names_the_wheel_with_its_hash_and_no_address(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    (wheel,) = (folder / "vendor").glob("*.whl")
    lock = (folder / "requirements.lock").read_text()
    blocks = dict(lock_script.blocks_of(lock))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert re.findall(r"--hash=sha256:(\w+)", blocks["dagster-assay"]) == [digest]
    assert "://" not in lock
    assert "/" not in blocks["dagster-assay"]
    assert ("scikit-learn" in blocks) is (which == "whole")
    assert not {"packaging", "hatchling", "pytest"} - set(blocks)


def test_the_same_code_is_the_same_wheel(small: Path, whole: Path) -> None:
    wheels = [next((folder / "vendor").glob("*.whl")).read_bytes() for folder in (small, whole)]
    assert wheels[0] == wheels[1]


def test_a_fork_that_owns_the_framework_has_no_wheel_of_it(owner: Path) -> None:
    assert not (owner / "vendor").exists()
    assert not (owner / f"{NAME}_tests" / "test_vendor.py").exists()
    assert (owner / "assay" / "src" / "assay" / "__init__.py").is_file()
    assert "dagster-assay" not in dict(lock_script.blocks_of((owner / "requirements.lock").read_text()))
    assert (owner / "docs" / "golden.md").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("which", ["whole", "owner"])
def test_the_other_forks_pass_lint_layers_and_wiring(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The small one passes its whole check in `.ci/run`, with what it installs by itself."""
    folder = copied(request.getfixturevalue(which), tmp_path / NAME)
    own = [f"{NAME}_tests/test_{name}.py" for name in ("wiring", *(("vendor",) if which == "whole" else ()))]
    tests = f"TESTS={' '.join(own)}"
    arguments = (f"PYTHON={sys.executable}", "WORKERS=0", tests)
    assert " passed" in succeed(run(folder, "make", "lint", "layers", "test", *arguments))


@pytest.mark.slow
def test_the_commands_work_with_the_wheel(small: Path, installed: str, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)

    def pipeline(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run(own, installed, "-m", NAME, *arguments, python=installed)

    planned = pipeline("plan", "--out", "first.plan")
    assert planned.returncode == 2, planned.stdout + planned.stderr
    assert "the result is the plan" in succeed(pipeline("apply", "first.plan"))
    assert "4 rows" in succeed(pipeline("run"))
    assert "extract.raw_orders" in succeed(pipeline("tables"))
    succeed(pipeline("quarantine", "list"))
    assert "$ pipeline golden" in succeed(pipeline("guide", "golden"))
    started = succeed(pipeline("new-table", "paid_orders", "--stage", "transform", "--from", "raw_orders"))
    assert f"{NAME}/transform/paid_orders.py" in started
    succeed(run(own, installed, "-m", "ruff", "check", "."))


@pytest.mark.slow
def test_dagster_s_own_commands_work(small: Path, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)
    checked = run(own, "dg", "check", "defs")
    assert "All definitions loaded successfully" in succeed(checked)
    assert "arning" not in checked.stdout + checked.stderr
    listed = run(own, "dg", "list", "defs")
    assert "raw_orders" in succeed(listed)
    assert "arning" not in listed.stdout + listed.stderr
    succeed(run(own, "dagster", "job", "execute", "-m", f"{NAME}.definitions", "-j", "pipeline"))


def test_nothing_of_the_example_is_left(small: Path) -> None:
    gone = ("completejourney", "retail_files", "redemption", "blank-texts")
    assert {name: word for name, text in texts(small).items() for word in gone if word in text} == {}
    assert not (small / NAME / "example").exists()


@pytest.mark.parametrize("which", ["whole", "small", "owner"])
def test_make_says_nothing_of_what_is_not_there(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    told = succeed(run(folder, "make", "help"))
    text = (folder / "Makefile").read_text()
    assert [word for word in ("bench", "EXAMPLE", "MARKED", "`browser`", "scripts/fork") if word in text + told] == []
    assert ("drop-sample" in told) is ("on the real example data" not in told) is (which != "whole")
    targets = text.partition(".PHONY:")[2].splitlines()[0].split()
    assert sorted(targets) == sorted(line.split()[1] for line in told.splitlines())


def test_every_path_in_a_fork_s_documents_leads_to_a_file(small: Path, whole: Path, owner: Path) -> None:
    for folder in (small, whole, owner):
        guides = [*folder.glob("docs/*.md"), *folder.glob("vendor/*.md")]
        read = {"golden.md", "operations.md"} if folder == owner else {"README.md", "CHANGELOG.md"}
        assert read <= {guide.name for guide in guides}
        for document in [*folder.glob("*.md"), *guides]:
            links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
            assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


def install(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, "make", "install")


def test_a_wheel_that_is_missing_is_said_before_anything_is_made(small: Path, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)
    (wheel,) = (own / "vendor").glob("*.whl")
    wheel.unlink()
    assert f"vendor/{wheel.name}, which requirements.lock names, is missing" in refuse(install(own), "install")
    assert not (own / ".venv").exists()


def test_a_wheel_with_another_hash_is_said_before_anything_is_made(small: Path, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)
    (wheel,) = (own / "vendor").glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    assert f"vendor/{wheel.name} has another hash than requirements.lock names" in refuse(install(own), "install")
    assert not (own / ".venv").exists()


def copied(fork: Path, folder: Path) -> Path:
    """A copy of a fork as made, to be changed."""
    shutil.copytree(fork, folder, ignore=shutil.ignore_patterns("__pycache__", "data", ".dagster", ".*_cache", "build"))
    return folder


def add_customers(folder: Path) -> None:
    """An own first source, decided, with its golden case."""
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


def drop_sample(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, sys.executable, "scripts/drop_sample.py")


@pytest.mark.slow
def test_the_sample_goes_with_all_that_names_it(small: Path, tmp_path: Path) -> None:
    own = copied(small, tmp_path / NAME)
    add_customers(own)
    succeed(run(own, "make", "drop-sample", f"PYTHON={sys.executable}"))
    assert not [name for name in ("sample", "golden/orders", "scripts/drop_sample.py") if (own / name).exists()]
    edited = ("README.md", "Makefile", f"{NAME}/settings.py")
    words = ("drop-sample", "shop_files", "The sample")
    assert [(file, word) for file in edited for word in words if word in (own / file).read_text()] == []
    assert "1 equal in 1 case" in succeed(run(own, sys.executable, "-m", NAME, "golden"))
    succeed(
        run(own, "make", "lint", "layers", "test", f"PYTHON={sys.executable}", f"TESTS={NAME}_tests/test_wiring.py")
    )


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
        ("yaml", "is the name of a package"),
        ("dagster_assay", "is the name of a package"),
        ("assay", "is the name of another folder"),
        ("golden", "is the name of another folder"),
        ("data", "is the name of another folder"),
        ("vendor", "is the name of another folder"),
        ("sales_tests", "is the name of another folder"),
        ("pipeline_project", "called pipeline_project already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    assert problem in refuse(fork(ROOT, name, "--to", str(tmp_path / "new")), "fork")
    assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    assert "exists and is not empty" in refuse(fork(ROOT, NAME, "--to", str(tmp_path)), "fork")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.txt"]


def test_a_folder_inside_of_the_checkout_is_refused() -> None:
    assert "is inside this checkout" in refuse(fork(ROOT, NAME, "--to", str(ROOT / "build" / "a_fork")), "fork")


def template(folder: Path) -> Path:
    """A copy of the template without its cases, to be changed."""
    for path in repository.files():
        file = path.relative_to(ROOT)
        if file.parts[0] not in ("golden", "benchmarks"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / file)
    return folder


def commit(folder: Path) -> None:
    for command in ("init -q", "add -A", "commit -qm All"):
        succeed(run(folder, "git", *command.split()))


@pytest.mark.slow
def test_in_place_it_waits_for_a_clean_tree(small: Path, tmp_path: Path) -> None:
    place = template(tmp_path / "template")
    commit(place)
    (place / "README.md").write_text("mine\n")
    assert "1 files have changes that are not committed" in refuse(fork(place, NAME), "fork")
    assert (place / "pipeline_project").is_dir()
    succeed(run(place, "git", "checkout", "-q", "."))
    succeed(fork(place, NAME, "--example", "no"))
    assert texts(place) == texts(small)


def upgrade(folder: Path, source: Path | str) -> subprocess.CompletedProcess[str]:
    return run(folder, "make", "--no-print-directory", "upgrade", f"FROM={source}", f"PYTHON={sys.executable}")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a later version may be."""
    return shared(tmp_path_factory, "newer", make_newer)


def make_newer(folder: Path) -> None:
    template(folder)
    package, notes = folder / "assay" / "src" / "assay" / "__init__.py", folder / "assay" / "CHANGELOG.md"
    package.write_text(re.sub('__version__ = "[^"]*"', '__version__ = "9.1.0"', package.read_text()))
    entry = "## [9.1.0] - 2027-01-01\n\n### Asks of a project\n\n- Nothing but `make check`.\n\n## ["
    notes.write_text(notes.read_text().replace("## [", entry, 1))
    for file in [folder / "pyproject.toml"]:
        file.write_text(re.sub('dagster-assay==[^"]*', "dagster-assay==9.1.0", file.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["no", "yes"])
def test_an_upgrade_makes_the_fork_that_the_newer_template_makes(
    newer: Path, small: Path, owner: Path, tmp_path: Path, framework: str
) -> None:
    own = copied(owner if framework == "yes" else small, tmp_path / "old")
    commit(own)
    printed = succeed(upgrade(own, newer))
    assert printed.startswith("dagster-assay 0.")
    assert " -> 9.1.0\n" in printed
    assert "- Nothing but `make check`." in printed
    assert "## [0.1.0]" not in printed
    succeed(fork(newer, NAME, "--example", "no", "--framework", framework, "--to", str(tmp_path / "new")))
    assert texts(own) == texts(tmp_path / "new")


@pytest.mark.slow
def test_another_build_of_the_same_version_is_taken_too(small: Path, tmp_path: Path) -> None:
    own, place = copied(small, tmp_path / "own"), template(tmp_path / "template")
    with (place / "assay" / "src" / "assay" / "words.py").open("a") as words:
        words.write("# mended\n")
    printed = succeed(upgrade(own, place))
    assert "## [" not in printed
    changed = {name for name, text in texts(own).items() if text != texts(small)[name]}
    assert {Path(name).suffix for name in changed} == {".whl", ".lock"}


@pytest.mark.slow
def test_an_upgrade_that_cannot_be_is_refused_and_changes_nothing(newer: Path, small: Path, tmp_path: Path) -> None:
    succeed(fork(newer, NAME, "--example", "no", "--to", str(tmp_path / "new")))
    own = tmp_path / "new"
    before = texts(own)
    assert "older than the 9.1.0 of this project" in refuse(upgrade(own, ROOT), "upgrade")
    for nowhere in (tmp_path, "", ".", small):
        assert "is no checkout of the template" in refuse(upgrade(own, nowhere), "upgrade")
    assert "FROM is this project itself" in refuse(upgrade(ROOT, ROOT), "upgrade")
    assert texts(own) == before
    nothing = run(tmp_path, sys.executable, str(ROOT / "scripts" / "upgrade.py"), str(tmp_path))
    assert "is no project made from the template" in refuse(nothing, "upgrade")


def test_an_upgrade_does_not_overwrite_work_that_is_not_committed(newer: Path, small: Path, tmp_path: Path) -> None:
    mine = copied(small, tmp_path / "mine")
    commit(mine)
    metadata = mine / "pyproject.toml"
    metadata.write_text(metadata.read_text() + "# mine\n")
    before = texts(mine)
    assert "1 files that it replaces have changes that are not committed" in refuse(upgrade(mine, newer), "upgrade")
    assert texts(mine) == before


def test_an_upgrade_says_what_the_lock_has_not(newer: Path, small: Path, tmp_path: Path) -> None:
    own, place = copied(small, tmp_path / "own"), shutil.copytree(newer, tmp_path / "template")
    metadata = place / "assay" / "pyproject.toml"
    needs = 'dependencies = [\n  "duckdb>=99",\n  "flying-carpet>=1",\n'
    metadata.write_text(metadata.read_text().replace("dependencies = [\n", needs, 1))
    printed = succeed(upgrade(own, place))
    assert "requirements.lock has not what the framework needs, duckdb>=99: run `make lock`" in printed
    assert "requirements.lock has not what the framework needs, flying-carpet>=1: run `make lock`" in printed


ORDERS = '''"""One row per order."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from {package}.extract.raw_orders import RawOrders
from {package}.framework import internal, table, tables


class Orders(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(unique=True, metadata=internal, description="The shop's number for the order")

    class Config:
        strict = True


@table(tags={{"golden_exempt": "tested"}})
def orders(raw_orders: Table[RawOrders]) -> Table[Orders]:
    """Orders, by their number."""
    assert tables.TableDef
    return raw_orders.select("order_id")
'''


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A fork as 0.1.0 made it, with a table, a command, a target and a test of its own."""
    archive = subprocess.run(["git", "archive", FIRST], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip("this clone is shallow: its history does not reach back to 0.1.0")
    (tmp_path / "first").mkdir()
    subprocess.run(["tar", "-x"], cwd=tmp_path / "first", input=archive.stdout, check=True)
    own = tmp_path / "old_sales"
    succeed(fork(tmp_path / "first", "old_sales", "--example", "no", "--to", str(own)))
    (own / "old_sales" / "transform" / "orders.py").write_text(ORDERS.format(package="old_sales"))
    (own / "old_sales_tests" / "test_orders.py").write_text(
        "from old_sales.framework.errors import AuditFailed\nfrom old_sales_tests.bench import Bench, bench, day\n\n"
        "__all__ = ['AuditFailed', 'bench', 'day']\n\n\n"
        "def test_an_order_stays(bench: Bench) -> None:\n"
        "    bench.given('raw_orders', {'order_id': 7})\n    bench.build('orders')\n"
        "    assert bench.rows('orders') == [(7,)]\n"
    )
    (own / "old_sales_tests" / "test_helped.py").write_text(
        "from old_sales.framework.tables import NoSuchThing\nfrom old_sales_tests.framework import declared\n"
    )
    command = own / "old_sales" / "cli.py"
    text = command.read_text().replace('    "run":', '    "hello":', 1)
    entry = '    "hello": "old_sales.hello:hello",\n    "run": "old_sales.framework.commands:run",'
    text = text.replace('    "hello": "old_sales.framework.commands:run",', entry)
    command.write_text(text.replace('    "run": "Build', '    "hello": "Say hello.",\n    "run": "Build'))
    (own / "old_sales" / "hello.py").write_text(
        "import click\n\n\n@click.command()\ndef hello() -> None:\n    click.echo('hello')\n"
    )
    with (own / "Makefile").open("a") as makefile:
        makefile.write("\nmine: ## Ours\n\t@echo mine\n")
    commit(own)
    return own


@pytest.mark.slow
def test_a_fork_that_0_1_0_made_is_taken_over(first: Path, installed: str) -> None:
    told = run(first, "make", "upgrade", f"FROM={ROOT}", f"PYTHON={sys.executable}")
    assert "is no checkout of the template" in refuse(told, "upgrade")  # its own script, which knows no better

    printed = succeed(run(first, sys.executable, str(ROOT / "scripts" / "upgrade.py"), "."))
    assert printed.startswith("dagster-assay 0.1.0 -> ")
    helped = "yours to do: old_sales_tests/test_helped.py"
    assert f"{helped}:1 imports NoSuchThing, which assay.tables.declare has no more" in printed
    assert f"{helped}:2 uses old_sales_tests.framework, which went with the framework" in printed
    assert "### Asks of a project" in printed
    (first / "old_sales_tests" / "test_helped.py").unlink()

    assert not (first / "old_sales" / "framework").exists()
    assert not (first / "old_sales_tests" / "framework").exists()
    code = "".join(path.read_text() for path in first.rglob("*.py"))
    assert ".framework" not in code
    assert "from assay.tables import declare as tables" in code
    assert succeed(run(first, installed, "-m", "old_sales", "hello")) == "hello\n"
    assert succeed(run(first, "make", "mine")) == "mine\n"
    # What 0.1.0 masked is under no key: two cases differ, once, as the changelog says.
    golden = (installed, "-m", "old_sales", "golden")
    differs = run(first, *golden, python=installed)
    assert (differs.returncode, "1 equal, 2 differ in 3 cases" in differs.stdout) == (1, True), differs.stdout
    succeed(run(first, *golden, "accept", python=installed))
    assert "3 equal in 3 cases" in succeed(run(first, *golden, python=installed))
    tests = "TESTS=old_sales_tests -k 'wiring or orders or vendor'"
    arguments = (f"PYTHON={installed}", "WORKERS=0", tests)
    assert " passed" in succeed(run(first, "make", "lint", "layers", "test", *arguments, python=installed))


@pytest.mark.slow
def test_work_that_is_not_committed_is_not_taken_over(first: Path) -> None:
    (first / "README.md").write_text("mine\n")
    before = texts(first)
    done = run(first, sys.executable, str(ROOT / "scripts" / "upgrade.py"), ".")
    assert "changes that are not committed (README.md)" in refuse(done, "upgrade")
    assert texts(first) == before


@pytest.mark.parametrize("module", sorted({*takeover.ALIASES.values()}))
def test_what_a_module_of_0_1_0_became_exists(module: str) -> None:
    path = ROOT.joinpath("assay", "src", "assay", *module.split("."))
    assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), "say in takeover.py where it went"


def test_a_package_that_another_still_needs_stays_in_the_lock() -> None:
    lock = (
        "a==1 \\\n    --hash=sha256:1\n    # via\n    #   shop (pyproject.toml:dev)\n    #   b\n"
        "b==1 \\\n    --hash=sha256:2\n    # via shop (pyproject.toml)\n"
        "c==1 \\\n    --hash=sha256:3\n    # via d\n"
        "d==1 \\\n    --hash=sha256:4\n    # via shop (pyproject.toml)\n"
    )
    kept = lock_script.without(lock, ["a", "d"])
    assert lock_script.pins_of(kept) == {"a": "1", "b": "1"}
    assert "    --hash=sha256:1\n    # via b\n" in kept
    assert lock_script.without(lock, []) == lock


def test_marks_are_about_a_line_a_paragraph_or_a_list() -> None:
    text = "a # example; why\nb # template;\n[\n  # example: these\n  c\n]\n\n# framework: these\nd\n[\n]\n\ne\n"
    assert marks.kept_of(text, set()) == "[\n]\n\ne\n"
    assert marks.kept_of(text, {"example"}) == "a # why\n[\n  # example: these\n  c\n]\n\ne\n"
    assert marks.kept_of("x\n<!-- example -->\ny\n<!-- end -->\n\nz\n", set()) == "x\nz\n"
