"""What all hosts share: limits and download windows, the budget of requests, what was stored each day, the workers."""

import zoneinfo
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

AT_LEAST_ONE = MinValueValidator(1)
MORE_THAN_NOTHING = MinValueValidator(0.001)


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError("There is no time zone %(name)s; one is Europe/Berlin.", params={"name": repr(name)})


class Limits(models.Model):
    """The one row (id 1) of limits for all hosts, in force within seconds. Locking it is the mutex of every claim.

    A blank bound is no bound, but for requests: there the environment's value holds.
    """

    paused = models.BooleanField(
        "everything is paused", db_default=False, default=False, help_text="Nothing new is begun while this is set; what runs goes on."
    )
    paused_reason = models.TextField(blank=True, db_default="", default="", help_text="Who paused it, and why.")
    max_concurrent_channels = models.PositiveSmallIntegerField(
        db_default=3,
        default=3,
        validators=[AT_LEAST_ONE],
        help_text="Channels that are downloaded from at the same time, on all hosts together.",
    )
    max_concurrent_videos_per_channel = models.PositiveSmallIntegerField(
        db_default=2,
        default=2,
        validators=[AT_LEAST_ONE],
        help_text="Videos of one channel that are downloaded at the same time, unless the channel says otherwise.",
    )
    scan_batch_size = models.PositiveSmallIntegerField(
        db_default=500,
        default=500,
        validators=[AT_LEAST_ONE, MaxValueValidator(5000)],
        help_text="Listed videos that are written at once; their downloads may begin then.",
    )
    max_attempts = models.PositiveSmallIntegerField(
        db_default=3, default=3, validators=[AT_LEAST_ONE], help_text="Attempts at a video before it counts as failed."
    )
    backoff_base_seconds = models.FloatField(
        db_default=1.0, default=1.0, validators=[MORE_THAN_NOTHING], help_text="Wait before the second attempt; doubles with each."
    )
    backoff_cap_seconds = models.FloatField(
        db_default=600.0, default=600.0, validators=[MORE_THAN_NOTHING], help_text="Longest wait between two attempts."
    )
    requests_per_second = models.FloatField(
        null=True, blank=True, validators=[MORE_THAN_NOTHING], help_text="To YouTube, over all hosts. Blank: MASSDL_REQUESTS_PER_SECOND."
    )
    requests_per_hour = models.PositiveIntegerField(
        null=True, blank=True, validators=[AT_LEAST_ONE], help_text="To YouTube, over all hosts. Blank: MASSDL_REQUESTS_PER_HOUR."
    )
    breaker_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=[MORE_THAN_NOTHING],
        help_text="How long all requests stop after YouTube refused us; doubles while it goes on. Blank: MASSDL_BREAKER_SECONDS.",
    )
    megabytes_per_second = models.FloatField(
        "megabytes per second and host",
        null=True,
        blank=True,
        validators=[MORE_THAN_NOTHING],
        help_text="Most that one host downloads in a second, all its videos together (a megabyte is 1,000,000 bytes).",
    )
    max_videos_per_day = models.PositiveIntegerField(
        null=True, blank=True, validators=[AT_LEAST_ONE], help_text="Videos stored in a day; those that run are counted in."
    )
    max_gigabytes_per_day = models.FloatField(
        null=True,
        blank=True,
        validators=[MORE_THAN_NOTHING],
        help_text="Nothing new is begun on a day that has stored so much; those that run are counted in.",
    )
    rescan_every_hours = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[AT_LEAST_ONE],
        help_text="How often channels are looked at for new videos, unless the channel says otherwise. Blank: only when asked.",
    )
    time_zone = models.CharField(
        max_length=60,
        blank=True,
        db_default="",
        default="",
        validators=[validate_time_zone],
        help_text="Of the download windows and of the day, such as Europe/Berlin. Blank: MASSDL_TIME_ZONE.",
    )

    class Meta:
        verbose_name_plural = "limits"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="limits_one_row")]

    def __str__(self):
        return f"{self.max_concurrent_channels} channels, {self.max_concurrent_videos_per_channel} videos each"

    def clean(self) -> None:
        if self.backoff_base_seconds and self.backoff_cap_seconds and self.backoff_cap_seconds < self.backoff_base_seconds:
            raise ValidationError({"backoff_cap_seconds": "The longest wait is shorter than the first one."})

    @classmethod
    def row(cls) -> "Limits":
        """The one row, made anew if somebody removed it."""
        return cls.objects.get_or_create(pk=1)[0]

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone or settings.TIME_ZONE)

    @property
    def backoff_base(self) -> timedelta:
        return timedelta(seconds=self.backoff_base_seconds)

    @property
    def backoff_cap(self) -> timedelta:
        return timedelta(seconds=self.backoff_cap_seconds)

    @property
    def request_rate(self) -> float:
        """Requests to YouTube in a second."""
        return self.requests_per_second or settings.REQUESTS_PER_SECOND

    @property
    def hourly_requests(self) -> int:
        return self.requests_per_hour or settings.REQUESTS_PER_HOUR

    @property
    def breaker_time(self) -> timedelta:
        return timedelta(seconds=self.breaker_seconds or settings.BREAKER_SECONDS)

    @property
    def bytes_per_second(self) -> float | None:
        """Of one host; None for no bound."""
        return self.megabytes_per_second and self.megabytes_per_second * 1_000_000

    @property
    def has_caps(self) -> bool:
        """Whether a day may be spent."""
        return self.max_videos_per_day is not None or self.max_gigabytes_per_day is not None

    @property
    def bytes_per_day(self) -> float | None:
        return self.max_gigabytes_per_day and self.max_gigabytes_per_day * 1_000_000_000


class DownloadWindow(models.Model):
    """Hours of certain weekdays in which downloads may begin. Without any window they may always.

    A window that closes at or before it opens ends on the next day and belongs to the day it opened on.
    """

    class Day(models.IntegerChoices):
        MONDAY = 0
        TUESDAY = 1
        WEDNESDAY = 2
        THURSDAY = 3
        FRIDAY = 4
        SATURDAY = 5
        SUNDAY = 6

    limits = models.ForeignKey(Limits, models.CASCADE, default=1, related_name="windows")
    days = ArrayField(models.PositiveSmallIntegerField(choices=Day), help_text="Weekdays on which it opens.")
    opens_at = models.TimeField()
    closes_at = models.TimeField(help_text="The same time as it opens: open for 24 hours.")

    class Meta:
        ordering = ["opens_at", "id"]
        constraints = [models.CheckConstraint(condition=Q(days__len__gt=0), name="window_has_a_day")]

    def __str__(self):
        days = ", ".join(self.Day(day).label[:3] for day in sorted(self.days))
        return f"{days} {self.opens_at:%H:%M} to {self.closes_at:%H:%M}"


class Budget(models.Model):
    """The shared allowance of requests to YouTube for one identity, and the breaker that stops them all.

    `next_slot_at` is when the next request may leave (GCRA's theoretical arrival time). `minutes` counts the requests of
    MINUTES minutes, the newest (which began at `minute_at`) first: an hour and the minute that is not over yet, so that
    no sixty minutes, wherever they begin, see more than the allowance.
    """

    MINUTES = 61

    identity = models.CharField(max_length=100, primary_key=True, help_text="guest, or the name of the cookies file.")
    next_slot_at = models.DateTimeField(db_default=Now())
    minutes = ArrayField(models.PositiveIntegerField(), db_default=[], default=list)
    minute_at = models.DateTimeField(db_default=Now())
    open_until = models.DateTimeField(null=True, blank=True, help_text="No request leaves before.")
    open_reason = models.CharField(max_length=30, blank=True, db_default="", default="")
    refusals = models.PositiveSmallIntegerField(db_default=0, default=0, help_text="In a row; each doubles the wait.")
    probing_until = models.DateTimeField(null=True, blank=True, help_text="Until when one request may find out whether YouTube answers.")

    class Meta:
        verbose_name = "allowance"
        verbose_name_plural = "requests to YouTube"

    def __str__(self):
        return self.identity

    @property
    def used_this_hour(self) -> int:
        return self.used_at(timezone.now())

    def used_at(self, now: datetime) -> int:
        return sum(self._recent(now))

    def spent_until(self, per_hour: int, now: datetime) -> datetime | None:
        """When the next request fits into the hour's allowance again; None when one fits now."""
        recent = self._recent(now)
        over = sum(recent) - per_hour
        if over < 0:
            return None
        for age in range(len(recent) - 1, -1, -1):
            over -= recent[age]
            if over < 0:
                return _minute(now) + timedelta(minutes=self.MINUTES - age)
        return now + timedelta(minutes=self.MINUTES)

    def _recent(self, now: datetime) -> list[int]:
        passed = max(0, round((_minute(now) - _minute(self.minute_at)) / timedelta(minutes=1)))
        return ([0] * min(passed, self.MINUTES) + list(self.minutes))[: self.MINUTES]


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


class DayTotal(models.Model):
    """What was stored on one day (in the limits' time zone), counted in the same transaction as the videos."""

    day = models.DateField(primary_key=True)
    videos = models.PositiveIntegerField(db_default=0, default=0)
    bytes = models.PositiveBigIntegerField(db_default=0, default=0)

    class Meta:
        ordering = ["-day"]

    def __str__(self):
        return str(self.day)


class Worker(models.Model):
    """A process that takes work, or a supervisor of such, as it last said of itself.

    The video that a worker is at is the one whose `lease_owner` is its name.
    """

    name = models.CharField(max_length=100, primary_key=True, help_text="host:supervisor:process")
    host = models.CharField(max_length=60, blank=True, db_default="", default="")
    pid = models.PositiveIntegerField("process", null=True, blank=True)
    queue = models.CharField(max_length=20)
    version = models.CharField(max_length=100, blank=True, db_default="", default="")
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    woken_at = models.DateTimeField(null=True, blank=True, help_text="When a wake-up reached it last.")

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Chore(models.Model):
    """What is done every so often by whichever worker comes first; see `ingestion.chores`."""

    name = models.CharField(max_length=30, primary_key=True)
    began_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Blank while it is being done, or when that came to nothing.")

    def __str__(self):
        return self.name
