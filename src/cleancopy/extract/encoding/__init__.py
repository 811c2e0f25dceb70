"""Bytes to text, and the repairs of text that was decoded wrongly before we got it.

``decode`` asks, in this order: byte order mark, UTF-16 told by its zero bytes, ISO-2022 escapes, UTF-8, UTF-8
with a few bad places, the declared labels, a detector, windows-1252. ``repair`` undoes what was decoded wrongly
earlier, where the text proves it; ``restore`` takes repairs back.
"""

from cleancopy.extract.encoding.decoding import decode, looks_binary
from cleancopy.extract.encoding.labels import encoding_of
from cleancopy.extract.encoding.repairs import Edit, repair, restore

__all__ = ["Edit", "decode", "encoding_of", "looks_binary", "repair", "restore"]
