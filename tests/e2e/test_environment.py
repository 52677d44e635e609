"""The same job from the environment alone, against any database, any S3 server and any stand-in for YouTube."""

import json
import os

import psycopg
import pytest

from demo.world import World
from massdl_site.embedded import postgres_url
from tests.e2e.conftest import run


@pytest.fixture(scope="module")
def outside(world):
    """A world described by nothing but the documented variables; its database is another one on the same server."""
    url = postgres_url(world.folder / "postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE outside")
    names = ("MASSDL_S3_BUCKET", "AWS_S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MASSDL_YTDLP_OPTIONS")
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url.replace("/postgres?", "/outside?"),
        "MASSDL_SECRET_KEY": "a test's key",
        "MASSDL_VAR_DIR": str(world.folder / "outside"),
        "MASSDL_REQUESTS_PER_SECOND": "50",
        **{name: world.environment[name] for name in names},
    }
    outside = World(world.folder, environment, world.twin)
    assert run(outside, "migrate", "--verbosity", "0").code == 0
    return outside


def test_a_sheet_is_downloaded_with_nothing_but_variables_set(outside, tmp_path):
    sheet, report = tmp_path / "sheet.csv", tmp_path / "report.json"
    sheet.write_text("name,email,type,channel_url\nAnn,ann@example.org,x,https://www.youtube.com/@tiny3\n")
    outcome = run(outside, "mass_download", "--input", str(sheet), "--report-file", str(report))
    assert outcome.code == 0, outcome.said
    assert json.loads(report.read_text())["totals"]["stored"] == 3
    assert run(outside, "audit", "--report", str(report)).code == 0


def test_the_demo_is_no_part_of_an_installation_with_a_database_of_its_own(outside):
    outcome = run(outside, "demo", "--once")
    assert outcome.code != 0 and "Unknown command" in outcome.said


def test_wrong_variables_are_named_with_their_value_and_what_is_allowed(outside):
    outcome = run(outside, "check", env={"MASSDL_DOWNLOAD_WORKERS": "many"})
    assert outcome.code == 2 and "Traceback" not in outcome.said
    assert "MASSDL_DOWNLOAD_WORKERS is 'many'; allowed: a whole number" in outcome.said


def test_a_misspelt_variable_is_pointed_out(outside):
    outcome = run(outside, "check", env={"MASSDL_S3_BUKET": "x"})
    assert "MASSDL_S3_BUKET is set" in outcome.said and "MASSDL_S3_BUCKET" in outcome.said
