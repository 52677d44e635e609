"""docs/performance.md says what bench/results/ says."""

import re

from bench import _admin_report
from bench._pages import PAGES
from bench._results import kept


def test_the_admins_table_and_plot_are_those_of_the_last_run():
    for path, wanted in _admin_report.made_files().items():
        assert path.read_text(encoding="utf-8") == wanted, "run `make docs`"


def test_every_page_was_measured_and_has_its_target():
    measured = kept("admin")
    assert list(measured["pages"]) == [page.key for page in PAGES]
    assert len(measured["targets"]) == len(PAGES)


def test_pages_have_names_of_their_own_and_addresses_of_the_admin():
    assert len({page.key for page in PAGES}) == len(PAGES)
    assert all(re.fullmatch(r"/admin/[\w{}/]*(\?\S+)?", address) for page in PAGES for address in (page.ours, page.naive) if address)
