"""GitHub-flavoured Markdown from a text, its blocks and its spans; nothing parses the text again.

What a page says stays text: all that Markdown or HTML would read into it is escaped, so that a page can bring
in no markup, no front matter, and no links or pictures but those that its spans have, which lead to places
that a reader may follow. The Markdown parses back to the structure that it was made of.

A cell that covers several stands in the first of them. Formulas are ``$TeX$``, or ``$$TeX$$`` on a line of
their own. Notes come last, in the order of their references. There is no Markdown for sub- and superscripts:
where Unicode has the characters they are used.

    tree.py     blocks and the spans around them, as a tree
    inline.py   the spans within a block, and escaping
    write.py    the tree as Markdown
"""

from __future__ import annotations

from cleancopy.markdown.write import Links, write

__all__ = ["Links", "write"]
