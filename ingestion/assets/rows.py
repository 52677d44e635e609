"""Asking for assets: rows for what a session wants beside videos that are stored, where they are missing."""

from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection
from django.db.models import Q

from ingestion import leases
from ingestion.assets.claims import AssetClaim
from ingestion.assets.wanted import Wanted, in_language, wanted
from ingestion.leases import Claim
from ingestion.models import Attempt, DownloadSession
from ingestion.options import Options
from videos.models import Asset, Video

ASK = """
INSERT INTO videos_asset (video_id, session_id, kind, language, ext, attempts, tries, claim_id, lease_owner, lease_expires_at)
SELECT v.id, %(session)s::bigint, w.kind, w.language, w.ext, %(tries)s, %(tries)s, %(claim)s::uuid, %(owner)s,
       clock_timestamp() + %(lease)s::interval
FROM videos_video v CROSS JOIN unnest(%(kinds)s::text[], %(languages)s::text[], %(exts)s::text[]) AS w (kind, language, ext)
WHERE v.id = ANY(%(videos)s::bigint[]) AND v.storage_key > ''
ORDER BY v.id, w.kind, w.language, w.ext
ON CONFLICT DO NOTHING
"""
AT_ONCE = 1000
NOT_CLAIMED = {"tries": 0, "claim": None, "owner": "", "lease": None}


def ask_after_download(claim: Claim, options: Options) -> AssetClaim | None:
    """Ask for what goes with a video that `claim` just stored, in the transaction that records it; what is new is the same
    worker's at once. None when there is nothing to do for it. The same claim of a video gives the same claim of its assets."""
    if not (wants := wanted(options)):
        return None
    ours = AssetClaim.after(claim)
    owner = Attempt.objects.values_list("worker", flat=True).get(pk=claim.attempt_id)
    lease = {"tries": 1, "claim": ours.id, "owner": owner, "lease": leases.lease_length()}
    _ask({"videos": [claim.video_id], "session": claim.session_id, **lease}, wants)
    return ours if Asset.objects.filter(claim_id=ours.id).exists() else None


def ask_for_videos(session: DownloadSession, videos: Collection[int], options: Options) -> int:
    """Ask for what these videos lack, without downloading them again. Returns how many assets that made due or took over."""
    if not videos or not (wants := wanted(options)):
        return 0
    asked = _ask({"videos": list(videos), "session": session.pk, **NOT_CLAIMED}, wants)
    others = Asset.objects.filter(video__in=videos, kind__in=options.assets).filter(~Q(session=session) | Q(session=None))
    taken = others.filter(status=Asset.Status.PENDING).update(session=session)
    if options.retry_failed:
        taken += others.filter(status=Asset.Status.FAILED).retry(session=session)
    return asked + taken


def ask_for_channel(session: DownloadSession, channel_id: int, options: Options) -> int:
    """The same for all stored videos of a channel, in batches, so that nothing is locked for long."""
    if not wanted(options):
        return 0
    stored = Video.objects.stored().filter(channel_id=channel_id).order_by("pk").values_list("pk", flat=True)
    asked, last = 0, 0
    while batch := list(stored.filter(pk__gt=last)[:AT_ONCE]):
        asked, last = asked + ask_for_videos(session, batch, options), batch[-1]
    return asked


def ask_for_languages(asset: Asset, languages: Sequence[str]) -> None:
    """The rows that an asset in `all` languages stands for, claimed as it is."""
    wants = [one for language in languages for one in in_language(asset.kind, language)]
    lease = {"tries": 1, "claim": asset.claim_id, "owner": asset.lease_owner, "lease": leases.lease_length()}
    _ask({"videos": [asset.video_id], "session": asset.session_id, **lease}, wants)


def _ask(values: dict[str, Any], wants: Sequence[Wanted]) -> int:
    kinds, languages, exts = (list(column) for column in zip(*wants, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(ASK, {**values, "kinds": kinds, "languages": languages, "exts": exts})
        return cursor.rowcount
