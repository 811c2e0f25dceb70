"""How rightly two captions are told to be one, on hand-labelled pairs, beside two simple rules.

    python benchmarks/captions.py [pairs.jsonl]

A pair is positive where its label is ``same``. ``keep`` is the share of the rightly found pairs whose fuller
side is named as the label names it. The second table shows what the one threshold does on either half of
the hosts, so that a value chosen on one half can be checked on the other. Times are CPU time of this process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cleancopy.document import Document
from cleancopy.extract.html import read_plain
from cleancopy.minhash import containment, shingles
from cleancopy.policy import CaptionPolicy
from cleancopy.stages.captions.collapse import collapse_captions
from cleancopy.stages.captions.compare import compare_captions

SHARED = Path(__file__).parents[2] / "shared"
RESULTS = Path(__file__).with_name("results")
PAIRS = SHARED / "corpora" / "captions" / "dev.jsonl"
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

Pair = dict[str, Any]
Rule = Callable[[str, str], str | None]


def token_subset(a: str, b: str) -> str | None:
    """One text's words are all in the other's."""
    left, right = set(re.findall(r"\w+", a.lower())), set(re.findall(r"\w+", b.lower()))
    if left == right:
        return "either"
    return "b" if left < right else "a" if right < left else None


def contained(a: str, b: str) -> str | None:
    """Containment of character 4-grams of at least 0.8."""
    if containment(shingles(a, 4, "char"), shingles(b, 4, "char")) < 0.8:
        return None
    return "either" if len(a) == len(b) else "a" if len(a) > len(b) else "b"


def cleancopy(policy: CaptionPolicy) -> Rule:
    """The rule of the stage under a policy."""
    return lambda a, b: compare_captions(a, b, policy).keep


def score(pairs: Sequence[Pair], rule: Rule) -> tuple[float, float, float, int, int]:
    """Precision, recall, share of right keeps, false positives and misses of a rule."""
    found = [(pair, rule(pair["a"], pair["b"])) for pair in pairs]
    said = [(pair, keep) for pair, keep in found if keep]
    right = [(pair, keep) for pair, keep in said if pair["label"] == "same"]
    positive = sum(pair["label"] == "same" for pair in pairs)
    kept = sum(pair["keep"] == keep for pair, keep in right)
    return (
        len(right) / max(1, len(said)),
        len(right) / max(1, positive),
        kept / max(1, len(right)),
        len(said) - len(right),
        positive - len(right),
    )


def half(pair: Pair) -> int:
    """Which half a pair belongs to, by its first host, so that no host is on both sides."""
    return hashlib.sha256(pair["host_a"].encode()).digest()[0] % 2


def print_scores(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The table of the rules by part of the pairs, also as rows."""
    rows: list[dict[str, Any]] = []
    parts = {"all": pairs, "without nested": [pair for pair in pairs if not pair["nested"]]}
    parts |= {f"scope {scope}": [p for p in pairs if p["scope"] == scope] for scope in ("page", "site", "web")}
    rules = {"cleancopy": cleancopy(CaptionPolicy()), "token subset": token_subset, "char-4 >= 0.8": contained}
    print(
        f"{'part':16}{'pairs':>6}  {'rule':14}{'precision':>10}{'recall':>8}{'keep':>7}{'false':>7}{'miss':>6}"
    )
    for name, part in parts.items():
        for rule_name, rule in rules.items():
            p, r, keep, false, missed = score(part, rule)
            print(f"{name:16}{len(part):6}  {rule_name:14}{p:10.3f}{r:8.3f}{keep:7.3f}{false:7}{missed:6}")
            counts = {"part": name, "pairs": len(part), "rule": rule_name, "false": false, "missed": missed}
            rows.append(counts | {"precision": round(p, 4), "recall": round(r, 4), "keep": round(keep, 4)})
    return rows


def print_threshold(pairs: Sequence[Pair]) -> None:
    """Precision and recall on each half of the hosts by containment threshold."""
    print(f"\n{'containment':12}{'half 0':>16}{'half 1':>16}")
    for threshold in THRESHOLDS:
        rule = cleancopy(CaptionPolicy(containment=threshold))
        scores = [score([pair for pair in pairs if half(pair) == side], rule) for side in (0, 1)]
        print(f"{threshold:<12}" + "".join(f"{p:9.3f} {r:6.3f}" for p, r, *_ in scores))


def milliseconds(text: str, rounds: int = 20) -> float:
    """The CPU time of the stage on a plain text."""
    page = read_plain(text)
    document = Document("benchmark", page.text, page.blocks)
    start = time.process_time()
    for _ in range(rounds):
        collapse_captions(document, CaptionPolicy())
    return (time.process_time() - start) / rounds * 1000


def print_costs(pairs: Sequence[Pair]) -> None:
    """What a pair and some pages cost."""
    start = time.process_time()
    for pair in pairs:
        compare_captions(pair["a"], pair["b"])
    print(f"\na pair {(time.process_time() - start) / len(pairs) * 1e6:.0f} us")
    prose = (
        "The council said that the road along the river will be closed for the winter, as in every year. " * 3
    )
    near = "Paragraph {} says that the harbour of the town was closed on that Monday for repairs.{}"
    pages = {
        "200 paragraphs of prose": "\n\n".join(f"{i} {prose}" for i in range(200)),
        "20,000 near-equal paragraphs": "\n\n".join(near.format(i, "") for i in range(20_000)),
        "20,000 near-equal, each with a credit": "\n\n".join(
            near.format(i, " Photo: A. Vero") for i in range(20_000)
        ),
        "one line of 5 MB": "Photo by Ana Vero " * 280_000,
    }
    for name, text in pages.items():
        print(f"{name:40}{milliseconds(text, 20 if len(text) < 100_000 else 1):10.2f} ms")


def write(rows: Sequence[dict[str, Any]]) -> None:
    """The table as Markdown and JSON, in ``benchmarks/results``."""
    RESULTS.mkdir(exist_ok=True)
    names = ("part", "pairs", "rule", "precision", "recall", "keep", "false", "missed")
    lines = ["# Captions: which pairs are one", "", f"| {' | '.join(names)} |", "|---|---:|---|" + "---:|" * 5]
    lines += [f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows]
    (RESULTS / "captions.md").write_text("\n".join([*lines, ""]))
    (RESULTS / "captions.json").write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="?", type=Path, default=PAIRS)
    path = parser.parse_args().pairs
    if not path.is_file():
        parser.error(
            f"{path}: no such file; name a JSONL file of labelled pairs (a, b, label, keep, scope, nested)"
        )
    pairs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    write(print_scores(pairs))
    print_threshold(pairs)
    print_costs(pairs)


if __name__ == "__main__":
    main()
