"""Captions as they come, in the forms for players and readers."""

import pytest

from ingestion.assets import captions
from ingestion.assets.cues import is_webvtt, read_cues

HEAD = "WEBVTT\nKind: captions\nLanguage: en\n\n"
KEPT = "1\n00:00:03,000 --> 00:00:04,000\nkept\n"


def in_cue(words: str) -> bytes:
    return f"{HEAD}00:01.000 --> 00:02.000\n{words}\n".encode()


WORDS = {
    "a word that is bleeped out": ("[&nbsp;__&nbsp;]", "[ __ ]", "[ __ ]"),
    "a no-break space as it is": ("10\xa0km", "10 km", "10 km"),
    "braces": ("{x} {\\an8}", "{x} {\\an8}", "{x} {\\an8}"),
    "a backslash": ("C:\\new C:\\N \\h", "C:\\new C:\\N \\h", "C:\\new C:\\N \\h"),
    "quotes": ("&#39;q&#39; &quot;x&quot; &apos;y&#x27;", "'q' \"x\" 'y'", "'q' \"x\" 'y'"),
    "brackets that were said": ("a &lt;b&gt; and &lt;i&gt; z", "a <b> and <i> z", "a <b> and <i> z"),
    "what was escaped twice is said so": ("&amp;nbsp; &amp;lt;", "&nbsp; &lt;", "&nbsp; &lt;"),
    "an ampersand alone": ("AT&T & Q&A", "AT&T & Q&A", "AT&T & Q&A"),
    "bold, italics, underlined": ("<b>B</b> <i.loud>I</i> <U>U</U>", "<b>B</b> <i>I</i> <u>U</u>", "B I U"),
    "classes, times and words": ("so<00:00:01.500><c.red.big> far</c><1:00.000>", "so far", "so far"),
    "a voice": ("<v.first Ann &amp; Bob>hello</v> <lang en-GB>there</lang>", "hello there", "hello there"),
    "ruby and unknown mark-up": ("<ruby>r<rt>t</rt></ruby><font color='red'>x</font>", "rtx", "rtx"),
    "mark-up over two lines": ("<v Ann\nLee>hi", "hi", "hi"),
    "a bracket that is no mark-up": ("1 < 2, 3 > 2, I <3 you", "1 < 2, 3 > 2, I <3 you", "1 < 2, 3 > 2, I <3 you"),
    "from right to left": (
        "&rlm;\u202b\u05e9\u05dc\u05d5\u05dd\u202c",
        "\u200f\u202b\u05e9\u05dc\u05d5\u05dd\u202c",
        "\u200f\u202b\u05e9\u05dc\u05d5\u05dd\u202c",
    ),
    "two lines": ("one  of\n two", "one  of\n two", "one of\ntwo"),
    "a line without words": ("one\n \n&nbsp;\ntwo", "one\ntwo", "one\ntwo"),
    "a line break as a reference": ("one&#10;&#13;two", "one two", "one two"),
    "a zero byte": ("a\0b", "a\ufffdb", "a\ufffdb"),
}


@pytest.mark.parametrize(("words", "srt", "text"), WORDS.values(), ids=WORDS)
def test_words_stay_what_they_are(words, srt, text):
    assert captions.to_srt(in_cue(words)).decode() == f"1\n00:00:01,000 --> 00:00:02,000\n{srt}\n"
    assert captions.to_text(in_cue(words), is_rolling=False).decode() == f"{text}\n"


GOOD = "00:03.000 --> 00:04.000\nkept\n"
AROUND = {
    "as it should be": GOOD,
    "without the end of the last line": GOOD.rstrip(),
    "settings": GOOD.replace("\nkept", " align:start position:0% line:-1\nkept"),
    "a name": f"the first\n{GOOD}",
    "notes, styles and regions": f"NOTE one\ntwo\n\nSTYLE\n::cue {{ color: red }}\n\nREGION\nid:a\n\n{GOOD}\nNOTE three\n",
    "an arrow that is no time": f"foo --> bar\nlost\n\n{GOOD}",
    "an arrow in a note": f"NOTE a --> b\nlost\n\n{GOOD}",
    "no end": f"00:01.000 -->\nlost\n\n{GOOD}",
    "seconds that there are not": f"00:61.000 --> 00:62.000\nlost\n\n{GOOD}",
    "a time of another format": f"00:01,000 --> 00:02,000\nlost\n\n{GOOD}",
    "a number as long as a line": f"{'9' * 5000}:00:01.000 --> 00:02.000\nlost\n\n{GOOD}",
    "nothing said": f"00:01.000 --> 00:02.000\n\n00:02.000 --> 00:03.000\n \n&nbsp;\n<b></b>\n\n{GOOD}",
    "hours": GOOD.replace("00:0", "00:00:0"),
    "no room around the arrow": GOOD.replace(" --> ", "-->"),
}


@pytest.mark.parametrize("body", AROUND.values(), ids=AROUND)
def test_what_is_no_cue_or_a_bad_one_is_passed_over(body):
    assert captions.to_srt(f"{HEAD}{body}".encode()).decode() == KEPT
    assert captions.to_text(f"{HEAD}{body}".encode(), is_rolling=False) == b"kept\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_any_end_of_a_line_and_a_byte_order_mark_do(end, mark):
    content = (mark + HEAD + GOOD).replace("\n", end).encode()
    assert is_webvtt(content) and captions.to_srt(content).decode() == KEPT


def test_bytes_that_are_no_text_spoil_only_themselves():
    content = in_cue("bad X word") + f"\n{GOOD}".encode()
    assert captions.to_text(content.replace(b"X", b"\xff\xc3"), is_rolling=False).decode() == "bad \ufffd\ufffd word\nkept\n"


def test_beyond_99_hours_there_are_still_words_only():
    content = f"{HEAD}99:59:59.000 --> 100:00:01.500\nlate\n\n1000:00:01.000 --> 1000:00:02.000\nlater\n".encode()
    times = "1\n99:59:59,000 --> 100:00:01,500\nlate\n\n2\n1000:00:01,000 --> 1000:00:02,000\nlater\n"
    assert captions.to_srt(content).decode() == times
    assert captions.to_text(content, is_rolling=False) == b"late\nlater\n"


def test_a_cue_ends_where_the_next_one_begins_even_without_a_blank_line():
    content = f"{HEAD}00:01.000 --> 00:02.000\nfirst\n{GOOD}".encode()
    assert [cue.lines for cue in read_cues(content)] == [("first",), ("kept",)]


@pytest.mark.parametrize("body", ["", "foo --> bar\nlost\n", "00:01.000 --> 00:02.000\n&nbsp;\n"])
def test_captions_in_which_nothing_can_be_read_are_empty(body):
    content = f"{HEAD}{body}".encode()
    assert (captions.to_srt(content), captions.to_text(content, is_rolling=True)) == (b"", b"")


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"WEBVTT", True), (b"WEBVTT\tx", True), (b"\xef\xbb\xbfWEBVTT\r\n", True), (b"WEBVTTx", False), (b"<html>", False), (b"", False)],
)
def test_webvtt_says_so_in_its_first_word(content, expected):
    assert is_webvtt(content) == expected
