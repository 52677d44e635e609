"""The admin in a real browser under its own Content-Security-Policy, and the dialog that asks before grave actions."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from ingestion.models import Limits
from tests.factories import make_attempt, make_video
from tests.pages import list_of, page_of
from videos.models import Video

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""


@dataclass
class Visit:
    """An administrator at the admin, and what the browser complained of."""

    page: Page
    site: str
    complaints: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        self.page.goto(self.site + address, wait_until="load")
        self.page.wait_for_function("window.Alpine && document.querySelectorAll('[x-cloak]:not([x-show])').length === 0")

    def violations(self) -> list[str]:
        return self.page.evaluate("window.violations")


@pytest.fixture
def site(live_server) -> tuple[str, str, dict[str, str]]:
    """Address, cookie of an administrator and addresses to visit. Made before the browser: beside it Django refuses its database."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    video = make_video(title="<b>Stored</b>", status="stored")
    make_attempt(video=video, outcome="stored")
    make_video(title="Waiting")
    addresses = {
        "index": reverse("admin:index"),
        "list": list_of(Video),
        "video": page_of(video),
        "import": reverse("admin:people_person_import"),
        "limits": page_of(Limits.row()),
        "errors": reverse("errors"),
    }
    return live_server.url, client.cookies["sessionid"].value, addresses


@pytest.fixture
def visit(site, page: Page) -> Iterator[Visit]:
    address, session, _ = site
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
    visit = Visit(page, address)
    page.on("console", lambda message: visit.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.add_init_script(WATCH)
    yield visit
    page.goto("about:blank")  # no request is under way when the tables are emptied


@pytest.mark.parametrize("name", ["index", "list", "video", "import", "limits", "errors"])
def test_a_page_works_without_a_complaint_of_the_browser(site, visit, name):
    visit.open(site[2][name])
    assert visit.violations() == [] and visit.complaints == []
    assert visit.page.title()


def test_a_script_that_somebody_slips_into_a_page_does_not_run(site, visit):
    visit.open(site[2]["index"])
    visit.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.slippedIn = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", '<img src="/nowhere" onerror="window.slippedIn = true">');
    }""")
    visit.page.wait_for_function("window.violations.length >= 2")
    assert visit.page.evaluate("window.slippedIn") is None
    assert {one.split()[0] for one in visit.violations()} == {"script-src-elem", "script-src-attr"}


def asked(visit: Visit) -> Locator:
    """The dialog, opened from the keyboard by the button that cancels everything."""
    button = visit.page.get_by_role("button", name="Cancel everything", exact=True)
    button.focus()
    visit.page.keyboard.press("Enter")
    dialog = visit.page.get_by_role("dialog", name="Cancel everything?")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("1 video is still to be downloaded")
    return dialog


def focused(visit: Visit) -> str:
    return visit.page.evaluate("document.activeElement.innerText.trim()")


@pytest.mark.parametrize("key", ["Enter", "Escape"])
def test_going_back_does_nothing(site, visit, key):
    visit.open(site[2]["limits"])
    dialog = asked(visit)
    assert focused(visit) == "Go back"
    visit.page.keyboard.press(key)
    expect(dialog).to_be_hidden()
    assert focused(visit) == "Cancel everything"
    visit.open(site[2]["list"])
    expect(visit.page.locator("#result_list")).not_to_contain_text("Skipped")
    assert visit.complaints == []


def test_the_question_is_answered_by_keyboard(site, visit):
    visit.open(site[2]["limits"])
    asked(visit)
    visit.page.keyboard.press("Tab")
    assert focused(visit) == "Cancel everything"
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator("body")).to_contain_text("Everything is cancelled. 1 video given up.")
    assert visit.complaints == []


def test_a_question_that_was_declined_is_asked_again(site, visit):
    visit.open(site[2]["limits"])
    asked(visit)
    visit.page.keyboard.press("Escape")
    asked(visit)


def test_the_dialog_fits_on_a_phone(site, visit):
    visit.page.set_viewport_size({"width": 400, "height": 700})
    visit.open(site[2]["limits"])
    box = asked(visit).bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 400
