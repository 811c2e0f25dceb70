"""What a run of the quality benchmark found out, as Markdown, JSON and a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peers import TOOLS, installed
from scores import Row, Score

PAGE_TYPES = ("article", "documentation", "forum", "product", "collection", "listing", "service")
SCOPES = ("wcxb", "articles", "portals", "sites", "languages")
#: News pages by language, and those of all languages but English together.
LANGUAGES = ("English", "Greek", "Chinese", "Russian", "Polish", "other than English")
OWN = "cleancopy"
NO_HEADLINE = "cleancopy, headline off"
#: What cleancopy is held against.
RIVAL = "trafilatura, no comments"


@dataclass(frozen=True, slots=True)
class Cost:
    """Pages a CPU second in each round, and the peak memory of the process in MB."""

    rates: tuple[float, ...]
    memory: float

    @property
    def rate(self) -> float:
        """Pages a CPU second over all rounds."""
        return len(self.rates) / sum(1 / rate for rate in self.rates)


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found out."""

    rows: list[Row]
    costs: dict[str, Cost]
    pages: dict[str, int]
    timed: int
    differences: dict[str, tuple[float, float, float]]
    date: str
    versions: dict[str, str]
    notes: list[str]


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, its columns as wide as they must be."""
    cells = [list(head), *map(list, lines)]
    wide = [max(len(line[at]) for line in cells) for at in range(len(head))]
    shown = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, wide, strict=True)) + " |" for line in cells
    ]
    return [shown[0], "|" + "|".join("-" * (w + 2) for w in wide) + "|", *shown[1:]]


def _scored(rows: Sequence[Row], number: str) -> list[str]:
    scopes = ["wcxb", *PAGE_TYPES]
    return table(
        [number, *scopes],
        ([row.name, *(_number(row.scores.get(scope), number) for scope in scopes)] for row in rows),
    )


def _by_language(rows: Sequence[Row]) -> list[str]:
    scored = [row for row in rows if LANGUAGES[0] in row.scores]
    body = ([row.name, *(_number(row.scores.get(scope), "F1") for scope in LANGUAGES)] for row in scored)
    return ["## News pages by language, word F1", "", *table(["", *LANGUAGES], body), ""] if scored else []


def _number(score: Score | None, number: str) -> str:
    value = getattr(score, number.lower()) if score else None
    return "" if value is None else f"{value:.3f}"


def _all_three(score: Score | None) -> str:
    return " / ".join(_number(score, number) for number in ("precision", "recall", "f1")) if score else ""


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


PREFACE = f"""cleancopy is cross-validated: it runs as it ships (default policy, no site chrome), but each page
is judged by a model that was not trained on any page of its host, portal or site (pages whose text only JSON-LD
declares, which nothing learns from, by the one that ships). *{NO_HEADLINE}* has `content.headline`
off. The others run as they come. A page that a tool raises on, or refuses, counts as empty text. Scores are
averages over pages; leak and keep are shares of all marked snippets."""


def markdown(report: Report) -> str:
    """The report as Markdown."""
    rows, made = report.rows, ", ".join(f"{name} {number}" for name, number in report.versions.items())
    sizes = ", ".join(f"{number} pages of {corpus}" for corpus, number in report.pages.items())
    lines = ["# Quality of the clean text", "", f"{report.date}. {made}. {sizes}.", "", PREFACE, ""]
    if "wcxb" in report.pages:
        lines += ["## WCXB by page type, words", ""]
        for number in ("F1", "Precision", "Recall"):
            lines += [*_scored(rows, number), ""]
        shares = (
            [row.name, _percent(row.shares.get("leak")), _percent(row.shares.get("keep"))] for row in rows
        )
        lines += [*table(["snippets found", "must go (leak)", "must stay (keep)"], shares), ""]
    others = [corpus for corpus in SCOPES[1:] if corpus in report.pages]
    if others:
        lines += ["## Other corpora, precision / recall / F1", ""]
        lines += ["Articles: runs of four words (Zyte). Portals and sites: words. Leak: chrome lines.", ""]
        head = ["", *others, *(["sites leak"] if "sites" in others else [])]
        body = ([row.name, *(_all_three(row.scores.get(corpus)) for corpus in others)] for row in rows)
        leaks = (_percent(row.shares.get("sites leak")) for row in rows)
        lines += [
            *table(head, ([*line, leak][: len(head)] for line, leak in zip(body, leaks, strict=True))),
            "",
        ]
    return "\n".join([*lines, *_by_language(rows), *_compared(report), *_cost(report), *_remarks(report), ""])


def _compared(report: Report) -> list[str]:
    if not report.differences:
        return []
    shown = (
        [scope, f"{100 * more:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"]
        for scope, (more, low, high) in report.differences.items()
    )
    return [
        f"## cleancopy above {RIVAL}", "",
        "In points of F1; the interval (95 %) comes of 1,000 draws of whole hosts or sites, on the two "
        "portals of pages.", "",
        *table(["", "points", "interval"], shown), "",
    ]  # fmt: skip


def _cost(report: Report) -> list[str]:
    if not report.costs:
        return []
    shown = (
        [name, f"{cost.rate:.1f}", ", ".join(f"{rate:.1f}" for rate in cost.rates), f"{cost.memory:.0f}"]
        for name, cost in report.costs.items()
    )
    lines = [
        "## Cost", "",
        f"Bytes to text on the same {report.timed} pages of WCXB, each tool in a process of its own, all tools "
        "once a round. cleancopy gives clean text with metadata. Tools that want a string get the bytes "
        "decoded as UTF-8. Peak memory is that of the whole process, Python included.", "",
        *table(["", "pages a CPU second", "by round", "peak MB"], shown), "",
    ]  # fmt: skip
    if own := report.costs.get(OWN):
        for name in ("trafilatura, with metadata", "trafilatura"):
            if name in report.costs:
                each = [a / b for a, b in zip(own.rates, report.costs[name].rates, strict=True)]
                ratio = own.rate / report.costs[name].rate
                rounds = ", ".join(f"{one:.2f}" for one in each)
                lines.append(f"- cleancopy is {ratio:.2f} times as fast as {name} (by round: {rounds}).")
        lines.append("")
    return lines


def _remarks(report: Report) -> list[str]:
    failed = (
        f"{row.name} {sum(row.failures.values())}"
        + (f" ({', '.join(f'{n} of {corpus}' for corpus, n in row.failures.items())})" if row.failures else "")
        for row in report.rows
    )
    lines = ["## Settings and remarks", ""]
    lines += [f"- {tool.name}: {tool.settings}." for tool in TOOLS if installed(tool)]
    lines += [f"- Pages that failed: {'; '.join(failed)}."]
    return [*lines, *(f"- {note}" for note in report.notes)]


def figures(report: Report) -> dict[str, Any]:
    """The report as JSON has it."""
    rows = {}
    for row in report.rows:
        scores = {scope: asdict(score) for scope, score in row.scores.items()}
        rows[row.name] = {"scores": scores, "shares": row.shares, "failures": row.failures}
    cost = {
        name: {"pages a CPU second": cost.rate, "by round": cost.rates, "peak MB": cost.memory}
        for name, cost in report.costs.items()
    }
    return {
        "date": report.date, "versions": report.versions, "pages": report.pages, "timed pages": report.timed,
        "tools": rows, "cross-validated": [OWN, NO_HEADLINE],
        "cleancopy above " + RIVAL: report.differences, "cost": cost,
        "settings": {tool.name: tool.settings for tool in TOOLS}, "notes": report.notes,
    }  # fmt: skip


# --- plot

#: Colours that people with colour-blindness can tell apart (Okabe and Ito), with a mark each.
LOOKS: Mapping[str, tuple[str, str, int]] = {
    "cleancopy": ("#d55e00", "o", 95),
    "trafilatura": ("#56b4e9", "v", 50),
    "trafilatura, no comments": ("#0072b2", "s", 55),
    "trafilatura, with metadata": ("#0072b2", "D", 45),
    "resiliparse": ("#009e73", "^", 50),
    "readability-lxml": ("#cc79a7", "P", 55),
    "justext": ("#e69f00", "X", 55),
    "newspaper4k": ("#444444", "*", 85),
    "boilerpy3": ("#999999", "p", 55),
}

#: Ticks of pages a CPU second.
SPEEDS = (2, 5, 10, 20, 50, 100, 200, 500)


def plot(report: Report, path: Path) -> None:
    """Draw F1 by page type, and F1 against pages a CPU second."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "axes.axisbelow": True})
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(13, 6.2), width_ratios=(1.25, 1), layout="constrained"
    )
    _draw_types(left, [row for row in report.rows if row.name not in (NO_HEADLINE, "trafilatura")])
    _draw_costs(right, report)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    pyplot.close(figure)


def _draw_types(axes: Any, rows: Sequence[Row]) -> None:
    scopes = [scope for scope in (*PAGE_TYPES, *SCOPES) if all(scope in row.scores for row in rows)]
    for nth, row in reversed(list(enumerate(rows))):
        colour, mark, size = LOOKS[row.name]
        label = f"{OWN}, cross-validated" if row.name == OWN else row.name
        # A little below one another, so that no tool hides another that scores the same.
        places = [at + 0.09 * (nth - (len(rows) - 1) / 2) for at in range(len(scopes))]
        axes.scatter(
            [row.scores[scope].f1 for scope in scopes], places, s=size, c=colour, marker=mark, label=label,
            edgecolors="white", linewidths=0.6, zorder=3,
        )  # fmt: skip
    axes.set_yticks(range(len(scopes)), [f"{scope}, all" if scope == "wcxb" else scope for scope in scopes])
    axes.invert_yaxis()
    own = len([scope for scope in scopes if scope in PAGE_TYPES])
    if 0 < own < len(scopes):
        axes.axhline(own - 0.5, color="#888888", linewidth=0.8)
    axes.set_xlabel("F1")
    axes.set_title("F1 by page type of WCXB (above) and by corpus (below)", fontsize=11)
    _quiet(axes, "both")


def _draw_costs(axes: Any, report: Report) -> None:
    by = {row.name: row for row in report.rows}
    # With metadata the text of trafilatura is the same: its place is its own time and the score of that text.
    scored = {name: by.get(RIVAL if name == "trafilatura, with metadata" else name) for name in report.costs}
    places = {
        name: (report.costs[name].rate, row.scores["wcxb"].f1)
        for name, row in scored.items()
        if row and "wcxb" in row.scores
    }
    if not places:
        axes.set_axis_off()
        return
    for name, (rate, f1) in places.items():
        colour, mark, size = LOOKS[name]
        axes.scatter([rate], [f1], s=size * 1.4, c=colour, marker=mark, edgecolors="white", zorder=3)
    for name, (x, y) in _labels(places).items():
        label = "cleancopy, with metadata" if name == OWN else name
        axes.annotate(label, (x, y), xytext=(9, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_xscale("log")
    axes.set_xticks(SPEEDS, [str(speed) for speed in SPEEDS])
    axes.minorticks_off()
    axes.set_xlim(min(x for x, _ in places.values()) / 1.5, max(x for x, _ in places.values()) * 2.5)
    axes.set_xlabel("pages a CPU second (log scale)")
    axes.set_ylabel("F1, all of WCXB")
    axes.set_title("F1 against speed", fontsize=11)
    _quiet(axes, "both")


def _labels(places: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Where the names of points stand: beside them, moved up where they would meet another near by."""
    heights = [y for _, y in places.values()]
    least = 0.03 * (max(heights) - min(heights))
    placed: dict[str, tuple[float, float]] = {}
    for name, (x, y) in sorted(places.items(), key=lambda place: place[1][1]):
        for other_x, other_y in sorted(placed.values(), key=lambda place: place[1]):
            if max(x, other_x) < 5 * min(x, other_x) and abs(y - other_y) < least:
                y = other_y + least
        placed[name] = (x, y)
    return placed


def _quiet(axes: Any, which: str) -> None:
    axes.grid(axis=which, color="#dddddd", linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
