from datetime import time

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from ingestion.models import DownloadWindow, Limits

pytestmark = pytest.mark.django_db


def page() -> str:
    return reverse("admin:ingestion_limits_change", args=[Limits.row().pk])


def send(client, *rows: dict):
    """Send the page of the limits as it stands, with these rows of windows."""
    form = client.get(page()).context["adminform"].form
    shown = {form.add_prefix(name): form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    data = {name: value for name, value in shown.items() if value not in (None, False)}
    data |= {"windows-TOTAL_FORMS": len(rows), "windows-INITIAL_FORMS": sum("id" in row for row in rows)}
    data |= {f"windows-{number}-{name}": value for number, row in enumerate(rows) for name, value in row.items()}
    return client.post(page(), data)


def problems(response) -> list[dict]:
    return response.context["inline_admin_formsets"][0].formset.errors


def windows() -> list[tuple]:
    return list(DownloadWindow.objects.values_list("limits", "days", "opens_at", "closes_at"))


def test_a_window_is_made_from_checked_weekdays(admin_client):
    assert send(admin_client, {"days": ["0", "4"], "opens_at": "22:00", "closes_at": "06:00"}).status_code == 302
    assert windows() == [(Limits.row().pk, [0, 4], time(22), time(6))]


def test_the_page_shows_what_is_checked(admin_client):
    DownloadWindow.objects.create(limits=Limits.row(), days=[5, 6], opens_at=time(0), closes_at=time(0))
    form = admin_client.get(page()).context["inline_admin_formsets"][0].formset.forms[0]
    boxes = form["days"].subwidgets
    assert [box.data["label"] for box in boxes] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert [box.data["label"] for box in boxes if box.data["selected"]] == ["Sat", "Sun"]
    assert admin_client.get(page()).text.count('type="checkbox" name="windows-0-days"') == 7


def test_a_window_is_changed_and_removed(admin_client):
    Limits.row()
    kept, removed = (DownloadWindow.objects.create(days=[day], opens_at=time(8), closes_at=time(9)) for day in (0, 1))
    same = {"opens_at": "08:00", "closes_at": "09:00"}
    rows = [{"id": kept.pk, "days": ["0", "2"], **same}, {"id": removed.pk, "days": ["1"], **same, "DELETE": "on"}]
    assert send(admin_client, *rows).status_code == 302
    assert windows() == [(1, [0, 2], time(8), time(9))]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        pytest.param({"opens_at": "22:00", "closes_at": "06:00"}, {"days": ["Choose at least one weekday."]}, id="no weekday"),
        pytest.param({"days": ["0"], "opens_at": "22:00"}, {"closes_at": ["This field is required."]}, id="no end"),
        pytest.param(
            {"days": ["0"], "opens_at": "25:00", "closes_at": "06:00"}, {"opens_at": ["Enter a valid time."]}, id="no time of a day"
        ),
        pytest.param(
            {"days": ["7"], "opens_at": "22:00", "closes_at": "06:00"},
            {"days": ["Select a valid choice. 7 is not one of the available choices."]},
            id="no weekday of a week",
        ),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_in_its_row(admin_client, row, problem):
    response = send(admin_client, row)
    assert (response.status_code, problems(response)) == (200, [problem])
    assert windows() == []


def test_who_may_only_see_limits_makes_no_window(client):
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(*Permission.objects.filter(codename__in=["view_limits", "view_downloadwindow"]))
    client.force_login(reader)
    window = {"windows-TOTAL_FORMS": 1, "windows-INITIAL_FORMS": 0, "windows-0-days": ["0"], "windows-0-opens_at": "22:00"}
    assert client.post(page(), {**window, "windows-0-closes_at": "06:00"}).status_code == 403
    assert windows() == []
