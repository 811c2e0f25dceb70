"""The content model: what is measured, what is kept and cut, and that the reasons are the score's own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleancopy.extract.html import read_html
from cleancopy.stages.content import scores as scoring
from cleancopy.stages.content.declared import declares_article
from cleancopy.stages.content.features import MEASURES, read_layout
from cleancopy.stages.content.model import FOLDER, judge, measures_of, model
from cleancopy.stages.content.scores import best_cut, centred, final_scores
from cleancopy.stages.content.tokens import page_tokens
from cleancopy.stages.content.trees import GROUPS

SENTENCE = "The river rose by two metres during the night, and the lower road was closed until the morning. "
ARTICLE = f"""<html><head><title>The river rose in the night</title></head><body>
<header class="site-header"><nav class="main-menu"><ul>
<li><a href="/">Home</a></li><li><a href="/a">News</a></li>
<li><a href="/b">Sport</a></li><li><a href="/c">Weather</a></li></ul></nav></header>
<main><article class="post"><h1>The river rose in the night</h1>
<p>{SENTENCE * 3}</p><p>{SENTENCE * 4}</p><h2>What happens next</h2><p>{SENTENCE * 3}</p><p>{SENTENCE * 2}</p>
</article></main>
<footer class="site-footer"><ul class="footer-links"><li><a href="/p">Privacy policy</a></li>
<li><a href="/t">Terms of use</a></li><li><a href="/k">Contact us</a></li></ul>
<p>© All rights reserved</p></footer>
</body></html>"""
TAG_NAMES = "p div li ul h1 h2 td tr table span a nav footer blockquote pre section noscript"
TAGS = st.sampled_from(TAG_NAMES.split())
WORDS = st.text(st.sampled_from("abc xyz 019 .,!?«»\u00e9\u4e2d\u0627\U0001f600\n"), max_size=30)


def judged(markup: str) -> dict[str, tuple[float, str]]:
    """Score and reason of each block, by its text."""
    page = read_html(markup)
    verdicts = judge(page)
    return {page.text[b.start : b.end]: verdict for b, verdict in zip(page.blocks, verdicts, strict=True)}


def test_an_article_stays_and_what_frames_it_goes() -> None:
    page = read_html(ARTICLE)
    scores = [score for score, _ in judge(page)]
    kept = [page.text[b.start : b.end] for b, score in zip(page.blocks, scores, strict=True) if score >= 0.5]
    assert sum(text.startswith("The river rose by") for text in kept) == 4
    assert not {"Home", "News", "Privacy policy", "Terms of use", "Contact us", "© All rights reserved"} & set(
        kept
    )


def test_a_cut_block_says_why_and_a_kept_one_does_not() -> None:
    for text, (score, why) in judged(ARTICLE).items():
        assert 0 <= score <= 1
        assert bool(why) == (score < 0.5), text
        assert len(why.split("; ")) <= 3


def test_the_score_is_the_mean_of_both_rounds_moved_to_the_page_threshold() -> None:
    first, second = np.array([-3.0, 0.2, 2.0]), np.array([-1.0, 0.4, 4.0])
    sizes = np.array([5, 40, 80], np.float32)
    mean = scoring.probabilities(np.array([-2.0, 0.3, 3.0]) - scoring.OVERCONFIDENCE)
    assert np.allclose(final_scores(first, second, sizes), centred(mean, best_cut(mean, sizes)[0]))


def test_what_the_first_round_settles_the_second_does_not_change() -> None:
    first, sizes = np.array([-5.0, 1.0]), np.array([30, 30], np.float32)
    settled = final_scores(first, np.array([-5.0, 2.0]), sizes)
    assert np.array_equal(final_scores(first, np.array([9.0, 2.0]), sizes), settled)


DECLARED_ARTICLES = [
    '<meta property="og:type" content="article">',
    '<script type="application/ld+json">{"@type": "NewsArticle"}</script>',
]


@pytest.mark.parametrize("declared", DECLARED_ARTICLES, ids=["open graph", "json-ld"])
def test_a_page_says_that_it_is_an_article(declared: str) -> None:
    assert declares_article(read_html(ARTICLE.replace("<title>", declared + "<title>")))
    assert not declares_article(read_html(ARTICLE))


def test_the_way_to_the_prose_leads_down_in_the_article_and_up_elsewhere() -> None:
    page = read_html(ARTICLE)
    column = {name: index for index, (name, _) in enumerate(MEASURES)}["prose_steps"]
    steps = {
        page.text[b.start : b.end]: row[column]
        for b, row in zip(page.blocks, read_layout(page).measures, strict=True)
    }
    assert steps["What happens next"] == 1
    assert steps["Home"] < 0
    assert steps["Privacy policy"] < 0


def test_the_tokens_of_a_page_are_its_words_and_the_names_of_its_elements() -> None:
    tokens = page_tokens(read_layout(read_html(ARTICLE)))
    assert {"river", "privacy", "site-header", "tag:article", "post"} <= tokens


@pytest.mark.parametrize("name", ["first", "second"])
def test_what_is_booked_adds_up_to_the_score_and_the_score_is_lightgbms(name: str) -> None:
    trees = getattr(model(), name)
    rows = np.random.default_rng(0).normal(0, 5, (50, len(measures_of(name)))).astype(np.float32)
    leaves = trees.leaves(rows)
    assert np.allclose(trees.odds(leaves), trees.booster.predict(rows, num_threads=1, raw_score=True))
    total = trees.values[leaves].sum(axis=1) - trees.reasons(leaves).sum(axis=1)
    assert np.allclose(total, total[0], atol=1e-3)  # what is left is the same for all: where the trees begin


def test_every_measure_has_a_known_group() -> None:
    assert {group for name in ("first", "second") for _, group in measures_of(name)} == set(GROUPS)
    assert len({name for name, _ in MEASURES}) == len(MEASURES)


def test_measures_are_what_they_are_called() -> None:
    page = read_html(ARTICLE)
    column = {name: index for index, (name, _) in enumerate(MEASURES)}
    rows = {
        page.text[b.start : b.end]: row for b, row in zip(page.blocks, read_layout(page).measures, strict=True)
    }
    assert rows["Home"][column["in_nav"]] == 1
    assert rows["Home"][column["links"]] == 1
    assert rows["Terms of use"][column["words"]] == 3
    assert rows["Terms of use"][column["in_footer"]] == 1
    headline = rows["The river rose in the night"]
    assert (headline[column["in_title"]], headline[column["of_title"]], headline[column["after_headline"]]) == (
        1,
        1,
        0,
    )
    assert rows["What happens next"][column["capitals"]] == pytest.approx(1 / 3)
    assert rows[(SENTENCE * 2).strip()][column["sentences"]] == 2


def test_the_places_of_blocks_are_all_counted_once() -> None:
    rows = read_layout(read_html(ARTICLE)).measures
    column = {name: index for index, (name, _) in enumerate(MEASURES)}
    assert all(a < b for a, b in pairwise(rows[:, column["nth"]]))
    assert np.allclose(rows[:, column["up6_text"]].max(), 1, atol=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 200)), min_size=1, max_size=12))
def test_the_best_cut_is_where_the_expected_f1_is_best(blocks: list[tuple[float, int]]) -> None:
    scores, sizes = np.array([score for score, _ in blocks]), np.array([size for _, size in blocks], np.float32)
    threshold, expected = best_cut(scores, sizes)
    content = float(scores @ sizes)
    for least in scores:
        kept = scores >= least
        f1 = 2 * float((scores * sizes)[kept].sum()) / (float(sizes[kept].sum()) + content + 1e-9)
        assert f1 <= expected + 1e-6
    assert threshold == pytest.approx(max(scoring.CUT_SHARE * expected, scoring.LEAST_CUT))


def test_centring_puts_the_threshold_at_one_half_and_keeps_the_order() -> None:
    moved = centred(np.array([0.0, 0.1, 0.3, 0.9, 1.0]), 0.3)
    assert moved[2] == pytest.approx(0.5)
    assert list(moved) == sorted(moved)
    assert (moved[0], moved[-1]) == (0, 1)


def test_a_page_without_text_has_no_verdicts() -> None:
    page = read_html("<html><body><img src=a.png></body></html>")
    assert judge(page) == []


def test_the_shipped_files_are_small_and_name_no_host() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("content_*.*")) < 3_000_000
    assert not [token for table in model().tables.values() for token in table if "." in token or "/" in token]


@given(st.lists(st.tuples(TAGS, WORDS), max_size=25))
@settings(max_examples=40, deadline=None)
def test_any_page_gets_one_score_a_block_and_the_same_one_twice(parts: list[tuple[str, str]]) -> None:
    markup = "<body>" + "".join(f"<{tag}>{words}" + f"</{tag}>" * (len(words) % 2) for tag, words in parts)
    page = read_html(markup)
    verdicts = judge(page)
    assert len(verdicts) == len(page.blocks)
    assert all(0 <= score <= 1 for score, _ in verdicts)
    assert verdicts == judge(read_html(markup))
