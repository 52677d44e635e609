import threading
from pathlib import Path

import pytest

from demo.youtube_twin import Twin
from ingestion.errors import SetupError
from ingestion.youtube import DEFAULT_CHOICE, QUALITIES, YouTube, settings_options, versions
from ingestion.youtube.client import full_options, is_site


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.youtube.com/watch?v=x", True),
        ("https://youtube.com/", True),
        ("https://m.youtube.com:443/", True),
        ("https://youtubei.googleapis.com/youtubei/v1/player", True),
        ("https://www.youtube-nocookie.com/embed/x", True),
        ("https://rr1---sn-x.googlevideo.com/videoplayback", False),
        ("https://manifest.googlevideo.com/api", False),
        ("https://i.ytimg.com/vi/x/0.jpg", False),
        ("https://notyoutube.com/", False),
        ("https://youtube.com.evil.example/", False),
    ],
)
def test_which_requests_cost_something(url: str, expected: bool):
    assert is_site(url) is expected


def test_options_from_the_settings_with_the_users_own_last(settings):
    settings.YTDLP_COOKIES_FILE, settings.YTDLP_PROXY = "/run/cookies.txt", "socks5://127.0.0.1:9050"
    settings.YTDLP_OPTIONS = {"proxy": "http://127.0.0.1:8899", "socket_timeout": 7}
    options = settings_options()
    assert (options["cookiefile"], options["proxy"], options["socket_timeout"]) == ("/run/cookies.txt", "http://127.0.0.1:8899", 7)
    assert Path(options["js_runtimes"]["deno"]["path"]).is_file()
    assert Path(options["ffmpeg_location"]).is_file()


def test_no_cookies_and_no_proxy_unless_set(settings):
    settings.YTDLP_COOKIES_FILE = settings.YTDLP_PROXY = ""
    settings.YTDLP_OPTIONS = {}
    assert not {"cookiefile", "proxy"} & set(settings_options())


def test_extractor_arguments_are_merged_not_replaced():
    mine = {"youtube": {"player_client": ["tv"]}, "youtubepot-bgutilhttp": {"base_url": ["http://127.0.0.1:4416"]}}
    args = full_options({"extractor_args": mine})["extractor_args"]
    assert args["youtube"] == {"raise_incomplete_data": ["true"], "player_client": ["tv"]}
    assert args["youtubetab"] == {"approximate_date": [""]}
    assert "youtubepot-bgutilhttp" in args


def test_no_player_client_is_chosen_by_us():
    assert "player_client" not in full_options({})["extractor_args"]["youtube"]


def test_what_correctness_rests_on_cannot_be_changed():
    options = full_options({"ignoreerrors": True, "format": "worst", "skip_unavailable_fragments": True, "retries": 1})
    assert (options["ignoreerrors"], options["skip_unavailable_fragments"], options["retries"]) == (False, False, 1)
    assert callable(options["format"])


def test_cookies_are_sent_and_the_file_is_left_alone(twin: Twin, make_youtube, tmp_path: Path):
    file = tmp_path / "cookies.txt"
    file.write_text("# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t4102444800\tPREF\tx=1\n")
    before = file.read_text()
    youtube = make_youtube(cookiefile=str(file))
    youtube.extract("demv0000050")
    youtube.close()
    assert file.read_text() == before


def test_a_cookies_file_that_is_none_is_our_own_mistake(make_youtube, tmp_path: Path):
    file = tmp_path / "cookies.txt"
    file.write_text("not a cookie file\n")
    with pytest.raises(SetupError) as raised:
        make_youtube(cookiefile=str(file))
    assert raised.value.kind == "misconfigured"


def test_only_extractors_of_youtube_are_loaded(youtube: YouTube):
    assert sorted(youtube._client._ies) == ["Youtube", "YoutubeTab"]


def test_connections_are_ready_before_threads_start(youtube: YouTube):
    assert "_request_director" in vars(youtube._client)
    assert threading.active_count() < 50


def test_versions_for_the_checks():
    found = versions()
    assert found["yt-dlp"].count(".") >= 2
    assert found["deno"].count(".") == found["pycurl"].count(".") == 2


def test_the_default_quality_is_one_of_them():
    assert DEFAULT_CHOICE.quality in QUALITIES
