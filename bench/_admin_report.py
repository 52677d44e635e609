"""The admin's part of docs/performance.md and its plot, from bench/results/admin.json and admin-10m.json.

python -m bench._admin_report [--check]
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench._archive import VIDEOS_OF_A_PERSON
from bench._pages import PAGES, Page
from bench._plot import Dots, draw_dots
from bench._results import kept
from massdl_site.configuration import between_markers, write

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "admin.svg"
FULL, LARGE = "admin", "admin-10m"

Result = Mapping[str, Any]


def publish() -> None:
    """Write the table and draw the plot, of whatever was measured by now."""
    main([])


def made_files() -> dict[Path, str]:
    results = [result for name in (FULL, LARGE) if (result := kept(name))]
    return {PAGE: between_markers(PAGE.read_text(encoding="utf-8"), table(results)), PLOT: _plot(results)}


def table(results: list[Result]) -> str:
    """A row for each group of pages: its slowest one of ours, and the naive admin's slowest of the same pages."""
    return "\n\n".join([_words(results), "\n".join(_rows(results)), *_misses(results)])


def _words(results: list[Result]) -> str:
    of = " and ".join(f"{result['videos']:,} videos of {result['videos'] // VIDEOS_OF_A_PERSON:,} people" for result in results)
    runs = "; ".join(
        f"{_millions(result['videos'])} on {result['measured_at'][:10]} at load {result['machine']['load_before']}, with "
        f"{result['tallies']:,} rows of tallies"
        for result in results
    )
    versions = " ".join(f"{name} {results[0]['machine'][name]}" for name in ("Django", "django-unfold", "PostgreSQL"))
    return f"{of} ({versions}; {runs})."


def _rows(results: list[Result]) -> Iterator[str]:
    sizes = [_millions(result["videos"]) for result in results]
    yield "| pages | number | queries | " + " | ".join(f"{size}: ours | to be reached | Django's own" for size in sizes) + " |"
    yield "|---" * (3 + 3 * len(results)) + "|"
    for group in groups():
        pages = [page for page in PAGES if page.group == group]
        queries = max(result["pages"][page.key]["ours"]["queries"] for result in results for page in pages)
        cells = [cell for result in results for cell in _cells(pages, result)]
        yield f"| {group} | {len(pages)} | {queries} | {' | '.join(cells)} |"


def _cells(pages: list[Page], result: Result) -> tuple[str, str, str]:
    ours, naive = slowest(pages, result, "ours"), slowest(pages, result, "naive")
    return shown(ours), f"{pages[0].most_ms(result['videos'])} ms", shown(naive) if naive else ""


def slowest(pages: list[Page], result: Result, way: str) -> Result | None:
    """None where the way has none of these pages."""
    found = [result["pages"][page.key][way] for page in pages if way in result["pages"][page.key]]
    return max(found, key=lambda one: (one["is_over"], one["ms"]), default=None)


def shown(found: Result) -> str:
    """`87 ms`, `4.2 s`, `over 30 s`."""
    if found["is_over"]:
        return f"over {found['ms'] / 1000:.0f} s"
    return f"{found['ms']:.0f} ms" if found["ms"] < 1000 else f"{found['ms'] / 1000:.1f} s"


def _misses(results: list[Result]) -> Iterator[str]:
    for result in results:
        missed = [target for target, is_reached in result["targets"].items() if not is_reached]
        size = _millions(result["videos"])
        if missed:
            told = (f"{target.rpartition(': at most')[0]} ({_ours(target, result)})" for target in missed)
            yield f"With {size} videos {len(missed)} of {len(PAGES)} pages missed that: {'; '.join(told)}."
        else:
            yield f"With {size} videos all {len(PAGES)} pages reached what they were to reach."


def _ours(target: str, result: Result) -> str:
    found = result["pages"][target.rpartition(": at most")[0]]["ours"]
    return f"{shown(found)}, {found['queries']} queries"


def _millions(videos: int) -> str:
    return f"{videos // 1_000_000} million" if videos >= 1_000_000 else f"{videos:,}"


def groups() -> list[str]:
    return list(dict.fromkeys(page.group for page in PAGES))


def _plot(results: list[Result]) -> str:
    names = groups()
    rows = []
    for way, words in (("ours", "ours"), ("naive", "Django's own")):
        for result in results:
            found = [slowest([page for page in PAGES if page.group == name], result, way) for name in names]
            rows.append(Dots(f"{words}, {_millions(result['videos'])}", [one["ms"] if one else None for one in found]))
    return draw_dots("The slowest page of each kind, in milliseconds", groups=names, rows=rows)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench._admin_report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when the page or the plot is out of date")
    check = parser.parse_args(arguments).check
    if not check:
        PLOT.touch()
    return write(made_files(), ROOT, check=check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
