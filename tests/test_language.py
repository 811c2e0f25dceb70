"""What a text is written in: detected, held against what is declared, and kept with the document."""

from __future__ import annotations

import json

import pytest

from cleancopy import Capture, Policy, clean_page
from cleancopy.clean import read
from cleancopy.extract.language import Language, confidence_in, decide_language, detect_language
from conftest import corpus

TEXTS = {
    "en": (
        "The harbour office has published the tide tables for the coming year. They can be read at the quay."
    ),
    "de": ("Das Hafenamt hat die Gezeitentafeln für das kommende Jahr veröffentlicht. Sie hängen am Kai aus."),
    "fr": (
        "Le bureau du port a publié les tables des marées de l'année prochaine. On peut les lire sur le quai."
    ),
    "ru": ("Управление порта опубликовало таблицы приливов на следующий год. Их можно прочитать на причале."),
    "el": (
        "Το λιμεναρχείο δημοσίευσε τους πίνακες παλιρροιών για το επόμενο έτος. Θα τους βρείτε στην προβλήτα."
    ),
    "pl": (
        "Urząd portu opublikował tablice pływów na nadchodzący rok. Można je przeczytać na nabrzeżu portowym."
    ),
    "zh": ("港务局公布了明年的潮汐表。人们可以在码头上阅读这些表格，也可以在办公室索取印刷本。") * 2,
    "ja": ("港湾局は来年の潮汐表を発表しました。埠頭で読むことができ、事務所で印刷物を受け取ることもできます。")
    * 2,
    "ko": (
        "항만청은 내년의 조석표를 발표했습니다. 부두에서 읽을 수 있으며 사무실에서 인쇄본을 받을 수 있습니다."
    )
    * 2,
    "ar": (
        "نشر مكتب الميناء جداول المد والجزر للعام المقبل. يمكن قراءتها على الرصيف أو الحصول عليها من المكتب."
    )
    * 2,
    "th": ("สำนักงานท่าเรือได้เผยแพร่ตารางน้ำขึ้นน้ำลงสำหรับปีหน้า สามารถอ่านได้ที่ท่าเรือหรือขอฉบับพิมพ์ได้ที่สำนักงาน") * 2,
    "hi": ("बंदरगाह कार्यालय ने आने वाले वर्ष के लिए ज्वार तालिकाएँ प्रकाशित की हैं। उन्हें घाट पर पढ़ा जा सकता है।") * 2,
    "he": ("משרד הנמל פרסם את לוחות הגאות והשפל לשנה הבאה. אפשר לקרוא אותם על הרציף או לקבל עותק מודפס במשרד.")
    * 2,
}


def page(text: str, declared: str | None) -> bytes:
    lang = f' lang="{declared}"' if declared else ""
    paragraphs = "".join(f"<p>{text}</p>" for _ in range(3))
    markup = (
        f"<!DOCTYPE html><html{lang}><head><title>x</title></head><body><main>{paragraphs}</main></body></html>"
    )
    return markup.encode()


@pytest.mark.parametrize("tag", TEXTS)
def test_the_language_of_a_text(tag: str) -> None:
    detected = detect_language([TEXTS[tag]] * 2)
    assert detected.tag == tag
    assert detected.confidence > 0.9


@pytest.mark.parametrize("tag", ["en", "ru", "zh", "he"])
def test_plain_text_and_pages_that_declare_nothing_have_one(tag: str) -> None:
    for payload, media_type in ((TEXTS[tag] * 3, "text/plain"), (page(TEXTS[tag], None), "text/html")):
        metadata = clean_page(payload, media_type=media_type).metadata
        assert (metadata.language, metadata.language_declared) == (tag, None)
        assert (metadata.language_confidence or 0) > 0.9


def test_a_wrong_declaration_is_overruled_and_kept_beside() -> None:
    metadata = clean_page(page(TEXTS["ru"], "en-US")).metadata
    assert (metadata.language, metadata.language_declared) == ("ru", "en-US")


def test_a_right_declaration_keeps_its_region() -> None:
    metadata = clean_page(page(TEXTS["en"], "en_gb")).metadata
    assert (metadata.language, metadata.language_declared) == ("en-GB", "en-GB")


@pytest.mark.parametrize(
    ("declared", "detected", "language"),
    [
        ("nb", Language("no", 0.99), "nb"),  # too near to tell apart
        ("hr", Language("sr", 0.99), "hr"),
        ("de", Language("en", 0.55), "de"),  # not plainly in another one
        ("de", Language(None), "de"),
        (None, Language("fi", 0.6), "fi"),
        (None, Language(None), None),
    ],
)
def test_what_overrules_a_declaration(declared: str | None, detected: Language, language: str | None) -> None:
    assert decide_language(declared, detected) == language


def test_the_confidence_is_in_the_language_that_was_chosen() -> None:
    assert confidence_in("nb", Language("no", 0.987)) == 0.99
    assert confidence_in("de", Language("en", 0.55)) == 0.0
    assert confidence_in("de", Language(None)) is None


def test_what_the_source_declares_stands() -> None:
    capture = Capture(page(TEXTS["de"], "en"), key="k", language="gsw")
    metadata = read(capture, Policy()).metadata
    assert (metadata.language, metadata.language_declared) == ("gsw", "gsw")


def test_a_page_in_two_languages_says_so() -> None:
    both = f"{TEXTS['en']} {TEXTS['en']}\n\n{TEXTS['ru']} {TEXTS['ru']}\n"
    document = clean_page(both, media_type="text/plain")
    assert any(note.startswith("is written in more than one language: ") for note in document.notes)
    assert not any("language" in note for note in clean_page(TEXTS["en"] * 3, media_type="text/plain").notes)


@pytest.mark.parametrize("text", ["", "Ok.", "12 34 56", "\ud800\udfff\x00\x01" * 80, "﷐" * 300, "🌊" * 300])
def test_too_little_or_nothing_readable_has_no_language(text: str) -> None:
    assert detect_language([text]) == Language(None)


def test_pages_of_many_languages_are_told() -> None:
    """Every fourth page of the corpora in other languages, by the language that its site is written in."""
    names = {"English": "en", "Greek": "el", "Chinese": "zh", "Russian": "ru", "Polish": "pl"}
    lines = (corpus("corpora/languages") / "pages.jsonl").read_text(encoding="utf-8").splitlines()[::4]
    pages = [json.loads(line) for line in lines]
    long = [each for each in pages if len(each["gold"]) >= 200]
    tags = [str(detect_language(each["gold"].split("\n")).tag).partition("-")[0] for each in long]
    right = sum(tag == names[each["language"]] for tag, each in zip(tags, long, strict=True))
    assert right >= 0.99 * len(long) > 150
