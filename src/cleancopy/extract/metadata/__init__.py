"""What a page says of itself: title, author, date, site name, description, language, licence, address.

The cheapest sources come first: one pass over ``meta``, ``link``, ``title``, ``h1``, ``time`` and JSON-LD.
Only where they say nothing, the body is searched for a byline and a date, near the headline alone.
Everything that a page says is a claim and may be hostile: every value is cut before it is worked on, then
stripped of markup and control characters, collapsed and capped.

Vocabularies: schema.org, Open Graph (ogp.me), Dublin Core, Highwire Press ``citation_*`` (which Google Scholar
reads), the ``parsely-*`` and ``sailthru.*`` metas; RFC 5646 for languages, ISO 8601 for dates, SPDX for
licences. htmldate is not used: on pages where all of these say nothing it was right in 10 of 125 answers, at
11 ms a page.
"""

from __future__ import annotations

import functools

from lxml.html import HtmlElement

from cleancopy.document import Metadata
from cleancopy.extract.metadata.address import canonical_url
from cleancopy.extract.metadata.byline import find_author
from cleancopy.extract.metadata.claims import read_claims
from cleancopy.extract.metadata.dates import find_date
from cleancopy.extract.metadata.jsonld import jsonld_nodes, main_node
from cleancopy.extract.metadata.language import declared_language
from cleancopy.extract.metadata.licence import declared_licence
from cleancopy.extract.metadata.near import near_headline
from cleancopy.extract.metadata.plain import read_text_metadata
from cleancopy.extract.metadata.text import DESCRIPTION_CAP, as_description, plain_text
from cleancopy.extract.metadata.title import find_site_name, find_title

__all__ = ["read_metadata", "read_text_metadata"]

_DESCRIPTIONS = (
    "description", "og:description", "citation_abstract", "dc.description", "dcterms.abstract",
    "dcterms.description", "sailthru.description", "twitter:description",
)  # fmt: skip


def read_metadata(tree: HtmlElement, *, url: str | None = None) -> Metadata:
    """What a parsed page says of itself; the tree stays as it is.

    ``url`` is where the page came from: relative addresses are resolved against it, and its path may hold the
    date. Never raises for what a page contains.
    """
    claims = read_claims(tree)
    nodes = jsonld_nodes(claims.scripts)
    canonical = canonical_url(claims, url)
    site = find_site_name(claims, nodes)
    main = main_node(nodes, claims)
    title = find_title(claims, main, site, canonical or url)
    # Most pages say in their head who wrote them and when; the body is not walked for those.
    near = functools.cache(functools.partial(near_headline, tree, claims, title))
    return Metadata(
        title=title,
        author=find_author(claims, nodes, main, near, site),
        date=find_date(claims, main, near, url or canonical),
        site_name=site,
        description=claims.first(_DESCRIPTIONS, as_description)
        or plain_text(main.get("description"), DESCRIPTION_CAP),
        language=declared_language(tree, claims, main),
        licence=declared_licence(tree, claims, main, url),
        canonical_url=canonical,
    )
