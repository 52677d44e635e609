"""Who may do what: the one table of roles, as plain data.

    python -m ingestion.roles            write docs/roles.md
    python -m ingestion.roles --check    change nothing; exit 1 when it is out of date

Each role may do all that those before it may, so a permission, a page or an action is given with the least role that it
takes. What is granted to the groups was written down once in migrations; a change here needs another migration.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from massdl_site.configuration import ROOT, between_markers, write

PAGE = Path("docs") / "roles.md"

EVERYBODY = "Everybody"
"""Also who has not signed in."""
STAFF = "Staff"
"""Whoever may sign in, without any role."""
VIEWER, OPERATOR, ADMINISTRATOR = "Viewer", "Operator", "Administrator"
NOBODY = "Nobody"
"""Not even a superuser."""

ROLES = (VIEWER, OPERATOR, ADMINISTRATOR)
LADDER = (EVERYBODY, STAFF, *ROLES, NOBODY)

READ_ONLY = {"view": VIEWER, "add": NOBODY, "change": NOBODY, "delete": NOBODY}
WORKED_ON = {**READ_ONLY, "change": OPERATOR}
ENTERED = {"view": VIEWER, "add": OPERATOR, "change": OPERATOR, "delete": ADMINISTRATOR}
SET_UP = {"view": VIEWER, "add": ADMINISTRATOR, "change": ADMINISTRATOR, "delete": ADMINISTRATOR}
ACCOUNTS = dict.fromkeys(SET_UP, ADMINISTRATOR)
INWARD = dict.fromkeys(SET_UP, NOBODY)
"""Rows that no page shows."""

PERMISSIONS: dict[str, dict[str, str]] = {
    "people.person": {**ENTERED, "import": OPERATOR, "export": VIEWER},
    "people.channel": ENTERED,
    "people.channelalias": READ_ONLY,
    "videos.video": WORKED_ON,
    "videos.asset": READ_ONLY,
    "ingestion.downloadsession": WORKED_ON,
    "ingestion.scan": READ_ONLY,
    "ingestion.attempt": READ_ONLY,
    "ingestion.liveprogress": INWARD,
    "ingestion.turn": INWARD,
    "ingestion.operation": {"view": VIEWER},
    "ingestion.worker": READ_ONLY,
    "ingestion.chore": INWARD,
    "ingestion.daytotal": READ_ONLY,
    "ingestion.budget": WORKED_ON,
    "ingestion.limits": {**READ_ONLY, "change": ADMINISTRATOR},
    "ingestion.downloadwindow": SET_UP,
    "auth.user": ACCOUNTS,
    "auth.group": ACCOUNTS,
    "auth.permission": INWARD,
}
"""Model, then what is done to its rows, then the least role."""


@dataclass(frozen=True)
class Page:
    """Who sees it, and who may send its form: "" where it is not there to be seen, or has no form."""

    see: str
    send: str = ""
    words: str = ""
    """What docs/roles.md calls it; "" leaves it out."""


@dataclass(frozen=True)
class Pages:
    """The list of a model, the pages of its rows and its actions."""

    words: str
    see: str
    add: str
    change: str
    delete: str
    actions: dict[str, str] = field(default_factory=dict)

    def of(self, model: str) -> Iterator[tuple[str, Page]]:
        """Its pages with their names."""
        name = f"admin:{model.replace('.', '_')}"
        yield f"{name}_changelist", Page(self.see)
        yield f"{name}_add", Page(self.add, self.add)
        yield f"{name}_change", Page(self.see, self.change)
        yield f"{name}_history", Page(self.see)
        yield f"{name}_delete", Page(self.delete, self.delete)
        yield f"admin/{model.replace('.', '/')}/<path:object_id>/", Page(STAFF)  # leads on to the page of the row


STEERING = dict.fromkeys(("pause", "pause_now", "resume", "cancel", "cancel_now"), OPERATOR)
DELETION = {"delete_selected": ADMINISTRATOR}
DOWNLOADS = dict.fromkeys(("download_csv", "download_xlsx", "download_json"), VIEWER)

MODELS: dict[str, Pages] = {
    "people.person": Pages("People", see=VIEWER, add=OPERATOR, change=OPERATOR, delete=ADMINISTRATOR),
    "people.channel": Pages(
        "Channels",
        see=VIEWER,
        add=OPERATOR,
        change=OPERATOR,
        delete=ADMINISTRATOR,
        actions={**STEERING, "look_for_new_videos": OPERATOR},
    ),
    "videos.video": Pages(
        "Videos",
        see=VIEWER,
        add=NOBODY,
        change=NOBODY,
        delete=NOBODY,
        actions={
            **STEERING,
            **dict.fromkeys(("retry", "retry_assets", "skip", "prioritise", "in_turn", "verify", "store_again"), OPERATOR),
            **DOWNLOADS,
        },
    ),
    "ingestion.downloadsession": Pages(
        "Sessions",
        see=VIEWER,
        add=NOBODY,
        change=OPERATOR,
        delete=NOBODY,
        actions={**STEERING, "retry_failed": OPERATOR, "retry_assets": OPERATOR},
    ),
    "ingestion.scan": Pages("Scans", see=VIEWER, add=NOBODY, change=NOBODY, delete=NOBODY),
    "ingestion.attempt": Pages("Attempts", see=VIEWER, add=NOBODY, change=NOBODY, delete=NOBODY),
    "ingestion.operation": Pages("Operations", see=VIEWER, add=NOBODY, change=NOBODY, delete=NOBODY),
    "ingestion.worker": Pages("Workers", see=VIEWER, add=NOBODY, change=NOBODY, delete=NOBODY),
    "ingestion.limits": Pages(
        "Limits",
        see=VIEWER,
        add=NOBODY,
        change=ADMINISTRATOR,
        delete=NOBODY,
        actions=dict.fromkeys(
            ("pause_everything", "pause_everything_now", "resume_everything", "cancel_everything", "cancel_everything_now"),
            ADMINISTRATOR,
        ),
    ),
    "ingestion.budget": Pages(
        "Requests to YouTube", see=VIEWER, add=NOBODY, change=NOBODY, delete=NOBODY, actions={"ask_again_now": OPERATOR}
    ),
    "auth.user": Pages("Users", see=ADMINISTRATOR, add=ADMINISTRATOR, change=ADMINISTRATOR, delete=ADMINISTRATOR),
    "auth.group": Pages("Groups", see=ADMINISTRATOR, add=ADMINISTRATOR, change=ADMINISTRATOR, delete=ADMINISTRATOR, actions=DELETION),
}

OTHERS: dict[str, Page] = {
    "/": Page(STAFF),  # leads on to the overview
    "healthz": Page(EVERYBODY),
    "admin:login": Page(EVERYBODY, EVERYBODY),
    "admin:logout": Page("", STAFF),
    "admin:index": Page(STAFF, words="Overview"),
    "overview": Page(STAFF),  # the same in numbers, each for those who may see what it counts
    "errors": Page(STAFF, words="What errors mean"),
    "admin:password_change": Page(STAFF, STAFF, words="Own password"),
    "admin:password_change_done": Page(STAFF),
    "admin:jsi18n": Page(STAFF),
    "admin:search": Page(STAFF),  # finds what one may see
    "admin:app_list": Page(VIEWER),
    "admin:autocomplete": Page(VIEWER),
    "admin:view_on_site": Page(NOBODY),
    "admin/(?P<url>.*)$": Page(NOBODY),
    "admin:auth_user_password_change": Page(ADMINISTRATOR, ADMINISTRATOR, words="Password of another"),
    "admin:videos_video_file": Page(VIEWER, words="A stored video, to play and to download"),
    "admin:videos_video_asset": Page(VIEWER, words="What is stored beside a video, to download"),
    "admin:ingestion_downloadsession_report": Page(VIEWER, words="Report of a session, to download"),
    "admin:ingestion_downloadsession_progress": Page(VIEWER),  # what its page shows, as it is by now
    "admin:ingestion_operation_begin": Page("", OPERATOR, words="Something done to many rows"),
    "admin:ingestion_operation_stop": Page("", OPERATOR),
    "admin:ingestion_operation_undo": Page("", OPERATOR),
    "admin:ingestion_operation_live": Page(VIEWER),
    "admin:people_person_import": Page(OPERATOR, OPERATOR, words="Import of a sheet"),
    "admin:people_person_import_sample": Page(OPERATOR),
    "admin:people_person_import_preview": Page(OPERATOR),
    "admin:people_person_import_rows": Page(OPERATOR),
    "admin:people_person_import_refused": Page(OPERATOR),
    "admin:people_person_process_import": Page("", OPERATOR),
    "admin:people_person_export": Page(VIEWER, VIEWER, words="Download of people and channels as a sheet"),
}
"""Pages that belong to no model's rows, by name, or by route where they have none."""


def pages() -> dict[str, Page]:
    """All pages of the site by name, or by route where they have none."""
    return {name: page for model, one in MODELS.items() for name, page in one.of(model)} | OTHERS


def may(role: str, least: str) -> bool:
    """Whether who has `role` may do what takes `least`; what nobody may do, and what is not there, is for no role."""
    return bool(least) and LADDER.index(role) >= LADDER.index(least) and least != NOBODY


def permissions_of(role: str) -> set[str]:
    """As in `user.has_perm`."""
    return {
        f"{model.split('.')[0]}.{verb}_{model.split('.')[1]}"
        for model, verbs in PERMISSIONS.items()
        for verb, least in verbs.items()
        if may(role, least)
    }


# --- docs/roles.md ----------------------------------------------------------------------------------------------------


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write the page, or only compare it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="ingestion.roles", description="Make docs/roles.md.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when the page is out of date")
    page = root / PAGE
    return write({page: between_markers(page.read_text(encoding="utf-8"), body())}, root, check=parser.parse_args(arguments).check)


def body() -> str:
    """The generated part of the page, in Markdown."""
    rows = [row for one in MODELS.values() for row in _rows_of(one)]
    others = [(page.words, "see" if not page.send else "see, send", page.send or page.see) for page in OTHERS.values() if page.words]
    return "\n\n".join(["## Lists and rows", _table(rows), "## Other pages", _table(others)])


def _rows_of(one: Pages) -> Iterator[tuple[str, str, str]]:
    """What may be done, together where it takes the same role."""
    verbs = {"see": one.see, "add": one.add, "change": one.change, "delete": one.delete}
    done = verbs | {name.replace("_", " "): least for name, least in one.actions.items()}
    for role in ROLES:
        if alike := [verb for verb, least in done.items() if least == role]:
            yield one.words, ", ".join(dict.fromkeys(alike)), role


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = [("where", "what", *ROLES), ("---",) * (2 + len(ROLES))]
    lines += [(where, what, *("yes" if may(role, least) else "no" for role in ROLES)) for where, what, least in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
