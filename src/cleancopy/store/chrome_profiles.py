"""The frozen site chromes: ``clean/chrome/<site>/<version>.json``, readable and editable.

A version is written anew only where its counts and dates changed, never where it would cut otherwise. What
people decide (``decide``) makes a version of its own, and learning carries it on to every later one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from cleancopy.errors import PolicyError, StoreError
from cleancopy.stages.chrome.cut import SiteChrome, chrome_from_json, chrome_to_json, with_decision
from cleancopy.stages.chrome.profile import ChromeDecision
from cleancopy.store.paths import StorePath, atomic_write, create_exclusive, glob_sorted, is_shared, locked
from cleancopy.store.slugs import site_slug

#: Seconds that a decision waits for the lock of a run that is writing to the store.
_LOCK_TIMEOUT = 10.0


def path(root: StorePath, chrome: SiteChrome) -> StorePath:
    """Where a version of a site's chrome is kept."""
    return _folder(root, chrome.site) / f"{chrome.version:04d}.json"


def current(root: StorePath, site: str) -> SiteChrome | None:
    """The latest version of a site's chrome, or None where nothing was learned yet."""
    files = glob_sorted(_folder(root, site), "[0-9]*.json")
    return read(files[-1]) if files else None


def write(root: StorePath, chrome: SiteChrome) -> StorePath:
    """Keep a version of a site's chrome; only for a run that holds the writing lock.

    Of a version that is there already counts and dates are brought up to date. Where the latest one is as new
    and would cut otherwise (another source's run learned the site at the same time), this one comes after it.
    """
    file = path(root, chrome)
    last = current(root, chrome.site)
    if last is not None and last.version >= chrome.version and last.digest != chrome.digest:
        chrome = replace(chrome, version=last.version + 1)
        file = path(root, chrome)
    text = chrome_to_json(chrome)
    there = file.exists()
    if not there and is_shared(file):
        # Where a lease was lost, another run may write the same version: then this one comes after it.
        return file if create_exclusive(file, text.encode()) else write(root, chrome)
    if not there or (read(file).digest == chrome.digest and file.read_text(encoding="utf-8") != text):
        atomic_write(file, text.encode())
    return file


def decide(root: StorePath, site: str, entry: str, decision: ChromeDecision | None, day: str) -> SiteChrome:
    """The new chrome of a site after an entry was pinned or dropped, or for None left to learning again.

    ``entry`` is an id that ``chrome show`` prints, or the line itself; ``day`` an ISO date. Takes the writing
    lock; raises PolicyError where the site or the entry is not known.
    """
    with locked(root, _LOCK_TIMEOUT):
        chrome = current(root, site)
        if chrome is None:
            raise PolicyError(f"{site}: no chrome was learned for this site; see cleancopy chrome list")
        decided = with_decision(chrome, entry, decision, day)
        write(root, decided)
    return decided


def sites(root: StorePath) -> list[SiteChrome]:
    """The latest chrome of every site, by site."""
    files: dict[PurePath, StorePath] = {
        file.parent: file for file in glob_sorted(root / "chrome", "*/[0-9]*.json")
    }
    return [read(files[folder]) for folder in sorted(files)]


def read(file: StorePath) -> SiteChrome:
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
