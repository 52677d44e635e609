"""Operations are fixed and counted when they are asked for; what is begun does no more than was agreed to."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion.models import Operation
from ingestion.operations import begin, find_verb, words
from ingestion.operations.verbs import VERBS
from people.models import Channel
from tests.factories import make_channel, make_video
from tests.ingestion.test_operations.steps import asked, done, state_of, statuses, tell, work_all
from videos.models import Video

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)


def test_what_is_asked_for_is_counted_and_nothing_is_done(user):
    for status in ("failed", "unavailable", "stored"):
        make_video(status=status)
    operation = asked("retry", Video.objects.all(), user)
    verb = find_verb(Video, "retry")
    assert words.question(operation, verb) == "Retry 2 videos?"
    assert words.warning(operation, verb, at_once=True) == (
        "They are downloaded as soon as it is their turn, with all their attempts before them. What YouTube refuses for good, such as "
        "private videos, fails again until its owner changes that. Of the 3 chosen 1 is left alone: it did not fail. "
        "It can be undone for a week, where nothing else has changed meanwhile."
    )
    assert (operation.state, statuses()) == ("asked", ["failed", "unavailable", "stored"])
    assert work_all() == 0


def test_where_the_verb_fits_nothing_there_is_no_operation(user):
    make_video(status="stored")
    assert asked("retry", Video.objects.all(), user) is None
    assert not Operation.objects.exists()


def test_rows_that_come_to_fit_later_are_not_touched():
    _first, second = make_video(status="failed"), make_video(status="stored")
    operation = asked("retry", Video.objects.all())
    Video.objects.filter(pk=second.pk).update(status="failed", error_kind="network")
    assert begin(operation)
    assert statuses() == ["pending", "failed"]
    assert tell(operation) == "1 video will be tried again. 1 left alone: it did not fail."


def test_what_does_not_fit_any_more_when_it_is_begun_is_left_alone_and_told():
    first, second = make_video(status="failed"), make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    Video.objects.filter(pk=second.pk).update(status="skipped")
    Video.objects.filter(pk=first.pk).delete()
    begin(operation)
    assert tell(operation) == "1 video will be tried again. 1 left alone: it did not fail."


def test_what_ended_after_the_question_is_not_counted():
    first, _second = make_video(), make_video()
    operation = asked("prioritise", Video.objects.all())
    Video.objects.filter(pk=first.pk).update(status="skipped")
    begin(operation)
    assert tell(operation) == "1 video will go first. 1 left alone: it is over, or goes first already."
    first.refresh_from_db()
    assert first.priority == 0


def test_it_is_begun_once():
    make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    assert (begin(operation), begin(operation)) == (True, False)
    assert state_of(operation) == "done"


def test_the_number_of_channels_is_that_of_those_it_can_do_something_to(user):
    make_channel(state="paused"), make_channel(), make_channel()
    waiting = make_video(next_attempt_at=timezone.now() + LATER).channel
    assert asked("resume", Channel.objects.all(), user).total == 2
    assert asked("pause_now", Channel.objects.all(), user).total == 3
    assert asked("resume", Channel.objects.filter(pk=waiting.pk), user).total == 1


@pytest.mark.parametrize("model", VERBS)
def test_every_verb_has_its_words(model):
    for verb in VERBS[model].values():
        assert "{rows}" in verb.question and verb.question.endswith("?")
        assert verb.warning.endswith(".") and verb.done and all(verb.left)
        assert (verb.work is None) == verb.examines


def test_asking_and_doing_cost_the_same_for_any_number_of_rows(user):
    def queries(name: str) -> int:
        operation = None
        with CaptureQueriesContext(connection) as captured:
            operation = done(name, Video.objects.all(), user)
        assert operation.state == "done"
        return len(captured)

    make_video(status="failed")
    few = queries("retry")
    for _ in range(20):
        make_video(status="failed")
    assert queries("retry") == few
