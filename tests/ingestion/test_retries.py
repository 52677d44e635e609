from datetime import UTC, datetime, timedelta

import pytest

from ingestion.errors import KINDS, ArchiveError, error
from ingestion.retries import DEFERRED_LOOK, next_attempt, spends_attempt

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "attempts", "seconds"),
    [
        pytest.param("network", 1, 1, id="first failure waits the base"),
        pytest.param("network", 2, 2, id="doubled"),
        pytest.param("network", 3, None, id="attempts are spent"),
        pytest.param("unknown", 1, 1, id="what was never seen is transient"),
        pytest.param("private", 1, None, id="permanent is never tried again"),
        pytest.param("bot_check", 9, 0, id="the fleet's refusal spends nothing"),
        pytest.param("misconfigured", 9, 60, id="our own set-up spends nothing, and nobody spins"),
        pytest.param("upcoming", 9, DEFERRED_LOOK.total_seconds(), id="deferred without a time looks again in an hour"),
    ],
)
def test_the_next_attempt_follows_the_kind(kind, attempts, seconds):
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert next_attempt(error(kind), attempts, NOW, jitter=0) == expected


def test_backoff_is_capped_and_jitter_adds_a_fifth_at_most():
    late = next_attempt(error("network"), 98, NOW, max_attempts=99, cap=timedelta(minutes=7), jitter=1)
    assert late == NOW + timedelta(minutes=7) * 1.2


def test_a_premiere_waits_for_its_announced_time_and_never_lies_in_the_past():
    soon = NOW + timedelta(hours=3)
    assert next_attempt(error("upcoming", not_before=soon), 1, NOW) == soon
    assert next_attempt(error("upcoming", not_before=NOW - timedelta(hours=3)), 1, NOW) == NOW


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_its_error_and_has_sentences_for_staff(kind):
    failure = error(kind)
    assert isinstance(failure, ArchiveError) and failure.kind == kind
    assert spends_attempt(failure) == (failure.treatment in ("permanent", "transient"))
    assert KINDS[kind].meaning.endswith(".") and KINDS[kind].advice.endswith(".")
