"""The pages that `bench.admin` looks at. `{...}` in an address stands for what `rows` finds in the archive."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bench._archive import COMMON

MOST_MS = {"overview": 50, "search": 500}
OTHERS_MOST_MS, OTHERS_MOST_MS_BEYOND = 100, 150
MILLION = 1_000_000
SELDOM = "dokeli"
"""One of the thousand words that stand second or third in the titles."""


@dataclass(frozen=True)
class Page:
    """`naive` is where Django's own admin has the same, "" where it has nothing like it."""

    group: str
    name: str
    ours: str
    naive: str = ""
    kind: str = ""

    @property
    def key(self) -> str:
        return self.group if self.group == self.name else f"{self.group}: {self.name}"

    def most_ms(self, videos: int) -> int:
        return MOST_MS.get(self.kind) or (OTHERS_MOST_MS if videos <= MILLION else OTHERS_MOST_MS_BEYOND)


def _lists(group: str, model: str, queries: dict[str, str | tuple[str, str]], kind: str = "") -> Iterator[Page]:
    """Of two queries the second is the naive admin's."""
    for name, query in queries.items():
        ours, naive = query if isinstance(query, tuple) else (query, query)
        yield Page(group, name, *(f"/admin/{model}/{'?' if words else ''}{words}" for words in (ours, naive)), kind)


def _rows(group: str, model: str, *keys: str) -> Iterator[Page]:
    for key in keys:
        address = f"/admin/{model}/{{{key}}}/change/"
        yield Page(group, key.replace("_", " "), address, address)


STATUSES = ("pending", "downloading", "stored", "failed", "unavailable", "skipped")
RETRIABLE = ("todo=retriable", "status__in=failed,unavailable&error_kind__in=network,incomplete,storage,no_formats,lost")
FOR_A_PERSON = ("todo=person", "status__in=failed,unavailable,pending&error_kind__in=private,members_only,geo_blocked")
ENDED = "status__exact=failed"
FILTERS = {
    **{f"status {status}": f"status__exact={status}" for status in STATUSES},
    "a person": "person__id__exact={person}",
    "a channel": "channel__id__exact={channel}",
    "the largest channel": "channel__id__exact={largest}",
    "a session": "session__id__exact={session}",
    "can be retried": RETRIABLE,
    "needs a person": FOR_A_PERSON,
    "a frequent error": "error_kind=network",
    "a seldom error": "error_kind=copyright",
    "stored today": ("stored=day", "stored_at__gte={day}"),
    "stored this week": ("stored=week", "stored_at__gte={week}"),
    "stored this month": ("stored=month", "stored_at__gte={month}"),
    "this year": ("year={year}", "upload_date__year={year}"),
    "an old year": ("year=2013", "upload_date__year=2013"),
    "small files": ("size=small", "status__exact=stored&file_size__gte=0&file_size__lt=100000000"),
    "files of 100 MB to 1 GB": ("size=medium", "status__exact=stored&file_size__gte=100000000&file_size__lt=1000000000"),
    "large files": ("size=large", "status__exact=stored&file_size__gte=1000000000&file_size__lt=5000000000"),
    "huge files": ("size=huge", "status__exact=stored&file_size__gte=5000000000"),
}
TWO_FILTERS = {
    "failed, of a person": f"{ENDED}&person__id__exact={{person}}",
    "failed, of the largest channel": f"{ENDED}&channel__id__exact={{largest}}",
    "stored, of a session": "status__exact=stored&session__id__exact={session}",
    "stored, an old year": ("status__exact=stored&year=2013", "status__exact=stored&upload_date__year=2013"),
    "failed, an old year": (f"{ENDED}&year=2013", f"{ENDED}&upload_date__year=2013"),
    "an error, of a session": "error_kind=network&session__id__exact={session}",
    "an error, an old year": ("error_kind=copyright&year=2013", "error_kind=copyright&upload_date__year=2013"),
    "can be retried, of a person": tuple(f"{query}&person__id__exact={{person}}" for query in RETRIABLE),
    "needs a person, of a session": tuple(f"{query}&session__id__exact={{session}}" for query in FOR_A_PERSON),
    "huge, stored this week": ("size=huge&stored=week", "file_size__gte=5000000000&stored_at__gte={week}"),
    "small, of the largest channel": ("size=small&channel__id__exact={largest}", "file_size__lt=100000000&channel__id__exact={largest}"),
    "a person, an old year": ("person__id__exact={person}&year=2013", "person__id__exact={person}&upload_date__year=2013"),
    "nothing is so": ("size=huge&error_kind=removed", "file_size__gte=5000000000&error_kind=removed"),
}
SORTED = {
    "the oldest first": "o=8",
    "the newest first": "o=-8",
    "stored, the oldest first": "status__exact=stored&o=8",
    "of a person, the oldest first": "person__id__exact={person}&o=8",
    "of the largest channel, the oldest first": "channel__id__exact={largest}&o=8",
    "an error, the oldest first": "error_kind=network&o=8",
}
FAR = {
    "page 100": "p=100",
    "page 200": "p=200",
    "stored, page 100": "status__exact=stored&p=100",
    "an error, page 50": "error_kind=network&p=50",
    "the largest channel, page 50": "channel__id__exact={largest}&p=50",
}
SEARCHES = {
    "a frequent word": f"q={COMMON[0]}",
    "a frequent word, the last page": f"q={COMMON[0]}&p=40",  # of the 1,000 rows that are counted
    "a seldom word": f"q={SELDOM}",
    "a word of one title": "q={word}",
    "two words": f"q={COMMON[0]}+{SELDOM}",
    "a part of a word": "q=tut",
    "a person's name": "q={name}",
    "a first name": "q=Carla",
    "a YouTube id": "q={youtube_id}",
    "a link": "q=https://www.youtube.com/watch%3Fv%3D{youtube_id}",
    "a word nobody has": "q=zzyzx",
    "two letters": "q=xy",
    "a frequent word, failed": f"q={COMMON[0]}&{ENDED}",
    "a seldom word, of a session": f"q={SELDOM}&session__id__exact={{session}}",
}
PEOPLE = {
    "all": "",
    "a kind": "type=teacher",
    "page 5": "p=5",
    "the newest first": ("o=-6", ""),
    "by number of channels": ("o=-5", ""),
}
CHANNELS = {"all": "", "active": "state__exact=active", "a person": "person__id__exact={person}", "page 5": "p=5"}
SESSIONS = {"all": "", "running": "state__exact=running", "made by staff": ("made_by=staff", "is_rescan__exact=0")}
ATTEMPTS = {
    "all": "",
    "running": ("outcome=running", "outcome__exact="),
    "stored": ("outcome=stored", "outcome__exact=stored"),
    "failed": ("outcome=failed", "outcome__exact=failed"),
    "lost (none)": ("outcome=lost", "outcome__exact=lost"),
    "a frequent error": "error_kind=network",
    "a seldom error": "error_kind=copyright",
    "one way": ("way=mux", "way__exact=mux"),
    "another way (none)": ("way=spool", "way__exact=spool"),
    "a session": "session__id__exact={session}",
    "failed, of a session": ("outcome=failed&session__id__exact={session}", "outcome__exact=failed&session__id__exact={session}"),
    "a video": "video__id__exact={stored_video}",
    "page 100": "p=100",
}
ATTEMPT_SEARCHES = {
    "a frequent word": f"q={COMMON[0]}",
    "a word of one title": "q={word}",
    "a person's name": "q={name}",
    "a YouTube id": "q={youtube_id}",
    "a word nobody has": "q=zzyzx",
}
SCANS = {
    "all": "",
    "failed": "state__exact=failed",
    "running (none)": "state__exact=running",
    "an error": "error_kind=network",
    "a session": "session__id__exact={session}",
    "a channel": "channel__id__exact={channel}",
}
NUMBERS = "its numbers alone, asked for every three seconds"
PAGES = (
    Page("overview", "overview", "/admin/", "/admin/dashboard/", "overview"),
    Page(NUMBERS, NUMBERS, "/admin/overview/", "", "overview"),
    *_lists("people", "people/person", PEOPLE),
    *_lists("people, searched", "people/person", {"a name": "q={name}", "nobody": "q=zzyzx"}, "search"),
    *_lists("channels", "people/channel", CHANNELS),
    *_lists("channels, searched", "people/channel", {"a person's name": "q={name}", "nothing": "q=zzyzx"}, "search"),
    *_lists("sessions", "ingestion/downloadsession", SESSIONS),
    *_lists("sessions, searched", "ingestion/downloadsession", {"a sheet": "q=people77"}, "search"),
    *_lists("videos", "videos/video", {"all": ""}),
    *_lists("videos, filtered", "videos/video", FILTERS),
    *_lists("videos, two filters", "videos/video", TWO_FILTERS),
    *_lists("videos, sorted", "videos/video", SORTED),
    *_lists("videos, far pages", "videos/video", FAR),
    *_lists("videos, searched", "videos/video", SEARCHES, "search"),
    *_lists("attempts", "ingestion/attempt", ATTEMPTS),
    *_lists("attempts, searched", "ingestion/attempt", ATTEMPT_SEARCHES, "search"),
    *_lists("scans", "ingestion/scan", SCANS),
    *_lists("scans, searched", "ingestion/scan", {"a channel's title": "q={name}", "nothing": "q=zzyzx"}, "search"),
    *_lists("workers", "ingestion/worker", {"all": ""}),
    *_rows("page of a person", "people/person", "person"),
    *_rows("page of a channel", "people/channel", "channel", "largest"),
    *_rows("page of a session", "ingestion/downloadsession", "session", "running_session"),
    *_rows("page of a video", "videos/video", "stored_video", "failed_video", "running_video"),
    *_rows("page of an attempt", "ingestion/attempt", "attempt"),
    *_rows("page of a scan", "ingestion/scan", "scan"),
)


def rows() -> dict[str, Any]:
    """What the addresses need: rows from the middle of the archive, the same ones for everybody who asks."""
    from django.utils import timezone

    from ingestion.models import Attempt, DownloadSession, Scan
    from people.models import Channel, Person
    from videos.models import Video

    def middle(queryset: Any) -> Any:
        whole = queryset.model.objects.order_by("pk")
        return queryset.filter(pk__gte=(whole.first().pk + whole.last().pk) // 2).order_by("pk").first()

    now = timezone.now()
    stored, person, channel = middle(Video.objects.filter(status="stored")), middle(Person.objects), middle(Channel.objects)
    return {
        "person": person.pk,
        "name": person.name.replace(" ", "+"),
        "channel": channel.pk,
        "largest": Channel.objects.order_by("pk").first().pk,
        "session": middle(DownloadSession.objects).pk,
        "running_session": DownloadSession.objects.filter(state="running").first().pk,
        "stored_video": stored.pk,
        "word": stored.title.split()[-1],
        "youtube_id": stored.external_id,
        "failed_video": middle(Video.objects.filter(status="failed")).pk,
        "running_video": Video.objects.filter(status="downloading").first().pk,
        "attempt": middle(Attempt.objects).pk,
        "scan": middle(Scan.objects).pk,
        "year": now.year,
        **{name: (now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for name, days in (("day", 1), ("week", 7), ("month", 30))},
    }
