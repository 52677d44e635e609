"""Widgets that are remembered look as those that are rendered."""

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates, get_default_renderer
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy

from massdl_site import widgets
from massdl_site.widgets import RememberingRenderer

TAG = "<b>bold</b>"
CHOICES = [("1", "One"), ("2", gettext_lazy("Two")), ("Others", [("3", mark_safe("<i>Three</i>")), ("4", TAG)])]


@pytest.fixture
def rendered(monkeypatch):
    """Templates that were rendered, in order."""
    done = []
    whole = DjangoTemplates.render
    monkeypatch.setattr(
        DjangoTemplates, "render", lambda self, name, *rest, **named: done.append(name) or whole(self, name, *rest, **named)
    )
    return done


def test_it_is_the_one_in_use():
    assert isinstance(get_default_renderer(), RememberingRenderer)


@pytest.mark.parametrize(
    "widget",
    [
        pytest.param(forms.CheckboxInput({"class": "chosen", "disabled": True}), id="checkbox"),
        pytest.param(forms.Select(choices=CHOICES), id="select"),
        pytest.param(forms.TextInput({"placeholder": TAG}), id="text"),
        pytest.param(forms.RadioSelect(choices=CHOICES), id="radio"),
    ],
)
def test_what_is_remembered_is_what_would_be_rendered(widget, rendered):
    ours, plain = RememberingRenderer(), DjangoTemplates()
    for value in ("3", "1", None, "3", "1"):
        assert widget.render("name", value, {"id": "it"}, renderer=ours) == widget.render("name", value, {"id": "it"}, renderer=plain)
    by_us = len(rendered) - 5
    assert by_us == 3, "one for each value"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"value": TAG}, {"value": mark_safe(TAG)}, id="text and safe text"),
        pytest.param({"value": 1}, {"value": True}, id="a number and yes"),
        pytest.param({"value": "1"}, {"value": 1}, id="digits and a number"),
        pytest.param({"value": ["1", "2"]}, {"value": {"1": "2"}}, id="a list and a mapping"),
        pytest.param({"value": None}, {}, id="nothing and none at all"),
        pytest.param({1: "value"}, {True: "value"}, id="names of two types"),
        pytest.param({"value": gettext_lazy("a")}, {"value": gettext_lazy("b")}, id="texts to be translated"),
    ],
)
def test_what_differs_is_not_taken_for_one(one, other):
    assert widgets._compared(one) != widgets._compared(other)


class Named:
    """Looks the same whatever it is."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "Named"

    def __str__(self):
        return self.name


def test_what_is_not_plain_is_rendered_each_time(rendered):
    renderer, widget = RememberingRenderer(), forms.TextInput()
    texts = [widget.render("name", "", {"data-of": Named(name)}, renderer=renderer) for name in ("Ann", "Bob")]
    assert "Ann" in texts[0] and "Bob" in texts[1]


def test_forms_are_rendered_each_time(rendered):
    class Asked(forms.Form):
        default_renderer = RememberingRenderer
        name = forms.CharField()

    assert "This field is required." in str(Asked({"name": ""}).as_div())
    assert "Ann" in str(Asked({"name": "Ann"}).as_div()) and "Bob" in str(Asked({"name": "Bob"}).as_div())


def test_no_more_are_kept_than_was_said(monkeypatch):
    monkeypatch.setattr(widgets, "MOST", 3)
    renderer, widget = RememberingRenderer(), forms.TextInput()
    for number in range(10):
        assert f'value="{number}"' in widget.render("name", number, renderer=renderer)
        assert len(renderer._known) <= 3
    assert isinstance(widget.render("name", TAG, renderer=renderer), SafeString)


def test_what_is_large_is_not_kept():
    renderer = RememberingRenderer()
    assert "x" * widgets.LARGEST in forms.TextInput().render("name", "x" * widgets.LARGEST, renderer=renderer)
    assert renderer._known == {}
