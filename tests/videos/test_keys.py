from uuid import UUID

import pytest

from videos.keys import key_stem

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
