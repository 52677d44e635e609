"""Signing in: how often it may fail, for whom it closes, when it opens again, and what the session is like."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.utils import timezone

from massdl_site.signing_in import address_of

ROOT = Path(__file__).resolve().parents[1]
LOGIN = "/admin/login/"
SENTENCE = "There were too many attempts with this user name from this computer or network. Wait 15 minutes, then sign in"

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna(settings) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a slow one would only take its time
    return User.objects.create_user("anna", password="right", is_staff=True)


def sign_in(name: str, password: str, *, address: str = "192.0.2.1", client: Client | None = None, **headers):
    data = {"username": name, "password": password, "next": "/admin/"}
    return (client or Client()).post(LOGIN, data, REMOTE_ADDR=address, headers=headers)


def fail(name: str, *, times: int = settings.AXES_FAILURE_LIMIT, **over) -> None:
    for _ in range(times):
        sign_in(name, "wrong", **over)


def words(response) -> str:
    return " ".join(response.text.split())


def test_after_five_failures_even_the_right_password_waits(anna):
    fail("anna", times=4)
    response = sign_in("anna", "wrong")
    assert response.status_code == 429 and SENTENCE in words(response)
    response = sign_in("anna", "right")
    assert response.status_code == 429 and SENTENCE in words(response)
    assert response["Retry-After"] == "900" and not response.wsgi_request.user.is_authenticated


def test_a_name_that_nobody_has_is_told_the_same(anna):
    fail("anna")
    fail("nobody")
    assert words(sign_in("anna", "x")).replace("anna", "") == words(sign_in("nobody", "x")).replace("nobody", "")


@pytest.mark.parametrize("length", [151, 256, 100_000])
def test_a_name_longer_than_any_can_be_is_refused_without_a_look(length):
    response = sign_in("n" * length, "x")
    assert response.status_code == 200 and "at most 150 characters" in words(response)
    assert not AccessAttempt.objects.exists()


def test_the_same_user_signs_in_from_elsewhere_and_others_from_the_same_place(anna):
    User.objects.create_user("ben", password="right", is_staff=True)
    fail("anna")
    assert sign_in("anna", "right", address="192.0.2.2").status_code == 302
    assert sign_in("ben", "right").status_code == 302
    assert sign_in("anna", "right").status_code == 429, "who signed in elsewhere opened nothing for the first place"


def test_another_browser_at_the_same_place_does_not_begin_anew(anna):
    for number in range(settings.AXES_FAILURE_LIMIT):
        sign_in("anna", "wrong", user_agent=f"Browser {number}")
    assert sign_in("anna", "right", user_agent="Another").status_code == 429


def test_a_success_forgets_the_failures_before_it(anna):
    fail("anna", times=4)
    assert sign_in("anna", "right").status_code == 302
    fail("anna", times=4)
    assert sign_in("anna", "right").status_code == 302


def test_it_opens_again_by_itself_however_often_it_was_tried_meanwhile(anna):
    fail("anna", times=20)
    assert AccessAttempt.objects.get().failures_since_start == settings.AXES_FAILURE_LIMIT
    AccessAttempt.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME - timedelta(seconds=1))
    assert sign_in("anna", "right").status_code == 302


def test_passwords_are_not_kept(anna):
    sign_in("anna", "a secret that was mistyped")
    assert not [value for value in AccessAttempt.objects.values_list().get() if "mistyped" in str(value)]


FORWARDED = "203.0.113.9, 198.51.100.7"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, FORWARDED, "192.0.2.1"),
        (1, FORWARDED, "198.51.100.7"),
        (2, FORWARDED, "203.0.113.9"),
        (2, f"10.9.9.9, {FORWARDED}", "203.0.113.9"),
        (3, FORWARDED, "203.0.113.9"),
        (1, "", "192.0.2.1"),
        (1, "made up", "192.0.2.1"),
        (1, "2001:db8:0::1", "2001:db8::1"),
    ],
)
def test_the_address_is_the_one_that_our_own_proxies_saw(settings, proxies, forwarded, address):
    settings.PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert address_of(request) == address


def test_a_connection_without_an_address_has_none(settings):
    assert address_of(RequestFactory().get("/", REMOTE_ADDR="")) is None


def test_behind_a_proxy_made_up_addresses_help_nobody(anna, settings):
    settings.PROXIES = 1
    for number in range(settings.AXES_FAILURE_LIMIT):
        sign_in("anna", "wrong", x_forwarded_for=f"203.0.113.{number}, 198.51.100.7")
    assert sign_in("anna", "right", x_forwarded_for="203.0.113.99, 198.51.100.7").status_code == 429
    assert sign_in("anna", "right", x_forwarded_for="198.51.100.8").status_code == 302


def test_a_session_ends_after_a_day_at_work_and_is_out_of_the_reach_of_scripts(anna):
    cookie = sign_in("anna", "right").cookies["sessionid"]
    assert (cookie["max-age"], cookie["httponly"], cookie["samesite"]) == (12 * 3600, True, "Lax")


# --- production


def production() -> dict[str, str]:
    """The variables that the README sets "In earnest"; what stands there as dots gets a value."""
    chapter = (ROOT / "README.md").read_text(encoding="utf-8").split("## In earnest", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in chapter.splitlines() if line.startswith("$ export ")]
    pairs = [pair.split("=", 1) for line in lines for pair in re.findall(r"\w+=\S+", line)]
    return {name: value.replace("...", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") for name, value in pairs}


def run(code: list[str], tmp_path: Path, **over: str) -> subprocess.CompletedProcess:
    environment = {"PATH": "/nonexistent", "MASSDL_VAR_DIR": str(tmp_path), **production(), **over}
    return subprocess.run([sys.executable, *code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_djangos_own_check_finds_nothing_to_mend_in_production(tmp_path):
    result = run(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], tmp_path)
    assert (result.returncode, result.stdout) == (0, "System check identified no issues (0 silenced).\n"), result.stderr


def test_djangos_check_can_fail(tmp_path):
    result = run(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], tmp_path, MASSDL_HTTPS="false")
    assert result.returncode == 1 and "SESSION_COOKIE_SECURE" in result.stderr


PRINTED = "from django.conf import settings as s; print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.DEMO, *s.BUCKET_SOURCES)"


def test_production_has_secure_cookies_no_demo_and_one_bucket(tmp_path):
    result = run(["-c", PRINTED], tmp_path, DJANGO_SETTINGS_MODULE="massdl_site.settings")
    assert result.stdout == "True True False https://s3.example.org/archive/\n", result.stderr
