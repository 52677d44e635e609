"""Lists of people and channels with what was archived of each."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from people.models import Channel, Person
from tests.factories import make_channel, make_video
from tests.pages import list_of

pytestmark = pytest.mark.django_db
LISTS = pytest.mark.parametrize(("model", "parameter"), [(Person, "person"), (Channel, "channel")], ids=["people", "channels"])


def cells(page) -> list[str]:
    """Of the first row, as the list gives them to its template."""
    admin, row = page.context["cl"].model_admin, page.context["cl"].result_list[0]
    return [str(getattr(admin, name)(row)) for name in ("stored_videos", "waiting_videos", "refused_videos", "bytes_stored")]


@LISTS
def test_a_row_tells_what_was_archived_and_leads_there(admin_client, model, parameter):
    channel = make_channel()
    for status in ("stored", "stored", "pending", "failed"):
        make_video(channel=channel, status=status)
    row = channel if model is Channel else channel.person
    stored, waiting, refused, size = cells(admin_client.get(list_of(model)))
    videos = f"{reverse('admin:videos_video_changelist')}?{parameter}__id__exact={row.pk}"
    assert stored == f'<a class="text-link" href="{videos}&amp;status__exact=stored">2</a>'
    assert waiting == f'<a class="text-link" href="{videos}&amp;status__exact=pending">1</a>'
    assert refused == f'<a class="text-link" href="{videos}&amp;status__exact=failed">1</a>'
    assert "2.0\xa0KB" in size
    link = stored.split('"')[3].replace("&amp;", "&")
    assert len(admin_client.get(link).context["cl"].result_list) == 2


@LISTS
def test_numbers_of_two_states_lead_to_all_videos_of_the_row(admin_client, model, parameter):
    channel = make_channel()
    for status in ("failed", "unavailable"):
        make_video(channel=channel, status=status)
    row = channel if model is Channel else channel.person
    stored, _, refused, size = cells(admin_client.get(list_of(model)))
    assert f'?{parameter}__id__exact={row.pk}">2</a>' in refused
    assert (stored, size) == ("0", '<span class="whitespace-nowrap">-</span>')


@LISTS
def test_a_list_costs_the_same_for_2_and_24_rows(admin_client, model, parameter):
    for _ in range(2):
        make_video(status="stored")
    admin_client.get(list_of(model))
    with CaptureQueriesContext(connection) as few:
        admin_client.get(list_of(model))
    for _ in range(22):
        make_video(status="failed")
    with CaptureQueriesContext(connection) as many:
        assert len(admin_client.get(list_of(model)).context["cl"].result_list) == 24
    assert len(few) == len(many) <= 10
