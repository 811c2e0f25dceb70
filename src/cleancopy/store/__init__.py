"""The store: everything that cleancopy keeps, in the one folder ``clean/`` (``root`` below).

The folder may also be a prefix in an object store (``paths.store_path("s3://bucket/prefix")``). What differs is
known to folder.py, objects.py and lease.py alone; what is marked * lies on each machine then
(``paths.scratch_folder``).

    clean/archive/RUN-0000.warc.gz   raw captures, one compressed WARC record each           (archive.py)
    clean/tables/documents/          Delta table, one row a document version  (tables.py, rows.py)
    clean/tables/captures/           Delta table, the ledger: one row an input that needed work
    clean/releases/000007.json       manifest of release 7, written last  (releases.py)
    clean/releases/000007.pending    release 7 while it is committed; the next run finishes it
    clean/compactions/000003.json    record of a compaction: files that went and came  (compaction.py)
    clean/index/                     signatures and bands of all texts, derived; * too  (dedup_index.py)
    clean/captions/                  captions of all documents and their keys, derived    (caption_table.py)
    clean/chrome/                    the chrome of each site  (chrome_profiles.py)
    clean/decisions.jsonl            what people decided  (decisions.py)
    clean/inputs.jsonl               the last outcome of every input, derived  (corpus/views.py)
    clean/text/                      the text tree, derived; in a folder only  (corpus/views.py)
    clean/exports/                   exports that are kept up, derived  (export/kept.py)
    clean/visits.sqlite              * validators and robots.txt of what was fetched  (sources/web)
    clean/plain-runs.jsonl           * runs with --plain that no history shows yet    (ingest/plain_runs)
    clean/.work/<source>/            * the run of a source that is under way  (workdir.py)
    clean/.lock                      held by the run that writes  (paths.py)

The modules, from the ground up; each imports from those before it:

    slugs, remedies                  names of files; what the system refuses, with what to do
    folder, lease, objects, paths    one path type for both kinds of place, and the safe file operations
    schemas, texts, archive, rows    columns; captures in WARC files; documents and entries as rows
    data_files, tables               the Parquet files of the two tables; appending to the tables, and reading
    compaction, releases             a commit that is whole or not at all; the manifests
    decisions                        the record of what people decided, and what of it holds
    chrome_profiles, dedup_index     what was learned of sites, and of repeated texts (index_files: its files)
    vacuum, workdir, spool, verify   what nobody needs; runs under way; every byte held against its digest

How the pieces fit, one run:

    from cleancopy.store import archive, releases, rows, tables

    with releases.writing(root) as release:            # lock, recover, sweep; the number this run will publish
        seen = tables.captures(root, ["key", "payload_sha256", "outcome", "fingerprint"])     # what to skip
        heads = tables.heads(root)                      # doc_id -> Head: seq, version_id, text_sha256, status
        with archive.Archive(root, f"{release:06d}", tables.archived(root).get) as raw:
            ref = raw.append(capture)                   # ArchiveRef; an archived payload is not written twice
        version = rows.Version(document=document, seq=head.seq + 1, release=release, ...)
        entry = rows.LedgerEntry(input="raw/a.html", key=capture.key, outcome="new", ...)
        manifest = releases.commit(
            root, release, rows.document_batches(versions), rows.capture_batches(entries),
            run=run_id, fingerprint=digest, parts={"policy": ...},
        )

Close every archive before ``commit``. A release that found nothing new need not be committed. All sizes are
bytes, all times ISO 8601 UTC strings. Every failure that a person can repair is a ``StoreError``.

``archive`` and ``paths`` import nothing heavy; ``rows``, ``tables`` and ``releases`` import pyarrow and
deltalake, so a command imports them when it needs them.
"""
