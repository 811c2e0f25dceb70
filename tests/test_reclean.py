"""What is stored is cleaned again without fetching, what people decide holds, and a sudden change is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cleancopy import Policy, PolicyError
from cleancopy.cli import chrome as commands
from cleancopy.curation.decisions import decide_chrome
from cleancopy.ingest.alarms import chrome_share
from cleancopy.ingest.pipeline import begin, ingest, reclean_sites
from cleancopy.ingest.preview import Difference, differences
from cleancopy.ingest.publish import publish
from cleancopy.ingest.run import CleanedEntry, Summary
from cleancopy.policy import ChromePolicy
from cleancopy.store import releases, tables
from cleancopy.store.rows import FROM_ARCHIVE, LedgerEntry

SITE = "harbour"
MENU = ["Harbour Society", "News", "Tide tables", "Boat hire", "Join the society"]
FOOT = ["The Harbour Society is a charity", "Opening hours", "Imprint"]
WORDS = ["lorem", "ipsum", "dolor", "sit", "amet", "elit", "sed", "tempor", "labore", "magna", "ut", "ex", "ea"]


def prose(number: int, words: int = 40) -> str:
    return " ".join(
        f"{WORDS[(number * 7 + n * (number + 3)) % 13]}{chr(97 + (number + n) % 26)}" for n in range(words)
    )


def write(raw: Path, numbers: Sequence[int], *extra: str, menu: Sequence[str] = MENU) -> None:
    folder = raw / SITE
    folder.mkdir(parents=True, exist_ok=True)
    for n in numbers:
        lines = [*menu, f"Story {chr(97 + n)}", prose(n), *extra, prose(n + 50), *FOOT]
        (folder / f"{n:02}.txt").write_text("\n\n".join(lines))


def run(raw: Path, clean: Path, policy: Policy | None = None) -> Summary:
    with begin(raw=raw, root=clean, workers=0, policy=policy) as under_way:
        return ingest(under_way)


def again(raw: Path, clean: Path, *sites: str, policy: Policy | None = None) -> Summary:
    with begin(raw=raw, root=clean, workers=0, policy=policy, source=FROM_ARCHIVE) as under_way:
        return publish(under_way, reclean_sites(under_way, sites))


def changes(raw: Path, clean: Path, *sites: str, policy: Policy | None = None) -> list[Difference]:
    with begin(raw=raw, root=clean, workers=0, policy=policy, source=FROM_ARCHIVE) as under_way:
        return list(differences(under_way, reclean_sites(under_way, sites)))


def texts(clean: Path) -> list[str]:
    return sorted(tables.latest(clean, columns=["text"])["text"].to_pylist())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    write(raw, range(4), "Background", "Members only")
    assert run(raw, clean).counts["new"] == 4
    assert all("Opening hours" not in text and "Background" in text for text in texts(clean))
    return raw, clean


def test_nothing_changes_where_nothing_changed(folders: tuple[Path, Path]) -> None:
    raw, clean = folders
    assert changes(raw, clean) == []
    summary = again(raw, clean)
    assert (summary.release, summary.recleaned, summary.live) == (None, 0, 4)


def test_what_people_decide_changes_the_stored_documents_and_no_page_is_read(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, clean = folders
    before = texts(clean)
    decide_chrome(clean, SITE, "Background", "pinned")
    decide_chrome(clean, SITE, "Opening hours", "dropped")

    def not_again(*_: object, **__: object) -> None:
        raise AssertionError("a page was read again")

    monkeypatch.setattr("cleancopy.ingest.isolated.read", not_again)
    found = changes(raw, clean, SITE)
    assert [(one.site, one.change) for one in found] == [(SITE, "chrome")] * 4
    assert all("Background" in one.before and "Background" not in one.after for one in found)
    assert all("Opening hours" in one.after for one in found)
    assert texts(clean) == before, "showing the difference publishes nothing"
    summary = again(raw, clean, SITE)
    assert (summary.recleaned, summary.captures, summary.live) == (4, 0, 4)
    assert texts(clean) == sorted(one.after for one in found)
    assert releases.read_manifest(clean, summary.release or 0).parent == 1
    assert {v.change for doc in tables.heads(clean) for v in tables.history(clean, doc)} == {"new", "chrome"}


def test_decisions_hold_in_later_runs_and_can_be_taken_back(folders: tuple[Path, Path]) -> None:
    raw, clean = folders
    before = texts(clean)
    decide_chrome(clean, SITE, "Background", "pinned")
    write(raw, range(4, 8), "Background", "Members only")
    summary = run(raw, clean)
    assert (summary.counts["new"], summary.recleaned) == (4, 4)
    assert all("Background" not in text for text in texts(clean))
    decide_chrome(clean, SITE, "Background", None)
    again(raw, clean)
    assert set(before) < set(texts(clean))


def test_another_policy_reads_from_the_archive(folders: tuple[Path, Path]) -> None:
    raw, clean = folders
    for file in raw.rglob("*.txt"):
        file.unlink()
    policy = Policy(stages=("captions",))
    found = changes(raw, clean, policy=policy)
    assert [one.change for one in found] == ["pipeline"] * 4
    assert all("Opening hours" in one.after for one in found)
    summary = again(raw, clean, policy=policy)
    assert (summary.recleaned, summary.captures, summary.counts["new"]) == (4, 0, 0)
    assert again(raw, clean, policy=policy).release is None, "the ledger knows them under the new policy"
    back = again(raw, clean)
    assert back.recleaned == 4
    assert all("Opening hours" not in text for text in texts(clean))


def test_an_ingest_after_another_policy_reads_nothing(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, clean = folders
    policy = Policy(chrome=ChromePolicy(patterns=False))
    again(raw, clean, policy=policy)

    def not_again(*_: object, **__: object) -> None:
        raise AssertionError("a page was read again")

    monkeypatch.setattr("cleancopy.ingest.isolated.read", not_again)
    assert run(raw, clean, policy).counts["unchanged"] == 4


def test_a_site_without_documents_is_named(folders: tuple[Path, Path]) -> None:
    with pytest.raises(PolicyError, match="elsewhere: no document"):
        changes(*folders, "elsewhere")
    with pytest.raises(PolicyError, match="elsewhere: no chrome"):
        decide_chrome(folders[1], "elsewhere", "Imprint", "pinned")


# --- as commands

app = typer.Typer()
app.command()(commands.reclean)
app.add_typer(commands.chrome_app, name="chrome")


def command(folders: tuple[Path, Path], *arguments: str, code: int = 0) -> str:
    options = ["--raw", str(folders[0]), "--clean", str(folders[1])]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == code, result.output
    return result.output


def test_the_commands_show_decide_and_clean_again(folders: tuple[Path, Path]) -> None:
    lines = command(folders, "chrome", "show", SITE).splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.strip() == "Opening hours"]
    entry, facts = lines[at - 1].split(maxsplit=1)
    assert facts.startswith("cut; on 4 of 4 pages, bottom, seen 20")
    assert "version 2" in command(folders, "chrome", "drop", SITE, entry)
    assert f"{entry}  dropped, else cut; on 4" in command(folders, "chrome", "show", SITE)
    told = command(folders, "reclean", "--dry-run", "--workers", "0", SITE)
    assert told.count("+Opening hours") == 4
    assert "would change: 4 documents; " in told
    assert "nothing was published" in told
    found = command(folders, "reclean", "--dry-run", "--workers", "0", "--json").splitlines()
    assert [json.loads(line)["change"] for line in found] == ["chrome"] * 4
    assert "release 2: 4 documents with a new text or structure" in command(
        folders, "reclean", "--workers", "0"
    )
    assert "version 3" in command(folders, "chrome", "undo", SITE, entry)
    assert "version 4" in command(folders, "chrome", "pin", SITE, "Background")
    assert "see cleancopy chrome show" in command(folders, "chrome", "pin", SITE, "00000000", code=2)


# --- alarms


def decided(share: float, *, stored: bool = False) -> CleanedEntry:
    entry = LedgerEntry(input="a", outcome="new", release=1, run="r", site=SITE)
    cut = round(1000 * share)
    return CleanedEntry(
        entry=entry, text_sha256="", words=1, canonical=False, signature=b"", chrome="", shard=0, offset=0,
        cut=(("chrome", cut), ("content", 0)), kept=1000 - cut, stored=int(stored),
    )  # fmt: skip


USUAL = [0.3, 0.32, 0.28, 0.35, 0.31, 0.4, 0.25, 0.33, 0.3, 0.29, 0.9]


@pytest.mark.parametrize(
    ("shares", "rises"),
    [
        ([0.02] * 5, False),
        ([0.0, 0.1, 0.05, 0.3, 0.02, 0.03], False),
        ([0.8] * 6, True),
        ([0.95, 0.5, 0.6, 0.7, 0.6], True),
    ],
)
def test_a_sudden_change_of_the_share_is_an_alarm(shares: list[float], rises: bool) -> None:
    (alarm,) = chrome_share([decided(share) for share in shares], {SITE: USUAL})
    assert (float(alarm.facts["after"]) > float(alarm.facts["before"])) is rises
    assert (alarm.about, alarm.facts["pages"], alarm.facts["again"]) == (SITE, len(shares), False)
    assert f"{alarm.facts['before']:.0%}" in alarm.message
    assert "new pages" in alarm.message


@pytest.mark.parametrize(
    "shares",
    [
        [0.0] * 4,  # too few pages
        [0.3, 0.31, 0.9, 0.0, 0.3],  # one page that is nearly all menu, one that has none
        [0.4] * 6,  # a change, but a small one
        [0.0, 0.0, 0.0, 0.6, 0.7],  # no common direction
        [],
    ],
)
def test_no_alarm_where_pages_only_differ(shares: list[float]) -> None:
    assert list(chrome_share([decided(share) for share in shares], {SITE: USUAL})) == []
    assert list(chrome_share([decided(share) for share in shares], {SITE: USUAL[:5]})) == []
    assert list(chrome_share([decided(share) for share in shares], {})) == []


@given(st.lists(st.floats(0, 1), max_size=30))
def test_pages_like_the_ones_before_raise_no_alarm(shares: list[float]) -> None:
    assert list(chrome_share([decided(share) for share in shares], {SITE: shares})) == []


def test_stored_pages_that_chrome_begins_to_eat_are_an_alarm_of_their_own() -> None:
    pages = [decided(0.3)] * 6 + [decided(0.9, stored=True)] * 11
    (alarm,) = chrome_share(pages, {SITE: USUAL})
    assert alarm.facts["again"]
    assert "drop what is content" in alarm.message


def test_an_ingest_after_a_redesign_tells_it(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    write(raw, range(12))
    assert run(raw, clean).alarms == ()
    write(raw, range(12, 17), menu=MENU)
    assert run(raw, clean).alarms == ()
    folder = raw / SITE
    for n in range(17, 23):
        (folder / f"{n}.txt").write_text(f"Story {chr(97 + n)}\n\n{prose(n, 20)}\n\n{prose(n + 50, 20)}")
    (alarm,) = run(raw, clean).alarms
    assert float(alarm.facts["after"]) < 0.05 < 0.15 < float(alarm.facts["before"])
