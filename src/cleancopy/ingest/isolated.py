"""What a worker process does with a capture. It imports no more than reading needs: each worker pays for it."""

from __future__ import annotations

import pickle

from cleancopy.clean import read
from cleancopy.document import Capture
from cleancopy.policy import Policy


def read_pickled(capture: Capture, policy: Policy) -> tuple[str | None, bytes]:
    """The site of a page, and its document as bytes."""
    document = read(capture, policy)
    return document.site, pickle.dumps(document, protocol=pickle.HIGHEST_PROTOCOL)
