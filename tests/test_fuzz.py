"""What a fuzzer found once, and what must hold for any bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz_targets import TARGETS, made

FINDS = Path(__file__).parent / "finds"


@pytest.mark.parametrize("find", sorted(str(path.relative_to(FINDS)) for path in FINDS.rglob("*.bin")))
def test_what_was_found_once_is_mended(find: str) -> None:
    TARGETS[find.split("/")[0]]((FINDS / find).read_bytes())


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "made"])
def test_no_bytes_break_a_promise(name: str) -> None:
    @settings(max_examples=25)
    @given(st.binary(max_size=200))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


def test_no_page_loses_text() -> None:
    made()
