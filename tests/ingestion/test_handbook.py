"""One taxonomy: the table in the code, the page of the documentation and the page of the admin."""

import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ingestion import handbook
from ingestion.errors import KINDS, TREATMENTS, ArchiveError, Kind, PermanentError, advice_for, fix_for
from ingestion.leases.reaping import MOST_LOSSES
from ingestion.models import Limits
from ingestion.retries import DEFERRED_LOOK
from massdl_site.env import VARIABLES
from massdl_site.unfold import UNFOLD
from tests.factories import make_attempt, make_scan, make_video
from videos.models import Video

ROOT = Path(__file__).resolve().parents[2]
ERRORS = "/admin/errors/"


def test_the_page_of_the_documentation_is_what_the_table_says():
    command = [sys.executable, "-m", "ingestion.handbook", "--check"]
    result = subprocess.run(command, cwd=ROOT, env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_every_kind_stands_on_the_page_with_its_class_its_meaning_and_its_advice():
    rows = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").splitlines()
    for kind in KINDS.values():
        assert f'| <a id="{kind.slug}"></a>`{kind.slug}` | {kind.type.treatment} | {kind.meaning} | {kind.advice} |' in rows


def test_a_page_that_is_out_of_date_is_named_and_written(monkeypatch, tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    page = Path(shutil.copy(ROOT / "docs" / "errors.md", tmp_path / "docs"))
    monkeypatch.setitem(KINDS, "new", Kind("new", PermanentError, "It is new | odd.", "Look."))
    assert handbook.main(["--check"], tmp_path) == 1
    assert "docs/errors.md is out of date: run `make docs`." in capsys.readouterr().err
    assert handbook.main([], tmp_path) == 0
    assert '| <a id="new"></a>`new` | permanent | It is new \\| odd. | Look. |' in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").startswith("# What errors mean\n\nFor people on call.")
    assert handbook.main(["--check"], tmp_path) == 0


def test_every_class_of_errors_has_its_words():
    assert {cls.treatment for cls in ArchiveError.__subclasses__()} == set(TREATMENTS)
    assert {kind.type.treatment for kind in KINDS.values()} == set(TREATMENTS)


def test_numbers_that_are_told_in_words_are_those_of_the_code():
    assert "five deaths in a row" in TREATMENTS["transient"].attempts and MOST_LOSSES == 5
    assert "an hour where nobody said when" in TREATMENTS["deferred"].video and timedelta(hours=1) == DEFERRED_LOOK


WORDS = [
    *((kind.slug, f"{kind.meaning} {kind.advice}") for kind in KINDS.values()),
    *((one.slug, " ".join(handbook.treatment_row(one))) for one in TREATMENTS.values()),
    ("docs/errors.md", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")),
]


@pytest.mark.parametrize(("where", "words"), WORDS, ids=[where for where, _ in WORDS])
def test_an_advice_names_only_what_exists(where, words):
    assert set(re.findall(r"\b(?:MASSDL|AWS)_\w+", words)) <= set(VARIABLES)
    fields = {field.verbose_name for field in Limits._meta.get_fields() if hasattr(field, "verbose_name")}
    assert set(re.findall(r"the ([a-z ]+) in Limits", words)) <= fields
    for command, *flags in (call.split() for call in re.findall(r"`manage\.py ([^`]+)`", words)):
        assert command in get_commands(), command
        parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
        assert {flag for flag in flags if flag.startswith("--")} <= set(parser._option_string_actions)


@pytest.mark.parametrize("kind", KINDS)
def test_what_staff_cannot_do_they_are_told_to_ask_for(kind):
    advice = advice_for(kind)
    if re.search(r"[A-Z]+_[A-Z]|manage\.py|yt-dlp|network|scratch|logs?\b", advice):
        assert "whoever runs massdl" in advice


def test_whoever_runs_massdl_is_told_the_same_without_the_asking():
    assert fix_for("members_only") == "Set MASSDL_COOKIES_FILE to the cookies of an account that is a member, then retry."
    assert fix_for("network") == "Retry; if it stays, check the network and the proxy."
    assert [kind for kind in KINDS if "ask whoever" in fix_for(kind).lower() or not fix_for(kind)[0].isupper()] == []


def test_the_admins_page_shows_the_words_of_the_table(admin_client):
    text = admin_client.get(ERRORS).text
    for kind in KINDS.values():
        assert f'id="{kind.slug}"' in text
        assert re.sub("'", "&#x27;", kind.meaning) in text and re.sub("'", "&#x27;", kind.advice) in text
    for treatment in TREATMENTS.values():
        assert treatment.fleet in text and treatment.video in text


def test_the_admins_page_counts_the_videos_of_each_kind_and_links_to_them(admin_client):
    for status in ("failed", "pending"):
        make_video(status=status, error_kind="network")
    make_video()
    text = admin_client.get(ERRORS).text
    link = f"{reverse('admin:videos_video_changelist')}?error_kind=network"
    assert re.search(rf'href="{re.escape(link)}">\s*2\s*</a>', text)
    assert "error_kind=private" not in text
    assert len(admin_client.get(link).context["cl"].result_list) == 2


def test_the_admins_page_costs_the_same_however_much_there_is(admin_client):
    def grow(rows):
        for number in range(rows):
            video = make_video(status="failed", error_kind=list(KINDS)[number])
            make_attempt(video=video, error_kind="unknown", error_message="x" * (number + 1))
            make_scan(state="failed", error_kind="unknown", error_message="x" * (number + 1))

    admin_client.get(ERRORS)
    grow(2)
    with CaptureQueriesContext(connection) as few:
        admin_client.get(ERRORS)
    grow(20)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(ERRORS)
    assert len(few) == len(many)


@pytest.mark.django_db
def test_counting_by_kind_reads_a_partial_index():
    counting = Video.objects.filter(error_kind__gt="").order_by().values("error_kind")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = counting.explain()
    assert "video_error_newest" in plan or "video_session_error" in plan, "both hold nothing but what went wrong"


def test_unknown_faults_are_shown_grouped_with_the_newest_line_as_it_came(admin_client):
    for line in ("odd <b>1</b>", "odd <b>2</b>"):
        newest = make_attempt(error_kind="unknown", error_message=line, outcome="retry")
    text = admin_client.get(ERRORS).text
    assert "odd &lt;b&gt;#&lt;/b&gt;" in text and "odd &lt;b&gt;2&lt;/b&gt;" in text and "odd <b>" not in text
    assert reverse("admin:ingestion_attempt_change", args=[newest.pk]) in text
    assert "unknown scans" not in text


def test_unknown_faults_of_scans_are_shown_too(admin_client):
    scan = make_scan(state="failed", error_kind="unknown", error_message="an odd tab 7")
    text = admin_client.get(ERRORS).text
    assert "an odd tab #" in text and "an odd tab 7" in text and "unknown attempts" not in text
    assert reverse("admin:ingestion_scan_change", args=[scan.pk]) in text


def log_in(client, *codenames):
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    client.force_login(user)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("codenames", "sees_counts", "sees_lines"),
    [
        ((), False, set()),
        (("view_video",), True, set()),
        (("view_attempt",), False, {"an odd line"}),
        (("view_scan",), False, {"an odd tab"}),
    ],
    ids=["nothing more", "videos", "attempts", "scans"],
)
def test_any_staff_may_read_the_words_and_only_some_what_the_rows_say(client, codenames, sees_counts, sees_lines):
    make_attempt(video=make_video(status="failed", error_kind="network"), error_kind="unknown", error_message="an odd line")
    make_scan(state="failed", error_kind="unknown", error_message="an odd tab")
    log_in(client, *codenames)
    text = client.get(ERRORS).text
    assert KINDS["bot_check"].meaning in text
    assert ("error_kind=network" in text) == sees_counts
    assert {line for line in ("an odd line", "an odd tab") if line in text} == sees_lines


@pytest.mark.django_db
def test_who_is_no_staff_is_asked_to_log_in(client):
    assert client.get(ERRORS).url.startswith(reverse("admin:login"))


def test_the_sidebar_leads_to_the_page(admin_client, settings):
    settings.UNFOLD = UNFOLD
    assert f'href="{ERRORS}"' in admin_client.get(reverse("admin:index")).text


def test_what_a_video_failed_of_leads_to_its_row_on_the_page(admin_client):
    video = make_video(status="unavailable", error_kind="members_only")
    assert f'href="{ERRORS}#members_only"' in admin_client.get(reverse("admin:videos_video_change", args=[video.pk])).text
