"""Assets made right after their video, through the local YouTube."""

import json
from xml.etree import ElementTree

import pytest
from django.core.files.storage import FileSystemStorage

from ingestion import audit, budget
from ingestion.models import Budget
from ingestion.options import ASSETS
from ingestion.store import Store
from tests.ingestion.test_assets.conftest import RECOGNISED, WRITTEN
from videos.keys import read_key
from videos.models import Asset

pytestmark = pytest.mark.django_db(transaction=True)


def states(video) -> dict[str, str]:
    return {str(asset): asset.status for asset in video.assets.all()}


@pytest.mark.parametrize("kind", ["folder", "rclone"])
def test_each_asset_is_a_row_and_an_object_beside_the_video_and_takes_no_second_look(kind, worker, request):
    worker.store = request.getfixturevalue(f"{kind}_store")
    video = worker.download(assets=list(ASSETS), subtitle_languages=["en"])
    labels = {asset.storage_key.partition(".")[2]: asset for asset in video.assets.all()}
    assert set(labels) == {"info.json", "thumbnail.jpg", "nfo", "en.vtt", "en.srt", "en.txt"}
    stem = video.storage_key.rpartition(".")[0]
    for asset in labels.values():
        assert (asset.status, asset.attempts, asset.session_id) == ("stored", 1, video.session_id)
        assert asset.storage_key.startswith(f"{stem}.")
        assert read_key(asset.storage_key) == read_key(video.storage_key)
    assert list(audit.differences(worker.store)) == []
    assert (worker.asked("watch"), worker.asked("captions")) == (1, 1)


def test_a_session_that_asks_for_none_has_none(worker):
    video = worker.download()
    assert not video.assets.exists()


def test_every_request_to_youtube_is_paid_for(worker):
    worker.download(assets=["thumbnail", "subtitles"], subtitle_languages=["en", "de"])
    asked = [line for line in worker.twin.log() if line["host"].endswith("youtube.com") and line["method"] != "CONNECT"]
    assert budget.state().used_this_hour == len(asked)
    assert sum(line["kind"] == "captions" for line in asked) == 2


def test_the_info_holds_no_address_that_was_signed_and_no_headers(worker):
    video = worker.download(assets=["info"], subtitle_languages=["en"])
    raw = worker.read(video.assets.get())
    info = json.loads(raw)
    assert (info["id"], info["title"]) == (WRITTEN, video.title)
    assert set(info["subtitles"]) == {"en", "de"}
    assert {"134", "140", "137"} <= {one["format_id"] for one in info["formats"]}
    for secret in (b"googlevideo", b"signature", b"timedtext", b"expire=", b"http_headers", b"User-Agent", b"192.0.2.7", b"cookie"):
        assert secret.lower() not in raw.lower()


def test_the_info_tells_the_same_whenever_it_is_made(worker):
    at_once = worker.download(assets=["info"])
    later = worker.youtube.public_info(worker.youtube.describe(WRITTEN))
    info = json.loads(worker.read(at_once.assets.get()))
    for of_the_moment in ("epoch",):
        assert info.pop(of_the_moment) <= later.pop(of_the_moment)
    for one in (*info["formats"], *later["formats"]):
        one.pop("available_at", None)
    assert info == later
    assert {(one.get("width"), one.get("height")) for one in info["formats"] if one["format_id"] == "134"} == {(640, 360)}


def test_an_error_over_a_picture_names_no_query(worker):
    worker.twin.faults([{"match": "ytimg", "status": 200, "body": "<html>no picture</html>"}])
    described = worker.youtube.describe(WRITTEN)
    described.info["thumbnails"].append({"url": f"https://i.ytimg.com/vi/{WRITTEN}/hq720.jpg?sqp=-oay&rs=AOn4CLA5EC2E7"})
    worker.youtube.describe = lambda external_id: described
    video = worker.download(make_assets=False, assets=["thumbnail"])
    Asset.objects.update(claim_id=None, lease_owner="", lease_expires_at=None)
    worker.work_due()
    assert video.assets.get().error_message == f"i.ytimg.com/vi/{WRITTEN}/hq720.jpg is no picture"


def test_subtitles_are_kept_as_youtube_serves_them_and_for_players(worker):
    video = worker.download(assets=["subtitles"], subtitle_languages=["de"])
    vtt, srt = (video.assets.get(ext=ext) for ext in ("vtt", "srt"))
    assert not vtt.is_automatic
    assert worker.read(vtt).startswith(b"WEBVTT\nKind: captions\nLanguage: de\n")
    said = worker.read(srt).decode()
    assert said.startswith("1\n00:00:00,000 --> 00:00:02,000\nWorte 1 & more\n\n2\n")
    assert "\nWorte 2 [ __ ]\n\n3\n" in said and "\nWorte 3 it's {so} in C:\\new\n" in said and '\nWorte 4 <b> is "bold"\n' in said


@pytest.mark.parametrize("external_id", [WRITTEN, RECOGNISED])
def test_a_transcript_has_each_line_once_whoever_wrote_it(external_id, worker):
    video = worker.download(external_id, assets=["transcript"], subtitle_languages=["en"])
    transcript = video.assets.get()
    lines = worker.read(transcript).decode().splitlines()
    said = ['<b> is "bold"', "& more", "[ __ ]", "it's {so} in C:\\new"]
    assert lines == [f"words {number} {said[number % 4]}" for number in range(1, len(lines) + 1)]
    assert len(lines) == -(-video.duration // 2)
    assert transcript.is_automatic == (external_id == RECOGNISED)


def test_a_language_that_does_not_exist_is_absent_and_no_failure(worker):
    video = worker.download(assets=["subtitles", "transcript"], subtitle_languages=["xx"])
    assert set(states(video).values()) == {"absent"}
    assert worker.asked("captions") == 0 and worker.work_due() == 0


def test_recognised_captions_are_left_alone_when_nobody_wants_them(worker):
    video = worker.download(RECOGNISED, assets=["subtitles"], subtitle_languages=["en"], automatic_subtitles=False)
    assert set(states(video).values()) == {"absent"}


def test_a_translation_is_made_only_of_what_was_asked_for(worker):
    video = worker.download(RECOGNISED, assets=["transcript"], subtitle_languages=["fr"])
    assert worker.read(video.assets.get()).startswith(b"fr 1 & more\n")


@pytest.mark.parametrize(("external_id", "languages"), [(WRITTEN, {"en", "de"}), (RECOGNISED, {"en"})])
def test_all_languages_are_those_that_were_written_or_spoken_never_translations(external_id, languages, worker):
    video = worker.download(external_id, assets=["subtitles"], subtitle_languages=["all"])
    assert states(video).pop("Subtitles all") == "listed"
    stored = video.assets.stored()
    assert {(asset.language, asset.ext) for asset in stored} == {(language, ext) for language in languages for ext in ("vtt", "srt")}


def test_all_languages_of_a_video_without_captions_are_absent(worker):
    video = worker.download("WASLIVE____", assets=["subtitles"], subtitle_languages=["all"])
    assert states(video) == {"Subtitles all": "absent"}


def test_a_media_centre_can_read_the_nfo(worker):
    video = worker.download(assets=["nfo"])
    movie = ElementTree.fromstring(worker.read(video.assets.get()))
    said = {element.tag: element.text for element in movie}
    assert (movie.tag, said["title"], said["premiered"]) == ("movie", video.title, video.upload_date.isoformat())
    assert (said["studio"], said["uniqueid"]) == (video.channel.title, WRITTEN)
    assert movie.find("uniqueid").attrib == {"type": "youtube", "default": "true"}


def test_the_best_picture_that_is_there_is_taken_as_it_is_served(worker):
    worker.twin.faults([{"match": "maxresdefault|hq720", "status": 404}])
    video = worker.download(assets=["thumbnail"])
    assert worker.read(video.assets.get()).startswith(b"\xff\xd8\xff")
    images = [line["path"] for line in worker.twin.log() if line["kind"] == "image" and line["status"] == 200]
    assert images == [f"/vi/{WRITTEN}/sddefault.jpg"]


def test_a_video_without_any_picture_has_none(worker):
    worker.twin.faults([{"match": "ytimg", "status": 404}])
    assert states(worker.download(assets=["thumbnail"])) == {"Thumbnail": "absent"}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 500}, "network"),
        ({"status": 403}, "forbidden"),
        ({"status": 200, "body": "<html>no picture</html>"}, "incomplete"),
        ({"cut": 100}, "network"),
    ],
)
def test_a_picture_that_fails_leaves_the_video_stored_and_waits(fault, kind, worker):
    worker.twin.faults([{"match": "ytimg", **fault}])
    video = worker.download(assets=["thumbnail", "nfo"])
    assert (video.status, video.error_kind) == ("stored", "")
    thumbnail = video.assets.get(kind="thumbnail")
    assert (thumbnail.status, thumbnail.error_kind, thumbnail.attempts) == ("pending", kind, 1)
    assert video.assets.get(kind="nfo").status == "stored"


def test_captions_in_which_nothing_is_said_are_absent(worker):
    worker.twin.faults([{"match": "timedtext", "status": 200, "body": "WEBVTT\nKind: captions\n\n"}])
    video = worker.download(assets=["subtitles", "transcript"], subtitle_languages=["en"])
    assert set(states(video).values()) == {"absent"}


def test_captions_with_cues_that_cannot_be_read_are_kept_and_nothing_is_made_of_them(worker):
    worker.twin.faults([{"match": "timedtext", "status": 200, "body": "WEBVTT\n\nfoo --> bar\nlost\n"}])
    video = worker.download(assets=["subtitles", "transcript"], subtitle_languages=["en"])
    assert dict(video.assets.values_list("ext", "status")) == {"vtt": "stored", "srt": "absent", "txt": "absent"}


@pytest.mark.parametrize("body", ["", "<html>sorry</html>"])
def test_captions_that_are_offered_but_not_served_are_no_captions(body, worker):
    worker.twin.faults([{"match": "timedtext", "status": 200, "body": body}])
    video = worker.download(assets=["subtitles"], subtitle_languages=["en"])
    assert {(asset.status, asset.error_kind) for asset in video.assets.all()} == {("pending", "incomplete")}
    assert worker.asked("captions") == 1


def test_captions_that_are_refused_stop_nothing_and_are_asked_for_once(worker):
    """After a look that was answered; those in another language, and the picture, are stored."""
    worker.twin.faults([{"match": "timedtext.*lang=de", "status": 429}])
    video = worker.download(assets=["subtitles", "thumbnail", "transcript"], subtitle_languages=["en", "de"])
    assert (budget.state().breaker, worker.asked("captions")) == (budget.CLOSED, 2)
    german = video.assets.filter(language="de")
    told = set(german.values_list("status", "error_kind", "attempts", "refusals", "claim_id"))
    assert german.count() == 3 and told == {("pending", "captions_refused", 1, 0, None)}
    assert set(video.assets.exclude(language="de").values_list("status", flat=True)) == {"stored"}


def test_a_refusal_of_the_look_stops_all_requests_and_costs_the_assets_nothing(worker):
    video = worker.download(make_assets=False, assets=["subtitles", "thumbnail"], subtitle_languages=["en"])
    Asset.objects.update(claim_id=None, lease_owner="", lease_expires_at=None, attempts=0)
    worker.twin.faults([{"match": "/youtubei/v1/player", "status": 429}])
    worker.work_due()
    assert Budget.objects.get().open_reason == "rate_limited"
    assert set(video.assets.values_list("status", "attempts", "claim_id")) == {("pending", 0, None)}
    assert sorted(video.assets.values_list("refusals", flat=True)) == [0, 0, 1] and worker.asked("captions") == 0


def test_a_picture_that_is_refused_stops_nothing(worker):
    worker.twin.faults([{"match": "ytimg", "status": 429}])
    video = worker.download(assets=["thumbnail"])
    assert video.assets.values_list("status", "error_kind", "attempts").get() == ("pending", "network", 1)
    assert (budget.state().breaker, worker.asked("image")) == (budget.CLOSED, 1)


def test_no_host_but_youtubes_own_is_ever_asked(worker, monkeypatch):
    described = worker.youtube.describe(WRITTEN)
    strange = {**described.info, "thumbnails": [{"url": "https://example.org/a.jpg"}]}
    worker.twin.clear_log()
    video = worker.download(make_assets=False, assets=["thumbnail"])
    asset = Asset.objects.get()
    monkeypatch.setattr(worker.youtube, "describe", lambda external_id: type(described)(**{**vars(described), "info": strange}))
    Asset.objects.update(claim_id=None, lease_owner="", lease_expires_at=None)
    worker.work_due()
    asset.refresh_from_db()
    assert (asset.status, asset.error_kind) == ("pending", "unknown") and "example.org" in asset.error_message
    assert {line["host"].rpartition(".")[0].rpartition(".")[2] for line in worker.twin.log()} <= {"youtube", "googlevideo"}
    assert video.status == "stored"


def test_a_storage_that_refuses_leaves_the_asset_for_later(worker, tmp_path):
    video = worker.download(make_assets=False, assets=["nfo"])
    Asset.objects.update(claim_id=None, lease_owner="", lease_expires_at=None)
    (tmp_path / "file").write_text("no folder")
    worker.store = Store(FileSystemStorage(tmp_path / "file"))
    worker.work_due()
    asset = video.assets.get()
    assert asset.status == "pending" and asset.error_kind.startswith("storage")
