"""One loop for everything: deals the faults, starts again what died, feeds the work and looks; then drains it and gathers the evidence."""

import heapq
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.chaos.evidence import READ_ATTEMPTS, READ_VIDEOS, Evidence, Strike, Video, read_attempts, read_videos
from bench.chaos.faults import Faults
from bench.chaos.plan import Planned, draw_plan
from bench.chaos.stage import Stage
from bench.chaos.watch import Watch
from bench.chaos.work import Work

ROUND_SECONDS = 0.1
SAY_SECONDS = 10
RETRY_SECONDS, TRIES = 0.3, 20
WARM_UP_SECONDS = 120
DRAIN_SECONDS = 420
FULL_LIMITS = (5, 2)
# At which share of the run the limits (channels, videos of each) change.
LIMIT_CHANGES = ((0.4, (3, 2)), (0.5, (3, 1)), (0.6, FULL_LIMITS))

PROBE, PROBE_LASTS = "massdl-probe-", timedelta(minutes=1)  # as in ingestion.store and ingestion.orphans, which want Django


@dataclass(frozen=True)
class Size:
    """Of a run: `more` videos of `group` channels at a time are asked for when little is left of the `first` ones."""

    seconds: float
    every_seconds: float
    channels: int
    first: int
    more: int
    group: int
    lease_seconds: float


class Conductor:
    """Runs once; `say` hears a line now and then."""

    def __init__(self, stage: Stage, size: Size, seed: int, say: Callable[[str], None]):
        self._stage = stage
        self._size = size
        self._say = say
        self._plan = draw_plan(seed, size.seconds, every=size.every_seconds)
        self._watch = Watch(stage)
        self._work = Work(stage, channels=size.channels, first=size.first, more=size.more, group=size.group)
        self._faults = Faults(stage, self._watch, self._later, lease_seconds=size.lease_seconds)
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._strikes: list[Strike] = []
        self._began = self._said_at = time.monotonic()

    def run(self) -> Evidence:
        try:
            return self._run()
        finally:
            self._work.abandon()
            self._watch.close()

    def _run(self) -> Evidence:
        code, said = self._stage.run("migrate", "--verbosity", "0")
        if code:
            raise RuntimeError(f"the tables could not be made: {said}")
        self._stage.run("mass_download", "--check")  # makes the one row of limits, and says nothing that the run would not
        self._change_limits(FULL_LIMITS)
        self._warm_up()
        self._began = time.monotonic()
        for share, limits in LIMIT_CHANGES:
            self._later(share * self._size.seconds, lambda limits=limits: self._change_limits(limits))
        for planned in self._plan:
            self._later(planned.at, lambda planned=planned: self._deal(planned))
        while time.monotonic() < self._began + self._size.seconds:
            self._round()
            self._work.feed(self._watch.counts.pending)
        self._say("no more faults; the work that is left is drained")
        self._actions.clear()
        self._faults.mend_all()
        self._change_limits(FULL_LIMITS)
        self._work.stop_feeding()
        is_drained = self._drain()
        return self._gather(is_drained)

    def _warm_up(self) -> None:
        """Until the first video is stored; most channels are still to be listed then."""
        end = time.monotonic() + WARM_UP_SECONDS
        while not self._watch.counts.stored:
            if time.monotonic() > end:
                raise RuntimeError(f"nothing was stored within {WARM_UP_SECONDS} s, without any fault")
            self._round()
            self._work.feed(self._watch.counts.pending)

    # --- the loop -----------------------------------------------------------------------------------------------------

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._actions, (time.monotonic() + seconds, next(self._numbers), action))

    def _round(self) -> None:
        for supervisor in self._stage.supervisors:
            supervisor.keep_running()
        while self._actions and self._actions[0][0] <= time.monotonic():
            heapq.heappop(self._actions)[2]()
        self._watch.look()
        if time.monotonic() - self._said_at >= SAY_SECONDS:
            self._said_at = time.monotonic()
            self._say(self._progress())
        time.sleep(ROUND_SECONDS)

    def _deal(self, planned: Planned, tries: int = TRIES) -> None:
        """Where there is nothing to strike at this moment (nobody holds a scan), soon again."""
        if strike := self._faults.strike(planned):
            self._strikes.append(strike)
        elif tries > 1:
            self._later(RETRY_SECONDS, lambda: self._deal(planned, tries - 1))

    def _change_limits(self, limits: tuple[int, int]) -> None:
        if not self._watch.set_limits(*limits):
            self._later(0.5, lambda: self._change_limits(limits))

    def _progress(self) -> str:
        counts, faults = self._watch.counts, Counter(strike.kind for strike in self._strikes)
        return (
            f"{time.monotonic() - self._began:5.0f} s: {counts.stored}/{counts.total} stored, {counts.ended} failed, "
            f"{counts.running} running; "
            f"{faults.total()} faults of {len(faults)} kinds"
        )

    def _drain(self) -> bool:
        """Until nothing is due any more; False when that does not come."""
        end = time.monotonic() + DRAIN_SECONDS
        quiet = 0
        while time.monotonic() < end and quiet < 3:
            self._round()
            counts = self._watch.counts
            if not self._watch.count() or counts.pending or counts.running or counts.open_scans:
                quiet = 0
            else:
                quiet += 1
        return quiet >= 3

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def _gather(self, is_drained: bool) -> Evidence:
        ended, retried_at = read_videos(self._ask(READ_VIDEOS)), time.time()
        complaints = self._ask_for_the_rest(ended)
        for supervisor in self._stage.supervisors:
            supervisor.ask_to_stop()
        for supervisor in self._stage.supervisors:
            supervisor.stop()
            if supervisor.exit_codes[-1]:
                complaints.append(f"supervisor {supervisor.name} ended with code {supervisor.exit_codes[-1]} when asked to stop")
        self._say("the workers are stopped; every object is read and compared with its row")
        complaints += storage_complaints(self._stage)
        wrong, orphans = self._audit()
        return Evidence(
            attempts=read_attempts(self._ask(READ_ATTEMPTS)),
            videos=read_videos(self._ask(READ_VIDEOS)),
            ended=ended,
            expected=self._work.expected(),
            limits=self._watch.limits,
            strikes=self._strikes,
            refused=self._watch.refused,
            probing=self._watch.probing,
            downtimes=self._stage.postgres.downtimes,
            tokens=self._watch.tokens,
            taken_scans=self._watch.taken_scans,
            retried_at=retried_at,
            is_drained=is_drained,
            complaints=complaints,
            objects_wrong=wrong,
            orphans=orphans,
            uploads=self._unfinished_uploads(),
        )

    def _ask_for_the_rest(self, ended: list[Video]) -> list[str]:
        missing = self._work.expected() - {video.external_id for video in ended if video.status == "stored"}
        self._say(f"drained; {len(missing)} videos are not stored" + (" and are asked for again" if missing else ""))
        return self._work.ask_again() if missing else []

    def _ask(self, query: str) -> list[tuple]:
        rows = self._watch.ask(query)
        if rows is None:
            raise RuntimeError("PostgreSQL does not answer, though nothing strikes it any more")
        return rows

    def _audit(self) -> tuple[list[str], list[str]]:
        """What is wrong with objects, and the objects that belong to no row, in the words of the product's own audit."""
        code, said = self._stage.run("audit")
        sentences = [line for line in said.splitlines() if line.strip()] if code else []
        orphans = [line for line in sentences if re.search(r"^the object \S+ has no row", line)]
        return [line for line in sentences if line not in orphans], orphans

    def _unfinished_uploads(self) -> list[str]:
        """But for probes of a minute ago, whose begin lost its answer: the product's cleaning spares them, for it cannot know
        that nobody is at them."""
        import boto3

        s3 = self._stage.s3
        client = boto3.client(
            "s3",
            endpoint_url=s3.endpoint_url,
            aws_access_key_id=s3.access_key,
            aws_secret_access_key=s3.secret_key,
            region_name="us-east-1",
        )
        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=s3.bucket)
        before = datetime.now(UTC) - PROBE_LASTS
        uploads = [one for page in pages for one in page.get("Uploads", ())]
        left = [one for one in uploads if not (PROBE in one["Key"] and one["Initiated"] > before)]
        return [f"the upload {one['UploadId']} of {one['Key']} was never finished" for one in left]


def storage_complaints(stage: Stage) -> list[str]:
    """Have the product remove what lies in the storage for nothing; a sentence when it could not."""
    code, said = stage.run("clean_storage", "--older-than", "0")
    return [f"clean_storage ended with {code}: {said.strip()[-300:]}"] if code else []
