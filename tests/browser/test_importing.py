"""Staff import a sheet in a browser: they see what is wrong, change a setting, confirm, and land on the session."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from ingestion.models import DownloadSession
from people.models import Channel
from tests.factories import make_channel, make_person

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "https://www.youtube.com/@" + "x" * 29
SHEET = f"""name,email,type,channel,notes
New,new@x.org,,{LONG},{"n" * 300}
Old,old@x.org,pupil,@old,
Typo,{"t" * 60}@,,@typo,
Gone,,,{"http://elsewhere.example.org/" + "y" * 150},
"""


@pytest.fixture
def site(live_server) -> tuple[str, str]:
    """Address and cookie of an administrator; made before the browser, beside which Django refuses its database."""
    make_channel(person=make_person(name="Old", email="old@x.org", type="teacher"), canonical_url="https://www.youtube.com/@old")
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return live_server.url, client.cookies["sessionid"].value


def is_too_wide(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_a_sheet_with_errors_is_imported_on_a_telephone(site, page: Page):
    address, session = site
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(address + reverse("admin:people_person_import"))
    assert not is_too_wide(page)

    page.set_input_files("input[type=file]", {"name": "people.csv", "mimeType": "text/csv", "buffer": SHEET.encode()})
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.locator("#import-summary")).to_contain_text("1 new, 1 changed, 0 unchanged, 2 not imported")
    expect(page.locator("#import-refused")).to_contain_text("Row 4")
    expect(page.locator("#import-changed")).to_contain_text("type: teacher → pupil")
    assert not is_too_wide(page)

    page.get_by_text("Change how it is downloaded").click()
    assert not is_too_wide(page)
    page.get_by_label("Quality").select_option("360p")
    page.get_by_label("Videos of each channel").fill("0")
    page.get_by_role("button", name="Confirm import").click()
    expect(page.locator("#import-confirmation")).to_contain_text("nothing was imported yet")
    page.get_by_label("Videos of each channel").fill("5")
    page.get_by_role("button", name="Confirm import").dblclick()
    expect(page).to_have_url(re.compile("/downloadsession/"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the refused rows").first.click()
    assert download.value.suggested_filename == "people refused.csv"
    assert complaints == []


@pytest.fixture(autouse=True)
def imported(site):
    """What came of it, looked at once the browser is closed."""
    yield
    session = DownloadSession.objects.get()
    assert (session.options["quality"], session.options["limit"]) == ("360p", 5)
    assert set(Channel.objects.values_list("canonical_url", flat=True)) == {LONG.lower(), "https://www.youtube.com/@old"}
