"""The block model, loaded by importing this module.

The fork server of ``isolation`` imports it once for all workers, which would each take 0.1 CPU seconds for it.
"""

from cleancopy.stages.content.model import model

model()
