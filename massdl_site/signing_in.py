"""Signing in: names that can be somebody's, from which address it is tried, and what who failed too often is told."""

import ipaddress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.validators import MaxLengthValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.forms import AuthenticationForm


class SignInForm(AuthenticationForm):
    """Nobody has a longer name than there can be, and none is looked for or noted down as a failure."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        name = self.fields["username"]
        name.validators.append(MaxLengthValidator(name.max_length))


def address_of(request: HttpRequest) -> str | None:
    """The address that the outermost of our proxies saw, else that of the connection; None where there is none.

    Each proxy adds to the right of X-Forwarded-For whom it was asked by: what stands further to the left, anybody may have
    written there.
    """
    seen = [request.META.get("REMOTE_ADDR", "")]
    if settings.PROXIES:
        seen = [*request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")[-settings.PROXIES :], *seen]
    return next(filter(None, map(_address, seen)), None)


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None


def locked_out(request: HttpRequest, credentials: dict[str, Any], *args: Any) -> HttpResponse:
    """Says the same whether the account exists or not. 429: too many requests."""
    minutes = settings.AXES_COOLOFF_TIME // timedelta(minutes=1)
    context = {**admin.site.each_context(request), "title": "Signing in is closed for a while", "minutes": minutes}
    response = render(request, "admin/locked_out.html", context, status=429)
    response["Retry-After"] = str(int(settings.AXES_COOLOFF_TIME.total_seconds()))
    return response
