"""Many texts at once give what each would give alone."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cleancopy.store.texts import text_array, word_counts
from cleancopy.words import count_words

SPACES = "".join(chr(code) for code in range(0x110000) if chr(code).isspace())
#: Characters whose bytes are near those of white space in UTF-8.
NEAR = "\u0e01\u200b\u2060\u2027\u1681\u3001\u00a1\u0086é’"
any_texts = st.lists(st.text(st.sampled_from(SPACES + NEAR + "ab")) | st.text(st.characters(codec="utf-8")))


def array_of(texts: list[str]) -> pa.StringArray:
    return text_array(list(map(str.encode, texts)))


@given(any_texts)
def test_texts_come_back_from_their_array(texts: list[str]) -> None:
    array = array_of(texts)
    array.validate(full=True)
    assert array.to_pylist() == texts


@given(any_texts)
def test_words_are_counted_as_split_counts_them(texts: list[str]) -> None:
    array = array_of(texts)
    assert word_counts(array).tolist() == [count_words(text) for text in texts]
    assert word_counts(array[1:]).tolist() == [count_words(text) for text in texts[1:]]


def test_words_of_more_text_than_is_counted_at_once() -> None:
    texts = ["word " * 30_000, "", "\u3000two\u2028words\xa0", "x" * 200_000, "end"]
    assert word_counts(array_of(texts)).tolist() == [30_000, 0, 2, 1, 1]
