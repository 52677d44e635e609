import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from massdl_site import configuration, env
from massdl_site.env import VARIABLES, Variable

ROOT = Path(__file__).resolve().parent.parent
HUGE = "9" * 5000


@pytest.fixture(autouse=True)
def _variables_as_they_were(monkeypatch):
    """Reading a variable describes it: keep the tests' own out of what the docs are made from."""
    monkeypatch.setattr(env, "VARIABLES", dict(VARIABLES))


def refusal(monkeypatch, value: str, read) -> str:
    monkeypatch.setenv("MASSDL_TRIAL", value)
    with pytest.raises(ImproperlyConfigured) as caught:
        read("MASSDL_TRIAL")
    return "".join(traceback.format_exception(caught.value))


READERS = {
    "flag": lambda name: env.flag(name, True, meaning="Trial."),
    "whole": lambda name: env.whole(name, 4, at_least=1, meaning="Trial."),
    "number": lambda name: env.number(name, 1.5, meaning="Trial."),
    "choice": lambda name: env.choice(name, "auto", ("auto", "path"), meaning="Trial."),
    "listing": lambda name: env.listing(name, ("localhost",), meaning="Trial."),
    "address": lambda name: env.address(name, schemes=("http", "https"), meaning="Trial."),
    "time_zone": lambda name: env.time_zone(name, "UTC", meaning="Trial."),
    "json_object": lambda name: env.json_object(name, meaning="Trial."),
    "secret address": lambda name: env.address(name, schemes=("postgres",), meaning="Trial.", secret=True),
}

REFUSED = [
    ("flag", "maybe", "true or false"),
    ("flag", "2", "true or false"),
    ("whole", "0", "a whole number, 1 or more"),
    ("whole", "-3", "a whole number, 1 or more"),
    ("whole", "2.5", "a whole number, 1 or more"),
    ("whole", "1_000", "a whole number, 1 or more"),
    ("whole", "٣", "a whole number, 1 or more"),
    ("whole", "four", "a whole number, 1 or more"),
    ("whole", HUGE, "a whole number, 1 or more"),
    ("number", "0", "a number above 0"),
    ("number", "-1", "a number above 0"),
    ("number", "inf", "a number above 0"),
    ("number", "nan", "a number above 0"),
    ("number", "1e3", "a number above 0"),
    ("number", "1,5", "a number above 0"),
    ("choice", "virtual", "one of auto, path"),
    ("choice", "PATH", "one of auto, path"),
    ("listing", "one two", "words separated by commas"),
    ("listing", ",", "words separated by commas"),
    ("address", "localhost:9000", "http://HOST or https://HOST"),
    ("address", "ftp://localhost", "http://HOST or https://HOST"),
    ("address", "http://", "http://HOST or https://HOST"),
    ("address", "http://host:port", "http://HOST or https://HOST"),
    ("address", "http://host:99999", "http://HOST or https://HOST"),
    ("address", "http://[::1", "http://HOST or https://HOST"),
    ("time_zone", "Berlin", "IANA list such as Europe/Berlin"),
    ("time_zone", "../etc/passwd", "IANA list such as Europe/Berlin"),
    ("time_zone", "Europe", "IANA list such as Europe/Berlin"),
]


@pytest.mark.parametrize(("kind", "value", "allowed"), REFUSED, ids=[f"{kind}-{value[:20]}" for kind, value, _ in REFUSED])
def test_a_wrong_value_names_the_variable_the_value_and_what_is_allowed(monkeypatch, kind, value, allowed):
    said = refusal(monkeypatch, value, READERS[kind])
    assert f"MASSDL_TRIAL is {value!r}; allowed: " in said
    assert allowed in said


ACCEPTED = [
    ("flag", "YES", True),
    ("flag", "off", False),
    ("whole", " 12 ", 12),
    ("number", "0.25", 0.25),
    ("number", "3600", 3600.0),
    ("choice", "path", "path"),
    ("listing", "a, b ,,c", ["a", "b", "c"]),
    ("address", "https://s3.example.org:9000/x", "https://s3.example.org:9000/x"),
    ("time_zone", "Europe/Berlin", "Europe/Berlin"),
    ("json_object", '{"socket_timeout": 20}', {"socket_timeout": 20}),
]


@pytest.mark.parametrize(("kind", "value", "read"), ACCEPTED)
def test_a_right_value_is_read(monkeypatch, kind, value, read):
    monkeypatch.setenv("MASSDL_TRIAL", value)
    assert READERS[kind]("MASSDL_TRIAL") == read


@pytest.mark.parametrize("value", ["", "   "], ids=["empty", "blank"])
@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("flag", True),
        ("whole", 4),
        ("number", 1.5),
        ("choice", "auto"),
        ("listing", ["localhost"]),
        ("address", None),
        ("time_zone", "UTC"),
        ("json_object", {}),
    ],
)
def test_a_blank_value_is_the_default(monkeypatch, kind, default, value):
    monkeypatch.setenv("MASSDL_TRIAL", value)
    assert READERS[kind]("MASSDL_TRIAL") == default


SECRETS = {
    "broken JSON": ("json_object", '{"password": "hush-hush"'),
    "a list": ("json_object", '["hush-hush"]'),
    "too deep": ("json_object", "[" * 100_000 + "hush-hush"),
    "wrong scheme": ("secret address", "mysql://me:hush-hush@host"),
    "wrong port": ("secret address", "postgres://me:hush-hush@host:port"),
    "wrong host": ("secret address", "postgres://me:hush-hush@[host"),
}


@pytest.mark.parametrize("case", SECRETS)
def test_no_part_of_a_secret_is_shown_even_by_a_chained_exception(monkeypatch, case):
    kind, value = SECRETS[case]
    said = refusal(monkeypatch, value, READERS[kind])
    assert "MASSDL_TRIAL is a value that is not shown here; allowed: " in said
    assert "hush-hush" not in said


def test_a_variable_that_nobody_knows_is_found_with_its_nearest_name(monkeypatch):
    monkeypatch.setenv("MASSDL_DOWNLOAD_WORKER", "8")
    monkeypatch.setenv("MASSDL_QQ", "1")
    monkeypatch.setenv("MASSDL_DOWNLOAD_WORKERS", "3")
    assert env.unknown_variables() == {"MASSDL_DOWNLOAD_WORKER": "MASSDL_DOWNLOAD_WORKERS", "MASSDL_QQ": ""}


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=VARIABLES)
def test_every_variable_is_described_in_whole_sentences(variable):
    assert variable.meaning.endswith("."), f"{variable.name}: the meaning ends without a full stop"
    assert variable.meaning[0].isupper() or variable.meaning.startswith("cookies.txt"), variable.name
    assert variable.group != "General", f"{variable.name} is read before the first env.group()"
    assert variable.allowed


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=VARIABLES)
def test_what_looks_like_a_secret_is_marked_as_one(variable):
    looks_secret = any(word in variable.name for word in ("SECRET", "PASSWORD", "TOKEN", "ACCESS_KEY", "DATABASE_URL", "PROXY"))
    assert variable.secret or not looks_secret, f"{variable.name}: say secret=True"


def test_a_secret_has_no_value_in_the_example():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assigned = dict(line.lstrip("#").split("=", 1) for line in lines if line.lstrip("#").partition("=")[0].isidentifier())
    assert set(VARIABLES) <= set(assigned)
    shown = {name for name, variable in VARIABLES.items() if variable.secret and assigned[name] not in ("", "{}")}
    assert not shown


def make_variable(**over) -> Variable:
    facts = {"name": "MASSDL_X", "group": "One", "default": "4", "allowed": "any text", "meaning": "It counts.", "secret": False}
    return Variable(**{**facts, **over})


def test_the_reference_escapes_what_would_end_a_cell():
    row = configuration.reference([make_variable(allowed="a | b", secret=True)]).splitlines()[-1]
    assert row == "| `MASSDL_X` | It counts. Secret. | a \\| b | `4` |"


def test_the_example_leaves_only_what_compose_needs_to_be_filled_in():
    made = configuration.example([make_variable(), make_variable(name="MASSDL_Y", default="made once")], {"MASSDL_X"})
    assert "\nMASSDL_X=" in made
    assert "\n#MASSDL_Y=\n" in made + "\n"
    assert "Default: made once." in made


def test_a_group_opened_twice_is_one_section():
    twice = [make_variable(), make_variable(name="MASSDL_Y", group="Two"), make_variable(name="MASSDL_Z")]
    assert configuration.reference(twice).count("## ") == 2


@pytest.mark.parametrize("text", ["", "begin", f"{configuration.END}\n{configuration.BEGIN}\n", f"{configuration.BEGIN}\n" * 2])
def test_a_file_without_its_markers_is_not_overwritten(text):
    with pytest.raises(ValueError, match="the file needs one line"):
        configuration.between_markers(text, "body")


def test_the_generated_files_are_what_the_settings_say_whatever_the_environment_says():
    command = [sys.executable, "-m", "massdl_site.configuration", "--check"]
    environment = {"MASSDL_DOWNLOAD_WORKERS": "9", "PATH": "/nonexistent"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_command_fails_and_names_the_file_that_is_out_of_date(monkeypatch, tmp_path, capsys):
    for path in configuration.made_files(ROOT):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "docker-compose.yml").write_text((ROOT / "docker-compose.yml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(configuration, "ROOT", tmp_path)
    monkeypatch.setattr(configuration, "read_settings", lambda: None)
    monkeypatch.setitem(VARIABLES, "MASSDL_X", make_variable())
    assert configuration.main(["--check"]) == 1
    assert "docs/configuration.md is out of date: run `make docs`." in capsys.readouterr().err
    assert configuration.main([]) == 0
    assert "`MASSDL_X`" in (tmp_path / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert configuration.main(["--check"]) == 0
