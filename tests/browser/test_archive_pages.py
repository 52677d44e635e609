"""The pages of the archive in a browser: a stored video plays and seeks on its own page, and nothing is too wide for a phone."""

from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage, storages
from django.urls import reverse
from playwright.sync_api import Page, expect

from ingestion.models import Limits
from tests.browser.film import DURATION, WIDTH
from tests.factories import make_asset, make_attempt, make_channel, make_person, make_scan, make_session, make_video
from tests.pages import list_of, page_of
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)
LONG = "W" * 180
PHONE = {"width": 400, "height": 800}
MINUTE_110 = 110 * 60 + 1


@pytest.fixture
def stored(films: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Video:
    """A film of two hours, as the row of what is stored in a folder."""
    film = films["ordinary"]
    monkeypatch.setitem(storages._storages, "videos", FileSystemStorage(location=film.parent))
    about = {"storage_key": film.name, "file_size": film.stat().st_size, "duration": DURATION, "container": "mp4"}
    return make_video(title="A film", status="stored", **about)


def test_a_stored_video_plays_and_seeks_on_its_page(complaints, page: Page, live_server, stored: Video):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/file/") else None)
    page.goto(live_server.url + page_of(stored))
    player = page.locator("video")
    expect(player).to_be_visible()
    assert asked == []  # nothing is fetched before somebody wants to see it
    shown = player.evaluate(
        """async (film, seconds) => {
            await film.play();
            film.currentTime = seconds;
            const frame = await new Promise((resolve) => {
              const look = (_, frame) => (frame.mediaTime < seconds - 1 ? film.requestVideoFrameCallback(look) : resolve(frame));
              film.requestVideoFrameCallback(look);
            });
            return {at: frame.mediaTime, width: frame.width, duration: film.duration};
        }""",
        MINUTE_110,
    )
    assert shown["at"] == pytest.approx(MINUTE_110, abs=0.5)
    assert shown["duration"] == pytest.approx(DURATION, abs=1)
    assert shown["width"] == WIDTH
    assert len(asked) >= 2
    assert complaints == []


def test_a_file_that_cannot_be_played_is_said_to(complaints, page: Page, live_server, tmp_path, monkeypatch):
    monkeypatch.setitem(storages._storages, "videos", FileSystemStorage(location=tmp_path))
    page.goto(live_server.url + page_of(make_video(status="stored", storage_key="gone.mp4")))
    sentence = page.get_by_role("alert").filter(has_text="could not be played")
    expect(sentence).to_have_count(0)
    page.locator("video").evaluate("film => { film.play().catch(() => {}); }")
    expect(sentence).to_be_visible()


def make_wide() -> list[str]:
    """Rows whose words are as long as they come; the addresses of their pages."""
    person = make_person(name=LONG, source_link=f"https://example.org/{LONG}")
    channel = make_channel(person=person, title=LONG, canonical_url=f"https://www.youtube.com/@{LONG}", url=LONG)
    problem = {"source": f"{LONG}.csv", "row": 7, "value": LONG, "message": "No address of a channel."}
    session = make_session(source=LONG, problems=[problem], state_reason=LONG)
    scan = make_scan(session=session, channel=channel, state="failed", error_message=LONG)
    failed = {"error_kind": "storage_credentials", "error_message": LONG}
    video = make_video(title=LONG, description=LONG, channel=channel, session=session, status="stored", storage_key=f"{LONG}/{LONG}.mp4",
                       checksum="x" * 80, crc32="12345678")  # fmt: skip
    broken = make_video(title="Broken", channel=channel, session=session, status="failed", **failed)
    for one in (video, broken):
        attempt = make_attempt(video=one, session=session, outcome="failed", worker=f"{LONG[:60]}:1:2", **failed)
        make_asset(video=one, session=session, status="failed", **failed)
    rows = (video, broken, person, channel, session, scan, attempt, Limits.row())
    return [*map(page_of, rows), *map(list_of, map(type, rows[1:-1])), reverse("errors")]


def test_on_a_small_screen_rows_are_cards_whose_cells_are_named_as_the_columns_are(complaints, page: Page, live_server):
    make_video(title="Waiting")
    page.goto(live_server.url + list_of(Video))
    columns = [name.strip() for name in page.locator("#result_list thead th").all_inner_texts()][1:]
    page.set_viewport_size(PHONE)
    shown = page.locator("#result_list tbody :is(th, td)").evaluate_all(
        """cells => cells.map((cell) => {
            const style = getComputedStyle(cell, "::before");
            const name = style.content.slice(1, -1);
            return style.textTransform === "none" ? name : `${style.textTransform}: ${name}`;
        })"""
    )
    assert shown == ["Select this row", *columns]
    assert "Title" in shown
    assert complaints == []


def test_nothing_is_wider_than_a_small_screen(complaints, page: Page, live_server):
    page.set_viewport_size(PHONE)
    wide = {}
    for address in make_wide():
        page.goto(live_server.url + address)
        page.locator("details:not([open]) > summary").evaluate_all("all => all.forEach(one => one.click())")
        width = page.evaluate("document.documentElement.scrollWidth")
        cut = page.locator(".readonly, .massdl-rows td").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).length"
        )
        if width > PHONE["width"] or cut:
            wide[address] = (width, cut)
    assert wide == {}
    assert complaints == []
