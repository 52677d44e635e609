"""The work of a day with Tab, Enter, Space and Escape alone: nothing is out of reach, and the focus is seen and never lost."""

import re
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from ingestion.models import Limits
from tests.browser.conftest import tab_to
from tests.factories import make_asset, make_session, make_video
from tests.pages import list_of, page_of
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def content(complaints):
    yield
    assert complaints == []


def go_round(page: Page, *, most: int = 200) -> int:
    """Tab from the beginning of the page to its end; how many stops there were."""
    for number in range(most):
        tab_to(page, page.locator("*:focus, body").last, most=1)
        if number and page.evaluate("document.activeElement === document.body || document.activeElement.matches('.massdl-skip')"):
            return number
    raise AssertionError(f"the page has no end within {most} stops")


def reached(page: Page) -> Locator:
    return page.locator(":focus")


def test_every_control_of_a_page_is_reached(page: Page, live_server):
    make_session(source="people.csv")
    stored = make_video(title="Stored", status="stored")
    make_asset(video=stored, kind="info", status="stored")
    failed = make_video(title="Failed", status="failed")
    for address in (reverse("admin:index"), list_of(Video), page_of(stored), page_of(failed), page_of(Limits.row())):
        page.goto(live_server.url + address)
        page.evaluate("document.addEventListener('focusin', (event) => event.target.setAttribute('data-reached', ''))")
        go_round(page)
        assert unreached(page) == []


def unreached(page: Page) -> list[str]:
    """What a mouse can press and Tab does not reach; of several radio buttons, and of a widget that stands for another, one is."""
    return page.evaluate("""() => {
        const pressed = "a, button, input:not([type=hidden]), select, textarea, summary, [x-on\\\\:click]";
        const without = "[data-reached], [data-reached] *, :disabled, [tabindex='-1'], #changelist-filter-close";
        return [...document.querySelectorAll(pressed)]
            .filter((one) => !one.matches(without) && one.checkVisibility({ visibilityProperty: true }))
            .filter((one) => !one.querySelector("[data-reached]"))
            .map((one) => one.outerHTML.slice(0, 200));
    }""")


def test_the_menu_can_be_skipped(page: Page, live_server):
    page.goto(live_server.url + list_of(Video))
    tab_to(page, page.get_by_role("link", name="Skip the menu"), most=1)
    expect(reached(page)).to_be_in_viewport()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Failed, can be retried"), most=1)


def test_filters_open_and_close_and_the_focus_comes_back(page: Page, live_server):
    make_video(title="Waiting")
    make_video(title="Stored", status="stored")
    page.goto(live_server.url + list_of(Video))
    opener = page.get_by_role("button", name="Filters")
    for _ in range(2):
        tab_to(page, opener)
        page.keyboard.press("Space")
        expect(page.locator("#filter-form").locator(":focus")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.locator("#filter-form")).to_be_hidden()
        expect(opener).to_be_focused()
        page.keyboard.press("Shift+Tab")
    tab_to(page, opener)
    page.keyboard.press("Enter")
    expect(page.locator("#filter-form").locator(":focus")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("input.select2-search__field:focus")).to_have_count(1)
    page.keyboard.type("Stored")
    expect(page.get_by_role("option")).to_have_text(["Stored"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("option")).to_have_count(0)
    tab_to(page, page.get_by_role("button", name="Apply Filters"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("status__exact=stored"))
    expect(page.locator("#result_list tbody tr")).to_have_count(1)


def test_a_video_is_opened_from_the_list_and_tried_again(page: Page, live_server):
    video = make_video(title="Broken dive", status="failed")
    page.goto(live_server.url + list_of(Video))
    tab_to(page, page.get_by_role("link", name="Broken dive"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(live_server.url + page_of(video))
    tab_to(page, page.get_by_role("button", name="Retry", exact=True))
    page.keyboard.press("Space")
    expect(page.get_by_text("1 video will be tried again")).to_be_visible()


COVERED = """(one) => {
    const { x, y, width, height } = one.getBoundingClientRect();
    return [0.1, 0.9].some((part) => document.elementFromPoint(x + part * width, y + height / 2) !== one);
}"""


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("box", ["input.action-select >> nth=-1", "#action-toggle"], ids=["a row", "all rows"])
def test_from_the_rows_that_were_selected_the_actions_are_one_step_away(page: Page, live_server, box: str, width: int):
    for _ in range(3):
        make_video(status="failed")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(live_server.url + list_of(Video))
    way = page.get_by_role("button", name="Go to the actions")
    expect(way).to_have_count(0)
    tab_to(page, page.locator(box))
    page.keyboard.press("Space")
    tab_to(page, way, most=1)
    expect(way).to_be_in_viewport(ratio=1)
    assert not way.evaluate(COVERED)
    page.keyboard.press("Enter")
    expect(page.locator("select[name=action]")).to_be_focused()
    page.locator(box).focus()
    page.keyboard.press("Space")
    expect(way).to_have_count(0)


@pytest.mark.parametrize("key", ["Enter", "Escape"])
def test_after_the_dialog_the_focus_is_where_it_was(page: Page, live_server, key: str):
    make_video(title="Waiting")
    page.goto(live_server.url + page_of(Limits.row()))
    button = page.get_by_role("button", name="Cancel everything", exact=True)
    tab_to(page, button)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Go back")).to_be_focused()
    tab_to(page, dialog.get_by_role("button", name="Cancel everything"), most=1)
    tab_to(page, dialog.get_by_role("button", name="Go back"), key="Shift+Tab", most=1)
    page.keyboard.press(key)
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_the_menu_of_a_phone_opens_and_closes(page: Page, live_server):
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(live_server.url + reverse("admin:index"))
    opener = page.locator("#header-inner").get_by_role("button", name="Menu", exact=True)
    menu = page.locator("#nav-sidebar")
    for key in ("Escape", "Enter"):
        tab_to(page, opener)
        page.keyboard.press("Enter")
        expect(menu.locator(":focus")).to_have_count(1)
        if key == "Enter":
            tab_to(page, menu.get_by_role("button", name="Menu", exact=True), key="Shift+Tab")
        page.keyboard.press(key)
        expect(menu).to_be_hidden()
        expect(opener).to_be_focused()
        page.keyboard.press("Shift+Tab")


def test_a_sheet_is_imported(page: Page, live_server, tmp_path: Path):
    sheet = tmp_path / "people.csv"
    sheet.write_text("name,channel\nNew,@new\n")
    page.on("filechooser", lambda chooser: chooser.set_files(sheet))
    page.goto(live_server.url + reverse("admin:people_person_import"))
    tab_to(page, page.locator("input[type=file]"))
    page.keyboard.press("Enter")
    expect(page.locator("input[type=file]")).to_have_value(re.compile("people.csv"))
    tab_to(page, page.get_by_role("button", name="Show what it would do"))
    page.keyboard.press("Enter")
    expect(page.locator("#import-summary")).to_contain_text("1 new")
    tab_to(page, page.locator("summary", has_text="Change how it is downloaded"))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_label("Videos of each channel"))
    page.keyboard.type("5")
    tab_to(page, page.get_by_role("button", name="Confirm import"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/downloadsession/"))
    expect(page.get_by_text("Imported people.csv: 1 new")).to_be_visible()
