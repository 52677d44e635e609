import pytest

from ingestion import checks

COOKIES = "# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t2147483647\tSID\tsecret\n"


@pytest.fixture
def cookies(tmp_path, settings):
    path = tmp_path / "cookies.txt"
    settings.YTDLP_COOKIES_FILE = str(path)
    return path


def test_a_guest_needs_no_cookies(settings):
    settings.YTDLP_COOKIES_FILE = ""
    assert checks.youtube() == checks.Finding("YouTube", "as a guest, without cookies")


def test_a_cookies_file_is_read(cookies):
    cookies.write_text(COOKIES)
    assert checks.youtube() == checks.Finding("YouTube", f"with the cookies in {cookies}")


@pytest.mark.parametrize("content", [None, "{not cookies}\n"], ids=["missing", "malformed"])
def test_a_cookies_file_that_cannot_be_read_is_found_with_its_fix(cookies, content):
    if content:
        cookies.write_text(content)
    finding = checks.youtube()
    assert not finding.good and "MASSDL_COOKIES_FILE" in finding.fix
    assert "secret" not in finding.seen


@pytest.mark.parametrize("options", [{"cookiefile": 5}, {"extractor_args": 5}], ids=str)
def test_options_that_ytdlp_cannot_use_are_found(settings, options):
    settings.YTDLP_OPTIONS = options
    assert not checks.youtube().good
