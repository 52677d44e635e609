"""What each role sees in a browser, which buttons it lacks, and how a page says no to who types its address by hand."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from ingestion.models import Limits
from ingestion.roles import ADMINISTRATOR, OPERATOR, ROLES, STAFF, VIEWER
from tests.browser.conftest import listening
from tests.factories import make_attempt, make_video
from tests.pages import groups_of_roles, list_of, page_of
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)

ARCHIVE = ["Overview", "People", "Channels", "Videos", "Sessions", "Operations", "Scans", "Attempts", "What errors mean"]
MENU = {
    STAFF: ["Overview", "What errors mean"],
    VIEWER: [*ARCHIVE, "Workers", "Limits", "Requests to YouTube"],
    OPERATOR: [*ARCHIVE, "Workers", "Limits", "Requests to YouTube"],
    ADMINISTRATOR: [*ARCHIVE, "Workers", "Limits", "Requests to YouTube", "Users", "Groups"],
}


@pytest.fixture
def video(open_house) -> Video:
    """One that failed."""
    video = make_video(title="Broken dive", status="failed")
    make_attempt(video=video, outcome="failed", error_kind="network")
    return video


@pytest.fixture
def cookies(open_house) -> dict[str, dict]:
    """Of a user of each role, and of one without; made before the browser."""
    made, groups = {}, groups_of_roles()
    for role in (STAFF, *ROLES):
        user = User.objects.create_user(role.lower(), is_staff=True)
        user.groups.set([groups[role]] if role in groups else [])
        client = Client()
        client.force_login(user)
        made[role] = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": open_house}
    return made


@pytest.fixture
def visit(open_house, video, cookies, page: Page) -> Iterator[Callable[[str, str], Page]]:
    """Go to an address as somebody with a role."""

    def visit(role: str, address: str) -> Page:
        page.context.clear_cookies()
        page.context.add_cookies([cookies[role]])
        page.goto(open_house + address)
        return page

    with listening(page):
        yield visit


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


@pytest.mark.parametrize("role", MENU)
def test_the_menu_holds_what_the_role_may_see(visit, role: str):
    menu = visit(role, reverse("admin:index")).locator("#nav-sidebar-apps a > span:not(.material-symbols-outlined)")
    expect(menu).to_have_text(MENU[role])


def test_who_has_no_role_is_told_whom_to_ask(visit):
    page = visit(STAFF, reverse("admin:index"))
    expect(page.locator("#no-role")).to_contain_text("Ask an administrator to put your account (staff) into one of the groups")


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (OPERATOR, True), (ADMINISTRATOR, True)])
def test_a_video_is_retried_by_those_who_may(visit, video: Video, role: str, may: bool):
    page = visit(role, page_of(video))
    expect(page.get_by_text("Broken dive").first).to_be_visible()
    expect(button(page, "Retry")).to_have_count(int(may))
    page = visit(role, list_of(Video))
    expect(page.locator("select[name=action] option", has_text="Retry: failed")).to_have_count(int(may))
    page = visit(role, reverse("admin:people_person_changelist"))
    expect(page.locator("#result_list")).to_be_visible()
    expect(page.locator(f"#header-inner a[href='{reverse('admin:people_person_import')}']")).to_have_count(int(may))


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (OPERATOR, False), (ADMINISTRATOR, True)])
def test_everything_is_paused_by_those_who_may(visit, role: str, may: bool):
    page = visit(role, page_of(Limits.row()))
    expect(page.get_by_text("Not paused")).to_be_visible()
    expect(button(page, "Cancel everything")).to_have_count(int(may))
    expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(int(may))


REFUSED = [
    (STAFF, "admin:videos_video_changelist"),
    (STAFF, "admin:people_person_changelist"),
    (VIEWER, "admin:people_person_import"),
    (VIEWER, "admin:people_channel_add"),
    (VIEWER, "admin:auth_user_changelist"),
    (OPERATOR, "admin:auth_user_add"),
    (ADMINISTRATOR, "admin:videos_video_add"),
]


@pytest.mark.parametrize(("role", "name"), REFUSED)
def test_an_address_typed_by_hand_is_refused_in_plain_words(visit, role: str, name: str):
    page = visit(role, reverse(name))
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()
    expect(page.locator("#refusal")).to_contain_text(f"You are signed in as {role.lower()}.")
    expect(page.locator("#nav-sidebar-apps")).to_be_visible()
    page.get_by_role("link", name="To the overview").click()
    expect(page).to_have_url(page.url.split("/admin/")[0] + reverse("admin:index"))
