"""Many rows at once, as staff do it: choose, read the number, agree, watch, undo."""

import pytest
from playwright.sync_api import Page, expect

from ingestion.models import Operation
from ingestion.operations import next_piece, work_piece
from tests.factories import make_channel, make_video
from tests.pages import list_of, page_of
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 1000
FAILED = "?status__exact=failed"


def count(status: str) -> int:
    return Video.objects.filter(status=status).count()


def make_failed(number: int) -> None:
    """And one that is stored."""
    channel = make_channel()
    for _ in range(number):
        make_video(channel=channel, status="failed")
    make_video(channel=channel, status="stored")


def run(page: Page, action: str) -> None:
    page.get_by_role("combobox", name="action").or_(page.locator("select[name=action]")).first.select_option(label=action)
    page.get_by_role("button", name="Run").click()


def choose_first(page: Page, number: int) -> None:
    for box in page.locator("input.action-select").all()[:number]:
        box.check()


def test_all_that_match_are_retried_after_the_exact_number_was_agreed_to(complaints, page: Page, live_server):
    make_failed(60)
    page.goto(live_server.url + list_of(Video) + FAILED)
    page.locator("#action-toggle").check()
    page.get_by_role("link", name="Select all 60 videos").click()
    run(page, "Retry: failed, unavailable and skipped ones")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Retry 60 videos?")
    assert count("failed") == 60
    dialog.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("60 videos will be tried again.")).to_be_visible()
    assert page.url.endswith(FAILED)
    assert (count("failed"), count("pending"), count("stored")) == (0, 60, 1)
    assert complaints == []


def test_a_selection_is_paused_and_resumed_in_the_list(complaints, page: Page, live_server):
    videos = [make_video() for _ in range(3)]
    page.goto(live_server.url + list_of(Video))
    choose_first(page, 2)
    run(page, "Pause: let running ones finish")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_text("2 videos paused.")).to_be_visible()
    expect(page.locator("#result_list").get_by_text("Paused", exact=True)).to_have_count(2)
    page.locator("#action-toggle").check()
    run(page, "Resume: go on at once")
    expect(page.get_by_role("dialog").get_by_text("Of the 3 chosen 1 is left alone: it was not held back itself")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.get_by_text("2 videos will go on at once.")).to_be_visible()
    assert Video.objects.due().count() == len(videos)
    assert complaints == []


def test_who_goes_back_has_changed_nothing_and_is_where_they_were(complaints, page: Page, live_server):
    make_failed(2)
    page.goto(live_server.url + list_of(Video) + FAILED)
    choose_first(page, 1)
    run(page, "Skip: do not download")
    expect(page.get_by_role("heading", name="Skip 1 video?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Run")).to_be_focused()
    assert count("skipped") == 0
    run(page, "Resume: go on at once")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Nothing to do")
    expect(dialog.get_by_role("button")).to_have_count(1)
    assert complaints == []


def test_where_the_script_gets_no_answer_a_page_asks(signed_in, page: Page, live_server):
    make_failed(2)
    page.context.add_cookies([signed_in])
    page.goto(live_server.url + list_of(Video))
    page.locator("#action-toggle").check()
    page.route("**/video/**", lambda route: route.abort() if route.request.resource_type == "fetch" else route.continue_())
    run(page, "Retry: failed, unavailable and skipped ones")
    expect(page.get_by_role("heading", name="Retry 2 videos?")).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("2 videos will be tried again.").first).to_be_visible()
    page.goto("about:blank")


def test_a_large_one_is_watched_without_a_reload_and_undone(complaints, page: Page, live_server, monkeypatch):
    monkeypatch.setattr("ingestion.operations.PIECE", 2)
    monkeypatch.setattr("ingestion.operations.verb.PIECE", 2)
    make_failed(4)
    page.goto(live_server.url + list_of(Video) + FAILED)
    page.locator("#action-toggle").check()
    run(page, "Retry: failed, unavailable and skipped ones")
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    bar = page.get_by_role("progressbar", name="How far it is")
    expect(bar).to_have_js_property("value", 0)
    page.evaluate("window.sameDocument = true")
    work_piece(next_piece())
    expect(bar).to_have_js_property("value", 50, timeout=15 * SECONDS)
    assert page.evaluate("window.sameDocument")
    work_piece(next_piece())
    expect(page.get_by_role("button", name="Undo")).to_be_visible(timeout=15 * SECONDS)
    expect(page.get_by_text("4 videos will be tried again.").first).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("4 videos will be put back as before")).to_be_visible()
    dialog.get_by_role("button", name="Undo").click()
    expect(bar).to_be_visible()
    for _ in range(2):
        work_piece(next_piece())
    expect(page.get_by_text("4 videos put back as before.").first).to_be_visible(timeout=15 * SECONDS)
    assert (count("failed"), page.url) == (4, live_server.url + page_of(Operation.objects.get()))
    assert complaints == []
