"""What workers leave in a storage: whole objects and uploads that were begun, under the keys of attempts."""

from typing import Any

from ingestion.models import Attempt
from ingestion.store import Store, Upload
from videos.keys import key_stem
from videos.models import Video


def key_of(attempt: Attempt) -> str:
    video = attempt.video
    stem = key_stem(
        person_id=video.person_id,
        person_name=video.person.name,
        channel_id=video.channel.external_id,
        video_id=video.external_id,
        uuid=video.uuid,
        attempt_id=attempt.pk,
    )
    return f"{stem}.webm"


def begin(store: Store, key: str) -> Upload:
    """An upload of which the first part has arrived."""
    upload = store.begin(key, content_type="video/webm", metadata={}, expected_size=8, part_size=4)
    upload.put_part(1, b"part")
    return upload


def put(store: Store, key: str, content: bytes = b"whole") -> dict[str, Any]:
    """A whole object; returns the state of its upload."""
    upload = store.begin(key, content_type="video/webm", metadata={}, expected_size=len(content))
    upload.put_part(1, content)
    upload.complete(len(content))
    return upload.state


def remember(attempt: Attempt, state: dict[str, Any], outcome: str = "retry") -> None:
    Attempt.objects.filter(pk=attempt.pk).update(upload=state, outcome=outcome)


def set_video(attempt: Attempt, status: str, **fields: Any) -> None:
    """Bring the attempt's video into a state that the database allows."""
    if status == "downloading":
        fields |= {"claim_id": fields.get("claim_id", attempt.pk), "lease_owner": "w", "lease_expires_at": "2100-01-01T00:00Z"}
    if status in ("failed", "unavailable"):
        fields |= {"error_kind": "network"}
    if status == "stored":
        fields |= {"file_size": 5, "checksum": "c2hhMjU2-1", "storage_key": fields.get("storage_key", "some/key")}
    Video.objects.filter(pk=attempt.video_id).update(status=status, **fields)


def keys(store: Store) -> set[str]:
    return {key for key, _ in store.list_keys()}


def uploads(store: Store) -> set[str]:
    return {upload.key for upload in store.uploads()}
