"""The shape of the package, counted from its files: rooms, import floors, circles, longest file and function.

    python benchmarks/rooms.py [FOLDER ...]      of each package folder; src/cleancopy by default

A room is a module or package directly in the package. A floor is a link of the longest chain of imports, each
from a module (or room) to one that it imports; modules of one circle count as one.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def measure(package: Path) -> dict[str, Any]:
    """The figures of one package."""
    files = sorted(package.rglob("*.py"))
    modules = {_name(package, file): file for file in files}
    used = {name: set(_imports(package, file, modules)) - {name, ""} for name, file in modules.items()}
    used.pop("", None)  # the package's own face imports what it shows
    rooms: dict[str, set[str]] = {}
    for name, others in used.items():
        room = name.partition(".")[0]
        rooms.setdefault(room, set()).update({other.partition(".")[0] for other in others} - {room})
    functions = sorted((each for file in files for each in _functions(package, file)), reverse=True)
    lines = sorted(((_lines(file), file.relative_to(package).as_posix()) for file in files), reverse=True)
    return {
        "modules": len(modules),
        "modules at the top": sum(file.parent == package and file.stem != "__init__" for file in files),
        "rooms": len(rooms),
        "floors of rooms": floors(rooms),
        "floors of modules": floors(used),
        "circles of rooms": circles(rooms),
        "circles of modules": circles(used),
        "longest files": lines[:3],
        "files over 600 lines": sum(count > 600 for count, _ in lines),
        "longest functions": functions[:3],
        "function bodies over 25 lines": sum(count > 25 for count, _ in functions),
        "functions": len(functions),
    }


def floors(used: Mapping[str, set[str]]) -> int:
    """How many modules the longest chain of imports has."""
    group = {name: index for index, names in enumerate(_groups(used)) for name in names}
    above: dict[int, set[int]] = {}
    for name, others in used.items():
        above.setdefault(group[name], set()).update({group[o] for o in others if o in group} - {group[name]})

    @cache
    def height(index: int) -> int:
        return 1 + max(map(height, above[index]), default=0)

    return max(map(height, above), default=0)


def circles(used: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other."""
    return [sorted(names) for names in _groups(used) if len(names) > 1]


def _groups(used: Mapping[str, set[str]]) -> list[frozenset[str]]:
    """The modules by circle: those that reach each other are one group."""

    @cache
    def reached(name: str) -> frozenset[str]:
        seen, waiting = set(), [name]
        while waiting:
            for other in used.get(waiting.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return frozenset(seen)

    groups = {frozenset({name} | {o for o in reached(name) if name in reached(o)}) for name in used}
    return sorted(groups, key=sorted)


def _name(package: Path, file: Path) -> str:
    return ".".join(file.relative_to(package).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def _imports(package: Path, file: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """The package's modules that a file imports when it runs, also inside functions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in for_types or not node.module:
            continue
        top, _, inside = node.module.partition(".")
        if top == package.name:
            for alias in node.names:
                full = f"{inside}.{alias.name}".strip(".")
                yield full if full in modules else inside


def _functions(package: Path, file: Path) -> Iterator[tuple[int, str]]:
    """The lines of each function's body, without its docstring, and where it is."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield body_lines(node), f"{_name(package, file)}.{node.name}"


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function's body takes, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    for folder in sys.argv[1:] or [str(ROOT / "src" / "cleancopy")]:
        print(folder)
        for what, figure in measure(Path(folder)).items():
            print(f"  {what:<30} {json.dumps(figure)}")
