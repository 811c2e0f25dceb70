"""The store: everything that cleancopy keeps, in the one folder ``clean/`` (``root`` below).

The folder may also be a prefix in an object store (``layout.place("s3://bucket/prefix")``): what differs is in
layout.py, objects.py and lease.py; what is marked * lies on each machine then (``layout.scratch``).

    clean/archive/RUN-0000.warc.gz   raw captures, one compressed WARC record each     (archive.py)
    clean/tables/documents/          Delta table, one row a document version           (rows.py, corpus.py)
    clean/tables/captures/           Delta table, the ledger: one row an input that needed work
    clean/releases/000007.json       manifest of release 7, written last               (releases.py)
    clean/releases/000007.pending    release 7 while it is committed; the next run finishes it
    clean/compactions/000003.json    record of a compaction: files that went and came   (compaction.py)
    clean/index/                     signatures and bands of all texts, derived; * too     (index.py)
    clean/chrome/                    the chrome of each site, and what people say of it   (chromes.py)
    clean/decisions.jsonl            what people decided                                  (decisions.py)
    clean/inputs.jsonl               the last outcome of every input, derived     (views.py)
    clean/exports/                   exports that are kept up, derived          (sinks/kept.py)
    clean/visits.sqlite              * validators and robots.txt of what was fetched      (sources/visits.py)
    clean/.work/<source>/            * the run of a source that is under way              (work.py)
    clean/.lock                      held by the run that writes                        (layout.py)

How the pieces fit, one run:

    from cleancopy.store import archive, corpus, releases, rows

    with releases.writing(root) as release:            # lock, recover, sweep; the number this run will publish
        seen = corpus.captures(root, ["key", "payload_sha256", "outcome", "fingerprint"])     # what to skip
        heads = corpus.heads(root)                      # doc_id -> Head: seq, version_id, text_sha256, status
        with archive.Archive(root, f"{release:06d}", corpus.archived(root).get) as raw:
            ref = raw.append(capture)                   # ArchiveRef; an archived payload is not written twice
        version = rows.Version(document=document, seq=head.seq + 1, release=release, ...)
        entry = rows.LedgerEntry(input="raw/a.html", key=capture.key, outcome="new", ...)
        manifest = releases.commit(
            root, release, rows.document_batches(versions), rows.capture_batches(entries),
            run=run_id, fingerprint=digest, parts={"policy": ...},
        )

Close every archive before ``commit``. A release that found nothing new need not be committed. All sizes are
bytes, all times ISO 8601 UTC strings. Every failure that a person can mend is a ``StoreError``.

Signatures:

    archive.ArchiveRef(file, offset, length, record_id)
    archive.Archive(root, name, known: Callable[[str], ArchiveRef | None] = none)     context manager
        .append(capture: Capture) -> ArchiveRef
    archive.read_capture(root, ref, sha256: str | None = None) -> bytes

    rows.Version(document, seq, release, status="live", change="new", parent=None, fingerprint="", parts={},
                 captured=None, archive=None, duplicate_of=None, match={}, signature=b"", restored_from=None)
        .doc_id .version_id .text_sha256
    rows.LedgerEntry(input, outcome, release, run, key="", member=None, payload_sha256=None, source="raw",
                 url=None, site=None, captured=None, kind=None, message=None, version_id=None, archive=None,
                 fingerprint="")
    rows.documents_to_table(Iterable[Version]) -> pyarrow.Table
    rows.document_batches(Iterable[Version], size=5000) -> Iterator[pyarrow.RecordBatch]     streaming
    rows.captures_to_table, rows.capture_batches: the same for LedgerEntry
    rows.table_to_versions(table or batch, all columns) -> Iterator[Version]
    rows.row_to_document(one-row table or batch) -> Document
    rows.DOCUMENTS, rows.CAPTURES: the Arrow schemas, a comment on each field; rows.SCHEMA_VERSION

    releases.writing(root, wait=0.0) -> context manager of int
    releases.again(decide) -> what ``decide`` gives, which is called once more where it was a ConflictError
    releases.commit(root, release, documents, captures, *, run, fingerprint, parts) -> Manifest
        ``documents`` is used up before ``captures`` is begun, so captures may be a list that documents fills
    releases.recover(root) -> list[int]     the releases finished or rebuilt; ``writing`` calls it
    releases.current(root) -> Manifest | None;  releases.read(root, number) -> Manifest
    releases.Manifest: release, parent, run, time, counts, live, content_root, fingerprint, parts, tables,
                 files, recovered, schema

    corpus.heads(root, as_of=None, documents=None) -> dict[str, Head]
        Head(seq, version_id, text_sha256, status)
    corpus.archived(root, without=none) -> dict[sha256, ArchiveRef]
    corpus.latest(root, columns=None, site=None, as_of=None, status=None) -> pyarrow.Table
    corpus.latest_batches(same, documents=None) -> Iterator[pyarrow.RecordBatch]     one batch at a time
    corpus.version(root, doc_id, as_of=None) -> Version | None;  corpus.document(same) -> Document | None
    corpus.history(root, doc_id) -> list[Version]
    corpus.touched(root, after, until) -> pyarrow.Table              all versions of what releases changed
    corpus.captures(root, columns=None, release=None) -> pyarrow.Table
    corpus.versions(root, columns) -> pyarrow.Table                  all versions of all documents
    corpus.data_files(root, "documents") -> list[Place]              for DuckDB's read_parquet and the like

    maintenance.maintaining(root, keep_days=7, dry_run=False, wait=0.0, keep=()) context manager of Maintained
    verification.verify(root, keep=(), purged=none) -> Iterator[Fault]   Fault(what, why, mend)
    compaction.records(root) -> list[Compaction];  releases.expected(root, table) -> dict[path, DataFile]

    layout.place(name) -> Place: Path | ObjectPath;  layout.atomic_write(path, data: bytes) -> None

``archive`` and ``layout`` import nothing heavy; ``rows``, ``corpus`` and ``releases`` import pyarrow and
deltalake, so a command imports them when it needs them.
"""
