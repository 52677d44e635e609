"""Pages that stand for others: not allowed, not there, out of date, broken. Readable, with a way back."""

import io
import logging

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse

from massdl_site import refusals
from tests.pages import staff_with

OVERVIEW = f'href="{reverse("admin:index")}"'

pytestmark = pytest.mark.django_db


def words(response) -> str:
    return " ".join(response.text.split())


def test_staff_without_the_right_are_told_so_and_who_they_are(client):
    client.force_login(staff_with("view_person"))
    response = client.get(reverse("admin:videos_video_changelist"))
    assert response.status_code == 403
    assert "Your account has no right to this page" in words(response) and "You are signed in as somebody." in words(response)
    assert OVERVIEW in response.text and 'id="nav-sidebar"' in response.text


@pytest.fixture
def logged(monkeypatch):
    """What the process says as it goes."""
    [console] = [handler for handler in logging.getLogger().handlers if handler.name == "console"]
    monkeypatch.setattr(console, "stream", io.StringIO())
    return console.stream.getvalue


def test_a_refusal_is_a_line_in_the_log(client, logged):
    client.force_login(staff_with("view_person"))
    client.get(reverse("admin:videos_video_changelist"))
    client.get(reverse("admin:index"), headers={"host": "elsewhere.example"})
    forbidden, elsewhere = logged().splitlines()
    assert forbidden.endswith("WARNING django.request: Forbidden (Permission denied): /admin/videos/video/")
    assert "Invalid HTTP_HOST header: 'elsewhere.example'" in elsewhere


def test_a_fault_of_ours_is_logged_with_where_it_was(admin_client, logged, monkeypatch):
    admin_client.raise_request_exception = False
    monkeypatch.setattr("ingestion.dashboard.look", lambda **_: 1 / 0)
    admin_client.get(reverse("admin:index"))
    assert "Internal Server Error: /admin/" in logged() and "Traceback" in logged() and "ZeroDivisionError" in logged()


def test_what_is_not_there_is_said_in_the_looks_of_the_admin(admin_client):
    response = admin_client.get("/admin/nowhere/")
    assert response.status_code == 404
    assert "The address may have been mistyped" in words(response) and OVERVIEW in response.text
    assert 'id="nav-sidebar"' in response.text


def test_a_stranger_is_shown_no_menu(client):
    response = client.get("/nowhere/")
    assert response.status_code == 404
    assert "There is no such page" in words(response) and OVERVIEW in response.text
    assert 'id="nav-sidebar"' not in response.text and "signed in as" not in response.text


def test_a_form_from_before_the_last_sign_in_is_refused_with_what_to_do():
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))
    response = client.post(reverse("admin:people_person_import"))
    assert response.status_code == 403
    assert "load the page again" in words(response) and "CSRF" not in response.text


def test_a_fault_of_ours_is_admitted(admin_client, monkeypatch):
    admin_client.raise_request_exception = False
    monkeypatch.setattr("ingestion.dashboard.look", lambda **_: 1 / 0)
    response = admin_client.get(reverse("admin:index"))
    assert response.status_code == 500
    assert "It is not your fault." in words(response) and OVERVIEW in response.text
    assert "ZeroDivisionError" not in response.text


def test_a_fault_is_admitted_without_a_question_to_the_database(django_assert_num_queries):
    request = RequestFactory().get("/admin/")
    connection.ensure_connection()
    with django_assert_num_queries(0):
        response = refusals.broken(request)
    assert response.status_code == 500 and "It is not your fault." in response.content.decode()
