"""Operations in the admin: the question, with and without scripts, the page of each, and who may do what."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ingestion.models import DownloadSession, Operation
from ingestion.operations import ask, begin, find_verb, next_piece, work_piece
from tests.factories import make_operation, make_session, make_video
from tests.pages import choose, list_of, page_of, said, staff_with
from videos.models import Video

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}
LIST = list_of(Video)


def send(client, rows, action: str = "retry", *, query: str = "", across: int = 0, **headers: str):
    data = {"action": action, "_selected_action": [row.pk for row in rows], "select_across": across, "index": 0}
    return client.post(LIST + query, data, headers=headers)


def step(name: str, operation: Operation) -> str:
    return reverse(f"admin:ingestion_operation_{name}", args=[operation.pk])


def statuses() -> list[str]:
    return list(Video.objects.order_by("pk").values_list("status", flat=True))


@pytest.fixture
def failed() -> list[Video]:
    return [make_video(status="failed") for _ in range(3)]


@pytest.fixture
def pieces_of_two(monkeypatch):
    monkeypatch.setattr("ingestion.operations.PIECE", 2)
    monkeypatch.setattr("ingestion.operations.verb.PIECE", 2)


# --- the question


def test_a_script_is_told_what_to_ask_with_the_exact_number_and_nothing_is_done(admin_client, failed):
    make_video(status="stored")
    answer = send(admin_client, failed[:1], across=1, **JSON).json()
    operation = Operation.objects.get()
    assert (answer["title"], answer["yes"], answer["begin"]) == ("Retry 3 videos?", "Retry", step("begin", operation))
    assert "Of the 4 chosen 1 is left alone: it did not fail." in answer["text"]
    assert statuses() == ["failed"] * 3 + ["stored"]


def test_all_matching_are_those_of_the_filter(admin_client, failed):
    make_video(status="failed", title="Poetry")
    assert send(admin_client, failed[:1], query="?q=poetry", across=1, **JSON).json()["title"] == "Retry 1 video?"


def test_where_there_is_nothing_to_do_it_says_so_and_offers_nothing(admin_client):
    video = make_video(status="stored")
    sentence = "No video will be tried again. 1 left alone: it did not fail."
    assert send(admin_client, [video], **JSON).json() == {"title": "Nothing to do", "text": sentence}
    assert said(send(admin_client, [video])) == [sentence]


def test_without_scripts_the_question_is_a_page_with_a_way_back(admin_client, failed):
    response = send(admin_client, failed)
    operation = Operation.objects.get()
    assert response.url == page_of(operation)
    page = admin_client.get(response.url)
    assert "Retry 3 videos?" in page.text and f'action="{step("begin", operation)}"' in page.text and f'href="{LIST}"' in page.text
    assert statuses() == ["failed"] * 3


def test_a_yes_does_it_and_leads_back_to_the_list_as_it_was(admin_client, failed):
    response = choose(admin_client, "retry", failed, query="?status__exact=failed")
    assert (response.url, said(response)) == (f"{LIST}?status__exact=failed", ["3 videos will be tried again."])
    assert statuses() == ["pending"] * 3


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org", "javascript:alert(1)", ""])
def test_nobody_is_led_elsewhere(admin_client, failed, elsewhere):
    send(admin_client, failed)
    operation = Operation.objects.get()
    assert admin_client.post(step("begin", operation), {"next": elsewhere}).url == page_of(operation)


def test_a_double_click_does_it_once(admin_client, failed):
    send(admin_client, failed)
    operation = Operation.objects.get()
    admin_client.post(step("begin", operation))
    Video.objects.update(status="failed", error_kind="network")
    again = admin_client.post(step("begin", operation))
    assert said(again)[-1] == "This was begun before; nothing was done a second time."
    assert statuses() == ["failed"] * 3


# --- the page


def test_a_large_one_shows_how_far_it_is(admin_client, failed, pieces_of_two):
    response = choose(admin_client, "retry", failed)
    operation = Operation.objects.get()
    assert response.url == page_of(operation)
    assert said(response) == ["Under way in the background: Retry: 3 videos."]
    work_piece(next_piece())
    values = admin_client.get(step("live", operation)).json()
    assert (values["state"], values["percent"], values["how_far"]) == ("running", 67, "2 of 3 videos")
    assert values["waits"].startswith("No worker is running")
    page = admin_client.get(page_of(operation)).text
    assert "2 of 3 videos" in page and f'action="{step("stop", operation)}"' in page and f'action="{step("undo", operation)}"' not in page


def test_it_is_stopped_and_undone_from_its_page(admin_client, failed, pieces_of_two):
    choose(admin_client, "retry", failed)
    operation = Operation.objects.get()
    work_piece(next_piece())
    assert said(admin_client.post(step("stop", operation)))[-1] == "Stopped. What was done already stays so."
    assert said(admin_client.post(step("stop", operation)))[-1] == "It was over already."
    page = admin_client.get(page_of(operation)).text
    assert "2 videos will be put back as before" in page
    assert said(admin_client.post(step("undo", operation)))[-1] == "It is being undone."
    work_piece(next_piece())
    assert statuses() == ["failed"] * 3
    assert "2 videos put back as before." in admin_client.get(page_of(operation)).text
    assert said(admin_client.post(step("undo", operation)))[-1] == "This cannot be undone (any more)."


def test_what_was_found_is_shown_with_links_and_escaped(admin_client):
    video = make_video(status="stored")
    note = {"model": "videos.video", "pk": video.pk, "text": "The video: <b>size</b> is 1."}
    operation = make_operation(verb="verify", state="done", total=1, chosen=1, handled=1, changed=1, notes=[note])
    page = admin_client.get(page_of(operation)).text
    assert "&lt;b&gt;size&lt;/b&gt;" in page and f'href="{page_of(video)}"' in page


def test_one_of_a_release_that_knew_other_verbs_is_shown(admin_client):
    operation = make_operation(verb="polish", state="done", total=1, chosen=1)
    assert "polish: 1 video" in admin_client.get(page_of(operation)).text
    assert "polish" in admin_client.get(list_of(Operation)).text


def test_one_that_is_gone_is_a_page_that_says_so(admin_client):
    assert admin_client.get(reverse("admin:ingestion_operation_live", args=[4711])).status_code == 404


def test_the_list_shows_what_was_begun_only(admin_client, failed):
    choose(admin_client, "retry", failed)
    make_operation(total=5)
    page = admin_client.get(list_of(Operation))
    assert [row.total for row in page.context["cl"].result_list] == [3]
    assert "3 videos will be tried again." in page.text


def test_list_and_page_cost_the_same_for_any_number(admin_client, failed):
    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(address).status_code == 200
        return len(captured)

    choose(admin_client, "retry", failed)
    operation = Operation.objects.get()
    admin_client.get(list_of(Operation))  # which shows the messages
    few = queries(list_of(Operation)), queries(page_of(operation))
    for _ in range(5):
        make_operation(state="done", total=2, chosen=2, handled=2, created_by=operation.created_by)
    assert (queries(list_of(Operation)), queries(page_of(operation))) == few
    assert max(few) <= 10


# --- who may


def test_a_question_is_answered_by_who_was_asked_and_the_record_names_who_did_what(admin_client, client, failed, pieces_of_two):
    send(admin_client, failed)
    operation = Operation.objects.get()
    client.force_login(staff_with("view_operation", "view_video", "change_video"))
    assert client.post(step("begin", operation)).status_code == 403
    assert f'action="{step("begin", operation)}"' not in client.get(page_of(operation)).text
    admin_client.post(step("begin", operation))
    work_piece(next_piece())
    client.post(step("stop", operation))
    client.post(step("undo", operation))
    operation.refresh_from_db()
    assert (operation.created_by.username, operation.stopped_by.username, operation.undone_by.username) == ("admin", "somebody", "somebody")
    assert "undone by" in client.get(page_of(operation)).text.lower()


def test_operations_are_filtered_by_who_asked(admin_client, client, failed):
    choose(admin_client, "retry", failed)
    client.force_login(staff_with("view_operation"))
    asker = Operation.objects.get().created_by
    page = client.get(list_of(Operation))
    assert f'value="{asker.pk}"' in page.text
    assert len(client.get(list_of(Operation), {"asked_by": asker.pk}).context["cl"].result_list) == 1
    assert len(client.get(list_of(Operation), {"asked_by": "nonsense"}).context["cl"].result_list) == 1


STEPS = ("begin", "stop", "undo")


@pytest.mark.parametrize("name", STEPS)
def test_who_may_not_do_it_may_neither_begin_nor_stop_nor_undo_it(client, failed, name):
    operation = ask(find_verb(Video, "retry"), Video.objects.all(), None)
    if name != "begin":
        begin(operation)
    before = statuses()
    client.force_login(staff_with("view_operation", "view_video"))
    assert client.post(step(name, operation)).status_code == 403
    page = client.get(page_of(operation)).text
    assert all(f'action="{step(one, operation)}"' not in page for one in STEPS)
    assert statuses() == before


def test_giving_up_the_videos_of_a_session_takes_the_permission_for_videos(client):
    session = make_session()
    operation = ask(find_verb(DownloadSession, "cancel"), DownloadSession.objects.all(), None)
    client.force_login(staff_with("view_operation", "view_downloadsession", "change_downloadsession"))
    assert client.post(step("begin", operation)).status_code == 403
    session.refresh_from_db()
    assert session.state == "running"


@pytest.mark.parametrize("name", STEPS)
def test_a_link_changes_nothing(admin_client, failed, name):
    operation = ask(find_verb(Video, "retry"), Video.objects.all(), None)
    assert admin_client.get(step(name, operation)).status_code == 405
    assert statuses() == ["failed"] * 3
