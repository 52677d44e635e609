"""What a sheet tells its session, shown to staff before they confirm it, and theirs to change."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from ingestion.options import (
    ASSETS,
    AUDIO_BITRATES,
    CODECS,
    CONTAINERS,
    CONVERSIONS,
    QUALITIES,
    SOUND_CONVERSIONS,
    Options,
    asset_names,
    conflicts,
    language_codes,
    read_options,
)

LARGEST_COUNT = 1_000_000
WORDS = {
    "best": "The best there is",
    "audio": "Sound only",
    "2160p": "2160p (4K)",
    "auto": "What plays best",
    "none": "Leave as it is",
    "info": "Information (JSON)",
    "nfo": "NFO, for media players",
    "transcript": "Transcript (text)",
    **{name: f"{name} (sound only)" for name in SOUND_CONVERSIONS},
    "h264": "H.264",
    "hevc": "H.265",
    "vp9": "VP9",
    "av1": "AV1",
}
GROUPS = {
    "What is stored": ("quality", "assets", "subtitle_languages", "automatic_subtitles", "limit"),
    "The kind of file": ("container", "convert", "codec", "audio_bitrate", "hdr"),
    "What was met before, and failures": ("skip_existing", "retry_failed", "continue_on_error", "max_attempts"),
    "How much at the same time": ("max_concurrent", "max_concurrent_channels", "max_concurrent_per_channel"),
}


def _choice(label: str, names: tuple[str, ...], help_text: str) -> forms.ChoiceField:
    choices = [(name, WORDS.get(name, name)) for name in names]
    return forms.ChoiceField(label=label, choices=choices, help_text=help_text, widget=UnfoldAdminSelectWidget)


def _flag(label: str, help_text: str = "") -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, help_text=help_text, widget=UnfoldBooleanWidget)


def _count(label: str, help_text: str, *, least: int = 1, most: int = LARGEST_COUNT) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, required=False, min_value=least, max_value=most, help_text=help_text, widget=UnfoldAdminIntegerFieldWidget
    )


class SheetSettingsForm(forms.Form):
    """Begins with what the sheet says, and the defaults where it says nothing. See `people.confirmation.make_settings_form`."""

    quality = _choice("Quality", QUALITIES, "The best picture up to this height.")
    assets = forms.MultipleChoiceField(
        label="Stored beside each video",
        choices=[(name, WORDS.get(name, name.capitalize())) for name in ASSETS],
        required=False,
        help_text="Small files that are kept with each video.",
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    subtitle_languages = forms.CharField(
        label="Languages of subtitles",
        max_length=10_000,
        help_text="Codes such as en or pt-BR, with commas between them, or all. Of no effect without subtitles or transcript.",
        widget=UnfoldAdminTextInputWidget,
    )
    automatic_subtitles = _flag("Take automatic subtitles", "What YouTube heard, where nobody wrote subtitles.")
    limit = _count("Videos of each channel", "The most that are taken. Blank: all.")
    container = _choice("Kind of file", CONTAINERS, "mp4 plays nearly everywhere.")
    convert = _choice(
        "Convert to", CONVERSIONS, "Into what else than YouTube gives. Another kind of picture takes many times the computing time."
    )
    codec = _choice(
        "Packing of the picture", CODECS, "Taken where YouTube has the choice. H.264 plays everywhere, the others take less room."
    )
    audio_bitrate = _count(
        "Best sound, in kbit/s",
        "No better than this; 128 is good. Blank: the best there is.",
        least=AUDIO_BITRATES[0],
        most=AUDIO_BITRATES[1],
    )
    hdr = _flag("Prefer HDR", "Brighter colours, for screens that can show them.")
    skip_existing = _flag("Leave out videos that are stored", "Not ticked: they are downloaded and stored again.")
    retry_failed = _flag("Try again what failed earlier", "Failed and unavailable videos of these channels.")
    continue_on_error = _flag("Go on after a failure", "Not ticked: the session pauses at the first one.")
    max_attempts = _count("Attempts at each video", "Before it counts as failed. Blank: as the limits say.")
    max_concurrent = _count("Videos at the same time", "Of all these channels together. Blank: as the limits say.")
    max_concurrent_channels = _count("Channels at the same time", "Blank: as the limits say.")
    max_concurrent_per_channel = _count("Videos of one channel at the same time", "Blank: as channel and limits say.")

    def __init__(self, data: Any = None, *, said: Mapping[str, Any]):
        usable, self.complaints = read_options(said)
        self._options = replace(Options(), **usable)
        languages = ", ".join(self._options.subtitle_languages)
        super().__init__(data, prefix="settings", initial=self._options.as_json() | {"subtitle_languages": languages})

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(title, [self[name] for name in names]) for title, names in GROUPS.items()]

    @property
    def in_words(self) -> str:
        """What the sheet says; not what was changed since."""
        return self._options.in_words()

    @property
    def settings(self) -> dict[str, Any]:
        """Of a valid form: all options by their names."""
        return Options.of(self.cleaned_data).as_json()

    def clean_assets(self) -> tuple[str, ...]:
        return asset_names(self.cleaned_data["assets"])

    def clean_subtitle_languages(self) -> tuple[str, ...]:
        try:
            return language_codes(self.cleaned_data["subtitle_languages"])
        except ValueError as exc:
            sentence = str(exc)
            raise forms.ValidationError(f"{sentence[:1].upper()}{sentence[1:]}.") from exc

    def clean(self) -> dict[str, Any]:
        for conflict in conflicts(Options.of(self.cleaned_data), WORDS):
            first, second = conflict.names
            sentence = f"{conflict.why}: change “{self[first].label}” or “{self[second].label}”."
            self.add_error(first if first in self.cleaned_data else None, sentence)
        return self.cleaned_data
