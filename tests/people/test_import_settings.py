"""What a sheet tells its session is shown, complained about and changed before it is confirmed; what is confirmed counts."""

import json
from dataclasses import fields

import pytest

from ingestion.admin.sheet_settings import GROUPS, SheetSettingsForm
from ingestion.models import DownloadSession
from ingestion.options import Options
from people.models import Channel
from tests.people.importing import CONFIRM, confirmation, part, plain, upload
from tests.people.test_admin import sign_in

pytestmark = pytest.mark.django_db

ALL = {
    "quality": "1080p",
    "codec": "vp9",
    "hdr": True,
    "audio_bitrate": 128,
    "container": "mkv",
    "convert": "none",
    "assets": ["thumbnail", "subtitles"],
    "subtitle_languages": ["de", "pt-BR"],
    "automatic_subtitles": False,
    "skip_existing": False,
    "max_concurrent": 3,
    "max_concurrent_channels": 2,
    "max_concurrent_per_channel": 1,
    "max_attempts": 4,
    "limit": 10,
    "retry_failed": True,
    "continue_on_error": False,
}


def envelope(**said) -> bytes:
    return json.dumps({"channels": ["@ann"], "settings": said}).encode()


def options(client, preview, **changed) -> dict:
    """Of the session that is started when the preview is confirmed."""
    response = client.post(CONFIRM, confirmation(preview, **changed))
    session = DownloadSession.objects.get()
    assert response["Location"] == f"/admin/ingestion/downloadsession/{session.pk}/change/"
    return session.options


def test_every_option_of_a_session_is_in_the_form_once():
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(SheetSettingsForm.base_fields) == sorted(field.name for field in fields(Options)) == sorted(ALL)


def test_a_sheet_without_settings_offers_the_defaults_and_gets_them(admin_client):
    preview = upload(admin_client, b"channel\n@ann\n")
    assert "How it will be downloaded: quality 720p." in part(preview, "import-settings")
    assert options(admin_client, preview) == json.loads(json.dumps(Options().as_json()))


def test_the_settings_of_the_envelope_are_shown_and_the_session_gets_them(admin_client):
    preview = upload(admin_client, envelope(**ALL), "a.json")
    shown = part(preview, "import-settings")
    for words in ("quality 1080p", "in de and pt-BR", "at most 10 videos per channel", "stored ones again", "stop at the first failure"):
        assert words in shown
    assert options(admin_client, preview) == ALL


def test_what_is_changed_before_confirming_is_what_the_session_gets(admin_client):
    preview = upload(admin_client, envelope(quality="1080p", limit=10, hdr=True), "a.json")
    got = options(admin_client, preview, quality="480p", limit=None, hdr=False, assets=["info"], subtitle_languages="EN, pt-br")
    changed = {"quality": "480p", "limit": None, "hdr": False, "assets": ["info"], "subtitle_languages": ["en", "pt-BR"]}
    assert {name: got[name] for name in changed} == changed


def test_settings_that_cannot_be_used_are_complained_about_before_anything_is_confirmed(admin_client):
    preview = upload(admin_client, envelope(quality="8k", colour="blue", convert="mp3", container="mkv"), "a.json")
    complaints = plain(part(preview, "import-complaints")).replace("&#x27;", "'")
    assert "Setting 'quality' is '8k' and was passed over; allowed: one of best," in complaints
    assert "Setting 'colour' is unknown" in complaints
    assert "leave out the container mkv" in complaints
    assert '<details class="mb-4" open>' in preview.content.decode()
    got = options(admin_client, preview, quality="360p")
    assert (got["quality"], got["convert"], got["container"]) == ("360p", "none", "mp4")
    problems = DownloadSession.objects.get().problems
    assert [problem["is_note"] for problem in problems] == [True] * 3


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"quality": "8k"}, "Select a valid choice"),
        ({"limit": "0"}, "greater than or equal to 1"),
        ({"limit": "many"}, "Enter a whole number"),
        ({"audio_bitrate": "5"}, "greater than or equal to 16"),
        ({"assets": ["film"]}, "Select a valid choice"),
        ({"subtitle_languages": "Deutsch!"}, "Deutsch!: not a language"),
        ({"subtitle_languages": ","}, "Name a language such as en"),
        ({"convert": "mp3", "container": "webm"}, "a file of its own kind: change “Convert to” or “Kind of file”."),
        ({"codec": "h264", "container": "webm"}, "cannot hold H.264: change “Packing of the picture” or “Kind of file”."),
        ({"convert": "hevc", "quality": "audio"}, "converted to H.265: change “Convert to” or “Quality”."),
        ({"convert": "h264", "hdr": True}, "HDR is lost in H.264: change “Convert to” or “Prefer HDR”."),
    ],
)
def test_settings_that_cannot_be_used_are_asked_for_again_and_nothing_is_imported(admin_client, changed, sentence):
    preview = upload(admin_client, envelope(), "a.json")
    again = admin_client.post(CONFIRM, confirmation(preview, **changed))
    page = again.content.decode()
    assert again.status_code == 200
    assert sentence in page
    assert "nothing was imported yet" in page
    assert not Channel.objects.exists()
    name, value = next((name, value) for name, value in changed.items())
    assert again.context["settings_form"][name].value() == value
    assert options(admin_client, preview)["quality"] == "720p"


def test_a_confirmation_without_its_settings_starts_nothing(admin_client):
    data = confirmation(upload(admin_client, envelope(), "a.json"))
    assert admin_client.post(CONFIRM, {"upload": data["upload"]}).status_code == 200
    assert not DownloadSession.objects.exists()


def test_an_endless_setting_is_shown_by_its_beginning_and_many_are_counted(admin_client):
    said = {"quality": "x" * 100_000} | {f"name{number}": 1 for number in range(1000)}
    preview = upload(admin_client, envelope(**said), "a.json")
    assert "951 more of the kind." in part(preview, "import-complaints")
    assert len(preview.content) < 200_000


def test_a_site_without_a_form_for_settings_hands_them_on_as_they_are(client, settings):
    settings.SHEET_SETTINGS_FORM = None
    settings.AFTER_ENROLMENT = f"{__name__}.remember"
    sign_in(client, "import_person", "view_person")
    preview = upload(client, envelope(quality="8k"), "a.json")
    client.post(CONFIRM, {"upload": str(preview.context["upload"].pk)})
    assert calls == [{"quality": "8k"}]


calls: list[dict] = []


def remember(*, settings, **kwargs) -> None:
    calls.append(settings)
