"""Staff sign in with a browser: by hand, by keyboard, badly, too often; and out again."""

import re

import pytest
from django.conf import settings as project
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.conftest import listening, tab_to
from tests.pages import list_of
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(open_house, settings) -> str:
    """Its address; there is one account."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a slow one would only take its time
    User.objects.create_superuser("anna", password="right")
    return open_house


def sign_in(page: Page, password: str) -> None:
    page.get_by_label("Username").fill("anna")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_the_right_password_leads_to_the_page_that_was_asked_for(site, page: Page):
    with listening(page) as complaints:
        page.goto(site + list_of(Video))
        sign_in(page, "wrong")
        expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
        expect(page.get_by_label("Password")).to_have_value("")
        sign_in(page, "right")
        expect(page).to_have_url(site + list_of(Video))
        expect(page.get_by_role("heading", name="Videos")).to_be_visible()
        assert complaints == []


def test_who_signs_out_has_to_sign_in_again(site, page: Page):
    page.goto(site)
    sign_in(page, "right")
    expect(page).to_have_url(site + reverse("admin:index"))
    page.get_by_role("button", name="anna").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in again")).to_be_visible()
    page.goto(site + list_of(Video))
    expect(page).to_have_url(re.compile(re.escape(reverse("admin:login"))))


def test_who_tries_too_often_is_told_how_long_to_wait(site, page: Page):
    page.goto(site)
    for _ in range(project.AXES_FAILURE_LIMIT - 1):
        sign_in(page, "wrong")
        expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("Wait 15 minutes, then sign in")
    page.get_by_role("link", name="Back to signing in").click()
    sign_in(page, "right")
    expect(page.get_by_role("alert")).to_contain_text("Wait 15 minutes, then sign in")


def test_a_keyboard_is_enough(site, page: Page):
    page.goto(site)
    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type("anna")
    tab_to(page, page.get_by_label("Password"), most=1)
    page.keyboard.type("right")
    page.keyboard.press("Enter")
    expect(page).to_have_url(site + reverse("admin:index"))
    tab_to(page, page.get_by_role("button", name="anna"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Light")).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Log out"), most=4)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Log in again")).to_be_visible()
