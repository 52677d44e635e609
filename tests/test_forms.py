"""What staff read beside the fields of every form, and in lists that have no rows."""

import pytest
from django.forms import BaseForm
from django.urls import reverse

from ingestion.admin.sheet_settings import SheetSettingsForm
from ingestion.models import Limits
from people.import_pages import SheetForm
from tests.factories import make_channel, make_session, make_video
from tests.pages import list_of, page_of, staff_with
from videos.models import Video

pytestmark = pytest.mark.django_db


def forms_of_the_admin(client) -> dict[str, BaseForm]:
    """Those of our own rows, each with the fields that an administrator may change; accounts have Django's."""
    forms = {"sheet": SheetForm(), "settings of a sheet": SheetSettingsForm(said={})}
    channel = make_channel()
    pages = {"session": page_of(make_session()), "channel": page_of(channel), "person": page_of(channel.person)}
    pages |= {"limits": page_of(Limits.row()), "new person": reverse("admin:people_person_add")}
    for name, address in {**pages, "new channel": reverse("admin:people_channel_add")}.items():
        context = client.get(address).context
        forms[name] = context["adminform"].form
        inlines = [one.formset for one in context["inline_admin_formsets"] if one.has_change_permission]
        forms |= {formset.prefix: formset.empty_form for formset in inlines}
    return forms


def test_every_field_says_in_words_of_staff_what_it_is_for(admin_client):
    forms = forms_of_the_admin(admin_client)
    fields = {f"{name}: {field.label}": field for name, form in forms.items() for field in form.visible_fields() if field.name != "DELETE"}
    assert len(fields) > 40
    assert [name for name, field in fields.items() if not field.help_text] == []
    technical = ("MASSDL", "_", " host")
    assert [
        f"{name}: {field.help_text}" for name, field in fields.items() if any(one in f"{name} {field.help_text}" for one in technical)
    ] == []


LISTS = ("people_person", "people_channel", "videos_video", "ingestion_downloadsession", "ingestion_worker", "ingestion_scan")


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_list_says_what_to_do_next(admin_client, name):
    page = admin_client.get(reverse(f"admin:{name}_changelist")).text
    empty = page[page.index('id="nothing-here"') :]
    assert " yet.</p>" in empty
    assert any(words in empty for words in ("Import a sheet", "an imported sheet", "manage.py workers", "a sheet was imported"))
    assert "No results found" not in page


def test_who_may_not_import_is_told_whom_to_ask(client):
    client.force_login(staff_with("view_person"))
    page = client.get(reverse("admin:people_person_changelist")).text
    assert "Ask somebody with the role Operator or Administrator" in page
    assert reverse("admin:people_person_import") not in page[page.index('id="nothing-here"') :]


@pytest.mark.parametrize(
    ("query", "what_to_do"),
    [
        ("?q=elephant", "Search for fewer or other words."),
        ("?q=el", "Search for three letters or more."),
        ("?status__exact=stored", "Take filters away."),
        ("?todo=person", "Take filters away."),
        ("?q=elephant&status__exact=pending", "Search for fewer or other words, or take filters away."),
    ],
)
def test_a_list_that_is_empty_by_what_was_asked_says_so_and_what_to_do(admin_client, query, what_to_do):
    make_video()
    page = admin_client.get(list_of(Video) + query).text
    assert "Nothing in this list is as you asked for it." in page and f"{what_to_do}</p>" in page
    assert 'id="nothing-here"' not in admin_client.get(list_of(Video)).text
