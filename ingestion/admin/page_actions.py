"""The actions of a list as buttons on the page of a row."""

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

FROM_PAGE = "from_page"


class PageActions:
    """For an admin with actions. Each button posts to the list what the list's own bar of actions would, with this row as
    the only chosen one, so permissions and words are those of the action; then the row's page is shown again.

    What stands before the colon of an action's description is the text of its button, what comes after it the hint.
    """

    change_form_outer_before_template = "admin/page_actions.html"

    grave_actions: ClassVar[Collection[str]] = ()
    """Whose buttons ask once more, in a dialog that says what will happen."""

    def warning(self, request: HttpRequest, obj: Any, name: str) -> str:
        """What a grave action would do to this row by now, in whole sentences; "" where the hint says it all."""
        return ""

    def dialog(self, obj: Any, name: str) -> dict[str, str]:
        """What a grave action's dialog says otherwise than its button: attributes of massdl/confirm.js."""
        return {}

    def names_of_page_actions(self, request: HttpRequest, obj: Any) -> Sequence[str]:
        """Those that make sense for this row; what the user may not do is left out by the caller."""
        return self.actions

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None:
            buttons = self._buttons(request, obj)
            context["page_actions"] = {"pk": str(obj.pk), "buttons": buttons, "asks": any(button["attrs"] for button in buttons)}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _buttons(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        allowed = self.get_actions(request)
        named = [(name, str(allowed[name][2])) for name in self.names_of_page_actions(request, obj) if name in allowed]
        return [self._button(request, obj, name, description) for name, description in named]

    def _button(self, request: HttpRequest, obj: Any, name: str, description: str) -> dict[str, Any]:
        text, _, hint = description.partition(": ")
        hint = hint[:1].upper() + hint[1:]
        warning = (self.warning(request, obj, name) or f"{hint or text}.") if name in self.grave_actions else ""
        return {"name": name, "text": text, "hint": hint, "attrs": {"data-confirm": warning, **self.dialog(obj, name)} if warning else {}}

    def response_action(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        response = super().response_action(request, queryset)
        if response is None or FROM_PAGE not in request.POST:
            return response
        page = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponseRedirect(reverse(page, args=[quote(request.POST[ACTION_CHECKBOX_NAME])]))
