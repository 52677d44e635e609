import uuid
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion import leases
from ingestion.models import Attempt, Budget, DownloadSession, Limits, Scan
from people.models import Channel
from tests.factories import make_channel, make_scan, make_session, make_video
from tests.pages import choose, list_of, make_download, page_of, press, said, send, staff_with
from videos.models import Video

pytestmark = pytest.mark.django_db

LATER = timedelta(hours=1)


@pytest.fixture
def session():
    """One with a running, a due and a waiting video of one channel, and a running scan."""
    session, channel = make_session(), make_channel()
    make_download(title="running", session=session, channel=channel)
    make_video(title="due", session=session, channel=channel)
    make_video(title="waiting", session=session, channel=channel, next_attempt_at=timezone.now() + LATER)
    lease = {"claim_id": uuid.uuid4(), "lease_owner": "host", "lease_expires_at": timezone.now() + LATER}
    make_scan(session=session, channel=channel, state="running", **lease)
    return session


def video(title: str) -> Video:
    return Video.objects.get(title=title)


def stops() -> list[str]:
    return list(Attempt.objects.values_list("stop", flat=True))


# --- sessions, channels and videos are steered alike


def rows_of(kind: str) -> list:
    return list({"session": DownloadSession, "channel": Channel, "video": Video}[kind].objects.order_by("pk"))


MAY_FINISH, BOTH_MAY_FINISH = "1 running download may finish.", "1 running download and 1 running scan may finish."
ONE_STOPS, TWO_STOP = (f"{count} will stop within seconds." for count in ("1 running job", "2 running jobs"))
GIVEN_UP = "3 videos and 1 scan given up."
STEERED = [
    ("session", "pause", f"1 download session paused. {BOTH_MAY_FINISH}", ""),
    ("channel", "pause", f"1 channel paused. {BOTH_MAY_FINISH}", ""),
    ("video", "pause", f"3 videos paused. {MAY_FINISH}", ""),
    ("session", "pause_now", f"1 download session paused. {TWO_STOP}", "pause"),
    ("channel", "pause_now", f"1 channel paused. {TWO_STOP}", "pause"),
    ("video", "pause_now", f"3 videos paused. {ONE_STOPS}", "pause"),
    ("session", "cancel", f"1 download session cancelled. {GIVEN_UP} {MAY_FINISH}", ""),
    ("channel", "cancel", f"1 channel cancelled. {GIVEN_UP} {MAY_FINISH}", ""),
    ("video", "cancel", f"3 videos cancelled. {MAY_FINISH}", ""),
    ("session", "cancel_now", f"1 download session cancelled. {GIVEN_UP} {ONE_STOPS}", "cancel"),
    ("channel", "cancel_now", f"1 channel cancelled. {GIVEN_UP} {ONE_STOPS}", "cancel"),
    ("video", "cancel_now", f"3 videos cancelled. {ONE_STOPS}", "cancel"),
]


@pytest.mark.parametrize(("kind", "action", "sentence", "stop"), STEERED)
def test_actions_of_the_lists_steer_and_tell_what_becomes_of_what_runs(admin_client, session, kind, action, sentence, stop):
    assert said(choose(admin_client, action, rows_of(kind))) == [sentence]
    assert stops() == [stop]
    assert leases.claim("w") is None


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("session", "1 download session will go on. 2 waiting videos may be tried at once."),
        ("channel", "1 channel will go on. 2 waiting videos may be tried at once."),
        ("video", "3 videos will go on at once."),
    ],
)
def test_what_was_paused_goes_on(admin_client, session, kind, sentence):
    choose(admin_client, "pause", rows_of(kind))
    if kind != "video":  # the waiting one waits for its time, the due one is made to
        Video.objects.filter(title="due").update(wanted="pause")
    assert said(choose(admin_client, "resume", rows_of(kind)))[-1] == sentence
    assert Video.objects.due().count() == 2


def test_resuming_a_list_of_paused_sessions_wakes_their_videos_although_they_leave_the_list(admin_client, session):
    choose(admin_client, "pause", [session])
    response = choose(admin_client, "resume", [session], query="?state__exact=paused")
    assert said(response)[-1] == "1 download session will go on. 1 waiting video may be tried at once."


def test_a_cancelled_session_is_brought_back_from_its_page(admin_client, session):
    press(admin_client, "cancel", session)
    session.refresh_from_db()
    assert (session.state, session.state_reason) == ("cancelled", "Cancelled by admin.")
    response = press(admin_client, "resume", session)
    assert response.url == page_of(session)
    session.refresh_from_db()
    assert (session.state, video("due").status) == ("running", "pending")


def test_what_cannot_be_steered_is_left_alone_and_told(admin_client):
    done = make_video(status="stored")
    assert said(choose(admin_client, "pause", [done])) == ["No video paused. 1 left alone: it is paused or over already."]
    assert said(choose(admin_client, "cancel", [done]))[-1] == "No video cancelled. 1 left alone: it was over already."
    assert said(choose(admin_client, "cancel", [done.channel]))[-1] == "No channel cancelled. 1 left alone: nothing of it was to be done."


@pytest.mark.parametrize("kind", ["session", "channel", "video"])
def test_the_buttons_of_a_page_do_what_the_actions_of_the_list_do(admin_client, session, kind):
    row = {"session": session, "channel": video("due").channel, "video": video("running")}[kind]
    response = press(admin_client, "pause", row)
    assert (response.status_code, response.url) == (302, page_of(row))
    assert "1 " in said(response)[0]
    for name in ("pause_now", "resume", "cancel", "cancel_now"):
        assert press(admin_client, name, row).url == page_of(row)


@pytest.mark.parametrize(("kind", "model"), [("session", "downloadsession"), ("channel", "channel"), ("video", "video")])
def test_who_may_only_look_is_offered_nothing_and_changes_nothing(client, session, kind, model):
    client.force_login(staff_with(f"view_{model}"))
    row = rows_of(kind)[0]
    assert client.get(page_of(row)).context["page_actions"]["buttons"] == []
    before = rows_state()
    for name in ("pause", "pause_now", "resume", "cancel", "cancel_now", "look_for_new_videos"):
        choose(client, name, rows_of(kind))
    assert rows_state() == before


CANCELLING = {"cancel", "cancel_now"}


@pytest.mark.parametrize(
    ("kind", "model", "of_videos"), [("session", "downloadsession", CANCELLING | {"retry_failed"}), ("channel", "channel", CANCELLING)]
)
def test_giving_up_or_retrying_the_videos_of_a_row_takes_the_permission_for_videos_too(client, session, kind, model, of_videos):
    somebody = staff_with(f"view_{model}", f"change_{model}")
    make_video(session=session, channel=video("due").channel, status="failed")
    client.force_login(somebody)
    row = rows_of(kind)[0]
    offered = buttons_of(client, row)
    assert {"pause", "pause_now", "resume"} <= offered and not offered & of_videos
    before = rows_state()
    for name in of_videos:
        choose(client, name, [row])
    assert rows_state() == before
    somebody.user_permissions.add(Permission.objects.get(codename="change_video"))
    assert of_videos <= buttons_of(client, row)
    choose(client, "cancel", [row])
    assert video("due").status == "skipped"


def buttons_of(client, row) -> set[str]:
    return {button["name"] for button in client.get(page_of(row)).context["page_actions"]["buttons"]}


def test_to_pause_and_resume_a_row_its_own_permission_is_enough(client, session):
    client.force_login(staff_with("view_downloadsession", "change_downloadsession"))
    for name, state in (("pause", "paused"), ("resume", "running")):
        press(client, name, session)
        session.refresh_from_db()
        assert session.state == state


def rows_state() -> list:
    found = (DownloadSession.objects.values_list("state"), Channel.objects.values_list("state"), Scan.objects.values_list("state"))
    return [*map(list, found), list(Video.objects.order_by("pk").values_list("status", "wanted")), stops()]


# --- a session's own limits


def test_a_sessions_own_limits_are_edited_and_nothing_else_of_its_options(admin_client):
    session = make_session(options={"quality": "1080p", "limit": 7, "max_concurrent": 2, "of_another_release": True})
    make_scan(session=session)
    values = {"max_concurrent": "", "max_concurrent_channels": 1_000_000, "max_concurrent_per_channel": 3, "max_attempts": 5}
    response = send(admin_client, session, **values, source="evil.csv", state="cancelled")
    assert response.status_code == 302
    session.refresh_from_db()
    kept = {"quality": "1080p", "limit": 7, "of_another_release": True}
    assert session.options == kept | values | {"max_concurrent": None}
    assert (session.source, session.state) == ("test", "running")


def test_what_changed_while_the_page_was_open_is_kept(admin_client, monkeypatch):
    session = make_session(options={"quality": "720p"})
    sessions = admin.site.get_model_admin(DownloadSession)
    get_object = sessions.get_object

    def read_and_then_change(*args):
        found = get_object(*args)
        DownloadSession.objects.update(options={"quality": "1080p", "max_attempts": 9})
        return found

    page = {"max_concurrent": 4, "scans-TOTAL_FORMS": 0, "scans-INITIAL_FORMS": 0}
    monkeypatch.setattr(sessions, "get_object", read_and_then_change)
    assert admin_client.post(page_of(session), page).status_code == 302
    session.refresh_from_db()
    assert session.options == {"quality": "1080p", "max_attempts": 9, "max_concurrent": 4}


def test_a_sessions_page_is_saved_although_channels_joined_it_meanwhile(admin_client):
    session = make_session()
    scans = [make_scan(session=session) for _ in range(25)]
    form = {"max_attempts": 2, "scans-TOTAL_FORMS": 20, "scans-INITIAL_FORMS": 20}
    form |= {f"scans-{number}-id": scan.pk for number, scan in enumerate(reversed(scans[5:]))}
    make_scan(session=session)
    assert admin_client.post(page_of(session), form).status_code == 302
    session.refresh_from_db()
    assert session.options == {"max_attempts": 2}


@pytest.mark.parametrize("value", [0, -1, 1_000_001, "many", 1.5])
def test_a_bound_that_makes_no_sense_is_refused_in_its_field(admin_client, value):
    session = make_session()
    response = send(admin_client, session, max_concurrent=value)
    assert response.status_code == 200
    assert "max_concurrent" in response.context["adminform"].form.errors
    session.refresh_from_db()
    assert session.options == {}


def test_a_viewer_of_sessions_sees_no_form_and_sends_none(client):
    client.force_login(staff_with("view_downloadsession"))
    session = make_session(options={"max_concurrent": 2})
    text = client.get(page_of(session)).text
    assert "Limits of its own" not in text
    assert "2 at the same time" in text
    assert client.post(page_of(session), {"max_concurrent": 5}).status_code == 403


def test_sessions_are_filtered_by_who_made_them(admin_client):
    mine, theirs = make_session(), make_session(is_rescan=True)

    def found(made_by):
        return list(admin_client.get(list_of(DownloadSession), {"made_by": made_by}).context["cl"].result_list)

    assert (found("staff"), found("schedule")) == ([mine], [theirs])
    assert "The schedule" in admin_client.get(page_of(theirs)).text


# --- channels


def test_a_channels_own_limits_are_edited_on_its_page(admin_client):
    channel = make_channel()
    assert send(admin_client, channel, max_concurrent_videos=4, rescan_every_hours=12).status_code == 302
    channel.refresh_from_db()
    assert (channel.max_concurrent_videos, channel.rescan_every_hours) == (4, 12)
    assert send(admin_client, channel, max_concurrent_videos=0).status_code == 200
    assert send(admin_client, channel, max_concurrent_videos="").status_code == 302
    channel.refresh_from_db()
    assert channel.max_concurrent_videos is None


def test_channels_are_looked_at_again_as_they_were_last_worked(admin_client):
    first, second, never = make_channel(), make_channel(), make_channel(kind="playlist")
    for channel, quality in ((first, "480p"), (first, "1080p"), (second, "1080p")):
        asked = make_session(options={"quality": quality, "skip_existing": False, "retry_failed": True, "limit": 3})
        make_scan(session=asked, channel=channel, state="done")
    response = choose(admin_client, "look_for_new_videos", [first, second, never])
    alike, plain = DownloadSession.objects.filter(source="Another look for new videos").order_by("pk")
    assert {scan.channel for scan in alike.scans.all()} == {first, second}
    assert [scan.channel for scan in plain.scans.all()] == [never]
    assert (alike.options["quality"], alike.options["limit"], plain.options["quality"]) == ("1080p", 3, "720p")
    assert (alike.options["skip_existing"], alike.options["retry_failed"]) == (True, False)
    assert (alike.created_by.username, alike.is_rescan, alike.state) == ("admin", False, "running")
    (sentence,) = said(response)
    assert sentence.startswith("3 channels will be looked at. ")
    assert page_of(alike) in sentence


def test_channels_that_need_no_look_are_left_alone(admin_client):
    paused, gone, single, busy = make_channel(state="paused"), make_channel(state="gone"), make_channel(kind="video"), make_channel()
    make_scan(channel=busy)
    held = make_channel()
    make_scan(channel=held, session=make_session(state="paused"))
    response = choose(admin_client, "look_for_new_videos", [paused, gone, single, busy, held])
    assert said(response)[0].startswith(
        "1 channel will be looked at. 4 left alone: each is paused, gone, a single video, or being listed already."
    )
    assert DownloadSession.objects.latest("pk").scans.get().channel == held
    again = choose(admin_client, "look_for_new_videos", [held])
    assert said(again)[-1] == "No channel will be looked at. 1 left alone: it is paused, gone, a single video, or being listed already."


# --- what holds a video


@pytest.mark.parametrize(
    ("session", "channel", "everything", "fields", "words"),
    [
        pytest.param("running", "active", False, {}, "Pending", id="nothing"),
        pytest.param("paused", "paused", True, {}, "Paused with its session", id="its session"),
        pytest.param("cancelled", "active", False, {}, "Cancelled with its session", id="its cancelled session"),
        pytest.param("running", "paused", True, {}, "Paused with its channel", id="its channel"),
        pytest.param("running", "active", True, {}, "Paused with everything", id="everything"),
        pytest.param("paused", "active", True, {"wanted": "pause"}, "Paused", id="itself"),
        pytest.param("paused", "active", True, {"status": "stored"}, "Stored", id="it is over"),
    ],
)
def test_a_video_that_is_held_says_with_what(admin_client, session, channel, everything, fields, words):
    held = make_video(session=make_session(state=session), channel=make_channel(state=channel), **fields)
    make_video(title="of no session", channel=make_channel())
    Limits.objects.filter(pk=Limits.row().pk).update(paused=everything)
    for page in (list_of(Video), page_of(held)):
        assert f"\n{words}\n" in admin_client.get(page).text


def test_the_list_of_videos_costs_the_same_with_2_and_20_sessions_and_channels(admin_client):
    def grow(rows):
        for _ in range(rows):
            make_video(session=make_session(state="paused"))

    grow(2)
    admin_client.get(list_of(Video))
    with CaptureQueriesContext(connection) as few:
        admin_client.get(list_of(Video))
    grow(18)
    with CaptureQueriesContext(connection) as many:
        assert admin_client.get(list_of(Video)).text.count("Paused with its session") == 20
    assert len(few) == len(many)
    assert not any('"problems"' in query["sql"] for query in many)


def test_the_page_of_a_session_says_what_it_waits_for(admin_client, session):
    assert "what it waits for" not in admin_client.get(page_of(session)).content.decode().lower()
    Limits.row()
    Limits.objects.update(max_videos_per_day=1)
    Video.objects.filter(title="due").update(wanted="pause")
    Budget.objects.create(identity="guest", refusals=1, open_until=timezone.now() + LATER, open_reason="bot_check")
    page = admin_client.get(page_of(session)).content.decode()
    assert "What it waits for" in page or "what it waits for" in page
    assert "No request to YouTube before" in page and "Bot check" in page
    assert "1 video held back: video paused." in page
    Budget.objects.all().delete()
    assert "1 video is stored or under way" in admin_client.get(page_of(session)).content.decode()
