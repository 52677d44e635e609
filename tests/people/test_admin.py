import re

import pytest
from django.contrib.auth.models import Permission, User

from people.models import Channel, ChannelAlias, Person
from tests.factories import make_channel, make_person
from tests.pages import choose, said

pytestmark = pytest.mark.django_db


def sign_in(client, *permissions: str) -> User:
    """Staff with these permissions of the app, such as view_person."""
    user = User.objects.create_user(f"staff{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="people", codename__in=permissions))
    client.force_login(user)
    return user


@pytest.fixture
def channel():
    channel = make_channel(title="Her videos", seen=3, expected=4, person=make_person(name="Ann <b>", type="teacher"))
    ChannelAlias.objects.create(channel=channel, canonical_url="https://www.youtube.com/c/ann")
    return channel


PAGES = [
    "/admin/",
    "/admin/people/person/",
    "/admin/people/person/?q=ann",
    "/admin/people/person/?type=teacher",
    "/admin/people/person/add/",
    "/admin/people/person/{person}/change/",
    "/admin/people/person/{person}/history/",
    "/admin/people/person/import/",
    "/admin/people/person/export/",
    "/admin/people/channel/",
    "/admin/people/channel/?q=ann",
    "/admin/people/channel/?state__exact=active&kind__exact=channel",
    "/admin/people/channel/add/",
    "/admin/people/channel/{channel}/change/",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_renders(admin_client, channel, page):
    response = admin_client.get(page.format(person=channel.person_id, channel=channel.pk))
    assert response.status_code == 200
    assert "Ann <b>" not in response.content.decode()


def test_lists_show_what_staff_look_for(admin_client, channel):
    make_channel(person=channel.person)
    people = admin_client.get("/admin/people/person/").content.decode()
    channels = admin_client.get("/admin/people/channel/").content.decode()
    assert re.search(r"field-number_of_channels[^>]*>\s*2\s*<", people)
    assert "3 of 4" in channels
    assert "not listed yet" in channels


@pytest.mark.parametrize("page", ["/admin/people/person/", "/admin/people/channel/"])
def test_a_list_takes_as_many_queries_for_many_rows_as_for_one(admin_client, page, django_assert_max_num_queries):
    for _ in range(20):
        make_channel()
    with django_assert_max_num_queries(9):
        admin_client.get(page)


def test_a_person_page_shows_no_more_than_a_page_of_channels(admin_client):
    person = make_person()
    for number in range(25):
        make_channel(person=person, title=f"Her {number:02}")
    page = admin_client.get(f"/admin/people/person/{person.pk}/change/").content.decode()
    assert sum(f"Her {number:02}" in page for number in range(25)) == 20


def test_a_person_that_is_here_already_is_refused_in_words(admin_client):
    make_person(email="ann@x.org")
    response = admin_client.post("/admin/people/person/add/", {"name": "Ann", "email": "ANN@x.org", **inline("channels")})
    assert response.status_code == 200
    assert "This person is already here." in response.content.decode()


def test_a_person_can_be_changed_though_channels_hang_on_her(admin_client, channel):
    page = f"/admin/people/person/{channel.person_id}/change/"
    response = admin_client.post(page, {"name": "Anna", "email": "anna@x.org", "type": "pupil", **inline("channels")})
    assert response.status_code == 302
    channel.person.refresh_from_db()
    assert (channel.person.name, channel.person.type) == ("Anna", "pupil")


def test_who_has_channels_has_no_page_of_deletion(admin_client, channel):
    assert admin_client.get(f"/admin/people/person/{channel.person_id}/delete/").status_code == 403
    assert admin_client.get(f"/admin/people/person/{make_person().pk}/delete/").status_code == 200
    assert "delete_selected" not in admin_client.get("/admin/people/person/").content.decode()


def test_a_channel_is_added_by_any_spelling_of_its_address(admin_client):
    person = make_person()
    data = {"person": person.pk, "url": "m.youtube.com/@Ann/videos", **inline("aliases")}
    assert admin_client.post("/admin/people/channel/add/", data).status_code == 302
    channel = Channel.objects.get()
    assert (channel.person, channel.url, channel.canonical_url) == (person, data["url"], "https://www.youtube.com/@ann")


@pytest.mark.parametrize(
    ("url", "message"),
    [("nope", "not the address of anything"), ("youtube.com/ann", "already here: Her videos, of Ann"), ("@HERS", "already here")],
)
def test_a_channel_that_is_none_or_here_already_is_refused_in_words(admin_client, channel, url, message):
    Channel.objects.filter(pk=channel.pk).update(canonical_url="https://www.youtube.com/@hers")
    response = admin_client.post("/admin/people/channel/add/", {"person": channel.person_id, "url": url, **inline("aliases")})
    assert (response.status_code, Channel.objects.count()) == (200, 1)
    assert message in response.content.decode()


def test_a_channel_page_writes_the_person_and_nothing_else(admin_client, channel):
    other = make_person()
    page = f"/admin/people/channel/{channel.pk}/change/"
    data = {"person": other.pk, "url": "@evil", "state": "gone", "title": "x", **inline("aliases", initial=1)}
    assert admin_client.post(page, data).status_code == 302
    before = Channel.objects.filter(pk=channel.pk).values("person", "url", "state", "title").get()
    assert before == {"person": other.pk, "url": channel.url, "state": "active", "title": "Her videos"}


ACTIONS = [
    ("pause", ["active", "active", "gone", "paused"], "3 channels paused. 1 left alone: it is paused already."),
    ("pause", ["active", "paused", "paused"], "1 channel paused. 2 left alone: they are paused already."),
    ("resume", ["paused", "active", "gone", "gone"], "1 channel will go on. 3 left alone: they were not paused."),
    ("resume", ["gone"], "No channel will go on. 1 left alone: it was not paused."),
]


@pytest.mark.parametrize(("action", "states", "message"), ACTIONS)
def test_actions_move_the_legal_rows_and_tell_both_numbers(admin_client, action, states, message):
    channels = [make_channel(state=state) for state in states]
    untouched = make_channel(state="active" if action == "pause" else "paused")
    assert said(choose(admin_client, action, channels)) == [message]
    moved = {"pause": {"active": "paused", "gone": "paused"}, "resume": {"paused": "active"}}[action]
    for channel, state in zip(channels, states, strict=True):
        channel.refresh_from_db()
        assert channel.state == moved.get(state, state)
    untouched.refresh_from_db()
    assert untouched.state == ("active" if action == "pause" else "paused")


def test_who_may_only_look_may_not_pause(client):
    sign_in(client, "view_channel")
    channel = make_channel()
    client.post("/admin/people/channel/", {"action": "pause", "_selected_action": [channel.pk]})
    channel.refresh_from_db()
    assert channel.state == "active"
    assert 'value="pause"' not in client.get("/admin/people/channel/").content.decode()


def test_a_person_without_channels_can_be_deleted(admin_client):
    person = make_person()
    assert admin_client.post(f"/admin/people/person/{person.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Person.objects.exists()


def test_a_channel_that_was_scanned_can_only_be_paused(admin_client, channel):
    assert admin_client.get(f"/admin/people/channel/{channel.pk}/delete/").status_code == 200
    Channel.objects.filter(pk=channel.pk).update(last_scanned_at="2026-01-01T00:00Z")
    assert admin_client.get(f"/admin/people/channel/{channel.pk}/delete/").status_code == 403


def inline(prefix: str, *, initial: int = 0) -> dict[str, str]:
    """The management form of an inline as a browser sends it."""
    return {f"{prefix}-TOTAL_FORMS": str(initial), f"{prefix}-INITIAL_FORMS": str(initial)}
