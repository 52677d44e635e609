"""How far a session is, in a constant number of queries."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from ingestion import budget, turns
from ingestion.assets import next_due_at
from ingestion.models import DownloadSession, Limits, Scan
from ingestion.roster import ALIVE, SUPERVISOR
from ingestion.schedule import Hold, held_until
from people.models import Channel
from videos.models import Asset
from videos.tallies import Tally

SHOWN = 12

# Of one channel `p`, the first and the last time at which a video that may run is due: the index of claims is walked from
# priority to priority, not from video to video
MAY_RUN = """
    WITH RECURSIVE line AS (
        (SELECT v.priority, v.next_attempt_at FROM videos_video v WHERE {LINE}
         ORDER BY v.priority DESC, v.next_attempt_at, v.id LIMIT 1)
        UNION ALL
        SELECT n.priority, n.next_attempt_at FROM line l CROSS JOIN LATERAL (
            SELECT v.priority, v.next_attempt_at FROM videos_video v WHERE {LINE} AND v.priority < l.priority
            ORDER BY v.priority DESC, v.next_attempt_at, v.id LIMIT 1
        ) n
    )
    SELECT min(l.next_attempt_at) AS first, max((
        SELECT v.next_attempt_at FROM videos_video v WHERE {LINE} AND v.priority = l.priority
        ORDER BY v.next_attempt_at DESC, v.id DESC LIMIT 1
    )) AS last FROM line l
""".replace("{LINE}", f"{turns.LINE} AND v.channel_id = p.channel_id AND coalesce(v.session_id, 0) = %(session)s")

# All at one moment. Videos are known as sums; of those that wait, the ones that staff hold back are counted, as far as `limit`:
# first those of channels that go on, for what a paused channel holds is known as a sum
LOOK = f"""
SELECT s.state, s.state_reason, jsonb_build_object(
    'videos', (SELECT jsonb_agg(t) FROM (
        SELECT status, error_kind, sum(videos) AS videos, sum(bytes) AS bytes FROM videos_videotally
        WHERE session_id = %(session)s AND channel_id IS NOT NULL GROUP BY status, error_kind) t),
    'pending', (SELECT jsonb_agg(t) FROM (
        WITH p AS (
            SELECT c.id AS channel_id, c.state, sum(n.videos) AS videos
            FROM videos_videotally n JOIN people_channel c ON c.id = n.channel_id
            WHERE n.session_id = %(session)s AND n.status = 'pending' GROUP BY c.id HAVING sum(n.videos) > 0
        ), held AS (
            SELECT p.channel_id FROM (SELECT * FROM p ORDER BY state = 'paused') p CROSS JOIN LATERAL (
                SELECT FROM videos_video v WHERE v.session_id = %(session)s AND v.channel_id = p.channel_id
                AND v.status = 'pending' AND v.wanted <> 'run' LIMIT %(limit)s
            ) v LIMIT %(limit)s
        )
        SELECT p.state AS channel, sum(p.videos) AS videos, coalesce(sum(h.videos), 0) AS held, min(r.first) AS first, max(r.last) AS last
        FROM p LEFT JOIN (SELECT channel_id, count(*) AS videos FROM held GROUP BY channel_id) h USING (channel_id)
        CROSS JOIN LATERAL ({MAY_RUN}) r GROUP BY p.state) t),
    'running', (SELECT jsonb_agg(t) FROM (
        SELECT v.id, coalesce(nullif(v.title, ''), v.external_id) AS title, coalesce(p.bytes_done, 0) AS done, p.bytes_total AS total
        FROM ingestion_attempt a JOIN videos_video v ON v.id = a.video_id AND v.status = 'downloading'
        LEFT JOIN ingestion_liveprogress p ON p.attempt_id = a.id
        WHERE a.session_id = %(session)s AND a.outcome = '' ORDER BY a.id LIMIT %(shown)s) t),
    'scans', (SELECT jsonb_agg(t) FROM (
        SELECT CASE WHEN n.state = 'running' AND n.lease_expires_at < statement_timestamp() THEN 'pending' ELSE n.state END AS state,
               c.state AS channel, count(*) AS scans, sum(n.already_stored) AS already_stored,
               min(n.next_attempt_at) AS first, max(n.next_attempt_at) AS last
        FROM ingestion_scan n JOIN people_channel c ON c.id = n.channel_id WHERE n.session_id = %(session)s GROUP BY 1, 2) t),
    'scan_kinds', (SELECT jsonb_object_agg(error_kind, scans) FROM (
        SELECT error_kind, count(*) AS scans FROM ingestion_scan
        WHERE session_id = %(session)s AND error_kind > '' GROUP BY error_kind) t),
    'left_alone', (SELECT jsonb_object_agg(kind, videos) FROM (
        SELECT l.key AS kind, sum(l.value::bigint) AS videos FROM ingestion_scan n CROSS JOIN jsonb_each_text(n.left_alone) l
        WHERE n.session_id = %(session)s GROUP BY l.key) t),
    'containers', (SELECT jsonb_object_agg(container, videos) FROM (
        SELECT container, count(*) AS videos FROM (
            SELECT container FROM videos_video WHERE session_id = %(session)s AND status = 'stored' LIMIT %(files)s
        ) v GROUP BY container) t),
    'has_workers', EXISTS (
        SELECT FROM ingestion_worker WHERE queue = %(supervisor)s AND heartbeat_at > statement_timestamp() - %(alive)s),
    'has_windows', EXISTS (SELECT FROM ingestion_downloadwindow)
) FROM ingestion_downloadsession s WHERE s.id = %(session)s
"""

# By status, in the index alone and as far as `limit`; those that somebody has; when the last that waits is due, by the index of
# claims
ASSETS = """
SELECT 'status', s.status, (
    SELECT count(*) FROM (SELECT FROM videos_asset a WHERE a.session_id = %(session)s AND a.status = s.status LIMIT %(limit)s) a
), NULL::timestamptz FROM unnest(%(statuses)s::text[]) AS s(status)
UNION ALL
SELECT 'in work', '', count(*) FILTER (WHERE lease_expires_at >= statement_timestamp()), min(next_attempt_at)
FROM videos_asset WHERE session_id = %(session)s AND claim_id IS NOT NULL
UNION ALL
SELECT 'cancelled', '', count(*), NULL
FROM (SELECT error_kind FROM videos_asset WHERE session_id = %(session)s AND status = 'failed' LIMIT %(limit)s) f
WHERE error_kind = 'cancelled'
UNION ALL
SELECT 'kind', error_kind, count(*), NULL FROM videos_asset
WHERE %(kinds)s AND session_id = %(session)s AND status IN ('pending', 'failed') AND error_kind > '' GROUP BY error_kind
UNION ALL
SELECT 'last', '', 0, (
    SELECT next_attempt_at FROM videos_asset
    WHERE status = 'pending' AND claim_id IS NULL AND coalesce(session_id, 0) = %(session)s
      AND (CASE WHEN kind = 'nfo' THEN 0 ELSE 1 END) = asks
    ORDER BY next_attempt_at DESC LIMIT 1
) FROM unnest(ARRAY[0, 1]) AS asks
"""

# Why work is held back: nobody may take it before staff say so, however long it waits
LIMITS_PAUSED, CHANNEL_PAUSED, VIDEO_PAUSED = "everything paused", "channel paused", "video paused"


@dataclass(frozen=True)
class Running:
    """A download under way; bytes_total is None until the formats are known."""

    video_id: int
    title: str
    bytes_done: int
    bytes_total: int | None


@dataclass
class Progress:
    """A session at one moment.

    `videos` counts its own by status, `kinds` by error those that are not stored; `already_stored` and `left_alone` (by kind)
    were known before and are not its work. `assets` counts, by status, what it asked for beside videos, and `assets_in_work`
    those that somebody has at this moment. `held_videos` and `held_scans` count, by reason, what staff hold back; they are
    waiting too. Single videos held back, and assets, are counted no further than was asked for.

    `next_scan_at`, `next_video_at` and `next_asset_at` are when the first of the others may be tried, None when there is none.
    `last_due` are times of the last of each sort; `has_later` tells whether a resume would bring anything forward. `hold` says
    why no download may begin at this time of the day, `requests` what YouTube may be asked. `containers` counts the kinds of
    files among the first stored ones, `asset_kinds` the errors of assets: both only where they were asked for.
    """

    state: str
    state_reason: str
    scans: Counter = field(default_factory=Counter)
    scan_kinds: Counter = field(default_factory=Counter)
    videos: Counter = field(default_factory=Counter)
    bytes_stored: int = 0
    kinds: Counter = field(default_factory=Counter)
    waits_for: Counter = field(default_factory=Counter)
    containers: Counter = field(default_factory=Counter)
    already_stored: int = 0
    left_alone: Counter = field(default_factory=Counter)
    assets: Counter = field(default_factory=Counter)
    assets_in_work: int = 0
    assets_cancelled: int = 0
    asset_kinds: Counter = field(default_factory=Counter)
    running: list[Running] = field(default_factory=list)
    held_videos: Counter = field(default_factory=Counter)
    held_scans: Counter = field(default_factory=Counter)
    next_scan_at: datetime | None = None
    next_video_at: datetime | None = None
    next_asset_at: datetime | None = None
    last_due: list[datetime] = field(default_factory=list)
    has_later: bool = False
    has_workers: bool = False
    hold: Hold | None = None
    requests: budget.State | None = None

    @property
    def scans_open(self) -> int:
        return self.scans["pending"] + self.scans["running"]

    @property
    def unfinished(self) -> int:
        return self.videos["pending"] + self.videos["downloading"]

    @property
    def total(self) -> int:
        return self.videos.total()

    @property
    def is_over(self) -> bool:
        """Nothing is left to do."""
        return not self.scans_open and not self.unfinished and not self.assets["pending"]

    @property
    def all_stored(self) -> bool:
        """Every video that was asked for is in the archive, and what YouTube has beside it."""
        asked = self.videos.total() == self.videos["stored"] and not self.left_alone.total()
        asked = asked and not self.assets["failed"] and not self.assets["pending"]
        return asked and not self.scans_open and not self.scans["failed"]

    @property
    def closed_until(self) -> datetime | None:
        """Until when YouTube must not be asked at all."""
        return self.requests and self.requests.closed_until

    @property
    def next_due_at(self) -> datetime | None:
        """When the first scan, download or work on assets may begin; None when staff hold back all that waits."""
        video = max(self.next_video_at, self.hold.until) if self.next_video_at and self.hold else self.next_video_at
        due = min(filter(None, (self.next_scan_at, video, self.next_asset_at)), default=None)
        return max(due, self.closed_until or due) if due else None

    def waits_beyond(self, moment: datetime) -> bool:
        """Whether nothing runs and nothing may be tried before `moment`."""
        if self.videos["downloading"] or self.scans["running"] or self.assets_in_work:
            return False
        return self.next_due_at is None or self.next_due_at > moment


def session_progress(session: DownloadSession, *, files: int = 0, asset_kinds: bool = False, most_counted: int | None = None) -> Progress:
    """With the kinds of so many stored `files` and with the errors of assets, if they are asked for.

    With `most_counted`, what can only be counted row by row is counted up to one more than that, which says that there are more:
    videos that are paused one by one, and the assets of each status. For who asks every few seconds.
    Brings the state of the session itself up to date. Raises DownloadSession.DoesNotExist when somebody removed it.
    """
    limits = Limits.row()
    limit = None if most_counted is None else most_counted + 1
    look = _look(session, files, limit)
    progress = Progress(session.state, session.state_reason, has_workers=look["has_workers"])
    _add_scans(progress, look, all_held=limits.paused)
    _add_videos(progress, look, all_held=limits.paused)
    _add_assets(session, progress, all_held=limits.paused, values={"kinds": asset_kinds, "limit": limit})
    now = timezone.now()
    progress.has_later = progress.has_later or any(last > now for last in progress.last_due)
    progress.hold = held_until(limits, now) if look["has_windows"] or limits.has_caps else None
    progress.requests = budget.state(limits)
    return progress


def _look(session: DownloadSession, files: int, limit: int | None) -> dict[str, Any]:
    values = {"session": session.pk, "shown": SHOWN, "files": files, "limit": limit, "supervisor": SUPERVISOR, "alive": ALIVE}
    with connection.cursor() as cursor:
        cursor.execute(LOOK, values)
        if not (row := cursor.fetchone()):
            raise DownloadSession.DoesNotExist(f"Session {session.pk} is gone.")
    session.state, session.state_reason = row[:2]
    return json.loads(row[2])


def _add_scans(progress: Progress, look: dict[str, Any], *, all_held: bool) -> None:
    """A scan whose worker went silent is not running: it waits to be taken up again."""
    for row in look["scans"] or ():
        progress.scans[row["state"]] += row["scans"]
        progress.already_stored += row["already_stored"]
        if row["state"] != Scan.State.PENDING:
            continue
        progress.last_due.append(datetime.fromisoformat(row["last"]))
        if reason := _held_back(row["channel"], all_held=all_held):
            progress.held_scans[reason] += row["scans"]
        else:
            progress.next_scan_at = _first(progress.next_scan_at, row["first"])
    progress.left_alone.update(look["left_alone"] or {})
    progress.scan_kinds.update(look["scan_kinds"] or {})


def _add_videos(progress: Progress, look: dict[str, Any], *, all_held: bool) -> None:
    tally = Tally()
    for row in look["videos"] or ():
        tally.add(row["status"], row["error_kind"], row["videos"], row["bytes"])
    progress.videos, progress.bytes_stored, progress.kinds = +tally.videos, tally.bytes, +tally.went_wrong
    progress.waits_for = +tally.waits_for
    progress.containers.update(look["containers"] or {})
    progress.running = [Running(row["id"], row["title"], row["done"], row["total"]) for row in look["running"] or ()]
    for row in look["pending"] or ():
        reason = _held_back(row["channel"], all_held=all_held)
        held = {reason: row["videos"]} if reason else {VIDEO_PAUSED: row["held"]}
        progress.held_videos.update({why: count for why, count in held.items() if count})
        progress.has_later = progress.has_later or bool(row["held"])
        if row["first"]:
            progress.last_due.append(datetime.fromisoformat(row["last"]))
            progress.next_video_at = progress.next_video_at if reason else _first(progress.next_video_at, row["first"])


def _add_assets(session: DownloadSession, progress: Progress, *, all_held: bool, values: dict[str, Any]) -> None:
    """Those whose worker went silent are not in work: they wait to be taken up again."""
    began_at = None
    for what, word, count, due_at in _assets(session, values):
        if what == "status":
            progress.assets.update({word: count} if count else {})
        elif what == "in work":
            progress.assets_in_work, began_at = count, due_at
        elif what == "cancelled":
            progress.assets_cancelled = count
        elif what == "kind":
            progress.asset_kinds[word] = count
        elif due_at:
            progress.last_due.append(due_at)
    if progress.assets[Asset.Status.PENDING] and not all_held:
        progress.next_asset_at = min(filter(None, (began_at, next_due_at(session.pk))), default=None)


def _assets(session: DownloadSession, values: dict[str, Any]) -> Iterable[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(ASSETS, {"session": session.pk, "statuses": Asset.Status.values, **values})
        return cursor.fetchall()


def _first(known: datetime | None, text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return min(known or moment, moment)


def _held_back(channel_state: str, *, all_held: bool) -> str:
    """Why nobody may take work of a channel for now, "" when somebody may; the same conditions as those of a claim."""
    if all_held:
        return LIMITS_PAUSED
    return CHANNEL_PAUSED if channel_state == Channel.State.PAUSED else ""
