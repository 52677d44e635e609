"""What all hosts share: limits, the allowance of requests, workers."""

from django.conf import settings
from django.contrib import admin
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin
from unfold.decorators import display

from ingestion.admin.kinds import MEANINGS
from ingestion.models import Budget, Limits, Worker
from ingestion.supervisor import ALIVE
from videos.admin import NOTHING, ReadOnlyAdmin, kind_label, label


@admin.register(Limits)
class LimitsAdmin(ModelAdmin):
    """The one row: its list is its page."""

    fields = ("paused", "max_concurrent_channels", "max_concurrent_videos_per_channel")

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def changelist_view(self, request, extra_context=None):
        return redirect("admin:ingestion_limits_change", Limits.row().pk)

    def save_model(self, request, obj, form, change):
        """Writes what was changed and nothing else: every claim locks this row."""
        if form.changed_data:
            obj.save(update_fields=form.changed_data)


@admin.register(Budget)
class BudgetAdmin(ReadOnlyAdmin):
    list_display = ("identity", "state", "used", "open_until", "problem", "refusals")
    fieldsets = (
        (None, {"fields": (("identity", "state"), ("used", "hour_started_at"), "next_slot_at")}),
        ("Refused by YouTube", {"fields": (("open_until", "refusals"), ("problem", "what_it_means"))}),
    )
    readonly_fields = ("state", "used", "problem", "what_it_means")

    @display(description="requests")
    def state(self, budget):
        closed = budget.open_until and budget.open_until > timezone.now()
        return label("Stopped", "danger") if closed else label("Allowed", "success")

    @display(description="used this hour")
    def used(self, budget):
        return f"{budget.used_this_hour:,} of {settings.REQUESTS_PER_HOUR:,}"

    @display(description="why")
    def problem(self, budget):
        return kind_label(budget.open_reason, MEANINGS)

    @display(description="what this means")
    def what_it_means(self, budget):
        return MEANINGS.get(budget.open_reason, NOTHING)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "queue", "version", "started_at", "last_heard")
    fields = (("name", "state"), ("queue", "version"), ("started_at", "heartbeat_at"))
    readonly_fields = ("state",)

    @display(description="state")
    def state(self, worker):
        return label("At work", "success") if timezone.now() - worker.heartbeat_at < ALIVE else label("Silent", "danger")

    @display(description="last heard of")
    def last_heard(self, worker):
        return f"{timesince(worker.heartbeat_at)} ago"
