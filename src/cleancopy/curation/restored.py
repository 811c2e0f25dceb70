"""Restored cuts that do not find their place any more: their page says otherwise now, or is cut otherwise."""

from __future__ import annotations

from cleancopy.store import decisions, rows, tables
from cleancopy.store.paths import StorePath

GONE = "the page no longer has this text"
CUT_OTHERWISE = "it is cut together with other text now; restore that cut"


def without_place(root: StorePath) -> dict[int, str]:
    """The restore decisions that hold and whose text is not in their document's clean text; why, by number.

    A restore is known by the words of its cut. A document that is gone has no text to look in.
    """
    restores = [each for each in decisions.read_decisions(root).made if each.kind == "restore" and each.text]
    documents = {decision.target for decision in restores}
    reasons: dict[int, str] = {}
    for batch in tables.latest_batches(root, documents=documents) if documents else ():
        for version in rows.table_to_versions(batch):
            if version.status == "gone":
                continue
            clean, page = (" ".join(text.split()) for text in (version.clean, version.document.text))
            for decision in restores:
                if decision.target == version.doc_id and decision.text and decision.text not in clean:
                    reasons[decision.number] = CUT_OTHERWISE if decision.text in page else GONE
    return reasons
