"""The frozen site chromes: ``clean/chrome/<site>/<version>.json``, readable and editable.

A version is written anew only where its counts and dates changed, never where it would cut otherwise. What
people decide (``decided``) makes a version of its own, and learning carries it on to every later one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import PurePath

from cleancopy.errors import PolicyError, StoreError
from cleancopy.stages.chrome.cut import SiteChrome, chrome_from_json, chrome_to_json, with_decision
from cleancopy.stages.chrome.profile import ChromeDecision, ChromeEntry, entry_named, with_decisions_of
from cleancopy.store.paths import StorePath, atomic_write, create_exclusive, glob_sorted, is_shared
from cleancopy.store.slugs import site_slug


def path(root: StorePath, chrome: SiteChrome) -> StorePath:
    """Where a version of a site's chrome is kept."""
    return _folder(root, chrome.site) / f"{chrome.version:04d}.json"


def current(root: StorePath, site: str) -> SiteChrome | None:
    """The latest version of a site's chrome, or None where nothing was learned yet."""
    files = glob_sorted(_folder(root, site), "[0-9]*.json")
    return read_profile(files[-1]) if files else None


def write(root: StorePath, chrome: SiteChrome) -> StorePath:
    """Keep a version of a site's chrome; only for a run that holds the writing lock.

    Of a version that is there already counts and dates are brought up to date. Where the latest one is as new
    and would cut otherwise (another source's run learned the site at the same time), this one comes after it.
    """
    last = current(root, chrome.site)
    if last is None or last.version < chrome.version or last.digest == chrome.digest:
        return _write(root, chrome)
    after = replace(chrome, version=last.version + 1)
    file = _write(root, after)
    # What people decided while the run read must not end with it.
    kept = with_decisions_of(after, last)
    if kept.digest != after.digest:
        _write(root, replace(kept, version=after.version + 1))
    return file


def _write(root: StorePath, chrome: SiteChrome) -> StorePath:
    file = path(root, chrome)
    there = file.exists()
    text = chrome_to_json(replace(chrome, erased=read_profile(file).erased) if there else chrome)
    if not there and is_shared(file):
        # Where a lease was lost, another run may write the same version: then this one comes after it.
        return file if create_exclusive(file, text.encode()) else write(root, chrome)
    if not there or (read_profile(file).digest == chrome.digest and file.read_text(encoding="utf-8") != text):
        atomic_write(file, text.encode())
    return file


def decided(
    root: StorePath, site: str, entry: str, decision: ChromeDecision | None, day: str
) -> tuple[SiteChrome, ChromeEntry]:
    """The chrome of a site with an entry pinned or dropped, or for None left to learning; and the entry.

    ``day`` is an ISO date. Nothing is written. Raises PolicyError where the site or the entry is not known.
    """
    chrome = current(root, site)
    if chrome is None:
        raise PolicyError(f"{site}: no chrome was learned for this site; see cleancopy chrome list")
    changed = with_decision(chrome, entry, decision, day)
    before = {item.key: item for item in chrome.entries}
    after = {item.key: item for item in changed.entries}
    keys = [key for key in before | after if before.get(key) != after.get(key)]
    key = keys[0] if keys else entry_named(chrome, entry, new=True).key
    return changed, (after | before)[key] if decision is None else (before | after)[key]


def erase(root: StorePath, is_erased: Callable[[str], object], gone: Collection[str] = ()) -> int:
    """Take entries out of every version of every chrome, by their examples; how many.

    ``gone`` are sites of which no document is left: all of their chrome goes.

    A version keeps the digest that it had, which documents that were cut by it name; their sites are cleaned
    again by the next run. Only for who holds the writing lock.
    """
    count = 0
    for file in glob_sorted(root / "chrome", "*/[0-9]*.json"):
        chrome = read_profile(file)
        if chrome.site in gone:
            count += len(chrome.entries)
            file.unlink()
            continue
        kept = tuple(entry for entry in chrome.entries if not is_erased(entry.example))
        if len(kept) < len(chrome.entries):
            count += len(chrome.entries) - len(kept)
            changed = replace(chrome, entries=kept, erased=(*chrome.erased, chrome.digest))
            atomic_write(file, chrome_to_json(changed).encode())
    return count


def sites(root: StorePath) -> list[SiteChrome]:
    """The latest chrome of every site, by site."""
    files: dict[PurePath, StorePath] = {
        file.parent: file for file in glob_sorted(root / "chrome", "*/[0-9]*.json")
    }
    return [read_profile(files[folder]) for folder in sorted(files)]


def read_profile(file: StorePath) -> SiteChrome:
    """The chrome of a file; raises StoreError or PolicyError where it is damaged."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StoreError(
            f"{file}: is not UTF-8 ({error}); mend it, or remove it and learn the site again"
        ) from error
    return chrome_from_json(text, str(file))


def _folder(root: StorePath, site: str) -> StorePath:
    return root / "chrome" / site_slug(site)
