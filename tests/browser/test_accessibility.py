"""What axe-core finds on the pages of the admin: nothing serious, in light and in dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page

from ingestion.models import Attempt, DownloadSession, Limits, Scan, Worker
from people.models import Channel, Person
from tests.factories import make_asset, make_attempt, make_channel, make_person, make_scan, make_session, make_video
from tests.pages import list_of, page_of
from tests.people.importing import CONFIRM, confirmation, upload
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)
GRAVE = ("serious", "critical")
MODELS = (Person, Channel, Video, DownloadSession, Scan, Attempt, Worker, Limits)
SHEET = b"name,email,type,channel\nNew,new@x.org,,@new\nAnn,,pupil,https://www.youtube.com/@ann\nTypo,no-mail,,@typo\nGone,,,http://x.org\n"


@pytest.fixture
def site(live_server) -> tuple[str, str, dict[str, str]]:
    """Address, cookie of an administrator and addresses to visit. Made before the browser: beside it Django refuses its database."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    session = make_session(source="people.csv")
    channel = make_channel(person=make_person(name="Ann", email=""), canonical_url="https://www.youtube.com/@ann")
    stored = make_video(title="Stored", status="stored", storage_key="a/b.mp4", file_size=5_000_000, channel=channel, session=session)
    failed = make_video(title="Failed", status="failed", error_kind="network", error_message="timed out", channel=channel, session=session)
    make_asset(video=stored, kind="info", status="stored")
    rows = [channel.person, channel, session, stored, failed, make_attempt(video=stored, outcome="stored"), make_scan(channel=channel)]
    addresses = {"index": reverse("admin:index"), "import": reverse("admin:people_person_import"), "errors": reverse("errors")}
    addresses |= {name: reverse(f"admin:{name}") for name in ("people_person_add", "people_channel_add", "password_change")}
    addresses |= {"a list without rows": f"{list_of(Video)}?status__exact=skipped", "no such page": "/admin/nowhere/"}
    addresses["forbidden"] = reverse("admin:videos_video_add")
    addresses |= sheet_pages(client)
    addresses |= {f"list of {model._meta.verbose_name_plural}": list_of(model) for model in MODELS}
    addresses |= {f"page of {row._meta.verbose_name} {row}": page_of(row) for row in [*rows, Limits.row()]}
    return live_server.url, client.cookies["sessionid"].value, addresses


def sheet_pages(client: Client) -> dict[str, str]:
    """A preview with rows of each kind, all rows of one, and the session that a sheet leads to."""
    preview = upload(client, SHEET, "people.csv")
    pk = preview.context["upload"].pk
    done = client.post(CONFIRM, confirmation(upload(client, b"name,channel\nNew,@new\n")))
    names = {"preview": ("admin:people_person_import_preview", [pk]), "rows": ("admin:people_person_import_rows", [pk, "refused"])}
    return {name: reverse(page, args=args) for name, (page, args) in names.items()} | {"session of a sheet": done["Location"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_archive_that_is_empty_has_none_either(complaints, page: Page, live_server, scheme: str):
    page.emulate_media(color_scheme=scheme)
    found = []
    for name, path in {"first run": reverse("admin:index"), "no people": list_of(Person), "no videos": list_of(Video)}.items():
        page.goto(live_server.url + path, wait_until="load")
        found += issues_of(page, name)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_issue(site, page: Page, scheme: str):
    address, session, addresses = site
    page.emulate_media(color_scheme=scheme)
    page.goto(address + reverse("admin:login"), wait_until="load")
    found = issues_of(page, "login")
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
    for name, path in addresses.items():
        page.goto(address + path, wait_until="load")
        found += issues_of(page, name)
    page.goto("about:blank")
    assert not found, "\n".join(found)


def issues_of(page: Page, name: str) -> list[str]:
    issues = [issue for issue in Axe().run(page).response["violations"] if issue["impact"] in GRAVE]
    return [f"{name}: {issue['id']}: {node['html'][:150]}" for issue in issues for node in issue["nodes"]]
