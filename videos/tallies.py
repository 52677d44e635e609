"""Exact numbers of videos without looking at the videos: sums over `VideoTally`, whose rows triggers append.

All readers see what the transaction they stand in sees, neither more nor less. "Waiting" is whatever is not over yet, what
runs included; "bytes" are those of the videos' own files, without pictures, captions and such.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import Lookup, Q, QuerySet, Sum
from django.db.models.expressions import Col
from django.db.models.sql.where import AND, WhereNode

from videos.models import Video, VideoTally

FOLDING = 0x74616C79  # an advisory lock: one at a time is enough, on all hosts
KEY = "person_id, channel_id, session_id, status, error_kind"
COLUMNS = set(KEY.split(", "))
OF_KEYS_ONLY = {"person_id", "channel_id", "session_id"}
"""Columns that the totals do without."""

# What is fresh goes into the one row of its key and into the totals; rows of other keys are not touched
FOLD = f"""
WITH fresh AS (DELETE FROM videos_videotally WHERE NOT is_folded RETURNING *),
changed AS (
    SELECT {KEY}, sum(videos) AS videos, sum(bytes) AS bytes FROM fresh
    GROUP BY {KEY} HAVING sum(videos) <> 0 OR sum(bytes) <> 0
),
known AS (
    DELETE FROM videos_videotally t USING changed c
    WHERE t.is_folded AND t.channel_id = c.channel_id AND t.person_id = c.person_id AND t.status = c.status
      AND t.error_kind = c.error_kind AND coalesce(t.session_id, 0) = coalesce(c.session_id, 0)
    RETURNING t.*
),
folded AS (
    INSERT INTO videos_videotally ({KEY}, videos, bytes, is_folded)
    SELECT {KEY}, sum(videos), sum(bytes), true
    FROM (SELECT {KEY}, videos, bytes FROM changed UNION ALL SELECT {KEY}, videos, bytes FROM known) k
    GROUP BY {KEY} HAVING sum(videos) <> 0 OR sum(bytes) <> 0
),
total AS (
    SELECT person_id, coalesce(status, '') AS status, coalesce(error_kind, '') AS error_kind, sum(videos) AS videos, sum(bytes) AS bytes
    FROM changed GROUP BY GROUPING SETS ((status, error_kind), (person_id))
),
known_total AS (
    DELETE FROM videos_videotally t USING total n
    WHERE t.channel_id IS NULL AND coalesce(t.person_id, 0) = coalesce(n.person_id, 0) AND t.status = n.status
      AND t.error_kind = n.error_kind
    RETURNING t.person_id, t.status, t.error_kind, t.videos, t.bytes
),
totals AS (
    INSERT INTO videos_videotally (person_id, status, error_kind, videos, bytes, is_folded)
    SELECT person_id, status, error_kind, sum(videos), sum(bytes), true
    FROM (SELECT * FROM total UNION ALL SELECT * FROM known_total) t
    GROUP BY person_id, status, error_kind HAVING sum(videos) <> 0 OR sum(bytes) <> 0
)
SELECT count(*) FROM fresh
"""

# One statement, one moment: what others write meanwhile is missing from both sides
MEND = f"""
INSERT INTO videos_videotally ({KEY}, videos, bytes)
SELECT {KEY}, sum(videos), sum(bytes) FROM (
    SELECT {KEY}, count(*) AS videos, sum(CASE WHEN storage_key > '' THEN coalesce(file_size, 0) ELSE 0 END) AS bytes
    FROM videos_video GROUP BY {KEY}
    UNION ALL
    SELECT {KEY}, -videos, -bytes FROM videos_videotally WHERE channel_id IS NOT NULL
) t
GROUP BY {KEY} HAVING sum(videos) <> 0 OR sum(bytes) <> 0
"""
FORGET_TOTALS = "DELETE FROM videos_videotally WHERE channel_id IS NULL"
MAKE_TOTALS = """
INSERT INTO videos_videotally (person_id, status, error_kind, videos, bytes, is_folded)
SELECT person_id, coalesce(status, ''), coalesce(error_kind, ''), sum(videos), sum(bytes), true
FROM videos_videotally WHERE is_folded GROUP BY GROUPING SETS ((status, error_kind), (person_id))
HAVING sum(videos) <> 0 OR sum(bytes) <> 0
"""

# The largest are among the first by their totals, of which as many more are looked at as may have changed since
ARCHIVE = """
WITH fresh AS MATERIALIZED (
    SELECT person_id, coalesce(status, '') AS status, coalesce(error_kind, '') AS error_kind, sum(videos) AS videos, sum(bytes) AS bytes
    FROM videos_videotally WHERE NOT is_folded GROUP BY GROUPING SETS ((status, error_kind), (person_id))
),
changed AS (SELECT person_id, bytes FROM fresh WHERE person_id IS NOT NULL AND %(people)s > 0),
first AS (
    SELECT person_id, bytes FROM videos_videotally WHERE channel_id IS NULL AND person_id IS NOT NULL
    ORDER BY bytes DESC LIMIT CASE %(people)s WHEN 0 THEN 0 ELSE %(people)s + (SELECT count(*) FROM changed) END
),
total AS (
    SELECT status, error_kind, videos, bytes FROM videos_videotally WHERE channel_id IS NULL AND person_id IS NULL
    UNION ALL
    SELECT status, error_kind, videos, bytes FROM fresh WHERE person_id IS NULL
)
SELECT status, error_kind, NULL, NULL, sum(videos), sum(bytes) FROM total GROUP BY status, error_kind
UNION ALL (
    SELECT NULL, NULL, largest.person_id, p.name, NULL, largest.bytes
    FROM (
        SELECT person_id, sum(bytes) AS bytes FROM (
            (
                SELECT person_id, bytes FROM first
                UNION
                SELECT t.person_id, t.bytes FROM videos_videotally t JOIN changed USING (person_id) WHERE t.channel_id IS NULL
            )
            UNION ALL
            SELECT person_id, bytes FROM changed
        ) known
        GROUP BY person_id HAVING sum(bytes) > 0 ORDER BY 2 DESC, 1 LIMIT %(people)s
    ) largest JOIN people_person p ON p.id = largest.person_id
    ORDER BY largest.bytes DESC, largest.person_id
)
"""


@dataclass
class Tally:
    """Videos by status, and the bytes of their files. `waits_for` are the kinds of what went wrong last with pending ones,
    `went_wrong` those of all that are not stored."""

    videos: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    waits_for: Counter[str] = field(default_factory=Counter)
    went_wrong: Counter[str] = field(default_factory=Counter)

    def add(self, status: str, kind: str, videos: int, size: int) -> None:
        self.videos[status] += videos
        self.bytes += size
        if kind and status == "pending":
            self.waits_for[kind] += videos
        if kind and status != "stored":
            self.went_wrong[kind] += videos

    @property
    def stored(self) -> int:
        return self.videos["stored"]

    @property
    def waiting(self) -> int:
        return self.videos["pending"] + self.videos["downloading"]

    @property
    def refused(self) -> int:
        """Failed or unavailable: they are over, and are not stored."""
        return self.videos["failed"] + self.videos["unavailable"]


@dataclass(frozen=True)
class Largest:
    """A person with much in the storage."""

    person_id: int
    name: str
    bytes: int


@dataclass
class Archive(Tally):
    """All videos. `kinds` are those of the refused ones."""

    kinds: Counter[str] = field(default_factory=Counter)
    largest: list[Largest] = field(default_factory=list)


def archive(*, people: int = 0) -> Archive:
    """Everything in one query, with the so many `people` whose videos take most of the storage, the largest first."""
    found = Archive()
    with connection.cursor() as cursor:
        cursor.execute(ARCHIVE, {"people": people})
        for status, kind, person_id, name, videos, size in cursor.fetchall():
            if person_id is not None:
                found.largest.append(Largest(person_id, name, int(size)))
            else:
                found.add(status, kind, int(videos), int(size))
                if kind and videos and status in ("failed", "unavailable"):
                    found.kinds[kind] += int(videos)
    return found


def of_people(ids: Collection[int]) -> dict[int, Tally]:
    """A tally for each of them, zeros where there is nothing; one query, as for those below."""
    return _of("person_id", ids)


def of_channels(ids: Collection[int]) -> dict[int, Tally]:
    return _of("channel_id", ids)


def of_sessions(ids: Collection[int]) -> dict[int, Tally]:
    return _of("session_id", ids)


def _of(key: str, ids: Collection[int]) -> dict[int, Tally]:
    found = {pk: Tally() for pk in ids}
    of_channels = VideoTally.objects.filter(channel_id__isnull=False)
    rows = of_channels.filter(**{f"{key}__in": list(found)}).order_by().values_list(key, "status", "error_kind")
    for pk, status, kind, videos, size in rows.annotate(number=Sum("videos"), size=Sum("bytes")):
        found[pk].add(status, kind, int(videos), int(size))
    return found


def known_count(videos: QuerySet[Video]) -> int | None:
    """How many videos a filter finds, without looking at them; None when it asks for something that the tallies do not know.

    That part of it which they do know is enough where nothing is like that: then it is 0, whatever else is asked for.
    """
    where = videos.query.where
    query = videos.query
    if where.negated or where.connector != AND or query.is_sliced or query.combinator or query.distinct or query.group_by is not None:
        return None
    known = [condition for condition in where.children if _is_known(condition)]
    is_whole = len(known) == len(where.children)
    if not known and not is_whole:
        return None
    found = _count(known)
    return found if found >= 0 and (is_whole or not found) else None


def _is_known(condition: WhereNode | Lookup) -> bool:
    """Whether it compares nothing but what the tallies are kept by."""
    if isinstance(condition, WhereNode):
        return all(map(_is_known, condition.children))
    column = getattr(condition, "lhs", None)
    is_tallied = isinstance(column, Col) and column.alias == Video._meta.db_table and column.target.column in COLUMNS
    return is_tallied and not hasattr(condition.rhs, "resolve_expression")


def _count(conditions: Sequence[WhereNode | Lookup]) -> int:
    """By the totals where only statuses and kinds are asked for, else by the rows of the keys. The columns have the same names."""
    asked = {column for condition in conditions for column in _columns(condition)}
    of_keys = Q(channel_id__isnull=False)
    rows = VideoTally.objects.filter(of_keys if asked & OF_KEYS_ONLY else Q(channel_id=None, person_id=None) | Q(of_keys, is_folded=False))
    table = {Video._meta.db_table: VideoTally._meta.db_table}
    for condition in conditions:
        rows.query.where.add(condition.relabeled_clone(table), AND)
    return int(rows.aggregate(found=Sum("videos", default=0))["found"])


def _columns(condition: WhereNode | Lookup) -> Iterator[str]:
    if isinstance(condition, WhereNode):
        for child in condition.children:
            yield from _columns(child)
    else:
        yield condition.lhs.target.column


def fold() -> int:
    """Make the rows of each key into one; returns how many changes were fresh. 0, and nothing done, while somebody else does it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [FOLDING])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(FOLD)
        return cursor.fetchone()[0]


def mend() -> int:
    """Add what is missing from the truth, which are the videos; returns how many keys were wrong, which should be none.

    Reads every video. Writers go on meanwhile: what they change is counted by them.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [FOLDING])
        cursor.execute(MEND)
        wrong = cursor.rowcount
        cursor.execute(FORGET_TOTALS)
        cursor.execute(MAKE_TOTALS)
    return wrong
