"""Making the assets of one claim: what the rows say, the pictures and captions of YouTube, and what is made of them."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ingestion import budget
from ingestion.assets import captions, claims
from ingestion.assets.claims import AssetClaim
from ingestion.assets.contents import nfo, picture_kind
from ingestion.assets.cues import is_webvtt
from ingestion.assets.rows import ask_for_languages
from ingestion.assets.wanted import CONTENT_TYPES, Kind, label
from ingestion.errors import ArchiveError, FleetError, TransientError
from ingestion.extraction import Extraction
from ingestion.heartbeat import Stopped
from ingestion.outages import DATABASE_AWAY, close_connection, insist
from ingestion.signatures import host_and_path
from ingestion.store import Store, Stored
from videos.keys import beside
from videos.models import Asset, Video

logger = logging.getLogger(__name__)

LARGEST = 20 << 20
"""Bytes of a picture or of captions; more is taken for a mistake."""
MOST_PICTURES = 12
"""Addresses of pictures, the best first, that are asked for before it is said that there is none."""


class AssetSource(Protocol):
    """YouTube, as far as assets need it."""

    def describe(self, external_id: str) -> Extraction:
        """One look at a video, without a choice of formats."""

    def fetch(self, url: str, *, largest: int) -> bytes | None:
        """A small file of YouTube's, None when it answers that there is none."""

    def public_info(self, extraction: Extraction) -> Mapping[str, Any]:
        """What yt-dlp knows, fit to be shown to anybody."""


class Made(NamedTuple):
    content: bytes
    ext: str
    is_automatic: bool = False


class _Absent(Exception):
    """YouTube has none."""


def work(claim: AssetClaim, *, source: AssetSource, store: Store, check: Callable[[], None], extraction: Extraction | None = None) -> int:
    """Make all assets of a claim and record what becomes of each. Returns how many were stored.

    `extraction` is a look that was just taken, None to take one when it is needed; `check` may raise Stopped. What is stopped,
    or found the database away, is handed back; a refusal of YouTube ends the rest as well. Where the storage is away or wrong
    before a look is taken, all of it waits for the storage, and YouTube is asked nothing.
    """
    try:
        return _Desk(claim, source, store, check, extraction).work()
    except Stopped as stop:
        logger.info("the assets of video %d were stopped: %s", claim.video_id, stop.reason, extra={"video": claim.video_id})
        if stop.reason != "lost":
            insist(claims.hand_back, claim)
    except DATABASE_AWAY as exc:
        logger.warning("the database went away over assets, which are handed back: %s", exc, extra={"video": claim.video_id})
        close_connection()
        insist(claims.hand_back, claim)
    return 0


@dataclass
class _Desk:
    """One claim's work; whatever was looked at or fetched for one asset serves the others."""

    claim: AssetClaim
    source: AssetSource
    store: Store
    check: Callable[[], None]
    extraction: Extraction | None
    failure: ArchiveError | None = None
    """Of the look: it is taken once, and tells the same to all that need it."""
    served: dict[captions.Track, bytes | ArchiveError] = field(default_factory=dict)
    """What was answered for each track: it is asked for once, and tells the same to all that need it."""

    def work(self) -> int:
        self.video = Video.objects.select_related("person", "channel").get(pk=self.claim.video_id)
        return self._work_all() if self._storage_is_there() else 0

    def _storage_is_there(self) -> bool:
        """Asked before a look at YouTube is taken, and before an object is begun, which would cost it its plain name."""
        try:
            if self.extraction is None:
                self.store.check()
        except ArchiveError as failure:
            insist(claims.fail_claim, self.claim, failure)
            return False
        return True

    def _work_all(self) -> int:
        stored = 0
        for asset in self._assets():
            self.check()
            if not insist(claims.is_ours, asset):
                continue
            try:
                stored += self._work_one(asset)
            except FleetError as failure:
                self._refused(asset, failure)
                break
            except ArchiveError as failure:
                budget.note_answer(failure)
                insist(claims.fail, [asset], failure)
        return stored

    def _assets(self) -> Iterator[Asset]:
        """Also those that were asked for meanwhile, in the place of `all` languages."""
        seen: set[int] = set()
        while new := self._left(seen):
            seen |= {asset.pk for asset in new}
            yield from new

    def _left(self, seen: set[int]) -> list[Asset]:
        ours = Asset.objects.filter(claim_id=self.claim.id).exclude(pk__in=seen)
        return sorted(ours, key=lambda asset: (Kind.values.index(asset.kind), asset.language, asset.ext != "vtt"))

    def _refused(self, asset: Asset, failure: FleetError) -> None:
        """Nothing more may be asked: the others wait, as this one does."""
        if budget.is_refusal(failure):
            until = budget.refused(failure.kind)
            logger.error("YouTube refuses us (%s): no requests until %s", failure.kind, until.isoformat(timespec="seconds"))
        insist(claims.fail, [asset], failure)
        insist(claims.hand_back, self.claim)

    # --- one asset

    def _work_one(self, asset: Asset) -> bool:
        try:
            if asset.language == Asset.ALL_LANGUAGES:
                return self._list_languages(asset)
            made = self._make(asset)
        except _Absent:
            insist(claims.end, asset, Asset.Status.ABSENT)
            return False
        return self._store(asset, made)

    def _store(self, asset: Asset, made: Made) -> bool:
        """The object, then the row. One of an earlier name of the video goes when the new one is recorded."""
        if not (key := insist(claims.begin, asset)):
            return False
        stored = self._put(beside(key, label(asset, made.ext)), made)
        if insist(claims.record_stored, asset, stored, ext=made.ext, is_automatic=made.is_automatic):
            self._remove(asset.storage_key)
            return True
        logger.warning("an asset was made after its lease had gone to somebody else", extra={"video": self.video.pk})
        self._remove(stored.key)
        return False

    def _make(self, asset: Asset) -> Made:
        if asset.kind == Kind.NFO:
            return Made(nfo(self.video), "nfo")
        if asset.kind == Kind.INFO:
            return Made(json.dumps(self.source.public_info(self._look()), ensure_ascii=False, indent=1).encode() + b"\n", "json")
        if asset.kind == Kind.THUMBNAIL:
            return self._picture()
        return self._captions(asset)

    def _put(self, key: str, made: Made) -> Stored:
        said = {"massdl-video": str(self.video.uuid), "youtube-id": self.video.external_id}
        return self.store.put(key, made.content, content_type=CONTENT_TYPES[made.ext], metadata=said)

    def _remove(self, key: str) -> None:
        """Of a key that no row names; what the storage refuses to remove is left to `orphans.clean`."""
        try:
            if key:
                self.store.delete(key)
        except ArchiveError as failure:
            logger.warning("%s stays in the storage for now: %s", key, failure)

    def _look(self) -> Extraction:
        if self.failure:
            raise self.failure
        if self.extraction is None:
            try:
                self.extraction = self.source.describe(self.video.external_id)
            except ArchiveError as failure:
                self.failure = failure
                raise
            budget.accepted()
        return self.extraction

    # --- pictures

    def _picture(self) -> Made:
        """The best that there is: many of the addresses that yt-dlp knows of are of sizes that this video has not."""
        offered = [picture["url"] for picture in reversed(self._look().info.get("thumbnails") or ()) if picture.get("url")]
        for url in list(dict.fromkeys(offered))[:MOST_PICTURES]:
            self.check()
            if content := self.source.fetch(url, largest=LARGEST):
                if not (ext := picture_kind(content)):
                    raise TransientError("incomplete", f"{host_and_path(url)} is no picture")
                return Made(content, ext)
        raise _Absent

    # --- captions

    def _list_languages(self, asset: Asset) -> bool:
        languages = captions.languages_of(self._look().info, automatic=asset.takes_automatic)
        if not languages:
            raise _Absent
        insist(ask_for_languages, asset, languages)
        return False

    def _captions(self, asset: Asset) -> Made:
        vtt, is_automatic = self._vtt(asset)
        if asset.ext == "vtt":
            return Made(vtt, "vtt", is_automatic)
        made = captions.to_srt(vtt) if asset.ext == "srt" else captions.to_text(vtt, is_rolling=is_automatic)
        if not made:
            raise _Absent
        return Made(made, asset.ext, is_automatic)

    def _vtt(self, asset: Asset) -> tuple[bytes, bool]:
        """The captions and whether they are automatic; those that are stored already are not asked for again."""
        stored = Asset.objects.stored().filter(video=self.video, kind=Kind.SUBTITLES, language=asset.language, ext="vtt").first()
        if stored and asset.ext != "vtt" and (asset.takes_automatic or not stored.is_automatic):
            with self.store.open(stored.storage_key) as file:
                return file.read(), stored.is_automatic
        track = captions.track_in(self._look().info, asset.language, automatic=asset.takes_automatic)
        if track is None:
            raise _Absent
        if track not in self.served:
            self.served[track] = self._fetch(track)
        served = self.served[track]
        if isinstance(served, ArchiveError):
            raise served
        if b"-->" not in served:  # nothing is said
            raise _Absent
        return served, track.is_automatic

    def _fetch(self, track: captions.Track) -> bytes | ArchiveError:
        """A refusal after a look that was answered is of these captions, not of us (yt-dlp issues 13770 and 13831)."""
        try:
            vtt = self.source.fetch(track.url, largest=LARGEST)
        except ArchiveError as failure:
            return TransientError("captions_refused", failure.message) if budget.is_refusal(failure) else failure
        if is_webvtt(vtt or b""):
            return vtt
        said = "nothing" if not vtt else "something else"
        return TransientError("incomplete", f"YouTube offers captions in {track.language}, and answered with {said}")
