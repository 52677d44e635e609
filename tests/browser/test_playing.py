"""What a film of two hours asks of a browser and of its line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.film import DURATION, WIDTH
from tests.browser.screening import Screening, show
from tests.ingestion.media.clips import outermost_boxes, run

MB = 1_000_000
BYTES_PER_SECOND = 3 * MB
MINUTE_110 = 110 * 60 + 1  # a second behind a keyframe


@pytest.fixture
def screening(chromium: str, film: Path) -> Iterator[Screening]:
    """The browser is asked for first: where there is none, no film is made for it."""
    with show(film, bytes_per_second=BYTES_PER_SECOND) as screening:
        yield screening


@pytest.fixture
def cinema(screening: Screening, page: Page) -> Page:
    """The page of the screening; it closes before the screening does."""
    page.goto(screening.url, wait_until="commit")
    return page


def index_end(film: Path) -> int:
    """Bytes from the beginning of the film to the end of its index: the moov, and the sidx of fragments."""
    end = position = 0
    with film.open("rb") as file:
        while (header := file.read(8))[4:] not in (b"mdat", b"moof"):
            position += int.from_bytes(header[:4], "big")
            end = position if header[4:] in (b"moov", b"sidx") else end
            file.seek(position)
    return end


def test_the_duration_is_known_after_the_index(cinema: Page, screening: Screening, film: Path):
    assert cinema.evaluate("known") == pytest.approx(DURATION, abs=1)
    known = screening.marks["known"]
    assert known.requests <= 6
    assert known.size <= index_end(film) + 2 * MB


def test_a_seek_to_minute_110_plays_after_two_seconds_of_the_line_at_most(cinema: Page, screening: Screening, record_property):
    cinema.evaluate("known")
    picture = cinema.evaluate(f"playAt({MINUTE_110})")
    needed = screening.marks["shown"] - screening.marks["asked"]
    record_property("seconds until the picture", picture["waited"])
    assert picture["at"] == pytest.approx(MINUTE_110, abs=0.5)
    assert picture["width"] == WIDTH
    assert 0 < needed.size <= 2 * BYTES_PER_SECOND


def test_the_film_is_whole_and_its_index_comes_first(film: Path):
    boxes = outermost_boxes(film)
    assert boxes.index(b"moov") < boxes.index(b"mdat")
    assert (b"moof" in boxes) is (film.parent.name == "fragments")
    assert run("-i", str(film), "-f", "null", "-") == ""
