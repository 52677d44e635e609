import pytest

from videos.text import counted, counted_bytes, storable


@pytest.mark.parametrize(("count", "words"), [(0, "0 videos"), (1, "1 video"), (2, "2 videos"), (3000, "3,000 videos")])
def test_a_number_of_things_agrees_with_its_noun(count, words):
    assert counted(count, "video") == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 bytes"), (1, "1 byte"), (5 << 20, "5.0 MB")])
def test_a_number_of_bytes_has_a_plain_blank(count, words):
    assert counted_bytes(count) == words


def test_what_a_column_cannot_hold_is_left_out():
    assert storable("a\x00b\ud800c") == "ab?c"
    assert (storable("abc", 2), storable(None)) == ("ab", "")
