import pytest
from django.db import connection

from ingestion import unknowns
from ingestion.models import Attempt
from ingestion.unknowns import fault_of, frequent_unknown_scans, frequent_unknowns, group_lines
from tests.factories import make_attempt, make_scan, make_video


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("Something YouTube thought of yesterday", "Something YouTube thought of yesterday"),
        ("", ""),
        ("dQw4w9WgXcQ: nothing in it", "<id>: nothing in it"),
        ("Video 9bZkp7q19f0 and -_abcDEF-G1 differ", "Video <id> and <id> differ"),
        ("channel UCuAXFkgsw1L7xaCfnd5JJOw is odd", "channel <id> is odd"),
        ("request 1b4e28ba-2fa1-11d2-883f-0016d3cca427 failed", "request <id> failed"),
        ("<Response object at 0x7f3a>", "<Response object at <id>>"),
        ("after 12 of 3,400 tries in 0.35 s", "after # of # tries in # s"),
        ("at 12:30:01 on 2026-11-21", "at # on #-#-#"),
        ("format 137+251, itag137", "format #+#, itag#"),
        ("GET https://rr3---sn-x.googlevideo.com/videoplayback?expire=1&sig=A%3D broke", "GET <url> broke"),
        ("HTTP Error 418: I'm a teapot", "HTTP Error 418: I'm a teapot"),
        ("got status 503 after 4 s", "got status 503 after # s"),
        ("RegexNotFoundError: Unable to extract player_response", "RegexNotFoundError: Unable to extract player_response"),
        ("LookupError: 'videoRenderer'", "LookupError: 'videoRenderer'"),
        ("re-extracted, UNPLAYABLE, Postprocessing", "re-extracted, UNPLAYABLE, Postprocessing"),
        ("two  blanks\tand a tab", "two blanks and a tab"),
    ],
)
def test_what_varies_is_left_out_of_a_fault(line, fault):
    assert fault_of(line) == fault


def test_a_fault_is_its_own_fault():
    once = fault_of("dQw4w9WgXcQ: 7 of 9 at https://x.example/1")
    assert fault_of(once) == once


def test_equal_faults_are_one_group_with_its_newest_line():
    found = group_lines([(9, "odd: dQw4w9WgXcQ"), (8, "rare"), (7, "odd: 9bZkp7q19f0")])
    assert [(group.fault, group.count, group.newest, group.newest_line) for group in found] == [
        ("odd: <id>", 2, 9, "odd: dQw4w9WgXcQ"),
        ("rare", 1, 8, "rare"),
    ]


def test_only_the_ten_most_frequent_are_told():
    letters = "abcdefghijkl"
    found = group_lines((number, letter) for number, letter in enumerate(letters + letters[5:]))
    assert [group.fault for group in found] == list("fghijklabc")


@pytest.mark.django_db
def test_the_newest_unknown_attempts_are_counted_and_their_lines_left_as_they_are(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(unknowns, "NEWEST", 3)
    video = make_video()
    for line in ("too old", "fault 1", "fault 2", "fault 3"):
        make_attempt(video=video, outcome="retry", error_kind="unknown", error_message=line)
    make_attempt(video=video, outcome="retry", error_kind="network", error_message="fault 4")
    with django_assert_num_queries(1):
        (group,) = frequent_unknowns()
    assert (group.fault, group.count, group.newest_line) == ("fault #", 3, "fault 3")
    assert Attempt.objects.filter(error_message="fault 2").exists()


@pytest.mark.django_db
def test_unknown_errors_of_scans_are_counted_beside_those_of_attempts(django_assert_num_queries):
    make_attempt(outcome="retry", error_kind="unknown", error_message="of a video")
    for state, line in (("failed", "tab 1 is odd"), ("pending", "tab 2 is odd")):
        newest = make_scan(state=state, error_kind="unknown", error_message=line)
    make_scan(state="failed", error_kind="network", error_message="tab 3 is odd")
    with django_assert_num_queries(1):
        (group,) = frequent_unknown_scans()
    assert (group.fault, group.count, group.newest, group.newest_line) == ("tab # is odd", 2, newest.pk, "tab 2 is odd")
    assert [group.fault for group in frequent_unknowns()] == ["of a video"]


@pytest.mark.django_db
def test_counting_unknown_errors_reads_an_index_and_sorts_nothing():
    video = make_video()
    for number in range(100):
        make_attempt(video=video, number=number + 1, outcome="retry", error_kind="network")
    newest = Attempt.objects.filter(error_kind="unknown").order_by("-id").values_list("pk", "error_message")[:1000]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ingestion_attempt")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    plan = newest.explain()
    assert "attempt_error_kind" in plan and "Sort" not in plan
