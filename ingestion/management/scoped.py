"""What `pause`, `resume` and `cancel` have in common: saying on the command line what is meant."""

import shlex
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q

from ingestion.arguments import count
from ingestion.management.tables import BAD_INPUT, TablesCommand
from ingestion.models import DownloadSession
from ingestion.steering import Channels, Everything, Scope, Sessions, Steered, Videos
from people.channel_urls import ChannelUrlError, parse_channel_url
from people.models import Channel
from videos.models import Video
from videos.querysets import VIDEO_LINK
from videos.text import counted

MAY_END = "What runs may end by itself; --now stops it, too."


class ScopedCommand(TablesCommand):
    """One of --all, --session, --channel, --video, which may be given again; the subclass steers the scope and tells."""

    verb: str
    can_stop_running = True

    def add_arguments(self, parser):
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--all", action="store_true", help="everything, on all hosts")
        what.add_argument("--session", action="append", type=count, metavar="N", help=f"{self.verb} this session")
        what.add_argument("--channel", action="append", metavar="URL", help=f"{self.verb} this channel, given by an address or a handle")
        what.add_argument("--video", action="append", metavar="ID", help=f"{self.verb} this video, given by its YouTube id or link")
        if self.can_stop_running:
            parser.add_argument("--now", action="store_true", help="stop what runs within seconds, too; else it may end by itself")
            parser.add_argument("--reason", default="", metavar="TEXT", help="shown to whoever asks why")

    def handle(self, *args, **options):
        scope, name = self._scope(options)
        for sentence in self.sentences(scope, name, options):
            self.stdout.write(sentence)

    def sentences(self, scope: Scope, name: str, options: dict[str, Any]) -> list[str]:
        """Steer the scope and say what came of it."""
        raise NotImplementedError

    def _scope(self, options: dict[str, Any]) -> tuple[Scope, str]:
        """What is meant, and its name in a sentence. Raises CommandError for what is not there."""
        if options["all"]:
            return Everything(), "Everything"
        if numbers := options["session"]:
            found = DownloadSession.objects.filter(pk__in=numbers)
            _refuse_missing("session", numbers, found.values_list("pk", flat=True))
            return Sessions(found), "Session " + ", ".join(map(str, numbers))
        if addresses := options["channel"]:
            channels = [_channel(address) for address in addresses]
            return Channels(Channel.objects.filter(pk__in=[channel.pk for channel in channels])), ", ".join(map(str, channels))
        ids = [_video_id(text) for text in options["video"]]
        videos = Video.objects.filter(external_id__in=ids)
        _refuse_missing("video", ids, videos.values_list("external_id", flat=True))
        return Videos(videos), "Video " + ", ".join(ids)


def words_of(options: dict[str, Any]) -> str:
    """The scope as it was typed, for a command that undoes this one."""
    if options["all"]:
        return "--all"
    said = [(f"--{name}", value) for name in ("session", "channel", "video") for value in options[name] or ()]
    return " ".join(f"{flag} {shlex.quote(str(value))}" for flag, value in said)


def _refuse_missing(what: str, asked, found) -> None:
    if missing := [str(one) for one in asked if one not in set(found)]:
        raise CommandError(f"There is no {what} {', '.join(missing)}: see the list in the admin.", returncode=BAD_INPUT)


def _channel(address: str) -> Channel:
    try:
        canonical = parse_channel_url(address).canonical
    except ChannelUrlError as exc:
        raise CommandError(str(exc), returncode=BAD_INPUT) from exc
    known = Q(canonical_url=canonical) | Q(aliases__canonical_url=canonical) | Q(external_id=canonical.rpartition("/")[2])
    channel = Channel.objects.filter(known).first()
    if channel is None:
        raise CommandError(f"The archive knows no channel {canonical}: see Channels in the admin.", returncode=BAD_INPUT)
    return channel


def _video_id(text: str) -> str:
    link = VIDEO_LINK.search(text)
    return link[1] if link else text


def running(steered: Steered, *, now: bool) -> str:
    """What becomes of what runs."""
    if not now:
        return MAY_END
    return f"{counted(steered.stopped, 'running job')} will stop within seconds." if steered.stopped else "Nothing ran."
