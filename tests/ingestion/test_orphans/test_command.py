import pytest
from django.core.management import CommandError, call_command

from ingestion.management.commands import clean_storage
from ingestion.store import Store
from tests.factories import make_attempt
from tests.ingestion.media.stores import make_s3_storage
from tests.ingestion.test_orphans.leftovers import begin, key_of, keys, put, remember, set_video, uploads

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(store, monkeypatch, capsys):
    monkeypatch.setattr(clean_storage.Store, "default", lambda: store)

    def run(*arguments):
        call_command("clean_storage", *arguments)
        return capsys.readouterr().out.splitlines()

    return run


def test_it_says_what_it_removed_and_what_it_left_alone(run, store):
    attempt = make_attempt(outcome="lost")
    put(store, key_of(attempt))
    begin(store, key_of(attempt))
    put(store, "notes.txt")
    assert run("--older-than", "0") == [
        "Removed: 1 object without a row (5 bytes), 1 upload that nobody knows, what 0 attempts had begun to upload.",
        "Left alone: 1 with names that are not ours.",
    ]
    assert (keys(store), uploads(store)) == ({"notes.txt"}, set())


def test_what_is_younger_than_an_hour_stays_by_default(run, store):
    attempt = make_attempt(outcome="lost")
    put(store, key_of(attempt))
    run()
    assert keys(store) == {key_of(attempt)}


def test_a_dry_run_names_what_it_would_remove(run, store):
    attempt = make_attempt(outcome="lost")
    put(store, key_of(attempt))
    lines = run("--older-than", "0", "--dry-run")
    assert lines[0] == f"{key_of(attempt)}: an object without a row"
    assert lines[1].startswith("Would remove: 1 object")
    assert keys(store) == {key_of(attempt)}


def test_a_dry_run_names_what_an_attempt_remembers_once(run, store):
    attempt = make_attempt()
    remember(attempt, put(store, key_of(attempt)), outcome="lost")
    set_video(attempt, "failed")
    assert run("--older-than", "0", "--dry-run") == [
        f"{key_of(attempt)}: an attempt remembers its upload, which is over",
        "Would remove: 0 objects without a row (0 bytes), 0 uploads that nobody knows, what 1 attempt had begun to upload.",
    ]
    assert keys(store) == {key_of(attempt)}


@pytest.mark.parametrize("age", ["-1", "nan", "inf", "1e300", "soon"])
def test_an_age_that_is_none_is_refused(age, folder_store):
    with pytest.raises(CommandError, match="number of seconds"):
        call_command("clean_storage", f"--older-than={age}")


def test_a_wrong_setup_ends_with_2_and_says_what_to_mend(moto_endpoint, monkeypatch):
    monkeypatch.setattr(clean_storage.Store, "default", lambda: Store(make_s3_storage(moto_endpoint, "missing")))
    with pytest.raises(CommandError, match="MASSDL_S3_BUCKET") as caught:
        call_command("clean_storage")
    assert caught.value.returncode == 2
