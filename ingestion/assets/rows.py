"""Asking for assets: rows for what a session wants beside videos that are stored, where they are missing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from ingestion import leases
from ingestion.assets.claims import AssetClaim, end, hand_back
from ingestion.assets.wanted import BY_LANGUAGE, Kind, Wanted, in_language, wanted
from ingestion.leases import Claim
from ingestion.models import Attempt, DownloadSession
from ingestion.options import Options
from videos.keys import beside
from videos.models import Asset, Video
from videos.querysets import AssetQuerySet

# Whoever cancels the session waits for the transaction around, and then gives up what it asked for
HOLD_SESSION = "SELECT state FROM ingestion_downloadsession WHERE id = %s FOR SHARE"

# What an earlier session asked for and left out: it was cancelled, or took no automatic captions. Rows that are neither are
# found before, for ON CONFLICT would lock each of them.
LEFT_OUT = """(
    (a.status = 'failed' AND a.error_kind = 'cancelled' AND a.session_id IS DISTINCT FROM %(session)s::bigint)
    OR (a.status IN ('absent', 'listed') AND a.kind = ANY(%(by_language)s) AND %(takes_automatic)s AND NOT a.takes_automatic)
)"""
ASK = f"""
INSERT INTO videos_asset AS a (video_id, session_id, kind, language, ext, takes_automatic, attempts, claim_id, lease_owner,
                               lease_expires_at)
SELECT v.id, %(session)s::bigint, w.kind, w.language, w.ext, %(takes_automatic)s, %(attempts)s, %(claim)s::uuid, %(owner)s,
       clock_timestamp() + %(lease)s::interval
FROM videos_video v CROSS JOIN unnest(%(kinds)s::text[], %(languages)s::text[], %(exts)s::text[]) AS w (kind, language, ext)
WHERE v.id = ANY(%(videos)s::bigint[]) AND v.storage_key > '' AND NOT EXISTS (
    SELECT FROM videos_asset a WHERE a.video_id = v.id AND a.kind = w.kind AND a.language = w.language
       AND (CASE WHEN a.kind = 'thumbnail' THEN '' ELSE a.ext END) = w.ext AND NOT {LEFT_OUT}
)
ORDER BY v.id, w.kind, w.language, w.ext
ON CONFLICT (video_id, kind, language, (CASE WHEN kind = 'thumbnail' THEN '' ELSE ext END)) DO UPDATE SET
    status = 'pending', session_id = excluded.session_id, takes_automatic = excluded.takes_automatic, attempts = excluded.attempts,
    losses = 0, refusals = 0, error_kind = '', error_message = '', next_attempt_at = statement_timestamp(),
    claim_id = excluded.claim_id, lease_owner = excluded.lease_owner, lease_expires_at = excluded.lease_expires_at
WHERE {LEFT_OUT}
"""
AT_ONCE = 1000
NOT_CLAIMED = {"attempts": 0, "claim": None, "owner": "", "lease": None}


def ask_after_download(claim: Claim, options: Options) -> AssetClaim | None:
    """Ask for what goes with a video that `claim` just stored, in the transaction that records it; what is new, and what has
    the name of an object that the video had before, is the same worker's at once. None when there is nothing to do for it,
    as for a session that was cancelled, and None where the worker was told to stop as it ended: then they wait for another.
    The same claim of a video gives the same claim of its assets."""
    if not (wants := wanted(options)) or not _hold_session(claim.session_id):
        return None
    ours = AssetClaim.after(claim)
    owner, stop = Attempt.objects.values_list("worker", "stop").get(pk=claim.attempt_id)
    asker = {"session": claim.session_id, "takes_automatic": options.automatic_subtitles}
    _ask([claim.video_id], wants, asker, {"attempts": 1, "claim": ours.id, "owner": owner, "lease": leases.lease_length()})
    _make_anew(claim.video_id, {one.kind for one in wants}, ours, owner, asker)
    if stop:
        hand_back(ours)
    return ours if Asset.objects.filter(claim_id=ours.id).exists() else None


def ask_for_videos(session: DownloadSession, videos: Collection[int], options: Options) -> int:
    """Ask for what these videos lack, without downloading them again. Returns how many assets that made due or took over;
    none for a session that was cancelled."""
    if not videos or not (wants := wanted(options)):
        return 0
    with transaction.atomic():
        if not _hold_session(session.pk):
            return 0
        asked = _ask(videos, wants, {"session": session.pk, "takes_automatic": options.automatic_subtitles}, NOT_CLAIMED)
        return asked + _take_over(session, Asset.objects.filter(_any_of(wants), video__in=videos), options)


def ask_for_channel(session: DownloadSession, channel_id: int, options: Options) -> int:
    """The same for all stored videos of a channel, in batches, so that nothing is locked for long."""
    if not wanted(options):
        return 0
    stored = Video.objects.stored().filter(channel_id=channel_id).order_by("pk").values_list("pk", flat=True)
    asked, last = 0, 0
    while batch := list(stored.filter(pk__gt=last)[:AT_ONCE]):
        asked, last = asked + ask_for_videos(session, batch, options), batch[-1]
    return asked


def ask_for_languages(asset: Asset, languages: Sequence[str]) -> bool:
    """Make the rows that an asset in `all` languages stands for, claimed as it is, and end it as listed. They are the session's
    that owes it by now, which need not be the one that it was claimed for. False, and nothing done, when it is somebody
    else's, or its session was cancelled."""
    wants = [one for language in languages for one in in_language(asset.kind, language)]
    lease = {"attempts": 1, "claim": asset.claim_id, "owner": asset.lease_owner, "lease": leases.lease_length()}
    claimed = Asset.objects.filter(pk=asset.pk, claim_id=asset.claim_id).values("session", "takes_automatic")
    while asker := claimed.first():
        with transaction.atomic():
            if _hold_session(asker["session"]):
                _ask([asset.video_id], wants, asker, lease)
                if end(asset, Asset.Status.LISTED) and Asset.objects.filter(pk=asset.pk, session=asker["session"]).exists():
                    return True
                transaction.set_rollback(True)  # another session took it over meanwhile
            elif claimed.first() == asker:
                return False
    return False


def _hold_session(session_id: int | None) -> bool:
    """False when it was cancelled, or is gone; else it is neither until the transaction around ends. To be locked before
    assets, as everybody does."""
    if session_id is None:
        return True
    with connection.cursor() as cursor:
        cursor.execute(HOLD_SESSION, [session_id])
        return cursor.fetchone() not in (None, (DownloadSession.State.CANCELLED,))


def _ask(videos: Iterable[int], wants: Sequence[Wanted], asker: Mapping[str, Any], lease: Mapping[str, Any]) -> int:
    kinds, languages, exts = (list(column) for column in zip(*wants, strict=True))
    asked = {"videos": list(videos), "kinds": kinds, "languages": languages, "exts": exts, "by_language": list(BY_LANGUAGE)}
    with connection.cursor() as cursor:
        cursor.execute(ASK, {**asked, **asker, **lease})
        return cursor.rowcount


def _take_over(session: DownloadSession, wanted: AssetQuerySet, options: Options) -> int:
    """What others owe of the very same becomes this session's, but for what runs: whoever paused or cancelled this one would
    stop that as well. Whoever owes it, it is widened to what this one takes, unless it is in work: that look was theirs."""
    others = wanted.filter(~Q(session=session) | Q(session=None))
    pending = others.filter(status=Asset.Status.PENDING)
    wider = {"takes_automatic": True} if options.automatic_subtitles else {}
    if wider:
        pending.filter(takes_automatic=False, claim_id=None).update(**wider)
    running = DownloadSession.objects.filter(state=DownloadSession.State.RUNNING)
    taken = pending.exclude(session__in=running.values("pk")).update(session=session)
    if options.retry_failed:
        taken += others.filter(status=Asset.Status.FAILED).retry(session=session, **wider)
    return taken


def _any_of(wants: Sequence[Wanted]) -> Q:
    return reduce(or_, (Q(**one._asdict()) if one.kind != Kind.THUMBNAIL else Q(kind=one.kind) for one in wants))


def _make_anew(video_id: int, kinds: Collection[str], claim: AssetClaim, owner: str, asker: Mapping[str, Any]) -> int:
    """The video was stored anew, under another name, by which media centres look for what lies beside it. The objects that
    there are stay until they are replaced; under the new name none was begun yet."""
    key = Video.objects.values_list("storage_key", flat=True).get(pk=video_id)
    old = Asset.objects.stored().filter(video_id=video_id, kind__in=kinds).exclude(storage_key__startswith=beside(key, ""))
    afresh = {"attempts": 1, "tries": 0, "losses": 0, "refusals": 0, "error_kind": "", "error_message": "", "next_attempt_at": Now()}
    lease = {"claim_id": claim.id, "lease_owner": owner, "lease_expires_at": Now() + leases.lease_length()}
    return old.update(status=Asset.Status.PENDING, session_id=asker["session"], takes_automatic=asker["takes_automatic"], **afresh, **lease)
