"""The shape that the project holds to."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from conftest import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))
#: Modules by layer; each may import from its own layer and the ones before it.
LAYERS = (
    {"errors", "document", "policy"},
    {"limits", "encoding"},
    {"blocks", "repetition", "kernel", "metadata"},
    {"stages"},
    {"clean", "fingerprint", "isolation", "slugs", "spool"},
    {"store", "sources"},
    {"run", "work", "views", "sinks", "changes", "trace"},
    {"schema", "reader", "rollback", "decisions"},
    {"publish", "reading", "deciding", "pipeline", "upkeep"},
    {"cli"},
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
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if module in names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_nothing_under_src_imports_prefect(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] == "prefect"}


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name != "__init__.py"], ids=lambda path: path.stem)
def test_dependencies_point_one_way(path: Path) -> None:
    own = path.relative_to(ROOT / "src" / "cleancopy").parts[0].removesuffix(".py")
    used = {name.split(".")[1] for name in imports(path) if name.startswith("cleancopy.")}
    known = set().union(*LAYERS)
    wrong = {name for name in used & known if layer(name) > layer(own)}
    assert not wrong, f"{own} may not import {wrong}"


def test_every_module_has_a_layer() -> None:
    package = ROOT / "src" / "cleancopy"
    modules = {path.stem for path in package.glob("*.py")} | {
        path.name for path in package.glob("*/") if (path / "__init__.py").exists()
    }
    assert modules - {"__init__"} == set().union(*LAYERS)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src/cleancopy/stages").glob("*.py")), ids=lambda path: path.stem
)
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
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all("==" in line and "://" not in line for line in pinned if line and not line.startswith("#"))
