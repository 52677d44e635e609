"""Pages of the admin as staff use them: who may do what, sending a form as it is shown, pressing a button."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import timezone

from ingestion.models import LiveProgress
from tests.factories import make_attempt, make_video
from videos.models import Video


def list_of(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(row) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def said(response) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def staff_with(*codenames: str) -> User:
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


def choose(client, action: str, rows, *, query: str = ""):
    """An action of the list for these rows."""
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(list_of(type(rows[0])) + query, data)


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
