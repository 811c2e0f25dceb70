"""The frozen site chromes: ``clean/chrome/<site>/<version>.json``, readable and editable."""

from __future__ import annotations

from pathlib import Path

from cleancopy.errors import StoreError
from cleancopy.slugs import site_slug
from cleancopy.stages.chrome import SiteChrome, chrome_from_json, chrome_to_json
from cleancopy.store.layout import atomic_write


def path(root: Path, chrome: SiteChrome) -> Path:
    """Where a version of a site's chrome is kept."""
    return _folder(root, chrome.site) / f"{chrome.version:04d}.json"


def current(root: Path, site: str) -> SiteChrome | None:
    """The latest version of a site's chrome, or None where nothing was learned yet."""
    files = sorted(_folder(root, site).glob("[0-9]*.json"))
    return _read(files[-1]) if files else None


def write(root: Path, chrome: SiteChrome) -> Path:
    """Keep a version of a site's chrome; a version that is there already is left as it is."""
    file = path(root, chrome)
    if not file.exists():
        atomic_write(file, chrome_to_json(chrome).encode())
    return file


def sites(root: Path) -> list[SiteChrome]:
    """The latest chrome of every site, by site."""
    folders = sorted((root / "chrome").glob("*/"))
    files = [sorted(folder.glob("[0-9]*.json"))[-1:] for folder in folders]
    return [_read(found[0]) for found in files if found]


def _read(file: Path) -> SiteChrome:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StoreError(
            f"{file}: is not UTF-8 ({error}); mend it, or remove it and learn the site again"
        ) from error
    return chrome_from_json(text, str(file))


def _folder(root: Path, site: str) -> Path:
    return root / "chrome" / site_slug(site)
