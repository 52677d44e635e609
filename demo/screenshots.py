"""Pictures of every page of the admin, in light and dark, wide and narrow: `python -m demo.screenshots`, or `make screenshots`.

A demo of its own runs meanwhile, so the pages show what staff would see: videos stored, under way, failed and refused. Also
prints the pages that are wider than the screen, and what the browser complains of.
"""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from demo.world import ROOT, SHEETS

FOLDER = ROOT / "docs" / "images" / "screens"
SIZES = {"wide": {"width": 1400, "height": 900}, "narrow": {"width": 400, "height": 800}}
SCHEMES = ("light", "dark")
START_SECONDS, ENOUGH_SECONDS = 90, 300
ENOUGH_STORED = 12
QUALITY = 60  # of JPEG: text stays readable, and 60 pictures stay small

LISTS = {
    "overview": "",
    "people": "people/person/",
    "channels": "people/channel/",
    "videos": "videos/video/",
    "failed": "videos/video/?status__exact=failed",
    "sessions": "ingestion/downloadsession/",
    "operations": "ingestion/operation/",
    "scans": "ingestion/scan/",
    "attempts": "ingestion/attempt/",
    "errors": "errors/",
    "workers": "ingestion/worker/",
    "limits": "ingestion/limits/",
    "requests": "ingestion/budget/",
    "users": "auth/user/",
    "groups": "auth/group/",
    "import": "people/person/import/",
    "empty-list": "videos/video/?status__exact=skipped",
    "person-form": "people/person/add/",
    "channel-form": "people/channel/add/",
    "password": "password_change/",
}
FIRST_OF = {  # the page of the first row of a list
    "person": "people/person/",
    "channel": "people/channel/",
    "video": "videos/video/?status__exact=stored",
    "failed-video": "videos/video/?status__exact=unavailable",
    "session": "ingestion/downloadsession/",
    "operation": "ingestion/operation/",
    "attempt": "ingestion/attempt/",
    "limits-form": "ingestion/limits/",
    "group": "auth/group/",
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=browser_path) as browser:
        with TemporaryDirectory() as folder, _demo(Path(folder), "--empty") as (site, password):
            for look, page in _looks(browser):
                _log_in(page, site, password)
                _save(page, f"first-run-{look}")
                page.close()
        with TemporaryDirectory() as folder, _demo(Path(folder)) as (site, password):
            page = browser.new_page()
            _log_in(page, site, password)
            _await_videos(page, site)
            _operate(page, site)
            pages = _pages(page, site)
            for look, page in _looks(browser):
                _shoot_all(page, site, password, pages, look)


def _looks(browser: Browser) -> Iterator[tuple[str, Page]]:
    """A page of its own for each."""
    for scheme in SCHEMES:
        for size, viewport in SIZES.items():
            yield f"{scheme}-{size}", browser.new_page(color_scheme=scheme, viewport=viewport)


def _shoot_all(page: Page, site: str, password: str, pages: dict[str, str], look: str) -> None:
    page.on("console", _complain)
    _shoot(page, f"{site}login/", f"login-{look}")
    _log_in(page, site, password)
    for name, path in pages.items():
        _shoot(page, site + path, f"{name}-{look}")
    _preview(page, site, f"preview-{look}")
    _ask(page, site, "videos/video/?status__exact=pending", "cancel")
    _save(page, f"question-{look}")
    page.remove_listener("console", _complain)  # a browser complains of these by itself
    _shoot(page, f"{site}nowhere/", f"not-found-{look}")
    _shoot(page, f"{site}videos/video/add/", f"not-allowed-{look}")
    page.close()


@contextmanager
def _demo(folder: Path, *options: str) -> Iterator[tuple[str, str]]:
    """A running demo that answers: the address of its admin, and the password of its user."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "manage.py"), "demo", "--fresh", "--port", str(port), *options]
    environment = {"MASSDL_VAR_DIR": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(Path.home()), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        try:
            for line in process.stdout:
                if found := re.search(r"The admin: (\S+) .*password: (\S+)", line):
                    break
            else:
                raise SystemExit("The demo did not start.")
            _await_site(found[1])
            yield found[1], found[2]
        finally:
            process.terminate()


def _await_site(site: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), urlopen(f"{site}login/"):
            return
        if time.monotonic() > end:
            raise SystemExit("The admin does not answer.")
        time.sleep(0.5)


def _log_in(page: Page, site: str, password: str) -> None:
    page.goto(f"{site}login/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(re.compile(re.escape(site) + "$"))


def _await_videos(page: Page, site: str) -> None:
    """Until some are stored; the pages show the rest under way."""
    end = time.monotonic() + ENOUGH_SECONDS
    while time.monotonic() < end:
        page.goto(f"{site}videos/video/?status__exact=stored")
        if page.locator("#result_list tbody tr").count() >= ENOUGH_STORED:
            return
        time.sleep(2)


def _ask(page: Page, site: str, path: str, action: str) -> None:
    """Choose all rows of a list's page and an action, up to its question."""
    page.goto(site + path)
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(action)
    page.get_by_role("button", name="Run").click()
    page.get_by_role("dialog").wait_for()


def _operate(page: Page, site: str) -> None:
    """So that there is an operation to look at."""
    _ask(page, site, "videos/video/?status__exact=pending", "prioritise")
    page.get_by_role("dialog").get_by_role("button", name="Go first").click()
    page.get_by_text("will go first").wait_for()


def _pages(page: Page, site: str) -> dict[str, str]:
    """Addresses below the site by the names of their pictures; a list without rows has no page of a first one."""
    pages = dict(LISTS)
    for name, path in FIRST_OF.items():
        page.goto(site + path)
        link = page.locator("#result_list tbody th a, #result_list tbody td a[href*='/change/']").first
        if link.count():
            pages[name] = link.get_attribute("href").split("/admin/", 1)[1]
    return pages


def _shoot(page: Page, address: str, name: str) -> None:
    page.goto(address)
    page.wait_for_load_state("load")
    _save(page, name)


def _preview(page: Page, site: str, name: str) -> None:
    """What a sheet would do, never confirmed."""
    page.goto(f"{site}people/person/import/")
    page.set_input_files("input[type=file]", SHEETS / "people.csv")
    page.locator("form:has(input[type=file]) [type=submit]").first.click()
    page.wait_for_selector("#import-summary")
    _save(page, name)


def _save(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.jpg", type="jpeg", quality=QUALITY, animations="disabled")
    wanted, shown = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    if wanted > shown:
        sys.stdout.write(f"{name}: {wanted} px wide on a screen of {shown}\n")


def _complain(said: ConsoleMessage) -> None:
    if said.type in ("error", "warning"):
        sys.stdout.write(f"{said.location['url']}: {said.text}\n")


if __name__ == "__main__":
    main()
