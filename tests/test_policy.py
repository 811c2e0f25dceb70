"""Settings: read, checked, digested, documented."""

from __future__ import annotations

import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from cleancopy import Policy, PolicyError, read_policy
from conftest import ROOT


def documented() -> str:
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    return text.partition("```toml\n")[2].partition("```")[0]


def test_the_documented_settings_are_the_defaults_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(documented(), encoding="utf-8")
    assert read_policy(path) == Policy()
    known = tomllib.loads(documented())
    for field in fields(Policy):
        assert field.name in known
        value = getattr(Policy(), field.name)
        if is_dataclass(value):
            assert {inner.name for inner in fields(value)} == set(known[field.name])


@pytest.mark.parametrize(
    ("written", "read"), [("true", "always"), ("false", "model"), ('"never"', "never")], ids=str
)
def test_the_headline_setting_of_before_is_read_on(tmp_path: Path, written: str, read: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"[content]\nheadline = {written}\n")
    assert read_policy(path).content.headline == read


def test_another_setting_is_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[captions]\nmin_words = 9\n")
    assert read_policy(path).captions.min_words == 9
    assert read_policy(path).digest != Policy().digest
    assert read_policy(None).digest == Policy().digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speed = 1", "unknown key 'speed'"),
        ("chrome = 1", "is a table"),
        ("[chrome]\nfraction = '0.5'", "must be of type float"),
        ("[chrome]\npatterns = 1", "must be of type bool"),
        ("stages = ['magic']", "allowed: chrome, content, captions"),
        ("stages = 'chrome'", "must be a list"),
        ("[chrome]\nnear = 0", "more than 0"),
        ("[captions]\ncontainment = 1.5", "at most 1"),
        ("[duplicates]\nnum_perm = 100", "multiple of 8"),
        ("[duplicates]\nseed = -1", "at least 0"),
        ("[limits]\ndepth = 0", "at least 1"),
        ("stages = [", "not valid TOML"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=said.replace("(", r"\(")) as error:
        read_policy(path)
    assert str(path) in str(error.value)


def test_a_whole_number_will_do_for_a_share(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[chrome]\nfraction = 1")
    assert read_policy(path).chrome.fraction == 1.0
