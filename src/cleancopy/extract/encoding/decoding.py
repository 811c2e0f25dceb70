"""Bytes to text: which encoding a payload is in, and whether it is text at all."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

from cleancopy.document import Decoding
from cleancopy.extract.encoding.labels import CODECS, LABELS, NAMES, byte_table, encoding_of

_SEVERAL_BYTES = {"gb18030", "big5", "euc-jp", "shift_jis", "euc-kr"}
# Found by other means, or so rare that the detector would take common encodings for them.
_RARE = {"iso-8859-4", "iso-8859-10", "iso-8859-14", "iso-8859-16"}
_NOT_DETECTED = {"utf-8", "utf-16be", "utf-16le", "iso-2022-jp"}
# Bytes in which a page declares its encoding (browsers look at 1024; some pages need more), and bytes that
# the detector gets.
_PRESCAN = 4096
_SAMPLE = 200_000
_META = re.compile(rb"""<meta\b[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""<\?xml\b[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{2,40})""")


def decode(payload: bytes, *, declared: str | None = None, html: bool = True) -> tuple[str, Decoding]:
    """The text of a payload, and how its encoding was found.

    ``declared`` is the charset of the HTTP header or sidecar; with ``html`` the page's own declaration in its
    first 4096 bytes counts too, after it. Never fails: bytes that mean nothing become U+FFFD. The text has no
    lone surrogates and does not begin with a byte order mark.
    """
    labels = [label for label in (declared, _declaration(payload) if html else None) if label]
    names = list(dict.fromkeys(name for label in labels if (name := encoding_of(label))))
    told = labels[0] if labels else None
    for rule, attempt in (("bom", _by_bom), ("zero-bytes", _by_zero_bytes), ("escapes", _by_escapes)):
        if decoded := attempt(payload, names):
            text, encoding = decoded
            return text, Decoding(encoding, rule, told, encoding, text.count("\ufffd"))
    try:
        return payload.decode("utf-8"), Decoding("utf-8", "utf-8", told)
    except UnicodeDecodeError:
        pass
    if _mostly_utf8(payload):
        text = payload.decode("utf-8", "replace")
        return text, Decoding("utf-8", "mostly-utf-8", told, None, text.count("\ufffd"))
    return _by_label_or_detector(payload, names, told, html)


def _declaration(payload: bytes) -> str | None:
    """The label in the page's own meta element or XML declaration."""
    head = payload[:_PRESCAN]
    declaration = _META.search(head) or _XML.search(head)
    return declaration[1].decode("ascii", "replace") if declaration else None


# --- by what the bytes are


def _by_bom(payload: bytes, _names: list[str]) -> tuple[str, str] | None:
    # UTF-32-LE begins with the mark of UTF-16-LE, so it is asked first.
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32le"),
        (codecs.BOM_UTF32_BE, "utf-32be"),
        (codecs.BOM_UTF16_LE, "utf-16le"),
        (codecs.BOM_UTF16_BE, "utf-16be"),
    ):
        if payload.startswith(mark):
            return payload[len(mark) :].decode(encoding, "replace"), encoding
    return None


def _by_zero_bytes(payload: bytes, names: list[str]) -> tuple[str, str] | None:
    """UTF-16 without a mark: zero bytes at every other place, because markup and spaces are ASCII."""
    sample = payload[:_PRESCAN]
    if b"\0" not in sample:
        return None
    even, odd, pairs = sample[::2].count(0), sample[1::2].count(0), len(sample) // 2
    told = any(name.startswith("utf-16") for name in names)
    if max(even, odd) < max(1, pairs * (0.01 if told else 0.05)) or min(even, odd) > max(even, odd) / 3:
        return None
    encoding = "utf-16le" if odd > even else "utf-16be"
    return payload.decode(encoding, "replace"), encoding


def _by_escapes(payload: bytes, _names: list[str]) -> tuple[str, str] | None:
    """ISO-2022-JP and ISO-2022-KR: seven-bit, so UTF-8 would take them, but full of escapes."""
    if b"\x1b" not in payload:  # one byte is looked for fifty times as fast as two
        return None
    if b"\x1b$" not in payload and b"\x1b(" not in payload:
        return None
    for codec in (*CODECS["iso-2022-jp"], "iso2022_kr"):
        try:
            text = payload.decode(codec)
        except UnicodeDecodeError:
            continue
        if not text.isascii():
            return text, "iso-2022-kr" if codec == "iso2022_kr" else "iso-2022-jp"
    return None


# In the group: a sequence of UTF-8, or one that only a faulty encoder writes (overlong, or half of a surrogate
# pair). Outside: a torn one, or any other byte beyond ASCII.
_UTF8_PARTS = re.compile(
    rb"([\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
    rb"|[\xc0\xc1][\x80-\xbf]|\xed[\xa0-\xbf][\x80-\xbf])|[\xe0-\xf4][\x80-\xbf]{1,2}|[\x80-\xff]"
)


def _mostly_utf8(payload: bytes) -> bool:
    """Whether bytes that are not UTF-8 are a UTF-8 page with a few bad places, not another encoding.

    In other encodings, too, some neighbours look like a sequence of UTF-8, in Chinese text one in ten: so
    there must be two good sequences for each bad place.
    """
    first = re.search(rb"[\x80-\xff]", payload)
    parts = _UTF8_PARTS.findall(payload, first.start(), first.start() + _SAMPLE) if first else []
    good = sum(map(bool, parts))
    return good > 0 and good >= 2 * (len(parts) - good)


# --- by the label, or by a detector


def _by_label_or_detector(
    payload: bytes, names: list[str], told: str | None, html: bool
) -> tuple[str, Decoding]:
    """A text that is not UTF-8: the label where the detector finds it credible, else what the detector says."""
    sample = _sample(payload, html)
    ranking = _plausible(_detect(sample, names), sample)
    best, top = max(ranking.items(), key=lambda pair: pair[1], default=("windows-1252", 0.0))
    # How near to the detector's best a label must come: the surer the detector, the nearer.
    credible = top * (0.985 if top > 0.15 else 0.9)
    for name in names:
        if ranking.get(name, 0.0) >= credible:
            text, faults = _decode_as(payload, name)
            if faults == 0:
                return text, Decoding(name, "declared", told, best)
    text, _ = _decode_as(payload, best)
    rule = "detected" if ranking else "fallback"
    return text, Decoding(best, rule, told, best if ranking else None, text.count("\ufffd"))


def _detect(sample: bytes, names: Iterable[str]) -> dict[str, float]:
    """Encodings with the detector's confidence; rare ones only if they are among the declared names."""
    import chardet

    ranking: dict[str, float] = {}
    for guess in chardet.detect_all(
        sample,
        ignore_threshold=True,
        include_encodings=frozenset(LABELS) - _NOT_DETECTED - _RARE.difference(names) | {"iso-8859-1", "cp932"},
        compat_names=False,
        no_match_encoding="windows-1252",
    ):
        if name := guess["encoding"]:
            name = _DETECTOR_NAMES.get(name) or NAMES[name]
            ranking[name] = max(ranking.get(name, 0.0), guess["confidence"])
    return ranking


# The detector's names that are not WHATWG labels.
_DETECTOR_NAMES = {
    "cp874": "windows-874",
    "mac-roman": "macintosh",
    "mac-cyrillic": "x-mac-cyrillic",
    "big5hkscs": "big5",
    "cp932": "shift_jis",
    "shift_jis_2004": "shift_jis",
    "cp949": "euc-kr",
    "euc_kr": "euc-kr",
    "euc_jis_2004": "euc-jp",
}
_LATIN_SCRIPT = {
    *("windows-1250", "windows-1252", "windows-1254", "windows-1257", "windows-1258", "macintosh"),
    *(f"iso-8859-{part}" for part in (2, 3, 4, 10, 13, 14, 15, 16)),
}
_OTHER_SCRIPTS = {
    *("windows-1251", "windows-1253", "windows-1255", "windows-1256", "windows-874", "koi8-r", "koi8-u"),
    *("iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8", "ibm866", "x-mac-cyrillic"),
}
# What windows-1252 has for signs, and other encodings hardly for letters; and the letters of Albanian.
_SIGNS_1252 = bytes.fromhex(
    "80 82 84 85 86 87 88 89 8b 91 92 93 94 95 96 97 98 99 9b a0 a1 a2 a3 a4 a6 a7 a8 a9 ab ac ad ae"
    "b0 b1 b2 b4 b5 b6 b7 bb bd d7 f7 c7 cb e7 eb"
)
# The euro sign, and the letters of French and Finnish, where iso-8859-15 has them and windows-1252 has signs.
_LATIN_9 = re.compile(rb"\xa4|[A-Za-z][\xa6\xa8\xb4\xb8\xbc-\xbe][A-Za-z]")


def _plausible(ranking: dict[str, float], sample: bytes) -> dict[str, float]:
    """The detector's ranking without what it is known to get wrong.

    Mere signs have no language, and Albanian, which the detector does not know, it takes for Lithuanian. Where
    windows-1252 is about as good as another encoding of Latin script, it is the one.
    """
    ranking = _of_its_script(ranking, sample)
    beyond = sample.translate(None, bytes(range(0x80)))
    best = max(ranking, key=lambda name: ranking[name], default="windows-1252")
    if (
        best in {"windows-1252", "iso-8859-15"}
        and _LATIN_9.search(sample)
        and not re.search(rb"[\x80-\x9f]", sample)
    ):
        others = {name: score for name, score in ranking.items() if name != "windows-1252"}
        return others | {"iso-8859-15": ranking.get(best, 0.1)}
    western = ranking.get("windows-1252", 0.0) / (ranking.get(best) or 1.0)
    signs = len(beyond.translate(None, _SIGNS_1252)) <= 0.02 * len(beyond)
    sparse = len(beyond) < 0.04 * len(sample.translate(None, b" \t\r\n"))
    if best == "iso-8859-15" or not (signs or best in _LATIN_SCRIPT):
        return ranking
    if western >= 0.97 or (best != "macintosh" and (signs or (sparse and western >= 0.85))):
        return ranking | {"windows-1252": ranking.get(best, 0.1) * 1.001}
    return ranking


def _of_its_script(ranking: dict[str, float], sample: bytes) -> dict[str, float]:
    """The ranking without encodings of a script, or of a system, that the bytes cannot be of.

    A letter of Latin script beyond ASCII stands beside ASCII letters and hardly ever in a row of four; letters
    of other scripts make whole words (short Hebrew was taken for French, Italian for Russian). Bytes from 80 to
    9F are letters or signs of windows and Macintosh encodings, of ISO's they are nothing.
    """
    letters = len(re.findall(rb"[\xc0-\xff]", sample))
    beside = len(re.findall(rb"(?<=[A-Za-z])[\xc0-\xff]|[\xc0-\xff](?=[A-Za-z])", sample))
    lower = len(re.findall(rb"(?<=[A-Za-z])[\x80-\xbf]|[\x80-\xbf](?=[A-Za-z])", sample))
    rows = len(b"".join(re.findall(rb"[\xc0-\xff]{2,}", sample)))
    long_rows = len(b"".join(re.findall(rb"[\xc0-\xff]{4,}", sample)))
    beyond = len(sample.translate(None, bytes(range(0x80))))
    out, top = set[str](), max(ranking.values(), default=0.0)
    if long_rows > 0.35 * beyond or (
        letters >= 8 and rows >= 0.9 * letters and beside + lower <= 0.05 * beyond
    ):
        out |= _LATIN_SCRIPT
    elif letters and beside >= 0.5 * letters:
        out |= _OTHER_SCRIPTS
    if re.search(rb"[\x80-\x9f]", sample):
        out |= {name for name in ranking if name.startswith("iso-8859-")}
    if min(ranking.get("windows-1251", 0.0), ranking.get("x-mac-cyrillic", 0.0)) >= 0.98 * top > 0:
        windows, macintosh = len(_CYRILLIC_WINDOWS.findall(sample)), len(_CYRILLIC_MACINTOSH.findall(sample))
        out.add("x-mac-cyrillic" if windows >= macintosh else "windows-1251")
    return {name: score for name, score in ranking.items() if name not in out} or ranking


# Windows-1251 and Macintosh Cyrillic have all small letters but one in common. They differ in that one, in
# where the capitals stand, and in that windows-1251 has the letters of Serbian and Macedonian, too, where the
# other has capitals.
_CYRILLIC_WINDOWS = re.compile(
    rb"[\xe0-\xfe]\xff|\xff[\xe0-\xfe]|(?<![\x80-\xff])[\xc0-\xde][\xe0-\xfe]|[\xe0-\xfe][\x80-\x9f][\xe0-\xfe]"
)
_CYRILLIC_MACINTOSH = re.compile(rb"[\xe0-\xfe]\xdf|\xdf[\xe0-\xfe]|(?<![\x80-\xff])[\x80-\x9f][\xe0-\xfe]")


def _sample(payload: bytes, html: bool) -> bytes:
    """What the detector gets to see: the text without markup, from the first byte beyond ASCII.

    A few bytes that windows-1252 does not define are left out: for the detector they would rule it out.
    """
    first = re.search(rb"[\x80-\xff]", payload)
    start = max(0, first.start() - 1000) if first else 0
    sample = payload[start : start + _SAMPLE]
    if html:
        sample = re.sub(rb"<[^<>]*>", b" ", sample)
    defined = sample.translate(None, b"\x81\x8d\x8f\x90\x9d")
    beyond = len(sample.translate(None, bytes(range(0x80))))
    return defined if len(sample) - len(defined) <= 0.02 * beyond else sample


def _decode_as(payload: bytes, name: str) -> tuple[str, int]:
    """A payload read in one encoding, and the number of places that it does not fit."""
    if name in _SEVERAL_BYTES:
        texts = [payload.decode(codec, "replace") for codec in CODECS.get(name, (name,))]
    else:
        texts = [codecs.charmap_decode(payload, "replace", byte_table(CODECS.get(name, (name,))[0]))[0]]
    faults, text = min(((len(_MISFITS.findall(text)), text) for text in texts), key=lambda pair: pair[0])
    return text, faults


# What a wrong encoding leaves: replacement characters, and C1 controls, which no page writes.
_MISFITS = re.compile("[\ufffd\x80-\x9f]")


# --- binary formats


_MAGIC = (
    (0, b"\x89PNG\r\n", "PNG image"),
    (0, b"\xff\xd8\xff", "JPEG image"),
    (0, b"GIF87a", "GIF image"),
    (0, b"GIF89a", "GIF image"),
    (8, b"WEBP", "WebP image"),
    (8, b"WAVE", "WAV audio"),
    (0, b"II*\0", "TIFF image"),
    (0, b"MM\0*", "TIFF image"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"%PDF-", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"{\\rtf", "RTF"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Office file"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-zip"),
    (0, b"Rar!\x1a\x07", "rar"),
    (257, b"ustar", "tar"),
    (0, b"\x7fELF", "ELF"),
    (0, b"\xca\xfe\xba\xbe", "Java class or Mach-O"),
    (0, b"\xcf\xfa\xed\xfe", "Mach-O"),
    (0, b"\0asm", "WebAssembly"),
    (0, b"ID3", "MP3 audio"),
    (0, b"OggS", "Ogg"),
    (0, b"fLaC", "FLAC audio"),
    (4, b"ftyp", "MP4"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"wOFF", "font"),
    (0, b"wOF2", "font"),
    (0, b"OTTO", "font"),
    (0, b"\0\1\0\0", "font"),
    (0, b"SQLite format 3\0", "SQLite"),
    (0, b"PAR1", "Parquet"),
)
# For the first look: the marks at the very start, all at once, and the others.
_FIRST = tuple(mark for offset, mark, _ in _MAGIC if not offset)
_INSIDE = tuple(mark for mark in _MAGIC if mark[0])
# Escape, SO and SI are text: ISO-2022 has them.
_NOT_TEXT = bytes([*range(9), *range(0x10, 0x1B), *range(0x1C, 0x20), 0x7F])


def looks_binary(payload: bytes) -> str | None:
    """The short name of a payload's binary format (``PDF``, ``gzip``, ``random bytes``), or None for text.

    Asked by its first bytes, then by its share of control characters: text in any encoding has next to none,
    random bytes have one in nine. UTF-16 and UTF-32 are text.
    """
    if payload.startswith(_FIRST) or any(payload.startswith(mark, offset) for offset, mark, _ in _INSIDE):
        return next(name for offset, mark, name in _MAGIC if payload.startswith(mark, offset))
    if payload.startswith(b"MZ") and b"\0" in payload[:256]:
        return "Windows program"
    if b"%PDF-" in payload[:64]:
        return "PDF"
    if _by_bom(payload[:_PRESCAN], []) or _by_zero_bytes(payload, []):
        return None
    middle = len(payload) // 2
    sample = payload[:_PRESCAN] + payload[middle : middle + _PRESCAN] + payload[-_PRESCAN:]
    controls = len(sample) - len(sample.translate(None, _NOT_TEXT))
    return "random bytes" if controls > 0.05 * len(sample) else None
