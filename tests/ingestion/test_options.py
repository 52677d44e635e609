import pytest

from ingestion.options import Options, read_options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quality", "1080p"),
        ("quality", "audio"),
        ("skip_existing", False),
        ("max_concurrent", 3),
        ("max_concurrent", None),
        ("limit", 20),
        ("retry_failed", True),
        ("continue_on_error", False),
    ],
)
def test_a_good_setting_is_used(name, value):
    assert read_options({name: value}) == ({name: value}, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [("quality", "8k"), ("skip_existing", "yes"), ("max_concurrent", 0), ("max_concurrent", True), ("limit", "20"), ("qualty", "720p")],
)
def test_a_bad_or_unknown_setting_is_reported_by_name_and_passed_over(name, value):
    usable, sentences = read_options({name: value})
    assert usable == {}
    assert len(sentences) == 1 and repr(name) in sentences[0] and sentences[0].endswith(".")


def test_options_survive_the_database_and_keys_of_another_release():
    options = Options(quality="best", limit=3)
    assert Options.of({**options.as_json(), "from_the_future": 1}) == options
    assert "best" in options.in_words() and "3 videos" in options.in_words()
