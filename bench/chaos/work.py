"""The channels that are downloaded, wave by wave, so that there is always something to do while faults strike."""

import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.chaos.stage import Stage
from demo.youtube_twin.numbered import NumberedChannels

SMALLEST = 400  # videos of a channel; more than a run ever asks for
BIG_EVERY = 10  # one channel in so many has videos of some hundred KB, the others of a few KB
ENOUGH_WAITING = 1.5  # videos for each channel


class Work:
    """Each wave asks for some more videos of the next few channels, as staff would: by `mass_download --detach`."""

    def __init__(self, stage: Stage, *, channels: int, first: int, more: int, group: int):
        self._stage = stage
        self.channels = [("big" if n % BIG_EVERY == 0 else "tiny") + str(SMALLEST + n) for n in range(channels)]
        self._limits = dict.fromkeys(self.channels, first)
        self._more = more
        self._groups = [self.channels[at : at + group] for at in range(0, channels, group)]
        self._waves = 0
        self._next: tuple[list[str], int] | None = (self.channels, first)
        self._running: subprocess.Popen | None = None

    def expected(self) -> set[str]:
        """Ids of the videos that must be stored in the end."""
        family = NumberedChannels()
        return {video.id for key, limit in self._limits.items() for video in family.channel(key).tabs["videos"][:limit]}

    def feed(self, waiting: int) -> None:
        """Ask for more when little is left; a wave that the faults kept from being asked for is asked for again."""
        if self._running:
            if self._running.poll() is None:
                return
            if self._running.returncode == 0:
                self._next = None
            self._running = None
        if self._next is None and waiting < ENOUGH_WAITING * len(self.channels):
            group = self._groups[self._waves % len(self._groups)]
            self._waves += 1
            for channel in group:
                self._limits[channel] += self._more
            self._next = (group, self._limits[group[0]])
        if self._next:
            words = ["mass_download", *self._asked(*self._next), "--detach"]
            self._running = self._stage.manage(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop_feeding(self) -> None:
        if self._running:
            self._running.wait()

    def abandon(self) -> None:
        if self._running:
            self._running.kill()
            self._running.wait()

    def ask_again(self) -> list[str]:
        """All that was ever asked for, and what failed once more, with workers that run; what was said where some is not stored."""
        by_limit = defaultdict(list)
        for channel, limit in self._limits.items():
            by_limit[limit].append(channel)
        words = [["mass_download", *self._asked(channels, limit), "--retry-failed"] for limit, channels in sorted(by_limit.items())]
        with ThreadPoolExecutor() as pool:
            outcomes = list(pool.map(lambda command: self._stage.run(*command, "--progress-interval", "10"), words))
        return [f"mass_download ended with {code}: {said[-1500:]}" for code, said in outcomes if code]

    def _asked(self, channels: list[str], limit: int) -> list[str]:
        sheet = Path(self._stage.folder) / f"wave-{self._waves}-{limit}.txt"
        sheet.write_text("".join(f"https://www.youtube.com/@{channel}\n" for channel in channels))
        return ["--input", str(sheet), "--limit", str(limit)]
