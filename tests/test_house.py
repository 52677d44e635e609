"""The rules of the house, read from the source: what may import what, who may save, print or catch everything.

A rule is a function from a file's path and text to its offences, "path:line: what is wrong". Each has one test over the
repository and at least one line in BROKEN, which proves that it can fail.
"""

import ast
import fnmatch
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
APPS = ("people", "videos", "ingestion")  # each may import those before it
SHIPPED = (*APPS, "massdl_site")
BESIDE = {"demo", "tests", "bench"}  # what no shipped code may lean on
VAGUE = {"utils", "common", "core", "helpers", "services", "managers", "signals"}
CATCH_ALL = (
    *(
        "ingestion/downloading.py",
        "ingestion/scanning/__init__.py",
        "ingestion/supervisor.py",
        "ingestion/tasks.py",
        "ingestion/workers.py",
        "ingestion/youtube/curl_handle.py",  # what libcurl calls cannot raise: it is kept, and raised when libcurl has returned
        "*/management/commands/*.py",
    ),
    "people/sheets/workbooks.py",  # a damaged workbook makes the parsers below openpyxl raise nearly anything
)
TOP_LEVEL = {
    *("manage.py", "pyproject.toml", "requirements.txt", "requirements-dev.txt", "Makefile", "Dockerfile", "docker-compose.yml"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", ".env.example", ".gitignore", ".dockerignore", ".ci", ".git"),
    *("massdl_site", "people", "videos", "ingestion", "templates", "demo", "tests", "bench", "docs", "deploy"),
}
Rule = Callable[[str, str], list[str]]


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Path from the root and text of each Python file in the folders; generated migrations left out."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def offences(rule: Rule, *folders: str) -> list[str]:
    return [offence for path, text in sources(*folders) for offence in rule(path, text)]


def kept(found: list[str]) -> None:
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def imported(text: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all that is imported, at any depth, by statement or by name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and _name(node.func) in {"import_module", "__import__", "import_string"}:
            yield from ((node.lineno, str(a.value)) for a in node.args[:1] if isinstance(a, ast.Constant))


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _belongs(path: str, *homes: str) -> bool:
    return any(path == home or (home.endswith("/") and path.startswith(home)) for home in homes)


# --- the rules --------------------------------------------------------------------------------------------------------


def imports_point_down(path: str, text: str) -> list[str]:
    app = path.split("/")[0]
    forbidden = BESIDE | (set(APPS[APPS.index(app) + 1 :]) if app in APPS else set())
    return [f"{path}:{line}: {app} imports {name}" for line, name in imported(text) if name.split(".")[0] in forbidden]


def site_names_apps_by_string(path: str, text: str) -> list[str]:
    if path == "massdl_site/urls.py":
        return []
    direct = [(line, name) for line, name in imported(text) if name.split(".")[0] in APPS]
    return [f"{path}:{line}: massdl_site imports {name}; name it by a dotted string" for line, name in direct]


def youtube_has_one_door(path: str, text: str) -> list[str]:
    if _belongs(path, "ingestion/youtube.py", "ingestion/youtube/"):
        return []
    return [f"{path}:{line}: imports {name}" for line, name in imported(text) if name.split(".")[0] == "yt_dlp"]


def s3_has_one_door(path: str, text: str) -> list[str]:
    """SQS is no bucket, but its client is the same library."""
    if _belongs(path, "ingestion/store.py", "ingestion/store/", "ingestion/brokers/sqs.py", "massdl_site/settings.py"):
        return []
    clients = {"boto3", "botocore", "s3transfer", "storages", "google"}
    return [f"{path}:{line}: imports {name}" for line, name in imported(text) if name.split(".")[0] in clients]


def rows_are_not_saved_whole(path: str, text: str) -> list[str]:
    """The store is left out: it knows no rows, and its uploads and storages have a save() of their own."""
    if _belongs(path, "ingestion/store.py", "ingestion/store/"):
        return []
    calls = [
        n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "save"
    ]
    return [f"{path}:{call.lineno}: .save() of a whole row; update() or save(update_fields=...)" for call in calls if _saves_whole(call)]


def _saves_whole(call: ast.Call) -> bool:
    """False for storage.save(name, stream), a form's save() and a new row's save(force_insert=True)."""
    said = {keyword.arg for keyword in call.keywords}
    receiver = _name(call.func.value)
    return not call.args and not said & {"update_fields", "force_insert"} and not receiver.endswith(("form", "formset"))


def names_say_what_is_inside(path: str, text: str) -> list[str]:
    parts = Path(path).with_suffix("").parts
    return [f"{path}:1: a module named {part} says nothing of what it holds" for part in parts if part in VAGUE]


def nobody_prints(path: str, text: str) -> list[str]:
    calls = [
        n
        for n in ast.walk(ast.parse(text))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in {"print", "pprint"}
    ]
    return [f"{path}:{call.lineno}: print; log a sentence, or write to self.stdout" for call in calls]


def few_catch_everything(path: str, text: str) -> list[str]:
    if any(fnmatch.fnmatch(path, pattern) for pattern in CATCH_ALL):
        return []
    return [f"{path}:{line}: catches everything; name the exceptions" for line in _catches_everything(ast.parse(text))]


def _catches_everything(tree: ast.AST) -> Iterator[int]:
    """Lines of `except:`, `except Exception` and `suppress(Exception)`; one that ends in a bare `raise` only looks on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if not passes_on and any(one is None or _broad(one) for one in caught):
                yield node.lineno
        elif isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(_broad(one) for one in node.args):
            yield node.lineno


def _broad(node: ast.AST) -> bool:
    return _name(node) in {"Exception", "BaseException"}


def packages_come_by_hash_alone(path: str, text: str) -> list[str]:
    entries = _entries(text)
    bare = [
        f"{path}:{line}: {entry.split()[0]} has no hash" for line, entry in entries if "--hash=sha256:" not in entry and "://" not in entry
    ]
    elsewhere = re.compile(r"://|^\s*(-i|-f|-r|-e|--index-url|--extra-index-url|--find-links|--trusted-host|--editable)\b|\S+ @ ")
    named = [
        f"{path}:{number}: names a place: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if elsewhere.search(line)
    ]
    return bare + named


def _entries(text: str) -> list[tuple[int, str]]:
    """First line and whole text of each requirement, its continuation lines joined."""
    found: list[tuple[int, str]] = []
    continues = False
    for number, line in enumerate(text.splitlines(), 1):
        if continues:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.rstrip(chr(92)).strip()}")
        elif line.strip() and not line.lstrip().startswith(("#", "-")):
            found.append((number, line.rstrip("\\").strip()))
        continues = line.endswith("\\")
    return found


def locked_versions(text: str) -> set[tuple[str, str]]:
    """(canonical name, version) of every entry of a requirements file."""
    requirements = [Requirement(entry.split(" --hash")[0]) for _, entry in _entries(text)]
    return {(canonicalize_name(one.name), str(one.specifier).removeprefix("==")) for one in requirements}


def pins_missing(pins: list[str], lock: str, path: str) -> list[str]:
    """Direct pins that the lock file has not, or has in another version; every direct dependency must be a pin."""
    locked, found = locked_versions(lock), []
    for requirement in map(Requirement, pins):
        version = str(requirement.specifier)
        if not re.fullmatch(r"==[^*,]+", version):
            found.append(f"pyproject.toml: {requirement} is not pinned to one version")
        elif (canonicalize_name(requirement.name), version.removeprefix("==")) not in locked:
            found.append(f"{path}: {requirement.name}{version} of pyproject.toml is missing; run `make lock`")
    return found


LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|`((?:bench/results|docs)/[\w./-]+\.\w+)`")


def links_to_nothing(path: str, text: str) -> list[str]:
    """Files of the repository that a page names, by a link or in backticks, and that are not there."""
    named = (link or quoted for link, quoted in LINK.findall(text))
    inside = {name: (ROOT if name.startswith(("bench/", "docs/")) else (ROOT / path).parent) / name for name in named if "://" not in name}
    return [f"{path}: {name} is not there" for name, file in inside.items() if not file.exists()]


def strangers(names: list[str], ignored: list[str]) -> list[str]:
    """Top-level names that are neither in the plan nor left out by .gitignore."""
    patterns = [line.strip().strip("/") for line in ignored if line.strip()]
    return [name for name in names if name not in TOP_LEVEL and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


# --- the repository keeps them ----------------------------------------------------------------------------------------


def test_people_know_nothing_of_videos_and_videos_nothing_of_ingestion():
    kept(offences(imports_point_down, *SHIPPED))


def test_the_site_names_its_apps_by_dotted_string():
    kept(offences(site_names_apps_by_string, "massdl_site"))


def test_yt_dlp_is_imported_at_one_door_only():
    kept(offences(youtube_has_one_door, *SHIPPED))


def test_s3_clients_are_imported_at_one_door_only():
    kept(offences(s3_has_one_door, *SHIPPED))


def test_no_row_that_workers_write_is_saved_whole():
    kept(offences(rows_are_not_saved_whole, "ingestion", "videos"))


def test_no_module_has_a_name_that_fits_everything():
    kept(offences(names_say_what_is_inside, *SHIPPED, "demo", "bench", "tests", "deploy"))


def test_nothing_shipped_prints():
    kept(offences(nobody_prints, *SHIPPED))


def test_everything_is_caught_only_where_an_attempt_is_recorded_and_at_the_top_of_a_process():
    kept(offences(few_catch_everything, *SHIPPED))


def test_the_top_level_holds_what_the_plan_says():
    found = strangers(sorted(os.listdir(ROOT)), (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines())
    kept([f"{name}:1: not a top-level name of this repository" for name in found])


def test_pages_name_only_files_that_are_there():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    kept([found for page in pages for found in links_to_nothing(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))])


@pytest.mark.parametrize("path", ["requirements.txt", "requirements-dev.txt"])
def test_packages_come_by_hash_and_from_no_named_place(path):
    kept(packages_come_by_hash_alone(path, (ROOT / path).read_text(encoding="utf-8")))


@pytest.mark.parametrize(("path", "extras"), [("requirements.txt", ()), ("requirements-dev.txt", ("demo", "dev"))])
def test_every_direct_dependency_is_pinned_and_locked_in_that_version(path, extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = project["dependencies"] + [pin for extra in extras for pin in project["optional-dependencies"][extra]]
    ours = [pin for pin in pins if Requirement(pin).name != project["name"]]
    kept(pins_missing(ours, (ROOT / path).read_text(encoding="utf-8"), path))


# --- and each can fail ------------------------------------------------------------------------------------------------

BROKEN = [
    (imports_point_down, "people/models.py", "import videos.models"),
    (imports_point_down, "people/admin.py", "from videos import keys"),
    (imports_point_down, "videos/admin.py", "def act():\n    from ingestion.dispatch import ring"),
    (imports_point_down, "videos/admin.py", "from importlib import import_module\nimport_module('ingestion.dispatch')"),
    (imports_point_down, "ingestion/youtube.py", "from demo.youtube_twin import twin"),
    (imports_point_down, "massdl_site/settings.py", "import tests.factories"),
    (site_names_apps_by_string, "massdl_site/settings.py", "from people.models import Person"),
    (youtube_has_one_door, "ingestion/scanning/__init__.py", "from yt_dlp.utils import DownloadError"),
    (youtube_has_one_door, "ingestion/youtube_errors.py", "import yt_dlp"),
    (s3_has_one_door, "ingestion/streams.py", "import boto3"),
    (s3_has_one_door, "videos/admin.py", "from botocore.exceptions import ClientError"),
    (s3_has_one_door, "ingestion/brokers/redis.py", "from botocore.exceptions import ClientError"),
    (s3_has_one_door, "massdl_site/checks.py", "from storages.backends.s3 import S3Storage"),
    (rows_are_not_saved_whole, "ingestion/leases.py", "video.save()"),
    (rows_are_not_saved_whole, "videos/models.py", "super().save(force_update=True)"),
    (names_say_what_is_inside, "people/utils.py", ""),
    (names_say_what_is_inside, "ingestion/core/leases.py", ""),
    (nobody_prints, "people/sheets.py", "print('row')"),
    (few_catch_everything, "ingestion/store.py", "try:\n    go()\nexcept Exception:\n    pass"),
    (few_catch_everything, "ingestion/store.py", "try:\n    go()\nexcept (OSError, BaseException) as exc:\n    raise ValueError from exc"),
    (few_catch_everything, "ingestion/store.py", "try:\n    go()\nexcept:\n    pass"),
    (few_catch_everything, "ingestion/store.py", "with contextlib.suppress(Exception):\n    go()"),
    (packages_come_by_hash_alone, "requirements.txt", "django==5.2"),
    (packages_come_by_hash_alone, "requirements.txt", "a==1 \\\n    --hash=sha256:00\nb==2 \\\n    ; python_version > '3'"),
    (packages_come_by_hash_alone, "requirements.txt", "--index-url example.org"),
    (packages_come_by_hash_alone, "requirements.txt", "a @ https://example.org/a.whl --hash=sha256:00"),
]

ALLOWED = [
    (
        imports_point_down,
        "ingestion/scanning/__init__.py",
        "from people.models import Channel\nfrom videos import keys\nfrom . import budget",
    ),
    (site_names_apps_by_string, "massdl_site/urls.py", "from ingestion import progress"),
    (youtube_has_one_door, "ingestion/youtube/session.py", "import yt_dlp"),
    (s3_has_one_door, "ingestion/store.py", "import boto3"),
    (rows_are_not_saved_whole, "ingestion/api.py", "storage.save(name, stream)\nrow.save(update_fields=['a'])\nself.form.save()"),
    (rows_are_not_saved_whole, "ingestion/store/__init__.py", "upload.save()"),
    (names_say_what_is_inside, "people/management/commands/score.py", ""),
    (nobody_prints, "people/sheets.py", "self.stdout.write('row')"),
    (few_catch_everything, "ingestion/tasks.py", "try:\n    go()\nexcept Exception:\n    pass"),
    (few_catch_everything, "ingestion/store.py", "try:\n    go()\nexcept BaseException:\n    abort()\n    raise"),
    (packages_come_by_hash_alone, "requirements.txt", "# a comment\na==1 \\\n    --hash=sha256:00"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN, ids=[f"{rule.__name__}-{number}" for number, (rule, _, _) in enumerate(BROKEN)])
def test_a_broken_rule_is_found_with_its_place(rule, path, text):
    found = rule(path, text)
    assert found
    assert all(re.match(rf"{re.escape(path)}:\d+: ", offence) for offence in found)


@pytest.mark.parametrize(("rule", "path", "text"), ALLOWED, ids=[rule.__name__ for rule, _, _ in ALLOWED])
def test_a_kept_rule_is_left_in_peace(rule, path, text):
    assert rule(path, text) == []


@pytest.mark.parametrize(
    ("pin", "complaint"),
    [("Django==5.2.18", "run `make lock`"), ("flask==3.1", "run `make lock`"), ("Django>=5", "not pinned"), ("Django==5.*", "not pinned")],
)
def test_a_pin_that_the_lock_has_not_is_found(pin, complaint):
    assert complaint in pins_missing([pin], "django==5.2.19 ; python_version > '3' \\\n    --hash=sha256:00\n", "requirements.txt")[0]


def test_a_pin_is_the_same_in_any_spelling():
    assert (
        pins_missing(["Django_Q2[x]==1.11.1 ; python_version >= '3'"], "django-q2==1.11.1 \\\n    --hash=sha256:00\n", "requirements.txt")
        == []
    )


def test_a_link_to_nothing_is_found():
    text = "[a](streams.md#top) ![b](images/no.svg) `bench/results/no.json` [c](https://example.org/no.md) [d](#here)"
    assert links_to_nothing("docs/page.md", text) == [
        "docs/page.md: images/no.svg is not there",
        "docs/page.md: bench/results/no.json is not there",
    ]


def test_a_stranger_at_the_top_level_is_found():
    assert strangers(["people", "notes.txt", "var", "a.pyc"], ["var/", "*.pyc", ""]) == ["notes.txt"]
