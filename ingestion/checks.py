"""`mass_download --check`: is everything here that a download needs, and what to do about what is not."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.checks import Warning as CheckWarning
from django.core.checks import register
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from ingestion.errors import ArchiveError, fix_for
from massdl_site import env

OLDEST_YTDLP = timedelta(days=180)
CLOCK_TOLERANCE = timedelta(seconds=30)
FIX_BROKER = {
    "redis": "Check MASSDL_REDIS_URL and that Redis runs and takes messages; or unset MASSDL_BROKER to use PostgreSQL.",
    "sqs": "Check MASSDL_SQS_REGION, MASSDL_QUEUE_PREFIX and the keys, which must allow sqs:GetQueueUrl, CreateQueue, "
    "GetQueueAttributes, SendMessage, ReceiveMessage and DeleteMessage; or unset MASSDL_BROKER to use PostgreSQL.",
}
FIX_STORAGE = "Check MASSDL_S3_BUCKET, AWS_S3_ENDPOINT_URL and the AWS_ keys; or MASSDL_GCS_BUCKET; or MASSDL_MEDIA_FOLDER."
FIX_COOKIES = "Point MASSDL_COOKIES_FILE to a readable cookies.txt in Netscape's format, or unset it to go as a guest."


@dataclass(frozen=True)
class Finding:
    """One checked thing: what was seen, and the fix where it is not good ('' where it is)."""

    name: str
    seen: str
    fix: str = ""

    @property
    def good(self) -> bool:
        return not self.fix


def check_all() -> list[Finding]:
    """Every check in the order staff would mend things; none raises."""
    return [check() for check in (database, migrations, clock, broker, storage, ffmpeg, js_runtime, ytdlp, youtube)]


def database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0]
    except DatabaseError as exc:
        return Finding("database", _first_line(exc), "Check DATABASE_URL and that PostgreSQL runs.")
    if connection.pg_version < 140000:
        return Finding("database", f"PostgreSQL {version}", "Use PostgreSQL 14 or newer.")
    return Finding("database", f"PostgreSQL {version}")


def migrations() -> Finding:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as exc:
        return Finding("tables", _first_line(exc), "Mend the database first.")
    if missing:
        return Finding("tables", f"{len(missing)} migrations are not applied", "Run `manage.py migrate`.")
    return Finding("tables", "up to date")


def clock() -> Finding:
    """S3 refuses requests from a clock that is wrong; the database's clock is the judge."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            difference = abs(datetime.now(UTC) - cursor.fetchone()[0])
    except DatabaseError as exc:
        return Finding("clock", _first_line(exc), "Mend the database first.")
    seen = f"{difference.total_seconds():.1f} s from the database's"
    return Finding("clock", seen, "" if difference < CLOCK_TOLERANCE else "Set this host's clock, for example with NTP.")


def broker() -> Finding:
    """Another than PostgreSQL is tried with a wake-up for each queue, one too many of which harms nothing."""
    from ingestion import dispatch
    from ingestion.brokers import BrokerAway

    if settings.BROKER == "postgres":
        return Finding("broker", "PostgreSQL")
    try:
        for queue in dispatch.TASKS:
            dispatch.send(queue)
    except BrokerAway as exc:
        return Finding("broker", f"{settings.BROKER}: {exc}", FIX_BROKER[settings.BROKER])
    return Finding("broker", f"{settings.BROKER}: took a wake-up for each queue")


def storage() -> Finding:
    from ingestion.store import Store

    bucket = settings.S3_BUCKET or settings.GCS_BUCKET
    where = f"bucket {bucket}" if bucket else f"folder {settings.MEDIA_FOLDER}"
    try:
        Store.default().probe()
    except ArchiveError as exc:
        return Finding("storage", f"{where}: {exc.message}", FIX_STORAGE if exc.kind == "misconfigured" else fix_for(exc.kind))
    return Finding("storage", f"{where}: written, read and deleted a probe")


def ffmpeg() -> Finding:
    from ingestion.streams import ffmpeg_path

    fix = "Set MASSDL_FFMPEG to an ffmpeg 6.1 or newer, or unset it to use the one installed with massdl."
    try:
        said = subprocess.run([ffmpeg_path(), "-hide_banner", "-protocols"], capture_output=True, text=True, check=True, timeout=20)
        version = subprocess.run([ffmpeg_path(), "-version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError, ArchiveError) as exc:
        return Finding("ffmpeg", _first_line(exc), fix)
    if " fd\n" not in said.stdout:
        return Finding("ffmpeg", f"{_first_line(version)} without the fd: protocol", fix)
    return Finding("ffmpeg", _first_line(version).split(" Copyright")[0])


def js_runtime() -> Finding:
    from ingestion.youtube import versions

    deno = versions().get("deno", "")
    return Finding("JavaScript", f"deno {deno}") if deno else Finding("JavaScript", "no deno", "Run `pip install deno`.")


def ytdlp() -> Finding:
    from ingestion.youtube import versions

    version = versions()["yt-dlp"]
    released = date(*map(int, version.split(".")[:3]))
    old = datetime.now(UTC).date() - released > OLDEST_YTDLP
    fix = "Run `pip install --upgrade yt-dlp`: YouTube changes within weeks." if old else ""
    return Finding("yt-dlp", version, fix)


def youtube() -> Finding:
    """Whether yt-dlp takes its options and its cookies; YouTube is not asked. yt-dlp passes a missing cookies file over."""
    from ingestion.youtube import YouTube, settings_options

    options = settings_options()
    cookies = options.get("cookiefile")
    try:
        if cookies:
            Path(cookies).open("rb").close()
    except (OSError, TypeError) as exc:
        return Finding("YouTube", f"cookies file {cookies}: {_first_line(exc)}", FIX_COOKIES)
    try:
        YouTube(options).close()
    except ArchiveError as exc:
        return Finding("YouTube", exc.message, FIX_COOKIES if cookies else "Mend MASSDL_YTDLP_OPTIONS.")
    except (TypeError, ValueError, AttributeError) as exc:  # an option of a wrong type fails anywhere in yt-dlp
        return Finding("YouTube", f"yt-dlp's options: {_first_line(exc)}", "Mend MASSDL_YTDLP_OPTIONS.")
    return Finding("YouTube", f"with the cookies in {cookies}" if cookies else "as a guest, without cookies")


def _first_line(said: object) -> str:
    return (str(said).strip().splitlines() or [type(said).__name__])[0]


@register
def unknown_variables(app_configs, **kwargs) -> list[CheckWarning]:
    """A MASSDL_ variable that no setting reads is most likely a typing error."""
    return [
        CheckWarning(
            f"{name} is set, but no setting is called so.",
            hint=f"Do you mean {nearest}?" if nearest else "docs/configuration.md has the names.",
            id="ingestion.W001",
        )
        for name, nearest in env.unknown_variables().items()
    ]
