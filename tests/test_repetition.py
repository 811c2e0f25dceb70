"""How alike two texts are: the normal form, datasketch's bits, candidate bands, verified matches."""

from __future__ import annotations

import subprocess
import sys

import datasketch
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleancopy.minhash import (
    EMPTY,
    Overlap,
    Signing,
    band_keys,
    bands,
    candidates,
    containment,
    estimates,
    jaccard,
    match,
    minhash,
    murmur3,
    normalise,
    overlap,
    shingle_hashes,
    shingles,
    sign,
    signatures,
    sketches,
    slot_conflict,
    union,
)

# Characters that fold, compose, vanish, grow or lie outside the kernel's table.
AWKWARD = (
    "aZ9 _-.'’“…\u00a0\u00adß\u0130iςΣΟé\u0301e\u0327ﬁ½②™﷽ﷲ"
    "กิ่รำเກົ້ကြိုဏ္ဏខ្មែ๑"
    "中かガカ\u3099ー々한\u1100\u1161\u11a8क़\u093c😀\u200d️𝐇𠀀\ud800"
)
texts = st.lists(st.text(st.sampled_from(AWKWARD) | st.characters(), max_size=60), min_size=1, max_size=12)
signings = st.builds(
    Signing,
    num_perm=st.sampled_from([1, 7, 16]),
    seed=st.integers(0, 3),
    shingle=st.integers(1, 5),
    unit=st.sampled_from(["word", "char"]),
)


@pytest.fixture(params=["numpy", "compiled"])
def path(request, monkeypatch):
    """Both ways to hash, one test run each; the compiled one only where numba is installed."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        assert signatures.warm_up()
        return
    monkeypatch.setattr(signatures, "_kernel", lambda texts: None)
    monkeypatch.setitem(sys.modules, signatures.KERNEL, None)


# --- the normal form


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  U.S. Navy's\tship_1", "the u s navy s ship 1"),
        ("“Don’t”", "don t"),
        ("CAFÉ, cafe\u0301", "café café"),
        ("ﬁnal ½ ②", "final 1 2 2"),
        ("co\u00adoperate zero\u200bwidth", "cooperate zerowidth"),
        ("ΟΔΟΣ οδός", "οδοσ οδόσ"),
        ("東京タワー 2024", "東 京 タ ワ ー 2024"),
        ("한국어", "한국어"),
        ("क़लम", "क\u093cलम"),
        ("I ❤️ NY 🗽", "i ny"),
        ("… — !", ""),
        ("a\ud800b", "a b"),
    ],
)
def test_normal_form(text, normal):
    assert normalise(text) == normal


@given(st.text(st.sampled_from(AWKWARD) | st.characters(), max_size=80))
def test_normal_form_has_single_inner_spaces_and_no_capitals(text):
    normal = normalise(text)
    assert normal == " ".join(normal.split(" ")).strip()
    assert "  " not in normal
    assert not any(char.isascii() and not (char.isalnum() or char == " ") for char in normal)
    assert normal == "".join(char.lower() for char in normal)


# --- shingles


def test_shingles_are_runs_of_words_or_characters():
    assert shingles("One two, three FOUR", 3) == {"one two three", "two three four"}
    assert shingles("Ab cd", 4, "char") == {"ab c", "b cd"}


def test_a_short_text_is_one_shingle_and_an_empty_one_none():
    assert shingles("one two", 5) == {"one two"}
    assert shingles("ab", 4, "char") == {"ab"}
    assert shingles(" … ", 5) == frozenset()


def test_jaccard_and_containment_are_exact():
    a, b = shingles("a b c d e f", 2), shingles("a b c d x", 2)
    assert jaccard(a, b) == 3 / 6
    assert containment(a, b) == 3 / 4
    assert overlap(a, b).reverse == Overlap(3, 4, 5)


def test_nothing_is_like_nothing():
    assert jaccard(frozenset(), frozenset()) == 0
    assert containment(frozenset(), shingles("a", 1)) == 0


@settings(max_examples=60, deadline=None)
@given(texts, signings)
def test_shingle_hashes_measure_what_shingles_do(some, how):
    hashed = shingle_hashes(some, how)
    plain = [shingles(text, how.shingle, how.unit) for text in some]
    assert [len(h) for h in hashed] == [len(p) for p in plain]
    assert overlap(hashed[0], hashed[-1]) == overlap(plain[0], plain[-1])


# --- signatures


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"", 0), (b"hello", 613153351), (b"hello, world", 345750399), (b"\xff" * 5, 2048059228)],
)
def test_murmur3_known_values(data, value):
    assert murmur3(data) == value


def by_datasketch(text: str, how: Signing) -> np.ndarray:
    hashing = {} if how.hash == "sha1" else {"hashfunc": murmur3}
    made = datasketch.MinHash(num_perm=how.num_perm, seed=how.seed, scheme=how.scheme, **hashing)
    made.update_batch([shingle.encode() for shingle in shingles(text, how.shingle, how.unit)])
    return made.hashvalues


@settings(max_examples=60, deadline=None)
@given(texts, signings)
def test_numpy_makes_the_bits_of_datasketch(some, how):
    rows = np.empty((len(some), how.num_perm), np.uint32)
    signatures._sign_plainly(some, how, rows)
    assert np.array_equal(rows, [by_datasketch(text, how) for text in some])


@settings(max_examples=100, deadline=None)
@given(texts, signings)
def test_the_kernel_makes_the_bits_of_numpy(some, how):
    pytest.importorskip("numba")
    kernel = signatures._load_kernel()
    plain, compiled = np.empty((2, len(some), how.num_perm), np.uint32)
    signatures._sign_plainly(some, how, plain)
    signatures._sign_compiled(kernel, some, how, compiled)
    assert np.array_equal(plain, compiled)
    pairs = zip(signatures._hash_plainly(some, how), signatures._hash_compiled(kernel, some, how), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_sha1_is_datasketch_by_default():
    how = Signing(num_perm=16, hash="sha1")
    text = "one two three four five six seven"
    assert np.array_equal(sign([text], how)[0], by_datasketch(text, how))
    default = datasketch.MinHash(num_perm=16)
    default.update_batch([shingle.encode() for shingle in shingles(text, 5)])
    assert minhash(sign([text], how)[0], how) == default


@pytest.mark.usefixtures("path")
def test_batches_do_not_change_the_bits(monkeypatch):
    some = [f"text {i} " * (i % 7) + "é\u0301" * (i % 3) for i in range(40)]
    whole = sign(some, Signing(num_perm=16))
    monkeypatch.setattr(signatures, "BATCH", 50)
    assert np.array_equal(sign(some, Signing(num_perm=16)), whole)
    assert np.array_equal(np.concatenate([sign([text], Signing(num_perm=16)) for text in some]), whole)


@pytest.mark.usefixtures("path")
def test_no_texts_and_empty_texts():
    assert sign([], Signing()).shape == (0, 112)
    assert (sign(["", "…"], Signing()) == EMPTY).all()
    assert shingle_hashes([], Signing()) == []


def test_a_row_becomes_a_minhash_that_can_go_on():
    how = Signing(num_perm=16, shingle=1)
    grown = minhash(sign(["one two"], how)[0], how)
    grown.update(b"three")
    assert np.array_equal(grown.hashvalues, sign(["one two three"], how)[0])


def test_the_digest_tells_settings_apart():
    assert Signing().digest == Signing().digest
    others = [
        Signing(seed=2),
        Signing(num_perm=128),
        Signing(shingle=4),
        Signing(unit="char"),
        Signing(hash="sha1"),
    ]
    assert len({s.digest for s in [Signing(), *others]}) == 6


def test_few_texts_do_not_load_numba():
    code = (
        "import sys; from cleancopy.minhash import *; sign(['a b c'], Signing()); print('numba' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_without_numba_everything_works():
    code = (
        "import sys; sys.modules['numba'] = None; from cleancopy.minhash import *; "
        "texts = ['some words ' * 20_000, 'x']; print(sign(texts, Signing(num_perm=2)).tolist(), warm_up())"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert printed == f"{sign(['some words ' * 20_000, 'x'], Signing(num_perm=2)).tolist()} False"


# --- candidates


def brute_pairs(keys: np.ndarray) -> list[list[int]]:
    rows = range(len(keys))
    return [[a, b] for b in rows for a in range(b) if (keys[a] == keys[b]).any()]


def random_keys(seed: int, rows: int = 60, bands: int = 4, values: int = 25) -> np.ndarray:
    """Keys where buckets of all sizes occur, spread over the whole range, no two bands alike."""
    numbers = np.random.default_rng(seed).integers(0, values, (rows, bands)) * bands + np.arange(bands)
    return (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)


@pytest.mark.parametrize("seed", range(5))
def test_candidates_are_the_pairs_that_share_a_key(seed):
    keys = random_keys(seed)
    assert candidates(keys).pairs.tolist() == brute_pairs(keys)


@pytest.mark.parametrize("partitions", [1, 2, 3, 16])
def test_partitions_make_up_the_whole(partitions):
    keys = random_keys(7)
    parts = [candidates(keys, part, partitions).pairs for part in range(partitions)]
    whole = union((candidates(keys, part, partitions) for part in range(partitions)), len(keys))
    assert whole.pairs.tolist() == brute_pairs(keys)
    assert partitions == 1 or max(map(len, parts)) < len(whole.pairs)


def test_the_union_of_parts_adds_up_what_they_missed(monkeypatch):
    monkeypatch.setattr(bands, "MANY", 10)
    keys = random_keys(3, values=6)
    parts = [candidates(keys, part, 4, bucket=3) for part in range(4)]
    whole, once = union(parts, len(keys)), candidates(keys, bucket=3)
    assert np.array_equal(whole.pairs, once.pairs)
    assert np.array_equal(whole.missed, once.missed)
    assert whole.overflow > 0


def test_a_full_bucket_pairs_with_its_first_rows_and_counts_the_rest():
    found = candidates(np.zeros((5, 1), np.uint64), bucket=2)
    assert found.pairs.tolist() == [[0, 1], [0, 2], [1, 2], [0, 3], [1, 3], [0, 4], [1, 4]]
    assert found.missed.tolist() == [0, 0, 0, 1, 2]
    assert found.overflow == 10 - 7


def test_no_rows_have_no_candidates():
    assert candidates(np.empty((0, 3), np.uint64)).pairs.shape == (0, 2)


def test_band_keys_are_equal_just_where_bands_are():
    rows = np.array([[1, 2, 3, 4], [1, 2, 3, 5], [3, 4, 1, 2]], np.uint32)
    keys = band_keys(rows, 2, 2)
    assert keys[0, 0] == keys[1, 0]
    assert len(set(keys.ravel().tolist())) == 5, "the same rows in another band are another key"


def test_more_bands_than_permutations_are_refused():
    with pytest.raises(ValueError, match="15 bands of 8"):
        band_keys(np.zeros((1, 112), np.uint32), 15, 8)


def test_estimates_come_near_the_truth():
    words = [f"w{i}" for i in range(400)]
    some = [" ".join(words), " ".join(words[:-40])]
    rows = sign(some, Signing())
    true = jaccard(shingles(some[0], 5), shingles(some[1], 5))
    pairs = np.array([[0, 1], [0, 0]])
    assert estimates(sketches(rows), pairs, 112) == pytest.approx([true, 1], abs=0.15)


@given(st.integers(1, 40), st.integers(0, 5))
def test_estimates_count_the_values_whose_low_bits_agree(num_perm, seed):
    rows = np.random.default_rng(seed).integers(0, 2**32, (4, num_perm)).astype(np.uint32)
    rows[1] = np.where(np.arange(num_perm) % 2, rows[0], rows[1])
    pairs = np.array([[0, 1], [1, 2], [0, 3], [2, 3]])
    agree = [float((rows[a] % 16 == rows[b] % 16).mean()) for a, b in pairs]
    assert estimates(sketches(rows), pairs, num_perm) == pytest.approx(
        [max(0, (16 * share - 1) / 15) for share in agree]
    )


# --- matches


@pytest.mark.parametrize(
    ("found", "slots", "label"),
    [
        (Overlap(80, 90, 90), None, "same"),
        (Overlap(80, 90, 90), ("May", "June"), "same"),
        (Overlap(45, 50, 90), None, "contained"),
        (Overlap(45, 50, 90), ("May", "June"), "related"),
        (Overlap(75, 100, 100), None, "related"),
        (Overlap(10, 100, 100), None, None),
    ],
)
def test_what_an_overlap_means(found, slots, label):
    made = match("a", "b", found, slots)
    assert (made and made.label) == label


@pytest.mark.parametrize(
    ("a", "b", "slots"),
    [
        ("A pier on March 4", "A pier on April 4", ("March", "April")),
        ("Room 12 opens", "Room 13 opens", ("12", "13")),
        ("le 3 mai, à Lyon", "le 3 juin, à Lyon", ("mai", "juin")),
        ("A pier", "A pier on April 4, 2020", None),
        ("A wet pier", "A dry pier", None),
        ("A PIER IN MARCH, SEEN FROM AFAR", "A PIER IN APRIL, SEEN FROM NEARBY", ("MARCH", "APRIL")),
        ("A PIER SEEN FROM AFAR", "A PIER SEEN FROM NEARBY", None),
        ("in room 7 again", "rooms 17 and 71, room 3", ("7", "17")),
        ("in room 7 again", "rooms 17 and 71, room (7)", None),
        ("Ada stood there", "ada's pier, and Adam's", None),
    ],
)
def test_slots(a, b, slots):
    assert slot_conflict(a, b) == slots
