"""What all hosts share: limits, the allowance of requests, workers."""

from collections import Counter

from django.contrib import admin, messages
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from ingestion import budget, operations, schedule, steering
from ingestion.admin.bulk_actions import tell, to_be_downloaded
from ingestion.admin.kinds import MEANINGS, meaning_with_link
from ingestion.admin.limits_form import LimitsForm, TellsBlanks
from ingestion.admin.page_actions import PageActions
from ingestion.admin.windows import WindowInline
from ingestion.models import Budget, DownloadSession, Limits, Scan, Worker
from ingestion.operations import MOST_VIDEOS_AT_ONCE, find_verb
from ingestion.operations.steered import given_up, running
from ingestion.operations.words import also, title
from ingestion.roster import ALIVE, SUPERVISOR
from ingestion.steering import Everything, Steered
from videos import tallies
from videos.admin import PlainChangeList, ReadOnlyAdmin, WidePages
from videos.cells import NOTHING, kind_label, label, moment, one_line, video_link
from videos.models import Video
from videos.paginator import capped_count

QUEUES = {SUPERVISOR: "Supervisor", "control": "Scans", "download": "Downloads"}
GIVEN_UP = (
    "All that is still owed, of all sessions, channels and hosts, is given up and not downloaded. To resume a session brings back "
    "what is its own."
)


@admin.register(Limits)
class LimitsAdmin(TellsBlanks, WidePages, PageActions, ModelAdmin):
    """The one row: its list is its page. Pausing is for the buttons, which say what came of it, and not for the form."""

    form = LimitsForm
    actions = ("pause_everything", "pause_everything_now", "resume_everything", "cancel_everything", "cancel_everything_now")
    grave_actions = ("cancel_everything", "cancel_everything_now")
    fieldsets = (
        ("Pause", {"fields": (("state", "why"),)}),
        ("How much at once", {"fields": (("max_concurrent_channels", "max_concurrent_videos_per_channel"), "scan_batch_size")}),
        ("Attempts", {"fields": ("max_attempts", ("backoff_base_seconds", "backoff_cap_seconds"))}),
        ("Requests to YouTube", {"fields": (("requests_per_second", "requests_per_hour"), "breaker_seconds")}),
        ("Speed and daily caps", {"fields": ("megabytes_per_second", ("max_videos_per_day", "max_gigabytes_per_day"))}),
        ("Schedule", {"fields": (("rescan_every_hours", "time_zone"), "at_this_moment")}),
    )
    readonly_fields = ("state", "why", "at_this_moment")
    inlines = (WindowInline,)

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def changelist_view(self, request, extra_context=None):
        """Takes the buttons' posts and shows the one page for all else."""
        limits = Limits.row()
        if request.method == "POST" or not self.has_view_or_change_permission(request):
            return super().changelist_view(request, extra_context)
        return redirect("admin:ingestion_limits_change", limits.pk)

    def names_of_page_actions(self, request, obj):
        first = "resume_everything" if obj.paused else "pause_everything"
        return (first, "pause_everything_now", *self.grave_actions)

    def warning(self, request, obj, name):
        unfinished = to_be_downloaded(tallies.archive().waiting)
        runs = "What runs is stopped within seconds." if name.endswith("_now") else "What runs may finish."
        return f"{unfinished} {GIVEN_UP} {runs}"

    def save_model(self, request, obj, form, change):
        """Writes what was changed and nothing else: every claim locks this row."""
        if form.changed_data:
            obj.save(update_fields=form.changed_data)

    @action(description="Pause everything: begin nothing new and let what runs finish", permissions=["change"])
    def pause_everything(self, request, queryset):
        self._pause(request, now=False)

    @action(description="Pause everything and stop what runs: within seconds, and at no cost to attempts", permissions=["change"])
    def pause_everything_now(self, request, queryset):
        self._pause(request, now=True)

    @action(description="Resume everything: what was paused one by one stays paused", permissions=["change"])
    def resume_everything(self, request, queryset):
        if not steering.resume(Everything()).changed:
            self.message_user(request, "Everything was not paused.", messages.WARNING)
            return
        waiting = capped_count(Video.objects.due())
        sentence = f"Everything goes on; {waiting} video{'' if waiting == 1 else 's'} may be begun."
        hold = schedule.held_until(Limits.row(), timezone.now())
        self._tell(request, f"{sentence} {hold.in_words()}" if hold else sentence)

    @action(description="Cancel everything: give up all that is not stored; what runs may finish", permissions=["change"])
    def cancel_everything(self, request, queryset):
        self._cancel(request, now=False)

    @action(description="Cancel everything and stop what runs: give up all that is not stored", permissions=["change"])
    def cancel_everything_now(self, request, queryset):
        self._cancel(request, now=True)

    def _cancel(self, request, *, now):
        """Of a large archive it is given up in the background, session by session; all of them are held at once."""
        if capped_count(Video.objects.unfinished(), MOST_VIDEOS_AT_ONCE + 1) > MOST_VIDEOS_AT_ONCE:
            verb = find_verb(DownloadSession, "cancel_now" if now else "cancel")
            if operation := operations.ask(verb, DownloadSession.objects.all(), request.user):
                operations.begin(operation)
                self.log_change(request, Limits.row(), title(operation))
                tell(request, operation)
                return
        done = steering.cancel(Everything(), now=now, reason=f"Cancelled by {request.user}.")
        if not (counts := +given_up(done)) and not done.changed:
            self.message_user(request, "There was nothing to cancel.", messages.WARNING)
            return
        words = [*also(counts + _running(done, now=now)), "Resume a session to bring back what is its own."]
        self._tell(request, f"Everything is cancelled. {' '.join(words)}")

    def _pause(self, request, *, now):
        done = steering.pause(Everything(), now=now, reason=f"Paused by {request.user}.")
        words = " ".join(also(_running(done, now=now))) or "Nothing was running."
        state = "paused" if done.changed else "paused already"
        if done.changed or done.stopped:
            self._tell(request, f"Everything is {state}; {words[0].lower()}{words[1:]}")
        else:
            self.message_user(request, f"Everything is {state}. {words}", messages.WARNING)

    def _tell(self, request, sentence):
        """Also to whoever reads the history of the page."""
        self.log_change(request, Limits.row(), sentence)
        self.message_user(request, sentence, messages.SUCCESS)

    @display(description="state")
    def state(self, limits):
        return label("Everything is paused", "danger") if limits.paused else label("Not paused", "success")

    @display(description="why")
    def why(self, limits):
        return limits.paused_reason or NOTHING

    @display(description="windows and caps")
    def at_this_moment(self, limits):
        """By what is in force: the page's own row may carry what was refused just now."""
        hold = schedule.held_until(Limits.row(), timezone.now())
        return hold.in_words() if hold else "Downloads may begin."


def _running(done: Steered, *, now: bool) -> Counter[str]:
    """What becomes of what runs."""
    return Counter(stopped=done.stopped) if now else running(Everything())


class BudgetChangeList(PlainChangeList):
    """Gives each row of the page its `now`."""

    def get_results(self, request):
        super().get_results(request)
        limits = Limits.row()
        for row in self.result_list:
            row.now = budget.state_of(row, limits)


@admin.register(Budget)
class BudgetAdmin(PageActions, ReadOnlyAdmin):
    list_display = ("asked_as", "breaker", "used", "rate", "problem", "refused")
    actions = ("ask_again_now",)
    readonly_fields = ("asked_as", "breaker", "used", "rate", "next_request", "refused", "problem", "what_it_means")

    def get_changelist(self, request, **kwargs):
        return BudgetChangeList

    def get_object(self, request, object_id, from_field=None):
        row = super().get_object(request, object_id, from_field)
        if row:
            row.now = budget.state_of(row, Limits.row())
        return row

    def get_fieldsets(self, request, obj=None):
        """The reason is shown when there is one."""
        fields = (("asked_as", "breaker"), ("used", "rate"), ("next_request", "refused"))
        return [(None, {"fields": (*fields, *([("problem", "what_it_means")] if obj.now.kind else []))})]

    def names_of_page_actions(self, request, obj):
        return self.actions if obj.now.breaker == budget.OPEN else ()

    @action(description="Ask YouTube again now: one request finds out whether it answers", permissions=["change"])
    def ask_again_now(self, request, queryset):
        selected = queryset.count()
        left = ("its breaker is not open", "their breakers are not open")
        done = "may ask YouTube again: one request finds out whether it answers"
        self.say_counts(request, selected=selected, changed=budget.probe(queryset), done=done, left=left)

    @display(description="who asks")
    def asked_as(self, row):
        return "A guest, without an account" if row.identity == "guest" else f"The account of {row.identity}"

    @display(description="refused in a row")
    def refused(self, row):
        return f"{row.refusals:,}"

    @display(description="may YouTube be asked")
    def breaker(self, row):
        return breaker_label(row.now)

    @display(description="used in the last hour")
    def used(self, row):
        return one_line(used_words(row.now))

    @display(description="rate")
    def rate(self, row):
        return one_line(f"{row.now.per_second:g} per second")

    @display(description="next request may leave")
    def next_request(self, row):
        first = max(row.next_slot_at, row.now.closed_until or row.next_slot_at)
        return moment(first) if first > timezone.now() else "Now"

    @display(description="why")
    def problem(self, row):
        return kind_label(row.now.kind, MEANINGS)

    @display(description="what this means")
    def what_it_means(self, row):
        return meaning_with_link(row.now.kind)


def breaker_label(now: budget.State) -> str:
    """The breaker stands for refusals; an hour's allowance that is spent leaves it closed."""
    words = {
        budget.CLOSED: ("Yes: requests may leave", "success"),
        budget.HALF_OPEN: ("One request finds out", "warning"),
        budget.OPEN: ("No: it refused us", "danger"),
    }
    if now.breaker == budget.CLOSED and now.closed_until:
        return label("No: the hour's requests are used up", "warning")
    return label(*words[now.breaker])


def used_words(now: budget.State) -> str:
    return f"{now.used_this_hour:,} of {now.per_hour:,} requests"


class WorkerChangeList(PlainChangeList):
    def get_results(self, request):
        super().get_results(request)
        give_jobs(self.result_list)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("where", "pid", "state", "work", "release", "started", "last_heard", "job")
    list_display_links = ("where", "pid")
    search_fields = ("host",)
    search_help_text = "Name of the host"
    fields = (("name", "state"), ("host", "pid"), ("work", "version"), ("started", "last_heard"), "job")
    readonly_fields = ("state", "work", "started", "last_heard", "job")

    def get_changelist(self, request, **kwargs):
        return WorkerChangeList

    def get_object(self, request, object_id, from_field=None):
        worker = super().get_object(request, object_id, from_field)
        if worker:
            give_jobs([worker])
        return worker

    @display(description="state")
    def state(self, worker):
        return label("At work", "success") if timezone.now() - worker.heartbeat_at < ALIVE else label("Silent", "danger")

    @display(description="host")
    def where(self, worker):
        return one_line(worker.host or NOTHING)

    @display(description="version")
    def release(self, worker):
        return one_line(worker.version or NOTHING)

    @display(description="serves")
    def work(self, worker):
        return one_line(QUEUES.get(worker.queue, worker.queue))

    @display(description="started")
    def started(self, worker):
        return moment(worker.started_at)

    @display(description="last heard of")
    def last_heard(self, worker):
        return one_line(f"{timesince(worker.heartbeat_at)} ago")

    @display(description="at this moment")
    def job(self, worker):
        return worker.job or NOTHING


def give_jobs(workers) -> None:
    """Give each worker its `job`: a link to the video it downloads or to the channel it lists. Two queries for all."""
    names = [worker.name for worker in workers]
    jobs = {}
    scans = Scan.objects.filter(lease_owner__in=names, state=Scan.State.RUNNING)
    for scan in scans.select_related("channel"):
        jobs[scan.lease_owner] = scan_link(scan)
    videos = Video.objects.filter(lease_owner__in=names, status=Video.Status.DOWNLOADING)
    for video in videos.order_by("pk").only("title", "external_id", "lease_owner"):
        jobs[video.lease_owner] = video_link(video.pk, str(video))
    for worker in workers:
        worker.job = jobs.get(worker.name)


def scan_link(scan: Scan) -> str:
    page = reverse("admin:ingestion_scan_change", args=[scan.pk])
    return format_html('<a class="text-link" href="{}">{}</a>', page, f"Listing {scan.channel}")
