"""Encodings by name: the labels of the WHATWG Encoding Standard, and Python's codecs for them.

Labels mean what browsers mean by them (https://encoding.spec.whatwg.org/#names-and-labels): ``latin1`` is
windows-1252, ``gb2312`` is gb18030. No other encoding is ever used.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

LABELS = {
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
    for name, labels in LABELS.items():
        yield from ((label, name) for label in labels.split())
        if name.startswith("iso-8859-"):
            part = name.removeprefix("iso-8859-")
            yield from ((label + part, name) for label in ("iso-8859-", "iso8859-", "iso8859", "iso_8859-"))
        elif name.startswith("windows-125"):
            page = name.removeprefix("windows-")
            yield from ((label + page, name) for label in ("windows-", "cp", "x-cp"))


NAMES = dict(_labels())
# Python's codecs where one of the encoding's name is missing or too narrow; the first that fits is taken.
CODECS = {
    "windows-874": ("cp874",),
    "x-mac-cyrillic": ("mac-cyrillic",),
    "big5": ("big5hkscs", "cp950"),
    "euc-jp": ("euc_jp", "euc_jis_2004"),
    "iso-2022-jp": ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_2004"),
    "shift_jis": ("cp932",),
    "euc-kr": ("cp949",),
}


def encoding_of(label: str | None) -> str | None:
    """The encoding that a WHATWG label stands for, or None for a label that browsers do not know."""
    return NAMES.get(label.strip("\t\n\f\r \"'").lower()) if label else None


@cache
def byte_table(codec: str) -> str:
    """The 256 characters of a one-byte codec as browsers read it: where 80-9F is undefined, a C1 control."""
    chars = [bytes([byte]).decode(codec, "replace") for byte in range(256)]
    return "".join(chr(i) if char == "\ufffd" and i <= 0x9F else char for i, char in enumerate(chars))
