import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from ingestion import budget
from ingestion.errors import DeferredError, FleetError
from ingestion.models import Budget, Limits

pytestmark = pytest.mark.django_db


@pytest.fixture
def waits():
    """What each request was told to wait, in seconds, without waiting."""
    return []


def test_requests_are_spaced_by_the_rate(settings, waits):
    settings.REQUESTS_PER_SECOND = 10
    for _ in range(5):
        budget.spend(sleep=waits.append)
    assert sum(waits) == pytest.approx(0.1 + 0.2 + 0.3 + 0.4, abs=0.15)
    assert Budget.objects.get().used_this_hour == 5


def test_a_long_wait_asks_now_and_then_whether_to_go_on(settings, waits):
    settings.REQUESTS_PER_SECOND = 0.5
    budget.spend(sleep=waits.append)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        budget.spend(check=stop, sleep=waits.append)


def spend_at(minutes_ago, times=1):
    """Requests that left some minutes ago."""
    budget.spend(sleep=lambda seconds: None)
    row = Budget.objects.get()
    Budget.objects.update(minutes=[times, *row.minutes[1:]], minute_at=row.minute_at - timedelta(minutes=minutes_ago))


def test_the_hours_allowance_is_not_overdrawn_and_says_until_when(settings, waits):
    settings.REQUESTS_PER_SECOND, settings.REQUESTS_PER_HOUR = 1000, 3
    for _ in range(3):
        budget.spend(sleep=waits.append)
    with pytest.raises(DeferredError) as caught:
        budget.spend(sleep=waits.append)
    assert caught.value.kind == "budget_spent"
    assert timedelta(minutes=60) <= caught.value.not_before - Budget.objects.get().minute_at <= timedelta(minutes=61)
    assert budget.open_until()[1] == "budget_spent"


@pytest.mark.parametrize(("minutes_ago", "left"), [(0, 0), (30, 0), (60, 0), (61, 3), (600, 3)])
def test_every_sixty_minutes_keep_to_the_allowance_wherever_they_begin(settings, minutes_ago, left):
    settings.REQUESTS_PER_SECOND, settings.REQUESTS_PER_HOUR = 1000, 3
    spend_at(minutes_ago, times=3)
    spent = 0
    with pytest.raises(DeferredError):
        while spent < 9:
            budget.spend(sleep=lambda seconds: None)
            spent += 1
    assert spent == left
    assert Budget.objects.get().used_this_hour == 3 == budget.state().used_this_hour


def test_the_allowance_comes_back_as_the_oldest_requests_grow_old(settings):
    settings.REQUESTS_PER_SECOND, settings.REQUESTS_PER_HOUR = 1000, 3
    spend_at(40, times=2)
    budget.spend(sleep=lambda seconds: None)
    minute = timezone.now().replace(second=0, microsecond=0)
    assert budget.open_until()[0] - minute == timedelta(minutes=21)


def test_what_staff_allow_counts_before_what_the_host_was_given(settings, waits):
    settings.REQUESTS_PER_SECOND, settings.REQUESTS_PER_HOUR = 1000, 1000
    Limits.row()
    Limits.objects.update(requests_per_hour=2, requests_per_second=5, breaker_seconds=7)
    for _ in range(2):
        budget.spend(sleep=waits.append)
    assert sum(waits) == pytest.approx(0.2, abs=0.1)
    with pytest.raises(DeferredError):
        budget.spend(sleep=waits.append)
    assert budget.refused("captcha") - timezone.now() == pytest.approx(timedelta(seconds=7), abs=timedelta(seconds=2))


def test_staff_may_have_the_breaker_probed_before_its_time():
    assert not budget.probe(Budget.objects.all())
    budget.refused("bot_check")
    assert budget.state().breaker == budget.OPEN
    assert budget.probe(Budget.objects.all())
    assert (budget.state().breaker, budget.state().kind, budget.state().closed_until) == (budget.HALF_OPEN, "bot_check", None)
    assert budget.accepted()
    assert budget.state().breaker == budget.CLOSED


def test_a_refusal_stops_everybody_and_doubles_only_when_it_comes_again(settings, waits):
    settings.BREAKER_SECONDS = 60
    first = budget.refused("bot_check")
    assert budget.refused("rate_limited") == first, "one refusal that several workers saw"
    with pytest.raises(FleetError) as caught:
        budget.spend(sleep=waits.append)
    assert isinstance(caught.value, budget.BreakerOpen)
    Budget.objects.update(open_until=timezone.now())
    second = budget.refused("bot_check")
    assert (second - timezone.now()).total_seconds() == pytest.approx(120, abs=10)


def test_an_answer_after_the_wait_closes_the_breaker(settings):
    budget.refused("bot_check")
    assert not budget.accepted(), "an answer that was on its way when YouTube refused proves nothing"
    Budget.objects.update(open_until=timezone.now())
    assert budget.accepted()
    assert Budget.objects.values_list("refusals", "open_reason", "open_until").get() == (0, "", None)
    assert budget.open_until() is None


@pytest.mark.django_db(transaction=True)
def test_racing_requests_get_slots_of_their_own(settings):
    settings.REQUESTS_PER_SECOND = 20
    waits, before = [], time.monotonic()

    def ask():
        try:
            for _ in range(5):
                budget.spend(sleep=lambda seconds: waits.append(seconds))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    reserved = (Budget.objects.get().next_slot_at - timezone.now()).total_seconds() + time.monotonic() - before
    assert reserved >= 19 / 20, "20 requests reserve 20 slots, whoever asks"
