"""How fast texts are signed and copies found, and how rightly, against datasketch and rensa where installed.

    python benchmarks/repetition.py [folder of WCXB ground truth] [--documents 20000]

All times are CPU seconds of this one process: the best of several rounds for signing, the median of three for
the whole way (datasketch's, which takes long, once). The corpus is made of
real page texts, cut to windows, of which some are perturbed into copies, and of templated pages (weather,
match reports, product sheets) that differ in their numbers and names. The truth is exact: every pair of
documents with a Jaccard similarity of word-5 shingles of at least 0.8, found by a prefix-filter join.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from datasketch import MinHash, MinHashLSH

from cleancopy.policy import DuplicatePolicy
from cleancopy.repetition import Signing, normalise, shingles, sign, slot_conflict, warm_up
from cleancopy.stages.duplicates import Candidate, Decision, decide, signing

SHARED = Path(__file__).resolve().parents[2] / "shared"
WCXB = SHARED / "corpora" / "wcxb" / "ground-truth"
PERSONS = (
    "Alder",
    "Birch",
    "Cedar",
    "Elm",
    "Fir",
    "Hazel",
    "Juniper",
    "Larch",
    "Maple",
    "Oak",
    "Pine",
    "Rowan",
)
PLACES = ("Northford", "Eastham", "Westby", "Southwick", "Midvale", "Lakeside", "Hillcrest", "Bayview")
SKIES = ("sunny", "cloudy", "rainy", "windy", "foggy", "stormy", "hazy", "clear", "snowy", "humid")


# --- the corpus


@dataclass(frozen=True, slots=True)
class Page:
    """One text, what it was made from and how."""

    text: str
    family: int
    kind: str


def page_texts(folder: Path) -> list[str]:
    """The main texts of the WCXB pages, in the order of their ids."""
    texts = []
    for path in sorted(folder.glob("*.json")):
        truth = json.loads(path.read_text(encoding="utf-8")).get("ground_truth") or {}
        texts.append(truth.get("main_content") or "")
    return texts


def windows(texts: Sequence[str], size: int) -> list[str]:
    """All the texts' words in order, cut into runs of one size."""
    words = [word for text in texts for word in text.split()]
    return [" ".join(words[i : i + size]) for i in range(0, len(words) - size, size)]


def corpus(texts: Sequence[str], count: int, seed: int = 0) -> list[Page]:
    """So many pages: four in ten alone, four in ten of a family of copies, two in ten templated."""
    rng = random.Random(seed)
    words = [word for text in texts for word in text.split()]
    pages: list[Page] = []
    position, family = 0, 0
    while len(pages) < count * 8 // 10:
        size = rng.choice((100, 200, 300, 500, 800, 1200))  # the pages themselves: median 1,100 words
        if position + size > len(words):  # a second pass takes the words in other runs
            words = [word for text in rng.sample(texts, len(texts)) for word in shuffled(text, rng)]
            position = 0
        base = words[position : position + size]
        position += size
        pages.append(Page(" ".join(base), family, "base"))
        if rng.random() < 0.35:
            for _ in range(rng.choice((1, 1, 1, 2, 2, 4, 8))):
                kind = rng.choice(tuple(CHANGES))
                pages.append(Page(" ".join(CHANGES[kind](list(base), rng)), family, kind))
        family += 1
    while len(pages) < count:
        pages += [Page(text, family, "template") for text in templated(rng)]
        family += 1
    rng.shuffle(pages)
    return pages[:count]


def shuffled(text: str, rng: random.Random) -> list[str]:
    """The text's words in runs of four, the runs in another order: real words, new shingles."""
    words = text.split()
    runs = [words[i : i + 4] for i in range(0, len(words), 4)]
    rng.shuffle(runs)
    return [word for run in runs for word in run]


def edited(words: list[str], rng: random.Random, share: float) -> list[str]:
    """The words with about that share of them replaced."""
    for i in rng.sample(range(len(words)), max(1, round(share * len(words)))):
        words[i] = f"{rng.choice(SKIES)}{rng.randrange(100)}"
    return words


def boilerplate(rng: random.Random, size: int) -> list[str]:
    """Words that stand for what a site puts around a text."""
    return [f"{rng.choice(SKIES)}-{rng.randrange(1000)}" for _ in range(size)]


CHANGES: dict[str, Callable[[list[str], random.Random], list[str]]] = {
    "same": lambda w, _: w,
    "case and punctuation": lambda w, _: [x.upper().replace(",", ";") for x in w],
    "typographic quotes": lambda w, _: [x.replace("'", "’").replace('"', "“") for x in w],
    "edited 0.5 %": lambda w, rng: edited(w, rng, 0.005),
    "edited 1 %": lambda w, rng: edited(w, rng, 0.01),
    "edited 2 %": lambda w, rng: edited(w, rng, 0.02),
    "edited 3 %": lambda w, rng: edited(w, rng, 0.03),
    "edited 6 %": lambda w, rng: edited(w, rng, 0.06),
    "cut 5 %": lambda w, _: w[: ceil(len(w) * 0.95)],
    "cut 15 %": lambda w, _: w[: ceil(len(w) * 0.85)],
    "cut 30 %": lambda w, _: w[: ceil(len(w) * 0.7)],
    "framed 10 %": lambda w, rng: boilerplate(rng, len(w) // 20) + w + boilerplate(rng, len(w) // 20),
    "framed 30 %": lambda w, rng: w + boilerplate(rng, len(w) * 3 // 10),
}


def templated(rng: random.Random) -> Iterator[str]:
    """Pages of one template that differ in every number and name, from loose to tight templates."""
    shape = rng.choice((weather, match_report, product_sheet))
    fixed = rng.choice((0, 20, 60, 100))
    common = " ".join(boilerplate(rng, fixed))
    for _ in range(rng.choice((3, 6, 12, 40))):
        yield f"{shape(rng)} {common}"


def weather(rng: random.Random) -> str:
    days = " ".join(
        f"On day {day} expect {rng.choice(SKIES)} skies over {rng.choice(PLACES)} with a high of "
        f"{rng.randrange(-9, 39)} degrees and winds from the north at {rng.randrange(90)} km per hour."
        for day in range(1, 8)
    )
    return f"Weather in {rng.choice(PLACES)} on {rng.randrange(1, 29)} May {rng.randrange(1990, 2030)}. {days}"


def match_report(rng: random.Random) -> str:
    goals = " ".join(
        f"In minute {rng.randrange(1, 90)} {rng.choice(PERSONS)} of {rng.choice(PLACES)} scored with a fine "
        f"shot from {rng.randrange(5, 40)} metres after a pass by {rng.choice(PERSONS)}."
        for _ in range(6)
    )
    return (
        f"{rng.choice(PLACES)} and {rng.choice(PLACES)} met before a crowd of {rng.randrange(99999)}. {goals} "
        f"The next match of the season is against {rng.choice(PLACES)} at the ground of the home side."
    )


def product_sheet(rng: random.Random) -> str:
    return (
        f"Model {rng.choice(PERSONS)} {rng.randrange(9999)} is a pump for house and garden that "
        f"reaches {rng.randrange(99)} metres. It moves {rng.randrange(9999)} litres an hour, needs "
        f"{rng.randrange(999)} watts and weighs {rng.randrange(99)} kilograms. The box holds the pump, a hose "
        f"of {rng.randrange(30)} metres and a manual in {rng.randrange(30)} languages. Please read the manual "
        f"before you first use the pump, keep children away from it and never let it run dry. Order number "
        f"{rng.randrange(99999)}."
    )


# --- the truth


def true_pairs(sets: Sequence[frozenset[str]], threshold: float) -> dict[tuple[int, int], float]:
    """Every pair of sets with at least that Jaccard similarity (prefix filter, Bayardo et al. 2007)."""
    frequency = Counter(shingle for one in sets for shingle in one)
    rank = {shingle: i for i, (shingle, _) in enumerate(sorted(frequency.items(), key=lambda x: (x[1], x[0])))}
    index: dict[int, list[int]] = defaultdict(list)
    found: dict[tuple[int, int], float] = {}
    for right, one in enumerate(sets):
        prefix = sorted(rank[s] for s in one)[: len(one) - ceil(threshold * len(one)) + 1]
        for left in {left for token in prefix for left in index[token]}:
            shared = len(sets[left] & one)
            similarity = shared / (len(sets[left]) + len(one) - shared)
            if similarity >= threshold:
                found[left, right] = similarity
        for token in prefix:
            index[token].append(right)
    return found


# --- signing


def grams(text: str, n: int) -> list[bytes]:
    """A text's word n-grams as datasketch takes them, by the same normal form as ours."""
    words = normalise(text).split(" ")
    return [" ".join(words[i : i + n]).encode() for i in range(max(1, len(words) - n + 1))]


def rate(make: Callable[[Sequence[Any]], object], inputs: Sequence[Any], seconds: float = 2.0) -> float:
    """How many of the inputs a CPU second takes, in the best of the rounds that fit into the time."""
    make(inputs[:20])
    best, began = 0.0, time.process_time()
    while time.process_time() - began < seconds:
        start = time.process_time()
        make(inputs)
        best = max(best, len(inputs) / max(1e-9, time.process_time() - start))
    return best


def signers(how: Signing) -> dict[str, Callable[[Sequence[str]], object]]:
    """What is compared, by name: each takes texts and makes signatures, normal form and shingles included."""
    found: dict[str, Callable[[Sequence[str]], object]] = {
        "cleancopy, this installation": lambda texts: sign(texts, how),
        "datasketch bulk (sha1, its default)": lambda texts: MinHash.bulk(
            [grams(text, how.shingle) for text in texts], num_perm=how.num_perm
        ),
    }
    if importlib.util.find_spec("mmh3"):
        mmh3 = importlib.import_module("mmh3")
        found["datasketch bulk (mmh3)"] = lambda texts: MinHash.bulk(
            [grams(text, how.shingle) for text in texts],
            num_perm=how.num_perm,
            hashfunc=lambda data: mmh3.hash(data, 0, False),
        )
    if importlib.util.find_spec("rensa"):
        rensa = importlib.import_module("rensa")
        found["rensa R-MinHash matrix (other bits)"] = lambda texts: (
            rensa.RMinHash.digest_matrix_from_token_byte_sets(
                [grams(text, how.shingle) for text in texts], how.num_perm, how.seed
            )
        )
    if importlib.util.find_spec("datatrove"):
        found["datatrove hasher (sha1, other bits)"] = datatrove_signer(how)
    return found


def datatrove_signer(how: Signing) -> Callable[[Sequence[str]], object]:
    """datatrove's hasher on its own, given texts in our normal form."""
    minhash = importlib.import_module("datatrove.pipeline.dedup.minhash")
    sha1 = importlib.import_module("datatrove.utils.hashing").HashConfig(precision=32, hash_fc="sha1")
    config = minhash.MinhashConfig(
        n_grams=how.shingle, num_buckets=how.num_perm // 8, hashes_per_bucket=8, hash_config=sha1
    )
    hasher = minhash.MinhashDedupSignature("unused", config=config)
    return lambda texts: [hasher.get_signature(hasher.get_shingles(normalise(text))) for text in texts]


def print_signing(texts: Sequence[str]) -> None:
    """The table of signing rates: 500-word documents and captions."""
    captions = [w for w in windows(texts, 35) if w][:20_000]
    for what, inputs, how in (
        ("500-word documents, word-5 x 112", windows(texts, 500)[:2000], Signing()),
        ("35-word captions, word-3 x 112", captions, Signing(shingle=3)),
    ):
        print(f"\nSigning {len(inputs):,} {what}: texts a CPU second, and cleancopy's ratio")
        rates = {
            name: rate(f, inputs if "cleancopy" in name else inputs[:1000]) for name, f in signers(how).items()
        }
        given = [grams(text, how.shingle) for text in inputs[:1000]]
        bulk = partial(MinHash.bulk, num_perm=how.num_perm)
        rates["datasketch bulk (sha1), shingles given"] = rate(bulk, given)
        ours = next(iter(rates.values()))
        for name, value in rates.items():
            print(f"  {name:<46}{value:>12,.0f}{ours / value:>8.1f} x")


# --- the whole way


def with_cleancopy(pages: Sequence[Page], policy: DuplicatePolicy) -> Decision:
    """Sign everything, decide with verification."""
    texts = [page.text for page in pages]
    rows = sign(texts, signing(policy))
    documents = [
        Candidate(f"{i:06d}", sha256(text.encode()).hexdigest(), text.count(" ") + 1, None, False, rows[i])
        for i, text in enumerate(texts)
    ]
    return decide(documents, lambda doc_id: texts[int(doc_id)], policy)


def with_lsh(pages: Sequence[Page], policy: DuplicatePolicy, verify: bool) -> dict[int, int]:
    """The copy and its keeper for each page that datasketch's LSH finds, verified with shingle sets or not."""
    index = MinHashLSH(threshold=policy.jaccard, num_perm=policy.num_perm)
    sets = [set(grams(page.text, policy.shingle)) for page in pages]
    keepers: dict[int, int] = {}
    for right, signature in enumerate(MinHash.generator(sets, num_perm=policy.num_perm)):
        for left in sorted(index.query(signature)):
            shared = len(sets[left] & sets[right]) if verify else 0
            if not verify or shared >= policy.jaccard * (len(sets[left]) + len(sets[right]) - shared):
                keepers[right] = left
                break
        else:
            index.insert(right, signature)
    return keepers


def timed(make: Callable[[], Any], rounds: int) -> tuple[Any, float]:
    """What a function gives, and the median CPU seconds of so many rounds."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        made = make()
        seconds.append(time.process_time() - start)
    return made, median(seconds)


def print_copies(texts: Sequence[str], count: int) -> None:
    """The table of the whole way: time, precision and recall, for cleancopy and datasketch's LSH."""
    policy = DuplicatePolicy()
    pages = corpus(texts, count)
    truth = true_pairs([shingles(page.text, policy.shingle) for page in pages], policy.jaccard)
    print(f"\nCopies among {count:,} documents; {len(truth):,} pairs at Jaccard {policy.jaccard} or more")
    gc.collect()
    gc.freeze()  # the corpus and the truth are no part of what is measured
    decision, ours = timed(lambda: with_cleancopy(pages, policy), 3)
    found = {int(d.doc_id): int(d.keeper) for d in decision.duplicates}
    by_jaccard = {int(d.doc_id): int(d.keeper) for d in decision.duplicates if d.rule != "contained"}
    print_row("cleancopy", ours, ours, found, by_jaccard, truth, pages)
    for name, verify in (("datasketch LSH", False), ("datasketch LSH, verified", True)):
        theirs, seconds = timed(partial(with_lsh, pages, policy, verify), 1)
        print_row(name, seconds, ours, theirs, theirs, truth, pages)
    print_veto(pages, by_jaccard)


def print_row(
    name: str,
    seconds: float,
    ours: float,
    found: dict[int, int],
    by_jaccard: dict[int, int],
    truth: dict[tuple[int, int], float],
    pages: Sequence[Page],
) -> None:
    """One line: a pair counts as found when one of its two documents is gone.

    Precision: copies that are true pairs with their keeper, or, of those removed as contained, made from the
    same page and no template.
    """
    gone = sum(left in found or right in found for left, right in truth)
    right_ones = sum(
        (min(pair), max(pair)) in truth
        if pair[0] in by_jaccard
        else pages[pair[0]].family == pages[pair[1]].family and pages[pair[0]].kind != "template"
        for pair in found.items()
    )
    traps = sum(
        pages[copy].kind == "template" and (min(copy, k), max(copy, k)) not in truth
        for copy, k in found.items()
    )
    print(
        f"  {name:<26}{seconds:>8.2f} s{seconds / ours:>7.1f} x  copies {len(found):>6,}  "
        f"precision {right_ones / max(1, len(found)):.4f}  pair recall {gone / max(1, len(truth)):.4f}  "
        f"traps removed {traps}"
    )


def print_veto(pages: Sequence[Page], found: dict[int, int]) -> None:
    """What the slot veto would do to copies at or above the Jaccard threshold."""
    vetoed = [copy for copy, keeper in found.items() if slot_conflict(pages[copy].text, pages[keeper].text)]
    templates = sum(pages[copy].kind == "template" for copy in vetoed)
    print(f"  a slot veto on near copies would keep {len(vetoed):,} of {len(found):,}, {templates} templated")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=WCXB, help="WCXB ground truth, one JSON a page")
    parser.add_argument("--documents", type=int, default=20_000)
    options = parser.parse_args()
    texts = page_texts(options.folder)
    if not texts:
        raise SystemExit(f"{options.folder} has no *.json: give the folder of WCXB ground truth")
    start = time.process_time()
    compiled = warm_up()
    took = time.process_time() - start
    print(f"Kernel: {'compiled' if compiled else 'not here: numpy path'}, {took:.2f} CPU s to load or compile")
    print_signing(texts)
    print_copies(texts, options.documents)


if __name__ == "__main__":
    main()
