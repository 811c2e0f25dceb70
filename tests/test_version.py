"""What made a text is told by numbers: they are raised when outputs change, and by nothing else.

``tests/cases/outputs.json`` pins the outputs of the example pages and annotated cases beside the numbers.
After a change of outputs, raise the number that the failing test names and run
``python tests/test_version.py``, which pins them again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cleancopy import Capture, Document, Policy, SiteChrome, learn_chrome, version
from cleancopy.clean import apply_stages, read
from cleancopy.document import Media
from cleancopy.errors import Rejection
from cleancopy.policy import STAGES
from cleancopy.stages.chrome.patterns import generic_patterns
from conftest import CASES, EXAMPLES, ROOT

PINS = CASES / "outputs.json"


def sites() -> Iterator[tuple[str, list[Document]]]:
    """The documents as read of each folder of examples, of the cases' own pages, and of the encoding cases."""
    for folder in (*sorted(path for path in EXAMPLES.iterdir() if path.is_dir()), CASES):
        files = sorted(path for path in folder.iterdir() if path.suffix in (".html", ".txt"))
        captures = [Capture(path.read_bytes(), key=path.name, site=folder.name) for path in files]
        yield folder.name, [read(capture, Policy()) for capture in captures]
    texts = sorted({text for _, text in strings(json.loads((CASES / "encoding.json").read_bytes()))})
    # One page of all of them: alone, some are too short to be text.
    page = "\n\n".join(texts).encode("utf-8", "replace")
    yield "encoding", [read(Capture(page, key="encoding", media_type="text/plain"), Policy())]


def strings(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, name)


def plain(value: object) -> Any:
    """Named tuples as objects without their empty fields, so that a new field changes no digest by itself."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        fields = value._asdict()
        return {name: plain(part) for name, part in fields.items() if part not in (None, "", (), 0)}
    if isinstance(value, float):
        return round(value, 4)  # sums of floats may differ in their last digits from one processor to another
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in sorted(value.items())}
    return value


def digest(values: Iterable[object]) -> str:
    lines = (json.dumps(plain(value), sort_keys=True, ensure_ascii=True) for value in values)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def stage_output(document: Document, name: str, chrome: SiteChrome) -> object:
    """What one stage by itself makes of a document as it was read: cuts and media."""
    try:
        done = apply_stages(document, replace(Policy(), stages=(name,)), chrome)
    except Rejection as rejection:
        return str(rejection)
    media: tuple[Media, ...] = done.media
    return [document.key, done.cuts, media]


def outputs() -> dict[str, str]:
    """A digest of the outputs of reading and of each stage, and of the patterns that the chrome stage reads."""
    pages = [(document, chrome) for _, documents in sites() for document, chrome in with_chrome(documents)]
    as_read = digest(
        [
            [d.key, d.text, d.blocks, getattr(d, "spans", ()), d.metadata, d.repairs, d.notes, d.decoding]
            for d, _ in pages
        ]
    )
    stages = {
        name: digest(stage_output(document, name, chrome) for document, chrome in pages) for name in STAGES
    }
    patterns = digest([each.regex.pattern, str(each.where)] for each in generic_patterns())
    return {"read": as_read, **stages, "chrome": digest([stages["chrome"], patterns])}


def with_chrome(documents: list[Document]) -> Iterator[tuple[Document, SiteChrome]]:
    chrome = learn_chrome(documents, site="site")
    return ((document, chrome) for document in documents)


def numbers() -> dict[str, int]:
    return {"read": version.READ, **STAGES}


def model_and_libraries() -> dict[str, str]:
    """The parts of the fingerprint that may change outputs though no number is raised."""
    parts = version.parts(Policy())
    return {name: parts[name] for name in ("model", "libraries")}


def where(name: str) -> str:
    return "version.READ" if name == "read" else f'policy.STAGES["{name}"]'


def complaint(name: str, pinned: dict[str, Any], output: str, number: int) -> str | None:
    """What is wrong with the output of reading or of a stage, and what to do; None where it is as pinned."""
    if output == pinned["outputs"].get(name):
        return None if number == pinned["numbers"].get(name) else f"{where(name)} was raised without a change"
    if number == pinned["numbers"].get(name):
        return f"the outputs of {name} changed: raise {where(name)}, then run python tests/test_version.py"
    return f"the outputs of {name} changed, as {where(name)} says: run python tests/test_version.py to pin them"


@pytest.fixture(scope="module")
def now() -> dict[str, str]:
    return outputs()


@pytest.mark.parametrize("name", ["read", *STAGES])
def test_outputs_change_only_with_their_number(name: str, now: dict[str, str]) -> None:
    pinned = json.loads(PINS.read_text(encoding="utf-8"))
    if pinned["made_by"] != model_and_libraries():
        pytest.fail(
            "the model or a library changed: look at the changes, then run python tests/test_version.py"
        )
    assert complaint(name, pinned, now[name], numbers()[name]) is None


def test_the_complaint_names_the_number_to_raise() -> None:
    pinned = {"outputs": {"read": "a", "chrome": "a"}, "numbers": {"read": 1, "chrome": 1}}
    assert complaint("read", pinned, "a", 1) is None
    assert "raise version.READ" in (complaint("read", pinned, "b", 1) or "")
    assert 'raise policy.STAGES["chrome"]' in (complaint("chrome", pinned, "b", 1) or "")
    assert "pin them" in (complaint("chrome", pinned, "b", 2) or "")
    assert "without a change" in (complaint("chrome", pinned, "a", 2) or "")


def test_a_changed_pattern_changes_the_output_of_chrome(
    monkeypatch: pytest.MonkeyPatch, now: dict[str, str]
) -> None:
    rest = generic_patterns()[1:]
    monkeypatch.setattr(sys.modules[__name__], "generic_patterns", lambda: rest)
    assert outputs()["chrome"] != now["chrome"]


def test_moving_and_rewording_code_changes_no_fingerprint(tmp_path: Path) -> None:
    """A copy of the package in another folder, without a docstring or comment, makes the same fingerprint."""
    copy = tmp_path / "elsewhere" / "cleancopy"
    shutil.copytree(ROOT / "src" / "cleancopy", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*.py"):
        path.write_text(without_docstrings(path.read_text(encoding="utf-8")), encoding="utf-8")
    script = (
        "import cleancopy; from cleancopy.policy import Policy; from cleancopy.version import *;"
        "print(cleancopy.__file__, fingerprint(parts(Policy())))"
    )
    environment = os.environ | {"PYTHONPATH": str(copy.parent)}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    place, theirs = run.stdout.split()
    assert Path(place).is_relative_to(copy)
    assert theirs == version.fingerprint(version.parts(Policy()))


def without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]
    return ast.unparse(tree)


@pytest.mark.parametrize("change", ["text", "model", "libraries", "policy"])
def test_each_part_changes_the_fingerprint(change: str) -> None:
    parts = version.parts(Policy())
    assert version.fingerprint(parts | {change: "other"}) != version.fingerprint(parts)


def test_the_parts_of_before_stand_for_version_one() -> None:
    """A store of before numbers: whatever its code was, it counts as version 1 of everything, and its model."""
    parts = version.parts(Policy())
    first = parts | {"text": "read 1, captions 1, chrome 1, content 1", "model": version.FIRST_MODEL}
    libraries = parts["libraries"].rpartition(", unicode")[0]
    before = {"code": "0" * 64, "libraries": libraries, "policy": parts["policy"]}
    assert version.is_current(before | {"chrome": "c"}, first)
    assert not version.is_current(before | {"libraries": libraries + "9"}, first)
    assert not version.is_current(before, first | {"text": "read 2, captions 1, chrome 1, content 1"})
    assert version.equal_fingerprints(first, [before | {"chrome": "c"}, {"policy": "p"}]) == {
        version.fingerprint(before)
    }


def pin() -> None:
    """Write the pins; refused where outputs changed and no number was raised, unless model or libraries did."""
    current = {"made_by": model_and_libraries(), "numbers": numbers(), "outputs": outputs()}
    if PINS.exists():
        pinned = json.loads(PINS.read_text(encoding="utf-8"))
        same = pinned["made_by"] == current["made_by"]
        for name, output in current["outputs"].items():
            wrong = complaint(name, pinned, output, numbers()[name])
            if same and wrong and "raise " in wrong:
                sys.exit(wrong)
    PINS.write_text(json.dumps(current, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    pin()
