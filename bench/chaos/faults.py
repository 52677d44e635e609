"""What each kind of fault does to the stage. The methods of Faults have the names of the plan's kinds."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from bench.chaos.evidence import Strike
from bench.chaos.plan import Planned
from bench.chaos.processes import QUEUES, Cluster, clusters_of, pids_below
from bench.chaos.stage import Stage, Supervisor
from bench.chaos.watch import Watch

Later = Callable[[float, Callable[[], None]], None]

MEDIA = r"^GET \S*googlevideo\.com/videoplayback"
SLOW_LISTINGS = {"match": r"/youtubei/v1/browse|/videos", "delay": 0.5}  # so that there are scans to strike at any moment
PLAYER = r"/youtubei/v1/player|/watch\?"


class Faults:
    """`later(seconds, action)` calls the action when its time has come; `mend_all` does all that is still to be done."""

    def __init__(self, stage: Stage, watch: Watch, later: Later, *, lease_seconds: float):
        self._stage = stage
        self._watch = watch
        self._later = later
        self._lease = lease_seconds
        self._frozen: set[int] = set()
        self._s3_is_down = False
        self.mend_all()

    def strike(self, planned: Planned) -> Strike | None:
        """Deal the fault; None when there was nothing to strike at this moment."""
        return getattr(self, planned.kind)(planned)

    def mend_all(self) -> None:
        self._stage.twin.faults([SLOW_LISTINGS])
        self._stage.gateway.pass_on()
        for pid in list(self._frozen):
            self._thaw(pid)
        if self._s3_is_down:
            self._start_s3(None)

    # --- processes ----------------------------------------------------------------------------------------------------

    def kill_download_worker(self, planned: Planned) -> Strike | None:
        return self._kill_holder(planned, "videos_video")

    def kill_scan_worker(self, planned: Planned) -> Strike | None:
        return self._kill_holder(planned, "ingestion_scan")

    def kill_idle_process(self, planned: Planned) -> Strike | None:
        """One that holds no work: a worker between two videos, the monitor or the pusher."""
        busy = {*self._watch.holders("videos_video"), *self._watch.holders("ingestion_scan")}
        idle = [(name, cluster, process) for name, cluster, process in self._crew(*QUEUES) if process.pid not in busy]
        return self._kill_one(planned, idle)

    def kill_sentinel(self, planned: Planned) -> Strike | None:
        return self._kill_one(planned, [(name, one, one.sentinel) for name, one in self._clusters() if one.sentinel])

    def kill_cluster(self, planned: Planned) -> Strike | None:
        return self._kill_one(planned, [(name, cluster, cluster.main) for name, cluster in self._clusters()])

    def kill_supervisor(self, planned: Planned) -> Strike | None:
        if not (supervisor := self._running(planned)):
            return None
        process = psutil.Process(supervisor.pid)
        return self._kill(planned.kind, process, f"supervisor {supervisor.name}", supervisor.name, None)

    def stop_supervisor(self, planned: Planned) -> Strike | None:
        """Asked to stop, it finishes or hands back what it holds, and is started again."""
        if not (supervisor := self._running(planned)):
            return None
        pids, start = pids_below(psutil.Process(supervisor.pid)), time.time()
        supervisor.signal(signal.SIGTERM)
        return Strike(planned.kind, start, start, f"supervisor {supervisor.name}", supervisor.name, None, pids)

    def freeze_worker(self, planned: Planned) -> Strike | None:
        """Stopped for longer than its lease; then it wakes, and must change nothing."""
        pids = self._watch.holders("videos_video")
        if not pids:
            return None
        pid = pids[int(planned.draw * len(pids))]
        seconds = self._lease * (1.2 + planned.size / 2)
        start = time.time()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self._frozen.add(pid)
            self._later(seconds, lambda: self._thaw(pid))
        owner, queue = self._place_of(pid)
        return Strike(planned.kind, start, start + seconds, f"process {pid} for {seconds:.0f} s", owner, queue, {pid})

    def _thaw(self, pid: int) -> None:
        self._frozen.discard(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _kill_holder(self, planned: Planned, table: str) -> Strike | None:
        pids = self._watch.holders(table)
        if not pids:
            return None
        pid = pids[int(planned.draw * len(pids))]
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:  # a dead one's work, not yet taken back
            return None
        return self._kill(planned.kind, process, f"process {pid}", *self._place_of(pid))

    def _kill_one(self, planned: Planned, candidates: list[tuple[str, Cluster, psutil.Process]]) -> Strike | None:
        if not candidates:
            return None
        name, cluster, process = candidates[int(planned.draw * len(candidates))]
        return self._kill(planned.kind, process, f"process {process.pid} of {name}'s {cluster.queue} cluster", name, cluster.queue)

    def _kill(self, kind: str, process: psutil.Process, victim: str, supervisor: str | None, queue: str | None) -> Strike:
        """kill -9; what it started ends with it."""
        pids = pids_below(process)
        scans = self._watch.scans_of(pids)
        start = time.time()
        with suppress(psutil.NoSuchProcess):
            process.kill()
        return Strike(kind, start, start, victim, supervisor, queue, pids, scans)

    def _running(self, planned: Planned) -> Supervisor | None:
        running = [supervisor for supervisor in self._stage.supervisors if supervisor.pid]
        return running[int(planned.draw * len(running))] if running else None

    def _clusters(self) -> list[tuple[str, Cluster]]:
        running = [(one.name, clusters_of(one.pid)) for one in self._stage.supervisors if one.pid]
        return [(name, cluster) for name, clusters in running for cluster in clusters.values()]

    def _crew(self, *queues: str) -> list[tuple[str, Cluster, psutil.Process]]:
        return [(name, cluster, process) for name, cluster in self._clusters() if cluster.queue in queues for process in cluster.crew]

    def _place_of(self, pid: int) -> tuple[str | None, str | None]:
        """Supervisor and queue of a process."""
        for name, cluster in self._clusters():
            if any(process.pid == pid for process in cluster.everybody):
                return name, cluster.queue
        return None, None

    # --- servers ------------------------------------------------------------------------------------------------------

    def restart_postgres_immediate(self, planned: Planned) -> Strike:
        return self._restart_postgres(planned, "immediate")

    def restart_postgres_fast(self, planned: Planned) -> Strike:
        return self._restart_postgres(planned, "fast")

    def _restart_postgres(self, planned: Planned, mode: str) -> Strike:
        self._watch.close()
        self._stage.postgres.restart(mode)
        return Strike(planned.kind, *self._stage.postgres.downtimes[-1], "PostgreSQL")

    def kill_s3(self, planned: Planned) -> Strike | None:
        """Away for 2 to 6 seconds; what was half uploaded is gone with it."""
        if self._s3_is_down:
            return None
        self._s3_is_down = True
        self._stage.s3.kill()
        start, seconds = time.time(), 2 + 4 * planned.size
        strike = Strike(planned.kind, start, start + seconds, "the S3 server")
        self._later(seconds, lambda: self._start_s3(strike))
        return strike

    def _start_s3(self, strike: Strike | None) -> None:
        if self._s3_is_down:
            self._stage.s3.start()
            self._s3_is_down = False
            if strike:
                strike.end = time.time()

    def s3_errors(self, planned: Planned) -> Strike:
        return self._trouble(planned, self._stage.gateway.refuse, "500 and 503")

    def s3_lost_answers(self, planned: Planned) -> Strike:
        return self._trouble(planned, self._stage.gateway.swallow, "no answer")

    def _trouble(self, planned: Planned, begin: Callable[[float], None], what: str) -> Strike:
        """3 to 8 seconds for a share of the connections."""
        share, seconds, start = 0.2 + 0.6 * planned.draw, 3 + 5 * planned.size, time.time()
        begin(share)
        self._later(seconds, self._stage.gateway.pass_on)
        return Strike(planned.kind, start, start + seconds, f"S3: {what} for {share:.0%} of the connections")

    # --- YouTube ------------------------------------------------------------------------------------------------------

    def youtube_429(self, planned: Planned) -> Strike:
        return self._spoil(planned, PLAYER, 1 + int(planned.size * 2), status=429)

    def media_reset(self, planned: Planned) -> Strike:
        return self._spoil(planned, MEDIA, 2 + int(planned.size * 10), reset=int(planned.draw * 4000))

    def media_cut(self, planned: Planned) -> Strike:
        return self._spoil(planned, MEDIA, 2 + int(planned.size * 10), cut=int(planned.draw * 4000))

    def media_stall(self, planned: Planned) -> Strike:
        return self._spoil(planned, MEDIA, 1 + int(planned.size * 3), stall=int(planned.draw * 4000))

    def _spoil(self, planned: Planned, match: str, times: int, **how: int) -> Strike:
        self._stage.twin.faults([{"match": match, "times": times, **how}, SLOW_LISTINGS])
        now = time.time()
        return Strike(planned.kind, now, now, f"{times} answers of YouTube")
