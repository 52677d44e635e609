"""What the command says before it begins, and its exit code; whole runs stand in tests/e2e."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from ingestion import api
from ingestion.management.commands import mass_download
from ingestion.models import DownloadSession, Scan
from ingestion.options import ASSETS, Options
from people.enrolment import EnrolmentError
from tests.factories import make_session

pytestmark = pytest.mark.django_db


@pytest.fixture
def sheet(tmp_path):
    """Writes a sheet and returns its path."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def good_setup(monkeypatch):
    monkeypatch.setattr(mass_download.Command, "_refuse_broken_setup", lambda self, **kwargs: None)


def code_of(*words):
    with pytest.raises(SystemExit) as exit_:
        call_command("mass_download", *words)
    return exit_.value.code


def refused(*words):
    with pytest.raises(CommandError) as raised:
        call_command("mass_download", *words)
    assert raised.value.returncode == 2
    return str(raised.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--resume", "--dry-run"], "--dry-run"),
        (["--retry-failed", "--dry-run"], "--dry-run"),
        (["--resume", "--input", "a.csv"], "leave out --input"),
        (["--resume", "--channel", "@ann"], "leave out --channel"),
        (["--resume", "--quality", "480p", "--limit", "3"], "leave out --quality, --limit"),
        (["--resume", "--no-hdr", "--assets", "none", "--audio-bitrate", "64"], "leave out --no-hdr, --audio-bitrate, --assets"),
        (["--retry-failed", "--fail-fast"], "leave out --fail-fast"),
        (["--resume", "--report-file", "/nowhere/report.json"], "cannot be written to /nowhere/report.json"),
        (["--channel", "@ann", "--report-file", "/"], "cannot be written to /"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_would_be_passed_over_is_refused_before_the_work(words, sentence):
    make_session()
    assert sentence in refused(*words)
    assert list(DownloadSession.objects.values_list("state", flat=True)) == ["running"]


def test_trying_the_report_file_leaves_nothing_behind(tmp_path):
    refused("--resume", "--report-file", str(tmp_path / "report.json"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--audio-bitrate", "128000"], "argument --audio-bitrate: invalid number of kbit/s from 16 to 1000 value"),
        (["--assets", "info,covers"], "argument --assets: covers: not known; known: info, thumbnail, subtitles, transcript, nfo, or all"),
        (["--subtitle-languages", "english"], "english: not a language; give codes such as en or pt-BR, or all"),
        (["--subtitle-languages", ""], "name a language such as en or pt-BR, or all"),
        (["--codec", "h265"], "argument --codec: invalid choice"),
        (["--container", "avi"], "argument --container: invalid choice"),
        (["--convert", "flac"], "argument --convert: invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_value_that_cannot_be_used_is_told_with_what_can(words, sentence):
    with pytest.raises(CommandError) as raised:
        call_command("mass_download", "--channel", "@ann", *words)
    assert sentence in str(raised.value)


def test_the_flags_are_the_options_of_the_session(sheet, capsys):
    written = sheet("a.json", '{"channels": ["@ann"], "settings": {"codec": "av1", "hdr": true, "assets": ["info"], "limit": 2}}')
    flags = "--codec vp9 --no-hdr --audio-bitrate 96 --container mkv --convert hevc --subtitle-languages de,en --no-automatic-subtitles"
    assert code_of("--input", written, *flags.split(), "--assets", "all", "--detach") == 0
    assert Options.of(DownloadSession.objects.get().options) == Options(
        codec="vp9",
        audio_bitrate=96,
        container="mkv",
        convert="hevc",
        limit=2,
        assets=ASSETS,
        subtitle_languages=("de", "en"),
        automatic_subtitles=False,
    )
    assert "vp9 where it is offered, sound of at most 96 kbit/s, in mkv files, converted to hevc" in capsys.readouterr().out
    assert code_of("--input", written, "--assets", "none", "--detach") == 0
    assert Options.of(DownloadSession.objects.latest("pk").options) == Options(codec="av1", hdr=True, limit=2)


@pytest.mark.parametrize("how", ["--detach", "--dry-run"])
def test_a_flag_that_excludes_a_setting_of_the_sheet_is_refused(sheet, how):
    written = sheet("a.json", '{"channels": ["@ann"], "settings": {"container": "webm"}}')
    assert "A webm file cannot hold h264" in refused("--input", written, "--convert", "h264", how)
    assert not DownloadSession.objects.exists()


OF_EVERY_COMMAND = {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no-color", "force-color", "skip-checks"}


def test_the_readme_names_every_flag_and_no_other():
    parser = mass_download.Command().create_parser("manage.py", "mass_download")
    flags = {word for action in parser._actions for word in action.option_strings if word.startswith("--")}
    readme = (Path(mass_download.__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    rows = readme[readme.index("| flag |") :].partition("\n\n")[0].splitlines()[2:]
    assert {word for row in rows for word in re.findall(r"`(--[\w-]+)", row.split("|")[1])} == flags - {
        f"--{name}" for name in OF_EVERY_COMMAND
    }
    help_of = {action.dest: action for action in parser._actions}
    for name in ("quality", "codec", "container", "convert"):
        row = next(row for row in rows if row.startswith(f"| `--{name} "))
        assert re.findall(r"`(\w+)`", row.split("|")[2]) == list(help_of[name].choices)


@pytest.mark.parametrize("command", ["mass_download", "workers"])
def test_no_less_than_one_at_the_same_time(command):
    with pytest.raises(CommandError, match="whole number above 0"):
        call_command(command, "--max-concurrent=-1")


GOOD = "name,channel\nAnn,@ann\n"
NOTES = {
    "a column that is not known": ("a.csv", "name,channel,shoe size\nAnn,@ann,38\n"),
    "a setting that is not known": ("a.json", '{"channels": ["@ann"], "settings": {"qualty": 1}}'),
    "a channel twice": ("a.csv", "name,channel\nAnn,@ann\nAnn,@ann\n"),
}
REFUSALS = {
    "a row": ("a.csv", "name,channel\nAnn,@ann\nBob,nobody at all\n"),
    "a channel of two people": ("a.csv", "name,channel\nAnn,@ann\nBob,@ann\n"),
    "two columns of channels": ("a.csv", "name,channel,playlist\nAnn,@ann,@bob\n"),
}


@pytest.mark.parametrize("how", ["--detach", "--dry-run"])
@pytest.mark.parametrize(("name", "text"), NOTES.values(), ids=NOTES)
def test_a_note_is_told_and_the_code_is_0(sheet, capsys, how, name, text):
    assert code_of("--input", sheet(name, text), how) == 0
    assert capsys.readouterr().err.startswith("Note: ")


@pytest.mark.parametrize("how", ["--detach", "--dry-run"])
@pytest.mark.parametrize(("name", "text"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_told_and_the_code_is_1(sheet, capsys, how, name, text):
    assert code_of("--input", sheet(name, text), how) == 1
    assert not capsys.readouterr().err.startswith("Note: ")


def test_a_whole_file_refused_beside_a_good_one_is_code_1(sheet):
    assert code_of("--input", sheet("good.csv", GOOD), "--input", sheet("bad.csv", "<html>"), "--detach") == 1


def test_leaving_the_work_to_nobody_is_told(sheet, capsys):
    assert code_of("--input", sheet("a.csv", GOOD), "--detach") == 0
    assert "manage.py workers" in capsys.readouterr().err


def test_an_import_that_others_get_in_the_way_of_is_code_2(sheet, monkeypatch):
    def fail(*args, **kwargs):
        raise EnrolmentError("Somebody else is changing the same people.")

    monkeypatch.setattr(api, "enrol", fail)
    assert "Somebody else" in refused("--input", sheet("a.csv", GOOD), "--detach")
    assert "Somebody else" in refused("--input", sheet("a.csv", GOOD), "--dry-run")


@pytest.fixture
def borrowed(monkeypatch):
    """What workers were asked for; those given have listed every channel at once."""
    asked = []

    @contextmanager
    def lend(*, max_concurrent=None):
        asked.append(max_concurrent)
        Scan.objects.update(state="done")
        yield None

    monkeypatch.setattr(api, "borrowed_workers", lend)
    return asked


def test_the_borrowed_workers_have_the_size_the_sheet_or_the_command_line_says(sheet, borrowed):
    written = sheet("a.json", '{"channels": ["@ann"], "settings": {"max_concurrent": 3}}')
    assert code_of("--input", written) == 0
    assert code_of("--input", written, "--max-concurrent", "4") == 0
    assert code_of("--resume", "--max-concurrent", "5") == 0
    assert borrowed == [3, 4, 5]


def test_workers_that_do_not_stay_alive_are_code_2_and_the_session_stays(sheet, monkeypatch):
    @contextmanager
    def lend(**kwargs):
        raise api.WorkersFailed("The workers ended 3 times.")
        yield

    monkeypatch.setattr(api, "borrowed_workers", lend)
    assert refused("--input", sheet("a.csv", GOOD)) == "The workers ended 3 times."
    assert DownloadSession.objects.get().state == "running"
