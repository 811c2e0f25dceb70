"""Bytes to text, and the repairs of text that was decoded wrongly before we got it.

``decode`` asks, in this order: byte order mark, UTF-16 told by its zero bytes, ISO-2022 escapes, UTF-8, UTF-8
with a few bad places, the declared labels, a detector, windows-1252. Labels are those of the WHATWG Encoding
Standard (https://encoding.spec.whatwg.org/#names-and-labels) and mean what browsers mean by them; no other
codec is ever used.

``repair`` undoes *mojibake* (UTF-8 that was once read in a one-byte encoding) where the text itself proves it,
and takes out characters that nobody sees but programs trip over. Each change is an ``Edit``: nothing is lost.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from ftfy import bad_codecs, chardata, fixes
from ftfy.badness import is_bad

from cleancopy.document import Decoding

bad_codecs.ok()

# --------------------------------------------------------------------------------------------------- labels

_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "utf-16be": "unicodefffe utf-16be",
    "utf-16le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
    "ibm866": "866 cp866 csibm866 ibm866",
    "iso-8859-2": "csisolatin2 iso-ir-101 l2 latin2 iso_8859-2:1987",
    "iso-8859-3": "csisolatin3 iso-ir-109 l3 latin3 iso_8859-3:1988",
    "iso-8859-4": "csisolatin4 iso-ir-110 l4 latin4 iso_8859-4:1988",
    "iso-8859-5": "csisolatincyrillic cyrillic iso-ir-144 iso_8859-5:1988",
    "iso-8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e iso-8859-6-i "
    "iso-ir-127 iso_8859-6:1987",
    "iso-8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso_8859-7:1987 sun_eu_greek",
    "iso-8859-8": "csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8-e iso-8859-8-i iso-ir-138 "
    "iso_8859-8:1988 logical visual",
    "iso-8859-10": "csisolatin6 iso-ir-157 l6 latin6",
    "iso-8859-13": "",
    "iso-8859-14": "",
    "iso-8859-15": "csisolatin9 l9",
    "iso-8859-16": "",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "macintosh": "csmacintosh mac macintosh x-mac-roman",
    "x-mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "windows-874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "windows-1250": "",
    "windows-1251": "",
    "windows-1252": "ansi_x3.4-1968 ascii cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 "
    "iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii",
    "windows-1253": "",
    "windows-1254": "csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5",
    "windows-1255": "",
    "windows-1256": "",
    "windows-1257": "",
    "windows-1258": "",
    "gb18030": "gb18030 chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
    "big5": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso-2022-jp": "csiso2022jp iso-2022-jp",
    "shift_jis": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "euc-kr": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
    "windows-949",
}


def _labels() -> Iterator[tuple[str, str]]:
    """Each label with its encoding; the forms that all iso and windows encodings have are not in the table."""
    for name, labels in _LABELS.items():
        yield from ((label, name) for label in labels.split())
        if name.startswith("iso-8859-"):
            part = name.removeprefix("iso-8859-")
            yield from ((label + part, name) for label in ("iso-8859-", "iso8859-", "iso8859", "iso_8859-"))
        elif name.startswith("windows-125"):
            page = name.removeprefix("windows-")
            yield from ((label + page, name) for label in ("windows-", "cp", "x-cp"))


_NAMES = dict(_labels())

# Python's codecs where one of the encoding's name is missing or too narrow; the first that fits is taken.
_CODECS = {
    "windows-874": ("cp874",),
    "x-mac-cyrillic": ("mac-cyrillic",),
    "big5": ("big5hkscs", "cp950"),
    "euc-jp": ("euc_jp", "euc_jis_2004"),
    "iso-2022-jp": ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_2004"),
    "shift_jis": ("cp932",),
    "euc-kr": ("cp949",),
}
_SEVERAL_BYTES = {"gb18030", "big5", "euc-jp", "shift_jis", "euc-kr"}
# Found by other means, or so rare that the detector would take common encodings for them.
_RARE = {"iso-8859-4", "iso-8859-10", "iso-8859-14", "iso-8859-16"}
_NOT_DETECTED = {"utf-8", "utf-16be", "utf-16le", "iso-2022-jp"}
_PRESCAN = 4096
_SAMPLE = 200_000
_META = re.compile(rb"""<meta\b[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""<\?xml\b[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{2,40})""")


def encoding_of(label: str | None) -> str | None:
    """The encoding that a WHATWG label stands for, or None for a label that browsers do not know."""
    return _NAMES.get(label.strip("\t\n\f\r \"'").lower()) if label else None


# --------------------------------------------------------------------------------------------------- decoding


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
        if found := attempt(payload, names):
            text, encoding = found
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
    found = _META.search(head) or _XML.search(head)
    return found[1].decode("ascii", "replace") if found else None


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
    for codec in (*_CODECS["iso-2022-jp"], "iso2022_kr"):
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
        include_encodings=frozenset(_LABELS) - _NOT_DETECTED - _RARE.difference(names)
        | {"iso-8859-1", "cp932"},
        compat_names=False,
        no_match_encoding="windows-1252",
    ):
        if name := guess["encoding"]:
            name = _DETECTOR_NAMES.get(name) or _NAMES[name]
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


# The two have the small letters but one in common. They differ in that one, in where the capitals stand, and in
# that windows-1251 has the letters of Serbian and Macedonian, too, where the other has capitals.
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
        texts = [payload.decode(codec, "replace") for codec in _CODECS.get(name, (name,))]
    else:
        texts = [codecs.charmap_decode(payload, "replace", _table(_CODECS.get(name, (name,))[0]))[0]]
    faults, text = min(((len(_MISFITS.findall(text)), text) for text in texts), key=lambda pair: pair[0])
    return text, faults


_MISFITS = re.compile("[\ufffd\x80-\x9f]")


@cache
def _table(codec: str) -> str:
    """The 256 characters of a one-byte codec as browsers read it: where 80-9F is undefined, a C1 control."""
    chars = [bytes([byte]).decode(codec, "replace") for byte in range(256)]
    return "".join(chr(i) if char == "\ufffd" and i <= 0x9F else char for i, char in enumerate(chars))


# --------------------------------------------------------------------------------------------------- binary

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
_INSIDE = tuple(one for one in _MAGIC if one[0])
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


# --------------------------------------------------------------------------------------------------- repair


@dataclass(frozen=True, slots=True)
class Edit:
    """One repair within one text: ``text[start:end]`` of the repaired text was ``original``.

    ``rule``: ``mojibake``, ``control``, ``bidi``, ``tag`` or ``zero-width``. Where characters were only taken
    out, start equals end.
    """

    start: int
    end: int
    rule: str
    original: str


def repair(text: str, *, code: bool = False) -> tuple[str, tuple[Edit, ...]]:
    """The text without mojibake and unseen characters, and each place where it was changed.

    Works line by line, and leaves a line alone unless it proves itself wrong. With ``code`` (text of ``pre``
    and ``code``) only unseen characters go. Idempotent. ``restore`` gives the original back.
    """
    if text.isascii():
        if not _ASCII_UNSEEN.search(text):
            return text, ()
    elif not (_MAYBE_UNSEEN.search(text) or (not code and _SUSPECT.search(text))):
        return text, ()
    parts, edits, length = list[str](), list[Edit](), 0
    for line in _LINE.findall(text):
        repaired, found = _settled(line, code)
        parts.append(repaired)
        edits += [Edit(e.start + length, e.end + length, e.rule, e.original) for e in found]
        length += len(repaired)
    return "".join(parts), tuple(edits)


def restore(text: str, edits: Iterable[Edit]) -> str:
    """The text as it was before ``repair``: the edits taken back."""
    return _spliced(text, 0, len(text), ((e.start, e.end, e.original) for e in edits))


_LINE = re.compile(r"[^\n]*\n|[^\n]+")

# Scripts that need joiners and non-joiners beside their letters (Arabic to Tibetan, Mongolian), and emoji.
_JOINING = "\u0600-\u109f\u1700-\u18af\u1900-\u1cff\ua800-\uabff\ufe0f\u2190-\u2bff\u3030-\u303d\u3297-\u3299"
_JOINING += "\U00010a00-\U00011fff\U0001f000-\U0001faff"
# Scripts written without spaces (Thai, Lao, Tibetan, Myanmar, Khmer, Tai ...): there U+200B parts the words.
_SPACELESS = "\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"
_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
_ESCAPES = r"\x1b\[[0-?]{0,32}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)"

_ASCII_UNSEEN = re.compile(f"[{_CONTROL}]")
_MAYBE_UNSEEN = re.compile(
    f"[{_CONTROL}\x80-\x9f\u00ad\u200b-\u200d\u202a-\u202e\u2060\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
# The two alternatives without a name are kept: flags of regions, and word breaks of spaceless scripts.
_UNSEEN = re.compile(
    f"(?P<control>{_ESCAPES}|[{_CONTROL}\x80-\x9f\u206a-\u206f\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]+)"
    "|\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
    f"|(?<=[{_SPACELESS}])\u200b{{1,3}}|\u200b{{1,3}}(?=[{_SPACELESS}])"
    "|(?P<bidi>[\u202a-\u202e\u2066-\u2069]+)"
    "|(?P<tag>[\U000e0000-\U000e007f]+)"
    f"|(?P<zero>[\u00ad\u200b\u2060\ufeff]+|(?<![{_JOINING}])[\u200c\u200d]+(?![{_JOINING}]))"
)

# The one-byte encodings that UTF-8 gets read in by mistake, the likeliest first (ftfy's order and codecs).
_MISREADINGS = tuple(chardata.CHARMAP_ENCODINGS)


def _seen_as(values: Iterable[int]) -> str:
    """A set of the characters that these byte values become in any of the misreadings."""
    return (
        "[" + re.escape("".join({char for codec in _MISREADINGS for char in bytes(values).decode(codec)})) + "]"
    )


def _suspect() -> re.Pattern[str]:
    """What any mojibake has in it, and most text has not.

    A sequence that can be proof by itself, two sequences of any kind in a row, a capital whose second byte, A0,
    has become a space, or a C1 control.
    """
    more, first = _seen_as(range(0x80, 0xC0)), _seen_as(range(0xC2, 0xF5))
    two, three = _seen_as([*range(0xC2, 0xC7), 0xC8, 0xC9, 0xCC]), _seen_as([0xE1, 0xE2, 0xEF])
    alone = f"{two}{more}|{three}{more}[{more[1:-1]} \ufffd]|[ã-íð]{more}{more}|[ÐÑÎÏ]{more}|Ê[»¼]"
    return re.compile(f"{alone}|{first}{more}+{first}{more}|[ÂÃÅÎÐÙ] |[\x80-\x9f]")


_SUSPECT = _suspect()

_Change = tuple[int, int, str, str]  # start, end, what stands there instead, rule
_Mark = tuple[int, int, int, Edit | _Change]
_ROUNDS = 8
_PARTS = 2000


def _settled(line: str, code: bool) -> tuple[str, list[Edit]]:
    """A line repaired until nothing more changes, and its edits.

    Text that was misread several times settles in as many rounds. What has not settled after ``_ROUNDS`` is no
    text but a trap; then only its unseen characters go.
    """
    if settled := _rounds(line, [], code):
        return settled
    bare = _composed(line, [], _removals(line))
    return _rounds(*bare, code) or bare


def _rounds(line: str, edits: list[Edit], code: bool) -> tuple[str, list[Edit]] | None:
    for _ in range(_ROUNDS):
        reread = line if code else _reread(line)
        changes = _changes(line, reread) if reread != line else _removals(line)
        if not changes:
            return line, edits
        line, edits = _composed(line, edits, changes)
    return None


def _removals(line: str) -> list[_Change]:
    """The unseen characters of a line."""
    if not _MAYBE_UNSEEN.search(line):
        return []
    found = ((match.start(), match.end(), match.lastgroup) for match in _UNSEEN.finditer(line))
    return [(start, end, "", rule.replace("zero", "zero-width")) for start, end, rule in found if rule]


def _reread(line: str) -> str:
    """A line with one misreading undone, or the same line where nothing speaks for one."""
    if not _SUSPECT.search(line):
        return line
    bad = is_bad(line)
    if bad:
        line = line.replace("â€\ufffd", "â€\x9d")  # windows-1252 cannot hold the closing quotation mark
    for codec in _MISREADINGS:
        if (reading := _misread_as(codec, line, bad)) is not None:
            return reading
    if not bad:
        return line
    return fixes.fix_c1_controls(_reread_parts(line))


def _reread_parts(line: str) -> str:
    """A line that is not misread as a whole, with those runs of sequences undone that prove it themselves.

    What more than ``_PARTS`` different runs prove is that the line is no text.
    """
    readings: dict[tuple[str, str, str], str] = {}
    parts, position = list[str](), 0
    for match in chardata.UTF8_DETECTOR_RE.finditer(line):
        start, end = match.span()
        key = (line[max(0, start - 1) : start], match[0], line[end : end + 1])
        if key not in readings:
            if len(readings) == _PARTS:
                return line
            readings[key] = _reread_part(*key)
        parts += [line[position:start], readings[key]]
        position = end
    return "".join([*parts, line[position:]])


def _reread_part(before: str, part: str, after: str) -> str:
    if is_bad(part):
        for codec in _MISREADINGS:
            if (reading := _misread_as(codec, part, True, before, after)) is not None:
                return reading
    return part


def _misread_as(codec: str, line: str, bad: bool, before: str = "", after: str = "") -> str | None:
    """The line as it was before UTF-8 was read in this codec, or None if that is not proved.

    In a line that is bad anyway, sequences are mended too where A0 became a space or a byte was lost.
    ``before`` and ``after`` are the characters beside it.
    """
    try:
        raw = line.encode(codec)
        if bad and codec != "macroman":
            raw = fixes.restore_byte_a0(raw)
        if bad and codec.startswith("sloppy"):
            raw = fixes.replace_lossy_sequences(raw)
        reading = raw.decode("utf-8", "surrogatepass")
        if b"\xed" in raw:  # CESU-8: a pair of surrogates, each as a sequence of its own
            reading = reading.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        around = _beside(before) + raw + _beside(after)
    except UnicodeError:
        return None
    if not bad:
        return reading if _PROOF[codec].search(around) and not _INCREDIBLE.search(reading) else None
    return reading if _PROOF[codec].search(around) or _BAD_PROOF.search(around) else None


def _beside(char: str) -> bytes:
    return char.encode() if char.isascii() else b"\xff"


# What proves mojibake, in the bytes of the misreading. Clean text, too, has neighbours that happen to be UTF-8,
# nearly all where a word in capitals ends in an accent and a sign follows: LIBERTÉ², MANHÃ», CASĂ™, or PAMÄŤ.
_LATIN = (  # a Latin letter or a sign
    rb"(?:\xc2[\xa0-\xbf]|[\xc3-\xc5][\x80-\xbf]|\xc6[\x98\x99\xa0\xa1\xaf\xb0]|\xc8[\x98-\x9b]"
    rb"|\xc9[\x93\x97\x99])"
)
_ANY = rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
_EVERYWHERE = (
    rb"[A-Z][\xc3-\xc5][\x80-\xbf][a-z]",  # two capitals, then small letters: NÃ£o
    rb"[a-z]\xcc[\x80-\xbf]",  # a combining accent
    rb"[a-z]\xe1[\xba\xbb][\x80-\xb2][a-z]",  # Vietnamese
    rb"\xe2[\x80-\x82\x84][\x80-\xbf]",  # quotes, dashes, euro, trade mark: â€œ
    rb"\xf0\x9f[\x80-\xbf]{2}",  # emoji
    rb"\xef\xbf\xbd",  # U+FFFD, once or for a lost byte
)
_CAPITAL = rb"[a-z][\xc2-\xd6\xd8-\xde][\x80-\xbf]"  # where first bytes are capitals: cafÃ©, AhyÉ›de
_EDGE = rb"(?:^|[\x00-@[-`{-\x7f])"
_START = _EDGE + rb"(?:\xc2[\xa0-\xbf]|\xc3[\x80-\xbf]|[\xc6\xc9][\x80-\xbf][a-z])"  # Ã‰tat
_RUN = _ANY + rb"{2}"  # two sequences in a row, as in every word of another script
_LATIN_1 = (
    _CAPITAL,
    _START,
    rb"(?:[a-z]|" + _EDGE + rb")\xe1[\xb8-\xbb][\x80-\xbf][a-z]",
    _RUN,
    # Signs and letters that never follow these capitals, then those that do not where a letter follows as well.
    rb"[\xc3-\xc5][\x81-\x84\x86-\x8a\x8c-\x90\x98\x9a\x9c-\x9f\xa1\xa4-\xa8\xac\xad\xaf\xb1\xb4-\xb6\xb8\xbc-\xbf]",
    rb"[\xc3-\xc5][\x80\x99\xa2\xa3\xa9-\xab\xae\xb0\xb2\xb3\xb9-\xbb][A-Za-z]",
    rb"\xc3[\x85\x8b\x91-\x96\x9b][A-Za-z]|\xc8[\x98-\x9b][A-Z]",
    rb"[\xc2-\xdf][\x81\x8d\x8f\x90\x9d]",
)
_SIGN = rb"[\xc3-\xc5][\x81-\x84\x86-\x89\x90\x98\xa4\xa6\xa7\xac\xad\xb1\xb5\xb6]"
_LATIN_2 = (_CAPITAL, _START, _RUN, _SIGN, rb"[\xc4\xc5][\x80-\xbf][a-z]|\xc3\x80[A-Z]|\xc4\x8c")
# Here the first bytes are signs of mathematics or frames; a letter after one is proof, a sign is not.
_LETTER = rb"[\x80-\x9f\xa7\xae\xaf\xbe\xbf]"
_SIGNS = (
    rb"[a-z](?!\xc3[\xb0\xb9](?![A-Za-z]))" + _LATIN,
    _RUN,
    rb"\xc3" + _LETTER + rb"|(?:\xc4[\x86\x8c\x8d]|\xc5" + _LETTER + rb")[A-Za-z]",
    rb"[A-Za-z][\xc3-\xc5][\x80-\xbf][A-Za-z]",
)
_ALONE = (
    _EDGE
    + rb"\xc3[\x81-\x84\x86-\x8a\x8c-\x90\x98\x9a\x9c-\x9f\xa1-\xa8\xac\xad\xaf\xb1-\xb6\xb8-\xba\xbc-\xbf]"
)
_PROOFS = {
    "latin-1": (*_LATIN_1, rb"[\xc2-\xdf][\x80-\x9f]"),
    "sloppy-windows-1252": _LATIN_1,
    "sloppy-windows-1254": _LATIN_1,
    "sloppy-windows-1251": (_CAPITAL, _ALONE, _ANY + rb"{3}", _SIGN, rb"[\xc3-\xc5][\x80-\xbf][A-Za-z]"),
    "sloppy-windows-1253": (_CAPITAL, _RUN, _SIGN),
    "macroman": _SIGNS,
    "cp437": _SIGNS,
}
_PROOF = {codec: re.compile(b"|".join(_EVERYWHERE + _PROOFS.get(codec, _LATIN_2))) for codec in _MISREADINGS}
# In a line that is bad anyway, two long sequences anywhere or one at the start of a word prove it, too.
_BAD_PROOF = re.compile(rb"[\xe3-\xef][\x80-\xbf]{2}[^\xe3-\xef]*[\xe3-\xef][\x80-\xbf]{2}|" + _START)
# What a wrong reading makes: a letter of another alphabet in a Latin word, spacing modifiers, private
# characters.
_INCREDIBLE = re.compile(
    "[A-Za-z\u00c0-\u024f][\u0370-\u07ff]|[\u0370-\u07ff][A-Za-z\u00c0-\u024f]"
    "|[\u02b0-\u02ba\u02bd-\u02ff\u0700-\u08ff\ue000-\uf8ff\x00-\x08\x0e-\x1f]"
)


_WORD = re.compile(r"[!-~]+")


def _changes(line: str, reread: str) -> list[_Change]:
    """Where two readings of a line differ: between the ASCII words, which no misreading changes."""
    words, others = list(_WORD.finditer(line)), list(_WORD.finditer(reread))
    if [word[0] for word in words] != [word[0] for word in others]:
        words = others = []
    changes, start, begin = [], 0, 0
    for word, other in zip([*words, None], [*others, None], strict=True):
        end, stop = (word.start(), other.start()) if word and other else (len(line), len(reread))
        if line[start:end] != reread[begin:stop]:
            changes.append(_trimmed(line, start, end, reread[begin:stop]))
        start, begin = (word.end(), other.end()) if word and other else (end, stop)
    return changes


def _trimmed(line: str, start: int, end: int, new: str) -> _Change:
    """A change without what both sides begin and end with."""
    old = line[start:end]
    shared = min(len(old), len(new))
    head = next((i for i in range(shared) if old[i] != new[i]), shared)
    tail = next((i for i in range(shared - head) if old[-1 - i] != new[-1 - i]), shared - head)
    return start + head, end - tail, new[head : len(new) - tail], "mojibake"


def _composed(line: str, edits: list[Edit], changes: list[_Change]) -> tuple[str, list[Edit]]:
    """A line with changes made, and its edits then; an edit that a change overlaps becomes one with it."""
    marks: list[_Mark] = [(e.start, e.end, 0, e) for e in edits]
    marks = sorted([*marks, *((c[0], c[1], 1, c) for c in changes)], key=_place)
    parts, after, position, length = list[str](), list[Edit](), 0, 0
    for group in _overlapping(marks):
        start, end = group[0][0], max(mark[1] for mark in group)
        old = [mark[3] for mark in group if isinstance(mark[3], Edit)]
        new = [mark[3] for mark in group if not isinstance(mark[3], Edit)]
        before = _spliced(line, start, end, ((e.start, e.end, e.original) for e in old))
        now = _spliced(line, start, end, ((c[0], c[1], c[2]) for c in new))
        rules = {e.rule for e in old} | {c[3] for c in new}
        parts += [line[position:start], now]
        length += start - position + len(now)
        after.append(Edit(length - len(now), length, rules.pop() if len(rules) == 1 else "mojibake", before))
        position = end
    return "".join([*parts, line[position:]]), after


def _place(mark: _Mark) -> tuple[int, int, int]:
    return mark[:3]


def _overlapping(marks: Iterable[_Mark]) -> Iterator[list[_Mark]]:
    """Sorted marks in groups that share characters."""
    group, end = list[_Mark](), 0
    for mark in marks:
        if group and mark[0] >= end:
            yield group
            group = []
        group.append(mark)
        end = max(end, mark[1]) if len(group) > 1 else mark[1]
    if group:
        yield group


def _spliced(text: str, start: int, end: int, swaps: Iterable[tuple[int, int, str]]) -> str:
    """``text[start:end]`` with ranges of it swapped for other text."""
    parts, position = [], start
    for first, last, new in swaps:
        parts += [text[position:first], new]
        position = last
    return "".join([*parts, text[position:end]])
