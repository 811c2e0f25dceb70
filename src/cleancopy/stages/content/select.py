"""Which blocks are main content: by the model's judgement, or by trafilatura's."""

from __future__ import annotations

from cleancopy.document import Block, Cut, Document
from cleancopy.extract.html import DECLARED, Page
from cleancopy.policy import ContentPolicy
from cleancopy.stages.content.by_trafilatura import block_shares, extract_pieces, trafilatura_pieces
from cleancopy.stages.content.model import judge

#: From this share of its characters on a block is content.
KEEP_FROM = 0.5


def score_blocks(page: Page, policy: ContentPolicy, url: str | None = None) -> tuple[Block, ...]:
    """The page's blocks with the content scores that the policy asks for.

    Plain text has no markup to judge by: its blocks stay without a score. May change ``page.tree``.
    """
    if policy.method == "all" or page.tree is None:
        return page.blocks
    if policy.method == "model":
        return _judged(page, policy, url)
    shares = block_shares(page, trafilatura_pieces(page.tree, policy, url))
    return tuple(
        block._replace(score=round(share, 3), why=f"trafilatura keeps {share:.0%} of it")
        for block, share in zip(page.blocks, shares, strict=True)
    )


def _judged(page: Page, policy: ContentPolicy, url: str | None) -> tuple[Block, ...]:
    """The blocks as the model scores them; comments, where wanted, are those that trafilatura finds.

    What only the JSON-LD declares is content whatever the model says: it was read for want of other text.
    """
    verdicts = [
        (1.0, "") if f"/{DECLARED}[" in block.path else verdict
        for block, verdict in zip(page.blocks, judge(page), strict=True)
    ]
    if policy.comments:
        shares = block_shares(page, extract_pieces(page.tree, True, url)[1])
        verdicts = [(max(score, share), why) for (score, why), share in zip(verdicts, shares, strict=True)]
    blocks = [
        Block(
            block.start, block.end, block.kind, block.level, block.path, block.link_share,
            round(score, 3), f"score {score:.2f}: {why}" if why else "",
        )
        for block, (score, why) in zip(page.blocks, verdicts, strict=True)
    ]  # fmt: skip
    return tuple(blocks)


def cut_content(document: Document) -> tuple[Cut, ...]:
    """Cuts for the blocks that are not main content: scored, and scored low."""
    return tuple(
        Cut(
            start,
            end,
            "content",
            "not-main-content",
            f"not main content: {block.why}",
            {"score": block.score, "kind": block.kind, "link_share": block.link_share},
        )
        for block, (start, end) in zip(document.blocks, document.reaches, strict=True)
        if block.score is not None and block.score < KEEP_FROM
    )
