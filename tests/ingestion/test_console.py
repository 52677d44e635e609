import io
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from ingestion import budget, console
from ingestion.checks import Finding
from ingestion.models import Scan
from ingestion.progress import Progress, Running, session_progress
from ingestion.reports import session_report
from tests.factories import make_channel, make_session, make_video


def progress(**over):
    fields = {"scans": Counter(done=1, pending=2), "videos": Counter(stored=2, failed=1, downloading=1, pending=3), "bytes_stored": 5 << 20}
    return Progress("running", "", **{**fields, **over})


def requests(**over):
    fields = {"used_this_hour": 12, "per_hour": 900, "per_second": 1, "breaker": "closed", "closed_until": None, "kind": "", "refusals": 0}
    return budget.State(**{**fields, **over})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (requests(), ""),
        (requests(breaker="open", closed_until=timezone.now(), kind="bot_check"), ", YouTube: bot_check until "),
        (requests(breaker="half-open", kind="bot_check"), ", YouTube: bot_check, one request finds out whether it is over"),
    ],
    ids=lambda value: getattr(value, "breaker", None),
)
def test_the_headline_says_how_far_a_session_is(asked, words):
    line = console.headline(progress(requests=asked))
    assert line.startswith("channels 1/3, videos 2/7 stored, 1 failed, 1 running, 3 waiting, 5.0 MB" + words)
    assert line.endswith(", 12 of 900 requests this hour")


def test_lines_come_at_the_interval_where_there_is_no_terminal():
    out = io.StringIO()
    with console.display(out, interval=timedelta(hours=1)) as display:
        display.show(progress())
        display.show(progress())
    assert len(out.getvalue().splitlines()) == 1


def test_bars_come_and_go_with_the_downloads_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    with console.display(out, interval=timedelta(seconds=1)) as display:
        display.show(progress(running=[Running(1, "First film", 5, 10), Running(2, "Second film", 0, None)]))
        assert len(display._tasks) == 2
        display.show(progress(running=[Running(2, "Second film", 9, 10)]))
        assert list(display._tasks) == [2]


@pytest.mark.django_db
def test_the_summary_groups_failures_with_their_advice_and_says_how_to_go_on():
    session = make_session()
    make_video(session=session, status="stored")
    make_video(session=session, status="unavailable", error_kind="private")
    make_video(session=session, next_attempt_at=timezone.now() + timedelta(hours=1))
    channel = make_channel(url="youtube.com/@gone")
    Scan.objects.create(session=session, channel=channel, state="failed", error_kind="channel_missing", already_stored=4)
    said = "\n".join(console.summary(session_report(session), session_progress(session)))
    assert f"Session {session.pk}: 1 of 3 videos stored" in said
    assert "In the archive before: 4 videos." in said
    assert f"Still waiting: 1 video, the first until {timezone.localtime() + timedelta(hours=1):%Y-%m-%d}" in said
    assert f"--resume {session.pk}" in said
    assert "private (1 video): The video is private. Ask its owner" in said
    assert "channel_missing (1 channel)" in said and "youtube.com/@gone" in said


@pytest.mark.django_db
def test_the_summary_says_what_is_held_back_by_whom_and_what_to_do():
    session, paused = make_session(), make_channel(state="paused")
    for _ in range(2):
        make_video(session=session, channel=paused)
    make_video(session=session, wanted="pause")
    Scan.objects.create(session=session, channel=paused)
    said = list(console.summary(session_report(session), session_progress(session)))
    assert said[1:] == [
        "2 videos are held back: their channel is paused. Go on with `manage.py resume --channel URL`, or under Channels in the admin.",
        "1 video is held back: staff paused it. Go on with `manage.py resume --video ID`, or under Videos in the admin.",
        "1 channel is not listed: it is paused. Go on with `manage.py resume --channel URL`, or under Channels in the admin.",
        "Requests to YouTube this hour: 0 of 900; the breaker is closed.",
    ]
    assert "3 held back" in console.headline(session_progress(session))
    assert session_report(session)["totals"]["held_back"] == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "reason", "sentence"),
    [
        ("paused", "Too hot.", "The session is paused. Too hot."),
        ("cancelled", "Not wanted.", "The session was cancelled. Not wanted."),
        ("cancelled", "", "The session was cancelled."),
    ],
)
def test_the_summary_says_that_staff_stopped_the_session_and_why(state, reason, sentence):
    session = make_session(state=state, state_reason=reason)
    assert sentence in list(console.summary(session_report(session), session_progress(session)))


def test_a_finding_that_is_not_good_comes_with_its_fix():
    assert list(console.finding_lines([Finding("clock", "fine"), Finding("ffmpeg", "none", "Install it.")])) == [
        "ok   clock: fine",
        "FIX  ffmpeg: none",
        "     Install it.",
    ]


def test_a_refused_row_is_one_sentence_with_place_value_and_remedy():
    line = console.problem_line({"source": "a.csv", "row": 3, "value": "x", "message": "Not a channel."})
    assert line == "a.csv, row 3: [x] Not a channel."


def test_a_note_is_called_so():
    problem = {"source": "a.csv", "row": None, "value": "Shoe size", "message": "Not read.", "is_note": True}
    assert console.problem_line(problem) == "Note: a.csv: [Shoe size] Not read."
