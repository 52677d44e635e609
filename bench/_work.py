"""What the two clusters of `bench.dispatch` do for each video: the same changes of rows, and no download."""

from typing import Any

from django.apps import AppConfig

STORED: dict[str, Any] = {"file_size": 1, "checksum": "none", "crc32": "0", "part_size": 1, "container": "mp4"}


class NoDownload(AppConfig):
    """Ours: everything as in production, from the supervisor to the heartbeat, but `download` only records its end."""

    name = "bench"

    def ready(self) -> None:
        from ingestion import tasks

        tasks.download = _record


def _record(claim: Any, **_: Any) -> bool:
    from ingestion import leases

    return leases.finish_stored(claim, way="copy", storage_key=f"bench/{claim.attempt_id}", **STORED)


def store_one(video_id: int) -> None:
    """The peer: a task for one video, no limits, no lease that anybody watches; two transactions as ours has."""
    from datetime import timedelta

    from django.db import transaction
    from django.db.models.functions import Now

    from ingestion.leases import NO_LEASE
    from ingestion.models import Attempt
    from videos.models import Video

    video = Video.objects.filter(pk=video_id)
    with transaction.atomic():
        attempt = Attempt.objects.create(video_id=video_id, number=1, worker="peer")
        lease = {"claim_id": attempt.pk, "lease_owner": "peer", "lease_expires_at": Now() + timedelta(seconds=30)}
        video.update(status="downloading", attempts=1, **lease)
    with transaction.atomic():
        video.update(status="stored", stored_at=Now(), storage_key=f"bench/{attempt.pk}", **STORED, **NO_LEASE)
        Attempt.objects.filter(pk=attempt.pk).update(outcome="stored", finished_at=Now(), way="copy", bytes_stored=1)


def enqueue_all() -> int:
    """A task for every pending video."""
    from django_q.tasks import async_task

    from videos.models import Video

    ids = list(Video.objects.filter(status="pending").values_list("pk", flat=True))
    for pk in ids:
        async_task(store_one, pk)
    return len(ids)
