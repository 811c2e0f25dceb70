"""How fast texts are signed and copies found, and how rightly, against peers; what the index costs.

    python benchmarks/repetition.py [folder of WCXB ground truth] [--documents 20000] [--index 1000000]
                                    [--only signing|copies|index]

Writes ``results/repetition.md``, ``.json`` and plots. All times are CPU seconds of one process: the best of
several rounds for signing, the median of three for the whole way (datasketch's, which takes long, once).

*Copies*: the corpus is made of real page texts, cut to windows, of which some are perturbed into copies, and of
templated pages (weather, match reports, product sheets) that differ in their numbers and names. The truth is
exact: every pair of documents with a Jaccard similarity of word-5 shingles of at least 0.8, found by a
prefix-filter join.

*Index*: random signatures, a quarter of them made from an earlier one by keeping a share of its values, so that
pairs at all similarities from 0.4 to 1 are in it. What is added is measured in a process of its own, from
opening the index to its manifest: new texts taken up, all pairs of the corpus that share a band proposed, what
is known of them looked up, new facts kept. Reading and measuring texts is not part of it: that is in *copies*.

Peers that are not installed are named as such: ``pip install rensa mmh3 datatrove tokenizers nltk``
brings them.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import json
import platform
import random
import resource
import subprocess
import sys
import tempfile
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

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from cleancopy.minhash import Overlap, Signing, estimates, normalise, shingles, sign, slot_conflict, warm_up
from cleancopy.policy import DuplicatePolicy
from cleancopy.stages.duplicates import Candidate, DuplicateSet, Fact, find_duplicates, signing
from cleancopy.store import dedup_index, index_files

SHARED = Path(__file__).resolve().parents[2] / "shared"
WCXB = SHARED / "corpora" / "wcxb" / "ground-truth"
RESULTS = Path(__file__).resolve().parent / "results"
PEERS = {
    "rensa": "rensa R-MinHash matrix (other bits)",
    "datatrove": "datatrove hasher (sha1, other bits)",
    "mmh3": "datasketch bulk (mmh3)",
}
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
    positions: dict[int, list[int]] = defaultdict(list)
    found: dict[tuple[int, int], float] = {}
    for right, one in enumerate(sets):
        prefix = sorted(rank[s] for s in one)[: len(one) - ceil(threshold * len(one)) + 1]
        for left in {left for token in prefix for left in positions[token]}:
            shared = len(sets[left] & one)
            similarity = shared / (len(sets[left]) + len(one) - shared)
            if similarity >= threshold:
                found[left, right] = similarity
        for token in prefix:
            positions[token].append(right)
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
        found[PEERS["mmh3"]] = lambda texts: MinHash.bulk(
            [grams(text, how.shingle) for text in texts],
            num_perm=how.num_perm,
            hashfunc=lambda data: mmh3.hash(data, 0, False),
        )
    if importlib.util.find_spec("rensa"):
        rensa = importlib.import_module("rensa")
        found[PEERS["rensa"]] = lambda texts: rensa.RMinHash.digest_matrix_from_token_byte_sets(
            [grams(text, how.shingle) for text in texts], how.num_perm, how.seed
        )
    if importlib.util.find_spec("datatrove") and importlib.util.find_spec("tokenizers"):
        found[PEERS["datatrove"]] = datatrove_signer(how)
    return found


def datatrove_signer(how: Signing) -> Callable[[Sequence[str]], object]:
    """datatrove's hasher on its own, with its own normal form, splitting words at spaces (no spaCy)."""
    minhash = importlib.import_module("datatrove.pipeline.dedup.minhash")
    sha1 = importlib.import_module("datatrove.utils.hashing").HashConfig(precision=32, hash_fc="sha1")
    config = minhash.MinhashConfig(
        n_grams=how.shingle, num_buckets=how.num_perm // 8, hashes_per_bucket=8, hash_config=sha1
    )
    tokenizer = importlib.import_module("datatrove.utils.word_tokenizers").WordTokenizer
    split = {name: lambda self, text: text.split() for name in tokenizer.__abstractmethods__}
    words = type("Words", (tokenizer,), split)()
    hasher = minhash.MinhashDedupSignature("unused", config=config, language=words)
    return lambda texts: [hasher.get_signature(hasher.get_shingles(text)) for text in texts]


def measure_signing(texts: Sequence[str]) -> dict[str, Any]:
    """Texts that are signed in a CPU second, by what is signed and by whom."""
    captions = [w for w in windows(texts, 35) if w][:20_000]
    found: dict[str, Any] = {"missing": [name for name in PEERS if not importlib.util.find_spec(name)]}
    for what, inputs, how in (
        ("500-word documents, word-5, 112 values", windows(texts, 500)[:2000], Signing()),
        ("35-word captions, word-3, 112 values", captions, Signing(shingle=3)),
    ):
        rates = {
            name: rate(f, inputs if "cleancopy" in name else inputs[:1000]) for name, f in signers(how).items()
        }
        given = [grams(text, how.shingle) for text in inputs[:1000]]
        bulk = partial(MinHash.bulk, num_perm=how.num_perm)
        rates["datasketch bulk (sha1), shingles given"] = rate(bulk, given)
        found[what] = {name: round(value) for name, value in rates.items()}
    return found


# --- the whole way


def with_cleancopy(pages: Sequence[Page], policy: DuplicatePolicy) -> DuplicateSet:
    """Sign everything, decide with verification."""
    texts = [page.text for page in pages]
    rows = sign(texts, signing(policy))
    documents = [
        Candidate(f"{i:06d}", sha256(text.encode()).hexdigest(), text.count(" ") + 1, None, False, rows[i])
        for i, text in enumerate(texts)
    ]
    return find_duplicates(documents, partial(texts_of, texts), policy)


def with_lsh(pages: Sequence[Page], policy: DuplicatePolicy, verify: bool) -> dict[int, int]:
    """The copy and its keeper for each page that datasketch's LSH finds, verified with shingle sets or not."""
    lsh = MinHashLSH(threshold=policy.jaccard, num_perm=policy.num_perm)
    sets = [set(grams(page.text, policy.shingle)) for page in pages]
    keepers: dict[int, int] = {}
    for right, signature in enumerate(MinHash.generator(sets, num_perm=policy.num_perm)):
        for left in sorted(lsh.query(signature)):
            shared = len(sets[left] & sets[right]) if verify else 0
            if not verify or shared >= policy.jaccard * (len(sets[left]) + len(sets[right]) - shared):
                keepers[right] = left
                break
        else:
            lsh.insert(right, signature)
    return keepers


def timed(make: Callable[[], Any], rounds: int) -> tuple[Any, float]:
    """What a function gives, and the median CPU seconds of so many rounds."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        made = make()
        seconds.append(time.process_time() - start)
    return made, median(seconds)


def measure_copies(texts: Sequence[str], count: int) -> dict[str, Any]:
    """Time, precision and recall of the whole way, for cleancopy and datasketch's LSH."""
    policy = DuplicatePolicy()
    pages = corpus(texts, count)
    truth = true_pairs([shingles(page.text, policy.shingle) for page in pages], policy.jaccard)
    gc.collect()
    gc.freeze()  # the corpus and the truth are no part of what is measured
    decision, ours = timed(lambda: with_cleancopy(pages, policy), 3)
    found = {int(d.doc_id): int(d.keeper) for d in decision.duplicates}
    near = {int(d.doc_id): int(d.keeper) for d in decision.duplicates if d.rule != "contained"}
    ways = {"cleancopy": judged(ours, found, near, truth, pages)}
    for name, verify in (("datasketch LSH", False), ("datasketch LSH, verified", True)):
        theirs, seconds = timed(partial(with_lsh, pages, policy, verify), 1)
        ways[name] = judged(seconds, theirs, theirs, truth, pages)
    vetoed = [copy for copy, keeper in near.items() if slot_conflict(pages[copy].text, pages[keeper].text)]
    return {
        "documents": count,
        "pairs": len(truth),
        "overflow": decision.overflow,
        "ways": ways,
        "veto": {
            "near": len(near),
            "kept": len(vetoed),
            "templated": sum(pages[i].kind == "template" for i in vetoed),
        },
        "again": measure_again(pages, policy, decision),
    }


def measure_again(pages: Sequence[Page], policy: DuplicatePolicy, first: DuplicateSet) -> dict[str, Any]:
    """What the same decision costs with an index that knows all texts but the last hundred."""
    texts = [page.text for page in pages]
    documents = [
        Candidate(f"{i:06d}", sha256(text.encode()).hexdigest(), text.count(" ") + 1, None, False)
        for i, text in enumerate(texts)
    ]
    rows = sign(texts, signing(policy))
    digests = [document.text_sha256 for document in documents]
    with tempfile.TemporaryDirectory() as folder:

        def run(count: int) -> DuplicateSet:
            known = dedup_index.add(
                dedup_index.load(Path(folder), signing(policy)), digests[:count], rows[:count]
            )
            propose = partial(dedup_index.propose, known)
            decision = find_duplicates(documents[:count], partial(texts_of, texts), policy, propose)
            dedup_index.commit(known, decision.measured)
            return decision

        run(len(texts) - 100)
        last, seconds = timed(lambda: run(len(texts)), 1)
        size = dedup_index.load(Path(folder), signing(policy)).size
    same = last.duplicates == first.duplicates
    return {"seconds": seconds, "measured": len(last.measured), "same": same, "bytes": size / len(texts)}


def texts_of(texts: Sequence[str], ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The texts whose numbers are the ids."""
    return ((doc_id, texts[int(doc_id)]) for doc_id in ids)


def judged(
    seconds: float,
    found: dict[int, int],
    by_jaccard: dict[int, int],
    truth: dict[tuple[int, int], float],
    pages: Sequence[Page],
) -> dict[str, float]:
    """How right a way is: a pair counts as found when one of its two documents is gone.

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
    return {
        "seconds": round(seconds, 2),
        "copies": len(found),
        "precision": round(right_ones / max(1, len(found)), 4),
        "recall": round(gone / max(1, len(truth)), 4),
        "traps": traps,
    }


# --- the index

ADDED = 10_000
CHUNK = 50_000


def invented(first: int, count: int) -> tuple[list[str], NDArray[np.uint32]]:
    """Digests and signatures of so many texts that never were; a quarter are like an earlier one."""
    chance = np.random.default_rng(first)
    rows = chance.integers(0, 1 << 32, (count, 112), dtype=np.uint32)
    copies = np.flatnonzero(chance.random(count) < 0.25)[1:]
    models = (chance.random(len(copies)) * copies).astype(np.int64)
    for copy, model, share in zip(copies, models, chance.uniform(0.4, 1, len(copies)), strict=True):
        kept = chance.random(112) < share
        rows[copy, kept] = rows[model, kept]
    return [sha256(str(first + i).encode()).hexdigest() for i in range(count)], rows


def facts(known: index_files.Index, start: int) -> dict[tuple[str, str], Fact]:
    """Facts of the pairs that match and of which the later text has at least the number ``start``."""
    digests = [digest.hex() for digest in known.digests.to_pylist()]
    proposed = dedup_index.propose(known, [Candidate(d, d, 500, None, False) for d in digests])
    pairs = proposed.found.pairs[proposed.found.pairs[:, 1] >= start]
    alike = estimates(proposed.sketched, pairs, 112)
    pairs, alike = pairs[alike >= 0.63], alike[alike >= 0.63]
    shared = np.rint(1000 * alike / (1 + alike)).astype(int)
    return {
        (digests[a], digests[b]): Fact(Overlap(int(share), 500, 500))
        for (a, b), share in zip(pairs.tolist(), shared, strict=True)
    }


def measure_index(most: int) -> dict[str, Any]:
    """Bytes a text, and CPU seconds and memory to add ``ADDED`` texts, at several sizes; DuckDB at the last."""
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        size, kept, built = 0, 0, 0.0
        for goal in sorted({most // 10, most // 4, most // 2, most}):
            known = dedup_index.load(Path(folder), Signing())
            while size < goal:
                digests, rows = invented(size, min(CHUNK, goal - size))
                start = time.process_time()
                known = dedup_index.add(known, digests, rows)
                built += time.process_time() - start
                size += len(digests)
            known = dedup_index.commit(known, facts(known, kept))
            kept = size
            line = {"texts": size, "bytes": round(known.size / size, 1), "files": len(known.bands)}
            found.append(line | added(folder, size, commit=False))
        last = found.pop()
        return {
            "sizes": [*found, last],
            "added": added(folder, size, commit=True),
            "build": round(built, 1),
            "duckdb": measure_duckdb(dedup_index.load(Path(folder), Signing())),
        }


def added(folder: str, size: int, *, commit: bool) -> dict[str, float]:
    """What adding texts costs, in a process of its own."""
    command = [sys.executable, __file__, "--add", folder, str(size), str(int(commit))]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    numbers: dict[str, float] = json.loads(said)
    return numbers


def add_and_tell(folder: str, size: int, commit: bool) -> None:
    """Add texts to an index and say what it cost; the texts and their documents are there before."""
    digests, rows = invented(size + 10_000_000, ADDED)
    before = [digest.hex() for digest in dedup_index.load(Path(folder), Signing()).digests.to_pylist()]
    documents = [Candidate(d, d, 500, None, False) for d in [*before, *digests]]
    gc.collect()
    gc.freeze()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    marks = [time.process_time()]
    known = dedup_index.add(dedup_index.load(Path(folder), Signing()), digests, rows)
    marks.append(time.process_time())
    everyone = np.arange(len(known.digests))
    parts = known.partitions
    pairs = [len(dedup_index.candidates(known, everyone, part, parts).pairs) for part in range(parts)]
    marks.append(time.process_time())
    if commit:
        dedup_index.commit(known, {})
    marks.append(time.process_time())
    proposed = dedup_index.propose(known, documents)
    marks.append(time.process_time())
    steps = dict(zip(("add", "candidates", "commit", "propose"), np.diff(marks).round(3).tolist(), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            steps
            | {
                "seconds": round(marks[3] - marks[0], 3),
                "pairs": len(proposed.found.pairs),
                "met": sum(pairs),
                "known": len(proposed.facts),
                "peak_mb": peak // 1000,
                "base_mb": base // 1000,
            }
        )
    )


def measure_duckdb(known: index_files.Index) -> dict[str, float] | None:
    """CPU seconds in which DuckDB finds, in the same files, the keys that several texts share."""
    if not importlib.util.find_spec("duckdb"):
        return None
    duckdb = importlib.import_module("duckdb")
    files = [str(known.folder / file.name) for file in known.bands]
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.execute("set memory_limit = '1GB'")
    queries = {
        "shared keys": "select count(*) from "
        "(select key from read_parquet(?) group by key having count(*) > 1)",
        "shared keys with their texts": "select count(*), sum(text) from "
        "(select key, text from read_parquet(?) qualify count(*) over (partition by key) > 1)",
    }
    seconds = {}
    for name, query in queries.items():
        _, seconds[name] = timed(partial(lambda q: connection.execute(q, [files]).fetchall(), query), 1)
    return {name: round(value, 2) for name, value in seconds.items()}


# --- what is written


def report(measured: dict[str, Any]) -> str:
    """All that was measured, as Markdown."""
    lines = [
        "# Repetition: signing, copies, index",
        "",
        "CPU seconds of one process; made by `make bench-repetition`. " + measured["versions"],
    ]
    if "signing" in measured:
        lines += signing_lines(measured["signing"])
    if "copies" in measured:
        lines += copies_lines(measured["copies"])
    if "index" in measured:
        lines += index_lines(measured["index"])
    return "\n".join(lines) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, all columns but the first to the right."""
    cells = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return ["", *("| " + " | ".join(row) + " |" for row in cells), ""]


def signing_lines(found: dict[str, Any]) -> list[str]:
    lines = ["", "## Signing", "", "![Signing](repetition-signing.png)"]
    for what, rates in found.items():
        if what == "missing":
            continue
        ours = next(iter(rates.values()))
        rows = [[name, f"{value:,}", f"{ours / value:.1f} x"] for name, value in rates.items()]
        lines += table([what, "texts a second", "cleancopy against it"], rows)
    if found["missing"]:
        lines += [f"Not installed here, and not measured: {', '.join(found['missing'])}."]
    return lines


def copies_lines(found: dict[str, Any]) -> list[str]:
    ours = found["ways"]["cleancopy"]["seconds"]
    rows = [
        [
            name,
            f"{way['seconds']:.2f}",
            f"{way['seconds'] / ours:.1f} x",
            f"{way['copies']:,}",
            f"{way['precision']:.4f}",
            f"{way['recall']:.4f}",
            str(way["traps"]),
        ]
        for name, way in found["ways"].items()
    ]
    again, veto = found["again"], found["veto"]
    return [
        "",
        f"## Copies among {found['documents']:,} documents",
        "",
        f"{found['pairs']:,} pairs have a Jaccard similarity of 0.8 or more. Recall: pairs of which one is "
        "gone. Traps: templated pages removed that are no copies. Pairs left out of full bands: "
        f"{found['overflow']}.",
        "",
        "![Copies](repetition-copies.png)",
        *table(["", "seconds", "", "copies", "precision", "pair recall", "traps removed"], rows),
        "With an index that knows all texts but the last hundred, the decision takes "
        f"{again['seconds']:.2f} s, signing and digests apart, and measures {again['measured']} pairs; it "
        f"is {'the same' if again['same'] else 'ANOTHER ONE'}. That index takes {again['bytes']:.0f} bytes a "
        "document, what is known of pairs included.",
        "",
        f"A slot veto on near copies would keep {veto['kept']:,} of {veto['near']:,}, {veto['templated']} of "
        "them templated: it is not applied to them.",
    ]


def index_lines(found: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"{line['texts']:,}",
            f"{line['bytes']:.0f}",
            f"{line['seconds']:.2f}",
            f"{line['propose']:.2f}",
            f"{line['pairs']:,}",
            f"{line['peak_mb']:,} ({line['base_mb']:,})",
        ]
        for line in found["sizes"]
    ]
    last = found["added"]
    lines = [
        "",
        "## Index",
        "",
        "![Index](repetition-index.png)",
        *table(
            ["texts", "bytes a text", f"{ADDED:,} more: s", "proposing to a decision: s", "pairs", "peak MB"],
            rows,
        ),
        "Adding is: open the index, take the texts up, find all pairs of the corpus that share a band, over "
        "all partitions. A decision asks for these pairs by its documents' rows, with sketches and what is "
        "known of the pairs: that is the next column. In brackets the memory before, mostly the documents.",
        "",
        f"To the end, with its manifest on the disk, adding {ADDED:,} to {found['sizes'][-1]['texts']:,} takes "
        f"{last['seconds']:.2f} s ({last['add']:.2f} taking up, {last['candidates']:.2f} finding pairs, "
        f"{last['commit']:.2f} manifest). Taking up all texts took {found['build']:.1f} s.",
    ]
    if found["duckdb"]:
        said = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found["duckdb"].items())
        lines += ["", f"DuckDB in the same files, on one thread with 1 GB: {said}."]
    return lines


def plot(measured: dict[str, Any]) -> None:
    """The plots beside the report."""
    importlib.import_module("matplotlib").use("Agg")
    plt = importlib.import_module("matplotlib.pyplot")
    if "signing" in measured:
        whats = [what for what in measured["signing"] if what != "missing"]
        figure, axes = plt.subplots(1, len(whats), figsize=(12, 3.2), sharey=True, layout="constrained")
        for axis, what in zip(axes, whats, strict=True):
            rates = measured["signing"][what]
            bars = axis.barh(
                list(rates), list(rates.values()), color=["#1f77b4", *["#999999"] * (len(rates) - 1)]
            )
            axis.bar_label(bars, [f"{value:,}" for value in rates.values()], padding=3)
            axis.set(xscale="log", title=what, xlabel="texts a CPU second")
            axis.margins(x=0.25)
        axes[0].invert_yaxis()
        figure.savefig(RESULTS / "repetition-signing.png", dpi=120)
    if "copies" in measured:
        ways = measured["copies"]["ways"]
        figure, axis = plt.subplots(figsize=(8, 2.2), layout="constrained")
        bars = axis.barh(
            list(ways), [way["seconds"] for way in ways.values()], color=["#1f77b4", "#999999", "#999999"]
        )
        said = [
            f"{w['seconds']:.1f} s, precision {w['precision']:.4f}, recall {w['recall']:.4f}"
            for w in ways.values()
        ]
        axis.bar_label(bars, said, padding=3)
        axis.set(xlabel=f"CPU seconds for {measured['copies']['documents']:,} documents")
        axis.margins(x=0.6)
        axis.invert_yaxis()
        figure.savefig(RESULTS / "repetition-copies.png", dpi=120)
    if "index" in measured:
        sizes = measured["index"]["sizes"]
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
        texts = [line["texts"] for line in sizes]
        left.plot(texts, [line["seconds"] for line in sizes], marker="o")
        left.axhline(2, color="#d62728", linestyle=":")
        left.set(
            title=f"adding {ADDED:,} texts", xlabel="texts in the index", ylabel="CPU seconds", ylim=(0, 2.2)
        )
        right.plot(texts, [line["bytes"] for line in sizes], marker="o")
        right.axhline(210, color="#d62728", linestyle=":")
        right.set(title="size", xlabel="texts in the index", ylabel="bytes a text", ylim=(0, 230))
        figure.savefig(RESULTS / "repetition-index.png", dpi=120)


def versions() -> str:
    """What it was measured with."""
    names = ["numpy", "datasketch", "pyarrow", *(name for name in PEERS if importlib.util.find_spec(name))]
    metadata = importlib.import_module("importlib.metadata")
    said = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return f"Python {platform.python_version()} on {platform.machine()}, {said}."


def main() -> None:
    """Measure, print the report, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=WCXB, help="WCXB ground truth, one JSON a page")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--index", type=int, default=1_000_000, help="texts in the index")
    parser.add_argument("--only", choices=("signing", "copies", "index"))
    parser.add_argument("--add", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.add:
        add_and_tell(options.add[0], int(options.add[1]), options.add[2] == "1")
        return
    texts = page_texts(options.folder)
    if not texts and options.only != "index":
        raise SystemExit(f"{options.folder} has no *.json: give the folder of WCXB ground truth")
    start = time.process_time()
    kernel = "compiled" if warm_up() else "not here, numpy in its place"
    about = f"{versions()} Kernel: {kernel}, {time.process_time() - start:.1f} s to load."
    written = RESULTS / "repetition.json"
    measured = json.loads(written.read_text()) if options.only and written.exists() else {}
    measured["versions"] = about
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "signing": lambda: measure_signing(texts),
        "index": lambda: measure_index(options.index),
        "copies": lambda: measure_copies(texts, options.documents),
    }
    for name, measure in parts.items():
        if options.only in (None, name):
            measured[name] = measure()
            print(f"{name}: measured", file=sys.stderr, flush=True)
    RESULTS.mkdir(exist_ok=True)
    written.write_text(json.dumps(measured, indent=1) + "\n")
    (RESULTS / "repetition.md").write_text(report(measured))
    plot(measured)
    print(report(measured))


if __name__ == "__main__":
    main()
