"""The provenance of one document as W3C PROV-JSON (https://www.w3.org/submissions/prov-json/).

raw capture --used by--> decode --generates--> page text --used by--> clean --generates--> version
                                                                         ^
                                                plans: policy and frozen site chrome
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cleancopy.errors import StoreError
from cleancopy.export.writers import DocumentWriter
from cleancopy.store import releases, tables
from cleancopy.store.paths import StorePath
from cleancopy.store.rows import Version, sha256

_NAMES = ("document", "capture", "page", "version", "activity", "software", "plan", "cleancopy")
#: What the short names in a document stand for.
PREFIXES = {name: f"urn:x-cleancopy:{name}:" for name in _NAMES} | {
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "prov": "http://www.w3.org/ns/prov#",
}
_SOFTWARE = "software:cleancopy"
Node = dict[str, Any]
Graph = dict[str, dict[str, Node]]


def prov_json(root: StorePath, doc_id: str, as_of: int | None = None) -> Graph:
    """Where the versions of a document come from, up to a release; nothing of one that is gone."""
    history = tables.history(root, doc_id)
    versions = [version for version in history if as_of is None or version.release <= as_of]
    if not versions:
        raise StoreError(f"{doc_id}: no published version of it; see cleancopy status --inputs")
    if history[-1].status == "gone":
        raise StoreError(f"{doc_id}: is gone ({history[-1].change}), and nothing of it is exported")
    times = {version.release: releases.read_manifest(root, version.release).time for version in versions}
    graph: Graph = {"prefix": dict(PREFIXES)}  # type: ignore[arg-type]
    _add(graph, "entity", f"document:{doc_id}", _document(versions[-1]))
    _add(graph, "agent", _SOFTWARE, {"prov:type": _name("prov:SoftwareAgent"), "prov:label": "cleancopy"})
    for version, before in zip(versions, [None, *versions], strict=False):
        _describe(graph, version, before, times[version.release])
    return graph


def _describe(graph: Graph, version: Version, before: Version | None, time: str) -> None:
    """Add a version, and how it came about, to the graph."""
    document = version.document
    capture, cleaned = f"capture:{document.payload_sha256}", f"version:{version.version_id}"
    page = f"page:{sha256(document.text)}"
    decode = f"activity:decode-{document.payload_sha256[:16]}-{page[5:21]}"
    clean = f"activity:clean-{version.version_id}-{version.seq}"
    _add(graph, "entity", capture, _capture(version))
    _add(graph, "entity", page, {"prov:type": _name("cleancopy:PageText"), "cleancopy:sha256": page[5:]})
    _add(graph, "entity", cleaned, _version(version))
    _add(graph, "activity", decode, _decode(version))
    _add(graph, "activity", clean, _clean(version, time))
    _relate(graph, "used", {"activity": decode, "entity": capture})
    _relate(graph, "wasGeneratedBy", {"entity": page, "activity": decode})
    _relate(graph, "wasDerivedFrom", {"generatedEntity": page, "usedEntity": capture, "activity": decode})
    _relate(graph, "used", {"activity": clean, "entity": page})
    _relate(graph, "wasGeneratedBy", {"entity": cleaned, "activity": clean})
    _relate(graph, "wasDerivedFrom", {"generatedEntity": cleaned, "usedEntity": page, "activity": clean})
    _relate(
        graph, "specializationOf", {"specificEntity": cleaned, "generalEntity": f"document:{version.doc_id}"}
    )
    _relate(graph, "wasAssociatedWith", {"activity": decode, "agent": _SOFTWARE})
    _plans(graph, clean, version)
    if before is not None and before.version_id != version.version_id:
        revision = {"generatedEntity": cleaned, "usedEntity": f"version:{before.version_id}"}
        _relate(graph, "wasDerivedFrom", revision, {"prov:type": _name("prov:Revision")})


def _plans(graph: Graph, clean: str, version: Version) -> None:
    """What told the cleaning how: the policy, and the site's chrome where there was one."""
    named = [(name, version.parts[name]) for name in ("policy", "chrome") if version.parts.get(name)]
    for name, digest in named:
        plan = {"prov:type": [_name("prov:Plan"), _name(f"cleancopy:{name}")], "cleancopy:digest": digest}
        _add(graph, "entity", f"plan:{name}-{sha256(digest)[:32]}", plan)
        associated = {"activity": clean, "agent": _SOFTWARE, "plan": f"plan:{name}-{sha256(digest)[:32]}"}
        _relate(graph, "wasAssociatedWith", associated)
    if not named:
        _relate(graph, "wasAssociatedWith", {"activity": clean, "agent": _SOFTWARE})


def _document(version: Version) -> Node:
    document = version.document
    return _known(
        {"cleancopy:key": document.key, "cleancopy:url": document.url, "cleancopy:site": document.site}
    )


def _capture(version: Version) -> Node:
    document, archive = version.document, version.archive
    return {"prov:type": _name("cleancopy:RawCapture")} | _known(
        {
            "cleancopy:sha256": document.payload_sha256,
            "cleancopy:mediaType": document.media_type,
            "cleancopy:url": document.url,
            "cleancopy:captured": _time(version.captured),
            "cleancopy:warcFile": archive.file if archive else None,
            "cleancopy:warcOffset": archive.offset if archive else None,
            "cleancopy:warcLength": archive.length if archive else None,
            "cleancopy:warcRecordId": archive.record_id if archive else None,
        }
    )


def _version(version: Version) -> Node:
    metadata = version.document.metadata
    return {"prov:type": _name("cleancopy:CleanText")} | _known(
        {
            "prov:label": metadata.title,
            "cleancopy:sha256": version.text_sha256,
            "cleancopy:seq": version.seq,
            "cleancopy:release": version.release,
            "cleancopy:status": version.status,
            "cleancopy:change": version.change,
            "cleancopy:licence": metadata.licence,
        }
    )


def _decode(version: Version) -> Node:
    decoding = version.document.decoding
    return _known(
        {
            "prov:label": "bytes to text, repairs, blocks",
            "cleancopy:encoding": decoding.encoding if decoding else None,
            "cleancopy:rule": decoding.rule if decoding else None,
            "cleancopy:repairs": len(version.document.repairs),
        }
    )


def _clean(version: Version, time: str) -> Node:
    """The cleaning; it ended no later than its release was published."""
    stages: Sequence[str] = sorted({cut.stage for cut in version.document.cuts})
    return {"prov:endTime": time} | _known(
        {
            "prov:label": "cuts of each stage",
            "cleancopy:fingerprint": version.fingerprint,
            "cleancopy:libraries": version.parts.get("libraries"),
            "cleancopy:text": version.parts.get("text", version.parts.get("code")),
            "cleancopy:model": version.parts.get("model"),
            "cleancopy:cuts": len(version.document.cuts),
            "cleancopy:stages": ", ".join(stages) or None,
        }
    )


def _add(graph: Graph, kind: str, name: str, node: Node) -> None:
    graph.setdefault(kind, {}).setdefault(name, node)


def _relate(graph: Graph, kind: str, ends: Mapping[str, str], more: Mapping[str, Any] | None = None) -> None:
    """Add a relation once; it has no name of its own, so it gets a number."""
    node = {f"prov:{role}": name for role, name in ends.items()} | dict(more or {})
    relations = graph.setdefault(kind, {})
    if node not in relations.values():
        relations[f"_:{kind}{len(relations) + 1}"] = node


def _known(values: Mapping[str, Any]) -> Node:
    return {name: value for name, value in values.items() if value is not None}


def _name(name: str) -> Node:
    """A qualified name as a value."""
    return {"$": name, "type": "xsd:QName"}


def _time(text: str | None) -> Node | None:
    return {"$": text, "type": "xsd:dateTime"} if text else None


def prov_bytes(root: StorePath, doc_id: str, as_of: int | None = None) -> bytes:
    """The graph of ``prov_json`` as a file holds it."""
    return (json.dumps(prov_json(root, doc_id, as_of), indent=1, ensure_ascii=False) + "\n").encode()


WRITER = DocumentWriter(prov_bytes)
