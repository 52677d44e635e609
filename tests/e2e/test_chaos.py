"""The short chaos run, and proof that each of its promises can be seen broken."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from django.conf import settings

from bench.chaos.conductor import storage_complaints
from bench.chaos.evidence import Attempt, Evidence, LimitChange, Strike, Video
from bench.chaos.plan import WEIGHTS, draw_plan
from bench.chaos.promises import breaches
from bench.chaos.recovery import MOST_SECONDS, recoveries, standstills, too_long, too_slow

MINUTES = 0.8
FIVE_BY_TWO = LimitChange(0, 0, 5, 2)
WORKERS = 8


def attempt(number, video=1, channel=1, *, start, end, outcome="retry", worker="host:token:10"):
    return Attempt(number, video, channel, worker, start, end, outcome)


def kept(**over):
    """The evidence of a small run in which every promise held."""
    facts = Evidence(
        attempts=[attempt(1, start=10, end=20), attempt(2, start=20, end=30, outcome="stored")],
        videos=[Video(1, "a", "stored", "")],
        ended=[Video(1, "a", "stored", "")],
        expected={"a"},
        limits=[FIVE_BY_TWO],
        strikes=[],
        refused=[],
        probing=[],
        downtimes=[],
        tokens={"token": "A"},
        taken_scans={},
        retried_at=1000,
        is_drained=True,
        complaints=[],
        objects_wrong=[],
        orphans=[],
        uploads=[],
    )
    return replace(facts, **over)


def test_a_run_that_kept_its_promises_is_not_accused():
    assert not any(breaches(kept()).values())


@pytest.mark.parametrize(
    ("promise", "over"),
    [
        ("lost", {"expected": {"a", "b"}}),
        ("lost", {"videos": [Video(1, "a", "failed", "network")]}),
        ("lost", {"complaints": ["mass_download ended with 1"]}),
        ("not final", {"ended": [Video(1, "a", "pending", "network")]}),
        ("not final", {"ended": [Video(1, "a", "failed", "")]}),
        ("not final", {"is_drained": False}),
        ("not final", {"attempts": [attempt(1, start=10, end=None, outcome="")]}),
        ("stored twice", {"attempts": [attempt(n, start=n, end=n + 1, outcome="stored") for n in (1, 2)]}),
        ("overlapping", {"attempts": [attempt(1, start=10, end=20), attempt(2, start=19, end=30)]}),
        ("limit violations", {"attempts": [attempt(n, n, 1, start=n, end=20) for n in (1, 2, 3)]}),
        ("limit violations", {"attempts": [attempt(n, n, n, start=n, end=20) for n in range(1, 7)]}),
        ("objects wrong", {"objects_wrong": ["a: size is 1 in the row, 2 in the object"]}),
        ("orphan objects", {"orphans": ["the object k has no row"]}),
        ("orphan uploads", {"uploads": ["the upload u of k was never finished"]}),
    ],
)
def test_a_broken_promise_is_told_under_its_name_alone(promise, over):
    assert [name for name, sentences in breaches(kept(**over)).items() if sentences] == [promise]


@pytest.mark.parametrize(
    ("code", "said", "complaints"),
    [
        (0, "Removed: 1 object without a row.", []),
        (1, "Not removed: storage: no.\n", ["clean_storage ended with 1: Not removed: storage: no."]),
        (1, "Unknown command: 'clean_storage'", ["clean_storage ended with 1: Unknown command: 'clean_storage'"]),
    ],
    ids=["it works", "the storage refuses", "there is no such command"],
)
def test_a_storage_that_is_not_cleaned_is_a_broken_promise(code, said, complaints):
    stage = SimpleNamespace(run=lambda *words: (code, said))
    assert storage_complaints(stage) == complaints
    assert breaches(kept(complaints=complaints))["lost"] == complaints


def test_what_ran_before_limits_were_lowered_may_go_on_but_nothing_begins_above_them():
    limits = [FIVE_BY_TWO, LimitChange(15, 16, 3, 1)]
    before = [attempt(n, n, 1, start=10 + n, end=30) for n in (1, 2)]
    assert not breaches(kept(attempts=before, limits=limits))["limit violations"]
    while_written = attempt(3, 3, 2, start=15.5, end=30), attempt(4, 4, 2, start=15.6, end=30)
    assert not breaches(kept(attempts=[*before, *while_written], limits=limits))["limit violations"]
    later = attempt(5, 5, 1, start=17, end=30)
    assert len(breaches(kept(attempts=[*before, later], limits=limits))["limit violations"]) == 1


def test_a_kill_is_felt_until_its_videos_are_back_in_line_and_its_supervisor_takes_others():
    strike = Strike("kill_download_worker", 100, 100, "process 10", "A", "download", {10})
    lost = attempt(1, start=90, end=110, outcome="lost")
    by_another = attempt(2, 2, start=112, end=115, worker="host:other:20")
    by_its_own = attempt(3, 1, start=118, end=130, worker="host:token:11")
    (felt,) = recoveries(kept(strikes=[strike], attempts=[lost, by_another, by_its_own]), workers=WORKERS)
    assert (felt.seconds, felt.held) == (18, 1)
    (felt,) = recoveries(kept(strikes=[strike], attempts=[lost, by_another]), workers=WORKERS)
    assert felt.seconds == 900 and too_slow([felt])
    (felt,) = recoveries(kept(strikes=[strike], attempts=[lost, by_another, by_its_own], refused=[(105, 115)]), workers=WORKERS)
    assert felt.seconds == 8


def test_a_scan_that_nobody_takes_up_again_is_felt():
    strike = Strike("kill_scan_worker", 100, 100, "process 10", "A", "control", {10}, [(7, "claim")])
    (felt,) = recoveries(kept(strikes=[strike], taken_scans={(7, "claim"): 100 + MOST_SECONDS + 1}), workers=WORKERS)
    assert "scan 7" in too_slow([felt])[0]


def test_a_time_in_which_nobody_takes_a_video_is_noticed_unless_youtube_forbade_it():
    attempts = [attempt(1, start=10, end=11), attempt(2, 2, start=100, end=101)]
    assert too_long(standstills(kept(attempts=attempts)))
    assert not too_long(standstills(kept(attempts=attempts, refused=[(20, 90)])))


def test_a_seed_gives_the_same_plan_with_every_kind_in_it():
    plan = draw_plan(1, 60, every=2)
    assert plan == draw_plan(1, 60, every=2) != draw_plan(2, 60, every=2)
    assert {planned.kind for planned in plan} == WEIGHTS.keys()


def test_nothing_is_lost_doubled_or_left_behind_while_everything_fails(tmp_path):
    """About two minutes; `make chaos` does the same for ten, with the production lease."""
    results = tmp_path / "chaos.json"
    size = ["--minutes", str(MINUTES), "--every", "2", "--channels", "25", "--first", "8", "--more", "8", "--group", "8"]
    where = ["--folder", str(tmp_path / "world"), "--media", str(settings.VAR_DIR / "twin"), "--results", str(results)]
    command = [sys.executable, "-m", "bench.chaos", *size, *where, "--lease", "10", "--seed", "2026"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    result = json.loads(results.read_text())
    assert set(result["promises"].values()) == {0}
    assert result["stored"] == result["videos"] >= 200
    assert len(result["faults"]) >= 12
    assert result["attempts"].get("lost", 0) > 0, "some worker died over a video"
