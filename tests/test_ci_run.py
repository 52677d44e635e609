"""`.ci/run`: the checks on a machine that has nothing, run in order; what the machine lacks is said in a sentence."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

NEW_PYTHON = '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.12.1\nexit 0\n'
OLD_PYTHON = "#!/bin/sh\nexit 1\n"
NO_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n'
MAKE = '#!/bin/sh\necho "make $* with $PYTHON, browser $TEST_BROWSER, input [$(cat)]"\n[ "$1" != "$MAKE_FAILS_AT" ]\n'
BROWSER = "#!/bin/sh\n"
APT_GET = '#!/bin/sh\n[ "$1" = update ] || { echo "#!/bin/sh" >"${0%/*}/chromium" && /bin/chmod +x "${0%/*}/chromium"; }\n'
APT_GET_FAILS = "#!/bin/sh\nexit 100\n"
ROOT_USER, ANOTHER_USER = "#!/bin/sh\necho 0\n", "#!/bin/sh\necho 1000\n"


@pytest.fixture
def run_checks(tmp_path):
    """Runs .ci/run on a machine that has the given programs, bash and a few of the basic ones."""

    def run(programs: dict[str, str], **variables: str) -> subprocess.CompletedProcess:
        for name in ("bash", "dirname", "cat", "sh"):
            (tmp_path / name).symlink_to(shutil.which(name))
        for name, text in programs.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        command = [str(tmp_path / "bash"), str(ROOT / ".ci" / "run")]
        environment = {"PATH": str(tmp_path), "CI": "true", **variables}
        return subprocess.run(command, cwd="/", env=environment, input="y\n", capture_output=True, text=True, check=False)

    return run


def test_the_checks_run_in_order_and_ask_nothing(run_checks):
    result = run_checks({"python3": NEW_PYTHON, "make": MAKE, "chromium": BROWSER})
    assert result.returncode == 0
    steps = [f"make {target} with python3, browser required, input []" for target in ("setup", "lint", "test")]
    assert result.stdout.splitlines() == ["Python 3.12.1", *steps]


def test_the_checks_stop_at_the_first_that_fails(run_checks):
    result = run_checks({"python3": NEW_PYTHON, "make": MAKE, "chromium": BROWSER}, MAKE_FAILS_AT="lint")
    assert result.returncode != 0
    assert "make test" not in result.stdout


def test_an_old_python_does_not_hide_a_newer_one(run_checks):
    result = run_checks({"python3": OLD_PYTHON, "python3.12": NEW_PYTHON, "make": MAKE, "chromium": BROWSER})
    assert "make test with python3.12" in result.stdout


def test_a_missing_browser_is_installed(run_checks):
    result = run_checks({"python3": NEW_PYTHON, "make": MAKE, "id": ROOT_USER, "apt-get": APT_GET})
    assert (result.returncode, result.stderr) == (0, "")
    assert "make test with python3, browser required" in result.stdout


@pytest.mark.parametrize(
    ("programs", "variables", "sentence"),
    [
        ({"python3": OLD_PYTHON, "make": MAKE}, {}, "massdl needs Python 3.11 or newer, and python3 is not"),
        ({"python3": NEW_PYTHON, "make": MAKE}, {"PYTHON": "python2"}, "massdl needs Python 3.11 or newer, and python2 is not"),
        ({"python3": NO_VENV, "make": MAKE}, {}, "python3 cannot make virtual environments"),
        ({"python3": NEW_PYTHON}, {}, "make is missing"),
        ({"python3": NEW_PYTHON, "make": MAKE}, {}, "Chromium, which is missing; install it"),
        ({"python3": NEW_PYTHON, "make": MAKE, "id": ANOTHER_USER, "apt-get": APT_GET}, {}, "sudo apt-get install chromium"),
        ({"python3": NEW_PYTHON, "make": MAKE, "id": ROOT_USER, "apt-get": APT_GET_FAILS}, {}, "apt-get update failed"),
    ],
    ids=["old", "named and missing", "no venv", "no make", "no browser", "no right to install it", "no package server"],
)
def test_what_a_machine_lacks_is_said_in_a_sentence(run_checks, programs, variables, sentence):
    result = run_checks(programs, **variables)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "make test" not in result.stdout
