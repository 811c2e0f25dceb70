"""Bytes to text, and repairs: what is mended, what is left alone, and that every repair can be taken back."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cleancopy.extract.encoding import Edit, decode, encoding_of, looks_binary, repair, restore
from conftest import CASES, corpus

GIVEN = json.loads((CASES / "encoding.json").read_text(encoding="utf-8"))

# One sentence (Universal Declaration of Human Rights, article 1) in encodings that the web was written in.
SENTENCES = {
    "windows-1252": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "iso-8859-15": "Alle Menschen sind frei und gleich an Würde geboren, für 5 € oder über 100 €.",
    "windows-1250": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "iso-8859-2": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van, űrön innen és túl.",
    "windows-1251": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "koi8-r": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "windows-1253": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "windows-1254": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "windows-1255": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "windows-1256": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
    "windows-1257": "Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis.",
    "windows-874": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "shift_jis": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "euc-jp": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "iso-2022-jp": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "gb18030": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "big5": "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心。",
    "euc-kr": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "utf-8": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
}
PYTHON = {"windows-874": "cp874", "shift_jis": "cp932", "euc-kr": "cp949"}


def page(text: str, label: str) -> str:
    head = f'<meta charset="{label}">' if label else ""
    return f"<!doctype html><html><head>{head}<title>page</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize("label", ["right", "", "utf-8", "iso-8859-1", "windows-1251", "zlib_codec"])
@pytest.mark.parametrize("encoding", SENTENCES)
def test_page_reads_right_whatever_its_label_says(encoding: str, label: str) -> None:
    markup = page(SENTENCES[encoding], encoding if label == "right" else label)
    text, decoding = decode(markup.encode(PYTHON.get(encoding, encoding)))
    assert text == markup
    assert decoding.replaced == 0
    assert decoding.declared == ((encoding if label == "right" else label) or None)


def test_a_right_label_of_a_rare_encoding_is_believed() -> None:
    markup = page("Toate ființele umane se nasc libere și egale în demnitate și în drepturi.", "iso-8859-16")
    text, decoding = decode(markup.encode("iso-8859-16"))
    assert text == markup
    assert (decoding.rule, decoding.encoding) == ("declared", "iso-8859-16")


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_mark_beats_the_label(codec: str) -> None:
    text, decoding = decode(page("naïve €", "iso-8859-1").encode(codec), declared="windows-1251")
    assert text == page("naïve €", "iso-8859-1")
    assert decoding.rule == "bom"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["Все люди", "人人生而自由，在尊嚴和權利上一律平等。"])
def test_utf_16_without_a_mark(codec: str, text: str) -> None:
    assert decode(page(text, "").encode(codec))[0] == page(text, "")


def test_bad_bytes_in_a_good_page_cost_only_themselves() -> None:
    payload = "<p>Das Café für Größe".encode() + b" over\xc0\xaflong half\xed\xa0\x80pair torn\xf0\x9f \xff</p>"
    text, decoding = decode(payload, declared="iso-8859-1")
    assert text.startswith("<p>Das Café für Größe over")
    assert text.endswith("\ufffd \ufffd</p>")
    assert decoding.rule == "mostly-utf-8"
    assert decoding.replaced == text.count("\ufffd") == 7


def test_the_header_comes_before_the_page() -> None:
    payload = page(SENTENCES["windows-1253"], "iso-8859-7").encode("windows-1253")
    _, decoding = decode(payload, declared="windows-1253")
    assert (decoding.declared, decoding.rule, decoding.encoding) == ("windows-1253", "declared", "windows-1253")


def test_text_has_no_declaration() -> None:
    _, decoding = decode('<meta charset="koi8-r"> été'.encode(), html=False)
    assert decoding.declared is None


@pytest.mark.parametrize("declared", [None, "windows-1252", "utf-8"])
def test_a_byte_that_windows_1252_leaves_undefined_is_a_control(declared: str | None) -> None:
    """WHATWG: 81, 8D, 8F, 90 and 9D stand for the control of the same number, not for an error."""
    text = (SENTENCES["windows-1252"] + " ") * 20
    read, decoding = decode(text.encode("windows-1252") + b"\x9d", declared=declared)
    assert read == text + "\x9d"
    assert (decoding.encoding, decoding.replaced) == ("windows-1252", 0)


@pytest.mark.parametrize(
    "text",
    ["don’t panic", "© 2019", "5 × 5 m², ±5 %", "“Hello” he said — and left…", "Wrocław", "München ist groß"],
)
def test_a_few_bytes_are_enough(text: str) -> None:
    assert decode(text.encode("windows-1250" if "ł" in text else "windows-1252"))[0] == text


@pytest.mark.parametrize(
    "label", ["zlib_codec", "rot13", "utf-7", "utf-8-sig", "hex", "unicode_escape", "", "\0"]
)
def test_labels_that_browsers_do_not_know_mean_nothing(label: str) -> None:
    assert encoding_of(label) is None


@pytest.mark.parametrize(
    ("label", "encoding"),
    [
        (" Latin1 ", "windows-1252"),
        ("GB2312", "gb18030"),
        ("ISO_8859-9:1989", "windows-1254"),
        ("x-cp1250", "windows-1250"),
    ],
)
def test_labels_mean_what_browsers_mean(label: str, encoding: str) -> None:
    assert encoding_of(label) == encoding


@given(
    st.binary(max_size=300),
    st.sampled_from([None, "utf-8", "shift_jis", "utf-16le", "windows-1253", "zlib_codec"]),
)
@example(b"\xed\xa0\x80" * 5, None)
@example(b"\x00\xd8" * 20, "utf-16le")
def test_any_bytes_become_text_that_can_be_written(payload: bytes, declared: str | None) -> None:
    text, decoding = decode(payload, declared=declared)
    text.encode("utf-8")
    assert encoding_of(decoding.encoding) == decoding.encoding or decoding.rule in ("bom", "escapes")


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "PDF"),
        (b"\x1f\x8b\x08\x00" + bytes(6), "gzip"),
        (b"PK\x03\x04" + bytes(26), "zip"),
        (b"\x7fELF\x02\x01\x01", "ELF"),
        (random.Random(5).randbytes(20_000), "random bytes"),
        (b"<html>" + random.Random(7).randbytes(20_000), "random bytes"),
    ],
)
def test_binary_is_named(payload: bytes, name: str) -> None:
    assert looks_binary(payload) == name


@pytest.mark.parametrize("encoding", SENTENCES)
def test_text_is_not_binary(encoding: str) -> None:
    assert looks_binary(page(SENTENCES[encoding], "").encode(PYTHON.get(encoding, encoding))) is None
    assert looks_binary(page(SENTENCES[encoding], "").encode("utf-16")) is None


@pytest.mark.parametrize(
    "text", ["", "\ufeff", "har\0bour and more of it", "\x1b[2J\x1b]0;x\x07an\x08\x7f\x0bnual survey" * 3]
)
def test_text_with_a_few_controls_is_not_binary(text: str) -> None:
    assert looks_binary((text + "plain " * 50).encode()) is None


@pytest.mark.parametrize("case", GIVEN["repaired"], ids=lambda case: case["why"])
def test_repair(case: dict[str, str]) -> None:
    repaired, edits = repair(case["text"])
    assert repaired == case["repaired"]
    assert sorted({edit.rule for edit in edits}) == case["rules"]
    assert restore(repaired, edits) == case["text"]


@pytest.mark.parametrize("case", GIVEN["clean"], ids=lambda case: case["why"])
def test_clean_text_is_left_alone(case: dict[str, str]) -> None:
    assert repair(case["text"]) == (case["text"], ())
    assert repair(case["text"] + " " + case["text"]) == (case["text"] + " " + case["text"], ())


def test_edits_are_small_and_say_where() -> None:
    text = "The cafÃ© is\x00 closed, le garÃ§on says."
    repaired, edits = repair(text)
    assert repaired == "The café is closed, le garçon says."
    assert edits == (
        Edit(7, 8, "mojibake", "Ã©"),
        Edit(11, 11, "control", "\x00"),
        Edit(26, 27, "mojibake", "Ã§"),
    )


def test_code_keeps_its_mojibake_but_not_its_hidden_characters() -> None:
    repaired, edits = repair('if name == "Ã©\u202e":\n\treturn "â€œ"', code=True)
    assert repaired == 'if name == "Ã©":\n\treturn "â€œ"'
    assert [edit.rule for edit in edits] == ["bidi"]


# Pieces from which traps are made: bytes of UTF-8 as western pages show them, and what is removed.
MISREAD = [*"ÃÂœ©\xa0™ÄÅÉéÐÑРё√±├ðŸ€À", "â€", "Ãƒ", "í\xa0"]
HIDDEN = [*"\x00\x1b\x07\x81\x92\u200b\u200d\u202e\u00ad\ufeff\U000e0067\ud800"]
AROUND = [*"aZ \n\r\t[]?\x1a\ufffd\U0001f3f4\U000e007fकក"]
PIECES = st.sampled_from([*MISREAD, *HIDDEN, *AROUND])


@settings(max_examples=400)
@given(st.one_of(st.lists(PIECES, max_size=24).map("".join), st.text(max_size=40)), st.booleans())
@example("Ã\x81©", False)
@example("Ã" + "ƒÂ" * 12, False)
@example("ÃƒÀ\n\ufeff€", False)
@example("\x1b\x1b[2J[2J", False)
@example("\U0001f3f4\u200b\U000e0067\U000e0062\U000e0073\U000e007f", False)
def test_repairs_can_be_taken_back_and_do_not_repeat(text: str, code: bool) -> None:
    repaired, edits = repair(text, code=code)
    assert restore(repaired, edits) == text
    assert repair(repaired, code=code) == (repaired, ())
    assert [(e.start, e.end) for e in edits] == sorted((e.start, e.end) for e in edits)
    assert all(a.end <= b.start for a, b in pairwise(edits))
    assert repaired.count("\n") == text.count("\n")


ALPHABETS = [
    "àâäçéèêëîïôöùûüñáíóúãõåæøß",
    "ąćęłńśźżčěřšťůžőűğışļņķģāēīū",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθλμξπρσφψω",
]


@given(
    st.sampled_from(ALPHABETS).flatmap(lambda letters: st.text(letters, min_size=2, max_size=9)),
    st.integers(1, 3),
)
def test_words_misread_several_times_come_back(word: str, times: int) -> None:
    misread = f"aber {word} oder"
    for _ in range(times):
        misread = misread.encode().decode("latin-1")
    assert repair(misread)[0] == f"aber {word} oder"


@pytest.mark.parametrize(
    "line",
    [
        "Ã" * 200_000,
        "â€œÃ©Ã¢â‚¬â„¢" * 20_000,
        "Ãƒâ€šÃ‚ ïÂ¿½ " * 12_000,
        "Ã" + "ƒÂ" * 40_000,
        "a" + "\u0323\u0307\u0301" * 20_000,
    ],
    ids=["capitals", "repairable", "lossy", "nested", "zalgo"],
)
def test_traps_end(line: str) -> None:
    repaired, edits = repair(line)
    assert restore(repaired, edits) == line


def test_gold_of_real_pages_keeps_its_words() -> None:
    """Not one page of three hundred changes but where UTF-8 was read as something else before."""
    changed = []
    for path in sorted((corpus("corpora") / "wcxb" / "ground-truth").glob("*.json"))[::5]:
        text = json.loads(path.read_text(encoding="utf-8"))["ground_truth"]["main_content"] or ""
        changed += [edit.original for edit in repair(text)[1] if edit.rule == "mojibake"]
    assert [
        one for one in changed if not any("Â" <= char <= "ï" or "\x80" <= char <= "\x9f" for char in one)
    ] == []
