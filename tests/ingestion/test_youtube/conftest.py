"""The real yt-dlp against the local YouTube: a source without pauses between retries, and who paid for what."""

from collections.abc import Callable, Iterator
from typing import Any

import imageio_ffmpeg
import pytest

from demo.youtube_twin import Twin
from ingestion.youtube import YouTube
from ingestion.youtube.client import is_site


@pytest.fixture
def twin(fresh_twin: Twin) -> Twin:
    """Here every test looks at the log."""
    return fresh_twin


@pytest.fixture
def make_youtube(twin: Twin) -> Iterator[Callable[..., YouTube]]:
    """Makes sources that ask the twin; extra options and the calls that stop them may be given. Closed after the test."""
    made: list[YouTube] = []

    def make(
        *,
        spend: Callable[[], None] = lambda: None,
        pace: Callable[[int], None] = lambda size: None,
        check: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> YouTube:
        quick = {"extractor_retries": 1, "retries": 1, "fragment_retries": 1, "retry_sleep_functions": {}, "cachedir": False}
        tools = {"ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe()}
        made.append(YouTube({**twin.ytdlp_options(), **quick, **tools, **options}, spend=spend, pace=pace, check=check))
        return made[-1]

    yield make
    for youtube in made:
        youtube.close()


@pytest.fixture
def youtube(make_youtube: Callable[..., YouTube]) -> YouTube:
    return make_youtube()


def asked_site(twin: Twin) -> list[str]:
    """What was asked of YouTube itself, media and pictures left out: `GET /@demo/videos`, ..."""
    return [f"{seen['method']} {seen['path']}" for seen in twin.log() if is_site(f"https://{seen['host']}/")]
