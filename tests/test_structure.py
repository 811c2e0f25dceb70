"""The shape that the project holds to."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src" / "cleancopy"
SOURCES = sorted(PACKAGE.rglob("*.py"))
#: The rooms, from the ground up: each may import from itself and from those before it.
LAYERS = (
    {"errors", "words", "blocks", "markdown", "document", "policy", "version"},
    {"extract", "minhash"},
    {"stages"},
    {"clean"},
    {"warc"},
    {"store"},
    {"sources"},
    {"corpus"},
    {"export"},
    {"curation"},
    {"ingest"},
    {"cli", "__main__"},
)
INPUT_OUTPUT = {
    "socket",
    "urllib.request",
    "subprocess",
    "shutil",
    "tempfile",
    "pyarrow",
    "deltalake",
}


def imports(path: Path, *, at_run_time: bool = True) -> set[str]:
    """The modules that a file imports; those that only the type checker sees are left out."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if at_run_time and id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in names if _is_module(name)}
            found |= names if modules == names else names | {node.module}
    return found


def _is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def layer(room: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if room in names)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_nothing_under_src_imports_prefect(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] == "prefect"}


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.parent != PACKAGE or path.stem != "__init__"], ids=module_of
)
def test_dependencies_between_rooms_point_one_way(path: Path) -> None:
    used = {name.split(".")[1] for name in imports(path) if name.startswith("cleancopy.")}
    rooms = {name for name in used if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()}
    wrong = {name for name in rooms if layer(name) > layer(room_of(path))}
    assert not wrong, f"{module_of(path)} may not import {wrong}"


def test_every_module_has_a_layer() -> None:
    assert {room_of(path) for path in SOURCES} - {"__init__"} == set().union(*LAYERS)


def test_no_modules_import_each_other() -> None:
    """Also inside a room, and also where an import stands in a function."""
    modules = {module_of(path): path for path in SOURCES}
    used = {name: (imports(path) & modules.keys()) - {name, "cleancopy"} for name, path in modules.items()}
    waiting = dict(used)
    while free := {name for name, others in waiting.items() if not others & waiting.keys()}:
        for name in free:
            del waiting[name]
    assert not waiting, f"these import each other: {sorted(waiting)}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "stages").rglob("*.py")), ids=module_of)
def test_stages_do_no_input_or_output(path: Path) -> None:
    assert not imports(path) & INPUT_OUTPUT


def test_importing_cleancopy_brings_nothing_heavy() -> None:
    heavy = {"trafilatura", "numpy", "pyarrow", "prefect", "deltalake", "numba", "lightgbm"}
    code = f"import sys, cleancopy; print(sorted(set(sys.modules) & {heavy!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_pins_keep_out_what_breaks_the_server() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert {"prefect==3.8.8", "fastapi<0.151", "sqlalchemy<2.1", "lxml-html-clean"} <= set(project)


def test_every_version_is_exact_and_every_download_has_hashes() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or "index-url" in line or "find-links" in line]
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    entries = text.splitlines()
    assert len(entries) > 100
    pinned = re.compile(r"[\w.-]+==[\w.+]+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert not [entry for entry in entries if not pinned.fullmatch(entry)]


#: Functions that are still longer than they may be; the list may only become shorter.
LONG_FUNCTIONS = {"extract.walk._run"}


def test_no_file_is_too_long_to_read_in_one_go() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    long = {path.relative_to(PACKAGE).as_posix() for path, count in lines.items() if count > 600}
    assert not long


def test_no_function_has_a_body_of_more_than_sixty_lines() -> None:
    long = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                if body and (body[-1].end_lineno or 0) - body[0].lineno + 1 > 60:
                    long.add(f"{module_of(path).removeprefix('cleancopy.')}.{node.name}")
    assert long <= LONG_FUNCTIONS


def test_every_package_is_in_the_wheel() -> None:
    """Setuptools takes the packages that pyproject.toml names, and says nothing of a forgotten one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {module_of(path) for path in PACKAGE.rglob("__init__.py")}
    assert packages | {"cleancopy_flows"} == set(project["tool"]["setuptools"]["packages"])
