"""Everything that can go wrong with a video or a channel, in one tree and one table.

    ArchiveError                 carries a kind of the table below and the raw line
    ├── PermanentError           YouTube will not give it, or it is too large for us: never tried again by itself
    ├── DeferredError            not before a certain time: no attempt is spent
    ├── TransientError           worth another attempt, up to the limit
    ├── FleetError               YouTube refuses us, not the video: all hosts stop, the attempt is given back
    ├── SetupError               our own set-up is wrong: the session stops, no attempt is spent
    └── StaffError               somebody cancelled it: never tried again by itself, no attempt is spent

`error(kind, message)` makes the right one. TREATMENTS says in words what each class leads to, KINDS what each kind means;
docs/errors.md and the admin's page "What errors mean" are made from both (`ingestion.handbook`). A foreign exception is
mapped where the foreign library is called: yt-dlp's in `youtube`, S3's in `store`, ffmpeg's in `streams`.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


class ArchiveError(Exception):
    """`kind` is a slug of KINDS; `message` is the raw line for the record; `str()` shows both."""

    treatment: ClassVar[str]

    def __init__(self, kind: str, message: str = ""):
        super().__init__(kind, message)
        self.kind = kind
        self.message = message or KINDS[kind].meaning

    def __str__(self):
        return f"{self.kind}: {self.message}"


class PermanentError(ArchiveError):
    treatment = "permanent"


class DeferredError(ArchiveError):
    """`not_before` is when another look is worth it, or None when nobody said."""

    treatment = "deferred"

    def __init__(self, kind: str, message: str = "", *, not_before: datetime | None = None):
        super().__init__(kind, message)
        self.not_before = not_before


class TransientError(ArchiveError):
    treatment = "transient"


class FleetError(ArchiveError):
    treatment = "fleet"


class SetupError(ArchiveError):
    treatment = "setup"


class StaffError(ArchiveError):
    treatment = "staff"


@dataclass(frozen=True)
class Treatment:
    """What a class of errors leads to, in sentences for staff: for the video, its attempts, its session, all hosts."""

    slug: str
    video: str
    attempts: str
    session: str
    fleet: str


GOES_ON = "Goes on."
ASKING = "Ask YouTube as before."

TREATMENTS: dict[str, Treatment] = {
    treatment.slug: treatment
    for treatment in (
        Treatment(
            "permanent",
            "YouTube will not give it, or it is too large for us: it becomes unavailable, and is not tried again by itself.",
            "One is spent; there will be no other.",
            GOES_ON,
            ASKING,
        ),
        Treatment("deferred", "Not now: it waits for its time, an hour where nobody said when.", "None is spent.", GOES_ON, ASKING),
        Treatment(
            "transient",
            "It is tried again after a wait that doubles each time. When its attempts are spent, it is failed.",
            "One is spent; Limits say how many there are. A worker that dies spends none, but five deaths in a row end it.",
            GOES_ON,
            ASKING,
        ),
        Treatment(
            "fleet",
            "YouTube refuses us, not the video: it waits. One that is refused while others are answered, or as often as it has "
            "attempts, is failed, without stopping everybody again.",
            "None is spent.",
            "Waits like all others.",
            "Stop asking for as long as Limits say, twice as long each time in a row. Then one request finds out.",
        ),
        Treatment(
            "setup",
            "Our own set-up is wrong: it waits.",
            "None is spent.",
            "Is paused, with the reason. When the set-up is mended, resume it.",
            ASKING,
        ),
        Treatment("staff", "Somebody cancelled it: it is skipped until somebody retries it.", "None is spent.", GOES_ON, ASKING),
    )
}


@dataclass(frozen=True)
class Kind:
    """One row of the taxonomy: `meaning` and `advice` are sentences for staff, who set no variables and run no commands."""

    slug: str
    type: type[ArchiveError]
    meaning: str
    advice: str


KINDS: dict[str, Kind] = {
    kind.slug: kind
    for kind in (
        Kind("private", PermanentError, "The video is private.", "Ask its owner to make it public or unlisted, then retry."),
        Kind("removed", PermanentError, "The video was removed, or never existed.", "Nothing can be done, unless its owner restores it."),
        Kind("terminated", PermanentError, "YouTube closed the account.", "Nothing can be done; ask the person for a new channel."),
        Kind(
            "members_only",
            PermanentError,
            "Only paying members of the channel may watch it.",
            "Ask whoever runs massdl to set MASSDL_COOKIES_FILE to the cookies of an account that is a member, then retry.",
        ),
        Kind(
            "age_restricted",
            PermanentError,
            "YouTube shows it to signed-in adults only.",
            "Ask whoever runs massdl to set MASSDL_COOKIES_FILE to the cookies of a signed-in adult, then retry.",
        ),
        Kind(
            "geo_blocked",
            PermanentError,
            "Its owner does not show it in the country of our servers.",
            "Ask whoever runs massdl to set MASSDL_PROXY to a proxy in a country where it is shown, then retry.",
        ),
        Kind("payment", PermanentError, "It must be bought or rented.", "It cannot be archived; skip it."),
        Kind("copyright", PermanentError, "It is blocked by a copyright claim.", "Nothing can be done, unless the claim is lifted."),
        Kind(
            "channel_missing",
            PermanentError,
            "There is no such channel or playlist.",
            "Check the URL in the sheet for a typing error, correct it and import again.",
        ),
        Kind(
            "empty",
            PermanentError,
            "The channel shows no videos.",
            "Open it in a browser: if videos are there, scan again later; else remove it from the sheet.",
        ),
        Kind("upcoming", DeferredError, "It has not been shown yet.", "Nothing to do: it is tried again after its announced time."),
        Kind("live_now", DeferredError, "It is being broadcast at this moment.", "Nothing to do: it is tried again when it is over."),
        Kind(
            "budget_spent",
            DeferredError,
            "This hour's requests to YouTube are used up.",
            "Nothing to do: it goes on when the hour allows. If that is too slow, raise the requests per hour in Limits.",
        ),
        Kind(
            "network",
            TransientError,
            "The connection to YouTube failed.",
            "Retry; if it stays, ask whoever runs massdl to check the network and the proxy.",
        ),
        Kind(
            "incomplete",
            TransientError,
            "Fewer bytes arrived than were announced.",
            "Retry; if it stays, ask whoever runs massdl to look at the network.",
        ),
        Kind(
            "forbidden",
            TransientError,
            "YouTube refused the media file.",
            "Retry; if many fail so, ask whoever runs massdl to update yt-dlp.",
        ),
        Kind(
            "captions_refused",
            TransientError,
            "YouTube refused the captions in this language, though it gives the video; translations are often refused.",
            "They are tried again as often as a video. If they ended, retry them another day, or ask for the original language.",
        ),
        Kind(
            "no_formats",
            TransientError,
            "YouTube offered nothing that can be downloaded.",
            "Ask whoever runs massdl to update yt-dlp, then retry.",
        ),
        Kind(
            "degraded",
            TransientError,
            "YouTube offered only a small picture this time, or a part of the video.",
            "Retry later; if it stays, ask whoever runs massdl to update yt-dlp. To store what is offered, begin a session with a lower "
            "quality that tries again what failed earlier (--retry-failed).",
        ),
        Kind(
            "storage",
            TransientError,
            "The storage did not take the file, or has it otherwise than it was sent.",
            "Retry; if it stays, ask whoever runs massdl to look at the storage's own log, with the raw line.",
        ),
        Kind(
            "storage_throttled",
            DeferredError,
            "The storage asks us to slow down.",
            "Nothing to do: it is tried again within a minute, and less often if it stays so. "
            "Then ask whoever runs massdl to lower MASSDL_PARTS_IN_FLIGHT or MASSDL_DOWNLOAD_WORKERS.",
        ),
        Kind(
            "storage_unreachable",
            DeferredError,
            "The storage does not answer, or not as it should.",
            "Ask whoever runs massdl to start it or mend the network to it: it is tried again within a minute, and less often if it "
            "stays so. If it never answered, AWS_S3_ENDPOINT_URL may be wrong; if large videos alone meet this, "
            "MASSDL_S3_PARTS_IN_ORDER may have to be set.",
        ),
        Kind(
            "storage_credentials",
            SetupError,
            "The storage does not let us in: keys that are unknown, expired or not allowed this, or a wrong clock.",
            "Ask whoever runs massdl to correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (Google: GOOGLE_APPLICATION_CREDENTIALS), "
            "the rights that the raw line names, or the clock, then resume the session.",
        ),
        Kind(
            "storage_missing",
            SetupError,
            "There is no such bucket or folder.",
            "Ask whoever runs massdl to create it, or correct MASSDL_S3_BUCKET, AWS_DEFAULT_REGION and AWS_S3_ENDPOINT_URL (Google: "
            "MASSDL_GCS_BUCKET; a folder: MASSDL_MEDIA_FOLDER), then resume the session.",
        ),
        Kind(
            "storage_full",
            SetupError,
            "The storage has no room left.",
            "Ask whoever runs massdl to make room or raise its quota, or name another place in MASSDL_S3_BUCKET, MASSDL_GCS_BUCKET or "
            "MASSDL_MEDIA_FOLDER, then resume the session.",
        ),
        Kind(
            "storage_too_large",
            PermanentError,
            "The file is larger than the storage takes.",
            "Begin a session with a lower quality, or ask whoever runs massdl to name a storage or a file system that takes files of "
            "this size; then retry.",
        ),
        Kind(
            "scratch_limit",
            PermanentError,
            "The video has to be made on disk, and needs more room there than one video may take.",
            "Begin a session with a lower quality, or ask whoever runs massdl to raise MASSDL_SCRATCH_LIMIT_GB; then retry.",
        ),
        Kind(
            "scratch_full",
            SetupError,
            "The disk of a worker's scratch folder has no room left.",
            "Ask whoever runs massdl to make room there, or name a folder on another disk in MASSDL_SCRATCH_DIR, then resume the "
            "session. If one video alone fills it, MASSDL_SCRATCH_LIMIT_GB is to be lowered.",
        ),
        Kind(
            "media",
            TransientError,
            "The file could not be put together.",
            "Retry; if it stays, show the raw line to whoever runs massdl.",
        ),
        Kind(
            "lost",
            TransientError,
            "The worker died in the middle of it.",
            "Retry; if it stays, ask whoever runs massdl to look at the workers' logs and memory.",
        ),
        Kind(
            "unknown",
            TransientError,
            "Something that was not seen before.",
            "Retry; if it stays, ask whoever runs massdl to update yt-dlp, and show them the raw line.",
        ),
        Kind(
            "rate_limited",
            FleetError,
            "YouTube asks us to slow down.",
            "All requests pause and go on by themselves. Lower the requests per second in Limits; retry what failed of it.",
        ),
        Kind(
            "bot_check",
            FleetError,
            "YouTube takes us for a robot.",
            "All requests pause. Lower the requests per second in Limits, or ask whoever runs massdl to set MASSDL_COOKIES_FILE or "
            "MASSDL_PROXY; retry what failed of it.",
        ),
        Kind(
            "captcha",
            FleetError,
            "YouTube wants a puzzle solved.",
            "All requests pause. Ask whoever runs massdl to set MASSDL_COOKIES_FILE or MASSDL_PROXY, then retry what failed of it.",
        ),
        Kind(
            "session_limited",
            FleetError,
            "YouTube limits this visitor for a while.",
            "All requests pause for a while and go on by themselves; retry what failed of it.",
        ),
        Kind(
            "misconfigured",
            SetupError,
            "Our own set-up is wrong.",
            "Ask whoever runs massdl to run `manage.py mass_download --check` and mend what it names, then resume the session.",
        ),
        Kind("cancelled", StaffError, "Somebody cancelled it.", "Retry it to have it downloaded after all."),
    )
}


STORAGE_KINDS = tuple(slug for slug in KINDS if slug.split("_")[0] in ("storage", "scratch"))
"""What only the storage or our own disk can be the reason of; nothing is said of YouTube by them."""


def error(kind: str, message: str = "", *, not_before: datetime | None = None) -> ArchiveError:
    """An error of the class that `kind` belongs to. Raises KeyError for a kind that is not in the table."""
    cls = KINDS[kind].type
    if cls is DeferredError:
        return DeferredError(kind, message, not_before=not_before)
    return cls(kind, message)


def advice_for(kind: str) -> str:
    """The sentence for staff; a kind of an older release gets that of `unknown`."""
    return KINDS.get(kind, KINDS["unknown"]).advice


def fix_for(kind: str) -> str:
    """The same for whoever runs massdl."""
    advice = advice_for(kind).replace("ask whoever runs massdl to ", "")
    return re.sub(r"Ask whoever runs massdl to (\w)", lambda found: found[1].upper(), advice)
