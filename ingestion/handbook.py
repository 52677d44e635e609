"""The taxonomy of errors for people: what stands in docs/errors.md and on the admin's page "What errors mean".

    python -m ingestion.handbook            write docs/errors.md
    python -m ingestion.handbook --check    change nothing; exit 1 when it is out of date

Both show the same words, those of TREATMENTS and KINDS. What stands around the marker lines of docs/errors.md is written
by hand.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ingestion.errors import KINDS, TREATMENTS, Kind, Treatment
from massdl_site.configuration import ROOT, between_markers, write

PAGE = Path("docs") / "errors.md"

INTRODUCTION = (
    "Whatever goes wrong with a video or a channel has a kind, and each kind belongs to a class, which says what happens next.",
    "A text that nobody has seen before is unknown: it is tried again, never taken for gone, and its raw line is kept as it came.",
)
TREATMENT_HEADERS = ("class", "the video", "its attempts", "its session", "all hosts")
KIND_HEADERS = ("kind", "class", "what it means", "what to do")


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write the page, or only compare it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="ingestion.handbook", description="Make docs/errors.md.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when the page is out of date")
    page = root / PAGE
    return write({page: between_markers(page.read_text(encoding="utf-8"), body())}, root, check=parser.parse_args(arguments).check)


def treatment_row(treatment: Treatment) -> tuple[str, ...]:
    """Cells under TREATMENT_HEADERS."""
    return treatment.slug, treatment.video, treatment.attempts, treatment.session, treatment.fleet


def kind_row(kind: Kind) -> tuple[str, ...]:
    """Cells under KIND_HEADERS."""
    return kind.slug, kind.type.treatment, kind.meaning, kind.advice


def body() -> str:
    """The generated part of the page, in Markdown."""
    treatments = _table(TREATMENT_HEADERS, (_first_as_code(treatment_row(one)) for one in TREATMENTS.values()))
    kinds = _table(KIND_HEADERS, (_anchored(kind_row(one)) for one in KINDS.values()))
    return "\n\n".join([*INTRODUCTION, "## What follows from a class", treatments, "## The kinds", kinds])


def _first_as_code(cells: Sequence[str]) -> list[str]:
    return [f"`{cells[0]}`", *cells[1:]]


def _anchored(cells: Sequence[str]) -> list[str]:
    """So that errors.md#bot_check leads to its row."""
    return [f'<a id="{cells[0]}"></a>`{cells[0]}`', *cells[1:]]


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
