"""Upkeep of a store, as commands and flows call it: its tables, and what people read beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

from cleancopy import views
from cleancopy.errors import StoreError
from cleancopy.store import maintenance, releases, verification
from cleancopy.store.layout import Place
from cleancopy.store.maintenance import KEEP_DAYS
from cleancopy.store.verification import Fault
from cleancopy.work import names


def maintain(root: Place, *, keep_days: float = KEEP_DAYS, dry_run: bool = False) -> dict[str, Any]:
    """Compact and checkpoint the tables, remove what nobody needs, mend the text tree; what was done.

    The fields are those of ``store.maintenance.Maintained`` and ``texts``, the files written anew. Raises
    PolicyError for fewer days than seven, Busy where another run writes.
    """
    with maintenance.maintaining(root, keep_days=keep_days, dry_run=dry_run, keep=partial(names, root)) as done:
        known: dict[str, Any] = asdict(done)
        last = releases.current(root)
        if dry_run:
            known["texts"] = sum(1 for _ in views.check_tree(root))
        elif last is not None:
            known["texts"] = views.mend_tree(root, last.release)
    return known


def faults(root: Place) -> Iterator[Fault]:
    """Every missing, altered or extra file of a store: what, why, how to mend it."""
    yield from verification.verify(root, names(root))
    try:
        for path, why, _ in views.check_tree(root):
            yield Fault(path.relative_to(root).as_posix(), why, "run cleancopy maintain: it is made anew")
    except StoreError:
        return  # the tables cannot be read, as was said before
