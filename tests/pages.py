"""Pages of the admin as staff use them: who may do what, sending a form as it is shown, pressing a button."""

import importlib
import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.messages import get_messages
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from ingestion.models import LiveProgress, Operation
from ingestion.roles import ROLES
from tests.factories import make_attempt, make_video
from videos.models import Video


def list_of(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(row) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


LINK_TO_OPERATION = re.compile(r' <a class="underline" href="/admin/ingestion/operation/\d+/change/">[^<]+</a>$')


def said(response) -> list[str]:
    """Messages, without the link to the operation that did it."""
    return [LINK_TO_OPERATION.sub("", str(message)) for message in get_messages(response.wsgi_request)]


def words_of(response) -> str:
    """What a page says, without its markup."""
    text = re.sub(r"<(script|style).*?</\1>", " ", response.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def staff_with(*codenames: str) -> User:
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


def groups_of_roles() -> dict[str, Group]:
    """As the migration makes them; a test that empties all tables takes them away, too."""
    if not Group.objects.filter(name__in=ROLES).exists():
        migration = importlib.import_module("ingestion.migrations.0006_roles")
        migration.make_groups(apps, SimpleNamespace(connection=connection))
        importlib.import_module("ingestion.migrations.0009_roles_see_operations").grant(apps, SimpleNamespace(connection=connection))
    return {group.name: group for group in Group.objects.filter(name__in=ROLES)}


def choose(client, action: str, rows, *, query: str = "", all_matching: bool = False):
    """An action of the list for these rows, or for all that it shows; the question that comes of it is answered with yes."""
    page = list_of(type(rows[0])) + query
    data = {"action": action, "_selected_action": [row.pk for row in rows], "select_across": int(all_matching)}
    response = client.post(page, data)
    newest = Operation.objects.first()
    if newest and response.headers.get("Location") == page_of(newest):
        return client.post(reverse("admin:ingestion_operation_begin", args=[newest.pk]), {"next": page})
    return response


def offered(client, row) -> set[str]:
    """The buttons on the row's page."""
    return {button["name"] for button in client.get(page_of(row)).context["page_actions"]["buttons"]}


def press(client, action: str, row):
    """A button on the row's page, which must be there."""
    shown = client.get(page_of(row)).context["page_actions"]
    assert action in [button["name"] for button in shown["buttons"]]
    return client.post(list_of(type(row)), {"action": action, "_selected_action": shown["pk"], "from_page": "1"})


def send(client, row, **changed: Any):
    """The row's page, sent as it is shown but for what is changed."""
    context = client.get(page_of(row)).context
    form = context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    for inline in context["inline_admin_formsets"]:
        management = inline.formset.management_form
        values |= {management.add_prefix(name): management[name].value() for name in management.fields}
    filled = {name: value for name, value in (values | changed).items() if value is not None and value is not False}
    return client.post(page_of(row), filled)


def make_download(**over: Any) -> Video:
    """A video under way, its attempt, and how far it is."""
    video = make_video(**over)
    attempt = make_attempt(video=video, session=video.session)
    lease = {"claim_id": attempt.pk, "lease_owner": "host", "lease_expires_at": timezone.now() + timedelta(seconds=30)}
    Video.objects.filter(pk=video.pk).update(status="downloading", **lease)
    LiveProgress.objects.create(attempt=attempt, bytes_done=45, bytes_total=100)
    return video
