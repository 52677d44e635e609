"""The limits in staff's words."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.utils.text import capfirst

from ingestion.models import Limits

FROM_ENVIRONMENT = {
    "requests_per_second": "REQUESTS_PER_SECOND",
    "requests_per_hour": "REQUESTS_PER_HOUR",
    "breaker_seconds": "BREAKER_SECONDS",
    "time_zone": "TIME_ZONE",
}
"""Limits whose blank means a setting."""
HELP_TEXTS = {
    "max_concurrent_channels": "All computers together. More is not always faster: YouTube refuses who asks too much.",
    "max_concurrent_videos_per_channel": "Unless the channel says otherwise on its own page.",
    "scan_batch_size": "Their downloads may begin as soon as they are written down; 500 suits nearly everybody.",
    "max_attempts": "Before it counts as failed. A session may have its own number.",
    "backoff_base_seconds": "It doubles before each further attempt.",
    "backoff_cap_seconds": "No wait between two attempts at a video is longer.",
    "requests_per_second": "To YouTube, of all computers together.",
    "requests_per_hour": "To YouTube, of all computers together, in any sixty minutes.",
    "breaker_seconds": "How long nobody asks YouTube after it refused; twice as long each time in a row.",
    "megabytes_per_second": "Most that one computer downloads, all its videos together.",
    "max_videos_per_day": "Nothing new is begun once so many are stored or under way.",
    "max_gigabytes_per_day": "Nothing new is begun once so much is stored or under way.",
    "rescan_every_hours": "How often channels are looked at for new videos; each may have its own.",
    "time_zone": "Of the download windows and of the day, such as Europe/Berlin.",
}
BLANKS = {
    "requests_per_second": "the grey number, as this installation is set up",
    "requests_per_hour": "what the grey number says",
    "breaker_seconds": "the grey number",
    "megabytes_per_second": "as much as the line gives",
    "max_videos_per_day": "as many as there are",
    "max_gigabytes_per_day": "no end",
    "rescan_every_hours": "only when asked",
    "time_zone": "the grey one",
}
"""What a field means that is left blank."""


class LimitsForm(forms.ModelForm):
    class Meta:
        labels: ClassVar = {
            "max_concurrent_channels": "Channels at the same time",
            "max_concurrent_videos_per_channel": "Videos of one channel at the same time",
            "scan_batch_size": "Videos that a scan writes down at once",
            "max_attempts": "Attempts at a video",
            "backoff_base_seconds": "Wait before the second attempt, in seconds",
            "backoff_cap_seconds": "Longest wait between attempts, in seconds",
            "breaker_seconds": "Pause after a refusal, in seconds",
            "megabytes_per_second": "Megabytes per second",
            "max_videos_per_day": "Videos in a day",
            "max_gigabytes_per_day": "Gigabytes in a day",
            "rescan_every_hours": "Hours between two looks at a channel",
        }
        help_texts: ClassVar = {name: f"{text} Blank: {BLANKS[name]}." if name in BLANKS else text for name, text in HELP_TEXTS.items()}


class TellsBlanks:
    """For the admin of limits: what a blank field means is seen by those who may fill it in and by those who may only look."""

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        """Where a blank field means the environment's value, that value shines through."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name in FROM_ENVIRONMENT:
            field.widget.attrs["placeholder"] = environment_value(db_field.name)
        return field

    def get_form(self, request, obj=None, **kwargs):
        """Who may only look meets no blank field."""
        texts = {} if self.has_change_permission(request, obj) else {"help_texts": HELP_TEXTS}
        return super().get_form(request, obj, **kwargs, **texts)

    def get_fieldsets(self, request, obj=None):
        fieldsets = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            return fieldsets
        return [(title, {**group, "fields": _in_force(group["fields"])}) for title, group in fieldsets]


def environment_value(name: str) -> str:
    return f"{getattr(settings, FROM_ENVIRONMENT[name])}"


def _in_force(fields: Any) -> Any:
    """The same fields; those that may be blank tell what holds."""
    return tuple(map(_in_force, fields)) if isinstance(fields, tuple) else IN_FORCE.get(fields, fields)


def _shown(name: str) -> Callable[[Limits], str]:
    def shown(limits: Limits) -> str:
        if (value := getattr(limits, name)) not in (None, ""):
            return f"{value}"
        return f"{environment_value(name)} (as this installation is set up)" if name in FROM_ENVIRONMENT else capfirst(BLANKS[name])

    shown.__name__ = name  # label and help are found by it
    return shown


IN_FORCE = {name: _shown(name) for name in BLANKS}
