"""Pause, resume and cancel as actions of a list and of a page, for whatever `ingestion.steering` has a scope for."""

from dataclasses import replace
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action

from ingestion import leases, steering
from ingestion.admin.page_actions import PageActions
from ingestion.models import Scan
from ingestion.steering import Scope, Steered
from videos.admin import TellsCounts
from videos.cells import number_of
from videos.models import Video
from videos.paginator import capped_count


class SteeringActions(PageActions, TellsCounts):
    """For an admin. `left_alone` gives for each verb the reasons for rows it does not change, for one and for many."""

    left_alone: ClassVar[dict[str, tuple[str, str]]]
    resumed = "will go on"
    grave_actions = ("cancel", "cancel_now")

    def scope(self, queryset: QuerySet[Any]) -> Scope:
        """The chosen rows, whatever becomes of their states meanwhile."""
        raise NotImplementedError

    def resumable(self, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """The rows that `resume` changes; None where the rows are videos, which it counts."""
        return None

    def cancellable(self, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """The same for `cancel`."""
        return None

    def unfinished(self, obj: Any) -> int:
        """Videos of a row that a cancel would give up, no more of them counted than a page needs; asked once for a page."""
        if isinstance(obj, Video):
            return int(obj.status in (Video.Status.PENDING, Video.Status.DOWNLOADING))
        if not hasattr(obj, "unfinished_videos"):
            obj.unfinished_videos = capped_count(self.scope(self.model.objects.filter(pk=obj.pk)).videos().unfinished())
        return obj.unfinished_videos

    def warning(self, request: HttpRequest, obj: Any, name: str) -> str:
        return cancel_warning(self.unfinished(obj), now=name == "cancel_now")

    def has_change_videos_permission(self, request: HttpRequest) -> bool:
        """For what decides about each video, as to give it up or to try it again; holding a row back is the row's own matter."""
        return self.has_change_permission(request) and request.user.has_perm("videos.change_video")

    @action(description="Pause: let running ones finish", permissions=["change"])
    def pause(self, request, queryset):
        self._pause(request, queryset, now=False)

    @action(description="Pause now: stop running ones", permissions=["change"])
    def pause_now(self, request, queryset):
        self._pause(request, queryset, now=True)

    @action(description="Resume: go on at once", permissions=["change"])
    def resume(self, request, queryset):
        selected, scope = queryset.count(), self.scope(queryset)
        with transaction.atomic():
            leases.lock_limits()
            rows = _number_of_rows(self.resumable(queryset))
            done = steering.resume(scope)
        changed, also = (done.videos, woken_words(replace(done, videos=0))) if rows is None else (rows, woken_words(done))
        self.say_counts(request, selected=selected, changed=changed, done=self.resumed, left=self.left_alone["resume"], also=also)

    @action(description="Cancel: let running ones finish", permissions=["change_videos"])
    def cancel(self, request, queryset):
        self._cancel(request, queryset, now=False)

    @action(description="Cancel now: stop running ones", permissions=["change_videos"])
    def cancel_now(self, request, queryset):
        self._cancel(request, queryset, now=True)

    def _pause(self, request: HttpRequest, queryset: QuerySet[Any], *, now: bool) -> None:
        selected, scope = queryset.count(), self.scope(queryset)
        done = steering.pause(scope, now=now, reason=f"Paused by {request.user}.")
        also = running_words(scope, done, now=now) if done.changed or done.stopped else []
        left = self.left_alone["pause"]
        self.say_counts(request, selected=selected, changed=done.changed, done="paused", left=left, also=also)

    def _cancel(self, request: HttpRequest, queryset: QuerySet[Any], *, now: bool) -> None:
        selected, scope = queryset.count(), self.scope(queryset)
        with transaction.atomic():
            leases.lock_limits()
            rows = _number_of_rows(self.cancellable(queryset))
            done = steering.cancel(scope, now=now, reason=f"Cancelled by {request.user}.")
        changed, also = (done.videos, given_up_words(replace(done, videos=0))) if rows is None else (rows, given_up_words(done))
        also += running_words(scope, done, now=now) if changed or also else []
        left = self.left_alone["cancel"]
        self.say_counts(request, selected=selected, changed=changed, done="cancelled", left=left, also=also)


def _number_of_rows(queryset: QuerySet[Any] | None) -> int | None:
    return None if queryset is None else queryset.count()


def running_words(scope: Scope, done: Steered, *, now: bool) -> list[str]:
    """What becomes of what runs, as a sentence or none."""
    if now:
        return [f"{number_of(done.stopped, 'running job')} will stop within seconds."] if done.stopped else []
    downloads = scope.videos().filter(status=Video.Status.DOWNLOADING).count()
    scans = scope.scans().filter(state=Scan.State.RUNNING).count()
    jobs = in_words((downloads, "running download"), (scans, "running scan"), (steering.assets_in_work(scope), "running job on assets"))
    return [f"{jobs} may finish."] if jobs else []


def cancel_warning(unfinished: int, *, now: bool) -> str:
    """What a cancel would do by now; a count that ended early says so."""
    videos = f"{unfinished or 'No'} video{'' if unfinished == 1 else 's'} will be given up and not downloaded"
    running = "What runs stops within seconds." if now else "What runs may finish."
    return f"{videos}, with the scans and assets that wait. {running} A retry brings back what was given up."


def woken_words(done: Steered) -> list[str]:
    woken = in_words((done.videos, "waiting video"), (done.assets, "waiting asset"))
    return [f"{woken} may be tried at once."] if woken else []


def given_up_words(done: Steered) -> list[str]:
    given_up = in_words((done.videos, "video"), (done.scans, "scan"), (done.assets, "asset"))
    return [f"{given_up} given up."] if given_up else []


def in_words(*counts: tuple[int, str]) -> str:
    """`3 videos and 1 scan`, `1 video, 1 scan and 2 assets`; "" for nothing."""
    *others, last = [number_of(count, noun) for count, noun in counts if count] or [""]
    return " and ".join(filter(None, (", ".join(others), last)))
