"""Writes docs/configuration.md and .env.example from the variables that settings.py reads.

    python -m massdl_site.configuration            write both
    python -m massdl_site.configuration --check    change nothing; exit 1 and name what is out of date

What stands between the two marker lines of a file is made here; what stands around them is written by hand.
"""

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from importlib import import_module
from itertools import groupby
from pathlib import Path

from massdl_site.env import ANY, VARIABLES, Variable

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "made by `make docs`: begin", "made by `make docs`: end"
SETTINGS_NEED = {"DATABASE_URL": "postgres://docs@localhost/docs", "MASSDL_SECRET_KEY": "docs"}


def main(arguments: list[str]) -> int:
    """Write the files, or only compare them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="massdl_site.configuration", description="Make docs/configuration.md and .env.example.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when a file is out of date")
    check = parser.parse_args(arguments).check
    read_settings()
    return write(made_files(ROOT), ROOT, check=check)


def write(files: Mapping[Path, str], root: Path, *, check: bool) -> int:
    """Bring the files to their text, or (`check`) stop at the first that has another one; returns the exit code."""
    for path, wanted in files.items():
        if path.read_text(encoding="utf-8") == wanted:
            continue
        if check:
            sys.stderr.write(f"{path.relative_to(root)} is out of date: run `make docs`.\n")
            return 1
        path.write_text(wanted, encoding="utf-8")
        sys.stdout.write(f"wrote {path.relative_to(root)}\n")
    return 0


def read_settings() -> None:
    """Fill VARIABLES without a database, a key or anything else of this machine."""
    os.environ.update(SETTINGS_NEED)
    import_module("massdl_site.settings")


def made_files(root: Path) -> dict[Path, str]:
    """Each generated file with the text it should have; hand-written parts are taken from the file as it is."""
    needed = needed_by_compose((root / "docker-compose.yml").read_text(encoding="utf-8"))
    bodies = {
        root / "docs" / "configuration.md": reference(VARIABLES.values()),
        root / ".env.example": example(VARIABLES.values(), needed),
    }
    return {path: between_markers(path.read_text(encoding="utf-8"), body) for path, body in bodies.items()}


def needed_by_compose(compose: str) -> set[str]:
    """Variables that docker-compose.yml refuses to start without: those written ${NAME:?sentence}."""
    return set(re.findall(r"\$\{(\w+):\?", compose))


def between_markers(text: str, body: str) -> str:
    """`text` with the lines between its marker lines replaced by `body`.

    Raises ValueError unless both markers stand there once, in order.
    """
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if BEGIN in line]
    ends = [number for number, line in enumerate(lines) if END in line]
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise ValueError(f"the file needs one line with {BEGIN!r} and, below it, one with {END!r}")
    return "\n".join([*lines[: begins[0] + 1], "", body.strip("\n"), "", *lines[ends[0] :]]) + "\n"


def reference(variables: Iterable[Variable]) -> str:
    """One section with a table for each group, in the order of settings.py."""
    return "\n\n".join(f"## {title}\n\n{_table(members)}" for title, members in _grouped(variables))


def _table(members: list[Variable]) -> str:
    rows = ["| variable | meaning | allowed | default |", "|---|---|---|---|"]
    return "\n".join(rows + [_row(variable) for variable in members])


def _row(variable: Variable) -> str:
    meaning = variable.meaning + (" Secret." if variable.secret else "")
    cells = (f"`{variable.name}`", meaning, variable.allowed, _default(variable) or "none")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(variable: Variable) -> str:
    return f"`{variable.default}`" if variable.default and " " not in variable.default else variable.default


def example(variables: Iterable[Variable], needed: set[str]) -> str:
    """Every variable with its comment; commented out, but for those in `needed`, which stand empty to be filled in."""
    return "\n\n".join(
        f"# --- {title} ---\n\n" + "\n\n".join(_entry(variable, needed) for variable in members) for title, members in _grouped(variables)
    )


def _entry(variable: Variable, needed: set[str]) -> str:
    facts = [] if variable.allowed == ANY else [f"Allowed: {variable.allowed}."]
    if variable.name in needed:
        facts.append("Needed by docker-compose.yml.")
    elif variable.default:
        facts.append(f"Default: {variable.default}{'' if variable.default.endswith('.') else '.'}")
    comment = textwrap.fill(" ".join([variable.meaning, *facts]), 118, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
    return f"{comment}\n{_assignment(variable, needed)}"


def _assignment(variable: Variable, needed: set[str]) -> str:
    if variable.name in needed:
        return f"{variable.name}="
    literal = variable.default if " " not in variable.default else ""  # "made once under var/" is no value
    return f"#{variable.name}={literal}"


def _grouped(variables: Iterable[Variable]) -> list[tuple[str, list[Variable]]]:
    """Groups in the order in which they were first seen; a group that settings.py opens twice is one."""
    members = list(variables)
    order = list(dict.fromkeys(variable.group for variable in members))
    ranked = sorted(members, key=lambda variable: order.index(variable.group))
    return [(title, list(found)) for title, found in groupby(ranked, key=lambda variable: variable.group)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
