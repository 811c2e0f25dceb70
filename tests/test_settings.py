"""sources.toml: read, checked, documented."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from itertools import takewhile
from pathlib import Path

import pytest

from cleancopy.errors import PolicyError, RejectReason
from cleancopy.sources.settings import KINDS, Fetching, Settings, Source, read_sources
from cleancopy.warc.choice import Choice
from conftest import ROOT

PAGE = '[[source]]\nname = "a"\nkind = "urls"\nurls = ["https://example.org/"]\n'
WARC = '[[source]]\nname = "a"\nkind = "warc"\npaths = ["b"]\n'


def documented() -> list[str]:
    """The TOML of docs/sources.md, a part for each block."""
    parts = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8").split("```toml\n")[1:]
    return [part.partition("```")[0] for part in parts]


def read(text: str, tmp_path: Path) -> Settings:
    path = tmp_path / "sources.toml"
    path.write_text(text, encoding="utf-8")
    return read_sources(path)


def test_the_documented_settings_are_complete_and_the_defaults(tmp_path: Path) -> None:
    fetch, sources = documented()
    assert set(tomllib.loads(fetch)["fetch"]) == {field.name for field in fields(Fetching)}
    contact = "https://example.org/about-our-crawler"
    assert read(fetch, tmp_path).fetch == Fetching(contact=contact)
    settings = read(sources, tmp_path)
    assert [source.kind for source in settings.sources] == ["site", "feed", "sitemap", "urls", "warc", "files"]
    named = {key for table in tomllib.loads(sources)["source"] for key in table}
    other = {"cron", "interval", "rrule", "timezone", "jitter"}
    assert named == {field.name for field in fields(Source)} - {"schedule"} | other
    first = settings.sources[0]
    assert (first.depth, first.pages) == (3, 10_000)
    assert dict(first.schedule) == {"cron": "0 6 * * *", "timezone": "Europe/Berlin", "jitter": 600.0}


def test_paths_count_from_the_file_that_names_them(tmp_path: Path) -> None:
    settings = read('[[source]]\nname = "a"\nkind = "files"\npaths = ["b"]\n', tmp_path)
    assert settings.sources[0].paths == (tmp_path / "b",)


def test_patterns_choose_addresses() -> None:
    source = Source("a", "urls", include=("*/tides/*",), exclude=("*/print/*",))
    assert source.takes("https://example.org/tides/1")
    assert not source.takes("https://example.org/tides/print/1")
    assert not source.takes("https://example.org/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fetch]\nspeed = 1", "unknown key 'speed'"),
        ("[fetch]\ndelay = -1", "delay is -1; it must be a number from 0"),
        ("[fetch]\nhosts = 1.5", "hosts is 1.5; it must be a whole number"),
        ("[fetch]\nhosts = true", "whole number"),
        ("[fetch]\nports = [0]", "from 1 to 65535"),
        ("[fetch]\nallow = ['localhost:80']", "an address and a port"),
        ("[fetch]\ncontact = 'me'", "web or mail address"),
        ("[fetch]\ncontact = 'a@b.org\\r\\nX: 1'", "web or mail address"),
        ("[fetch]\nreserved = 1", "'refuse', 'mark', 'keep'"),
        ("fetch = 1", "is a table"),
        ("source = 1", r"\[\[source\]\]"),
        ("[[source]]\nkind = 'urls'", "source 1: has no name"),
        ("[[source]]\nname = 'a'", "source 'a': has no kind"),
        ("[[source]]\nname = '../a'\nkind = 'urls'", "a short name of letters"),
        ("[[source]]\nname = 'a'\nkind = 'ftp'", "kind is 'ftp'; allowed: files, urls"),
        ("[[source]]\nname = 'a'\nkind = 'urls'", "needs urls or list"),
        ("[[source]]\nname = 'a'\nkind = 'feed'\nurls = ['ftp://a/']", "an http or https address"),
        ("[[source]]\nname = 'a'\nkind = 'feed'\nurls = 'https://a/'", "must be a list"),
        ("[[source]]\nname = 'a'\nkind = 'feed'\nurls = ['https://a/']\ndepth = 2", "unknown key 'depth'"),
        (PAGE + PAGE, "two sources are named 'a'"),
        (PAGE + "pages = 0", "from 1"),
        (PAGE + "cron = '0 6 * * *'\ninterval = 60", "has cron and interval"),
        (PAGE + "cron = 'daily'", "five fields"),
        (PAGE + "cron = '0 6 30 2 *'", "would never be due"),
        (PAGE + "rrule = 'FREQ=DAILY;COUNT=3'", "would never be due"),
        (PAGE + "rrule = 'FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30'", "would never be due"),
        (PAGE + "rrule = 'FREQ=DAILY;UNTIL=20990101T000000Z'", "without Z"),
        (PAGE + "cron = '0 6 31 apr,jun *'", "would never be due"),
        (PAGE + "jitter = 5", "no schedule"),
        (PAGE + "interval = 60\ntimezone = 'Mars/Olympus'", "name of a time zone"),
        (WARC + "records = ['request']", "allowed: conversion, resource, response"),
        (WARC + "statuses = [0]", "from 100 to 599"),
        (WARC + "media_types = ['image/png']", "allowed: application/xhtml"),
        (PAGE + "statuses = [200]", "unknown key 'statuses'"),
        ("[[source]", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said) as error:
        read(text, tmp_path)
    assert str(tmp_path / "sources.toml") in str(error.value)
    assert str(error.value).isprintable()


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = read(PAGE, tmp_path)
    assert settings.chosen(["a"], "sources.toml") == settings.sources
    with pytest.raises(PolicyError, match="no source 'b'; it has: a"):
        settings.chosen(["b"], "sources.toml")
    with pytest.raises(PolicyError, match="cannot be read"):
        read_sources(tmp_path / "missing.toml")


def test_every_kind_of_refusal_is_explained() -> None:
    text = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| (`[^|]+) \|[^|]+\|[^|]+\|$", text, re.MULTILINE)
    explained = {name for cell in tables for name in re.findall(r"`(\w+)`", cell)}
    assert {kind.value for kind in RejectReason} <= explained


def rows(header: str) -> list[str]:
    """The rows of the table in docs/sources.md that has this header."""
    lines = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8").splitlines()
    at = lines.index(header) + 2
    return list(takewhile(lambda line: line.startswith("|"), lines[at:]))


@pytest.mark.parametrize(("head", "of_address"), [("an address", True), ("what was read", False)])
def test_the_docs_have_each_reason_as_its_record_has_it(head: str, of_address: bool) -> None:
    reasons = [reason for reason in RejectReason if reason.of_address == of_address]
    expected = [f"| `{reason}` | {reason.meaning} | {reason.remedy} |" for reason in reasons]
    assert rows(f"| kind of {head} | means | what to do |") == expected


def test_the_docs_have_each_kind_of_source_as_its_record_has_it() -> None:
    expected = [
        f"| `{kind.name}` | {kind.meaning} | {' or '.join(map(code, kind.needs))} | "
        f"{', '.join(map(code, kind.may_have))} |"
        for kind in KINDS.values()
    ]
    assert rows("| kind | reads | needs | may have besides |") == expected


def code(name: str) -> str:
    return f"`{name}`"


def test_what_an_archive_is_read_for_is_what_the_source_names(tmp_path: Path) -> None:
    assert read(WARC, tmp_path).sources[0].choice == Choice()
    named = read(f'{WARC}records = ["conversion"]\nstatuses = [203]\nhosts = ["*.test"]\n', tmp_path).sources[0]
    assert named.choice == Choice(frozenset(["conversion"]), frozenset([203]), hosts=("*.test",))
