"""Verbs as actions of a list, for the rows that are chosen or for all that it shows, and as buttons on the page of a row.

The list asks before anything is done, with the number of rows it will be done to: in a dialog where scripts run
(massdl/bulk.js), else on the page of the operation. A button of a row's page has its own dialog where it is grave.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from ingestion import operations
from ingestion.admin.page_actions import FROM_PAGE, PageActions
from ingestion.models import Operation
from ingestion.operations import Verb, words
from ingestion.operations.verbs import VERBS
from videos.cells import number_of
from videos.models import Video

JSON = "application/json"
LINK = '<a class="underline" href="{}">{}</a>'
MOST_LINKS = 3


class BulkActions(PageActions):
    """For an admin whose model has verbs: `actions` may name them."""

    list_after_template = "admin/bulk_actions.html"
    grave_actions = tuple({verb.name for verbs in VERBS.values() for verb in verbs.values() if verb.is_grave})

    def get_action(self, action):
        verb = operations.find_verb(self.model, action) if isinstance(action, str) else None
        return (_action(verb), verb.name, verb.description) if verb else super().get_action(action)

    def changelist_view(self, request, extra_context=None):
        asking = " ".join(name for name in self.get_actions(request) if operations.find_verb(self.model, name))
        return super().changelist_view(request, {"asking_actions": asking, **(extra_context or {})})

    def has_change_videos_permission(self, request: HttpRequest) -> bool:
        """For what decides about each video, as to give it up or to try it again; holding a row back is the row's own matter."""
        return self.has_change_permission(request) and request.user.has_perm("videos.change_video")

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        return getattr(self, f"has_{verb.permission}_permission")(request)

    def unfinished(self, obj: Any) -> int:
        """Videos of a row that a cancel would give up, as its page has noted them (`unfinished_videos`)."""
        if isinstance(obj, Video):
            return int(obj.status in (Video.Status.PENDING, Video.Status.DOWNLOADING))
        return obj.unfinished_videos

    def warning(self, request: HttpRequest, obj: Any, name: str) -> str:
        verb = operations.find_verb(self.model, name)
        return f"{to_be_downloaded(self.unfinished(obj))} {verb.warning}" if name.startswith("cancel") else verb.warning

    def dialog(self, obj: Any, name: str) -> dict[str, str]:
        verb = operations.find_verb(self.model, name)
        return {"data-confirm-title": verb.question.format(rows=obj), "data-confirm-yes": verb.answer}

    def run_verb(self, request: HttpRequest, chosen: QuerySet[Any], verb: Verb) -> HttpResponse | None:
        """Do it, when a row's page sent it; else ask whether it is to be done, and to how many rows."""
        operation = operations.ask(verb, chosen, request.user)
        asks_for_dialog = request.headers.get("Accept") == JSON
        if operation is None:
            sentence = words.nothing_to_do(verb, str(self.opts.verbose_name), chosen.count())
            if asks_for_dialog:
                return JsonResponse({"title": "Nothing to do", "text": sentence})
            self.message_user(request, sentence, messages.WARNING)
            return None
        if FROM_PAGE in request.POST:
            operations.begin(operation)
            tell(request, operation)
            return None
        return JsonResponse(_dialog(operation, verb)) if asks_for_dialog else redirect(page_of(operation))


def _action(verb: Verb):
    def run(model_admin: BulkActions, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return model_admin.run_verb(request, queryset, verb)

    run.allowed_permissions = (verb.permission,)
    return run


def _dialog(operation: Operation, verb: Verb) -> dict[str, str]:
    """What massdl/bulk.js shows, and where it sends the answer."""
    return {
        "title": words.question(operation, verb),
        "text": words.warning(operation, verb, at_once=operations.is_small(operation)),
        "yes": verb.answer,
        "begin": reverse("admin:ingestion_operation_begin", args=[operation.pk]),
    }


def page_of(operation: Operation) -> str:
    return reverse("admin:ingestion_operation_change", args=[operation.pk])


def tell(request: HttpRequest, operation: Operation) -> None:
    """What has become of an operation, as a message with a link to its page."""
    operation.refresh_from_db()
    verb = operations.find_verb(operation.model, operation.verb)
    if operation.state == Operation.State.RUNNING:
        sentence, link, level = f"Under way in the background: {words.title(operation)}.", "See how far it is", messages.INFO
    else:
        sentence, link = words.outcome(operation, verb), "Look at it, or undo it" if operations.undoable(operation) else "Look at it"
        level = messages.SUCCESS if operation.changed or operation.counts else messages.WARNING
    links = [*((note_page(note), note["text"]) for note in operation.notes[:MOST_LINKS]), (page_of(operation), link)]
    messages.add_message(request, level, format_html("{} {}", sentence, format_html_join(" ", LINK, links)))


def note_page(note: Mapping[str, Any]) -> str:
    """Of the row that a note of an operation is about."""
    return reverse(f"admin:{note['model'].replace('.', '_')}_change", args=[note["pk"]])


def to_be_downloaded(videos: int) -> str:
    """How many videos a cancel is about."""
    return f"{number_of(videos, 'video')} {'are' if videos > 1 else 'is'} still to be downloaded."
