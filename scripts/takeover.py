"""Take over a project that 0.1.0 made, whose package held the framework as its folder `framework/`.

Imports follow the modules to where they are now, the folder and its tests go, a wheel comes, and of the files that run
and check the project only the lines that spoke of the folder change. What a person has to do is told.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from checkout import Refused, files_of, package_of, rename, tidy
from marks import kept_of
from wheel import build, vendored, with_wheel

MOVED = {
    **dict.fromkeys(("code_version", "fit", "graph", "lineage", "partitions", "results", "run"), "tables"),
    **dict.fromkeys(("assets", "execute", "history", "jobs", "metadata", "resources"), "orchestration"),
    **{f"warehouse.{name}": "warehouse.dry" for name in ("guard", "proof", "scratch", "statements")},
    "classification": "contract",
    "golden.capture": "lab",
    "golden.determinism": "lab",
    "golden.mutation": "lab",
    "plan.applying": "orchestration",
    "warehouse.replay": "warehouse.quarantine",
}
"""Module or package that only stands elsewhere now -> the room it stands in."""
RENAMED = {
    "golden.dagster_job": "orchestration.golden_job",
    "golden.pytest_plugin": "testing.goldens",
    "golden.run": "golden.runner",
    "plan.dagster_job": "orchestration.dry_run_job",
    "tables": "tables.declare",
    "warehouse.books": "warehouse.quarantine.find",
    "warehouse.quarantine": "warehouse.quarantine.keep",
    "wiring": "scaffold.unsaid",
}
ALIASES = {**{old: f"{room}.{old.rpartition('.')[2]}" for old, room in MOVED.items()}, **RENAMED}
"""Module below `framework` in 0.1.0 -> module below `assay`; one that is not named here stands where it stood."""
FACE = {"KeepFirst", "Reference", "RejectBudget", "Run", "daily", "export", "internal", "invariant", "personal"}
FACE |= {"public", "secret", "table"}
"""Names that `framework` exported beside its modules, and `assay` does."""
TEMPLATES_TESTS = ("test_documents.py", "test_makefile.py", "test_readme.py", "test_repository.py", "browser")
HELPERS = ("documents", "repository")
TARGETS = ("lock", "upgrade", ".venv/.installed")
CONTRACTS = (
    "The framework's core knows no Dagster",
    "Only definitions and the Dagster rooms themselves use the Dagster rooms",
    "The framework's tests stand without the example",
)


class Project:
    """The project that is taken over: its files as they will be, and what is to be told of them."""

    def __init__(self, root: Path, package: str, source: Path) -> None:
        self.root, self.package, self.source = root, package, source
        self.template = package_of(source)
        self.writes: dict[str, str | bytes] = {}
        self.gone = [f"{package}/framework", f"{package}_tests/framework", f"{package}_tests/shop"]
        self.gone += ["UPGRADING.md", "scripts/upgrade.py", *(f"{package}_tests/{name}" for name in TEMPLATES_TESTS)]
        self.left: list[str] = []

    def text(self, name: str) -> str:
        content = self.writes.get(name)
        return content if isinstance(content, str) else (self.root / name).read_text(encoding="utf-8")

    def stays(self, name: str) -> bool:
        return not any(name == path or name.startswith(f"{path}/") for path in self.gone)

    def own(self, *endings: str) -> list[str]:
        """The files that stay, by name."""
        names = [str(path) for path in files_of(self.root)]
        return [name for name in names if name.endswith(endings) and self.stays(name)]

    def theirs(self, name: str) -> str:
        """A file of the template, with this project's name in it."""
        return rename((self.source / name).read_text(encoding="utf-8"), self.template, self.package)


def take_over(root: Path, package: str, source: Path) -> list[str]:
    """Take the project over; returns what to tell. Nothing is written before everything is made."""
    project = Project(root, package, source)
    drop_helpers(project)
    for name in project.own(".py"):
        rewrite_imports(project, name)
    new_tests(project)
    new_command_line(project)
    new_files(project)
    edit_makefile(project)
    edit_metadata(project)
    edit_documents(project)
    for path in project.gone:
        found = root / path
        if found.is_dir():
            shutil.rmtree(found)
        elif found.exists():
            found.unlink()
    for name, content in project.writes.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return [
        f"  {package}/framework is the wheel in vendor/ now; imports, pyproject.toml, Makefile and lock follow it",
        f"  gone with it: its tests, and the template's own: {', '.join(TEMPLATES_TESTS)}",
        *(f"  yours to do: {line}" for line in project.left),
        f"  as the template has them today: {package}/cli.py with your commands, test_wiring.py, test_golden.py, bench.py",
        *([] if tidy(root) else ["  Ruff is not installed here: run `make format` once"]),
    ]


def drop_helpers(project: Project) -> None:
    """Let helpers of the template's own tests go, where no test of the project uses them."""
    used = "".join(
        project.text(name) for name in project.own(".py") if not name.endswith(tuple(f"{h}.py" for h in HELPERS))
    )
    project.gone += [f"{project.package}_tests/{name}.py" for name in HELPERS if not re.search(rf"\b{name}\b", used)]


def successor(module: str) -> str:
    """Where a module below `framework` stands below `assay`."""
    names = module.split(".")
    for length in range(len(names), 0, -1):
        if moved := ALIASES.get(".".join(names[:length])):
            return ".".join([moved, *names[length:]])
    return module


def module_file(project: Project, module: str) -> Path:
    """The file of a module or package of `assay`, which may not be there."""
    path = project.source.joinpath("assay", "src", "assay", *module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def home(project: Project, module: str, name: str) -> str:
    """The module of `assay` that has a name which stood in `module`: another only where that has it no more."""
    if not module:
        return "assay"
    if has(module_file(project, module), rf"\b{name}\b"):
        return f"assay.{module}"
    library = project.source / "assay" / "src"
    defines = rf"^(?:class|def) {name}\b|^{name}\b.* = "
    found = [path for path in library.rglob("*.py") if has(path, defines)]
    return ".".join(found[0].relative_to(library).with_suffix("").parts) if len(found) == 1 else f"assay.{module}"


def has(file: Path, pattern: str) -> bool:
    return file.is_file() and re.search(pattern, file.read_text(encoding="utf-8"), re.M) is not None


def rewrite_imports(project: Project, name: str) -> None:
    """Let a file import from `assay` what it imported from `framework`."""
    before = project.text(name)
    framework = rf"{project.package}\.framework"
    were = project.root / project.package / "framework"

    def imported(found: re.Match[str]) -> str:
        """`from framework.a import b, c`: b may be a module that went elsewhere than c."""
        indent, module, listed, comment = found[1], (found[2] or "").lstrip("."), found[3], found[4] or ""
        plain, lines = [], []
        for item in filter(None, (part.strip() for part in re.sub(r"#.*", "", listed).strip("() \n").split(","))):
            base, _, alias = (part.strip() for part in item.partition(" as "))
            below = f"{module}.{base}".lstrip(".")
            path = were.joinpath(*below.split("."))
            if (path.with_suffix(".py").is_file() or path.is_dir()) and not (not module and base in FACE):
                room, _, leaf = successor(below).rpartition(".")
                shown = leaf if leaf == (alias or base) else f"{leaf} as {alias or base}"
                lines.append(f"{indent}from {f'assay.{room}'.rstrip('.')} import {shown}{comment}")
            else:
                plain.append(item)
        homes: dict[str, list[str]] = {}
        for item in plain:
            homes.setdefault(home(project, successor(module), item.split(" ")[0]), []).append(item)
        for origin, items in homes.items():
            lines.append(f"{indent}from {origin} import {', '.join(items)}{comment}")
        return "\n".join(lines)

    def dotted(found: re.Match[str]) -> str:
        module = (found[1] or "").lstrip(".")
        return f"assay.{successor(module)}" if module else "assay"

    pattern = rf"^([ \t]*)from {framework}((?:\.\w+)*) import (\([^)]*\)|[^\n(#]+?)(  #[^\n]*)?$"
    text = re.sub(pattern, imported, before, flags=re.M)
    text = re.sub(rf"\b{framework}((?:\.\w+)*)", dotted, text)
    if text != before:
        project.writes[name] = text
    tell_lost(project, name, text)


def tell_lost(project: Project, name: str, text: str) -> None:
    """Tell which lines import what is no more."""
    anew = {f"{project.package}_tests/{each}.py" for each in ("bench", "test_golden", "test_wiring")}
    if name in {*anew, f"{project.package}/cli.py"}:
        return
    tests = f"{project.package}_tests"
    helpers = [helper for helper in HELPERS if not project.stays(f"{tests}/{helper}.py")]
    for number, line in enumerate(text.splitlines(), start=1):
        if found := re.match(r"\s*from assay\.([\w.]+) import ([^#]*)", line):
            names = found[2].strip().split(", ")
            lost = [each for each in names if not there(project, found[1], each.split(" ")[0])]
            project.left += [f"{name}:{number} imports {each}, which assay.{found[1]} has no more" for each in lost]
        for gone in ("framework", "shop", *helpers):
            if re.search(rf"\b{tests}\.{gone}\b", line):
                project.left.append(f"{name}:{number} uses {tests}.{gone}, which went with the framework")


def there(project: Project, module: str, name: str) -> bool:
    """Whether a module of `assay` has a name, or a package a module."""
    file = module_file(project, module)
    return has(file, rf"\b{name}\b") or module_file(project, f"{module}.{name}").is_file()


def new_tests(project: Project) -> None:
    """The template's tests of wiring and goldens, and its bench for the tests of tables, as they are today."""
    tests = f"{project.package}_tests"
    for name in ("test_golden.py", "test_wiring.py"):
        project.writes[f"{tests}/{name}"] = project.theirs(f"{project.template}_tests/{name}")
    if (project.root / tests / "bench.py").is_file():
        own = "".join(project.text(name) for name in project.own(".py") if name.startswith(f"{tests}/"))
        used = "".join(re.findall(rf"from {tests}\.bench import (\([^)]*\)|.*)", own))
        names = sorted(
            {"Bench"} | {name for name in ("NOW", "Row", "day", "warned") if re.search(rf"\b{name}\b", used)}
        )
        text = project.theirs(f"{project.template}_tests/bench.py")
        text = re.sub(r"^(from assay\.testing\.bench import ).*$", rf"\g<1>{', '.join(names)}", text, flags=re.M)
        project.writes[f"{tests}/bench.py"] = (
            f"{text}\n\n__all__ = {sorted([*names, 'bench'], key=lambda name: (name != name.upper(), name[0].islower(), name))}\n"
        )


def new_command_line(project: Project) -> None:
    """The command line of today, with the project's own commands."""
    name = f"{project.package}/cli.py"
    old, text = (
        (project.root / name).read_text(encoding="utf-8"),
        project.theirs("scripts/fork/small/pipeline_project/cli.py"),
    )
    own = [
        (command, where)
        for command, where in re.findall(r'^    "([\w-]+)": "([\w.]+:\w+)",', old, re.M)
        if not where.startswith(f"{project.package}.framework.")
    ]
    if own:
        says = dict(re.findall(r'^    "([\w-]+)": "([^":]+)",', old, re.M))
        lines = [f'"{command}": ("{where}", "{says.get(command, command)}")' for command, where in own]
        call = re.compile(r"command_line\((.*)\)$", re.M)
        text = call.sub(lambda found: f"command_line({found[1]}, commands={{{', '.join(lines)}}})", text)
    project.writes[name] = text


def new_files(project: Project) -> None:
    """The wheel with its documents, the test that the lock names it, the installer, and what drops the sample."""
    wheel = build(project.source)
    for name, content in vendored(wheel, project.source).items():
        text = name.endswith(".md")
        project.writes[f"vendor/{name}"] = (
            rename(content.decode(), project.template, project.package) if text else content
        )
    project.writes[f"{project.package}_tests/test_vendor.py"] = project.theirs(
        "scripts/fork/every/pipeline_project_tests/test_vendor.py"
    )
    project.writes["scripts/install.sh"] = project.theirs("scripts/install.sh")
    if (project.root / "scripts" / "drop_sample.py").exists():
        project.writes["scripts/drop_sample.py"] = project.theirs("scripts/fork/small/scripts/drop_sample.py")
    lock = project.text("requirements.lock")
    found = re.search(r'^name = "([^"]+)"', project.text("pyproject.toml"), re.M)
    if found is None:
        raise Refused(f"{project.root / 'pyproject.toml'} gives the project no name.")
    project.writes["requirements.lock"] = with_wheel(lock, wheel, found[1])
    project.writes["pyproject.toml"] = project.text("pyproject.toml").replace(
        "dependencies = [\n", f'dependencies = [\n  "dagster-assay=={wheel.version}", # the framework, in vendor/\n', 1
    )


def edit_makefile(project: Project) -> None:
    """Put the template's targets that know of `vendor/` in the place of the old ones."""
    text, new = project.text("Makefile"), kept_of(project.theirs("Makefile"), set())
    for target in TARGETS:
        block = re.compile(rf"^{re.escape(target)}:.*\n(?:\t.*\n)+", re.M)
        fresh = block.search(new)
        if fresh and block.search(text):
            text = block.sub(lambda _, fresh=fresh: fresh[0], text, count=1)  # type: ignore[misc]
        else:
            project.left.append(f"Makefile: take the target `{target}` of {project.source / 'Makefile'}")
    project.writes["Makefile"] = text


def edit_metadata(project: Project) -> None:
    """Take the folder out of the tools' settings, and the framework's own rules with it."""
    text = project.text("pyproject.toml")
    contract = re.compile(r"^\[\[tool\.importlinter\.contracts\]\]\n.*?(?=^\[|\Z)", re.M | re.S)
    named = {name for found in contract.finditer(text) for name in CONTRACTS if f'name = "{name}"' in found[0]}
    text = contract.sub(lambda found: "" if any(f'name = "{name}"' in found[0] for name in named) else found[0], text)
    text = re.sub(rf'^  "{project.package}\.framework",\n', "", text, flags=re.M)
    text = re.sub(
        r'^kafka = \["confluent-kafka.*$', 'kafka = ["dagster-assay[kafka]"] # event logs on Kafka', text, flags=re.M
    )
    if "[tool.ruff.lint.isort]" in text:
        project.left.append('pyproject.toml: known-first-party = ["assay"] under [tool.ruff.lint.isort]')
    else:
        isort = '[tool.ruff.lint.isort]\nknown-first-party = ["assay"] # beside the project\'s own imports\n\n'
        text = text.replace("[tool.ruff.lint.mccabe]\n", f"{isort}[tool.ruff.lint.mccabe]\n", 1)
    project.writes["pyproject.toml"] = text.rstrip() + "\n"


def edit_documents(project: Project) -> None:
    """Lead readers to `vendor/`; tell where the folder is still spoken of."""
    for name in project.own(".md", ".toml", ".yml", ".yaml", ".sh", "Makefile", ".ci/run"):
        before = project.text(name)
        text = re.sub(rf"\b{project.package}/framework/(?=README|`)", "vendor/", before)
        text = re.sub(r"-> extract -> framework`", "-> extract -> assay`", text).replace(
            "UPGRADING.md", "vendor/CHANGELOG.md"
        )
        if text != before:
            project.writes[name] = text
        for number, line in enumerate(text.splitlines(), start=1):
            if re.search(rf"\b{project.package}(?:\.|/|_tests/)framework\b", line):
                project.left.append(f"{name}:{number} still speaks of the framework's folder: {line.strip()}")
