"""Croissant 1.1 metadata of a dataset in Parquet: JSON-LD that says what is in which file.

See https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from cleancopy.corpus.columns import EXPORT
from cleancopy.export import parquet
from cleancopy.export.folder import File
from cleancopy.export.huggingface import counted
from cleancopy.export.selection import Plan
from cleancopy.export.writers import FolderWriter

_PARQUET = "application/x-parquet"
_FILES, _RECORDS = "parquet-files", "documents"
#: How many licences and languages are named at most.
_LISTED = 50

_OWN = (
    *(
        "arrayShape",
        "citeAs",
        "column",
        "containedIn",
        "equivalentProperty",
        "extract",
        "field",
        "fileProperty",
    ),
    *("fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
    *("separator", "source", "subField", "transform"),
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _OWN},
}


def croissant(chosen: Plan, name: str, facts: Mapping[str, Any], files: Sequence[File]) -> dict[str, Any]:
    """The JSON-LD of a dataset whose Parquet files are ``files``, paths beside the metadata."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": (
            f"{chosen.documents:,} web documents as clean text with what was cut from them and why: "
            f"release {facts['release']} of a cleancopy store, content root {facts['content_root']}."
        ),
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "version": f"{facts['release']}.0.0",
        "datePublished": facts["released"],
        "url": f"urn:sha256:{facts['content_root']}",
        "citeAs": f"cleancopy release {facts['release']}, content root {facts['content_root']}",
        "creator": {"@type": "sc:Organization", "name": "cleancopy"},
        "license": _licences(chosen),
        "inLanguage": [language for language in counted(chosen.about, "language") if language][:_LISTED],
        "rai:dataPreprocessingProtocol": (
            "Page text in reading order, minus cuts by stage; each is kept with stage, rule, reason and text. "
            f"Pipeline fingerprint {facts['fingerprint']}."
        ),
        "distribution": [*map(_file, files), _file_set()],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": _RECORDS,
                "name": _RECORDS,
                "description": "One record a document, sorted by id.",
                "key": {"@id": f"{_RECORDS}/id"},
                "field": list(map(_field, EXPORT)),
            }
        ],
    }


def _licences(chosen: Plan) -> list[Any]:
    """The licences that the pages state, and a word on those that state none."""
    stated = counted(chosen.about, "licence")
    named: list[Any] = [licence for licence in stated if licence][:_LISTED]
    if "" in stated or not named:
        named.append(
            {"@type": "sc:CreativeWork", "name": "Not stated by the page; its rights stay with its publisher"}
        )
    return named


def _file(file: File) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path.rpartition("/")[2],
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": file.sha256,
    }


def _file_set() -> dict[str, Any]:
    """All shards as one; found by their names, as mlcroissant reads no set that lies in several files."""
    return {
        "@type": "cr:FileSet",
        "@id": _FILES,
        "name": _FILES,
        "description": "The shards, each of which stands beside this with its SHA-256.",
        "encodingFormat": _PARQUET,
        "includes": "data/*.parquet",
    }


def _field(field: pa.Field) -> dict[str, Any]:
    node = _described(field, f"{_RECORDS}/{field.name}")
    if not pa.types.is_list(field.type):
        return node | {"dataType": _type(field.type), "source": _source(field.name)}
    inner = list(_sub_fields(field))
    return node | {"isArray": True, "arrayShape": "-1", "subField": inner}


def _sub_fields(field: pa.Field) -> Iterator[dict[str, Any]]:
    """The parts of a list of structs; lists inside it are left to those who read the Parquet itself."""
    for part in field.type.value_type:
        if not pa.types.is_list(part.type):
            source = _source(field.name) | {"transform": {"jsonPath": part.name}}
            node = _described(part, f"{_RECORDS}/{field.name}/{part.name}")
            yield node | {"dataType": _type(part.type), "source": source}


def _described(field: pa.Field, identity: str) -> dict[str, Any]:
    comment = (field.metadata or {}).get(b"comment", b"").decode()
    return {"@type": "cr:Field", "@id": identity, "name": field.name, "description": comment}


def _source(column: str) -> dict[str, Any]:
    return {"fileSet": {"@id": _FILES}, "extract": {"column": column}}


def _type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "cr:Int64" if pa.types.is_int64(kind) else "cr:Int32"
    return "cr:Float64" if pa.types.is_floating(kind) else "sc:Text"


def _beside(chosen: Plan, name: str, facts: Mapping[str, Any], files: Sequence[File]) -> Mapping[str, str]:
    described = croissant(chosen, name, facts, files)
    return {"croissant.json": json.dumps(described, indent=1, ensure_ascii=False) + "\n"}


WRITER = FolderWriter(partial(parquet.write_shard, "part"), _beside, is_table=True, is_named=True)
