"""How widgets of forms become HTML."""

from collections.abc import Hashable, Mapping
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import get_language

MOST, LARGEST = 1000, 10_000
"""Widgets that are remembered, and characters of one: twenty megabytes at the very most, commonly one."""
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
            key = (template_name, get_language(), _compared(context["widget"]))
        except TypeError:
            return super().render(template_name, context)
        html = self._known.get(key)
        if html is None:
            html = super().render(template_name, context)
            if len(html) <= LARGEST:
                self._remember(key, html)
        return html

    def _remember(self, key: Hashable, html: SafeString) -> None:
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = html


def _compared(value: Any) -> Hashable:
    """A value as what only its like is equal to; raises TypeError for what is not plain. Texts that are safe are not like others."""
    if isinstance(value, Mapping):
        return (dict, *((_compared(name), _compared(inner)) for name, inner in value.items()))
    if isinstance(value, list | tuple):
        return (list, *map(_compared, value))
    if isinstance(value, Promise):
        value = str(value)
    if type(value) not in PLAIN:
        raise TypeError(f"{type(value)} is not plain.")
    return type(value), value
