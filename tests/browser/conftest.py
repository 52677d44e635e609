import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client
from playwright.sync_api import Locator, Page, TimeoutError, expect, sync_playwright

from massdl_site.unfold import UNFOLD
from tests.browser.film import archive, locked, make_tracks
from tests.ingestion.media.stores import make_folder_store

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW_TO_GET_IT = "There is no Chromium here, and this test plays a film in one; on Debian: apt-get install chromium"
KINDS = {"ordinary": 1 << 40, "fragments": 0}  # bytes that ffmpeg may take for the index: both, whatever the limit is
# a quiet browser; playwright itself turns off its updates, its reports and, for root, its sandbox
ARGUMENTS = ("--autoplay-policy=no-user-gesture-required", "--disable-gpu", "--disable-quic", "--disable-sync")


@pytest.fixture(scope="session")
def films(testrun_uid: str) -> dict[str, Path]:
    """A film of two hours in a store, as each kind of MP4. Made once per run, by whichever worker needs it first."""
    folder = settings.VAR_DIR / "films"
    stores = {kind: folder / kind for kind in KINDS}
    with locked(folder):
        made_by = folder / "made-by"
        if not made_by.exists() or made_by.read_text() != testrun_uid:
            tracks = make_tracks(folder)
            for kind, store in stores.items():
                shutil.rmtree(store, ignore_errors=True)
                archive(tracks, make_folder_store(store), index_memory_limit=KINDS[kind])
            for track in tracks:
                track.unlink()
            made_by.write_text(testrun_uid)
    return {kind: store / "film.mp4" for kind, store in stores.items()}


@pytest.fixture(params=KINDS)
def film(request: pytest.FixtureRequest, films: dict[str, Path]) -> Path:
    return films[request.param]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where it is. Without one the test is skipped, with TEST_BROWSER=required it fails."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("TEST_BROWSER") == "required":
        pytest.fail(HOW_TO_GET_IT, pytrace=False)
    pytest.skip(HOW_TO_GET_IT)


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    """A page of a browser of its own, with nothing cached. For one test: Django refuses its database while playwright runs."""
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser:
        yield browser.new_page()


@pytest.fixture
def open_house(live_server, settings, monkeypatch) -> str:
    """The site's address. Before the browser starts, whose loop then runs in this thread: rows are written between its steps,
    which Django would refuse."""
    settings.UNFOLD = UNFOLD
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    return live_server.url


@pytest.fixture
def signed_in(live_server, admin_client: Client, open_house) -> dict[str, str]:
    """An administrator's cookie."""
    return {"name": "sessionid", "value": admin_client.cookies["sessionid"].value, "url": live_server.url}


@pytest.fixture
def complaints(signed_in: dict[str, str], page: Page) -> Iterator[list[str]]:
    """What the console says while an administrator looks."""
    page.context.add_cookies([signed_in])
    with listening(page) as said:
        yield said


@contextmanager
def listening(page: Page) -> Iterator[list[str]]:
    """What the console says, until the page is left."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield said
    page.goto("about:blank")  # nobody asks any more when the server ends
    connections.close_all()  # within the browser's loop Django keeps connections of its own


def tab_to(page: Page, wanted: Locator, *, key: str = "Tab", most: int = 80) -> None:
    """As who has no mouse gets there. Wherever the focus is on the way, it can be seen."""
    expect(wanted).to_be_visible()
    for _ in range(most):
        page.keyboard.press(key)
        try:
            page.wait_for_function(FOCUS_IS_SEEN, timeout=5000)  # what opens may take a moment to be seen
        except TimeoutError as exc:
            raise AssertionError(f"the focus is not seen on {page.evaluate('document.activeElement.outerHTML')[:300]}") from exc
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached by {most} times {key}")


FOCUS_IS_SEEN = """() => {
    const outlined = (one) => {
        const style = getComputedStyle(one);
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 && !/, 0\\)$/.test(style.outlineColor);
    };
    const seen = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && one.getBoundingClientRect().width > 1;
    for (let one = document.activeElement; one !== document.body; one = one.parentElement)
        if (outlined(one) && seen(one)) return true;
    return document.activeElement === document.body; // between the end of the page and its beginning
}"""
