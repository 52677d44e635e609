"""A worker with everything real around it: the local YouTube, yt-dlp, claims, a store."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import imageio_ffmpeg
import pytest

from demo.youtube_twin import Twin
from ingestion import assets, budget, leases
from ingestion.downloading import Downloaded, download
from ingestion.heartbeat import Heartbeat
from ingestion.models import Limits
from ingestion.store import Store
from ingestion.youtube import YouTube
from tests.factories import make_session, make_video
from tests.ingestion.media.fixtures import folder_store, rclone_store
from videos.models import Asset, Video

__all__ = ["folder_store", "rclone_store"]

WRITTEN, RECOGNISED = "demv0000050", "demv0000040"
"""One with captions in en and de that people wrote, and one with those of speech recognition alone."""


@dataclass
class Worker:
    twin: Twin
    youtube: YouTube
    store: Store

    def download(self, external_id: str = WRITTEN, *, make_assets: bool = True, **options: Any) -> Video:
        """Store a video of a new session with these options, and then what goes with it."""
        video = make_video(external_id=external_id, session=make_session(options={"quality": "360p", **options}))
        done = self.store_next()
        if make_assets and done.assets:
            self.work(done.assets, done)
        video.refresh_from_db()
        return video

    def store_next(self) -> Downloaded:
        claim = leases.claim("w")
        return download(claim, source=self.youtube, store=self.store, heartbeat=Heartbeat(claim))

    def work(self, claim: assets.AssetClaim, done: Downloaded | None = None, check=lambda: None) -> int:
        extraction = done.extraction if done else None
        return assets.work(claim, source=self.youtube, store=self.store, check=check, extraction=extraction)

    def work_due(self) -> int:
        """What a worker of the control queue does when it is woken up."""
        claim = assets.claim_assets("other")
        return self.work(claim) if claim else 0

    def asked(self, kind: str) -> int:
        return self.twin.counters().get(kind, 0)

    def read(self, asset: Asset) -> bytes:
        with self.store.open(asset.storage_key) as file:
            return file.read()


@pytest.fixture
def worker(fresh_twin: Twin, folder_store: Store) -> Iterator[Worker]:
    Limits.row()
    Limits.objects.update(requests_per_second=1000, requests_per_hour=10_000, backoff_base_seconds=600, backoff_cap_seconds=600)
    quick = {"extractor_retries": 1, "retries": 1, "retry_sleep_functions": {}, "cachedir": False}
    options = {**fresh_twin.ytdlp_options(), **quick, "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe()}
    with closing(YouTube(options, spend=budget.spend)) as youtube:
        yield Worker(fresh_twin, youtube, folder_store)
