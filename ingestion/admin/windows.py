"""Download windows, on the page of the limits they belong to."""

from typing import ClassVar

from django import forms
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from ingestion.models import DownloadWindow


class WeekdayBoxes(UnfoldAdminCheckboxSelectMultipleWidget):
    """A checkbox for each weekday, side by side."""

    def get_context(self, name, value, attrs):
        return {**super().get_context(name, value, attrs), "radio_style": 1}


class WindowForm(forms.ModelForm):
    days = forms.TypedMultipleChoiceField(
        choices=[(day.value, day.label[:3]) for day in DownloadWindow.Day],
        coerce=int,
        widget=WeekdayBoxes,
        help_text="On which downloads may begin.",
        error_messages={"required": "Choose at least one weekday."},
    )

    class Meta:
        model = DownloadWindow
        fields = ("days", "opens_at", "closes_at")
        help_texts: ClassVar = {
            "opens_at": "From this time on, in the time zone above. Without any window they may always begin.",
            "closes_at": "Nothing is begun after it; what runs goes on. Earlier than it opens: the next day. The same: open for 24 hours.",
        }


class WindowInline(TabularInline):
    """Its permissions are those of download windows; blank rows are left out."""

    model = DownloadWindow
    form = WindowForm
    fields = ("days", "opens_at", "closes_at")
    extra = 0
    # unfold 0.91 knows the one, later releases warn of it and want the other
    if hasattr(TabularInline, "show_title"):
        show_title = False
    else:
        hide_title = True
