import pytest
from django.db import IntegrityError, transaction

from tests.factories import make_video
from videos.models import Video

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"status": "stored", "storage_key": "", "file_size": 1, "checksum": "x"}, id="stored without a key"),
        pytest.param({"status": "stored", "storage_key": "k", "file_size": None, "checksum": "x"}, id="stored without a size"),
        pytest.param({"status": "stored", "storage_key": "k", "file_size": 1, "checksum": ""}, id="stored without a checksum"),
        pytest.param({"status": "failed", "error_kind": ""}, id="failed without a reason"),
        pytest.param({"status": "downloading"}, id="downloading without a lease"),
        pytest.param({"status": "pending", "lease_owner": "w"}, id="pending with a lease"),
    ],
)
def test_the_database_refuses_nonsense(fields):
    video = make_video()
    with pytest.raises(IntegrityError), transaction.atomic():
        Video.objects.filter(pk=video.pk).update(**fields)


def test_retry_brings_back_only_what_ended_without_being_stored():
    videos = [make_video(status=status) for status in ("pending", "stored", "failed", "unavailable", "skipped")]
    assert Video.objects.all().retry() == 3
    statuses = list(Video.objects.filter(pk__in=[v.pk for v in videos]).order_by("pk").values_list("status", "error_kind"))
    assert statuses == [("pending", ""), ("stored", ""), ("pending", ""), ("pending", ""), ("pending", "")]
