"""Staff look for videos in the list: by person, status, a ready-made filter, a word; and take it all away again."""

import re

import pytest
from django.db.models.functions import Now
from playwright.sync_api import Locator, Page, expect

from tests.factories import make_channel, make_person, make_video
from tests.pages import list_of
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def videos(complaints, page: Page, live_server) -> Page:
    """The list: Ann has a stored video and one that failed, Bob has one that waits and one that nobody can have."""
    ann, bob = (make_channel(person=make_person(name=name)) for name in ("Ann Example", "Bob Other"))
    make_video(title="Swimming lesson", channel=ann, status="stored")
    make_video(title="Broken dive", channel=ann, status="failed", error_kind="network")
    make_video(title="Waiting room", channel=bob)
    make_video(title="Private party", channel=bob, status="unavailable", error_kind="private")
    page.goto(live_server.url + list_of(Video))
    yield page
    assert complaints == []


def shown(page: Page) -> Locator:
    return page.locator("#result_list tbody tr")


def expect_titles(page: Page, *titles: str) -> None:
    """These alone, in any order; and the page says how many."""
    expect(shown(page)).to_have_count(len(titles))
    for title in titles:
        expect(shown(page).filter(has_text=title)).to_be_visible()
    expect(page.locator("body")).to_contain_text(f"{len(titles)} video{'' if len(titles) == 1 else 's'}")


def open_filters(page: Page) -> Locator:
    page.get_by_role("button", name="Filters").click()
    filters = page.locator("#filter-form")
    expect(filters).to_be_visible()
    return filters


def test_by_a_person_whose_name_is_typed(videos: Page):
    filters = open_filters(videos)
    filters.get_by_role("combobox", name="Person").click()
    videos.get_by_role("searchbox").last.press_sequentially("exam")
    videos.get_by_role("option", name="Ann Example").click()
    filters.get_by_role("button", name="Apply Filters").click()
    expect(videos).to_have_url(re.compile("person"))
    expect_titles(videos, "Swimming lesson", "Broken dive")
    open_filters(videos).get_by_role("link", name="Clear all filters").click()
    expect(shown(videos)).to_have_count(4)


def test_by_status_and_nothing_left(videos: Page):
    filters = open_filters(videos)
    filters.get_by_label("Status", exact=False).first.select_option(label="Stored")
    filters.get_by_role("button", name="Apply Filters").click()
    expect_titles(videos, "Swimming lesson")
    videos.get_by_role("textbox", name="Words of the title").fill("dive")
    videos.keyboard.press("Enter")
    expect(videos.locator("#nothing-here")).to_contain_text("Nothing in this list is as you asked for it.")
    videos.locator("#nothing-here").get_by_role("link", name="Show all").click()
    expect(shown(videos)).to_have_count(4)


@pytest.mark.parametrize(
    ("preset", "title"),
    [("Failed, can be retried", "Broken dive"), ("Needs a person", "Private party"), ("Stored this week", "Swimming lesson")],
)
def test_by_a_ready_made_filter(videos: Page, preset: str, title: str):
    if preset == "Stored this week":
        Video.objects.filter(title=title).update(stored_at="2000-01-01T00:00Z")
        make_video(title=(title := "Of today"), status="stored", stored_at=Now())
    videos.get_by_role("link", name=preset, exact=True).click()
    expect_titles(videos, title)
    expect(videos.get_by_role("link", name=preset, exact=True)).to_have_attribute("aria-current", "page")
    videos.get_by_role("link", name="All videos", exact=True).click()
    expect(videos.get_by_role("link", name="All videos", exact=True)).to_have_attribute("aria-current", "page")
    expect(shown(videos).filter(has_text="Waiting room")).to_be_visible()


@pytest.mark.parametrize(("words", "titles"), [("less", ["Swimming lesson"]), ("bob", ["Waiting room", "Private party"])])
def test_by_words(videos: Page, words: str, titles: list[str]):
    videos.get_by_role("textbox", name="Words of the title").fill(words)
    videos.keyboard.press("Enter")
    expect_titles(videos, *titles)
    videos.get_by_role("link", name="Show all").click()
    expect(shown(videos)).to_have_count(4)


def test_words_that_are_nowhere(videos: Page):
    videos.get_by_role("textbox", name="Words of the title").fill("elephant")
    videos.keyboard.press("Enter")
    expect(videos.locator("#nothing-here")).to_be_visible()
    expect(shown(videos)).to_have_count(0)
