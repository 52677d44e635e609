"""The page of a session in a browser: it changes by itself, its buttons pause and resume, its report is saved."""

import json

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from ingestion.models import DownloadSession, LiveProgress
from tests.factories import make_scan, make_session, make_video
from tests.pages import make_download, page_of
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 1000
SOON = 15 * SECONDS


def test_a_session_is_watched_paused_and_resumed_on_its_page(complaints, page: Page, live_server):
    session = make_session()
    waiting = make_video(session=session)
    video = make_download(session=session, title="A film <b>of mine</b>")
    page.goto(live_server.url + page_of(session))
    bar = page.get_by_role("progressbar", name="A film <b>of mine</b>")
    expect(bar).to_have_attribute("value", "45")
    page.evaluate("window.sameDocument = true")

    LiveProgress.objects.update(bytes_done=80)
    expect(bar).to_have_js_property("value", 80, timeout=SOON)
    Video.objects.filter(pk=video.pk).update(status="failed", error_kind="network", claim_id=None, lease_owner="", lease_expires_at=None)
    expect(bar).to_have_count(0, timeout=SOON)
    expect(page.get_by_text("Stored: 0 of 2. Not stored: 1.")).to_be_visible()
    old = page.get_by_text("other buttons belong to it now")
    expect(old).to_have_count(0)
    DownloadSession.objects.update(state="paused")
    expect(old).to_be_visible(timeout=SOON)
    assert page.evaluate("window.sameDocument")

    page.get_by_role("link", name="Load it again").click()
    expect(old).to_have_count(0)
    press(page, "Resume")
    expect(page.locator('[data-live-text="state"]').first).to_have_text("Running")
    press(page, "Pause")
    expect(page.locator('[data-live-text="state"]').first).to_have_text("Paused")
    session.refresh_from_db()
    assert session.state == "paused"
    press(page, "Resume")
    expect(page.locator('[data-live-text="state"]').first).to_have_text("Running")
    session.refresh_from_db()
    assert session.state == "running"

    page.evaluate("window.sameDocument = true")
    Video.objects.filter(pk=waiting.pk).update(status="skipped")
    DownloadSession.objects.update(state="finished")
    expect(page.locator('[data-live-text="state"]').first).to_have_text("Finished", timeout=SOON)
    assert page.evaluate("window.sameDocument")
    assert complaints == []


def test_a_row_keeps_its_own_words_when_the_page_is_refreshed(complaints, page: Page, live_server):
    session = make_session()
    video = make_download(session=session)
    page.goto(live_server.url + page_of(session))
    with page.expect_response("**/progress/*"):
        pass
    Video.objects.filter(pk=video.pk).update(title="Another title")
    row = page.locator('[data-live-list="running"] li')
    expect(row.get_by_text("Another title")).to_be_visible(timeout=SOON)
    expect(row.locator('[data-live-text="state"]')).to_have_text("")
    assert complaints == []


def press(page: Page, name: str) -> None:
    """A button of the page; where it asks, the answer is yes."""
    page.get_by_role("button", name=name, exact=True).first.click()
    yes = page.locator("#confirmation[open] button[value=yes]")
    if yes.count():
        yes.click()


def test_a_session_that_is_over_is_not_asked_for_any_more(complaints, page: Page, live_server):
    session = make_session()
    make_video(session=session, status="stored")
    page.clock.install()
    page.goto(live_server.url + page_of(session))
    DownloadSession.objects.update(state="finished")
    with page.expect_response("**/progress/*"):
        page.clock.run_for(4 * SECONDS)
    expect(page.locator('[data-live-text="state"]').first).to_have_text("Finished")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/progress/" in request.url else None)
    page.clock.run_for(600 * SECONDS)
    assert asked == []
    assert complaints == []


def test_a_lost_connection_is_said(complaints, page: Page, live_server):
    session = make_session()
    page.goto(live_server.url + page_of(session))
    page.route("**/progress/*", lambda route: route.abort())
    expect(page.get_by_role("status").filter(has_text="Connection lost")).to_be_visible(timeout=SOON)


def test_the_report_is_saved(complaints, page: Page, live_server):
    session = make_session()
    make_video(session=session, title="A film")
    page.goto(live_server.url + page_of(session))
    for word, ending in (("CSV", ".csv"), ("Excel", ".xlsx"), ("JSON", ".json")):
        with page.expect_download() as saving:
            page.get_by_role("link", name=word, exact=True).click()
        assert saving.value.suggested_filename.startswith(f"session-{session.pk}-report-")
        assert saving.value.suggested_filename.endswith(ending)
    assert json.loads(saving.value.path().read_text())["videos"][0]["title"] == "A film"
    assert complaints == []


def test_chosen_videos_are_saved_from_their_list_without_a_question(complaints, page: Page, live_server):
    make_video(title="A film")
    page.goto(live_server.url + reverse("admin:videos_video_changelist"))
    page.locator("input.action-select").first.check()
    page.locator("select[name=action]").select_option("download_csv")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Run").click()
    assert "A film" in saving.value.path().read_text(encoding="utf-8-sig")
    assert complaints == []


def test_the_page_of_a_large_session_is_short_on_a_phone(complaints, page: Page, live_server):
    """It was 6,210 px high."""
    problem = {"source": "s.csv", "row": 3, "value": "x", "message": "No channel."}
    session = make_session(problems=[problem] * 50)
    for kind in ("private", "network", "members_only", "removed"):
        make_scan(session=session, state="failed", error_kind="terminated")
        make_video(session=session, status="failed", error_kind=kind)
    for _ in range(20):
        make_scan(session=session, state="done")
    make_download(session=session)
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(live_server.url + page_of(session))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    height = page.evaluate("Math.max(...[...document.querySelectorAll('#content-main')].map((part) => part.scrollHeight))")
    assert height < 2500
    assert complaints == []
