"""datatrove's way from HTML to deduplicated text, as its FineWeb and MinHash examples have it.

    python benchmarks/pipeline_datatrove.py PAGES WORK WORKERS
    python benchmarks/pipeline_datatrove.py --versions

Reads the JSON lines in PAGES (``id``, and the HTML as ``text``) and leaves the text of every page in
WORK/extracted, what is left without duplicates in WORK/deduplicated. It runs in an environment of its own,
``pip install "datatrove[io,processing]" spacy lxml_html_clean``: datatrove asks for an older trafilatura.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

#: The longest that a page may take, of wall time; datatrove's own second loses pages on a busy machine.
PAGE_SECONDS = 60


def main() -> None:
    """Extract, repair, sign, match, cluster, filter, write."""
    if sys.argv[1:] == ["--versions"]:
        print(json.dumps({name: version(name) for name in ("datatrove", "trafilatura", "ftfy")}))
        return
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.formatters import FTFYFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    pages, work, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8)
    folder = {
        name: str(work / name)
        for name in ("extracted", "signatures", "buckets", "remove", "deduplicated", "logs")
    }

    def step(name: str, pipeline: list[object], tasks: int, after: object = None) -> LocalPipelineExecutor:
        return LocalPipelineExecutor(
            pipeline,
            tasks=tasks,
            workers=min(tasks, workers),
            logging_dir=f"{folder['logs']}/{name}",
            depends=after,
        )

    def extracted() -> JsonlReader:
        return JsonlReader(folder["extracted"])

    extract = step(
        "extract",
        [
            JsonlReader(pages),
            Trafilatura(favour_precision=True, timeout=PAGE_SECONDS),
            FTFYFormatter(),
            JsonlWriter(folder["extracted"]),
        ],
        workers,
    )
    sign = step(
        "sign", [extracted(), MinhashDedupSignature(folder["signatures"], config=config)], workers, extract
    )
    match = step(
        "match",
        [MinhashDedupBuckets(folder["signatures"], folder["buckets"], config=config)],
        config.num_buckets,
        sign,
    )
    cluster = step(
        "cluster", [MinhashDedupCluster(folder["buckets"], folder["remove"], config=config)], 1, match
    )
    keep = [extracted(), MinhashDedupFilter(folder["remove"]), JsonlWriter(folder["deduplicated"])]
    step("filter", keep, workers, cluster).run()


if __name__ == "__main__":
    main()
