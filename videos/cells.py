"""What stands in the cells of lists and the fields of pages: numbers, times, sizes and states, as words and labels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache, wraps
from typing import Any

from django.template.defaultfilters import filesizeformat, truncatechars
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from videos.models import Video
from videos.text import counted

COLOURS: dict[str, str] = {"downloading": "info", "stored": "success", "failed": "danger", "unavailable": "warning"}
NOTHING = "-"
DAY = "j M Y"


def number_of(count: int, noun: str) -> str:
    """`No video`, `1 video`, `3 videos`."""
    return counted(count, noun) if count else f"No {noun}"


@lru_cache(maxsize=1000, typed=True)  # a list has hundreds of a few; by type, as marked-safe text equals unsafe
def label(text: str, colour: str = "", *, title: str = "") -> SafeString:
    """Text in a coloured box; `colour` is a word of unfold's (info, success, warning, danger), `title` shows on hover."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": colour, "label_title": title})


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> SafeString:
    """A table for a field of a page, a list of cards on a narrow screen. Cells are escaped; a blank header needs no words."""
    return render_to_string("admin/rows.html", {"headers": headers, "rows": [list(zip(headers, row, strict=True)) for row in rows]})


def clock(length: int | timedelta | None) -> str:
    """Seconds or a timedelta as h:mm:ss, or m:ss below an hour."""
    if length is None:
        return NOTHING
    seconds = int(length.total_seconds()) if isinstance(length, timedelta) else length
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def size(count: int | None) -> str:
    return NOTHING if count is None else filesizeformat(count)


def one_line(text: Any) -> SafeString:
    """Text that a narrow column must not break."""
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def day(value: date | None, *, exact: bool = True) -> SafeString | str:
    """`5 Jun 2023`, or `about 5 Jun 2023`."""
    if value is None:
        return NOTHING
    return one_line(f"{'' if exact else 'about '}{date_format(value, DAY)}")


def moment(value: datetime | None) -> SafeString | str:
    """`5 Jun 2023, 14:05` in the site's time zone."""
    return one_line(date_format(timezone.localtime(value), f"{DAY}, H:i")) if value else NOTHING


def not_before(due_at: datetime) -> SafeString | str:
    """When work that waits may be begun."""
    return format_html("Not before {}", moment(due_at)) if due_at > timezone.now() else "As soon as it is its turn"


def kind_words(kind: str) -> str:
    """`members_only` as `Members only`."""
    return kind.replace("_", " ").capitalize()


def kind_label(kind: str, meanings: Mapping[str, str]) -> SafeString | str:
    return label(kind_words(kind), title=meanings.get(kind, "")) if kind else NOTHING


def once(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """For a field that asks the database: unfold's pages read each field five times over. Remembered on the row."""

    @wraps(method)
    def remembered(self: Any, row: Any) -> Any:
        shown = row.__dict__.setdefault("_shown", {})
        if method.__name__ not in shown:
            shown[method.__name__] = method(self, row)
        return shown[method.__name__]

    return remembered


def raw_line(text: str) -> SafeString | str:
    """What a program said, folded away: it is for those who mend programs."""
    return render_to_string("admin/raw_line.html", {"line": text}) if text else NOTHING


def video_link(pk: int, title: str) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', reverse("admin:videos_video_change", args=[pk]), truncatechars(title, 60))


def video_table(videos: Iterable[Video]) -> SafeString:
    """A few videos in the order they come in; asks nothing more of the database."""
    rows = ((video_link(v.pk, str(v)), status_label(v), day(v.upload_date, exact=v.upload_date_is_exact), v.file_size) for v in videos)
    return table(("Video", "Status", "Uploaded", "Size"), [(*cells, size(count)) for *cells, count in rows])


def status_label(video: Video) -> SafeString:
    return label(video.get_status_display(), COLOURS.get(video.status, ""))
