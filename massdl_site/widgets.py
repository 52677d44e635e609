"""How widgets of forms become HTML."""

from collections.abc import Hashable, Mapping
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.utils.functional import Promise
from django.utils.safestring import SafeString

MOST = 2000
"""Widgets that are remembered: a few megabytes."""
PLAIN = (str, SafeString, int, float, bool, type(None))


class RememberingRenderer(DjangoTemplates):
    """Remembers what widgets look like: a page of a list has sixty of them, and a third of its time went into rendering them.

    A widget's HTML depends on nothing but its context, which is compared whole, with the types of its values. What has other
    than plain values in its context is rendered each time, and so are forms and fields.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Hashable, SafeString] = {}

    def render(self, template_name: str, context: Mapping[str, Any], request: Any = None) -> SafeString:
        if request is not None or context.keys() != {"widget"}:
            return super().render(template_name, context, request)
        try:
            key = (template_name, _compared(context["widget"]))
        except TypeError:
            return super().render(template_name, context)
        if key not in self._known:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = super().render(template_name, context)
        return self._known[key]


def _compared(value: Any) -> Hashable:
    """A value as what only its like is equal to; raises TypeError for what is not plain. Texts that are safe are not like others."""
    if isinstance(value, Mapping):
        return (dict, *((name, _compared(inner)) for name, inner in value.items()))
    if isinstance(value, list | tuple):
        return (list, *map(_compared, value))
    if isinstance(value, Promise):
        value = str(value)
    if type(value) not in PLAIN:
        raise TypeError(f"{type(value)} is not plain.")
    return type(value), value
