"""The overview in a browser: it changes by itself, says so when it cannot, and asks nothing while nobody looks."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from ingestion.models import LiveProgress
from tests.pages import make_download
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 1000


def test_progress_changes_without_a_reload(complaints, page: Page, live_server):
    video = make_download(title="A film <b>of mine</b>")
    page.goto(live_server.url + reverse("admin:index"))
    bar = page.get_by_role("progressbar", name="A film <b>of mine</b>")
    expect(bar).to_have_attribute("value", "45")
    page.evaluate("window.sameDocument = true")
    link = page.get_by_role("link", name="A film <b>of mine</b>")
    link.focus()
    LiveProgress.objects.update(bytes_done=80)
    expect(bar).to_have_js_property("value", 80, timeout=15 * SECONDS)
    expect(page.get_by_text("80 bytes of 100 bytes")).to_be_visible()
    expect(link).to_be_focused()
    other = make_download(title="Another one")
    expect(page.get_by_role("link", name="Another one")).to_be_visible(timeout=15 * SECONDS)
    for one in (video, other):
        Video.objects.filter(pk=one.pk).update(status="failed", error_kind="network", claim_id=None, lease_owner="", lease_expires_at=None)
    expect(page.get_by_text("Nothing is being downloaded.")).to_be_visible(timeout=15 * SECONDS)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.locator('[data-live-text="failed"]')).to_have_text("2")
    assert page.evaluate("window.sameDocument")
    assert complaints == []


def test_a_lost_connection_is_said_and_found_again(complaints, page: Page, live_server):
    page.goto(live_server.url + reverse("admin:index"))
    page.route("**/admin/overview/", lambda route: route.abort())
    status = page.get_by_role("status").filter(has_text="Connection lost")
    expect(status).to_be_visible(timeout=15 * SECONDS)
    page.unroute("**/admin/overview/")
    make_download(title="Back again")
    expect(page.get_by_role("link", name="Back again")).to_be_visible(timeout=30 * SECONDS)
    expect(status).to_have_count(0)


def test_who_is_signed_out_is_told(complaints, page: Page, live_server):
    page.goto(live_server.url + reverse("admin:index"))
    page.context.clear_cookies()
    expect(page.get_by_role("status").filter(has_text="You are signed out")).to_be_visible(timeout=15 * SECONDS)


def test_who_may_not_look_any_more_is_not_told_to_sign_in(complaints, page: Page, live_server):
    page.goto(live_server.url + reverse("admin:index"))
    page.route("**/admin/overview/", lambda route: route.fulfill(status=403))
    expect(page.get_by_role("status").filter(has_text="You may not see this any more")).to_be_visible(timeout=15 * SECONDS)
    expect(page.get_by_text("signed out")).to_have_count(0)


def test_a_hidden_page_asks_nothing(complaints, page: Page, live_server):
    page.clock.install()
    page.goto(live_server.url + reverse("admin:index"))
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/admin/overview/") else None)
    page.clock.run_for(600 * SECONDS)
    assert asked == []
    with page.expect_response("**/admin/overview/"):
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_nothing_is_wider_than_a_small_screen(complaints, page: Page, live_server):
    make_download(title="A" * 200)
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(live_server.url + reverse("admin:index"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert complaints == []
