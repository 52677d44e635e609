from uuid import UUID

import pytest

from videos.keys import beside, download_name, key_stem, read_key

UUID_ = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("name", "by_person", "expected"),
    [
        pytest.param("Ann Müller", True, "ann-muller-7/UCx/vid/", id="person first, ASCII"),
        pytest.param("北京", True, "7/UCx/vid/", id="no Latin letter: the number alone"),
        pytest.param("Ann", False, "UCx/vid/", id="not organised by person"),
        pytest.param("../etc/passwd", True, "etcpasswd-7/UCx/vid/", id="no way out of the prefix"),
    ],
)
def test_a_key_is_ascii_and_names_person_channel_and_video(name, by_person, expected):
    key = key_stem(person_id=7, person_name=name, channel_id="UCx", video_id="vid", uuid=UUID_, attempt_id=3, by_person=by_person)
    assert key == f"{expected}{UUID_}-3"
    assert key.isascii()


def test_two_attempts_never_share_a_key():
    keys = {key_stem(person_id=1, person_name="A", channel_id="c", video_id="v", uuid=UUID_, attempt_id=attempt) for attempt in (1, 2)}
    assert len(keys) == 2


@pytest.mark.parametrize("name", ["Ann Müller", "北京", ""])
@pytest.mark.parametrize("by_person", [True, False])
def test_a_key_tells_its_video_and_its_attempt(name, by_person):
    stem = key_stem(person_id=7, person_name=name, channel_id="", video_id="-a_b", uuid=UUID_, attempt_id=34, by_person=by_person)
    assert read_key(f"{stem}.mp4") == (UUID_, 34)


@pytest.mark.parametrize("label", ["nfo", "info.json", "es-419.vtt", "en-try2.srt", "picture.mp4"])
def test_so_does_the_key_of_what_lies_beside_a_video(label):
    key = beside(f"ann-7/UCx/v.1/{UUID_}-34.mp4", label)
    assert key == f"ann-7/UCx/v.1/{UUID_}-34.{label}"
    assert read_key(beside(f"ann-7/UCx/vid/{UUID_}-34.mp4", label)) == (UUID_, 34)


@pytest.mark.parametrize(
    "key",
    [
        "notes.txt",
        f"{UUID_}-3.mp4",
        f"UCx/vid/{UUID_}-3",
        f"UCx/vid/{UUID_}.mp4",
        f"UCx/vid/{UUID_}-3.info.json.gz",
        f"UCx/vid/{UUID_}-x.mp4",
        f"UCx/../{UUID_}-3.mp4",
        f"/UCx/vid/{UUID_}-3.mp4",
        f"a/b/UCx/vid/{UUID_}-3.mp4",
        f"UCx/vid/{UUID_}-3.mp4\n",
        f"UCx/vid/{UUID_}-{10**30}.mp4",
    ],
)
def test_a_key_of_another_form_tells_nothing(key):
    assert read_key(key) is None


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("A film", "A film [dQw4w9WgXcQ].mp4"),
        ("", "[dQw4w9WgXcQ].mp4"),
        ('a/b\\c:d*e?f"g<h>i|j', "a b c d e f g h i j [dQw4w9WgXcQ].mp4"),
        ("../../etc/passwd", "etc passwd [dQw4w9WgXcQ].mp4"),
        ("two\r\nlines\t\x00", "two lines [dQw4w9WgXcQ].mp4"),
        ("gpj.\u202eexe", "gpj. exe [dQw4w9WgXcQ].mp4"),
        ("Ünder 北京 ", "Ünder 北京 [dQw4w9WgXcQ].mp4"),
        ("é" * 300, f"{'é' * 75} [dQw4w9WgXcQ].mp4"),
    ],
)
def test_a_download_is_named_by_its_title_as_far_as_file_systems_take_it(title, name):
    assert download_name(f"ann-7/UCx/v/{UUID_}-34.mp4", title, "dQw4w9WgXcQ") == name


def test_a_download_of_what_lies_beside_a_video_says_what_it_is():
    key = beside(f"ann-7/UCx/v/{UUID_}-34.mp4", "es-419.vtt")
    assert download_name(key, "A film", "dQw4w9WgXcQ") == "A film [dQw4w9WgXcQ].es-419.vtt"
