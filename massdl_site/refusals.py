"""The pages that stand for others: not allowed, not there, out of date, broken. In the looks of the admin, with a way back."""

from copy import copy
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

WITH_MENU, ALONE = "admin/base_site.html", "unfold/layouts/unauthenticated.html"


@dataclass(frozen=True)
class Refusal:
    """What happened, and what to do."""

    status: int
    title: str
    sentences: tuple[str, ...]


FORBIDDEN = Refusal(
    403,
    "You may not do this",
    (
        "Your account has no right to this page, or to what you wanted to do on it. Nothing was changed.",
        "If your work needs it, ask an administrator for another role.",
    ),
)
MISSING = Refusal(
    404,
    "There is no such page",
    ("The address may have been mistyped, or what stood here was removed meanwhile.", "You find everything from the overview."),
)
TOO_OLD = Refusal(
    403,
    "This page was out of date",
    (
        "It was opened before you signed in the last time, or your browser keeps no cookies for this site. Nothing was changed.",
        "Go back, load the page again, and repeat what you did.",
    ),
)
TOO_LONG = Refusal(
    503,
    "This took too long",
    (
        "The database had not found it within the time that a page has, and it was given up. What you wanted to do was not done.",
        "Choose narrower filters, or fewer rows. If it goes on for small things, too, tell whoever looks after this site.",
    ),
)
BROKEN = Refusal(
    500,
    "Something went wrong here",
    (
        "It is not your fault. What you did may not have been done: look before you do it again.",
        "If it goes wrong again, tell whoever looks after this site what you did, and when.",
    ),
)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler403."""
    return _show(request, FORBIDDEN)


def missing(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404."""
    return _show(request, MISSING)


def too_old(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: a form without the secret that belongs to it."""
    return _show(request, TOO_OLD)


def too_long(request: HttpRequest) -> HttpResponse:
    """A question to the database was ended; see massdl_site.patience."""
    return _show(request, TOO_LONG)


def broken(request: HttpRequest) -> HttpResponse:
    """Django's handler500. Asks the database nothing, not even who is signed in: it may be what is broken."""
    return _show(_of_a_stranger(request), BROKEN, asked_at=timezone.localtime())


def _of_a_stranger(request: HttpRequest) -> HttpRequest:
    request = copy(request)
    request.user = AnonymousUser()
    return request


def _show(request: HttpRequest, refusal: Refusal, **context: Any) -> HttpResponse:
    """With the menu for staff who are signed in; others learn nothing of the site."""
    if not hasattr(request, "user"):  # refused before anybody looked who asks
        request = _of_a_stranger(request)
    layout = WITH_MENU if admin.site.has_permission(request) else ALONE
    values = {**admin.site.each_context(request), "title": refusal.title, "refusal": refusal, "layout": layout, **context}
    return render(request, "admin/refusal.html", values, status=refusal.status)
