from datetime import date, timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from ingestion import leases, scanning
from ingestion.errors import error
from ingestion.models import Budget, Limits, Scan
from people.models import Channel, ChannelAlias
from tests.factories import make_channel, make_person, make_scan, make_session, make_video
from tests.ingestion.listings import FakeEntry, FakeListing, FakeYouTube, entries
from videos.models import Video

pytestmark = pytest.mark.django_db


def claimed_scan(channel=None, **options):
    Scan.objects.create(session=make_session(options=options), channel=channel or make_channel())
    return scanning.claim_scan("w")


def run_whole(scan, listing):
    scanning.scan_channel(scan, source=FakeYouTube(listing), found=lambda due: None, check=lambda: None)


def run(scan, listing, *, found=None, check=lambda: None):
    source = FakeYouTube(listing)
    scanning.scan_channel(scan, source=source, found=(found if found is not None else []).append, check=check)
    scan.refresh_from_db()
    return source


def test_every_listed_video_becomes_a_row_of_its_channel_person_and_session():
    scan = claimed_scan()
    run(scan, FakeListing(entries(1200)))
    assert Video.objects.filter(channel=scan.channel, person=scan.channel.person, session=scan.session, status="pending").count() == 1200
    assert (scan.state, scan.seen, scan.new, scan.claim_id) == ("done", 1200, 1200, None)


def test_downloads_are_rung_for_while_the_listing_goes_on():
    found = []
    run(claimed_scan(), FakeListing(entries(600)), found=found)
    assert found == [30, 500, 70]


def test_the_order_of_the_listing_is_the_order_of_the_work():
    run(claimed_scan(), FakeListing([FakeEntry("zz"), FakeEntry("aa"), FakeEntry("mm")]))
    assert list(Video.objects.order_by("next_attempt_at").values_list("external_id", flat=True)) == ["zz", "aa", "mm"]


def test_a_limit_stops_the_listing_and_leaves_the_channel_not_wholly_listed():
    scan = claimed_scan(limit=5)
    listing = FakeListing(entries(50))
    run(scan, listing)
    assert (Video.objects.count(), listing.read) == (5, 5)
    assert Channel.objects.get().listed_whole_at is None


def test_scanning_again_makes_nothing_twice_and_says_what_was_there():
    channel = make_channel()
    make_video(channel=channel, external_id="v000000", status="stored")
    run(claimed_scan(channel), FakeListing(entries(10)))
    scan = claimed_scan(channel)
    run(scan, FakeListing(entries(10)))
    assert Video.objects.count() == 10
    assert (scan.seen, scan.new, scan.already_stored) == (10, 9, 1)


def test_missing_values_never_overwrite_known_ones():
    channel = make_channel()
    known = {"title": "Known", "duration": 9, "upload_date": date(2020, 1, 1), "upload_date_is_exact": True}
    make_video(channel=channel, external_id="v1", **known)
    run(claimed_scan(channel), FakeListing([FakeEntry("v1", title="", duration=None, upload_date=date(2021, 1, 1))]))
    assert Video.objects.values(*known).get() == known


def test_videos_follow_their_channel_to_another_person():
    video = make_video(external_id="v1")
    owner = make_person()
    Channel.objects.update(person=owner)
    run(claimed_scan(Channel.objects.get()), FakeListing([FakeEntry("v1")]))
    video.refresh_from_db()
    assert video.person == owner


def test_a_delta_scan_leaves_a_tab_after_fifty_known_videos_in_a_row():
    channel = make_channel()
    run(claimed_scan(channel), FakeListing(entries(400)))
    Scan.objects.all().delete()
    newest = [FakeEntry("brandnew"), *entries(400), *entries(20, start=900, tab="shorts")]
    listing = FakeListing(newest)
    scan = claimed_scan(Channel.objects.get())
    run(scan, listing)
    assert Video.objects.filter(external_id="brandnew").exists()
    assert Video.objects.filter(external_id__gte="v000900").count() == 20, "other tabs are still looked at"
    assert scan.seen < 150


@pytest.mark.parametrize(
    ("status", "options", "again"),
    [
        ("skipped", {"retry_failed": True}, False),
        ("stored", {}, False),
        ("stored", {"skip_existing": False}, True),
        ("failed", {}, False),
        ("unavailable", {}, False),
        ("unavailable", {"retry_failed": True}, True),
        ("pending", {}, True),
    ],
)
def test_known_videos_are_worked_again_only_when_asked(status, options, again):
    video = make_video(status=status, external_id="v1")
    scan = claimed_scan(video.channel, **options)
    run(scan, FakeListing([FakeEntry("v1")]))
    video.refresh_from_db()
    assert (video.session_id == scan.session_id) == again
    assert (video.status == "pending") == again
    assert scan.new == again
    assert scan.already_stored == (status == "stored" and not again)
    left = {"failed": {"network": 1}, "unavailable": {"network": 1}, "skipped": {"skipped": 1}}
    assert scan.left_alone == ({} if again else left.get(status, {}))


def test_youtubes_id_and_title_are_written_down():
    scan = claimed_scan()
    run(scan, FakeListing(entries(1), external_id="UCabc", title="Real name", expected=7))
    assert Channel.objects.values_list("external_id", "title", "seen", "expected").get() == ("UCabc", "Real name", 1, 7)


def test_two_spellings_of_one_channel_become_one_row():
    first = make_channel(external_id="UCabc")
    scan = claimed_scan(make_channel(canonical_url="https://www.youtube.com/c/other"))
    run(scan, FakeListing(entries(3), external_id="UCabc"))
    assert list(Channel.objects.all()) == [first]
    assert ChannelAlias.objects.values_list("channel", "canonical_url").get() == (first.pk, "https://www.youtube.com/c/other")
    assert (scan.channel, scan.state) == (first, "done")
    assert Video.objects.filter(channel=first).count() == 3


def test_two_spellings_in_one_session_are_scanned_once_and_end():
    session = make_session()
    first, second = make_channel(external_id="UCabc"), make_channel()
    for channel in (first, second):
        Scan.objects.create(session=session, channel=channel)
    for _ in range(2):
        run_whole(scanning.claim_scan("w"), FakeListing(entries(3), external_id="UCabc"))
    assert scanning.claim_scan("w") is None
    assert list(Channel.objects.all()) == [first]
    assert [(scan.channel, scan.state) for scan in session.scans.all()] == [(first, "done")]


def test_merging_two_spellings_spares_the_scans_of_other_sessions():
    first, second = make_channel(external_id="UCabc"), make_channel()
    other = make_session()
    for channel in (first, second):
        Scan.objects.create(session=other, channel=channel, next_attempt_at=timezone.now() + timedelta(hours=1))
    alone = Scan.objects.create(session=make_session(), channel=second, next_attempt_at=timezone.now() + timedelta(hours=1))
    run(claimed_scan(second), FakeListing(entries(3), external_id="UCabc"))
    assert [scan.channel for scan in other.scans.all()] == [first]
    alone.refresh_from_db()
    assert (alone.channel, alone.state) == (first, "pending")


def test_a_channel_that_turns_out_to_be_somebody_elses_is_told_in_the_session():
    make_channel(external_id="UCabc", person=make_person(name="Ann"))
    scan = claimed_scan(make_channel(person=make_person(name="Bob")))
    run(scan, FakeListing(entries(1), external_id="UCabc"))
    (problem,) = scan.session.__class__.objects.get(pk=scan.session_id).problems
    assert "Ann" in problem["message"]


def test_a_known_channel_is_listed_by_its_id_whatever_became_of_its_handle():
    scan = claimed_scan(make_channel(external_id="UC" + "x" * 22))
    source = run(scan, FakeListing(entries(1), external_id="UC" + "x" * 22))
    assert source.asked == [(f"https://www.youtube.com/channel/UC{'x' * 22}", "channel")]


def test_a_channel_that_was_gone_and_is_listed_again_is_active():
    run(claimed_scan(make_channel(state="gone")), FakeListing(entries(1)))
    assert Channel.objects.get().state == "active"


def test_an_unforeseen_error_ends_after_three_attempts():
    scan = claimed_scan()
    for attempt in (1, 2, 3):
        run(scan, ZeroDivisionError("who would have thought"))
        assert (scan.attempts, scan.error_kind) == (attempt, "unknown")
        Scan.objects.update(next_attempt_at=Now())
        scan = scanning.claim_scan("w") or scan
    assert scan.state == "failed" and "ZeroDivisionError" in scan.error_message


def test_a_scan_that_takes_its_workers_down_is_given_up():
    Scan.objects.create(session=make_session(), channel=make_channel())
    for _ in range(leases.MOST_LOSSES):
        assert scanning.claim_scan("w").attempts == 1, "a worker's death is no attempt"
        Scan.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    assert scanning.claim_scan("w") is None
    assert Scan.objects.values_list("state", "error_kind").get() == ("failed", "lost")


def test_our_own_broken_set_up_pauses_the_session_instead_of_spinning():
    scan = claimed_scan()
    run(scan, error("misconfigured", "The proxy is wrong."))
    scan.session.refresh_from_db()
    assert (scan.session.state, scan.session.state_reason) == ("paused", "The proxy is wrong.")
    assert scanning.claim_scan("w") is None


def test_a_channel_that_alone_is_refused_does_not_open_the_breaker_for_ever():
    scan = claimed_scan()
    for _ in range(3):
        run(scan, error("captcha"))
        Budget.objects.update(open_until=Now())
        scan = scanning.claim_scan("w") or scan
    assert (scan.state, scan.error_kind) == ("failed", "captcha")


def test_one_at_a_time_finds_out_whether_youtube_answers_again():
    for _ in range(2):
        Scan.objects.create(session=make_session(), channel=make_channel())
    Budget.objects.create(identity="guest", refusals=1, open_until=Now() - timedelta(seconds=1), open_reason="captcha")
    assert scanning.claim_scan("w") is not None
    assert scanning.claim_scan("w") is None


def test_a_failed_channel_stops_a_session_that_asked_for_it():
    scan = claimed_scan(continue_on_error=False)
    run(scan, error("channel_missing"))
    scan.session.refresh_from_db()
    assert scan.session.state == "paused"


def test_text_that_no_column_can_hold_is_mended():
    run(claimed_scan(), FakeListing([FakeEntry("v1", title="a\x00b\ud800c")], title="t\x00"))
    assert Video.objects.get().title == "ab?c"


def known_channel(count=300):
    channel = make_channel(listed_whole_at=timezone.now())
    session = make_session(state="paused")
    rows = [Video(external_id=entry.external_id, channel=channel, person=channel.person, session=session) for entry in entries(count)]
    Video.objects.bulk_create(rows)
    return channel, session


def test_a_delta_scan_takes_over_all_that_the_channel_still_owes():
    channel, _ = known_channel()
    Video.objects.filter(external_id__gte="v000200").update(status="failed", error_kind="network")
    Video.objects.filter(external_id="v000250").update(status="skipped")
    scan = claimed_scan(channel, retry_failed=True)
    run(scan, FakeListing(entries(300)))
    assert Video.objects.filter(session=scan.session, status="pending").count() == scan.new == 299
    assert Video.objects.get(external_id="v000250").status == "skipped", "what staff skipped stays skipped"


def test_a_delta_scan_counts_all_that_was_known_before():
    channel, _ = known_channel()
    for video in Video.objects.all():
        Video.objects.filter(pk=video.pk).update(status="stored", storage_key=video.external_id, file_size=1, checksum="c")
    Video.objects.filter(external_id="v000250").update(status="unavailable", error_kind="private")
    scan = claimed_scan(channel)
    run(scan, FakeListing(entries(300)))
    assert (scan.already_stored, scan.left_alone, scan.new) == (299, {"private": 1}, 0)


def test_an_empty_channel_is_done_and_says_so():
    scan = claimed_scan()
    run(scan, FakeListing([]))
    assert (scan.state, scan.error_kind, scan.seen) == ("done", "empty", 0)
    assert Channel.objects.get().state == "active"


@pytest.mark.parametrize(
    ("kind", "state", "channel_state", "attempts"),
    [
        ("channel_missing", "failed", "gone", 1),
        ("terminated", "failed", "gone", 1),
        ("age_restricted", "failed", "active", 1),
        ("network", "pending", "active", 1),
        ("bot_check", "pending", "active", 0),
    ],
)
def test_channel_problems_are_told_apart(kind, state, channel_state, attempts):
    scan = claimed_scan()
    run(scan, error(kind, "raw"))
    assert (scan.state, scan.error_kind, scan.error_message, scan.attempts) == (state, kind, "raw", attempts)
    assert Channel.objects.get().state == channel_state
    assert Budget.objects.filter(open_reason="bot_check").exists() == (kind == "bot_check")


def test_a_failure_in_the_middle_keeps_what_was_listed_and_is_tried_again():
    scan = claimed_scan()
    run(scan, FakeListing(entries(40), failure=error("network")))
    assert (Video.objects.count(), scan.state) == (40, "pending")
    Scan.objects.update(next_attempt_at=Now())
    scan = scanning.claim_scan("w")
    run(scan, FakeListing(entries(60)))
    assert (Video.objects.count(), scan.state, scan.new, scan.already_stored) == (60, "done", 60, 0)
    assert scan.error_kind == "", "what went wrong before is over"


def test_network_trouble_ends_after_three_attempts():
    scan = claimed_scan()
    for _ in range(3):
        run(scan, error("network"))
        Scan.objects.update(next_attempt_at=Now())
        scan = scanning.claim_scan("w") or scan
    assert Scan.objects.values_list("state", "error_kind").get() == ("failed", "network")


def test_an_abandoned_scan_goes_on_elsewhere_and_the_zombie_writes_nothing():
    scan = claimed_scan()
    Scan.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    second = scanning.claim_scan("w2")
    assert second.pk == scan.pk
    run(scan, FakeListing(entries(5)))
    assert Video.objects.count() == 0
    assert Scan.objects.get().claim_id == second.claim_id


def test_scans_wait_while_youtube_must_not_be_asked(settings):
    Scan.objects.create(session=make_session(), channel=make_channel())
    Budget.objects.create(identity="guest", open_until=Now() + timedelta(hours=1), open_reason="captcha", refusals=1)
    assert scanning.claim_scan("w") is None


def test_handing_a_scan_back_makes_it_due_at_once():
    scan = claimed_scan()
    scanning.hand_back_scan(scan)
    again = scanning.claim_scan("w")
    assert (again.pk, again.attempts) == (scan.pk, 1)


def test_what_staff_ask_for_goes_before_the_schedules_re_scans():
    old = make_scan(session=make_session(is_rescan=True), next_attempt_at=Now() - timedelta(hours=1))
    asked = make_scan()
    assert [scanning.claim_scan("w").pk, scanning.claim_scan("w").pk] == [asked.pk, old.pk]


def test_a_re_scan_by_the_schedule_leaves_other_sessions_their_work():
    channel = make_channel(listed_whole_at=Now(), external_id="UCfake", title="Fake channel")
    known = make_video(session=make_session(), channel=channel, external_id="v000001")
    make_scan(session=make_session(is_rescan=True), channel=channel)
    scan = scanning.claim_scan("w")
    run(scan, FakeListing(entries(2)))
    assert Video.objects.get(pk=known.pk).session_id == known.session_id
    assert Video.objects.get(external_id="v000000").session_id == scan.session_id
    assert scan.new == 1


def test_the_size_of_the_batches_is_a_limit_that_staff_set():
    Limits.row()
    Limits.objects.update(scan_batch_size=50)
    found = []
    run(claimed_scan(), FakeListing(entries(100)), found=found)
    assert found == [30, 50, 20]


def test_a_session_may_say_its_own_number_of_attempts():
    scan = claimed_scan(max_attempts=1)
    run(scan, FakeListing([], failure=error("network")))
    assert scan.state == "failed"
