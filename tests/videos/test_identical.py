import json

import pytest
from django.core.management import call_command

from tests.factories import make_video
from videos.identical import identical_videos
from videos.models import Video

pytestmark = pytest.mark.django_db


def stored(checksum, **over):
    fields = {"status": "stored", "checksum": checksum, "part_size": 8 << 20, "file_size": 1000, **over}
    return make_video(**fields)


def test_videos_of_the_same_bytes_are_found_the_largest_first():
    small = [stored("a-1"), stored("a-1")]
    large = [stored("b-1", file_size=5000), stored("b-1", file_size=5000), stored("b-1", file_size=5000)]
    stored("c-1")
    assert list(identical_videos()) == [large, small]


@pytest.mark.parametrize(
    "over", [{"file_size": 1001}, {"part_size": 16 << 20}, {"checksum": "b-1"}, {"status": "pending"}], ids=lambda over: next(iter(over))
)
def test_what_differs_in_anything_is_not_the_same(over):
    first = stored("a-1")
    stored(**{"checksum": "a-1", **over})
    assert list(identical_videos()) == []
    assert not Video.objects.identical_to(first).exists()


def test_a_video_names_the_others_that_are_the_same():
    first, second = stored("a-1"), stored("a-1")
    assert list(Video.objects.identical_to(first)) == [second]
    assert not Video.objects.identical_to(make_video()).exists()


def run(capsys, *arguments):
    code = 0
    try:
        call_command("duplicates", *arguments)
    except SystemExit as exc:
        code = exc.code
    return code, capsys.readouterr().out


def test_the_command_names_them_and_says_what_they_cost(capsys):
    assert run(capsys) == (0, "No two stored videos are the same.\n")
    stored("a-1", external_id="first______", file_size=3_000_000), stored("a-1", external_id="second_____", file_size=3_000_000)
    code, out = run(capsys)
    assert code == 1
    assert out.index("first______") < out.index("second_____")
    assert "1 video stored more than once, 2.9 MB more than needed." in out


def test_programs_get_json(capsys):
    stored("a-1"), stored("a-1")
    code, out = run(capsys, "--format", "json")
    ((first, second),) = json.loads(out)
    assert (code, first["checksum"], first["id"] != second["id"]) == (1, "a-1", True)
