"""Operations in the admin: what was asked for, how far it is, what came of it; to begin, to stop and to undo it."""

from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.views.decorators.http import require_POST, require_safe
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from ingestion import operations
from ingestion.admin.bulk_actions import note_page, page_of, tell
from ingestion.models import Operation
from ingestion.models.operations import BUSY
from ingestion.operations import Verb, words
from ingestion.roster import live_supervisors
from videos.admin import ReadOnlyAdmin
from videos.cells import NOTHING, label, moment, table
from videos.text import counted

State = Operation.State
COLOURS = {State.RUNNING: "info", State.DONE: "success", State.STOPPED: "warning", State.UNDOING: "info"}
SHOWN_NOTES = 200
NO_WORKER = "No worker is running: it goes on when one is started, with: manage.py workers"
GONE = "This was not begun within a day, and is forgotten. Choose the rows again."


class AskerFilter(DropdownFilter):
    """By who asked for it; of those who ever did."""

    title = "asked by"
    parameter_name = "asked_by"

    def lookups(self, request, model_admin):
        asked = Operation.objects.exclude(state=State.ASKED).order_by().values("created_by")
        return [(str(user.pk), str(user)) for user in get_user_model().objects.filter(pk__in=asked).order_by("username")]

    def queryset(self, request, queryset):
        known = {value for value, _ in self.lookup_choices}
        return queryset.filter(created_by=self.value()) if self.value() in known else queryset


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ("name", "status", "how_far", "what_came", "asked_by", "asked")
    list_select_related = ("created_by",)
    list_filter = (("state", ChoicesDropdownFilter), AskerFilter)
    change_form_outer_before_template = "admin/operation.html"
    readonly_fields = ("status", "asked_by", "asked", "began", "ended", "was_stopped_by", "was_undone_by", "found")

    def get_queryset(self, request):
        """What nobody has agreed to is no operation yet."""
        rows = super().get_queryset(request)
        is_list = request.resolver_match.url_name.endswith("_changelist")
        return rows.exclude(state=State.ASKED).defer("notes") if is_list else rows

    def get_fieldsets(self, request, obj=None):
        times = ("began", "ended") if obj.began_at else ()
        ended_by = [name for name, user in (("was_stopped_by", obj.stopped_by_id), ("was_undone_by", obj.undone_by_id)) if user]
        return [
            (None, {"fields": (("status", "asked_by"), ("asked", *times), *ended_by)}),
            *([("What it found and made", {"fields": ("found",)})] if obj.notes else []),
        ]

    def get_urls(self):
        steps = {"begin": self.begin, "stop": self.stop, "undo": self.undo, "live": self.live}
        ours = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"ingestion_operation_{name}") for name, view in steps.items()
        ]
        return [*ours, *super().get_urls()]

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        verb = operations.find_verb(obj.model, obj.verb)
        context |= {"title": words.title(obj), "operation": obj, "live": values_of(obj), "is_busy": obj.state in BUSY}
        if verb and self.may(request, obj, verb):
            context |= self._offers(request, obj, verb)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _offers(self, request: HttpRequest, obj: Operation, verb: Verb) -> dict[str, Any]:
        """What this user can do about it by now."""
        if obj.state == State.ASKED:
            if obj.created_by_id not in (None, request.user.pk):
                return {}
            at_once = operations.is_small(obj)
            asked = {"question": words.question(obj, verb), "warning": words.warning(obj, verb, at_once=at_once), "yes": verb.answer}
            return {"asked": asked, "back": list_of(obj)}
        return {"may_stop": obj.state == State.RUNNING, "may_undo": operations.undoable(obj), "undo_warning": undo_warning(obj)}

    def may(self, request: HttpRequest, operation: Operation, verb: Verb) -> bool:
        """Whoever may do it may stop and undo it."""
        return self.admin_site.get_model_admin(apps.get_model(operation.model)).may(request, verb)

    @method_decorator(require_POST)
    def begin(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Do what was asked. A second time, as by a double click, nothing more happens."""
        operation = self._open(request, pk)
        if operation.created_by_id not in (None, request.user.pk):
            raise PermissionDenied  # else the record would name somebody else
        if operations.begin(operation):
            tell(request, operation)
        else:
            self.message_user(request, "This was begun before; nothing was done a second time.", messages.WARNING)
        operation.refresh_from_db()
        return redirect(page_of(operation) if operation.state == State.RUNNING else _back_to(request, operation))

    @method_decorator(require_POST)
    def stop(self, request: HttpRequest, pk: int) -> HttpResponse:
        operation = self._open(request, pk)
        if operations.stop(operation, request.user):
            self.message_user(request, "Stopped. What was done already stays so.", messages.SUCCESS)
        else:
            self.message_user(request, "It was over already.", messages.WARNING)
        return redirect(page_of(operation))

    @method_decorator(require_POST)
    def undo(self, request: HttpRequest, pk: int) -> HttpResponse:
        operation = self._open(request, pk)
        if operations.undo(operation, request.user):
            operation.refresh_from_db()
            is_over = operation.state == State.UNDONE
            self.message_user(request, words.undone(operation) if is_over else "It is being undone.", messages.SUCCESS)
        else:
            self.message_user(request, "This cannot be undone (any more).", messages.WARNING)
        return redirect(page_of(operation))

    @method_decorator(require_safe)
    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return JsonResponse(values_of(self._get(pk)))

    def _open(self, request: HttpRequest, pk: int) -> Operation:
        """To do something about it."""
        operation = self._get(pk)
        verb = operations.find_verb(operation.model, operation.verb)
        if not (verb and self.may(request, operation, verb)):
            raise PermissionDenied
        return operation

    def _get(self, pk: int) -> Operation:
        operation = Operation.objects.filter(pk=pk).defer("notes").first()
        if operation is None:
            raise Http404(GONE)
        return operation

    @display(description="operation")
    def name(self, operation):
        return words.title(operation)

    @display(description="state")
    def status(self, operation):
        return label(operation.get_state_display(), COLOURS.get(operation.state, ""))

    @display(description="rows done")
    def how_far(self, operation):
        return f"{operation.handled:,} of {operation.total:,}"

    @display(description="outcome")
    def what_came(self, operation):
        verb = operations.find_verb(operation.model, operation.verb)
        return words.outcome(operation, verb) if verb and operation.handled else NOTHING

    @display(description="asked by")
    def asked_by(self, operation):
        return operation.created_by or NOTHING

    @display(description="asked for")
    def asked(self, operation):
        return moment(operation.created_at)

    @display(description="begun")
    def began(self, operation):
        return moment(operation.began_at)

    @display(description="ended")
    def ended(self, operation):
        return moment(operation.finished_at) if operation.finished_at else NOTHING

    @display(description="stopped by")
    def was_stopped_by(self, operation):
        return operation.stopped_by

    @display(description="undone by")
    def was_undone_by(self, operation):
        return operation.undone_by

    @display(description="by row")
    def found(self, operation):
        rows = [(_link(note), note["text"]) for note in operation.notes[:SHOWN_NOTES]]
        if (more := len(operation.notes) - SHOWN_NOTES) > 0:
            rows.append((NOTHING, f"{more:,} more"))
        return table(("", "What"), rows)


def _link(note: dict[str, Any]) -> SafeString:
    name = f"{apps.get_model(note['model'])._meta.verbose_name} {note['pk']}"
    return format_html('<a class="text-link" href="{}">{}</a>', note_page(note), capfirst(name))


def list_of(operation: Operation) -> str:
    """Of its rows."""
    return reverse(f"admin:{operation.model.replace('.', '_')}_changelist")


def _back_to(request: HttpRequest, operation: Operation) -> str:
    """To the list as it was when it was asked for."""
    wanted = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours else page_of(operation)


def undo_warning(operation: Operation) -> str:
    return f"{counted(operation.changed, words.noun_of(operation))} will be put back as before, but for what has changed again meanwhile."


def values_of(operation: Operation) -> dict[str, Any]:
    """What the page shows and asks for again every few seconds."""
    verb = operations.find_verb(operation.model, operation.verb)
    is_undo = operation.state in (State.UNDOING, State.UNDONE)
    done, total = (operation.restored, operation.changed) if is_undo else (operation.handled, operation.total)
    return {
        "state": operation.state,
        "percent": round(100 * done / total) if total else 100,
        "how_far": f"{done:,} of {counted(total, words.noun_of(operation))}",
        "outcome": words.outcome(operation, verb) if verb and operation.began_at else "",
        "undone": words.undone(operation) if is_undo else "",
        "waits": _what_it_waits_for(operation) if operation.state in BUSY else "",
        "at": date_format(timezone.localtime(), "H:i:s"),
    }


def _what_it_waits_for(operation: Operation) -> str:
    if operation.waits_for:
        return f"It waits for the storage, and looks again every minute: {operation.waits_for}"
    return "" if live_supervisors().exists() else NO_WORKER
