"""What a word is, in scripts with spaces and without."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleancopy.minhash import normalise
from cleancopy.words import count_words, is_unspaced, part_clusters

SPACED = "The gauge read 3 m - don't ask. Ὁ λόγος; Москва. हिन्दी में लिखा है। العربية لغة"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (SPACED, len(SPACED.split())),
        ("你好，世界。 hello world", 6),
        ("東京タワー 2024年", 7),
        ("ที่", 1),  # a consonant, a vowel above it and a tone above that
        ("สวัสดี", 4),  # sara i and mai han-akat stand on their consonants
        ("ກິນເຂົ້າ", 5),
        ("ခွေး", 1),
        ("ပဏ္ဏ", 2),  # the second letter stands below the first
        ("ខ្មែរ", 2),
    ],
)
def test_words_are_runs_between_spaces_and_letters_with_their_marks(text: str, words: int) -> None:
    assert count_words(text) == words


@given(st.text(st.characters().filter(lambda char: not is_unspaced(char))))
def test_a_text_in_scripts_with_spaces_has_the_words_that_split_gives(text: str) -> None:
    assert count_words(text) == len(text.split())


@given(st.text(st.sampled_from("กิ่่ร์ເຂົ້ကြိုဏ္ဏខ្មែaA1 .")))
def test_no_segment_begins_with_a_mark_that_had_a_letter_before(text: str) -> None:
    parted = part_clusters(text)
    assert parted.replace(" ", "") == text.replace(" ", "")
    for letter, mark in pairwise(text):
        if is_unspaced(letter) and unicodedata.category(mark)[0] == "M":
            assert letter + mark in parted


def test_the_normal_form_parts_scripts_without_spaces_and_no_others() -> None:
    assert normalise("ที่นี่ Bangkok") == "ที่ นี่ bangkok"
    assert normalise("ខ្មែរ") == "ខ្មែ រ"
    assert normalise("हिन्दी में, Москва") == "हिन्दी में москва"
